//! One class for each exchange over all runs, and what runs of different order say together.

use std::collections::BTreeMap;

use diff::{Class, SCREEN_COUNT};
use exchange::Id;
use serde::{Deserialize, Serialize};

use super::RunSeen;

/// An exchange over all runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classified {
    /// The recorded exchange.
    pub id: Id,
    /// Method and path with query.
    pub title: String,
    /// What can be said of it.
    pub class: Class,
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
}

impl Counts {
    fn is_steady(self) -> bool {
        self.failed == 0 || self.failed == self.of
    }
}

/// Flaky where some fail and some do not in one environment and order; environment-sensitive where each environment is
/// steady, and not all are alike; else as [`Class::of`] has it.
pub fn classify(runs: &[RunSeen]) -> Vec<Classified> {
    let mut exchanges: BTreeMap<Id, (String, BTreeMap<_, Counts>)> = BTreeMap::new();
    for run in runs {
        for trial in &run.trials {
            let (_, settings) =
                exchanges.entry(trial.original).or_insert_with(|| (trial.title.clone(), BTreeMap::new()));
            let counts: &mut Counts = settings.entry((run.environment, run.order.as_str())).or_default();
            counts.of += 1;
            counts.failed += u64::from(trial.failed);
        }
    }
    let classified = |(id, (title, settings)): (Id, (String, BTreeMap<_, Counts>))| {
        let (of, failed) = settings.values().fold((0, 0), |(of, failed), it| (of + it.of, failed + it.failed));
        Classified { id, title, class: class_of(&settings), of, failed }
    };
    exchanges.into_iter().map(classified).collect()
}

fn class_of<E: Ord + Copy>(settings: &BTreeMap<(E, &str), Counts>) -> Class {
    if settings.values().any(|counts| !counts.is_steady()) {
        return Class::Flaky;
    }
    let enough = |counts: &Counts| counts.of >= SCREEN_COUNT;
    let mut by_order: BTreeMap<&str, Vec<(E, Counts)>> = BTreeMap::new();
    settings.iter().for_each(|((environment, order), counts)| {
        by_order.entry(order).or_default().push((*environment, *counts));
    });
    // Only what was asked in one order can be the environment's doing.
    let unlike = by_order.values().any(|of_order| {
        let failing: Vec<bool> = of_order.iter().filter(|it| enough(&it.1)).map(|it| it.1.failed > 0).collect();
        failing.contains(&true) && failing.contains(&false)
    });
    let (of, failed) = settings.values().fold((0, 0), |(of, failed), it| (of + it.of, failed + it.failed));
    match unlike {
        true => Class::EnvironmentSensitive,
        // Steady at either order and unlike between them: it depends on overlap, which is a race.
        false if failed > 0 && failed < of => Class::Flaky,
        false => Class::of(of, failed, 1),
    }
}

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
        let gone = recorded.iter().filter(|id| !serial.contains(id)).count();
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
