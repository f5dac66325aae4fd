//! What many exchanges have in common: differences gathered by cause, the largest surprise first.
//!
//! In: the results of a replay or comparison. Out: the few lines that a person should read first. One cause is: the same kind
//! of difference at the same place of the same route, between values of the same forms; or the same divergence at a
//! dependency, whatever the route. Places of one route that differ in just the same exchanges are one cause with several
//! places. Of a diverged exchange its calls are gathered and not its answer, which follows from them.

use std::collections::{BTreeMap, BTreeSet};

use exchange::{Digest, Id};
use serde::{Deserialize, Serialize};

use crate::{Divergence, ExchangeResult, Shown, Verdict, Weight, form_of, pointer::with_indices_as_stars};

/// Most places that are told of one cause beside the first. A choice.
const PLACES_LEN_MAX: usize = 20;

/// What stands for the route where exchanges of several share a cause.
const SEVERAL_ROUTES: &str = "several routes";

/// Differences with one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Method and path, what looks like an id as `*`; `several routes` for a divergence that they share.
    pub route: String,
    /// The place, indices as `*`; for a dependency's call its name, method and path; empty for an answer as a whole.
    pub pointer: String,
    /// Other places of this route that differ in just the same exchanges; a call with what became of it, where that is
    /// something else than [`Cluster::what`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// How many of those are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub with_more: u64,
    /// `changed`, `added`, `removed`, `type changed`, `not recorded`, `one more`, `never asked` or `failed`.
    pub what: String,
    /// How grave it is.
    pub weight: Weight,
    /// What the recorded values look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_form: Option<String>,
    /// What the values there now look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_form: Option<String>,
    /// In how many exchanges.
    pub count: u64,
    /// How surprising that would be in a service that has not changed, in bits: `count` times the bits of the weight.
    pub surprise: f64,
    /// One of them.
    pub example: Id,
    /// What was recorded in the example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Shown>,
    /// What stands there now; for a miss, how the nearest recording differs; for a failure its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Shown>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What differs in one exchange.
struct Finding {
    pointer: String,
    what: &'static str,
    weight: Weight,
    /// Forms of the recorded and the replayed value; of what is no value, none.
    forms: Option<(String, String)>,
    recorded: Option<Shown>,
    replayed: Option<Shown>,
}

impl Finding {
    /// True for what was asked of dependencies: a cause that routes share.
    fn is_of_dependency(&self) -> bool {
        is_of_dependency(self.what)
    }
}

fn is_of_dependency(what: &str) -> bool {
    matches!(what, "not recorded" | "one more" | "never asked")
}

/// What makes differences one: route (none for those of dependencies), place, kind and forms.
type Cause = (Option<String>, String, &'static str, Option<(String, String)>);

/// A cluster that grows, and which exchanges are in it: the sum of their ids' digests, so that equal sets have equal sums.
struct Growing {
    cluster: Cluster,
    exchanges: u128,
}

/// The `len_max` clusters with the largest surprise; of equal ones the gravest, then in the order of route, place and kind.
pub fn top_changes(results: &[ExchangeResult], len_max: usize) -> Vec<Cluster> {
    let mut clusters = merged(gathered(results));
    let order = |one: &Cluster, other: &Cluster| {
        other.surprise.total_cmp(&one.surprise).then_with(|| one.weight.cmp(&other.weight))
    };
    clusters.sort_by(order);
    clusters.truncate(len_max);
    clusters
}

fn gathered(results: &[ExchangeResult]) -> BTreeMap<Cause, Growing> {
    let mut clusters: BTreeMap<Cause, Growing> = BTreeMap::new();
    for result in results {
        let mut seen = BTreeSet::new();
        for finding in findings_of(result) {
            let route = (!finding.is_of_dependency()).then(|| result.route.clone());
            let cause = (route, finding.pointer.clone(), finding.what, finding.forms.clone());
            if seen.insert(cause.clone()) {
                let growing = clusters.entry(cause).or_insert_with(|| Growing::new(result, finding));
                growing.add(result);
            }
        }
    }
    clusters
}

impl Growing {
    fn new(result: &ExchangeResult, finding: Finding) -> Self {
        let Finding { pointer, what, weight, forms, recorded, replayed } = finding;
        let (recorded_form, replayed_form) = forms.unzip();
        let cluster = Cluster {
            route: result.route.clone(),
            pointer,
            with: Vec::new(),
            with_more: 0,
            what: what.to_owned(),
            weight,
            recorded_form,
            replayed_form,
            count: 0,
            surprise: 0.0,
            example: result.id,
            recorded,
            replayed,
        };
        Self { cluster, exchanges: 0 }
    }

    fn add(&mut self, result: &ExchangeResult) {
        let cluster = &mut self.cluster;
        cluster.count += 1;
        cluster.surprise = cluster.count as f64 * cluster.weight.bits();
        if cluster.route != result.route {
            SEVERAL_ROUTES.clone_into(&mut cluster.route);
        }
        let digest = Digest::of(&[&result.id.0[..], &result.replayed_id.map_or([0; 16], |id| id.0)].concat());
        let half = u128::from_le_bytes(digest.0[..16].try_into().expect("a digest has 32 bytes"));
        self.exchanges = self.exchanges.wrapping_add(half);
    }
}

/// Places of one route that differ in just the same exchanges become one, named for the gravest of them.
fn merged(clusters: BTreeMap<Cause, Growing>) -> Vec<Cluster> {
    let mut together: BTreeMap<(String, u128, u64), Vec<Cluster>> = BTreeMap::new();
    for Growing { cluster, exchanges } in clusters.into_values() {
        together.entry((cluster.route.clone(), exchanges, cluster.count)).or_default().push(cluster);
    }
    let mut merged: Vec<Cluster> = together
        .into_values()
        .filter_map(|mut group| {
            // Of what breaks, another status says most: what the body lacks follows from it.
            group.sort_by_key(|cluster| (cluster.weight, cluster.pointer != "status"));
            let mut group = group.into_iter();
            let first = group.next()?;
            let place_of = |it: Cluster| match is_of_dependency(&it.what) && it.what != first.what {
                true => format!("{} {}", it.pointer, it.what),
                false => it.pointer,
            };
            let mut places: Vec<String> = group.filter(|it| it.pointer != first.pointer).map(place_of).collect();
            places.sort_unstable();
            places.dedup();
            let with_more = places.len().saturating_sub(PLACES_LEN_MAX) as u64;
            places.truncate(PLACES_LEN_MAX);
            Some(Cluster { with: places, with_more, ..first })
        })
        .collect();
    merged
        .sort_by(|one, other| (&one.route, &one.pointer, &one.what).cmp(&(&other.route, &other.pointer, &other.what)));
    merged
}

fn findings_of(result: &ExchangeResult) -> Vec<Finding> {
    match &result.verdict {
        Verdict::Diverged(divergence) => calls_of(divergence),
        Verdict::Failed(failure) => {
            let replayed = Some(Shown::beginning_of(&failure.reason));
            let weight = Weight::Breaking;
            vec![Finding { pointer: String::new(), what: "failed", weight, forms: None, recorded: None, replayed }]
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
        weight: Weight::of(change),
        forms: Some((form_of(change.recorded.as_ref()), form_of(change.replayed.as_ref()))),
        recorded: change.recorded.clone(),
        replayed: change.replayed.clone(),
    };
    changes.map(finding).collect()
}

fn calls_of(divergence: &Divergence) -> Vec<Finding> {
    let finding = |place: &str, what, replayed| Finding {
        pointer: place.to_owned(),
        what,
        weight: Weight::Changed,
        forms: None,
        recorded: None,
        replayed,
    };
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

    fn result(number: u8, verdict: Verdict, changes: Vec<Change>) -> ExchangeResult {
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

    fn change(pointer: &str, recorded: &str, replayed: &str) -> Change {
        let shown = |text: &str| (!text.is_empty()).then(|| Shown::beginning_of(text));
        let kind = match (recorded, replayed) {
            ("", _) => ChangeKind::Added,
            (_, "") => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        };
        Change { recorded: shown(recorded), replayed: shown(replayed), ..Change::at(pointer, kind) }
    }

    fn lines(results: &[ExchangeResult]) -> Vec<String> {
        let line = |it: &Cluster| {
            let with = it.with.iter().map(|place| format!(" +{place}")).collect::<String>();
            format!("{} {}{with} {} {}", it.count, it.pointer, it.what, it.surprise)
        };
        top_changes(results, 9).iter().map(line).collect()
    }

    #[test]
    fn differences_with_one_cause_are_one_line_with_the_number_of_exchanges_the_largest_surprise_first() {
        let missed = vec![MissedCall { asked: "llm POST /chat".to_owned(), nearest: None }];
        let never_asked = ["a1", "b2"].map(|id| format!("store POST /records ({id})")).to_vec();
        let diverged = Verdict::Diverged(Divergence { missed, never_asked, ..Divergence::default() });
        let text = |pointer: &str| change(pointer, "\"one word\"", "\"two words\"");
        let results = [
            result(1, Verdict::Changed, vec![text("/notes/0/text"), text("/notes/1/text")]),
            result(2, Verdict::Changed, vec![text("/priority"), text("/notes/7/text")]),
            result(3, diverged, vec![text("/priority")]),
            result(4, Verdict::Same, Vec::new()),
            result(5, Verdict::Changed, vec![change("/due", "\"2026-11-27T00:00:00Z\"", "")]),
            result(6, Verdict::Changed, vec![change("/more", "", "1")]),
        ];
        assert_eq!(
            lines(&results),
            [
                "2 /notes/*/text changed 8",
                "1 /due removed 7",
                "1 /priority changed 4",
                "1 llm POST /chat +store POST /records never asked not recorded 4",
                "1 /more added 1",
            ]
        );
        assert_eq!(top_changes(&results, 1).len(), 1);
    }

    #[test]
    fn values_of_other_forms_are_another_cause_and_places_that_go_together_are_one() {
        let both = |number: u8, to: &str| {
            let changes = vec![change("/a", "\"word\"", to), change("/b", "1", "2"), change("/c", "1", "")];
            result(number, Verdict::Changed, changes)
        };
        let results = [both(1, "\"other\""), both(2, "\"another\""), both(3, "\"two words\"")];
        let found = top_changes(&results, 9);
        assert_eq!(lines(&results), ["3 /c +/b removed 21", "2 /a changed 8", "1 /a changed 4"]);
        let forms: Vec<_> = found.iter().map(|it| it.replayed_form.clone().unwrap()).collect();
        assert_eq!(forms, ["absent", "word", "text"]);
    }

    #[test]
    fn a_divergence_that_routes_share_is_one_cause() {
        let never_asked = vec!["store POST /records (a1)".to_owned()];
        let diverged = || Verdict::Diverged(Divergence { never_asked: never_asked.clone(), ..Divergence::default() });
        let other = ExchangeResult { route: "GET /other".to_owned(), ..result(2, diverged(), Vec::new()) };
        let found = top_changes(&[result(1, diverged(), Vec::new()), other], 9);
        let [only] = &found[..] else { panic!("{found:?}") };
        assert_eq!((only.route.as_str(), only.count, only.what.as_str()), ("several routes", 2, "never asked"));
    }
}
