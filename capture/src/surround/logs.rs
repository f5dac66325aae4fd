//! What a container logs, line by line.

use std::time::Duration;

use exchange::{Stream, surroundings::event_kind};
use futures_util::StreamExt as _;
use host::{Docker, DockerError, LogPiece};
use tokio::{sync::watch, time};

use super::{AGAIN_AFTER, Surround, stopped};
use crate::{Notice, error::with_causes, lines::RawLine};

/// How long lines wait for others before they are recorded together. A choice.
const TOGETHER: Duration = Duration::from_millis(200);

/// Most lines that are recorded together. A choice.
const LINES_MAX: usize = 512;

/// How long it is read on once the capture stops: the engine hands on a little late what was logged. A choice.
const LAST_LINES: Duration = Duration::from_millis(300);

/// Records the log of the container of this name, whichever has it, until the capture stops.
pub(super) async fn record(mut surround: Surround, name: String, stopping: watch::Receiver<bool>) {
    // What was logged before this task had its first turn belongs to the session too: requests are served already.
    let last_unix_ns = surround.lines.clock.start_unix_ns();
    surround.lines.subject.clone_from(&name);
    let mut log = Log { surround, name, last_unix_ns, parts: [Vec::new(), Vec::new()], lines: Vec::new() };
    tokio::select! {
        () = log.follow() => {}
        () = async { stopped(stopping).await; time::sleep(LAST_LINES).await } => {}
    }
    log.end();
}

struct Log {
    surround: Surround,
    name: String,
    /// When the last piece was logged, by the engine's clock.
    last_unix_ns: u64,
    /// Beginnings of lines on standard output and standard error.
    parts: [Vec<u8>; 2],
    lines: Vec<RawLine>,
}

impl Log {
    /// Reads for ever: a container may be started again, or replaced, and an engine too.
    async fn follow(&mut self) {
        let mut is_said = false;
        loop {
            match self.read().await {
                Ok(()) | Err(DockerError::NoContainer { .. }) => {}
                Err(error) if !is_said => {
                    is_said = true;
                    (self.surround.notify)(Notice::LogUnknown { reason: with_causes(&error) });
                }
                Err(_) => {}
            }
            time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Reads until the container ends.
    async fn read(&mut self) -> Result<(), DockerError> {
        let docker = Docker::connect().await?;
        let now = docker.container_now(&self.name).await?;
        let secrets = docker.secret_values(&now.id, &self.surround.secret_variables).await?;
        self.surround.lines.know(secrets);
        let mut pieces = Box::pin(docker.container_log(&now.id, self.last_unix_ns / 1_000_000_000));
        let mut together = time::interval(TOGETHER);
        loop {
            tokio::select! {
                piece = pieces.next() => match piece {
                    Some(piece) => self.take(&piece?),
                    None => break,
                },
                _ = together.tick() => self.send(),
            }
        }
        self.end();
        Ok(())
    }

    fn take(&mut self, piece: &LogPiece) {
        // The engine is asked for whole seconds, and gives again what was read of the last one.
        if piece.at_unix_ns <= self.last_unix_ns {
            return;
        }
        self.last_unix_ns = piece.at_unix_ns;
        let lines = &self.surround.lines;
        let Some(at_ns) = lines.clock.at_unix_ns(piece.at_unix_ns) else { return };
        let (stream, part) = match piece.is_stderr {
            false => (Stream::Stdout, &mut self.parts[0]),
            true => (Stream::Stderr, &mut self.parts[1]),
        };
        self.lines.extend(lines.split(part, &piece.bytes, stream, at_ns));
        if self.lines.len() >= LINES_MAX {
            self.send();
        }
    }

    /// Records what has come, the beginnings of lines too.
    fn end(&mut self) {
        let lines = &self.surround.lines;
        for (part, stream) in self.parts.iter_mut().zip([Stream::Stdout, Stream::Stderr]) {
            self.lines.extend(lines.rest(part, stream));
        }
        self.send();
    }

    fn send(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let missed = self.surround.lines.send(&mut self.lines);
        if missed > 0 {
            let now_ns = self.surround.lines.clock.now_ns();
            self.surround.send(now_ns, event_kind::LOG_GAP, self.name.clone(), missed.into());
        }
    }
}
