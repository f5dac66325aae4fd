//! One verdict for each exchange: the first of DESIGN's words that holds.
//!
//! In: how production's answer and the replayed one ended, what the service asked its dependencies, and the comparison.
//! Out: the verdict, with what it rests on. What was not compared is `unjudged`, never a pass.

use exchange::End;
use serde::{Deserialize, Serialize};

use crate::Comparison;

/// What became of one exchange. Written as `{"verdict": "same"}`, the variant's fields beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// It was not compared, and why. Never counted as a pass.
    Unjudged(Unjudged),
    /// It asked its dependencies something else, more or less.
    Diverged(Divergence),
    /// No complete answer where production had one.
    Failed(Failure),
    /// The answer differs; how is in the comparison.
    Changed,
    /// Over repeats: some fail and some do not.
    Flaky(Flaky),
    /// Different only where noise was measured, and within it; the evidence is in the comparison.
    Noise,
    /// Equal, or different only under a rule by hand; each use of one is in the comparison.
    Same,
}

impl Verdict {
    /// True for what is no pass: something differs or is not there.
    pub fn is_failing(&self) -> bool {
        matches!(self, Self::Diverged(_) | Self::Failed(_) | Self::Changed | Self::Flaky(_))
    }

    /// DESIGN's word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unjudged(_) => "unjudged",
            Self::Diverged(_) => "diverged",
            Self::Failed(_) => "failed",
            Self::Changed => "changed",
            Self::Flaky(_) => "flaky",
            Self::Noise => "noise",
            Self::Same => "same",
        }
    }
}

/// Why an exchange was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unjudged {
    /// In words.
    pub reason: String,
}

impl Unjudged {
    /// Unjudged for this reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Why there is no complete answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In words.
    pub reason: String,
}

/// How many repeats failed, where some did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaky {
    /// Repeats that failed.
    pub failed: u64,
    /// Repeats that were judged.
    pub of: u64,
}

/// How the calls of a replayed exchange differ from the recorded ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// Calls that no recording answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<MissedCall>,
    /// Calls beyond the recorded ones that an equal recording of another exchange answered, each by its title.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<String>,
    /// Recorded calls that were not made, each by its title and, in parentheses, its short id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_asked: Vec<String>,
    /// The same calls in another order: reported, and no divergence by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reordered: bool,
}

impl Divergence {
    /// True when something else, more or less was asked.
    pub fn diverges(&self) -> bool {
        !(self.missed.is_empty() && self.extra.is_empty() && self.never_asked.is_empty())
    }
}

/// A call that no recording answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedCall {
    /// The dependency, method and path: `openai POST /v1/chat/completions`.
    pub asked: String,
    /// The nearest recording and where it differs, in words; absent when nothing is near.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

/// How one side's answer came.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    /// Its status; `None` when not even a head came.
    pub status: Option<u16>,
    /// How the exchange ended.
    pub end: &'a End,
    /// False when bytes that came were not kept.
    pub whole: bool,
}

impl Came<'_> {
    fn is_complete(&self) -> bool {
        self.status.is_some() && self.end.is_complete()
    }
}

/// All that a verdict rests on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Production's answer.
    pub recorded: Came<'a>,
    /// The replayed one.
    pub replayed: Came<'a>,
    /// What was asked of the dependencies.
    pub calls: &'a Divergence,
    /// How the answers differ; `None` where one side has none.
    pub comparison: Option<&'a Comparison>,
    /// True when the recorded request carried secrets of which only pseudonyms could be sent.
    pub secrets_missing: bool,
}

/// The verdict: the first that holds of unjudged, diverged, failed, changed, noise, same.
pub fn decide(evidence: &Evidence<'_>) -> Verdict {
    if let Some(reason) = why_unjudged(evidence) {
        return Verdict::Unjudged(Unjudged { reason });
    }
    if evidence.calls.diverges() {
        return Verdict::Diverged(evidence.calls.clone());
    }
    if let Some(reason) = why_failed(&evidence.recorded, &evidence.replayed) {
        return Verdict::Failed(Failure { reason });
    }
    match evidence.comparison {
        None => Verdict::Unjudged(Unjudged::because("the answers were not compared")),
        Some(comparison) if !comparison.is_equal() => Verdict::Changed,
        Some(comparison) => same_if_all_was_seen(evidence, comparison),
    }
}

fn why_unjudged(evidence: &Evidence<'_>) -> Option<String> {
    let (recorded, replayed) = (&evidence.recorded, &evidence.replayed);
    let Some(recorded_status) = recorded.status else {
        return Some(format!("production gave no answer to compare with ({})", recorded.end.word()));
    };
    if *replayed.end == End::CaptureStopped {
        return Some("the replay was stopped before the answer was whole".to_owned());
    }
    let refused = replayed.status.filter(|status| matches!(status, 401 | 403) && *status != recorded_status);
    match refused {
        Some(status) if evidence.secrets_missing => Some(format!(
            "the service answered {status} where production answered {recorded_status}, \
             and the request's secrets are known by pseudonym only; give them with `--secrets FILE`"
        )),
        _ => None,
    }
}

fn why_failed(recorded: &Came<'_>, replayed: &Came<'_>) -> Option<String> {
    let cut = match replayed.end {
        End::Unreachable { reason } => format!("the service could not be reached: {reason}"),
        End::TimedOut => "no whole answer came in time".to_owned(),
        End::UpstreamReset => "the service closed the connection before its answer was whole".to_owned(),
        end => format!("the answer did not come whole ({})", end.word()),
    };
    let nothing_came = replayed.status.is_none();
    let cut_here_only = recorded.is_complete() && !replayed.is_complete();
    (nothing_came || cut_here_only).then_some(cut)
}

/// Nothing that was compared differs. What was not kept was not compared, and then there is no verdict.
fn same_if_all_was_seen(evidence: &Evidence<'_>, comparison: &Comparison) -> Verdict {
    let unseen = match (evidence.recorded.whole, evidence.replayed.whole) {
        (true, true) if comparison.noise.is_empty() => return Verdict::Same,
        (true, true) => return Verdict::Noise,
        (false, _) => "the recording kept",
        (true, false) => "the replay kept",
    };
    Verdict::Unjudged(Unjudged::because(format!("{unseen} a part of the answer only; that part is equal")))
}

#[cfg(test)]
mod tests;
