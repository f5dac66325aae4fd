//! What the host has done to the service while it runs, and the answers: lines to the tracer beside init and back.
//!
//! The bridge inside carries them and understands nothing of them. An order is a number, a tab and its words; the tracer
//! answers `done NUMBER` or `failed NUMBER REASON`, and tells of itself in between, see `reached`. `gone` comes from the
//! bridge, where there is no tracer, or none any more.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    link::locked,
    reached::{self, Held, Reached},
};

/// How long an order may take. A choice: starting a service anew takes as long as its old processes take to die.
pub(super) const ORDER_PATIENCE: Duration = Duration::from_secs(30);

/// Longest line, in bytes, each way.
pub const CONTROL_LINE_MAX: usize = 1024;

/// Said by the bridge inside where nobody traces the service.
pub(super) const GONE: &str = "gone";

/// What can be done to a service that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is ready: monotonic clocks that were frozen until then are so no longer.
    Ready,
    /// Its own process gets this signal; once that has ended, so does whatever else is left of it. Nothing is started.
    Stop {
        /// The signal's number.
        signal: i32,
    },
    /// All its processes end, and it is started anew with the same seed.
    Restart,
}

impl Order {
    /// As a line, without its end.
    pub fn line(self, number: u64) -> String {
        match self {
            Self::Ready => format!("{number}\tready"),
            Self::Stop { signal } => format!("{number}\tstop\t{signal}"),
            Self::Restart => format!("{number}\trestart"),
        }
    }

    /// The number and the order of a line as [`Self::line`] made it.
    pub fn read(line: &str) -> Option<(u64, Self)> {
        let words: Vec<_> = line.split('\t').collect();
        let order = match words[1..] {
            ["ready"] => Self::Ready,
            ["stop", signal] => Self::Stop { signal: signal.parse().ok()? },
            ["restart"] => Self::Restart,
            _ => return None,
        };
        Some((words[0].parse().ok()?, order))
    }
}

/// The tracer's answer to an order, as a line without its end.
pub fn answer_line(number: u64, answer: &Result<(), String>) -> String {
    match answer {
        Ok(()) => format!("done\t{number}"),
        Err(reason) => format!("failed\t{number}\t{}", reached::plain(reason)),
    }
}

/// Why something was not done to the service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nobody traces the service: that was not asked for or cannot be had here, or the service has ended.
    #[error("nothing in the container controls the service")]
    Gone,
    /// It could not be done.
    #[error("the service's time could not be controlled: {reason}")]
    Failed {
        /// Why.
        reason: String,
    },
    /// There was no answer.
    #[error("what controls the service in the container did not answer within {seconds} s")]
    Silent {
        /// How long was waited, in seconds.
        seconds: u64,
    },
}

/// The host's side: orders that wait for their answers, and what was told.
#[derive(Clone, Default)]
pub(super) struct Orders(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<(), ControlError>>>,
    gone: bool,
    reached: Option<Reached>,
    /// Why a clock was not set, which nobody inside may have noticed.
    clock_failure: Option<String>,
}

impl Orders {
    /// The line of an order, and where its answer will be.
    pub(super) fn begin(&self, order: Order) -> Result<(String, Pending), ControlError> {
        let mut table = locked(&self.0);
        if table.gone {
            return Err(ControlError::Gone);
        }
        let number = table.next;
        table.next += 1;
        let (send, answer) = oneshot::channel();
        table.waiting.insert(number, send);
        Ok((order.line(number), Pending { number, answer, orders: self.clone() }))
    }

    /// Takes a line from inside; false when it makes no sense.
    pub(super) fn take(&self, line: &str) -> bool {
        let mut table = locked(&self.0);
        let words: Vec<_> = line.splitn(3, '\t').collect();
        let (number, answer) = match words[..] {
            [GONE] => {
                table.gone = true;
                let waiting = std::mem::take(&mut table.waiting);
                waiting.into_values().for_each(|waits| drop(waits.send(Err(ControlError::Gone))));
                return true;
            }
            ["done", number] => (number, Ok(())),
            ["failed", number, reason] => match reached::checked(reason) {
                Some(reason) => (number, Err(ControlError::Failed { reason })),
                None => return false,
            },
            _ => return table.reached.get_or_insert_default().take(line),
        };
        let Ok(number) = number.parse::<u64>() else { return false };
        // One whose patience has ended waits no more.
        if let Some(waits) = table.waiting.remove(&number) {
            drop(waits.send(answer));
        }
        number < table.next
    }

    /// Remembers that a clock does not show what it was to show: from then on it has failed, whatever is told of it.
    pub(super) fn clock_has_failed(&self, error: &ControlError) {
        locked(&self.0).clock_failure.get_or_insert_with(|| error.to_string());
    }

    /// True while somebody inside takes orders.
    pub(super) fn are_taken(&self) -> bool {
        let table = locked(&self.0);
        table.reached.is_some() && !table.gone
    }

    /// Why the wall clock cannot be set, if so.
    pub(super) fn clock_is_given(&self) -> Result<(), ControlError> {
        let failed = |reason: &str| Err(ControlError::Failed { reason: reason.to_owned() });
        let table = locked(&self.0);
        match &table.reached {
            _ if table.gone => Err(ControlError::Gone),
            None => failed("nothing was told of its clock yet"),
            Some(Reached { clock: Held::On, .. }) => Ok(()),
            Some(Reached { clock: Held::Off, .. }) => failed("the wall clock is not given"),
            Some(Reached { clock: Held::Failed { reason }, .. }) => failed(reason),
        }
    }

    pub(super) fn reached(&self) -> Option<Reached> {
        let table = locked(&self.0);
        let mut reached = table.reached.clone()?;
        if let Some(reason) = &table.clock_failure {
            reached.clock = Held::Failed { reason: reason.clone() };
        }
        Some(reached)
    }
}

/// An order that waits for its answer.
pub(super) struct Pending {
    number: u64,
    answer: oneshot::Receiver<Result<(), ControlError>>,
    orders: Orders,
}

impl Pending {
    pub(super) async fn answered(mut self, over: impl Future<Output = ()>) -> Result<(), ControlError> {
        let seconds = ORDER_PATIENCE.as_secs();
        tokio::select! {
            biased;
            answer = &mut self.answer => answer.unwrap_or(Err(ControlError::Gone)),
            () = over => Err(ControlError::Gone),
            () = tokio::time::sleep(ORDER_PATIENCE) => Err(ControlError::Silent { seconds }),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        locked(&self.orders.0).waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_were_written() {
        let orders = [Order::Ready, Order::Stop { signal: 15 }, Order::Restart];
        for (number, order) in (7..).zip(orders) {
            assert_eq!(Order::read(&order.line(number)), Some((number, order)));
        }
        for line in ["", "1", "x\tready", "1\twall\tfrozen\t1", "1\tready\t2", "-1\tready", "1\tstop"] {
            assert_eq!(Order::read(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_clock_that_was_not_set_has_failed_whatever_is_told_of_it() {
        let orders = Orders::default();
        let told = Reached { clock: Held::On, entropy: Held::On, ..Reached::default() };
        assert!(told.lines().iter().all(|line| orders.take(line)));
        assert_eq!(orders.reached(), Some(told.clone()));
        assert_eq!(orders.clock_is_given(), Ok(()));
        orders.clock_has_failed(&ControlError::Silent { seconds: 30 });
        assert!(told.lines().iter().all(|line| orders.take(line)));
        let reached = orders.reached().unwrap();
        assert!(matches!(&reached.clock, Held::Failed { reason } if reason.contains("30 s")), "{reached:?}");
        assert_eq!(reached.entropy, Held::On);
    }

    #[test]
    fn a_clock_is_set_only_where_it_is_told_to_be_given() {
        let orders = Orders::default();
        let refused = |orders: &Orders, why: &str| match orders.clock_is_given() {
            Err(ControlError::Failed { reason }) => assert!(reason.contains(why), "{reason}"),
            other => panic!("{other:?}"),
        };
        refused(&orders, "nothing was told");
        assert!(orders.take("held\tclock\toff"));
        refused(&orders, "not given");
        assert!(orders.take("held\tclock\tfailed\tno memory"));
        refused(&orders, "no memory");
        assert!(orders.take("held\tclock\ton"));
        assert_eq!(orders.clock_is_given(), Ok(()));
        assert!(orders.take(GONE));
        assert_eq!(orders.clock_is_given(), Err(ControlError::Gone));
    }

    #[tokio::test]
    async fn each_order_gets_its_own_answer_and_none_waits_for_one_who_is_gone() {
        let orders = Orders::default();
        let begin = || orders.begin(Order::Ready).unwrap().1;
        let (first, second, third) = (begin(), begin(), begin());
        assert!(orders.take(&answer_line(1, &Err("no\nway".to_owned()))));
        assert!(orders.take(&answer_line(0, &Ok(()))));
        assert!(!orders.take("done\t3") && !orders.take("done\tx") && !orders.take("sunk\t1"));
        assert!(orders.take("held\tclock\ton") && orders.reached().is_some());
        let never = || std::future::pending();
        assert_eq!(first.answered(never()).await, Ok(()));
        assert_eq!(second.answered(never()).await, Err(ControlError::Failed { reason: "no way".to_owned() }));
        assert!(orders.take(GONE));
        assert_eq!(third.answered(never()).await, Err(ControlError::Gone));
        assert!(matches!(orders.begin(Order::Ready), Err(ControlError::Gone)));
    }
}
