//! Looks at what is recorded when the capture begins, and again whenever it may have changed.
//!
//! In: whose environment it is, and the changes that the engine's events may have made, or a process that runs another
//! program. Out: what was seen, in the queue, with the times between which the one before ceased to hold. Never on the proxy's path: exchanges wait in the writer meanwhile.

use std::{collections::BTreeSet, mem, sync::Arc, time::Duration};

use content::redact::Redactor;
use exchange::{ContainerIdentity, Fingerprint, Subject};
use host::{Docker, ProgramMark};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time,
};

use super::{Unseen, Whose, take};
use crate::{
    Clock, Notice,
    queue::{Change, Item, Seen},
    surround::stopped,
    write::Notify,
};

/// How long after the first look changes from before it are waited for: the engine tells them as soon as it is connected. A
/// choice.
const EARLY_CHANGES: Duration = Duration::from_millis(200);

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
    pub(crate) async fn follow(mut self, mut changes: UnboundedReceiver<Change>, stopping: watch::Receiver<bool>) {
        let looked_ns = self.clock.now_ns();
        let program = self.whose.pid().and_then(host::program_of);
        let fingerprint = self.look(self.whose.clone()).await;
        let name = match self.whose.clone() {
            Whose::Container(name) => name,
            Whose::Process(..) => return self.follow_process((looked_ns, program), fingerprint, stopping).await,
            Whose::Nobody => return self.send(self.seen_at_first(fingerprint)),
        };
        let mut heard = until_quiet(&mut changes).await;
        // What was there before the first look, if it was another one, is not known any more.
        let early: Vec<_> = heard.extract_if(.., |change| change.from_ns < looked_ns).collect();
        if let Some(first) = early.iter().find(|change| change.had_another) {
            let unseen = Fingerprint { subject: Subject::Unknown, ..fingerprint.clone() };
            self.send(Seen { container: Some(name.clone()), ..self.seen_at_first(unseen) });
            let from_ns = early.last().map_or(first.from_ns, |last| last.from_ns);
            let seen = Seen { ceased_ns: first.ceased_ns, from_ns, ..self.seen_at_first(fingerprint) };
            self.send(Seen { container: Some(name.clone()), number: last_number(&early), ..seen });
        } else {
            let seen = self.seen_at_first(fingerprint);
            self.send(Seen { container: Some(name.clone()), number: last_number(&early), ..seen });
        }
        loop {
            if heard.is_empty() {
                tokio::select! {
                    biased;
                    Some(change) = changes.recv() => heard.push(change),
                    () = stopped(stopping.clone()) => return,
                }
            }
            heard.extend(std::iter::from_fn(|| changes.try_recv().ok()));
            let heard = mem::take(&mut heard);
            if let (Some(first), Some(last)) = (heard.first(), heard.last()) {
                let fingerprint = self.look_again(&name, &last.id).await;
                let (number, ceased_ns, from_ns) = (last.number, first.ceased_ns, last.from_ns);
                let (replica, container) = (self.replica, Some(name.clone()));
                self.send(Seen { replica, fingerprint, container, number, ceased_ns, from_ns });
            }
        }
    }

    /// Looks again whenever a process runs another program.
    async fn follow_process(
        mut self,
        (mut looked_ns, mut program): (u64, Option<ProgramMark>),
        mut fingerprint: Fingerprint,
        stopping: watch::Receiver<bool>,
    ) {
        let stops = stopped(stopping);
        tokio::pin!(stops);
        let Some(pid) = self.whose.pid() else { return };
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
                let seen = self.look(self.whose.clone()).await;
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

    /// Looks at a container that may have changed; nothing where it does not run.
    async fn look_again(&mut self, name: &str, id: &str) -> Option<Fingerprint> {
        let now = async { Docker::connect().await?.container_now(id).await };
        if now.await.is_ok_and(|now| !now.is_running) {
            return None;
        }
        let before = self.last.clone();
        let fingerprint = self.look(Whose::Container(id.to_owned())).await;
        if before.is_some_and(|before| before != fingerprint) {
            (self.notify)(Notice::EnvironmentChanged { container: name.to_owned() });
        }
        Some(fingerprint)
    }

    async fn look(&mut self, whose: Whose) -> Fingerprint {
        let (redactor, secret_variables) = (self.redactor.clone(), self.secret_variables.clone());
        let (fingerprint, unseen) = take(whose, self.known.as_deref(), redactor, secret_variables).await;
        if let Subject::Container(container) = &fingerprint.subject {
            self.known = Some(container.clone());
        }
        self.say(unseen);
        self.last = Some(fingerprint.clone());
        fingerprint
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

/// The changes that come until none does for a while.
async fn until_quiet(changes: &mut UnboundedReceiver<Change>) -> Vec<Change> {
    let mut heard = Vec::new();
    while let Ok(Some(change)) = time::timeout(EARLY_CHANGES, changes.recv()).await {
        heard.push(change);
    }
    heard
}

fn last_number(changes: &[Change]) -> u64 {
    changes.last().map_or(0, |change| change.number)
}
