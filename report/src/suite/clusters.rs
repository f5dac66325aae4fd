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
}

/// Differences of the cases that failed, those with the most cases first, then those with the most exchanges.
pub fn clusters(cases: &[CaseResult]) -> Vec<SuiteCluster<'_>> {
    let mut found: BTreeMap<(String, String, String), SuiteCluster<'_>> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.outcome == Outcome::Failed) {
        for cluster in case.clusters(usize::MAX) {
            let key = (cluster.route.clone(), cluster.pointer.clone(), cluster.what.clone());
            match found.get_mut(&key) {
                Some(known) => {
                    known.cluster.count += cluster.count;
                    // Values of other forms at the same place are another cluster of the same case.
                    if known.cases.last() != Some(&case.name.as_str()) {
                        known.cases.push(&case.name);
                    }
                }
                None => drop(found.insert(key, SuiteCluster { cluster, cases: vec![case.name.as_str()] })),
            }
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|it| std::cmp::Reverse((it.cases.len(), it.cluster.count)));
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
