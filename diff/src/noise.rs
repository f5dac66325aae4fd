//! Differences that prove nothing, since unchanged answers differ there too.
//!
//! In: profiles that were learned (`noise/learn.rs`), and comparisons of answers or of calls to dependencies. Out: the comparisons with
//! what is noise set apart, each difference with its evidence. The rule, and its rate of error, are in `docs/noise.md`:
//!
//! - A place counts that was compared at least [`COMPARED_MIN`] times; the status never does. Elements of a list are places of their
//!   own (`noise/elements.rs`): one that never differed is not excused by its neighbours.
//! - Both values have to be measured ones. A value that this exchange had before is. Another one is where new values keep
//!   coming: the share of values that came once is proved to be above [`ONCE_SHARE_MIN`], or all of them are times; then it
//!   needs a form that was seen, and a length and a size that are not further outside of what was seen than that is wide.
//! - An exchange that was measured itself, and never differed there, does not differ there by noise.

mod elements;
mod extent;
mod learn;

use std::collections::BTreeSet;

use exchange::{Digest, Id, NoiseProfile, NoisyPlace, SeenForm};
use serde::{Deserialize, Serialize};
use stats::{Confidence, Rate};

use self::extent::Extent;
pub use self::learn::NoiseLearner;
use crate::{
    CallRequest, Change, Comparison, Estimate, Route, Rules, Shown,
    call::{CALL, compare_calls},
    form::{fits, is_time, number_of},
    pointer::with_indices_as_stars,
};

/// Fewest comparisons after which a place can be called noisy: what happens in one of four answers shows with 94 %.
pub const COMPARED_MIN: u64 = 10;

/// Where more than this share of the values is seen once, with [`CONFIDENCE`], a value that was never seen is nothing
/// remarkable: by Turing's estimate (I. J. Good, Biometrika 40, 1953) that share is how often the next one is new. A choice.
const ONCE_SHARE_MIN: f64 = 0.05;

/// The confidence of what is said of noise.
const CONFIDENCE: Confidence = Confidence::DEFAULT;

/// Most places and runs told of one replay. A choice: nobody reads more.
const TOLD_LEN_MAX: usize = 1_000;

/// What is known of the noise of one version.
#[derive(Clone, Debug, Default)]
pub struct Noise {
    profiles: Vec<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    profile: NoiseProfile,
    /// For each place whether new values keep coming there.
    open: Vec<bool>,
}

/// A difference that lies within measured noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoisyChange {
    /// What differs.
    #[serde(flatten)]
    pub change: Change,
    /// What says that it proves nothing.
    pub evidence: NoiseEvidence,
}

/// What says that a difference proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseEvidence {
    /// The place that was measured; `*` for elements that were measured together.
    pub place: String,
    /// Of a call's arguments: dependency, method and path of the call. Absent for an answer, whose route is the exchange's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call: String,
    /// How many of the answers compared differed there, and between which bounds their share is.
    pub differed: Estimate,
    /// The runs that it was learned from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Id>,
}

/// Differences at one place that were set apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseUse {
    /// Method and path, what looks like an id as `*`; of a call with its dependency before them.
    pub route: String,
    /// How many differences.
    pub count: u64,
    /// What says that they prove nothing.
    pub evidence: NoiseEvidence,
}

impl NoiseUse {
    /// Adds what was set apart of one comparison to that of a whole replay.
    pub fn merge(all: &mut Vec<NoiseUse>, route: &str, changes: &[NoisyChange]) {
        for NoisyChange { evidence, .. } in changes {
            let route = if evidence.call.is_empty() { route } else { &evidence.call };
            let is_same = |known: &&mut NoiseUse| known.route == route && known.evidence == *evidence;
            match all.iter_mut().find(is_same) {
                Some(known) => known.count += 1,
                None => all.push(NoiseUse { route: route.to_owned(), count: 1, evidence: evidence.clone() }),
            }
        }
    }

    /// Adds the uses of another repeat.
    pub fn add(all: &mut Vec<NoiseUse>, more: &[NoiseUse]) {
        for used in more {
            match all.iter_mut().find(|known| known.route == used.route && known.evidence == used.evidence) {
                Some(known) => known.count += used.count,
                None => all.push(used.clone()),
            }
        }
    }
}

impl Noise {
    /// Nothing is known: every difference counts.
    pub fn none() -> Self {
        Self::default()
    }

    /// What these profiles say. Where several know a place, the one with the most comparisons is asked first.
    pub fn of(profiles: impl IntoIterator<Item = NoiseProfile>) -> Self {
        let known = |profile: NoiseProfile| Known { open: profile.places.iter().map(is_open).collect(), profile };
        let mut profiles: Vec<Known> = profiles.into_iter().map(known).collect();
        let weight = |known: &Known| known.profile.places.iter().map(|place| place.compared).max().unwrap_or_default();
        profiles.sort_by_key(|known| (std::cmp::Reverse(weight(known)), known.profile.runs.clone()));
        Self { profiles }
    }

    /// The same for repeats: only where new values keep coming. Whether a value comes and goes is what repeats are asked, so
    /// that one of several that come again is no noise there.
    #[must_use]
    pub fn for_repeats(mut self) -> Self {
        for Known { profile, open } in &mut self.profiles {
            let closed = profile.places.iter_mut().zip(&*open).filter(|(_, is_open)| !**is_open);
            closed.for_each(|(place, _)| place.values.clear());
        }
        self
    }

    /// True where nothing is known.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty()
    }

    /// The profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &NoiseProfile> {
        self.profiles.iter().map(|known| &known.profile)
    }

    /// Sets apart what is noise in the comparison of an answer to `exchange`.
    pub fn set_apart(&self, comparison: &mut Comparison, route: &Route, exchange: Id) {
        if self.profiles.is_empty() || comparison.changes.is_empty() {
            return;
        }
        let route = route.to_string();
        for change in std::mem::take(&mut comparison.changes) {
            match self.evidence(&change, &route, exchange) {
                Some(evidence) => comparison.noise.push(NoisyChange { change, evidence }),
                None => comparison.changes.push(change),
            }
        }
    }

    /// What differs between two calls where all of it is noise of `call`, the recorded one; `None` where anything is not, and
    /// where nothing differs that a pointer leads to.
    pub fn of_call(
        &self,
        recorded: &CallRequest<'_>,
        asked: &CallRequest<'_>,
        rules: &Rules,
        call: Id,
    ) -> Option<Vec<NoisyChange>> {
        let route = recorded.route();
        let changes = compare_calls(recorded, asked, rules).filter(|changes| !changes.is_empty())?;
        let noisy = |change: Change| {
            let evidence = self.evidence(&change, &route, call)?;
            Some(NoisyChange { change, evidence: NoiseEvidence { call: route.clone(), ..evidence } })
        };
        changes.into_iter().map(noisy).collect()
    }

    /// True where something is known of calls on this route, as [`CallRequest::route`] has it.
    pub fn knows_call(&self, route: &str) -> bool {
        self.calls().contains(route)
    }

    /// Of which calls something is known, each as dependency, method and path.
    pub fn calls(&self) -> BTreeSet<&str> {
        let places = self.profiles.iter().flat_map(|known| &known.profile.places);
        places.filter(|place| place.pointer.starts_with(CALL)).map(|place| place.route.as_str()).collect()
    }

    /// What says that this difference is noise, if anything does.
    fn evidence(&self, change: &Change, route: &str, exchange: Id) -> Option<NoiseEvidence> {
        if change.pointer == "status" {
            return None;
        }
        let starred = with_indices_as_stars(&change.pointer);
        self.profiles.iter().find_map(|known| {
            let places = &known.profile.places;
            let find = |pointer: &str| places.iter().position(|it| it.pointer == pointer && it.route == route);
            let at = find(&change.pointer).or_else(|| find(&starred))?;
            let place = &places[at];
            let is_noise = known.may_differ(place, exchange)
                && known.is_measured(at, change.recorded.as_ref(), exchange)
                && known.is_measured(at, change.replayed.as_ref(), exchange);
            is_noise.then(|| NoiseEvidence {
                place: place.pointer.clone(),
                call: String::new(),
                differed: Estimate::new(place.differed, place.compared, CONFIDENCE),
                runs: known.profile.runs.iter().copied().take(TOLD_LEN_MAX).collect(),
            })
        })
    }

    /// How often an answer of an unchanged service on this route is expected to be reported all the same: the values that
    /// only their own sighting covers, of the answers that were seen, by the profile with the most comparisons. `None` where
    /// the route was not measured.
    pub fn alarms(&self, route: &str) -> Option<Estimate> {
        self.profiles.iter().find_map(|known| {
            let places: Vec<_> = known.profile.places.iter().filter(|place| place.route == route).collect();
            let compared = places.iter().map(|place| place.compared).max()?;
            let alone = places.iter().map(|place| place.alone).sum();
            Some(Estimate::new(alone, compared, CONFIDENCE))
        })
    }
}

impl Known {
    /// False where too little was compared, or this very exchange was and never differed there.
    fn may_differ(&self, place: &NoisyPlace, exchange: Id) -> bool {
        let profile = &self.profile;
        let own = profile.learned_from.iter().position(|id| *id == exchange);
        let was_steady = profile.compared_min >= COMPARED_MIN
            && !place.varied_in.is_empty()
            && own.is_some_and(|own| place.varied_in.iter().all(|&at| at as usize != own));
        place.compared >= COMPARED_MIN && place.differed > 0 && !was_steady
    }

    fn is_measured(&self, at: usize, value: Option<&Shown>, exchange: Id) -> bool {
        let place = &self.profile.places[at];
        if self.open[at] {
            return place.forms.iter().any(|form| is_of_form(form, value));
        }
        let digest = keyed(exchange, value_digest(value));
        place.values.binary_search(&digest).is_ok()
    }
}

/// True where new values keep coming.
fn is_open(place: &NoisyPlace) -> bool {
    let all_times = !place.forms.is_empty() && place.forms.iter().all(|form| is_time(&form.form));
    let once = Rate::new(place.once, place.seen).clopper_pearson(CONFIDENCE);
    place.seen > 0 && (all_times || once.low > ONCE_SHARE_MIN)
}

/// True where a value looks like what was seen, in length and size too.
fn is_of_form(seen: &SeenForm, value: Option<&Shown>) -> bool {
    if !fits(&seen.form, value) || value.is_some_and(|value| value.is_cut() && seen.form == crate::form::LONG) {
        return false;
    }
    if is_time(&seen.form) {
        return true;
    }
    let len = value.map_or(0, |value| value.len);
    let number = number_of(value);
    let bound = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
    match (number, bound(&seen.low), bound(&seen.high)) {
        (Some(number), Some(low), Some(high)) => Extent::new(low, high).has(number),
        (Some(_), ..) => false,
        (None, ..) => Extent::new(seen.len_min as f64, seen.len_max as f64).has(len as f64),
    }
}

/// A value's digest: the first eight bytes of the BLAKE3 of what is shown of it and of all of it.
fn value_digest(value: Option<&Shown>) -> u64 {
    let mut bytes = Vec::new();
    if let Some(shown) = value {
        bytes.extend_from_slice(&shown.len.to_le_bytes());
        bytes.extend_from_slice(shown.text.as_bytes());
        bytes.extend(shown.digest.iter().flat_map(|digest| digest.0));
    }
    first_eight(Digest::of(&bytes))
}

/// The digest of a value of one exchange: what another exchange answers is no noise of this one.
fn keyed(exchange: Id, value: u64) -> String {
    format!("{:016x}", first_eight(Digest::of(&[&exchange.0[..], &value.to_le_bytes()].concat())))
}

fn first_eight(digest: Digest) -> u64 {
    u64::from_le_bytes(digest.0[..8].try_into().expect("a digest has 32 bytes"))
}

#[cfg(test)]
mod tests;
