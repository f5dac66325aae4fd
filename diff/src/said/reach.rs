//! Two messages as far as the one goes whose stream ended before it was whole.
//!
//! In: both, and which places of the one were unfinished. Out: the other without what could have come there yet. Only what the one
//! has decides: a text that goes on otherwise, or another value, stays a difference.

use std::collections::BTreeSet;

use content::{
    canonical::VALUES_MAX,
    json::{self, Value},
    message::{Step, Unfinished},
};

use crate::json::parse_cut;

/// The member that tells what went wrong: never one that could have come yet.
pub(super) const ERROR: &str = "error";

/// Takes out of `other` what could have come in `one` yet.
pub(super) fn cut_to_reach(one: &mut Value, other: &mut Value, unfinished: &Unfinished) {
    for place in &unfinished.changes {
        remove(one, place);
        remove(other, place);
    }
    let mut places: Vec<&[Step]> = unfinished.goes_on.iter().map(Vec::as_slice).collect();
    places.sort_unstable();
    let errors = [take_error(one), take_error(other)];
    around(one, other, &places, Step::Key(""));
    for (value, error) in [one, other].into_iter().zip(errors) {
        if let (Value::Object(members), Some(error)) = (value, error) {
            members.push((ERROR.to_owned(), error));
        }
    }
}

fn take_error(value: &mut Value) -> Option<Value> {
    let Value::Object(members) = value else { return None };
    let at = members.iter().position(|(key, _)| key == ERROR)?;
    Some(members.remove(at).1)
}

fn remove(value: &mut Value, place: &[Step]) {
    match (value, place) {
        (Value::Object(members), [Step::Key(key)]) => members.retain(|(name, _)| name != key),
        (value, [step, rest @ ..]) => {
            if let Some(inner) = below(value, *step) {
                remove(inner, rest);
            }
        }
        (_, []) => {}
    }
}

fn below(value: &mut Value, step: Step) -> Option<&mut Value> {
    match (value, step) {
        (Value::Object(members), Step::Key(key)) => {
            members.iter_mut().find(|(name, _)| name == key).map(|(_, member)| member)
        }
        (Value::Array(elements), Step::Index(at)) => elements.get_mut(at),
        _ => None,
    }
}

/// What stands around these places, in their order, which is at `here` itself, may have more in it.
fn around(one: &mut Value, other: &mut Value, places: &[&[Step]], here: Step) {
    if places.iter().any(|place| place.is_empty()) {
        return text(one, other, here);
    }
    match (&mut *one, &mut *other) {
        (Value::Object(members), Value::Object(others)) => {
            let keys = |members: &[(String, Value)]| members.iter().map(|(key, _)| key.clone()).collect();
            let known: BTreeSet<String> = keys(others);
            members.retain(|(key, value)| !says_nothing_yet(value) || !known.contains(key));
            let said: BTreeSet<String> = keys(members);
            others.retain(|(key, _)| said.contains(key));
        }
        (Value::Array(elements), Value::Array(others)) => others.truncate(elements.len()),
        _ => return,
    }
    for places in places.chunk_by(|one, other| one[0] == other[0]) {
        let inner: Vec<&[Step]> = places.iter().map(|place| &place[1..]).collect();
        if let (Some(one), Some(other)) = (below(one, places[0][0]), below(other, places[0][0])) {
            around(one, other, &inner, places[0][0]);
        }
    }
}

fn says_nothing_yet(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A text that was still being written, as arguments of a call are too: those are JSON, however it is written.
fn text(one: &mut Value, other: &mut Value, here: Step) {
    let Value::String(begun) = &*one else { return };
    match &mut *other {
        Value::String(whole) if whole.starts_with(begun.as_str()) => return whole.clone_from(begun),
        _ => {}
    }
    let Some((begun, open)) = parse_cut(begun.as_bytes(), VALUES_MAX) else { return };
    // Whether all of it is a text or an object is the format's, and a difference where it is not.
    let whole = match (here, &*other) {
        (Step::Key("arguments"), Value::String(text)) => json::parse_limited(text.as_bytes(), VALUES_MAX).ok(),
        (Step::Key("input"), value @ Value::Object(_)) => Some(value.clone()),
        _ => None,
    };
    if let Some(mut whole @ Value::Object(_)) = whole {
        let begun = begun.root().to_value();
        cut(&begun, &mut whole, open);
        let is_text = matches!(other, Value::String(_));
        let written = |value: Value| if is_text { Value::String(value.to_compact_text()) } else { value };
        (*one, *other) = (written(begun), written(whole));
    }
}

/// Takes out of a whole document what the beginning of one has not, of which so many values, from the root down the last ones,
/// were cut off.
fn cut(begun: &Value, whole: &mut Value, open: usize) {
    let Some(open) = open.checked_sub(1) else { return };
    match (begun, whole) {
        (Value::Object(members), Value::Object(others)) => {
            let said: BTreeSet<&String> = members.iter().map(|(key, _)| key).collect();
            others.retain(|(key, _)| said.contains(key));
            if let Some((key, value)) = members.last()
                && let Some((_, other)) = others.iter_mut().find(|(name, _)| name == key)
            {
                cut(value, other, open);
            }
        }
        (Value::Array(elements), Value::Array(others)) => {
            others.truncate(elements.len());
            if let (Some(element), Some(other)) = (elements.last(), others.get_mut(elements.len().saturating_sub(1))) {
                cut(element, other, open);
            }
        }
        (Value::String(text), Value::String(other)) if other.starts_with(text.as_str()) => other.clone_from(text),
        _ => {}
    }
}
