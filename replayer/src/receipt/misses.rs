//! What answered the calls that no recording did.

use serde::{Deserialize, Serialize};

/// How many calls that were not recorded were answered otherwise than with an explanation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissesAnswered {
    /// With the answer of the recording that came nearest.
    #[serde(default)]
    pub by_nearest: u64,
    /// By a real dependency: calls that left. Where one is named here nothing is claimed of what the run reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<LiveCalls>,
}

impl MissesAnswered {
    /// True where nothing but explanations were to answer, and did.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Calls that were passed on to a real dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCalls {
    /// As it was recorded.
    pub name: String,
    /// Where it was called.
    pub url: String,
    /// How often.
    pub calls: u64,
}
