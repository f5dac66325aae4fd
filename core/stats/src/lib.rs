//! Rates with intervals, tests of one thing against another, and what repeats of one run say together.
//!
//! In: counts and sequences of outcomes. Out: numbers, each with its formula and its source. Pure: no files, clock, threads or
//! chance. What the numbers mean for a verdict is left to `replayer`, `diagnose` and `report`. The known answers of each
//! function are its tests.

mod confidence;
mod equivalence;
mod exact;
mod paired;
mod ranks;
mod rate;
mod repeats;
mod sequential;
mod special;

pub use confidence::{Confidence, ConfidenceError};
pub use equivalence::{PAIRS_MIN, Standing, pairs_needed};
pub use exact::{fisher_exact, holm};
pub use paired::{SignedRank, mcnemar_exact, paired_rate_difference, signed_rank};
pub use ranks::{RankSum, Shift, rank_sum};
pub use rate::{Interval, Rate};
pub use repeats::{
    distinct_count, first_divergence, flip_rate, normalised_entropy, pass_at_k, pass_hat_k, runs_to_see,
    smallest_rate_missed,
};
pub use sequential::{RatioTest, always_valid_probability, beta_mixture_evidence, mixture_ratio};
