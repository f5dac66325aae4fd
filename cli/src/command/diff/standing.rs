//! Is B no worse than A? How often requests fail, and how long they take.
//!
//! In: the pairs of two runs. Out: one outcome for each pair; the statistics are `diff`'s.

use bundle::Entry;
use diff::{Margins, MetricStanding, PairedOutcome};
use stats::Confidence;

use super::pair::Pair;
use crate::exit::Exit;

/// The standing of each metric, over all pairs. Repeats of one exchange are pairs of their own.
pub(super) fn standings(pairs: &[Pair<'_>], margins: Margins) -> Vec<MetricStanding> {
    let outcome = |pair: &Pair<'_>| match *pair {
        Pair::Both(one, other) => Some(PairedOutcome {
            failed: [has_failed(one), has_failed(other)],
            took_ns: [took_ns(one), took_ns(other)],
        }),
        Pair::RecordedOnly(_) | Pair::ReplayedOnly(_) => None,
    };
    let outcomes: Vec<PairedOutcome> = pairs.iter().filter_map(outcome).collect();
    diff::standings(&outcomes, margins, Confidence::DEFAULT)
}

/// The exit code that these say where a margin was asked for.
pub(super) fn exit_of(standings: &[MetricStanding]) -> Exit {
    let has = |verdict: &str| standings.iter().any(|standing| standing.verdict == verdict);
    if has("regressed") {
        Exit::Changed
    } else if has("inconclusive") || standings.is_empty() {
        Exit::Inconclusive
    } else {
        Exit::Passed
    }
}

/// No whole answer, or a status of 500 or more: as `--failed` chooses.
fn has_failed(entry: &Entry) -> bool {
    !crate::select::is_fine(entry)
}

fn took_ns(entry: &Entry) -> u64 {
    entry.ended_ns.saturating_sub(entry.started_ns)
}
