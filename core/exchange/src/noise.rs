//! What differs between answers of one version to the same request.

use serde::{Deserialize, Serialize};

use crate::Id;

/// What was measured on repeats of one version of a service, with one input each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseProfile {
    /// The version that ran: an image's identity or an executable's digest.
    pub version: String,
    /// The places at which answers differed, by route and pointer.
    pub places: Vec<NoisyPlace>,
    /// The recorded exchanges that were repeated; at most [`NoiseProfile::LEARNED_FROM_LEN_MAX`] are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned_from: Vec<Id>,
}

impl NoiseProfile {
    /// Most exchanges named. A choice: enough to look at.
    pub const LEARNED_FROM_LEN_MAX: usize = 1_000;
}

/// A place at which answers differ though nothing else does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NoisyPlace {
    /// Method and path, what looks like an id as `*`.
    pub route: String,
    /// The place, indices as `*`.
    pub pointer: String,
    /// Answers that were held against the first one to the same request.
    pub compared: u64,
    /// Those among them that differed here.
    pub differed: u64,
}
