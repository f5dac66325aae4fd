//! Looks at what is recorded when the capture begins, and again whenever it may have changed.
//!
//! In: whose environment it is, and the changes that the engine's events may have made, or a process that runs another
//! program. Out: what was seen, in the queue, with the times between which the one before ceased to hold. Never on the proxy's path: exchanges wait in the writer meanwhile.

use std::{collections::BTreeSet, mem, sync::Arc, time::Duration};

use content::redact::Redactor;
use exchange::{ContainerIdentity, Fingerprint, Subject};
use host::Docker;
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time,
};

use super::{Look, Unseen, Whose, take};
use crate::{
    Clock, Notice,
    queue::{Change, Item, Seen},
    surround::stopped,
    write::Notify,
};

/// How long after a look changes that it may have in it are waited for, in nanoseconds: the engine tells them a little later, and
/// an update takes hold before it is told. A choice: as long as exchanges wait (`SETTLE_NS`).
const TOLD_WITHIN_NS: u64 = 200_000_000;

/// How often it is looked whether a process runs another program: less than exchanges wait for it
/// (`SETTLE_NS`). A choice: two system calls each time.
const PROGRAM_EVERY: Duration = Duration::from_millis(50);

/// How long a process has to run the same program before the capture takes it for the service: one that a script runs in its
/// place served from the beginning. A choice: longer than shims of version managers take.
const SAME_PROGRAM: Duration = Duration::from_millis(300);

/// Looks at what is recorded.
pub(crate) struct Following {
    whose: Whose,
    /// Which of the service's containers it is.
    replica: usize,
    clock: Clock,
    redactor: Arc<Redactor>,
    secret_variables: Arc<[String]>,
    queue: std::sync::mpsc::Sender<Item>,
    notify: Notify,
    /// The fingerprint that was taken last.
    last: Option<Fingerprint>,
    /// The container as it was seen last.
    known: Option<Box<ContainerIdentity>>,
    /// Notices that were given, each once.
    said: BTreeSet<String>,
}

impl Following {
    pub(crate) fn new(
        (replica, whose): (usize, Whose),
        clock: Clock,
        redactor: Arc<Redactor>,
        secret_variables: Arc<[String]>,
        queue: std::sync::mpsc::Sender<Item>,
        notify: Notify,
    ) -> Self {
        let (last, known, said) = (None, None, BTreeSet::new());
        Self { whose, replica, clock, redactor, secret_variables, queue, notify, last, known, said }
    }

    /// Looks once, and where it is a container again after each change, until the capture stops.
    pub(crate) async fn follow(mut self, changes: UnboundedReceiver<Change>, stopping: watch::Receiver<bool>) {
        let name = match self.whose.clone() {
            Whose::Container(name) => name,
            Whose::Process(..) => return self.follow_process(stopping).await,
            Whose::Nobody => {
                let (fingerprint, _) = self.look(Whose::Nobody).await;
                return self.send(self.seen_at_first(fingerprint));
            }
        };
        let mut heard = Heard { changes, stopping, waiting: Vec::new() };
        let (fingerprint, seen_ns) = self.look(Whose::Container(name.clone())).await;
        self.send_first(&name, fingerprint, heard.during(seen_ns, self.clock).await);
        while heard.wait().await {
            let changes = heard.take();
            let Some(last) = changes.last() else { continue };
            let (fingerprint, seen_ns) = self.look_again(&name, &last.id).await;
            let during = heard.during(seen_ns, self.clock).await;
            self.send(self.seen_after(&name, fingerprint, &changes, during));
        }
    }

    /// Sends what was seen first, where these changes came meanwhile. What was there before them, if it was another one, is not
    /// known any more.
    fn send_first(&self, name: &str, fingerprint: Fingerprint, during: &[Change]) {
        let container = Some(name.to_owned());
        let Some(another) = during.iter().find(|change| change.had_another) else {
            return self.send(Seen { container, ..self.seen_at_first(fingerprint) });
        };
        let unknown = Fingerprint { subject: Subject::Unknown, ..fingerprint.clone() };
        self.send(Seen { container, ..self.seen_at_first(unknown) });
        let seen = self.seen_after(name, Some(fingerprint), &[], during);
        self.send(Seen { ceased_ns: another.ceased_ns, ..seen });
    }

    /// What was seen after changes, and may have those in it that came `during` the look: it holds for certain since the last.
    fn seen_after(&self, name: &str, fingerprint: Option<Fingerprint>, changes: &[Change], during: &[Change]) -> Seen {
        Seen {
            replica: self.replica,
            fingerprint,
            container: Some(name.to_owned()),
            number: changes.last().map_or(0, |last| last.number),
            ceased_ns: changes.first().map_or(0, |first| first.ceased_ns),
            from_ns: during.last().or(changes.last()).map_or(0, |last| last.from_ns),
        }
    }

    /// Looks again whenever a process runs another program.
    async fn follow_process(mut self, stopping: watch::Receiver<bool>) {
        let Some(pid) = self.whose.pid() else { return };
        let mut looked_ns = self.clock.now_ns();
        let mut program = host::program_of(pid);
        let (mut fingerprint, _) = self.look(self.whose.clone()).await;
        let stops = stopped(stopping);
        tokio::pin!(stops);
        if matches!(fingerprint.subject, Subject::Unknown) {
            // It ran another program while it was looked at, or the like.
            program = None;
        }
        let mut same_since_ns = self.clock.now_ns();
        let mut number = 0;
        let mut is_sent = false;
        loop {
            let is_over = tokio::select! {
                biased;
                () = &mut stops => true,
                () = time::sleep(PROGRAM_EVERY) => false,
            };
            let now = host::program_of(pid);
            let now_ns = self.clock.now_ns();
            if now.is_some() && now != program {
                let ceased_ns = looked_ns;
                if is_sent {
                    number += 1;
                    self.queue.send(Item::Changing(self.change(number, ceased_ns, now_ns))).ok();
                }
                let (seen, _) = self.look(self.whose.clone()).await;
                // One that ended or went on while it was looked at was not seen: what was there before stands until it is.
                let was_seen = host::program_of(pid) == now && !matches!(seen.subject, Subject::Unknown);
                let seen = if was_seen { seen } else { fingerprint.clone() };
                if is_sent {
                    let fingerprint = Some(seen.clone());
                    self.send(Seen {
                        replica: self.replica,
                        fingerprint,
                        container: None,
                        number,
                        ceased_ns,
                        from_ns: now_ns,
                    });
                }
                if was_seen {
                    program.clone_from(&now);
                }
                (fingerprint, same_since_ns) = (seen, self.clock.now_ns());
            }
            looked_ns = now_ns;
            let is_same = u128::from(now_ns.saturating_sub(same_since_ns)) >= SAME_PROGRAM.as_nanos();
            if !is_sent && (is_same || is_over || now.is_none()) {
                self.send(self.seen_at_first(fingerprint.clone()));
                is_sent = true;
            }
            if is_over || now.is_none() {
                return;
            }
        }
    }

    /// What may have been another program between these times.
    fn change(&self, number: u64, ceased_ns: u64, from_ns: u64) -> Change {
        Change { replica: self.replica, number, id: String::new(), ceased_ns, from_ns, had_another: true }
    }

    /// Looks at a container that may have changed; nothing where it does not run. Also when that was so.
    async fn look_again(&mut self, name: &str, id: &str) -> (Option<Fingerprint>, u64) {
        let now = async { Docker::connect().await?.container_now(id).await };
        if now.await.is_ok_and(|now| !now.is_running) {
            return (None, self.clock.now_ns());
        }
        let before = self.last.clone();
        let (fingerprint, seen_ns) = self.look(Whose::Container(id.to_owned())).await;
        if before.is_some_and(|before| before != fingerprint) {
            (self.notify)(Notice::EnvironmentChanged { container: name.to_owned() });
        }
        (Some(fingerprint), seen_ns)
    }

    /// A fingerprint, and when that was so.
    async fn look(&mut self, whose: Whose) -> (Fingerprint, u64) {
        let (redactor, secret_variables) = (self.redactor.clone(), self.secret_variables.clone());
        let looking = take(whose, self.known.as_deref(), self.clock, redactor, secret_variables);
        let Look { fingerprint, unseen, seen_ns } = looking.await;
        if let Subject::Container(container) = &fingerprint.subject {
            self.known = Some(container.clone());
        }
        self.say(unseen);
        self.last = Some(fingerprint.clone());
        (fingerprint, seen_ns)
    }

    fn say(&mut self, unseen: Unseen) {
        let subject = unseen.subject.map(|reason| Notice::EnvironmentUnknown { reason });
        let packages = unseen.packages.map(|reason| Notice::PackagesUnknown { reason });
        let mounts = unseen.mounts.into_iter().map(|reason| Notice::MountUnknown { reason });
        let arguments = unseen.arguments.map(|shows| Notice::ArgumentsUnknown { shows });
        for notice in subject.into_iter().chain(packages).chain(mounts).chain(arguments) {
            if self.said.insert(format!("{notice:?}")) {
                (self.notify)(notice);
            }
        }
    }

    /// What holds since the session began.
    fn seen_at_first(&self, fingerprint: Fingerprint) -> Seen {
        let fingerprint = Some(fingerprint);
        Seen { replica: self.replica, fingerprint, container: None, number: 0, ceased_ns: 0, from_ns: 0 }
    }

    fn send(&self, seen: Seen) {
        // Nobody reads the queue any more only when the capture is over.
        self.queue.send(Item::Environment(Box::new(seen))).ok();
    }
}

/// The changes of a container, as they are told.
struct Heard {
    changes: UnboundedReceiver<Change>,
    stopping: watch::Receiver<bool>,
    /// Those that were not looked at.
    waiting: Vec<Change>,
}

impl Heard {
    /// Waits for a change; false when the capture stops first.
    async fn wait(&mut self) -> bool {
        if self.waiting.is_empty() {
            tokio::select! {
                biased;
                Some(change) = self.changes.recv() => self.waiting.push(change),
                () = stopped(self.stopping.clone()) => return false,
            }
        }
        true
    }

    /// All that were told so far.
    fn take(&mut self) -> Vec<Change> {
        self.waiting.extend(std::iter::from_fn(|| self.changes.try_recv().ok()));
        mem::take(&mut self.waiting)
    }

    /// Those that a look may have in it that ended at `seen_ns`, once they must have been told or the capture stops. They wait to
    /// be looked at all the same.
    async fn during(&mut self, seen_ns: u64, clock: Clock) -> &[Change] {
        let told_ns = seen_ns.saturating_add(TOLD_WITHIN_NS);
        loop {
            let left = Duration::from_nanos(told_ns.saturating_sub(clock.now_ns()));
            tokio::select! {
                biased;
                Some(change) = self.changes.recv() => self.waiting.push(change),
                () = stopped(self.stopping.clone()) => break,
                () = time::sleep(left) => break,
            }
        }
        // What an event says happened is done a little before it as well.
        let later = self.waiting.iter().position(|change| change.ceased_ns >= told_ns);
        &self.waiting[..later.unwrap_or(self.waiting.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u64, at_ns: u64) -> Change {
        Change { replica: 0, number, id: "0f".to_owned(), ceased_ns: at_ns, from_ns: at_ns, had_another: true }
    }

    #[tokio::test]
    async fn a_change_that_is_told_a_little_later_counts_and_one_that_came_later_does_not() {
        let clock = Clock::start();
        let (tell, changes) = tokio::sync::mpsc::unbounded_channel();
        let (stop, stopping) = watch::channel(false);
        let mut heard = Heard { changes, stopping, waiting: Vec::new() };
        let seen_ns = clock.now_ns();
        let later = change(2, seen_ns + TOLD_WITHIN_NS);
        let telling = async {
            time::sleep(Duration::from_millis(20)).await;
            tell.send(change(1, seen_ns)).unwrap();
            tell.send(later.clone()).unwrap();
        };
        let (during, ()) = tokio::join!(heard.during(seen_ns, clock), telling);
        assert_eq!(during, [change(1, seen_ns)]);
        assert!(clock.now_ns() >= seen_ns + TOLD_WITHIN_NS, "more may have been told");
        assert!(heard.wait().await);
        assert_eq!(heard.take(), [change(1, seen_ns), later]);
        stop.send_replace(true);
        assert!(!heard.wait().await);
    }
}
