//! What unusual outcomes have in common, beyond chance: as a rule failures; where production itself gave the rare answer, passes.
//!
//! In: the trials of flaky exchanges. Out: factors (a host, a dependency, a minute, another exchange in flight) that go with
//! them, by Fisher's exact test, corrected after Holm for the number of factors that were tried.

use std::collections::BTreeMap;

use diff::Class;
use exchange::Id;
use serde::{Deserialize, Serialize};
use stats::Confidence;

use super::{Classified, RunSeen, TrialSeen, checklist::overlap};

/// Most factors that are tried. A choice: beyond it nothing would be left of any after the correction.
const FACTORS_LEN_MAX: usize = 2_000;

/// What trials may have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "factor", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Factor {
    /// The environment, by the digest of its fingerprint.
    Fingerprint {
        /// The first digits.
        fingerprint: String,
    },
    /// The machine.
    Host {
        /// Processor and kernel.
        host: String,
    },
    /// A dependency that was called and did not answer as recorded.
    Dependency {
        /// Its name.
        dependency: String,
    },
    /// The minute in which it was sent.
    Minute {
        /// Since 1970.
        minute: u64,
    },
    /// Another exchange was in flight with it.
    Overlap {
        /// The exchange that failed, or did not.
        exchange: Id,
        /// The other one.
        with: Id,
    },
    /// The order in which exchanges were sent.
    Order {
        /// `recorded` or `serial`.
        order: String,
    },
}

/// A factor that goes with unusual outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Which.
    #[serde(flatten)]
    pub factor: Factor,
    /// Trials with it that came to another outcome than the usual one: that failed where most pass, or passed where most fail.
    pub unusual_with: u64,
    /// Trials with it.
    pub with: u64,
    /// Trials without it that did.
    pub unusual_without: u64,
    /// Trials without it.
    pub without: u64,
    /// Fisher's probability of so unlike a table by chance, corrected.
    pub p: f64,
}

impl Cluster {
    /// `unusual in 7 of 12 of 3fa9c1 while 9be244 was in flight, in 0 of 288 otherwise (p 1.00e-4)`.
    pub fn words(&self) -> String {
        let Self { unusual_with, with, unusual_without, without, p, .. } = self;
        let what = match &self.factor {
            Factor::Fingerprint { fingerprint } => format!("in environment {fingerprint}"),
            Factor::Host { host } => format!("on {host}"),
            Factor::Dependency { dependency } => format!("where `{dependency}` did not answer as recorded"),
            Factor::Minute { minute } => {
                format!("in the minute of {}", content::instant::rfc3339(minute.saturating_mul(60_000_000_000)))
            }
            Factor::Overlap { exchange, with } => {
                format!("of {} while {} was in flight", exchange.short(), with.short())
            }
            Factor::Order { order } => format!("at order `{order}`"),
        };
        format!("unusual in {unusual_with} of {with} {what}, in {unusual_without} of {without} otherwise (p {p:.2e})")
    }
}

#[derive(Clone, Copy, Default)]
struct Counts {
    unusual: u64,
    all: u64,
}

impl Counts {
    fn add(&mut self, is_unusual: bool) {
        self.unusual += u64::from(is_unusual);
        self.all += 1;
    }
}

/// The factors that go with unusual outcomes, the strongest first.
pub fn clusters(runs: &[RunSeen], exchanges: &[Classified], confidence: Confidence) -> Vec<Cluster> {
    let of_interest: Vec<Id> = exchanges
        .iter()
        .filter(|it| matches!(it.class, Class::Flaky | Class::EnvironmentSensitive))
        .map(|it| it.id)
        .collect();
    let mostly_fail: BTreeMap<Id, bool> = exchanges.iter().map(|it| (it.id, 2 * it.failed > it.of)).collect();
    let mut total = Counts::default();
    let mut of_exchange: BTreeMap<Id, Counts> = BTreeMap::new();
    let mut with: BTreeMap<Factor, Counts> = BTreeMap::new();
    for run in runs {
        for (at, trial) in run.trials.iter().enumerate() {
            if !of_interest.contains(&trial.original) {
                continue;
            }
            let is_unusual = trial.failed != *mostly_fail.get(&trial.original).unwrap_or(&false);
            total.add(is_unusual);
            of_exchange.entry(trial.original).or_default().add(is_unusual);
            for factor in factors_of(run, at) {
                if with.len() < FACTORS_LEN_MAX || with.contains_key(&factor) {
                    with.entry(factor).or_default().add(is_unusual);
                }
            }
        }
    }
    let mut clusters: Vec<Cluster> = with
        .into_iter()
        .filter_map(|(factor, with)| {
            let all = match &factor {
                Factor::Overlap { exchange, .. } => *of_exchange.get(exchange)?,
                _ => total,
            };
            let without = Counts { unusual: all.unusual - with.unusual, all: all.all - with.all };
            // What all have tells nothing.
            (without.all > 0).then(|| Cluster {
                p: stats::fisher_exact([
                    [with.unusual, with.all - with.unusual],
                    [without.unusual, without.all - without.unusual],
                ]),
                factor,
                unusual_with: with.unusual,
                with: with.all,
                unusual_without: without.unusual,
                without: without.all,
            })
        })
        .collect();
    let corrected = stats::holm(&clusters.iter().map(|cluster| cluster.p).collect::<Vec<_>>());
    clusters.iter_mut().zip(corrected).for_each(|(cluster, p)| cluster.p = p);
    clusters.retain(|cluster| cluster.p < confidence.alpha() && cluster.comes_with_it());
    clusters.sort_by(|one, other| one.p.total_cmp(&other.p));
    clusters
}

impl Cluster {
    fn comes_with_it(&self) -> bool {
        self.unusual_with * self.without > self.unusual_without * self.with
    }
}

fn factors_of(run: &RunSeen, at: usize) -> Vec<Factor> {
    let trial = &run.trials[at];
    let mut factors = vec![
        Factor::Host { host: run.host.clone() },
        Factor::Minute { minute: trial.minute },
        Factor::Order { order: run.order.clone() },
    ];
    factors.extend(run.environment.map(|digest| Factor::Fingerprint { fingerprint: digest.short() }));
    let failed = trial.calls.iter().filter(|call| call.failed);
    let mut dependencies: Vec<_> =
        failed.map(|call| Factor::Dependency { dependency: call.dependency.clone() }).collect();
    dependencies.dedup();
    factors.extend(dependencies);
    // Trials stand in the order they were sent: those of another repeat are elsewhere.
    let same_repeat = |other: &&TrialSeen| other.repeat == trial.repeat;
    let before = run.trials[..at].iter().rev().take_while(same_repeat);
    let after = run.trials[at + 1..].iter().take_while(same_repeat);
    let together = before.chain(after).filter(|other| overlap(trial, other));
    factors.extend(together.map(|other| Factor::Overlap { exchange: trial.original, with: other.original }));
    factors.sort();
    factors.dedup();
    factors
}
