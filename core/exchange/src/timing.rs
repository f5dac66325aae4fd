//! Times of one capture session: nanoseconds of one monotonic clock since the session's start.

use serde::{Deserialize, Serialize};

/// When the parts of an exchange happened, in nanoseconds since the session's start, as the proxy saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// First byte of the request.
    pub started_ns: u64,
    /// Last byte of the request; absent when it never came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_ended_ns: Option<u64>,
    /// First byte of the final response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_started_ns: Option<u64>,
    /// When the exchange ended, however it ended.
    pub ended_ns: u64,
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockPair {
    /// Nanoseconds since the session's start.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z, by this machine's wall clock.
    pub wall_unix_ns: u64,
}

impl ClockPair {
    /// What the wall clock would have shown at another reading of the monotonic one, had nobody set it since; the last moment
    /// that can be said where a recording claims a later one.
    pub fn wall_at(&self, monotonic_ns: u64) -> u64 {
        self.wall_unix_ns.saturating_add(monotonic_ns.saturating_sub(self.monotonic_ns))
    }
}
