//! Which elements of a list vary: one that never does is not excused by its neighbours.
//!
//! In: by pair, the elements that differ and the lengths of the lists that they are in. Out: places. Where lists had one length in all
//! that was seen, each element that differed is a place of its own. Where lengths vary or elements move, an element is known by no
//! index, and all are one place with `*`, but only where each that was there often enough differed. What no longer fits is not measured.

use std::collections::{BTreeMap, BTreeSet};

use exchange::NoisyPlace;

use super::{
    COMPARED_MIN,
    learn::{Learned, Place, VALUES_LEN_MAX},
};
use crate::{Inside, ListSeen};

/// Most elements of a place that are measured each. A choice: a profile has at most 2,000 places.
const EACH_MAX: usize = 100;
/// Most elements of a place that are told apart, and most that are looked at to find one that never differed. Choices.
const ELEMENTS_LEN_MAX: usize = 4_000;
const LOOKED_AT_MAX: usize = 200_000;

/// The elements behind a place with stars.
#[derive(Debug, Default)]
pub(super) struct Elements {
    by_pointer: BTreeMap<String, Place>,
    /// What is known of each list in each exchange in which something in it differed.
    lists: BTreeMap<(usize, String), Lengths>,
    has_moved: bool,
    /// True where not all could be remembered.
    is_full: bool,
}

/// How many elements a list had in the answers to one exchange.
#[derive(Debug, Default)]
struct Lengths {
    /// In how many pairs so many were on both sides.
    both: BTreeMap<u64, u64>,
    /// Of an object: in how many pairs a key was on both sides.
    keys: BTreeMap<String, u64>,
    /// The first answer's.
    first: u64,
    shortest: Option<u64>,
    longest: u64,
    has_other_keys: bool,
    pairs: u64,
}

impl Lengths {
    fn add(&mut self, list: &ListSeen) {
        let both = list.one.min(list.other);
        match &list.keys {
            Some(keys) => {
                keys.iter().for_each(|key| *self.keys.entry(key.clone()).or_default() += 1);
                self.has_other_keys |= [list.one, list.other] != [keys.len() as u64; 2];
            }
            None => *self.both.entry(both).or_default() += 1,
        }
        self.first = self.first.max(list.one);
        self.shortest = Some(self.shortest.map_or(both, |shortest| shortest.min(both)));
        self.longest = self.longest.max(list.one).max(list.other);
        self.pairs += 1;
    }

    /// Each element that was on both sides, by its step, and in how many of `compared` pairs. In a pair that was not noted the list
    /// was equal to the first.
    fn there(&self, compared: u64) -> Vec<(String, u64)> {
        let equal = compared.saturating_sub(self.pairs);
        if !self.keys.is_empty() {
            return self.keys.iter().map(|(key, count)| (key.clone(), count + equal)).collect();
        }
        let len = self.both.keys().next_back().copied().unwrap_or_default().min(LOOKED_AT_MAX as u64);
        let count = |at: u64| self.both.range(at + 1..).map(|(_, count)| count).sum::<u64>();
        (0..len).map(|at| (at.to_string(), count(at) + if at < self.first { equal } else { 0 })).collect()
    }

    /// True where both had the same number of elements in all that was seen.
    fn is_even_with(&self, other: &Self) -> bool {
        let is_even = |it: &Self| it.shortest == Some(it.longest) && !it.has_other_keys;
        is_even(self) && is_even(other) && self.longest == other.longest && self.keys.keys().eq(other.keys.keys())
    }
}

/// The elements at which, or inside of which, something differed, each with the exchange.
#[derive(Debug, Default)]
pub(super) struct Varied(BTreeSet<(usize, String)>);

impl Varied {
    /// All of them.
    pub(super) fn of<'e>(elements: impl Iterator<Item = &'e Elements>) -> Self {
        let places = elements.flat_map(|elements| &elements.by_pointer);
        let each = |(pointer, place): (&String, &Place)| {
            place.varied_in.keys().map(|&exchange| (exchange, pointer.clone())).collect::<Vec<_>>()
        };
        Self(places.flat_map(each).collect())
    }

    /// True where an element differed in an exchange, or something inside of it.
    fn has(&self, exchange: usize, pointer: &str) -> bool {
        let inside = format!("{pointer}/");
        let next = self.0.range((exchange, inside.clone())..).next();
        self.0.contains(&(exchange, pointer.to_owned()))
            || next.is_some_and(|(at, next)| *at == exchange && next.starts_with(&inside))
    }
}

/// How often elements were there, in what was seen.
struct There {
    by_pointer: BTreeMap<String, u64>,
    /// True where one never differed that was there often enough to be measured.
    has_steady: bool,
}

impl Elements {
    /// Adds one pair of an exchange.
    pub(super) fn add(&mut self, exchange: usize, inside: &Inside, values_len: &mut usize) {
        self.is_full |= inside.elements.is_empty();
        for element in &inside.elements {
            let has_room = self.by_pointer.len() < ELEMENTS_LEN_MAX && *values_len < VALUES_LEN_MAX;
            if !has_room && !self.by_pointer.contains_key(&element.pointer) {
                self.is_full = true;
                continue;
            }
            self.has_moved |= element.moved;
            let place = self.by_pointer.entry(element.pointer.clone()).or_default();
            let len_before = place.varied_in.len();
            place.add(exchange, &element.sightings, values_len);
            *values_len += place.varied_in.len() - len_before;
        }
        for list in &inside.lists {
            let key = (exchange, list.pointer.clone());
            let is_more = !self.lists.contains_key(&key) || list.keys.is_some();
            if *values_len >= VALUES_LEN_MAX && is_more {
                self.is_full = true;
                continue;
            }
            *values_len += usize::from(!self.lists.contains_key(&key));
            let lengths = self.lists.entry(key).or_default();
            let keys_len_before = lengths.keys.len();
            lengths.add(list);
            *values_len += lengths.keys.len() - keys_len_before;
        }
    }

    /// The places that these elements make, beside the one of all of them.
    pub(super) fn conclude(
        self,
        (pointer, all): (String, Place),
        counts: NoisyPlace,
        (exchanges, varied): (&[Learned], &Varied),
    ) -> Vec<(NoisyPlace, Place)> {
        if self.is_full {
            return Vec::new();
        }
        let there = self.there(&pointer, &all, exchanges, varied);
        let is_even = self.is_even();
        if (is_even || there.has_steady) && self.by_pointer.len() <= EACH_MAX {
            let each = |(pointer, place): (String, Place)| {
                let often = there.by_pointer.get(&pointer).copied().unwrap_or_default().max(place.differed);
                let compared = if is_even { counts.compared } else { often };
                (NoisyPlace { pointer, compared, differed: place.differed, ..counts.clone() }, place)
            };
            return self.by_pointer.into_iter().map(each).collect();
        }
        let Some((differed, compared)) = self.least(&there).filter(|_| !there.has_steady) else { return Vec::new() };
        vec![(NoisyPlace { pointer, compared, differed, ..counts }, all)]
    }

    /// True where lists had one length each and no element moved.
    fn is_even(&self) -> bool {
        let mut firsts: BTreeMap<&str, &Lengths> = BTreeMap::new();
        let mut lists = self.lists.iter();
        !self.has_moved
            && lists.all(|((_, list), lengths)| firsts.entry(list.as_str()).or_insert(lengths).is_even_with(lengths))
    }

    /// Of the elements that were there often enough the one that differed in the smallest share, and of those the one that was there the
    /// least: how often it did, and was there.
    fn least(&self, there: &There) -> Option<(u64, u64)> {
        let often = there.by_pointer.iter().filter(|(_, there)| **there >= COMPARED_MIN);
        let counts = often.filter_map(|(pointer, there)| Some((self.by_pointer.get(pointer)?.differed, *there)));
        counts.map(|(differed, there)| (differed, there.max(differed))).min_by(|one, other| {
            let shares = (u128::from(one.0) * u128::from(other.1)).cmp(&(u128::from(other.0) * u128::from(one.1)));
            shares.then(one.1.cmp(&other.1))
        })
    }

    fn there(&self, pointer: &str, all: &Place, exchanges: &[Learned], varied: &Varied) -> There {
        let (root, steps) = pointer.split_once('/').unwrap_or((pointer, ""));
        let steps: Vec<&str> = steps.split('/').collect();
        let (mut by_pointer, mut has_steady) = (BTreeMap::<String, u64>::new(), false);
        let mut ever_varied = BTreeSet::new();
        let mut left = LOOKED_AT_MAX;
        for &exchange in all.varied_in.keys() {
            let mut found = Vec::new();
            let compared = exchanges[exchange].compared;
            self.find((exchange, compared), (root.to_owned(), compared), &steps, &mut left, &mut found);
            for (pointer, there) in found {
                let has_varied = varied.has(exchange, &pointer);
                has_steady |= there >= COMPARED_MIN && !has_varied;
                if has_varied {
                    ever_varied.insert(pointer.clone());
                }
                *by_pointer.entry(pointer).or_default() += there;
            }
        }
        has_steady |= left == 0;
        let mut often = by_pointer.iter().filter(|(_, there)| **there >= COMPARED_MIN);
        has_steady |= often.any(|(pointer, _)| !ever_varied.contains(pointer));
        if pointer.ends_with("/*") {
            // Whether an element is there at all was compared each time.
            let compared = all.varied_in.keys().map(|&exchange| exchanges[exchange].compared).sum();
            by_pointer.extend(self.by_pointer.keys().map(|pointer| (pointer.clone(), compared)));
        }
        There { by_pointer, has_steady }
    }

    /// The elements that an exchange had from a place on, and how often. A list in which nothing ever differed is one of them, its elements
    /// as `*`.
    fn find(
        &self,
        (exchange, compared): (usize, u64),
        (place, there): (String, u64),
        steps: &[&str],
        left: &mut usize,
        found: &mut Vec<(String, u64)>,
    ) {
        let Some((step, rest)) = steps.split_first() else {
            *left = left.saturating_sub(1);
            return found.push((place, there));
        };
        if *step != "*" {
            return self.find((exchange, compared), (format!("{place}/{step}"), there), rest, left, found);
        }
        let Some(lengths) = self.lists.get(&(exchange, place.clone())) else {
            *left = left.saturating_sub(1);
            return found.push((format!("{place}/{}", steps.join("/")), there));
        };
        for (step, often) in lengths.there(compared) {
            if *left == 0 {
                return;
            }
            self.find((exchange, compared), (format!("{place}/{step}"), there.min(often)), rest, left, found);
        }
    }
}
