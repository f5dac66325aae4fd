//! Capture sessions, runs and images: the records that say where exchanges come from.

use serde::{Deserialize, Serialize};

use crate::{Body, ClockPair, Digest, Id, ImageIdentity};

/// One run of `retake capture`, from start to exit. The first record that its exchanges need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session's id.
    pub id: Id,
    /// Version of the tool that recorded it.
    pub tool_version: String,
    /// Both clocks at the start; the monotonic one is 0 there.
    pub started: ClockPair,
    /// Where it listened, and for whom.
    pub listeners: Vec<Listener>,
    /// `--service-version`, where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_version: Option<String>,
    /// The command after `--`, when the capture started the service itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// `--conversation`: where the id of a conversation stands, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
}

/// One address that the capture listened on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The dependency's name; `None` for the one that clients call, and for a forward proxy, which leads to many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
    /// The address it was bound to, as `ADDRESS:PORT`.
    pub listen: String,
    /// Where its traffic went, as a URL; empty for a forward proxy.
    pub upstream: String,
    /// Set where it is a forward proxy: an HTTP proxy that the service was told to call its dependencies through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_proxy: Option<ForwardProxy>,
}

impl Listener {
    /// True for the listener that clients call instead of the service.
    pub fn is_for_clients(&self) -> bool {
        self.dependency.is_none() && self.forward_proxy.is_none()
    }
}

/// What a replay needs to know of a forward proxy. Its dependencies have the names of those listeners whose upstream has
/// the host and port that was asked for, else the host itself, with the port where it is not the scheme's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardProxy {
    /// The certificate, as PEM, of the local authority that vouched for the hosts behind it. Its key is in no recording.
    pub certificate: String,
}

/// How a capture session ended; a session without one was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// The session.
    pub session: Id,
    /// Both clocks at the end.
    pub clock: ClockPair,
    /// What was recorded, and what was not.
    pub counts: SessionCounts,
}

/// What a capture session recorded, and what it could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCounts {
    /// Exchanges written.
    pub exchanges: u64,
    /// Exchanges that passed and are not recorded at all.
    pub exchanges_missed: u64,
    /// Body bytes that passed and are not recorded.
    pub body_bytes_missed: u64,
    /// Lines of the service's log that were written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_lines: u64,
    /// Lines that it logged and that are not recorded: too many at once, or no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_lines_missed: u64,
    /// Samples that were written of what the service used.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub samples: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The outcome of a replay, stored like a capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The run's id: the `session` of its exchanges.
    pub id: Id,
    /// Version of the tool that replayed it.
    pub tool_version: String,
    /// Both clocks at the start.
    pub started: ClockPair,
    /// Digests of the bundles it read; a store has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Digest>,
    /// What the replay can prove about itself, in the receipt's own JSON schema.
    pub receipt: serde_json::Value,
    /// Verdict of each exchange and its differences, in the comparison's own JSON schema: a list.
    #[serde(default)]
    pub comparison: serde_json::Value,
    /// How many items of that list did not fit beside the others, and stand in events of kind [`RUN_RESULTS`] before this record;
    /// whoever reads a run puts them there and sets this to 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub comparison_more: u64,
}

/// The kind of event whose data is a list of results of its session, a run, that go behind those of the run's own record.
pub const RUN_RESULTS: &str = "run-results";

/// An image carried by the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Which image.
    pub identity: ImageIdentity,
    /// The archive as `docker save` writes it (a tar).
    pub archive: Body,
}
