//! What happens to a container while it is recorded: the engine's events, its log, and where its processes are.
//!
//! In: the engine's streams. Out: events and pieces of log with the engine's own times. What follows from them is the
//! capture's; so is connecting again when a stream ends.

use std::collections::HashMap;

use bollard::{container::LogOutput, models::EventMessage, query_parameters as query};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, future};

use crate::{Docker, error::DockerError};

/// Events of containers that are asked for: those after which a container may answer otherwise, or not at all.
const ACTIONS: [&str; 11] =
    ["create", "destroy", "die", "health_status", "oom", "pause", "rename", "restart", "start", "unpause", "update"];

/// Something that happened to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerEvent {
    /// `start`, `die`, `update`, …
    pub action: String,
    /// The container's id.
    pub id: String,
    /// The name that it has now.
    pub name: String,
    /// Its exit status or former name, where the event has one.
    pub detail: String,
    /// When, in nanoseconds since 1970 by the engine's clock.
    pub at_unix_ns: u64,
}

/// Which container has a name now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerNow {
    /// Its id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// Its first process as the engine's machine counts; 0 where it does not run.
    pub pid: u32,
    /// True when it runs.
    pub is_running: bool,
}

/// A piece of a container's log: a line, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// When the engine got it, in nanoseconds since 1970; 0 where it does not say.
    pub at_unix_ns: u64,
    /// True for standard error. With a terminal both streams are one.
    pub is_stderr: bool,
    /// What was written, with its line feed where it ends a line.
    pub bytes: Bytes,
}

impl Docker {
    /// What happens to containers from `since_unix_ns` on, for as long as the engine is there.
    pub fn container_events(
        &self,
        since_unix_ns: u64,
    ) -> impl Stream<Item = Result<ContainerEvent, DockerError>> + Send + use<> {
        let list = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let filters: HashMap<String, Vec<String>> =
            HashMap::from([("type".to_owned(), list(&["container"])), ("event".to_owned(), list(&ACTIONS))]);
        let since = format!("{}.{:09}", since_unix_ns / 1_000_000_000, since_unix_ns % 1_000_000_000);
        let options = query::EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let events = self.engine.events(Some(options));
        events.map(|event| event.map(event_of).map_err(DockerError::refused("tell what happens to containers")))
    }

    /// Which container has this name, or this id, now.
    ///
    /// # Errors
    /// `NoContainer` when there is none.
    pub async fn container_now(&self, name: &str) -> Result<ContainerNow, DockerError> {
        let found = self.inspect_container(name).await?;
        let state = found.state.unwrap_or_default();
        Ok(ContainerNow {
            id: found.id.unwrap_or_default(),
            name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default(),
            is_running: state.running.unwrap_or_default(),
        })
    }

    /// What a container logs from `since_unix_s` on, until it ends.
    pub fn container_log(
        &self,
        id: &str,
        since_unix_s: u64,
    ) -> impl Stream<Item = Result<LogPiece, DockerError>> + Send + use<> {
        let since = i32::try_from(since_unix_s).unwrap_or(i32::MAX);
        let options = query::LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true);
        let pieces = self.engine.logs(id, Some(options.timestamps(true).since(since).build()));
        pieces.filter_map(|piece| {
            let read = piece.map(piece_of).map_err(DockerError::refused("give the container's log"));
            future::ready(read.transpose())
        })
    }
}

fn event_of(event: EventMessage) -> ContainerEvent {
    let actor = event.actor.unwrap_or_default();
    let attributes = actor.attributes.unwrap_or_default();
    let attribute = |name: &str| attributes.get(name).cloned();
    let detail = attribute("exitCode").map(|code| format!("exit status {code}"));
    let detail = detail.or_else(|| attribute("oldName").map(|name| format!("was `{}`", name.trim_start_matches('/'))));
    ContainerEvent {
        action: event.action.unwrap_or_default(),
        id: actor.id.unwrap_or_default(),
        name: attribute("name").unwrap_or_default().trim_start_matches('/').to_owned(),
        detail: detail.unwrap_or_default(),
        at_unix_ns: event.time_nano.and_then(|at| u64::try_from(at).ok()).unwrap_or_default(),
    }
}

fn piece_of(output: LogOutput) -> Option<LogPiece> {
    let (is_stderr, message) = match output {
        LogOutput::StdErr { message } => (true, message),
        LogOutput::StdOut { message } | LogOutput::Console { message } => (false, message),
        LogOutput::StdIn { .. } => return None,
    };
    let space = message.iter().take(40).position(|&byte| byte == b' ');
    let stamped = space.and_then(|at| Some((unix_ns(std::str::from_utf8(&message[..at]).ok()?)?, at + 1)));
    let (at_unix_ns, text_at) = stamped.unwrap_or_default();
    Some(LogPiece { at_unix_ns, is_stderr, bytes: message.slice(text_at..) })
}

/// Nanoseconds since 1970 of a time in UTC as the engine writes it: `2026-11-25T22:10:43.123456789Z`.
fn unix_ns(text: &str) -> Option<u64> {
    let is_as_written = text.contains('T') && text.ends_with('Z');
    content::instant::unix_ns(text).filter(|_| is_as_written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_the_engine_writes_it_and_nothing_else_is() {
        assert_eq!(unix_ns("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(unix_ns("2026-11-25T22:10:43.5Z"), Some(1_795_644_643_500_000_000));
        assert_eq!(unix_ns("2024-02-29T00:00:00.000000001Z"), Some(1_709_164_800_000_000_001));
        for wrong in ["", "2026-13-01T00:00:00Z", "2026-11-25 22:10:43Z", "2026-11-25T25:00:00Z", "x-y-zT1:2:3Z"] {
            assert_eq!(unix_ns(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_piece_of_log_loses_its_time_and_one_without_stays_whole() {
        let piece = |text: &'static str| piece_of(LogOutput::StdErr { message: Bytes::from_static(text.as_bytes()) });
        let stamped = piece("1970-01-01T00:00:01.000000000Z ready now\n").unwrap();
        assert_eq!(
            (stamped.at_unix_ns, &stamped.bytes[..], stamped.is_stderr),
            (1_000_000_000, &b"ready now\n"[..], true)
        );
        assert_eq!(&piece("ready now\n").unwrap().bytes[..], b"ready now\n");
    }
}
