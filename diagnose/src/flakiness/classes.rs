//! One class for each exchange over all runs, and what runs of different order say together.

use std::collections::{BTreeMap, BTreeSet};

use diff::{Class, SCREEN_COUNT};
use exchange::{Digest, Id};
use serde::{Deserialize, Serialize};

use super::{OutcomeSeen, RunSeen};

/// An exchange over all runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classified {
    /// The recorded exchange.
    pub id: Id,
    /// Method and path with query.
    pub title: String,
    /// What can be said of it.
    pub class: Class,
    /// Why nothing can, where it is `unconfirmed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Trials.
    pub of: u64,
    /// Trials that failed.
    pub failed: u64,
}

/// Trials and failures in one setting.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    of: u64,
    failed: u64,
    /// Trials of a service that answered no other of them.
    alone: u64,
}

impl Counts {
    fn is_steady(self) -> bool {
        self.failed == 0 || self.failed == self.of
    }

    fn and(self, other: Self) -> Self {
        Self { of: self.of + other.of, failed: self.failed + other.failed, alone: self.alone + other.alone }
    }
}

/// What is known of an environment, and the run's number where that is nothing: it is then nobody else's.
type Environment = (Option<Digest>, usize);

/// How trials were made, and by what they were judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Setting<'a> {
    environment: Environment,
    judged: Option<Digest>,
    order: &'a str,
}

/// The trials of one exchange.
#[derive(Debug, Default)]
struct Trials<'a> {
    title: &'a str,
    settings: BTreeMap<Setting<'a>, Counts>,
    outcomes: BTreeSet<&'a OutcomeSeen>,
}

/// Flaky where some fail and some do not in one environment; environment-sensitive where each environment is steady, and not
/// all are alike; else by how many trials one environment had, of services of their own, and how many outcomes there were.
pub fn classify(runs: &[RunSeen]) -> Vec<Classified> {
    let mut exchanges: BTreeMap<Id, Trials<'_>> = BTreeMap::new();
    for (number, run) in runs.iter().enumerate() {
        let environment = (run.environment, if run.environment.is_some() { 0 } else { number });
        for trial in &run.trials {
            let trials = exchanges.entry(trial.original).or_default();
            trials.title = &trial.title;
            let setting = Setting { environment, judged: run.judged, order: run.order.as_str() };
            let counts = trials.settings.entry(setting).or_default();
            let new = Counts { of: 1, failed: u64::from(trial.failed), alone: u64::from(run.resets) };
            *counts = counts.and(new);
        }
        for (id, outcomes) in &run.outcomes {
            exchanges.entry(*id).or_default().outcomes.extend(outcomes);
        }
    }
    let classified = |(id, trials): (Id, Trials<'_>)| {
        let Counts { of, failed, .. } = trials.settings.values().copied().fold(Counts::default(), Counts::and);
        let (class, why) = trials.class();
        Classified { id, title: trials.title.to_owned(), class, why, of, failed }
    };
    exchanges.into_iter().filter(|(_, trials)| !trials.settings.is_empty()).map(classified).collect()
}

impl Trials<'_> {
    /// The class, and why it is unconfirmed where it is.
    fn class(&self) -> (Class, Option<String>) {
        let environments = self.counts_by(|setting| setting.environment);
        let judged_alike = self.counts_by(|setting| (setting.environment, setting.judged));
        // Steady at either order and unlike between them is a race.
        if judged_alike.values().any(|counts| !counts.is_steady()) {
            return (Class::Flaky, None);
        }
        let unconfirmed = |why: String| (Class::Unconfirmed, Some(why));
        let most = |of: fn(&Counts) -> u64| environments.values().map(of).max().unwrap_or_default();
        let all = environments.values().copied().fold(Counts::default(), Counts::and);
        let distinct = self.distinct();
        if !all.is_steady() {
            return match self.are_unlike() {
                true => (Class::EnvironmentSensitive, None),
                false if self.counts_by(|setting| setting.judged).len() > 1 => unconfirmed(
                    "it fails by other rules or other noise than it passes by, and of runs that were judged alike no two are unlike"
                        .to_owned(),
                ),
                false => unconfirmed(format!(
                    "environments are not alike, and of those with {SCREEN_COUNT} repeats or more at one order no two are unlike"
                )),
            };
        }
        if most(|counts| counts.of) < SCREEN_COUNT {
            unconfirmed(format!("fewer than {SCREEN_COUNT} repeats in one environment"))
        } else if all.failed > 0 {
            (Class::ReproducibleFailure, None)
        } else if most(|counts| counts.alone) < SCREEN_COUNT {
            unconfirmed("one service answered several repeats, and may have remembered some".to_owned())
        } else if distinct > 1 {
            unconfirmed(format!("{distinct} outcomes, of which none fails: they differ as noise does"))
        } else {
            (Class::Deterministic, None)
        }
    }

    /// True where an environment fails and another does not, each often enough. Only what was asked in one order and judged alike
    /// can be the environment's doing.
    fn are_unlike(&self) -> bool {
        let mut alike: BTreeMap<(&str, Option<Digest>), BTreeSet<bool>> = BTreeMap::new();
        for (setting, counts) in self.settings.iter().filter(|(_, counts)| counts.of >= SCREEN_COUNT) {
            alike.entry((setting.order, setting.judged)).or_default().insert(counts.failed > 0);
        }
        alike.values().any(|failing| failing.len() > 1)
    }

    /// The counts of all settings that have this in common.
    fn counts_by<K: Ord>(&self, key: impl Fn(&Setting<'_>) -> K) -> BTreeMap<K, Counts> {
        let mut counts: BTreeMap<K, Counts> = BTreeMap::new();
        for (setting, more) in &self.settings {
            let all = counts.entry(key(setting)).or_default();
            *all = all.and(*more);
        }
        counts
    }

    /// How many kinds of outcome there were. Of an exchange that was not repeated it is known that it was like production's,
    /// and so like any other that was.
    fn distinct(&self) -> usize {
        let is_vague = |outcome: &OutcomeSeen| outcome.verdict == SAME && outcome.content.is_none();
        let has_same = self.outcomes.iter().any(|outcome| outcome.verdict == SAME && outcome.content.is_some());
        self.outcomes.iter().filter(|outcome| !(has_same && is_vague(outcome))).count()
    }
}

/// The verdict of an answer that is production's.
const SAME: &str = "same";

/// What follows from the classes, and from runs of both orders.
pub(super) fn conclusions(runs: &[RunSeen], exchanges: &[Classified]) -> Vec<String> {
    let mut sentences = Vec::new();
    let many = |count: usize| if count == 1 { "exchange is" } else { "exchanges are" };
    let of_class = |class: Class| exchanges.iter().filter(|it| it.class == class).count();
    for class in [Class::Flaky, Class::EnvironmentSensitive, Class::ReproducibleFailure] {
        let count = of_class(class);
        if count > 0 {
            sentences.push(format!("{count} of {} {} {}", exchanges.len(), many(count), adjective(class)));
        }
    }
    let varies_at = |order: &str| {
        let of_order: Vec<RunSeen> = runs.iter().filter(|run| run.order == order).cloned().collect();
        let flaky = classify(&of_order).into_iter().filter(|it| it.class == Class::Flaky).map(|it| it.id);
        (!of_order.is_empty()).then(|| flaky.collect::<Vec<_>>())
    };
    if let (Some(recorded), Some(serial)) = (varies_at("recorded"), varies_at("serial")) {
        let trials = |id: &Id| {
            let of_order = runs.iter().filter(|run| run.order == "serial");
            of_order.flat_map(|run| &run.trials).filter(|trial| trial.original == *id).count() as u64
        };
        let is_gone = |id: &&Id| !serial.contains(id) && trials(id) >= SCREEN_COUNT;
        let gone = recorded.iter().filter(is_gone).count();
        if gone > 0 {
            sentences.push(format!(
                "{gone} {} at order `recorded` and steady at `serial`: what varies takes exchanges in flight together, a race",
                if gone == 1 { "is flaky" } else { "are flaky" }
            ));
        }
        if !serial.is_empty() {
            sentences.push(format!("{} vary even one at a time: overlap is not what it takes", serial.len()));
        }
    }
    sentences
}

fn adjective(class: Class) -> &'static str {
    match class {
        Class::Flaky => "flaky",
        Class::EnvironmentSensitive => "sensitive to the environment: steady in each, and not the same in all",
        _ => "failing each time",
    }
}
