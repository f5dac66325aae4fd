//! Learns from answers that should have been alike.
//!
//! In: the places at which a later answer differs from the first one to the same request. Out: what was seen there, by route
//! and place, in bounded memory: what no longer fits is not measured, and so nothing is hidden there.

use std::collections::BTreeMap;

use exchange::{Id, NoiseProfile, NoisyPlace, SeenForm};

use super::{
    elements::{Elements, Varied},
    extent::Ends,
    is_open, keyed, value_digest,
};
use crate::{
    Apart, Shown, Sighting,
    form::{form_of, number_of},
    pointer::is_starred,
};

/// Values remembered of all places while learning. A choice: some tens of megabytes.
pub(super) const VALUES_LEN_MAX: usize = 600_000;
/// Values remembered of one place while learning. A choice: by then it is plain whether new ones keep coming.
const VALUES_OF_PLACE_MAX: usize = 20_000;
/// Values named in a profile, of one place and of all. Choices: a record has at most 4 MiB.
const VALUES_NAMED_OF_PLACE_MAX: usize = 2_000;
const VALUES_NAMED_MAX: usize = 40_000;
/// Forms told apart at one place. A choice: a place with more has none.
const FORMS_LEN_MAX: usize = 30;
/// Places in a profile, and positions of exchanges named in all of it. Choices, as above.
const PLACES_LEN_MAX: usize = 2_000;
const POSITIONS_MAX: usize = 200_000;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct NoiseLearner {
    exchanges: Vec<Learned>,
    by_id: BTreeMap<Id, usize>,
    places: BTreeMap<(String, String), Place>,
    /// Of places with stars: what stands behind these.
    elements: BTreeMap<(String, String), Elements>,
    values_len: usize,
    /// True where each answer is held against one of its own, and not all against the first.
    is_of_pairs: bool,
}

#[derive(Debug)]
pub(super) struct Learned {
    id: Id,
    route: String,
    pub(super) compared: u64,
}

/// What was seen at a place. Exchanges are their positions.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) differed: u64,
    /// In which exchanges, and how often.
    pub(super) varied_in: BTreeMap<usize, u64>,
    /// What the first answers had here, and how often another one differed from it.
    firsts: BTreeMap<(usize, u64), (Sight, u64)>,
    /// What others had here.
    others: BTreeMap<(usize, u64), (Sight, u64)>,
    /// True where not all could be remembered.
    pub(super) is_full: bool,
}

/// What a value looks like.
#[derive(Clone, Debug)]
struct Sight {
    form: String,
    len: u64,
    number: Option<f64>,
}

impl Sight {
    fn of(value: Option<&Shown>) -> Self {
        Self { form: form_of(value), len: value.map_or(0, |value| value.len), number: number_of(value) }
    }
}

impl NoiseLearner {
    /// Learns from pairs, each of two answers of its own.
    pub fn of_pairs() -> Self {
        Self { is_of_pairs: true, ..Self::default() }
    }

    /// Adds an answer: where it differs from the first one to the same exchange; or a call, where it differs from the first one in
    /// the place of the same recorded call, with [`crate::CallRequest::route`]. One with another status is another answer, of
    /// which nothing is learned.
    pub fn add(&mut self, exchange: Id, route: &str, places: &[Apart]) {
        if places.iter().any(|place| place.pointer == "status") {
            return;
        }
        let next = self.exchanges.len();
        let at = *self.by_id.entry(exchange).or_insert(next);
        if at == next {
            self.exchanges.push(Learned { id: exchange, route: route.to_owned(), compared: 0 });
        }
        self.exchanges[at].compared += 1;
        for apart in places {
            let place = self.places.entry((route.to_owned(), apart.pointer.clone())).or_default();
            place.add(at, &apart.sightings, &mut self.values_len);
            if is_starred(&apart.pointer) {
                let elements = self.elements.entry((route.to_owned(), apart.pointer.clone())).or_default();
                elements.add(at, &apart.inside, &mut self.values_len);
            }
        }
    }

    /// True where no answer was added.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// The places so far, by their counts alone.
    pub fn places(&self) -> Vec<NoisyPlace> {
        let of_route = compared_by_route(&self.exchanges);
        let place = |((route, pointer), place): (&(String, String), &Place)| NoisyPlace {
            route: route.clone(),
            pointer: pointer.clone(),
            compared: of_route.get(route.as_str()).map_or(0, |(compared, _)| *compared),
            differed: place.differed,
            ..NoisyPlace::default()
        };
        self.places.iter().take(PLACES_LEN_MAX).map(place).collect()
    }

    /// What was learned of this version, in these runs.
    pub fn conclude(self, version: String, runs: Vec<Id>) -> NoiseProfile {
        let Self { exchanges, places, mut elements, is_of_pairs, .. } = self;
        let (mut values_left, mut positions_left) = (VALUES_NAMED_MAX, POSITIONS_MAX);
        let of_route = compared_by_route(&exchanges);
        let varied = Varied::of(elements.values());
        let mut noisy: Vec<NoisyPlace> = Vec::new();
        for ((route, pointer), place) in places.into_iter().take(PLACES_LEN_MAX) {
            let (compared, exchanges_of_route) = of_route.get(route.as_str()).copied().unwrap_or_default();
            let counts = NoisyPlace { route, compared, differed: place.differed, ..NoisyPlace::default() };
            let elements = elements.remove(&(counts.route.clone(), pointer.clone()));
            let found = match elements {
                Some(elements) => elements.conclude((pointer, place), counts, (&exchanges, &varied)),
                None => vec![(NoisyPlace { pointer, ..counts }, place)],
            };
            for (mut counts, place) in found {
                if place.varied_in.len() < exchanges_of_route {
                    counts.varied_in.extend(place.varied_in.keys().filter_map(|&at| u32::try_from(at).ok()));
                }
                let measured = place.measured(counts, &exchanges, is_of_pairs);
                let fits = measured.values.len() <= values_left && measured.varied_in.len() <= positions_left;
                if fits && noisy.len() < PLACES_LEN_MAX {
                    values_left -= measured.values.len();
                    positions_left -= measured.varied_in.len();
                    noisy.push(measured);
                }
            }
        }
        NoiseProfile {
            version,
            places: noisy,
            compared_min: exchanges.iter().map(|learned| learned.compared).min().unwrap_or_default(),
            learned_from: exchanges.iter().map(|it| it.id).take(NoiseProfile::LEARNED_FROM_LEN_MAX).collect(),
            runs,
        }
    }
}

/// How many answers were compared on each route, and to how many exchanges.
fn compared_by_route(exchanges: &[Learned]) -> BTreeMap<&str, (u64, usize)> {
    let mut of_route: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
    for learned in exchanges {
        let (compared, count) = of_route.entry(&learned.route).or_default();
        *compared += learned.compared;
        *count += 1;
    }
    of_route
}

/// These values, each once.
fn distinct(values: Vec<&Option<Shown>>) -> impl Iterator<Item = Option<&Shown>> {
    let by_digest: BTreeMap<u64, Option<&Shown>> =
        values.into_iter().map(|value| (value_digest(value.as_ref()), value.as_ref())).collect();
    by_digest.into_values()
}

/// Remembers a value of an exchange; how many more are remembered now.
fn note(
    values: &mut BTreeMap<(usize, u64), (Sight, u64)>,
    exchange: usize,
    value: Option<&Shown>,
    is_full: &mut bool,
    all_len: usize,
) -> usize {
    let has_room = values.len() < VALUES_OF_PLACE_MAX && all_len < VALUES_LEN_MAX;
    let key = (exchange, value_digest(value));
    if let Some((_, count)) = values.get_mut(&key) {
        *count += 1;
        return 0;
    }
    if !has_room {
        *is_full = true;
        return 0;
    }
    values.insert(key, (Sight::of(value), 1));
    1
}

impl Place {
    /// Adds what differed here in one answer to an exchange.
    pub(super) fn add(&mut self, exchange: usize, sightings: &[Sighting], values_len: &mut usize) {
        self.differed += 1;
        *self.varied_in.entry(exchange).or_default() += 1;
        // A value that one answer has in several elements or events was seen once.
        let (ones, others): (Vec<_>, Vec<_>) = sightings.iter().map(|(one, other)| (one, other)).unzip();
        for one in distinct(ones) {
            *values_len += note(&mut self.firsts, exchange, one, &mut self.is_full, *values_len);
        }
        for other in distinct(others) {
            *values_len += note(&mut self.others, exchange, other, &mut self.is_full, *values_len);
        }
    }

    /// What these values come to.
    fn measured(self, counts: NoisyPlace, exchanges: &[Learned], is_of_pairs: bool) -> NoisyPlace {
        let Self { firsts, others, is_full, varied_in, .. } = self;
        let mut values: BTreeMap<(usize, u64), (Sight, u64)> = others;
        for ((exchange, digest), (sight, differed)) in firsts {
            // The first answer had it, and each that did not differ.
            let had = (exchanges[exchange].compared + 1).saturating_sub(differed).max(1);
            let had = if is_of_pairs { differed } else { had };
            values.entry((exchange, digest)).or_insert((sight, 0)).1 += had;
        }
        let mut by_value: BTreeMap<u64, u64> = BTreeMap::new();
        let mut forms: BTreeMap<String, Seen> = BTreeMap::new();
        for ((_, digest), (sight, count)) in &values {
            *by_value.entry(*digest).or_default() += count;
            forms.entry(sight.form.clone()).or_default().add(sight, *count);
        }
        let once = by_value.values().filter(|count| **count == 1).count() as u64;
        // Of a pair that did not differ both had one value, whichever it was.
        let alike: u64 =
            varied_in.iter().map(|(at, differed)| 2 * exchanges[*at].compared.saturating_sub(*differed)).sum();
        let seen = by_value.values().sum::<u64>() + if is_of_pairs { alike } else { 0 };
        let forms: Vec<(String, Seen)> = forms.into_iter().collect();
        let named = if forms.len() <= FORMS_LEN_MAX { forms.iter().map(Seen::named).collect() } else { Vec::new() };
        let mut place = NoisyPlace { seen, once, forms: named, ..counts };
        if is_open(&place) {
            let by_form: u64 = forms.iter().map(|(_, seen)| seen.alone()).sum();
            place.alone = by_form.min(seen);
        } else if !is_full && values.len() <= VALUES_NAMED_OF_PLACE_MAX {
            place.alone = values.values().filter(|(_, count)| *count == 1).count() as u64;
            place.values = values.keys().map(|(exchange, digest)| keyed(exchanges[*exchange].id, *digest)).collect();
            place.values.sort_unstable();
        } else {
            place.alone = seen;
        }
        place
    }
}

/// Values of one form.
#[derive(Debug, Default)]
struct Seen {
    count: u64,
    lens: Ends,
    numbers: Ends,
}

impl Seen {
    fn add(&mut self, sight: &Sight, count: u64) {
        self.count += count;
        self.lens.add(sight.len as f64, count);
        if let Some(number) = sight.number {
            self.numbers.add(number, count);
        }
    }

    fn named((form, seen): &(String, Self)) -> SeenForm {
        let (len_min, len_max) = seen.lens.extent().unwrap_or_default();
        let numbers = seen.numbers.extent();
        SeenForm {
            form: form.clone(),
            count: seen.count,
            len_min: len_min as u64,
            len_max: len_max as u64,
            low: numbers.map(|(low, _)| low.to_string()),
            high: numbers.map(|(_, high)| high.to_string()),
        }
    }

    /// How many of these values the others would not cover.
    fn alone(&self) -> u64 {
        if self.count == 1 {
            return 1;
        }
        if self.numbers.extent().is_some() { self.numbers.alone() } else { self.lens.alone() }
    }
}
