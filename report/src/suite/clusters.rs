//! What the failures of many cases have in common: one line for a cause that twenty cases share.

use std::collections::BTreeMap;

use diff::{Cluster, top_changes};

use super::{CaseResult, Outcome};

/// A difference and the cases that have it.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteCluster<'a> {
    /// Where and what, with an example; its count is that of all exchanges.
    pub cluster: Cluster,
    /// Names of the cases, sorted.
    pub cases: Vec<&'a str>,
    /// The command that tests the case of the example again.
    pub reproduce: &'a str,
}

/// Differences of the cases that failed, the largest surprise over all of them first; of equal ones the gravest, then those with the
/// most cases.
pub fn clusters(cases: &[CaseResult]) -> Vec<SuiteCluster<'_>> {
    let mut found: BTreeMap<(String, String, String), SuiteCluster<'_>> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.outcome == Outcome::Failed) {
        for cluster in case.clusters(usize::MAX) {
            let key = (cluster.route.clone(), cluster.pointer.clone(), cluster.what.clone());
            match found.get_mut(&key) {
                Some(known) => {
                    known.cluster.count += cluster.count;
                    known.cluster.surprise += cluster.surprise;
                    // Values of other forms at the same place are another cluster of the same case.
                    if known.cases.last() != Some(&case.name.as_str()) {
                        known.cases.push(&case.name);
                    }
                }
                None => {
                    let (cases, reproduce) = (vec![case.name.as_str()], case.reproduce.as_str());
                    found.insert(key, SuiteCluster { cluster, cases, reproduce });
                }
            }
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by(|one, other| {
        let (it, that) = (&one.cluster, &other.cluster);
        let by_surprise = that.surprise.total_cmp(&it.surprise).then(it.weight.cmp(&that.weight));
        by_surprise.then(other.cases.len().cmp(&one.cases.len()))
    });
    found
}

impl CaseResult {
    /// Its most common differences.
    pub fn clusters(&self, len_max: usize) -> Vec<Cluster> {
        match &self.replays[..] {
            [only] => top_changes(&only.results, len_max),
            several => {
                let all: Vec<_> = several.iter().flat_map(|replay| replay.results.clone()).collect();
                top_changes(&all, len_max)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::suite::samples::case;

    fn result(number: u8, pointer: &str, kind: &str) -> Value {
        let side = |text: &str| json!({ "text": text, "len": text.len() });
        let change = json!({ "pointer": pointer, "kind": kind, "recorded": side("200"), "replayed": side("500") });
        json!({
            "id": format!("{number:02x}").repeat(16), "title": "POST /a", "route": "POST /a", "verdict": "changed",
            "comparison": { "changes": [change], "compared_as": "json" },
        })
    }

    #[test]
    fn the_largest_surprise_over_all_cases_comes_first_with_the_command_of_a_case_that_has_it() {
        let failed = |name: &str, results: Vec<Value>| case(name, Outcome::Failed, "changed", &[], results);
        let cases = [
            failed("a", vec![result(1, "/tags", "added")]),
            failed("b", vec![result(2, "/tags", "added"), result(3, "/text", "changed")]),
            failed("c", vec![result(4, "/tags", "added"), result(5, "status", "changed")]),
            failed("d", vec![result(6, "/text", "changed")]),
        ];
        let found = clusters(&cases);
        let told: Vec<_> = found
            .iter()
            .map(|it| {
                (it.cluster.pointer.as_str(), it.cluster.count, it.cluster.surprise, it.cases.len(), it.reproduce)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("/text", 2, 8.0, 2, "retake test cases --only b --image triage:next"),
                ("status", 1, 7.0, 1, "retake test cases --only c --image triage:next"),
                ("/tags", 3, 3.0, 3, "retake test cases --only a --image triage:next"),
            ]
        );
    }
}
