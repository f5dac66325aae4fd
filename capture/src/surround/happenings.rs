//! What happens to a container: that it died, was started again, was updated.

use exchange::surroundings::{Happened, event_kind};
use futures_util::StreamExt as _;
use host::{ContainerEvent, Docker, DockerError};
use tokio::{sync::watch, time};

use super::{AGAIN_AFTER, Surround, stopped};

/// Records what happens to the container of this name, whichever has it, until the capture stops.
pub(super) async fn record(surround: Surround, name: String, stopping: watch::Receiver<bool>) {
    let last_unix_ns = surround.lines.clock.start_unix_ns();
    let mut happenings = Happenings { surround, name, id: String::new(), last_unix_ns };
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
}

impl Happenings {
    /// Listens for ever. That the engine is not there is said by others.
    async fn follow(&mut self) {
        loop {
            self.listen().await.ok();
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
        let happened = Happened { what: event.action, detail: event.detail };
        let at_ns = self.surround.lines.clock.at_unix_ns(event.at_unix_ns);
        if let (Some(at_ns), Ok(data)) = (at_ns, serde_json::to_value(&happened)) {
            self.surround.send(at_ns, event_kind::CONTAINER, self.name.clone(), data);
        }
    }
}
