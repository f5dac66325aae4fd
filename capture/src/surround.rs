//! Records what surrounds the exchanges: what the service's container logs, what happens to it, and what the
//! service uses.
//!
//! In: whose it is to be. Out: log lines and events in the queue, and notices where something cannot be seen. All of it
//! runs beside the proxy; where the engine is gone or hangs it is tried again, and nothing else waits for that.

mod happenings;
mod logs;
mod samples;

use std::{sync::Arc, time::Duration};

use exchange::{Event, Id};
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    environment::Whose,
    lines::LineRecorder,
    queue::{Change, Item},
    write::Notify,
};

/// How long to wait before what cannot be seen is looked at again. A choice.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What an event costs the budget beside its data's text, in bytes: a choice that covers its JSON in memory.
const EVENT_COST: usize = 16 << 10;

/// Records what surrounds the exchanges.
#[derive(Clone)]
pub(crate) struct Surround {
    /// The session.
    pub(crate) session: Id,
    /// Takes lines, and has what events are sent with.
    pub(crate) lines: LineRecorder,
    /// Variables that count as secret, whatever they are called.
    pub(crate) secret_variables: Arc<[String]>,
    /// How often what is used is sampled.
    pub(crate) every: Option<Duration>,
    pub(crate) notify: Notify,
}

impl Surround {
    /// Starts what records until `stopping` says so. `changes` hears after what the environment may be another one.
    pub(crate) fn start(
        self,
        whose: &Whose,
        replica: usize,
        changes: mpsc::UnboundedSender<Change>,
        stopping: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if let (Whose::Container(name), true) = (whose, self.lines.is_on) {
            tasks.spawn(logs::record(self.clone(), name.clone(), stopping.clone()));
        }
        if let Whose::Container(name) = whose {
            tasks.spawn(happenings::record(self.clone(), name.clone(), replica, changes, stopping.clone()));
        }
        if let (Some(every), false) = (self.every, matches!(whose, Whose::Nobody)) {
            tasks.spawn(samples::record(self, whose.clone(), every, stopping.clone()));
        }
        tasks
    }

    /// Hands an event to the writer, unless there is no room: exchanges come first.
    fn send(&self, at_ns: u64, kind: &str, subject: String, data: Value) {
        let mut id = [0; 16];
        // Without chance there is no id, and without an id no record.
        let (Ok(()), Some(held)) = (getrandom::fill(&mut id), self.lines.budget.take(EVENT_COST)) else { return };
        let (id, session, kind) = (Id(id), Some(self.session), kind.to_owned());
        let event = Event { id, session, at_ns, kind, actor: String::new(), subject, links: Vec::new(), data };
        // Nobody reads the queue any more only when the capture is over.
        self.lines.queue.send(Item::Event { event: Box::new(event), held }).ok();
    }
}

/// Done when the capture is to stop, or has.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone says the same.
    stopping.wait_for(|is_stopping| *is_stopping).await.ok();
}
