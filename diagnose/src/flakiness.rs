//! Flakiness: from which source of nondeterminism it comes.
//!
//! In: trials (repeats of exchanges) of one or several runs, and pairs of answers to one request that differ. Out: a
//! [`Diagnosis`]. An item of the checklist is *seen* only with evidence, and *not seen* only where it was looked for.

use serde::{Deserialize, Serialize};

pub use self::{
    apart::{AnswerPair, Kind, Place, kind_of, places},
    checklist::{Item, Source, State, checklist},
    classes::{Classified, classify},
    cluster::{Cluster, clusters},
    trial::{CallSeen, Held, Leak, OutcomeSeen, RunSeen, TrialSeen},
};

mod apart;
mod checklist;
mod classes;
mod cluster;
mod trial;

/// What is to be said of the flakiness of some runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The runs, by their short ids.
    pub runs: Vec<String>,
    /// Trials that were looked at.
    pub trials: u64,
    /// Trials among them that failed.
    pub failed: u64,
    /// Pairs of answers to one request that were compared value by value.
    pub pairs: u64,
    /// The sources of nondeterminism, each with what speaks for it.
    pub checklist: Vec<Item>,
    /// What unusual outcomes share, beyond chance; the strongest first.
    pub clusters: Vec<Cluster>,
    /// Each exchange over all runs.
    pub exchanges: Vec<Classified>,
    /// What follows, in sentences.
    pub conclusions: Vec<String>,
}

/// Diagnoses.
pub fn diagnose(runs: &[RunSeen], pairs: &[AnswerPair<'_>], confidence: stats::Confidence) -> Diagnosis {
    let trials = || runs.iter().flat_map(|run| &run.trials);
    let places: Vec<Place> = places(pairs);
    let exchanges = classify(runs);
    let clusters = clusters(runs, &exchanges, confidence);
    Diagnosis {
        runs: runs.iter().map(|run| run.name.clone()).collect(),
        trials: trials().count() as u64,
        failed: trials().filter(|trial| trial.failed).count() as u64,
        pairs: pairs.len() as u64,
        checklist: checklist(runs, &places, &clusters),
        conclusions: classes::conclusions(runs, &exchanges),
        clusters,
        exchanges,
    }
}

#[cfg(test)]
mod tests;
