//! What many exchanges have in common: differences gathered by route, place and kind, the most frequent first.
//!
//! In: the results of a replay. Out: the few lines that a person should read first. Of a diverged exchange its calls are
//! gathered and not its answer, which follows from them.

use std::collections::{BTreeMap, BTreeSet};

use exchange::Id;
use serde::{Deserialize, Serialize};

use crate::{Divergence, ExchangeResult, Shown, Verdict, pointer::with_indices_as_stars};

/// Differences of one kind at one place of one route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Method and path, what looks like an id as `*`.
    pub route: String,
    /// The place, indices as `*`; for a dependency's call its name, method and path; empty for an answer as a whole.
    pub pointer: String,
    /// `changed`, `added`, `removed`, `type changed`, `not recorded`, `one more`, `never asked` or `failed`.
    pub what: String,
    /// In how many exchanges.
    pub count: u64,
    /// One of them.
    pub example: Id,
    /// What was recorded in the example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Shown>,
    /// What stands there now; for a miss, how the nearest recording differs; for a failure its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Shown>,
}

/// What differs in one exchange.
struct Finding {
    pointer: String,
    what: &'static str,
    recorded: Option<Shown>,
    replayed: Option<Shown>,
}

/// The `len_max` clusters with the most exchanges; those with as many in the order of route, place and kind.
pub fn top_changes(results: &[ExchangeResult], len_max: usize) -> Vec<Cluster> {
    let mut clusters: BTreeMap<(String, String, &str), Cluster> = BTreeMap::new();
    for result in results {
        let mut seen = BTreeSet::new();
        for Finding { pointer, what, recorded, replayed } in findings_of(result) {
            if !seen.insert((pointer.clone(), what)) {
                continue;
            }
            let route = result.route.clone();
            let key = (route.clone(), pointer.clone(), what);
            let new =
                || Cluster { route, pointer, what: what.to_owned(), count: 0, example: result.id, recorded, replayed };
            clusters.entry(key).or_insert_with(new).count += 1;
        }
    }
    let mut clusters: Vec<Cluster> = clusters.into_values().collect();
    clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.count));
    clusters.truncate(len_max);
    clusters
}

fn findings_of(result: &ExchangeResult) -> Vec<Finding> {
    match &result.verdict {
        Verdict::Diverged(divergence) => calls_of(divergence),
        Verdict::Failed(failure) => {
            let replayed = Some(Shown::beginning_of(&failure.reason));
            vec![Finding { pointer: String::new(), what: "failed", recorded: None, replayed }]
        }
        Verdict::Changed | Verdict::Flaky(_) => changes_of(result),
        Verdict::Unjudged(_) | Verdict::Noise | Verdict::Same => Vec::new(),
    }
}

fn changes_of(result: &ExchangeResult) -> Vec<Finding> {
    let changes = result.comparison.iter().flat_map(|comparison| &comparison.changes);
    let finding = |change: &crate::Change| Finding {
        pointer: with_indices_as_stars(&change.pointer),
        what: change.kind.word(),
        recorded: change.recorded.clone(),
        replayed: change.replayed.clone(),
    };
    changes.map(finding).collect()
}

fn calls_of(divergence: &Divergence) -> Vec<Finding> {
    let finding = |place: &str, what, replayed| Finding { pointer: place.to_owned(), what, recorded: None, replayed };
    let missed = divergence
        .missed
        .iter()
        .map(|call| finding(&call.asked, "not recorded", call.nearest.as_deref().map(Shown::beginning_of)));
    let extra = divergence.extra.iter().map(|title| finding(title, "one more", None));
    let never_asked = divergence.never_asked.iter().map(|title| finding(without_id(title), "never asked", None));
    missed.chain(extra).chain(never_asked).collect()
}

/// `llm POST /chat` for `llm POST /chat (0123456789ab)`.
fn without_id(title: &str) -> &str {
    let is_id = |text: &str| text.strip_suffix(')').is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    title.rsplit_once(" (").filter(|(_, id)| is_id(id)).map_or(title, |(title, _)| title)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, ChangeKind, Comparison, MissedCall};

    fn result(number: u8, verdict: Verdict, pointers: &[&str]) -> ExchangeResult {
        let changes = pointers.iter().map(|pointer| Change::at(*pointer, ChangeKind::Changed)).collect();
        ExchangeResult {
            id: Id([number; 16]),
            replayed_id: None,
            title: format!("POST /tickets/{number}"),
            route: "POST /tickets/*".to_owned(),
            recorded_status: Some(200),
            replayed_status: Some(200),
            verdict,
            calls_reordered: false,
            trajectory: None,
            comparison: Some(Comparison { changes, ..Comparison::default() }),
            repeated: None,
        }
    }

    #[test]
    fn differences_at_one_place_are_one_line_with_the_number_of_exchanges_the_most_frequent_first() {
        let missed = vec![MissedCall { asked: "llm POST /chat".to_owned(), nearest: None }];
        let never_asked = ["a1", "b2"].map(|id| format!("store POST /records ({id})")).to_vec();
        let diverged = Verdict::Diverged(Divergence { missed, never_asked, ..Divergence::default() });
        let results = [
            result(1, Verdict::Changed, &["/notes/0/text", "/notes/1/text"]),
            result(2, Verdict::Changed, &["/priority", "/notes/7/text"]),
            result(3, diverged, &["/priority"]),
            result(4, Verdict::Same, &[]),
        ];
        let lines: Vec<_> =
            top_changes(&results, 9).iter().map(|it| format!("{} {} {}", it.count, it.pointer, it.what)).collect();
        assert_eq!(
            lines,
            [
                "2 /notes/*/text changed",
                "1 /priority changed",
                "1 llm POST /chat not recorded",
                "1 store POST /records never asked"
            ]
        );
        assert_eq!(top_changes(&results, 1).len(), 1);
    }
}
