//! What differs between answers of one version to the same request.

use serde::{Deserialize, Serialize};

use crate::Id;

/// What was measured on one version of a service, with one input each: on repeats, or on two instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseProfile {
    /// The version that ran: an image's identity or an executable's digest. With another version the profile is void.
    pub version: String,
    /// The places at which answers differed, by route and pointer.
    pub places: Vec<NoisyPlace>,
    /// The recorded exchanges whose answers were compared, or the recorded calls whose arguments were; at most [`NoiseProfile::LEARNED_FROM_LEN_MAX`] are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned_from: Vec<Id>,
    /// The runs that the answers are in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Id>,
    /// Comparisons of the exchange among them that had the fewest.
    #[serde(default)]
    pub compared_min: u64,
}

impl NoiseProfile {
    /// Most exchanges named. A choice: enough to look at.
    pub const LEARNED_FROM_LEN_MAX: usize = 1_000;
}

/// A place at which answers differ though nothing else does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoisyPlace {
    /// Method and path, what looks like an id as `*`; of a call to a dependency with its name before them.
    pub route: String,
    /// The place: an index as it is where elements were measured one by one, else as `*`; in a call to a dependency it begins with
    /// `dep:NAME:`.
    pub pointer: String,
    /// Answers that were held against the first one to the same request; or calls, against the first one in the same place. Of a place
    /// with `*` those that had the element that differed in the smallest share of them.
    pub compared: u64,
    /// Those among them that differed here.
    pub differed: u64,
    /// Values that were seen here, in the exchanges in which they differed; 0 where nothing was kept of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seen: u64,
    /// Those among them that were seen once, whichever exchange had them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub once: u64,
    /// Values without which the measure here would not cover them: how often it is expected to be too narrow, of `seen`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub alone: u64,
    /// What the values looked like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<SeenForm>,
    /// The values, each a digest of it and its exchange (`docs/format.md`); none where new ones keep coming.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// In which exchanges they differed, as positions in `learned_from`; empty: in all of this route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub varied_in: Vec<u32>,
}

/// Values that look alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenForm {
    /// What they look like, in words: `uuid`, `integer`, `text`.
    pub form: String,
    /// How many there were.
    pub count: u64,
    /// Length of the shortest, in bytes.
    pub len_min: u64,
    /// Length of the longest, in bytes.
    pub len_max: u64,
    /// The smallest of numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<String>,
    /// The largest of numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
