//! Rates with intervals, exact tests, and what repeats of one run say together.
//!
//! In: counts and sequences of outcomes. Out: numbers, each with its formula and its source. Pure: no files, clock, threads or
//! chance. What the numbers mean for a verdict is left to `replayer`, `diagnose` and `report`. The known answers of each
//! function are its tests.

mod confidence;
mod exact;
mod rate;
mod repeats;
mod special;

pub use confidence::{Confidence, ConfidenceError};
pub use exact::{fisher_exact, holm};
pub use rate::{Interval, Rate};
pub use repeats::{
    distinct_count, first_divergence, flip_rate, normalised_entropy, pass_at_k, pass_hat_k, runs_to_see,
    smallest_rate_missed,
};
