//! Where answers of the same service to the same request differ: what is known of noise.
//!
//! In: the first answer and a later one, as they came. Out: the places, indices as `*`, whatever rules there are: a rule by
//! hand hides a difference, and does not say that there is none.

use serde::{Deserialize, Serialize};

use crate::{
    CallRequest, Change, Output, Route, Rules, Shown, call::compare_calls, compare_responses,
    pointer::with_indices_as_stars,
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
    pub sightings: Vec<(Option<Shown>, Option<Shown>)>,
}

/// The places at which `other` differs from `first`, each once, with count 1. Of the rules it counts alone how they read messages.
pub fn places_apart(first: &Output<'_>, other: &Output<'_>, route: &Route, rules: &Rules) -> Vec<Apart> {
    places_of(compare_responses(first, other, &rules.reading_alone(), route).changes)
}

/// The places at which a call to a dependency differs from the first one in its place; `None` where they are not to be compared
/// ([`compare_calls`]).
pub fn places_of_calls_apart(first: &CallRequest<'_>, other: &CallRequest<'_>, rules: &Rules) -> Option<Vec<Apart>> {
    compare_calls(first, other, &rules.reading_alone()).map(places_of)
}

fn places_of(changes: Vec<Change>) -> Vec<Apart> {
    let mut places: Vec<Apart> = Vec::new();
    for change in changes {
        let pointer = with_indices_as_stars(&change.pointer);
        let sighting = (change.recorded, change.replayed);
        let has_room = places.len() < PLACES_LEN_MAX;
        match places.iter_mut().find(|place| place.pointer == pointer) {
            Some(known) if known.sightings.len() < SIGHTINGS_LEN_MAX => known.sightings.push(sighting),
            None if has_room => {
                let (one, other) = sighting.clone();
                places.push(Apart { pointer, count: 1, one, other, sightings: vec![sighting] });
            }
            Some(_) | None => {}
        }
    }
    places
}

/// Adds the places of one more pair.
pub fn add_places(places: &mut Vec<Apart>, more: Vec<Apart>) {
    for place in more {
        let has_room = places.len() < PLACES_LEN_MAX;
        match places.iter_mut().find(|known| known.pointer == place.pointer) {
            Some(known) => known.count += place.count,
            None if has_room => places.push(Apart { sightings: Vec::new(), ..place }),
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
