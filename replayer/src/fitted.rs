//! Results in pieces that a record has room for.
//!
//! In: results of any number and size. Out: lists of them, each far below a record's limit. A single one that is larger is told
//! shorter, and says by how much; where all of them are more than a run's file takes, they go without how answers differ, and the
//! run says of how many.

use diff::{ExchangeResult, MissedCall, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::receipt::Receipt;

/// Bytes of JSON that go into one record. A choice: a quarter of what a record may have, which leaves room for what goes with it.
const CHUNK_BYTES: usize = bundle::RECORD_BYTES_MAX / 4;

/// What there is room for beside a run's own record, in bytes of JSON. Half of it for how answers differ: what became of each
/// exchange counts more. A choice below what is read again.
const RESULTS_BYTES: usize = bundle::RESULTS_BYTES_MAX as usize / 8 * 7;

/// Items of a list in a receipt that is too long otherwise. A choice: more than anybody reads.
const LISTED_MAX: usize = 1_000;

/// All results of a run, as its file has room for them.
#[derive(Debug, Default)]
pub(crate) struct RunResults {
    /// Those in the run's own record.
    pub(crate) first: Vec<Value>,
    /// Those behind, each list in a record of its own.
    pub(crate) more: Vec<Vec<Value>>,
    /// What there was no room for.
    pub(crate) left_out: LeftOut,
}

/// What of a run's results its file has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Results that are there without how the answers differ.
    pub details: u64,
    /// Results that are not there at all; the verdicts are counted all the same.
    pub results: u64,
}

impl LeftOut {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl RunResults {
    pub(crate) fn of(results: &[ExchangeResult]) -> Self {
        Self::within(results, RESULTS_BYTES)
    }

    fn within(results: &[ExchangeResult], bytes_max: usize) -> Self {
        let (mut chunks, mut left_out, mut bytes) = (Chunks::default(), LeftOut::default(), 0);
        for result in results {
            let mut result = fitted(result.clone());
            if bytes > bytes_max / 2 && (result.comparison.is_some() || result.trajectory.is_some()) {
                (result.comparison, result.trajectory) = (None, None);
                left_out.details += 1;
            }
            let value = serde_json::to_value(&result).expect("results have keys that are text");
            bytes += len_of(&value);
            if bytes > bytes_max {
                left_out.results += 1;
            } else {
                chunks.push(value);
            }
        }
        let mut pieces = chunks.finish().into_iter();
        Self { first: pieces.next().unwrap_or_default(), more: pieces.collect(), left_out }
    }
}

/// A receipt that has no more than half of a record has room for: its long lists are cut, and what was skipped is counted.
pub(crate) fn receipt_record(receipt: &Receipt) -> Value {
    let whole = serde_json::to_value(receipt).expect("a receipt has keys that are text");
    if len_of(&whole) <= bundle::RECORD_BYTES_MAX / 2 {
        return whole;
    }
    let mut short = receipt.clone();
    short.skipped_more = short.skipped.len().saturating_sub(LISTED_MAX) as u64;
    short.skipped.truncate(LISTED_MAX);
    short.rules.truncate(LISTED_MAX);
    short.replacements.truncate(LISTED_MAX);
    serde_json::to_value(short).expect("a receipt has keys that are text")
}

/// Values in pieces, each with at most [`CHUNK_BYTES`] unless one value alone is longer.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    done: Vec<Vec<Value>>,
    open: Vec<Value>,
    open_len: usize,
}

impl Chunks {
    pub(crate) fn push(&mut self, value: Value) {
        let len = len_of(&value);
        if !self.open.is_empty() && self.open_len + len > CHUNK_BYTES {
            self.done.push(std::mem::take(&mut self.open));
            self.open_len = 0;
        }
        self.open_len += len;
        self.open.push(value);
    }

    /// All of them; none where nothing was put.
    pub(crate) fn finish(mut self) -> Vec<Vec<Value>> {
        if !self.open.is_empty() {
            self.done.push(self.open);
        }
        self.done
    }
}

/// A result that has no more than a piece has room for: of its changes, noise, calls and places as many as that takes are left
/// out, the last ones first. How many changes and calls that were is told.
pub(crate) fn fitted(mut result: ExchangeResult) -> ExchangeResult {
    let had = calls_of(&mut result).map_or(0, |calls| calls.len());
    while serde_json::to_vec(&result).is_ok_and(|json| json.len() > CHUNK_BYTES) {
        if !halved(&mut result) {
            break;
        }
    }
    if let Some(calls) = calls_of(&mut result).filter(|calls| calls.len() < had) {
        let asked = format!("and {} more calls that were not recorded", had - calls.len());
        calls.push(MissedCall { asked, nearest: None });
    }
    result
}

fn calls_of(result: &mut ExchangeResult) -> Option<&mut Vec<MissedCall>> {
    match &mut result.verdict {
        Verdict::Diverged(divergence) => Some(&mut divergence.missed),
        _ => None,
    }
}

/// Leaves out half of what there is most of; false where there is nothing to be left out any more.
fn halved(result: &mut ExchangeResult) -> bool {
    if let Some(comparison) = &mut result.comparison {
        if !comparison.noise.is_empty() && comparison.noise.len() >= comparison.changes.len() {
            comparison.noise.truncate(comparison.noise.len() / 2);
            return true;
        }
        if !comparison.changes.is_empty() {
            let left = comparison.changes.len() / 2;
            comparison.changes_more += (comparison.changes.len() - left) as u64;
            comparison.changes.truncate(left);
            return true;
        }
    }
    if result.trajectory.take().is_some() {
        return true;
    }
    if let Some(calls) = calls_of(result).filter(|calls| !calls.is_empty()) {
        calls.truncate(calls.len() / 2);
        return true;
    }
    let places = result.repeated.as_mut().map(|repeated| &mut repeated.apart).filter(|places| !places.is_empty());
    places.map(|places| places.truncate(places.len() / 2)).is_some()
}

/// How long a value is as JSON.
fn len_of(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests {
    use diff::{Change, Comparison, Divergence};
    use exchange::Id;
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_have_room_and_all_of_it_is_there_in_order() {
        let mut chunks = Chunks::default();
        let text = "x".repeat(CHUNK_BYTES / 3);
        (0..10).for_each(|at| chunks.push(json!([at, text])));
        let pieces = chunks.finish();
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 2]);
        assert!(pieces.concat().iter().enumerate().all(|(at, value)| value[0] == at));
        assert!(Chunks::default().finish().is_empty());
    }

    fn result(number: u8) -> ExchangeResult {
        ExchangeResult {
            id: Id([number; 16]),
            replayed_id: None,
            title: String::new(),
            route: String::new(),
            recorded_status: None,
            replayed_status: None,
            verdict: Verdict::Same,
            calls_reordered: false,
            trajectory: None,
            comparison: None,
            repeated: None,
        }
    }

    #[test]
    fn results_that_there_is_no_room_for_go_without_details_first_and_are_counted() {
        let detailed = |number| ExchangeResult { comparison: Some(Comparison::default()), ..result(number) };
        let results: Vec<ExchangeResult> = (0..100).map(detailed).collect();
        let all = RunResults::of(&results);
        assert!(all.left_out.is_nothing() && all.more.is_empty());
        assert_eq!(all.first.len(), 100);
        let one = len_of(&all.first[0]);
        let some = RunResults::within(&results, one * 50);
        let LeftOut { details, results: gone } = some.left_out;
        assert!(details > 0 && gone > 0 && some.first.len() as u64 + gone == 100, "{:?}", some.left_out);
        assert_eq!(some.first.iter().filter(|it| it.get("comparison").is_some()).count() as u64, 100 - details);
    }

    #[test]
    fn a_result_that_is_too_long_is_told_shorter_and_says_so() {
        let change: Change = serde_json::from_value(json!({ "pointer": "/y".repeat(2_000), "kind": "added" })).unwrap();
        let comparison = Comparison { changes: vec![change; 1_000], ..Comparison::default() };
        let missed = MissedCall { asked: "z".repeat(4_000), nearest: None };
        let verdict = Verdict::Diverged(Divergence { missed: vec![missed; 1_000], ..Divergence::default() });
        let result = ExchangeResult { verdict, comparison: Some(comparison), ..result(1) };
        let mut shorter = fitted(result.clone());
        let calls = calls_of(&mut shorter).unwrap();
        let last = calls.pop().unwrap().asked;
        assert_eq!(last, format!("and {} more calls that were not recorded", 1_000 - calls.len()));
        let comparison = shorter.comparison.unwrap();
        assert!(comparison.changes.len() < 1_000 && comparison.changes_count() == 1_000);
        let small = ExchangeResult { comparison: None, verdict: Verdict::Same, ..result };
        assert_eq!(fitted(small.clone()), small);
    }
}
