//! Where answers of the same service to the same request differ: what is known of noise.
//!
//! In: the first answer and a later one, as they came. Out: the places, indices as `*`, whatever rules there are: a rule by
//! hand hides a difference, and does not say that there is none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    CallRequest, Change, Output, Route, Rules, Shown, call::compare_calls_with_lists,
    compare::compare_responses_with_lists, pointer::with_indices_as_stars,
};

/// Most places that are told of one pair of answers. A choice: beyond it, the answers have nothing in common.
const PLACES_LEN_MAX: usize = 100;
/// Most differences of one pair at one place whose values are kept. A choice: elements of one list look alike.
const SIGHTINGS_LEN_MAX: usize = 50;

/// A place at which answers differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// The place: a pointer, indices as `*`.
    pub pointer: String,
    /// In how many of the others it differed from the first.
    pub count: u64,
    /// The first one's value there, in the first pair that differed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one: Option<Shown>,
    /// The other one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Shown>,
    /// Both values of each difference of one pair at this place, the first ones; none of several pairs.
    #[serde(skip)]
    pub sightings: Vec<Sighting>,
    /// Of one pair, where the place has indices: what stands behind the stars.
    #[serde(skip)]
    pub inside: Inside,
}

/// What two answers have at one place; nothing standing there is a value too.
pub type Sighting = (Option<Shown>, Option<Shown>);

/// The elements behind a place with stars, in one pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Those that differ, each by its own pointer.
    pub elements: Vec<ElementApart>,
    /// The lists that the stars stand for, as far as something in them differs.
    pub lists: Vec<ListSeen>,
}

/// An element that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementApart {
    /// Where it is.
    pub pointer: String,
    /// True where it stands elsewhere in the other answer.
    pub moved: bool,
    /// Both values of each difference, the first ones.
    pub sightings: Vec<Sighting>,
}

/// A list in which something differs, or the members of an object whose keys are numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSeen {
    /// Where it is.
    pub pointer: String,
    /// How many elements it has in one answer.
    pub one: u64,
    /// And in the other.
    pub other: u64,
    /// Of an object: the keys that are in both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
}

/// The places at which `other` differs from `first`, each once, with count 1. Of the rules it counts alone how they read messages.
pub fn places_apart(first: &Output<'_>, other: &Output<'_>, route: &Route, rules: &Rules) -> Vec<Apart> {
    let (comparison, lists) = compare_responses_with_lists(first, other, &rules.reading_alone(), route);
    places_of(comparison.changes, &lists)
}

/// The places at which a call to a dependency differs from the first one in its place; `None` where they are not to be compared
/// ([`crate::compare_calls`]).
pub fn places_of_calls_apart(first: &CallRequest<'_>, other: &CallRequest<'_>, rules: &Rules) -> Option<Vec<Apart>> {
    let (changes, lists) = compare_calls_with_lists(first, other, &rules.reading_alone())?;
    Some(places_of(changes, &lists))
}

fn places_of(changes: Vec<Change>, lists: &[ListSeen]) -> Vec<Apart> {
    let mut places: Vec<Apart> = Vec::new();
    let mut elements: BTreeMap<String, usize> = BTreeMap::new();
    for change in changes {
        let pointer = with_indices_as_stars(&change.pointer);
        let at = places.iter().position(|place| place.pointer == pointer).or_else(|| {
            let (one, other) = (change.recorded.clone(), change.replayed.clone());
            let place = Apart { pointer, count: 1, one, other, sightings: Vec::new(), inside: Inside::default() };
            (places.len() < PLACES_LEN_MAX).then(|| places.push(place)).map(|()| places.len() - 1)
        });
        let Some(at) = at else { continue };
        let place = &mut places[at];
        let moved = change.replayed_pointer.is_some();
        let sighting = (change.recorded, change.replayed);
        if change.pointer != place.pointer {
            let known = &mut place.inside.elements;
            let element = *elements.entry(change.pointer.clone()).or_insert_with(|| {
                known.push(ElementApart { pointer: change.pointer, moved, sightings: Vec::new() });
                known.len() - 1
            });
            let element = &mut known[element];
            element.moved |= moved;
            push_bounded(&mut element.sightings, &sighting);
        }
        push_bounded(&mut place.sightings, &sighting);
    }
    let starred: Vec<(String, &ListSeen)> =
        lists.iter().map(|list| (format!("{}/*", with_indices_as_stars(&list.pointer)), list)).collect();
    for place in places.iter_mut().filter(|place| !place.inside.elements.is_empty()) {
        let is_inside =
            |list: &str| place.pointer.strip_prefix(list).is_some_and(|it| it.is_empty() || it.starts_with('/'));
        place.inside.lists =
            starred.iter().filter(|(list, _)| is_inside(list)).map(|(_, list)| (*list).clone()).collect();
    }
    places
}

fn push_bounded(sightings: &mut Vec<Sighting>, sighting: &Sighting) {
    if sightings.len() < SIGHTINGS_LEN_MAX {
        sightings.push(sighting.clone());
    }
}

/// Adds the places of one more pair.
pub fn add_places(places: &mut Vec<Apart>, more: Vec<Apart>) {
    for place in more {
        let has_room = places.len() < PLACES_LEN_MAX;
        match places.iter_mut().find(|known| known.pointer == place.pointer) {
            Some(known) => known.count += place.count,
            None if has_room => places.push(Apart { sightings: Vec::new(), inside: Inside::default(), ..place }),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use exchange::Head;

    use super::*;

    fn apart(one: &str, other: &str) -> Vec<Apart> {
        let head = Head::new("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_owned());
        let output = |body: &'static [u8]| Output { head: &head, body, complete: true, whole: true };
        let (one, other) = (one.to_owned().leak().as_bytes(), other.to_owned().leak().as_bytes());
        places_apart(&output(one), &output(other), &Route::default(), &Rules::strict())
    }

    #[test]
    fn a_place_is_told_once_however_many_indices_it_has() {
        let places = apart(r#"{"a":[{"id":1},{"id":2}],"b":1}"#, r#"{"a":[{"id":3},{"id":4}],"b":1}"#);
        assert_eq!(places.iter().map(|place| place.pointer.as_str()).collect::<Vec<_>>(), ["/a/*/id"]);
        assert_eq!(places[0].one.as_ref().unwrap().text, "1");
        let mut all = places.clone();
        add_places(&mut all, places);
        add_places(&mut all, apart(r#"{"b":1}"#, r#"{"b":2}"#));
        assert_eq!(all.iter().map(|place| place.count).collect::<Vec<_>>(), [2, 1]);
    }
}
