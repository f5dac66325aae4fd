//! What happens to a container: that it died, was started again, was updated. After some of it the service may run in
//! another environment: that is told to whoever looks.

use exchange::surroundings::{Happened, event_kind};
use futures_util::StreamExt as _;
use host::{ContainerEvent, Docker, DockerError};
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    time,
};

use super::{AGAIN_AFTER, Surround, stopped};
use crate::queue::{Change, Item};

/// Events after which a service may run in another environment.
const CHANGES: [&str; 3] = ["start", "update", "rename"];

/// Records what happens to the container of this name, whichever has it, until the capture stops.
pub(super) async fn record(
    surround: Surround,
    name: String,
    replica: usize,
    changes: UnboundedSender<Change>,
    stopping: watch::Receiver<bool>,
) {
    let last_unix_ns = surround.lines.clock.start_unix_ns();
    let changing = Changing { replica, ..Changing::default() };
    let mut happenings = Happenings { surround, name, id: String::new(), last_unix_ns, changing, changes };
    tokio::select! {
        () = happenings.follow() => {}
        () = stopped(stopping) => {}
    }
}

struct Happenings {
    surround: Surround,
    name: String,
    /// The container that has the name, or had it last.
    id: String,
    /// When the last event was, by the engine's clock.
    last_unix_ns: u64,
    changing: Changing,
    changes: UnboundedSender<Change>,
}

/// What is known of when the environment may have become another one.
#[derive(Default)]
struct Changing {
    /// Which of the service's containers it is.
    replica: usize,
    /// Changes so far.
    count: u64,
    /// When what ran died, as long as nothing was started since.
    died_ns: Option<u64>,
    /// When the engine ceased to tell what happens, as long as it does not again.
    lost_ns: Option<u64>,
}

impl Changing {
    /// Takes an event of the container `id`; a change where it may have made one.
    fn take(&mut self, what: &str, id: &str, at_ns: u64) -> Option<Change> {
        if what == "die" {
            self.died_ns.get_or_insert(at_ns);
        }
        if !CHANGES.contains(&what) {
            return None;
        }
        let had_another = self.died_ns.is_some() || what != "start";
        let ceased_ns = self.died_ns.unwrap_or(at_ns).min(at_ns);
        if what == "start" {
            self.died_ns = None;
        }
        Some(Change { had_another, ..self.change(id, ceased_ns, at_ns) })
    }

    /// The engine tells again what happens; meanwhile there may have been anything.
    fn found_again(&mut self, id: &str, now_ns: u64) -> Option<Change> {
        let lost_ns = self.lost_ns.take()?;
        Some(self.change(id, lost_ns, now_ns))
    }

    fn change(&mut self, id: &str, ceased_ns: u64, from_ns: u64) -> Change {
        self.count += 1;
        Change { replica: self.replica, number: self.count, id: id.to_owned(), ceased_ns, from_ns, had_another: true }
    }
}

impl Happenings {
    /// Listens for ever. That the engine is not there is said by others.
    async fn follow(&mut self) {
        loop {
            self.listen().await.ok();
            self.changing.lost_ns.get_or_insert(self.surround.lines.clock.now_ns());
            time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Listens until the engine ends the stream.
    async fn listen(&mut self) -> Result<(), DockerError> {
        let docker = Docker::connect().await?;
        if let Ok(now) = docker.container_now(&self.name).await {
            (self.id, self.name) = (now.id, now.name);
        }
        let mut events = Box::pin(docker.container_events(self.last_unix_ns));
        if let Some(change) = self.changing.found_again(&self.id, self.surround.lines.clock.now_ns()) {
            self.tell(change);
        }
        while let Some(event) = events.next().await {
            self.take(event?);
        }
        Ok(())
    }

    fn take(&mut self, event: ContainerEvent) {
        let is_ours = event.name == self.name || event.id == self.id;
        // A new connection gives again what was heard at the same instant.
        if !is_ours || event.at_unix_ns <= self.last_unix_ns {
            return;
        }
        self.last_unix_ns = event.at_unix_ns;
        if event.name == self.name {
            self.id = event.id;
        }
        let Some(at_ns) = self.surround.lines.clock.at_unix_ns(event.at_unix_ns) else { return };
        if let Some(change) = self.changing.take(&event.action, &self.id, at_ns) {
            self.tell(change);
        }
        let happened = Happened { what: event.action, detail: event.detail };
        if let Ok(data) = serde_json::to_value(&happened) {
            self.surround.send(at_ns, event_kind::CONTAINER, self.name.clone(), data);
        }
    }

    /// Tells the writer at once, since what ends from now on has to wait, and whoever looks.
    fn tell(&self, change: Change) {
        // Nobody hears it any more only when the capture is over.
        self.surround.lines.queue.send(Item::Changing(change.clone())).ok();
        self.changes.send(change).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_again_is_in_doubt_since_it_died_and_other_events_change_nothing() {
        let mut changing = Changing::default();
        assert_eq!(changing.take("die", "a", 5), None);
        assert_eq!(changing.take("destroy", "a", 6), None);
        assert_eq!(changing.take("health_status: unhealthy", "a", 6), None);
        let started = changing.take("start", "b", 9).unwrap();
        assert_eq!((started.number, started.id.as_str(), started.ceased_ns, started.from_ns), (1, "b", 5, 9));
        assert!(started.had_another && !changing.take("start", "b", 10).unwrap().had_another);
        let updated = changing.take("update", "b", 12).unwrap();
        assert_eq!((updated.number, updated.ceased_ns, updated.from_ns), (3, 12, 12));
    }

    #[test]
    fn what_an_engine_did_not_tell_may_have_been_a_change() {
        let mut changing = Changing::default();
        assert_eq!(changing.found_again("a", 1), None);
        changing.lost_ns = Some(3);
        let change = changing.found_again("a", 8).unwrap();
        assert_eq!((change.ceased_ns, change.from_ns), (3, 8));
        assert_eq!(changing.found_again("a", 9), None);
    }
}
