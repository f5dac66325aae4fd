//! Cases counted by outcome, and the exit code that they come to.

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::Style;

/// How many cases came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SuiteTally {
    /// Passed.
    pub passed: u64,
    /// Failed in the way that is known.
    pub known_failures: u64,
    /// Not to run.
    pub skipped: u64,
    /// Not run.
    pub not_run: u64,
    /// Not judged, or too little.
    pub inconclusive: u64,
    /// Something differs.
    pub failed: u64,
    /// Damage, or trouble with usage or environment.
    pub trouble: u64,
}

/// A count, what it is called, and its colour.
type Counted = (u64, &'static str, fn(Style, &str) -> String);

impl SuiteTally {
    /// Counts.
    pub fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            *match outcome {
                Outcome::Passed => &mut tally.passed,
                Outcome::KnownFailure => &mut tally.known_failures,
                Outcome::Skipped => &mut tally.skipped,
                Outcome::NotRun => &mut tally.not_run,
                Outcome::Inconclusive => &mut tally.inconclusive,
                Outcome::Failed => &mut tally.failed,
                Outcome::Trouble => &mut tally.trouble,
            } += 1;
        }
        tally
    }

    /// How many cases there are.
    pub fn total(&self) -> u64 {
        self.counted().iter().map(|(count, ..)| count).sum()
    }

    /// DESIGN's exit code: 2 beats 1 beats 3 beats 0.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self { trouble: 1.., .. } => 2,
            Self { failed: 1.., .. } => 1,
            Self { inconclusive: 1.., .. } | Self { not_run: 1.., .. } => 3,
            _ => 0,
        }
    }

    /// `3 failed, 1 void or unjudged, 36 passed`, the gravest first; what did not happen is left out.
    pub fn words(&self, style: Style) -> String {
        let counted = self.counted();
        let counted = counted.iter().filter(|(count, ..)| *count > 0);
        let words: Vec<String> = counted.map(|(count, word, paint)| paint(style, &format!("{count} {word}"))).collect();
        if words.is_empty() { "no cases".to_owned() } else { words.join(", ") }
    }

    fn counted(&self) -> [Counted; 7] {
        [
            (self.trouble, "could not be tested", Style::red),
            (self.failed, "failed", Style::red),
            (self.inconclusive, "inconclusive", Style::yellow),
            (self.not_run, "not run", Style::yellow),
            (self.known_failures, "known to fail", Style::dim),
            (self.skipped, "skipped", Style::dim),
            (self.passed, "passed", Style::green),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_failed_void_and_damaged_cases_has_designs_exit_code() {
        for (failed, void, damaged, code) in [
            (false, false, false, 0),
            (false, true, false, 3),
            (true, false, false, 1),
            (true, true, false, 1),
            (false, false, true, 2),
            (false, true, true, 2),
            (true, false, true, 2),
            (true, true, true, 2),
        ] {
            let each = [
                (failed, Outcome::Failed),
                (void, Outcome::Inconclusive),
                (damaged, Outcome::Trouble),
                (true, Outcome::Passed),
            ];
            let outcomes: Vec<Outcome> = each.into_iter().filter(|(is, _)| *is).map(|(_, outcome)| outcome).collect();
            let tally = SuiteTally::of(outcomes.iter().copied());
            assert_eq!(tally.exit_code(), code, "{outcomes:?}");
            assert_eq!(tally.total(), outcomes.len() as u64);
            assert!(outcomes.iter().all(|outcome| outcome.exit_code() == 0 || tally.exit_code() != 0));
        }
    }

    #[test]
    fn what_is_known_or_skipped_is_no_failure_and_what_did_not_run_is_no_pass() {
        assert_eq!(SuiteTally::of([Outcome::KnownFailure, Outcome::Skipped]).exit_code(), 0);
        assert_eq!(SuiteTally::of([Outcome::Passed, Outcome::NotRun]).exit_code(), 3);
        let tally = SuiteTally::of([Outcome::Passed, Outcome::Passed, Outcome::Failed]);
        assert_eq!(tally.words(Style::PLAIN), "1 failed, 2 passed");
    }
}
