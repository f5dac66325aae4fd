//! What stands beside the exchanges: typed events and the service's log lines.

use serde::{Deserialize, Serialize};

use crate::Id;

/// The kind of event that says when exchanges were in flight that are not in a bundle, though connections are that served
/// them. Its data has `spans`, a list of `[from_ns, to_ns]` since the session's start; its links are the connections.
pub const OTHERS_IN_FLIGHT: &str = "others-in-flight";

/// A typed record beside the exchanges: an override, a label, a hand-off, a deploy, an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its own id.
    pub id: Id,
    /// The capture session during which it happened; absent where it belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Id>,
    /// When, in nanoseconds since the session's start.
    pub at_ns: u64,
    /// What kind of event.
    pub kind: String,
    /// Who did it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// What it was done to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Exchanges and events that it belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Id>,
    /// Whatever else there is to say.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// Lines that the service logged, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    /// The capture session or run during which they were read.
    pub session: Id,
    /// Whose they are: the container's name. Empty for a process.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The lines.
    pub lines: Vec<LogLine>,
}

/// One line of the service's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was read, in nanoseconds since the session's start.
    pub at_ns: u64,
    /// Where it came from.
    pub stream: Stream,
    /// The line without its end, invalid UTF-8 replaced.
    pub text: String,
}

/// A process's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
