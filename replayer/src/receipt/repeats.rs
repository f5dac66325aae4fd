//! What the repeats of a replay say together.

use diff::Estimate;
use exchange::NoisyPlace;
use serde::{Deserialize, Serialize};

use crate::repeat::Reset;

/// How a selection was repeated, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepeatsProof {
    /// Repeats that were asked for, each copy of the sessions one.
    pub asked: u32,
    /// How many copies of each session were sent at once.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub copies: u32,
    /// Repeats that were judged.
    pub done: u32,
    /// What was done between two of them.
    pub reset: Reset,
    /// What each repeat after the first began with, where the service was to be started anew in its container.
    #[serde(default, skip_serializing_if = "Resets::is_none")]
    pub resets: Resets,
    /// True where the first failure was to end it. Where one did, the rates and intervals are not those of the service: whoever stops
    /// at a failure finds too many.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub until_failure: bool,
    /// The confidence of every interval and bound.
    pub confidence: f64,
    /// Repeats whose service could not be judged, such as one that never became ready; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_started: Vec<NotStarted>,
    /// How many of those there were.
    #[serde(default)]
    pub not_started_count: u32,
    /// Repeats in which an exchange failed.
    pub failed: Estimate,
    /// Where none did: the largest rate of such repeats that so many leave possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_missed_max: Option<f64>,
    /// Recorded answers that are not the usual one, the outcome that came most often here.
    pub unusual_in_production: Estimate,
    /// Answers of the repeats that are not the usual one. Its interval takes each answer for itself: of exchanges that race with each
    /// other in one repeat it is too narrow.
    pub unusual_here: Estimate,
    /// False where no rate lies in both intervals: production and these repeats are two different things.
    pub intervals_overlap: bool,
    /// How busy the service was in production.
    pub production: Setting,
    /// How busy it was here.
    pub here: Setting,
    /// What was otherwise than in production and may be why rates differ: timing, load, processors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<String>,
    /// What differed between answers of the same service to the same request, rules or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<NoisyPlace>,
    /// Where no noise could be measured, since clock and chance were held still; absent where that hid nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_still: Option<HeldStill>,
}

impl RepeatsProof {
    /// True where a failure ended it.
    pub fn stopped_at_failure(&self) -> bool {
        self.until_failure && self.failed.events > 0
    }
}

/// Places where all repeats have one value and production another, of a kind that clock or chance makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldStill {
    /// The places.
    pub places: Vec<HeldPlace>,
    /// The flag with which repeats measure them.
    pub measure_with: String,
}

/// A place whose value clock or chance makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldPlace {
    /// Method and path, what looks like an id as `*`; of a call to a dependency with its name before them.
    pub route: String,
    /// The place, indices as `*`.
    pub pointer: String,
    /// What both values look like, in words: `uuid`, `timestamp`.
    pub form: String,
}

/// How often the service was started anew in its place, and how often its place was fresh too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resets {
    /// Starts in the same container, or of a process.
    pub processes: u32,
    /// Fresh containers.
    pub containers: u32,
    /// Why those were needed; the first few reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<WhyFresh>,
}

/// Why there were fresh containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyFresh {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u32,
}

/// Different reasons that are told. A choice.
const REASONS_MAX: usize = 10;

impl Resets {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a fresh container.
    pub(crate) fn fresh(&mut self, reason: String) {
        self.containers += 1;
        let has_room = self.why.len() < REASONS_MAX;
        match self.why.iter_mut().find(|why| why.reason == reason) {
            Some(why) => why.count += 1,
            None if has_room => self.why.push(WhyFresh { reason, count: 1 }),
            None => {}
        }
    }
}

/// A repeat that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotStarted {
    /// Its number, from 0.
    pub repeat: u32,
    /// Why.
    pub reason: String,
}

/// How busy a service was while the exchanges ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Most exchanges in flight at a time.
    pub in_flight_max: u64,
    /// Median time that one took, in milliseconds.
    pub took_ms_median: f64,
    /// Exchanges in a second, from the first start to the last end.
    #[serde(default)]
    pub requests_per_s: f64,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_one(count: &u32) -> bool {
    *count == 1
}
