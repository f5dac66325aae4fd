//! The checklist of sources of nondeterminism, item by item.
//!
//! In: trials, the places at which answers differ, the clusters. Out: for each source whether it was seen, and the evidence.

use std::collections::{BTreeMap, BTreeSet};

use exchange::Id;
use serde::{Deserialize, Serialize};

use super::{Cluster, Held, Kind, Place, RunSeen, TrialSeen, cluster::Factor};

/// Most pieces of evidence told of one source. A choice.
const EVIDENCE_LEN_MAX: usize = 5;

/// Longest value in a piece of evidence, in characters. A choice.
const VALUE_CHARS_MAX: usize = 40;

/// A source of nondeterminism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Source {
    /// The time of day.
    Clock,
    /// Fresh identifiers.
    Identifiers,
    /// A model that samples without a seed.
    Seeds,
    /// The order of hash tables.
    HashOrder,
    /// The order in which threads come through.
    ThreadOrder,
    /// Something shared by exchanges that are in flight together.
    CacheRace,
    /// The order or number of calls to dependencies.
    DependencyOrder,
    /// Time-outs, the service's or a dependency's.
    TimeOuts,
    /// Sums in another order, or other instructions.
    Floats,
}

impl Source {
    /// All, in the order of the checklist.
    pub const ALL: [Self; 9] = [
        Self::Clock,
        Self::Identifiers,
        Self::Seeds,
        Self::HashOrder,
        Self::ThreadOrder,
        Self::CacheRace,
        Self::DependencyOrder,
        Self::TimeOuts,
        Self::Floats,
    ];

    /// A few words for a page.
    pub fn words(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Identifiers => "ids",
            Self::Seeds => "seeds left open",
            Self::HashOrder => "hash order",
            Self::ThreadOrder => "thread order",
            Self::CacheRace => "cache race",
            Self::DependencyOrder => "dependency order",
            Self::TimeOuts => "time-outs",
            Self::Floats => "floats",
        }
    }

    /// What keeps it from being seen where it is held still.
    fn held_by(self) -> &'static [Held] {
        match self {
            Self::Clock => &[Held::Clock],
            // Many are made of the time, and generators are seeded with it.
            Self::Identifiers | Self::Seeds => &[Held::Clock, Held::Urandom, Held::Entropy, Held::RandomDevice],
            // Where a key is an address, tables go by where memory lies.
            Self::HashOrder => {
                &[Held::PythonHashSeed, Held::Clock, Held::Urandom, Held::Entropy, Held::Addresses, Held::RandomDevice]
            }
            Self::ThreadOrder => &[Held::OneThread],
            Self::DependencyOrder => &[Held::Answers],
            // How many elements are added at once depends on where they lie.
            Self::Floats => &[Held::Variables, Held::OneThread, Held::Addresses],
            Self::TimeOuts => &[Held::Durations],
            Self::CacheRace => &[],
        }
    }

    /// What of it a run held still.
    fn held_in(self, run: &RunSeen) -> impl Iterator<Item = Held> {
        self.held_by().iter().copied().filter(|held| run.held.contains(held))
    }

    /// True where a run could have shown it. A seed that is drawn as a service starts takes several services.
    fn is_open_in(self, run: &RunSeen) -> bool {
        self.held_in(run).next().is_none() && (self != Self::HashOrder || run.resets)
    }
}

/// Whether a source was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// There is evidence for it.
    Seen,
    /// There is evidence for it, and it is as good for another source, which is `unclear` too.
    Unclear,
    /// It was looked for, and there is none.
    NotSeen,
    /// There was nothing to look for it in.
    NotLookedAt,
}

/// One item of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Which source.
    pub source: Source,
    /// Whether it was seen.
    pub state: State,
    /// What was seen; else what was looked at, or why nothing was.
    pub evidence: Vec<String>,
}

/// Ticks the checklist.
pub fn checklist(runs: &[RunSeen], places: &[Place], clusters: &[Cluster]) -> Vec<Item> {
    let of_kind = |kind: Kind| places.iter().filter(move |place| place.kind == kind).collect::<Vec<_>>();
    let item = |source: Source| {
        let looked = Looked::at(runs, source);
        let evidence = match source {
            Source::Clock => place_words(&of_kind(Kind::Time)),
            Source::Identifiers => place_words(&of_kind(Kind::Identifier)),
            Source::Seeds => unseeded(runs, &of_kind(Kind::Text)),
            Source::HashOrder | Source::ThreadOrder => place_words(&of_kind(Kind::Order)),
            Source::CacheRace => shared(runs, clusters),
            Source::DependencyOrder => call_orders(runs),
            Source::TimeOuts => timed_out(runs),
            Source::Floats => floats(&of_kind(Kind::LastDigits)),
        };
        let (state, evidence) = match (evidence.is_empty(), looked.why_not(source, runs)) {
            (false, _) if matches!(source, Source::HashOrder | Source::ThreadOrder) => {
                let mut evidence = cut(evidence);
                evidence.push(hashes_or_threads(runs).to_owned());
                (State::Unclear, evidence)
            }
            (false, _) => (State::Seen, cut(evidence)),
            (true, Some(why)) => (State::NotLookedAt, vec![why]),
            (true, None) => (State::NotSeen, vec![looked.words(source, places)]),
        };
        Item { source, state, evidence }
    };
    Source::ALL.into_iter().map(item).collect()
}

/// Elements come in another order by tables or by threads, and look alike. No control holds all tables still.
fn hashes_or_threads(runs: &[RunSeen]) -> &'static str {
    if runs.iter().any(|run| Source::HashOrder.is_open_in(run)) {
        "which of the two is not known: `--determinism 3` holds still what hash seeds are drawn from, but for Go's maps and \
         Java's sets, and leaves threads as they are"
    } else {
        "which of the two is not known: no hash seed was drawn anew, but tables of some languages vary all the same, such as \
         Go's maps and Java's sets"
    }
}

/// What there was to look for a source in: the runs that could have shown it.
struct Looked {
    trials: usize,
    calls: usize,
    repeats: bool,
    overlaps: bool,
    runs: usize,
}

impl Looked {
    fn at(runs: &[RunSeen], source: Source) -> Self {
        let open: Vec<&RunSeen> = runs.iter().filter(|run| source.is_open_in(run)).collect();
        let trials = || open.iter().flat_map(|run| &run.trials);
        let mut originals: BTreeMap<Id, u32> = BTreeMap::new();
        trials().for_each(|trial| *originals.entry(trial.original).or_default() += 1);
        Self {
            trials: trials().count(),
            calls: trials().map(|trial| trial.calls.len()).sum(),
            repeats: originals.values().any(|&count| count > 1),
            overlaps: open.iter().any(|run| has_overlap(run)),
            runs: open.len(),
        }
    }

    fn why_not(&self, source: Source, runs: &[RunSeen]) -> Option<String> {
        let has_calls = || runs.iter().flat_map(|run| &run.trials).any(|trial| !trial.calls.is_empty());
        let why = match source {
            Source::DependencyOrder if !has_calls() => "no call to a dependency was seen",
            Source::CacheRace if !self.overlaps => {
                "no two exchanges were in flight together: replay at `--order recorded`"
            }
            Source::TimeOuts if runs.iter().all(|run| run.trials.is_empty()) => "nothing was sent",
            Source::TimeOuts if self.runs == 0 => "all dependencies answered at once: replay with `--timing recorded`",
            Source::TimeOuts => return None,
            _ if !are_repeated(runs) => "no exchange was repeated: replay with `--repeat N`",
            _ if self.runs == 0 => return Some(why_closed(source, runs)),
            Source::DependencyOrder if self.calls == 0 => "no call to a dependency was seen where their order was free",
            _ if !self.repeats => {
                "no exchange was repeated where it could vary: replay with `--determinism 0 --repeat N`"
            }
            _ => return None,
        };
        Some(why.to_owned())
    }

    fn words(&self, source: Source, places: &[Place]) -> String {
        match source {
            Source::DependencyOrder => format!("{} calls were always made in one order", self.calls),
            Source::TimeOuts => format!("none in {} exchanges", self.trials),
            Source::CacheRace => "no answer had a value of another that was in flight with it".to_owned(),
            _ if places.is_empty() => "no two answers to one request differ".to_owned(),
            _ => format!("none of the {} places that differ looks like it", places.len()),
        }
    }
}

/// Why no run could have shown a source.
fn why_closed(source: Source, runs: &[RunSeen]) -> String {
    let held: BTreeSet<Held> = runs.iter().flat_map(|run| source.held_in(run)).collect();
    if held.is_empty() {
        return "one service answered all repeats: replay with `--reset process`".to_owned();
    }
    let words: Vec<&str> = held.into_iter().map(Held::word).collect();
    format!("held still ({}): replay with `--determinism 0`", words.join(", "))
}

fn are_repeated(runs: &[RunSeen]) -> bool {
    let mut seen = BTreeSet::new();
    !runs.iter().flat_map(|run| &run.trials).all(|trial| seen.insert(trial.original))
}

fn has_overlap(run: &RunSeen) -> bool {
    run.trials.windows(2).any(|pair| overlap(&pair[0], &pair[1]))
}

/// True where two trials were in flight together: in the same repeat, of the same run.
pub(super) fn overlap(one: &TrialSeen, other: &TrialSeen) -> bool {
    one.repeat == other.repeat && one.started_ns < other.ended_ns && other.started_ns < one.ended_ns
}

fn place_words(places: &[&Place]) -> Vec<String> {
    let words = |place: &&Place| {
        let pointer = if place.pointer.is_empty() { "(the whole body)" } else { &place.pointer };
        let (one, other) = (shortened(&place.one), shortened(&place.other));
        format!("{} {pointer} in {} pair{}: {one} and {other}", place.route, place.count, plural(place.count))
    };
    places.iter().map(words).collect()
}

fn floats(places: &[&Place]) -> Vec<String> {
    let mut words = place_words(places);
    for (words, place) in words.iter_mut().zip(places) {
        if place.across_hosts > 0 {
            *words += &format!(" ({} of them on different hardware)", place.across_hosts);
        }
    }
    words
}

/// A text that differs where nothing pinned the model's sampling.
fn unseeded(runs: &[RunSeen], texts: &[&Place]) -> Vec<String> {
    let open: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| &run.trials)
        .filter(|trial| trial.unseeded)
        .map(|trial| trial.route.as_str())
        .collect();
    let texts: Vec<&Place> = texts.iter().copied().filter(|place| open.contains(place.route.as_str())).collect();
    place_words(&texts)
}

/// Values of other exchanges, and failures that go with another's being in flight.
fn shared(runs: &[RunSeen], clusters: &[Cluster]) -> Vec<String> {
    let mut leaks: BTreeMap<(&str, &str), (u64, Id, Id)> = BTreeMap::new();
    for trial in runs.iter().flat_map(|run| &run.trials) {
        let Some(leak) = &trial.leaked else { continue };
        leaks.entry((&trial.route, &leak.pointer)).or_insert((0, trial.original, leak.of)).0 += 1;
    }
    let words = |((route, pointer), (count, of, from)): ((&str, &str), (u64, Id, Id))| {
        let (of, from) = (of.short(), from.short());
        format!(
            "{route} {pointer} is another's, in flight with it, in {count} answer{}: {of} had that of {from}",
            plural(count)
        )
    };
    let together = clusters.iter().filter(|cluster| matches!(cluster.factor, Factor::Overlap { .. }));
    leaks.into_iter().map(words).chain(together.map(Cluster::words)).collect()
}

/// Exchanges whose calls come in several orders.
fn call_orders(runs: &[RunSeen]) -> Vec<String> {
    let mut orders: BTreeMap<Id, BTreeMap<Vec<&str>, (u64, u64)>> = BTreeMap::new();
    let mut titles: BTreeMap<Id, &str> = BTreeMap::new();
    for trial in runs.iter().flat_map(|run| &run.trials) {
        let order: Vec<&str> = trial.calls.iter().map(|call| call.asked.as_str()).collect();
        let (count, failed) = orders.entry(trial.original).or_default().entry(order).or_default();
        *count += 1;
        *failed += u64::from(trial.failed);
        titles.insert(trial.original, &trial.title);
    }
    let several = orders.into_iter().filter(|(_, orders)| orders.len() > 1);
    let words = |(original, orders): (Id, BTreeMap<Vec<&str>, (u64, u64)>)| {
        let failed: Vec<_> = orders.values().map(|(count, failed)| format!("{failed} of {count}")).collect();
        format!(
            "{} {}: calls came in {} ways, failed {}",
            original.short(),
            titles.get(&original).copied().unwrap_or_default(),
            orders.len(),
            failed.iter().take(EVIDENCE_LEN_MAX).cloned().collect::<Vec<_>>().join(", ")
        )
    };
    several.map(words).collect()
}

fn timed_out(runs: &[RunSeen]) -> Vec<String> {
    let mut routes: BTreeMap<&str, u64> = BTreeMap::new();
    for trial in runs.iter().flat_map(|run| &run.trials).filter(|trial| trial.timed_out) {
        *routes.entry(&trial.route).or_default() += 1;
    }
    routes.into_iter().map(|(route, count)| format!("{route}: {count} ended by a time-out")).collect()
}

fn cut(mut evidence: Vec<String>) -> Vec<String> {
    let more = evidence.len().saturating_sub(EVIDENCE_LEN_MAX);
    evidence.truncate(EVIDENCE_LEN_MAX);
    if more > 0 {
        evidence.push(format!("and {more} more"));
    }
    evidence
}

fn shortened(text: &str) -> String {
    let cut: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
