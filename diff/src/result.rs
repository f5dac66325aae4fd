//! The outcome of a whole replay: one entry for each exchange, and the count that chooses the exit code.
//!
//! In: verdicts and comparisons. Out: what a run and `--json` hold, names documented and stable.

use exchange::Id;
use serde::{Deserialize, Serialize};

use crate::{Comparison, Repeated, Trajectory, Verdict, Weight};

/// One exchange that was replayed, or was to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExchangeResult {
    /// The recorded exchange.
    pub id: Id,
    /// The exchange of the run that repeats it; absent when it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_id: Option<Id>,
    /// Method and path with query, as in a listing.
    pub title: String,
    /// Method and path with what looks like an id as `*`.
    pub route: String,
    /// Production's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_status: Option<u16>,
    /// The replayed status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_status: Option<u16>,
    /// What became of it. Its word is the field `verdict`; `reason`, `missed`, `extra`, `never_asked` and `reordered`, and of
    /// a flaky one `failed` and `of`, stand beside it where the word has them.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// True when the same calls were made in another order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls_reordered: bool,
    /// Which calls were made, in which order, with which arguments, against production's; absent where nothing differs in that,
    /// and where it is not known whose calls they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trajectory: Option<Box<Trajectory>>,
    /// How the answers differ; absent when they were not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What its repeats came to together, where it was repeated. The fields above are then those of the first repeat that
    /// failed, or of the first where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Box<Repeated>>,
}

/// How many exchanges have which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Equal, or different only under a rule by hand.
    pub same: u64,
    /// Different only where noise was measured.
    pub noise: u64,
    /// The answer differs.
    pub changed: u64,
    /// Those among them in which something breaks callers: another type, a missing member, another status.
    #[serde(default)]
    pub breaking: u64,
    /// Those among them in which all that differs was added.
    #[serde(default)]
    pub additive: u64,
    /// No complete answer where production had one.
    pub failed: u64,
    /// Dependencies were asked something else, more or less.
    pub diverged: u64,
    /// Over repeats: some failed and some did not.
    #[serde(default)]
    pub flaky: u64,
    /// Not compared.
    pub unjudged: u64,
}

impl Tally {
    /// Counts these results.
    pub fn of<'a>(results: impl IntoIterator<Item = &'a ExchangeResult>) -> Self {
        let mut tally = Self::default();
        results.into_iter().for_each(|result| tally.add_result(result));
        tally
    }

    /// Counts one more, and how grave what changed is.
    pub fn add_result(&mut self, result: &ExchangeResult) {
        self.add(&result.verdict);
        if let (Verdict::Changed, Some(comparison)) = (&result.verdict, &result.comparison) {
            let mut weights = comparison.changes.iter().map(Weight::of);
            let is_listed = comparison.changes_more == 0 && !comparison.changes.is_empty();
            self.breaking += u64::from(weights.clone().any(|weight| weight == Weight::Breaking));
            self.additive += u64::from(is_listed && weights.all(|weight| weight == Weight::Additive));
        }
    }

    /// Counts one more by its verdict alone.
    pub fn add(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Unjudged(_) => &mut self.unjudged,
            Verdict::Diverged(_) => &mut self.diverged,
            Verdict::Failed(_) => &mut self.failed,
            Verdict::Changed => &mut self.changed,
            Verdict::Flaky(_) => &mut self.flaky,
            Verdict::Noise => &mut self.noise,
            Verdict::Same => &mut self.same,
        } += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.same + self.noise + self.changed + self.failed + self.diverged + self.flaky + self.unjudged
    }

    /// 1 when something changed, failed, diverged or is flaky, whatever else was left unjudged; else 3 when something is unjudged,
    /// or there is nothing at all; else 0. That nothing could be judged for lack of means (2) is the caller's to know.
    pub fn exit_code(&self) -> u8 {
        if self.changed + self.failed + self.diverged + self.flaky > 0 {
            1
        } else if self.unjudged > 0 || self.total() == 0 {
            3
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Divergence, Failure, Flaky, MissedCall, Unjudged};

    fn tally(verdicts: &[Verdict]) -> Tally {
        let mut tally = Tally::default();
        verdicts.iter().for_each(|verdict| tally.add(verdict));
        tally
    }

    #[test]
    fn a_difference_beats_what_is_unjudged_and_that_beats_what_is_same() {
        let unjudged = || Verdict::Unjudged(Unjudged::because("the request's body was not kept"));
        assert_eq!(tally(&[Verdict::Same, Verdict::Noise]).exit_code(), 0);
        assert_eq!(tally(&[Verdict::Same, unjudged()]).exit_code(), 3);
        assert_eq!(tally(&[unjudged(), Verdict::Changed]).exit_code(), 1);
        assert_eq!(tally(&[Verdict::Diverged(Divergence::default())]).exit_code(), 1);
        assert_eq!(tally(&[Verdict::Failed(Failure { reason: String::new() })]).exit_code(), 1);
        assert_eq!(tally(&[Verdict::Same, Verdict::Flaky(Flaky { failed: 1, of: 300 })]).exit_code(), 1);
    }

    #[test]
    fn nothing_compared_is_no_pass() {
        assert_eq!(Tally::default().exit_code(), 3);
    }

    #[test]
    fn a_result_is_read_back_from_its_json_and_has_the_verdict_as_one_word() {
        let missed = vec![MissedCall { asked: "openai POST /v1/chat/completions".to_owned(), nearest: None }];
        let result = ExchangeResult {
            id: Id([1; 16]),
            replayed_id: None,
            title: "POST /tickets".to_owned(),
            route: "POST /tickets".to_owned(),
            recorded_status: Some(200),
            replayed_status: Some(502),
            verdict: Verdict::Diverged(Divergence { missed, ..Divergence::default() }),
            calls_reordered: false,
            trajectory: None,
            comparison: Some(Comparison::default()),
            repeated: None,
        };
        let written = serde_json::to_value(&result).unwrap();
        assert_eq!(written["verdict"], "diverged");
        assert_eq!(written["missed"][0]["asked"], "openai POST /v1/chat/completions");
        assert_eq!(serde_json::from_value::<ExchangeResult>(written).unwrap(), result);
    }
}
