//! The result of `retake test`: every case of a folder with its outcome, as a value that is written, read and merged.
//!
//! In: what the replays of each case came to. Out: one model that terminal, JSON, JUnit and Markdown show. Which outcome a
//! case has is decided by `cli`; here stands what each of them means for the exit code.

mod clusters;
mod hidden;
mod page;
#[cfg(test)]
pub(crate) mod samples;
mod tally;

use diff::{ExchangeResult, Tally};
use exchange::Digest;
use replayer::receipt::Receipt;
use serde::{Deserialize, Serialize};

pub use self::{
    clusters::{SuiteCluster, clusters},
    page::{case_differences, case_line, case_list, suite_end},
    tally::SuiteTally,
};
pub(crate) use self::{
    hidden::{Hidden, hidden_lines, named},
    page::case_page,
};
use crate::json;

/// All cases of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// The folder, as it was named.
    pub folder: String,
    /// What the cases ran against: `as recorded`, or the flag that says otherwise.
    pub against: String,
    /// Version of this program.
    pub tool_version: String,
    /// When it began, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Which part of the cases it is, such as `2/4`; absent where it is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// Parts of which there are no results, where those of several were put together: their cases were not tested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_parts: Vec<String>,
    /// DESIGN's exit code: that of the gravest case, and never 0 where a part is missing.
    pub exit_code: u8,
    /// True where the user ended it before all cases had run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Cases counted by outcome.
    pub tally: SuiteTally,
    /// The cases, by name.
    pub cases: Vec<CaseResult>,
}

impl Suite {
    /// The document for a machine: schema `retake.test/0` (`docs/schema/test-0.json`).
    pub fn to_json(&self) -> String {
        json::document("test", self)
    }

    /// What is missing of it, one sentence each: parts without results, and what had not run when it was ended.
    pub fn missing(&self) -> Vec<String> {
        let ended = self.interrupted.then(|| "It was ended before all cases had run.".to_owned());
        self.missing_parts.iter().map(|part| missing_part(part)).chain(ended).collect()
    }
}

/// That there are no results of a part.
pub(crate) fn missing_part(part: &str) -> String {
    format!("There are no results of part {part}: its cases were not tested.")
}

/// One case and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its path below the folder, without the ending, parts separated by `/`.
    pub name: String,
    /// The bundle's file, as it can be named to other commands.
    pub bundle: String,
    /// The bundle's digest; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What its file says about it.
    #[serde(flatten)]
    pub about: About,
    /// `pass`, or the verdict that is known and expected until somebody repairs it.
    pub expect: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The exit code that it alone would give.
    pub exit_code: u8,
    /// The gravest verdict in it, or `void`, `trouble`, `skipped`, `not run`.
    pub verdict: String,
    /// Why it has this outcome, where the verdicts do not say it: one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What a reader should know and changes nothing: one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The command that does it again.
    pub reproduce: String,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub took_ms: u64,
    /// Its replays: one, or one for each environment that was recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<CaseReplay>,
}

impl CaseResult {
    /// Verdicts of all its exchanges, counted.
    pub fn tally(&self) -> Tally {
        Tally::of(self.results())
    }

    /// All its exchanges.
    pub fn results(&self) -> impl Iterator<Item = &ExchangeResult> {
        self.replays.iter().flat_map(|replay| &replay.results)
    }
}

/// What a case's file says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The ticket that it comes from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ticket: String,
    /// Who looks after it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Why it exists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What to do when it fails.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run_book: String,
    /// Words to choose it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// One replay of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseReplay {
    /// What it can prove about itself.
    pub receipt: Receipt,
    /// One entry for each exchange.
    pub results: Vec<ExchangeResult>,
    /// The run's file.
    pub run_path: String,
    /// The exit code that `retake replay` would give.
    pub exit_code: u8,
}

/// What came of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was compared and is as it should be.
    Passed,
    /// It fails in the way that its file says is known.
    KnownFailure,
    /// Its file says that it is not to run.
    Skipped,
    /// The suite was ended before it ran.
    NotRun,
    /// It could not be judged, or too little of it.
    Inconclusive,
    /// Something differs.
    Failed,
    /// Damage, or trouble with usage or environment: it was not judged.
    Trouble,
}

impl Outcome {
    /// The exit code that a case with this outcome gives.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed | Self::KnownFailure | Self::Skipped => 0,
            Self::Failed => 1,
            Self::Trouble => 2,
            Self::NotRun | Self::Inconclusive => 3,
        }
    }

    /// True where somebody has to look.
    pub fn needs_a_look(self) -> bool {
        self.exit_code() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_read_back_from_its_document() {
        let suite = samples::suite();
        let written: serde_json::Value = serde_json::from_str(&suite.to_json()).unwrap();
        assert_eq!(written["schema"], "retake.test/0");
        assert_eq!(written["cases"][0]["ticket"], "BUG-1234");
        assert_eq!(serde_json::from_value::<Suite>(written).unwrap(), suite);
    }
}
