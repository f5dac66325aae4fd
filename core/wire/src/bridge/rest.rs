//! Whether the service is at rest: it has taken in all that it was sent, and waits.
//!
//! The host asks with a number (4 bytes) and a patience in milliseconds (4 bytes); the inside answers with the number and 1 as
//! soon as that is so, 0 where it was not so within the patience, or 2 where it cannot see that. A question follows what was sent
//! before it, so that a service at rest has been handed that too.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    frame::Kind,
    link::{Link, locked},
};

/// How often the inside looks. A choice: the runtime's smallest pause.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How often in a row it has to be at rest. A choice: on a busy machine the kernel may hand over what was sent a little later.
const LOOKS: u32 = 2;

/// How much longer than the patience an answer may be on its way. A choice.
const GRACE: Duration = Duration::from_millis(250);

/// What became of waiting for a service's rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// All that had been sent was taken in, and every thread of the service waited for something.
    Reached,
    /// It still had something to do when the patience was over.
    Busy,
    /// Nobody inside can see that, or nobody is there.
    Unseen,
}

impl Rest {
    fn byte(self) -> u8 {
        match self {
            Self::Busy => 0,
            Self::Reached => 1,
            Self::Unseen => 2,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Busy, Self::Reached, Self::Unseen].into_iter().find(|rest| rest.byte() == byte)
    }
}

/// Sees whether the service's threads all wait at this moment; `None` where that cannot be seen. Clones share it.
#[derive(Clone, Default)]
pub struct SeesRest(Option<Arc<dyn Fn() -> Option<bool> + Send + Sync>>);

impl SeesRest {
    /// By looking so.
    pub fn by(look: impl Fn() -> Option<bool> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look)))
    }

    fn look(&self) -> Option<bool> {
        self.0.as_ref().and_then(|look| look())
    }

    /// The inside's part: takes a question, and has it answered; false when it makes no sense.
    pub(super) fn take(&self, link: &Arc<Link>, payload: &[u8]) -> bool {
        let Some((number, patience)) = read_question(payload) else { return false };
        let (link, sees) = (Arc::clone(link), self.clone());
        tokio::spawn(async move {
            let rest = sees.rest(&link, patience).await;
            link.send(Kind::Rested, 0, &[&number.to_be_bytes()[..], &[rest.byte()]].concat());
        });
        true
    }

    async fn rest(&self, link: &Link, patience: Duration) -> Rest {
        let began = Instant::now();
        let mut calm = 0;
        loop {
            // Whoever carries what has just arrived to the service comes first.
            tokio::task::yield_now().await;
            let waits = if link.has_unread() { Some(false) } else { self.look() };
            match waits {
                None => return Rest::Unseen,
                Some(false) => calm = 0,
                Some(true) => calm += 1,
            }
            if calm == LOOKS {
                return Rest::Reached;
            }
            if began.elapsed() >= patience {
                return Rest::Busy;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl fmt::Debug for SeesRest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SeesRest").finish_non_exhaustive()
    }
}

fn read_question(payload: &[u8]) -> Option<(u32, Duration)> {
    let (number, patience) = payload.split_first_chunk()?;
    let patience_ms = u32::from_be_bytes(patience.try_into().ok()?);
    Some((u32::from_be_bytes(*number), Duration::from_millis(patience_ms.into())))
}

/// The host's part: questions that wait for their answers.
#[derive(Clone, Default)]
pub(super) struct Questions(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    next: u32,
    waiting: BTreeMap<u32, oneshot::Sender<Rest>>,
}

impl Questions {
    /// Asks, and waits for the answer, or until the bridge is `over`.
    pub(super) async fn ask(&self, link: &Link, patience: Duration, over: impl Future<Output = ()>) -> Rest {
        let (send, answer) = oneshot::channel();
        let number = {
            let mut asked = locked(&self.0);
            let number = asked.next;
            asked.next = number.wrapping_add(1);
            asked.waiting.insert(number, send);
            number
        };
        let _forgotten = Forgets { questions: self, number };
        let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        link.send(Kind::Rest, 0, &[number.to_be_bytes(), patience_ms.to_be_bytes()].concat());
        tokio::select! {
            biased;
            answer = answer => answer.unwrap_or(Rest::Unseen),
            () = over => Rest::Unseen,
            () = tokio::time::sleep(patience + GRACE) => Rest::Busy,
        }
    }

    /// Takes an answer from inside; false when it makes no sense.
    pub(super) fn take(&self, payload: &[u8]) -> bool {
        let Some((number, [rest])) = payload.split_first_chunk() else { return false };
        let (number, Some(rest)) = (u32::from_be_bytes(*number), Rest::of(*rest)) else { return false };
        // One whose patience has ended waits no more.
        if let Some(waits) = locked(&self.0).waiting.remove(&number) {
            // An error means that it does so no more just now.
            waits.send(rest).ok();
        }
        true
    }
}

/// Forgets a question that nobody waits for any more.
struct Forgets<'q> {
    questions: &'q Questions,
    number: u32,
}

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        locked(&self.questions.0).waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_make_no_sense_are_refused_and_late_ones_taken() {
        let questions = Questions::default();
        assert!(questions.take(&[0, 0, 0, 7, 1]));
        for wrong in [&[][..], &[0, 0, 0, 7], &[0, 0, 0, 7, 3], &[0, 0, 0, 7, 1, 1]] {
            assert!(!questions.take(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_question_is_two_numbers_and_nothing_else() {
        assert_eq!(read_question(&[0, 0, 0, 7, 0, 0, 1, 0]), Some((7, Duration::from_millis(256))));
        for wrong in [&[][..], &[0; 4], &[0; 7], &[0; 9]] {
            assert_eq!(read_question(wrong), None, "{wrong:?}");
        }
    }
}
