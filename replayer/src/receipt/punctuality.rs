//! Whether exchanges were sent when they should have been.

use serde::{Deserialize, Serialize};

/// How near the times of sending came to production's, where that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Punctuality {
    /// How many times as fast as production it was to be.
    pub factor: f64,
    /// `open`: an exchange waits for the answers that had come before it in its own conversation, and for nothing of another;
    /// `closed`: for all that had come before it, and then as long as its client had taken.
    pub waits: String,
    /// Exchanges that were sent, over all repeats.
    pub sent: u64,
    /// How much later than they should have been.
    pub late: Quantiles,
    /// What counts as late, in milliseconds.
    pub late_bound_ms: f64,
    /// How many were later than that.
    pub late_count: u64,
    /// Of those: they waited for answers that came later than in production.
    pub late_by_service: u64,
    /// Of those: nothing kept them waiting but this machine. What was sent is not what production sent.
    pub late_by_client: u64,
    /// How long exchanges took in production, from the first byte of the request.
    pub took_in_production: Quantiles,
    /// How long they took here, from when they were sent.
    pub took_since_sent: Quantiles,
    /// How long they took here, from when they should have been sent: without coordinated omission.
    pub took_since_intended: Quantiles,
}

/// Quantiles of times, in milliseconds, by the nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half are not above this.
    pub p50_ms: f64,
    /// Nor 99 of 100 above this.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}
