//! What a run keeps while it goes on, so that one that was cut off can be gone on with.
//!
//! In: what the run is to do, each exchange that was judged, and what is known of the whole by then. Out: events of the run
//! (`docs/format.md` has their fields), written as it goes; and all of it again from such a run, whatever ended it. An exchange
//! that is not in here was not judged: it is done again, and what was written of it before does not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use bundle::{Archive, Entry};
use diff::{Apart, ExchangeResult, Inside, NoiseUse, RuleUse, Shown};
use exchange::{Digest, End, Event, Id, NoiseProfile};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    baseline::{Looked, LookedCall},
    compare::Compared,
    determinism::GateCounts,
    drive::Outcome,
    fitted::{Chunks, fitted},
    job::{Job, Preparation},
    judge::{Judgement, Said},
    noise::{FoundNoise, FoundProfile},
    punctuality::Due,
    receipt::{Answers, Egress, MissesAnswered, Resets, SourceProof},
    repeat::Repeating,
    select::Selection,
};

/// Says what a run is to do.
pub const BEGAN: &str = "replay-began";
/// Says of which exchanges else.
const BEGAN_MORE: &str = "replay-began-more";
/// Says what became of exchanges.
const JUDGED: &str = "replay-judged";
/// Says what is known of noise, a profile or more of its places.
pub const BEGAN_NOISE: &str = "replay-began-noise";
/// Says what something that was named is.
pub const HELD: &str = "replay-held";
/// Says what is known of the whole.
const STANDS: &str = "replay-stands";

/// What one exchange's calls take of a record, in bytes of JSON. A choice: as much as its result.
const CALLS_BYTES_MAX: usize = bundle::RECORD_BYTES_MAX / 4;
/// The same for the elements of lists in which an answer differed.
const INSIDE_BYTES_MAX: usize = bundle::RECORD_BYTES_MAX / 4;

/// Ids that go into one record. A choice: a quarter of what has room.
const IDS_PER_RECORD: usize = 30_000;

/// What a run is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// What is replayed.
    pub source: SourceProof,
    /// The exchanges of it; all where there are none.
    #[serde(default)]
    pub only: Vec<Id>,
    /// The wall clock when the run began, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// How, in the words of whoever asked for it.
    pub settings: Value,
    /// What it knows of noise; absent in runs of builds that looked for it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<BeganNoise>,
}

/// What a run knows of noise, from its beginning to its end. The profiles themselves are in records behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeganNoise {
    /// How many profiles of the recorded version there are.
    pub profiles: usize,
    /// How many places they have together.
    pub places: usize,
    /// What was found and is not used, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_used: Vec<String>,
}

/// A profile without its places, or places of the profile before.
#[derive(Debug, Default, Serialize, Deserialize)]
struct NoisePart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<NoiseProfile>,
    /// Where the profile was found.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<Value>,
}

/// What something that was named is.
#[derive(Debug, Serialize, Deserialize)]
struct HeldTo {
    /// As it was named, with its flag.
    what: String,
    /// Which it was.
    is: String,
}

/// A part of what was judged of one copy in one repeat.
#[derive(Debug, Serialize, Deserialize)]
struct JudgedPart {
    repeat: u32,
    copy: u32,
    exchanges: Vec<JudgedExchange>,
    /// With the last part of those that belong together: what is of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<JudgedEnd>,
}

#[derive(Debug, Serialize, Deserialize)]
struct JudgedEnd {
    extent: Extent,
    answers: Answers,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleUse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    noise: Vec<NoiseUse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nobodys: Vec<Digest>,
}

/// Which exchanges of a repeat a part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Extent {
    /// Some, beside those before.
    More,
    /// All that had ended when it was stopped, those before included.
    SoFar,
    /// All.
    Whole,
}

/// One exchange that was judged.
#[derive(Debug, Serialize, Deserialize)]
struct JudgedExchange {
    result: ExchangeResult,
    /// What it asked of dependencies.
    asked: Vec<Digest>,
    whole: bool,
    end: End,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exact: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parsed: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_divergence: Option<u64>,
    /// Where it differs from the first answer; absent where it was not held against one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    apart: Option<Vec<JudgedApart>>,
    /// When it should have been sent, and could have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_ns: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    seeded: bool,
    /// Its calls that were held against the first ones in their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    calls: Vec<JudgedCall>,
    /// Recorded calls in whose places its calls were the first, with what those were written as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    first_calls: Vec<(Id, Id)>,
    started_ns: u64,
    ended_ns: u64,
}

/// A call that was held against the first one in its place.
#[derive(Debug, Serialize, Deserialize)]
struct JudgedCall {
    /// The recorded call in whose place it is.
    call: Id,
    route: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    apart: Vec<JudgedApart>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unlike: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct JudgedApart {
    place: Apart,
    /// What the place itself does not write down.
    sightings: Vec<(Option<Shown>, Option<Shown>)>,
    #[serde(default)]
    inside: Inside,
}

/// What is known of the whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stands {
    pub(crate) preparation: Preparation,
    /// What tried to leave the services that have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) egress: Option<Egress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service_ended: Option<String>,
    /// True where a service that was judged had not ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) goes_on: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gates: Option<GateCounts>,
    #[serde(default)]
    pub(crate) resets: Resets,
    #[serde(default)]
    pub(crate) misses: MissesAnswered,
    /// How often the run was gone on with.
    #[serde(default)]
    pub(crate) resumed: u32,
}

/// What was judged of one copy in one repeat.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) judgement: Judgement,
    pub(crate) outcomes: BTreeMap<Id, Outcome>,
    /// True where these are all exchanges.
    pub(crate) is_whole: bool,
}

impl Job<'_> {
    /// Writes down what the run is to do, where it is known how to ask for it again, and what it knows of noise.
    pub(crate) fn began(&self, noise: &FoundNoise) {
        let Some(settings) = &self.settings.resumable else { return };
        // What a store has more by then is none of this run's.
        let skipped = self.selection.skipped.iter().map(|skipped| skipped.id);
        let all = || self.selection.chosen.iter().map(|exchange| exchange.id).chain(skipped).collect();
        let mut only: Vec<Id> = if self.settings.source.digest.is_some() { self.settings.only.clone() } else { all() };
        let more = only.split_off(only.len().min(IDS_PER_RECORD));
        let began = Began {
            source: self.settings.source.clone(),
            only,
            started_unix_ns: self.settings.started_unix_ns,
            settings: settings.clone(),
            noise: Some(BeganNoise {
                profiles: noise.profiles.len(),
                places: places_count(&noise.profiles),
                not_used: noise.unreadable.clone(),
            }),
        };
        self.note(BEGAN, &began);
        more.chunks(IDS_PER_RECORD).for_each(|only| self.note(BEGAN_MORE, &only));
        noise.profiles.iter().for_each(|found| self.knows(found));
        self.ledger.keep((self.settings.clock)());
    }

    /// Writes down a noise profile. It is none of what the run itself teaches, so it is no record of that kind.
    fn knows(&self, FoundProfile { from, profile }: &FoundProfile) {
        let head = NoiseProfile { places: Vec::new(), ..profile.clone() };
        self.note(BEGAN_NOISE, &NoisePart { profile: Some(head), from: from.clone(), places: Vec::new() });
        let mut places = Chunks::default();
        let values = profile.places.iter().map(serde_json::to_value);
        values.for_each(|place| places.push(place.expect("a place has keys that are text")));
        let of_chunk = |places| NoisePart { places, ..NoisePart::default() };
        places.finish().into_iter().for_each(|places| self.note(BEGAN_NOISE, &of_chunk(places)));
    }

    /// Writes down what something that was named is.
    pub(crate) fn holds(&self, what: &str, is: &str) {
        if self.settings.resumable.is_some() {
            self.note(HELD, &HeldTo { what: what.to_owned(), is: is.to_owned() });
        }
    }

    /// Writes down what was judged of one copy in one repeat, of the exchanges that have come to an end. `with_details` says
    /// where it matters later how the answers differ.
    pub(crate) fn judged(
        &self,
        (repeat, copy): (u32, u32),
        part: (&Judgement, &BTreeMap<Id, Outcome>),
        extent: Extent,
        with_details: &dyn Fn(usize, &ExchangeResult) -> bool,
    ) {
        if self.settings.resumable.is_none() {
            return;
        }
        let (judgement, outcomes) = part;
        let mut chunks = Chunks::default();
        for (at, (result, said)) in judgement.results.iter().zip(&judgement.said).enumerate() {
            let Some(outcome) = outcomes.get(&result.id).filter(|outcome| outcome.end != End::CaptureStopped) else {
                continue;
            };
            let mut result = fitted(result.clone());
            if !with_details(at, &result) {
                (result.comparison, result.trajectory) = (None, None);
            }
            let judged = serde_json::to_value(judged_exchange(result, said, outcome));
            chunks.push(judged.expect("what was judged has keys that are text"));
        }
        let mut chunks: Vec<Vec<Value>> = chunks.finish();
        let last = chunks.pop().unwrap_or_default();
        for exchanges in chunks {
            let part = serde_json::json!({ "repeat": repeat, "copy": copy, "exchanges": exchanges });
            self.note(JUDGED, &part);
        }
        let end = JudgedEnd {
            extent,
            answers: judgement.answers.clone(),
            rules: judgement.rules.clone(),
            noise: judgement.noise.clone(),
            nobodys: judgement.nobodys.clone(),
        };
        let part = serde_json::json!({ "repeat": repeat, "copy": copy, "exchanges": last, "end": end });
        self.note(JUDGED, &part);
        self.ledger.note_judged();
    }

    /// Writes down what is known of the whole.
    pub(crate) fn stands(&self, stands: &Stands) {
        if self.settings.resumable.is_some() {
            self.note(STANDS, stands);
            self.ledger.keep((self.settings.clock)());
        }
    }

    fn note(&self, kind: &str, data: &impl Serialize) {
        let data = serde_json::to_value(data).expect("what is written down has keys that are text");
        self.ledger.append_event(kind, (self.settings.clock)(), data);
    }
}

fn judged_exchange(result: ExchangeResult, said: &Said, outcome: &Outcome) -> JudgedExchange {
    let looked = outcome.looked.as_ref();
    JudgedExchange {
        result,
        asked: said.asked.clone(),
        whole: outcome.whole,
        end: outcome.end.clone(),
        exact: outcome.exact,
        parsed: outcome.compared.outcome,
        first_divergence: looked.and_then(|looked| looked.first_divergence),
        apart: looked.map(|looked| judged_places(&looked.places)),
        due_ns: outcome.due.map(|due| (due.intended_ns, due.could_ns)),
        seeded: outcome.is_seeded,
        calls: judged_calls(&said.looked),
        first_calls: said.first_calls.clone(),
        started_ns: outcome.started_ns,
        ended_ns: outcome.ended_ns,
    }
}

/// Where an answer differed, as far as a record has room for what is inside of these places: where it has none, their elements are
/// not measured.
fn judged_places(places: &[Apart]) -> Vec<JudgedApart> {
    let mut bytes = 0;
    let judged = places.iter().map(|place| {
        let judged = JudgedApart::of(place);
        bytes += serde_json::to_vec(&judged.inside).map_or(0, |json| json.len());
        if bytes <= INSIDE_BYTES_MAX { judged } else { JudgedApart { inside: Inside::default(), ..judged } }
    });
    judged.collect()
}

/// What was learned of an exchange's calls, as far as a record has room for it.
fn judged_calls(looked: &[LookedCall]) -> Vec<JudgedCall> {
    let mut bytes = 0;
    let judged = looked.iter().map(|looked| JudgedCall {
        call: looked.call,
        route: looked.route.clone(),
        apart: looked.places.iter().map(JudgedApart::of).collect(),
        unlike: looked.unlike.clone(),
    });
    let fits = |call: &JudgedCall| {
        bytes += serde_json::to_vec(call).map_or(0, |json| json.len());
        bytes <= CALLS_BYTES_MAX
    };
    judged.take_while(fits).collect()
}

impl JudgedApart {
    fn of(place: &Apart) -> Self {
        Self { place: place.clone(), sightings: place.sightings.clone(), inside: place.inside.clone() }
    }

    fn again(&self) -> Apart {
        Apart { sightings: self.sightings.clone(), inside: self.inside.clone(), ..self.place.clone() }
    }
}

impl JudgedCall {
    fn again(self) -> LookedCall {
        let Self { call, route, apart, unlike } = self;
        LookedCall { call, route, places: apart.iter().map(JudgedApart::again).collect(), unlike }
    }
}

impl JudgedExchange {
    /// What became of it; `None` where that was not a sent exchange.
    fn outcome(&self) -> Option<Outcome> {
        let looked = self.apart.as_ref().map(|apart| Looked {
            first_divergence: self.first_divergence,
            places: apart.iter().map(JudgedApart::again).collect(),
        });
        Some(Outcome {
            replayed_id: self.result.replayed_id?,
            status: self.result.replayed_status,
            whole: self.whole,
            end: self.end.clone(),
            trouble: None,
            compared: Compared { outcome: self.parsed, ..Compared::default() },
            exact: self.exact,
            looked,
            due: self.due_ns.map(|(intended_ns, could_ns)| Due { intended_ns, could_ns }),
            is_seeded: self.seeded,
            started_ns: self.started_ns,
            ended_ns: self.ended_ns,
        })
    }
}

/// A run that was cut off, or interrupted, or in which repeats did not start.
pub struct Resumable {
    pub(crate) path: PathBuf,
    pub(crate) run: Id,
    pub(crate) archive: Archive,
    /// What it is to do.
    pub began: Began,
    /// What was judged, by repeat and copy.
    pub(crate) parts: BTreeMap<(u32, u32), Part>,
    pub(crate) stands: Stands,
    /// What its names led to when it began.
    pub(crate) held: BTreeMap<String, String>,
    /// What it knows of noise; `None` where it does not say.
    pub(crate) noise: Option<FoundNoise>,
}

/// Why a run cannot be gone on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// It cannot be read.
    #[error(transparent)]
    Open(#[from] bundle::OpenError),
    /// A record of it cannot be read.
    #[error(transparent)]
    Read(#[from] bundle::ReadError),
    /// Something inside it does not hold.
    #[error("`{path}` is damaged: {damage}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        damage: String,
    },
    /// It does not say what it was to do: no run, a run of an earlier version, or cut off before it began.
    #[error("`{path}` is no run that says how it began")]
    NotOne {
        /// The file.
        path: PathBuf,
    },
    /// What it says of itself makes no sense.
    #[error("`{path}` says of itself what cannot be: {what}")]
    Senseless {
        /// The file.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// All was done.
    #[error("run {run} is complete")]
    Complete {
        /// The run.
        run: Id,
    },
}

impl ResumeError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.help(),
            Self::Read(error) => error.help(),
            Self::Damaged { .. } => Some("`retake verify` says what is damaged; replay the recording anew"),
            Self::NotOne { .. } => Some("`retake runs` lists runs; replay the recording anew"),
            Self::Senseless { .. } => Some("replay the recording anew"),
            Self::Complete { .. } => Some("`retake show RUN` has what it came to"),
        }
    }
}

impl Resumable {
    /// Reads the run at `path`.
    ///
    /// # Errors
    /// [`ResumeError`].
    pub fn open(path: &Path) -> Result<Self, ResumeError> {
        let archive = Archive::open_growing(path)?;
        if let Some(damage) = archive.damage().first() {
            return Err(ResumeError::Damaged { path: path.to_owned(), damage: damage.to_string() });
        }
        let mut found = Read::default();
        for event in archive.events() {
            found.take(event?).map_err(|what| ResumeError::Senseless { path: path.to_owned(), what })?;
        }
        let Some((run, began)) = found.began else { return Err(ResumeError::NotOne { path: path.to_owned() }) };
        if archive.runs()?.iter().any(|run| is_complete(&run.receipt)) {
            return Err(ResumeError::Complete { run });
        }
        let noise = known_noise(&began, found.noise).ok_or_else(|| ResumeError::NotOne { path: path.to_owned() })?;
        let mut stands = found.stands.unwrap_or_default();
        // A service that was judged and of which nothing is said had not ended.
        stands.goes_on |= found.judged_since;
        stands.resumed = stands.resumed.saturating_add(1);
        let (parts, held) = (found.parts, found.held);
        Ok(Self { path: path.to_owned(), run, archive, began, parts, stands, held, noise })
    }

    /// True where it knows from its beginning what noise there is, so that nothing has to be read for that.
    pub fn knows_noise(&self) -> bool {
        self.noise.is_some()
    }

    /// The run's id.
    pub fn run(&self) -> Id {
        self.run
    }

    /// What of the file stays, now that so much of this selection is gone on with.
    pub(crate) fn kept(&self, selection: &Selection, repeating: &Repeating) -> Kept {
        let mut kept = Kept::default();
        let whole_alone = repeating.counts_whole_alone(selection);
        let stays = |repeat: u32| !whole_alone || self.is_whole(repeat, repeating.copies);
        for (_, part) in self.parts.iter().filter(|((repeat, _), _)| stays(*repeat)) {
            let number = part.outcomes.values().find_map(|it| self.archive.entry(&it.replayed_id)?.repeat);
            kept.repeats.extend(number.filter(|_| self.counts_whole(part)));
            kept.exchanges.extend(part.outcomes.values().map(|outcome| outcome.replayed_id));
        }
        kept
    }

    /// Of each recorded call what was the first in its place, among those of exchanges that count.
    pub(crate) fn first_calls(&self, judged: &BTreeSet<Id>) -> BTreeMap<Id, Id> {
        let mut first_calls = BTreeMap::new();
        for part in self.parts.values() {
            for (result, said) in part.judgement.results.iter().zip(&part.judgement.said) {
                if result.replayed_id.is_some_and(|id| judged.contains(&id)) {
                    said.first_calls.iter().for_each(|(call, written)| {
                        first_calls.entry(*call).or_insert(*written);
                    });
                }
            }
        }
        first_calls
    }

    /// True where each copy of a repeat was judged to its end.
    pub(crate) fn is_whole(&self, repeat: u32, copies: u32) -> bool {
        (0..copies).all(|copy| self.parts.get(&(repeat, copy)).is_some_and(|part| self.counts_whole(part)))
    }

    /// True where a part is all of its repeat, and it is known what ran.
    pub(crate) fn counts_whole(&self, part: &Part) -> bool {
        part.is_whole && self.stands.has_run()
    }
}

impl Stands {
    /// True where a service ran: without a word of it nothing is known of what did.
    pub(crate) fn has_run(&self) -> bool {
        !self.preparation.target.is_empty()
    }
}

/// What belongs to exchanges that were judged: what was written of others is written again.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) exchanges: BTreeSet<Id>,
    /// Repeats of which all was judged, each copy counted as one.
    repeats: BTreeSet<u32>,
}

impl Kept {
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        match (&entry.dependency, entry.parent) {
            (None, _) => self.exchanges.contains(&entry.id),
            (Some(_), Some(parent)) => self.exchanges.contains(&parent),
            (Some(_), None) => entry.repeat.is_some_and(|repeat| self.repeats.contains(&repeat)),
        }
    }
}

/// True for the receipt of a run with nothing left to do.
fn is_complete(receipt: &Value) -> bool {
    let repeats = &receipt["repeats"];
    let is_short = !repeats["until_failure"].as_bool().unwrap_or_default()
        && repeats["done"].as_u64().unwrap_or_default() < repeats["asked"].as_u64().unwrap_or_default();
    receipt["interrupted"] != true && !is_short
}

/// What a run says of noise, `Some(None)` where it does not; `None` where it was cut off before all of that was written.
#[expect(clippy::option_option, reason = "a run that says nothing is none that was cut off")]
fn known_noise(began: &Began, profiles: Vec<FoundProfile>) -> Option<Option<FoundNoise>> {
    let Some(noise) = &began.noise else { return Some(None) };
    let is_all = profiles.len() == noise.profiles && places_count(&profiles) == noise.places;
    is_all.then(|| Some(FoundNoise { profiles, unreadable: noise.not_used.clone() }))
}

fn places_count(profiles: &[FoundProfile]) -> usize {
    profiles.iter().map(|found| found.profile.places.len()).sum()
}

/// What was read of a run so far.
#[derive(Default)]
struct Read {
    began: Option<(Id, Began)>,
    /// Of parts whose last one has not come yet.
    pending: BTreeMap<(u32, u32), Vec<JudgedExchange>>,
    parts: BTreeMap<(u32, u32), Part>,
    stands: Option<Stands>,
    judged_since: bool,
    held: BTreeMap<String, String>,
    noise: Vec<FoundProfile>,
}

impl Read {
    fn take(&mut self, event: Event) -> Result<(), String> {
        match event.kind.as_str() {
            BEGAN if self.began.is_none() => {
                let run = event.session.ok_or("it belongs to no run")?;
                self.began = Some((run, read(event.data)?));
            }
            BEGAN_MORE => {
                let (_, began) = self.began.as_mut().ok_or("it goes on and has not begun")?;
                began.only.extend(read::<Vec<Id>>(event.data)?);
            }
            BEGAN_NOISE => self.take_noise(read(event.data)?)?,
            HELD => {
                let HeldTo { what, is } = read(event.data)?;
                self.held.insert(what, is);
            }
            JUDGED => self.take_judged(read(event.data)?)?,
            STANDS => {
                self.stands = Some(read(event.data)?);
                self.judged_since = false;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_noise(&mut self, part: NoisePart) -> Result<(), String> {
        self.noise.extend(part.profile.map(|profile| FoundProfile { from: part.from, profile }));
        let places = part.places.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if places.is_empty() {
            return Ok(());
        }
        let last = self.noise.last_mut().ok_or("places of noise belong to no profile")?;
        last.profile.places.extend(places);
        Ok(())
    }

    fn take_judged(&mut self, part: JudgedPart) -> Result<(), String> {
        let key = (part.repeat, part.copy);
        let mut exchanges = self.pending.remove(&key).unwrap_or_default();
        exchanges.extend(part.exchanges);
        let Some(end) = part.end else {
            self.pending.insert(key, exchanges);
            return Ok(());
        };
        let mut found = Part { is_whole: end.extent == Extent::Whole, ..Part::default() };
        for exchange in exchanges {
            let outcome = exchange.outcome().ok_or("an exchange was judged that was not sent")?;
            let looked = exchange.calls.into_iter().map(JudgedCall::again).collect();
            let (answer, asked, first_calls) = (exchange.parsed, exchange.asked, exchange.first_calls);
            let said = Said { answer, asked, looked, first_calls };
            found.outcomes.insert(exchange.result.id, outcome);
            found.judgement.results.push(exchange.result);
            found.judgement.said.push(said);
        }
        let judgement = &mut found.judgement;
        (judgement.answers, judgement.rules, judgement.noise) = (end.answers, end.rules, end.noise);
        judgement.nobodys = end.nobodys;
        self.judged_since = true;
        let before = self.parts.remove(&key).filter(|_| end.extent == Extent::More);
        self.parts.insert(
            key,
            match before {
                Some(before) => before.and(found),
                None => found,
            },
        );
        Ok(())
    }
}

impl Part {
    /// The same once more; nothing is learned of noise yet.
    pub(crate) fn again(&self) -> Self {
        let Judgement { results, said, nobodys, answers, rules, noise, .. } = &self.judgement;
        let judgement = Judgement {
            results: results.clone(),
            said: said.clone(),
            nobodys: nobodys.clone(),
            answers: answers.clone(),
            rules: rules.clone(),
            noise: noise.clone(),
            ..Judgement::default()
        };
        Self { judgement, outcomes: self.outcomes.clone(), is_whole: self.is_whole }
    }

    /// With what was judged later in the same repeat: what had been judged before stays.
    pub(crate) fn and(mut self, later: Self) -> Self {
        let Self { judgement, outcomes, .. } = later;
        for (result, said) in judgement.results.into_iter().zip(judgement.said) {
            if !self.outcomes.contains_key(&result.id) {
                self.judgement.results.push(result);
                self.judgement.said.push(said);
            }
        }
        for (id, outcome) in outcomes {
            self.outcomes.entry(id).or_insert(outcome);
        }
        let mine = &mut self.judgement;
        mine.answers.add(&judgement.answers);
        RuleUse::merge(&mut mine.rules, &judgement.rules);
        NoiseUse::add(&mut mine.noise, &judgement.noise);
        mine.nobodys.extend(judgement.nobodys);
        self
    }

    /// Puts the results in this order.
    pub(crate) fn in_order_of(mut self, ids: impl Iterator<Item = Id>) -> Self {
        let places: BTreeMap<Id, usize> = ids.enumerate().map(|(at, id)| (id, at)).collect();
        let judgement = &mut self.judgement;
        let results = std::mem::take(&mut judgement.results).into_iter();
        let mut both: Vec<_> = results.zip(std::mem::take(&mut judgement.said)).collect();
        both.sort_by_key(|(result, _)| places.get(&result.id).copied());
        (judgement.results, judgement.said) = both.into_iter().unzip();
        judgement.conclude(!self.outcomes.is_empty());
        self
    }
}

fn read<T: for<'de> Deserialize<'de>>(data: Value) -> Result<T, String> {
    serde_json::from_value(data).map_err(|error| error.to_string())
}
