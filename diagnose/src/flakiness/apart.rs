//! What kind of thing differs between two answers to one request.
//!
//! In: two answers. Out: for each place that differs, what its two values look like. A time looks like a time whatever its
//! field is called.

use std::collections::BTreeMap;

use content::json::Value;
use diff::{ChangeKind, Comparison};
use serde::{Deserialize, Serialize};

/// Two numbers differ in their last digits when their difference is at most this share of the larger: what adding in another
/// order does to single precision (2^-24 for each of some hundred steps).
const LAST_DIGITS: f64 = 1e-5;

/// Fewest hex digits that are an id and no word. A choice: `deadbeef` is the longest word in use.
const ID_DIGITS_MIN: usize = 12;

/// Two answers to one request, of which the second differs.
#[derive(Clone, Debug)]
pub struct AnswerPair<'a> {
    /// Method and path, what looks like an id as `*`.
    pub route: &'a str,
    /// True where the two ran on different hardware.
    pub across_hosts: bool,
    /// How they differ, no rule applied.
    pub comparison: Comparison,
    /// Both bodies, where they are JSON.
    pub bodies: Option<(Value, Value)>,
}

/// What the values at a place look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// Points in time.
    Time,
    /// Identifiers: uuids, long hex, a prefix and random letters.
    Identifier,
    /// The same elements, or members, in another order.
    Order,
    /// Numbers that differ in their last digits.
    LastDigits,
    /// Other numbers.
    Number,
    /// Texts.
    Text,
    /// Anything else.
    Other,
}

/// A place at which answers differ, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Method and path.
    pub route: String,
    /// The pointer, indices as `*`.
    pub pointer: String,
    /// What the values look like.
    pub kind: Kind,
    /// In how many pairs.
    pub count: u64,
    /// In how many of those the two ran on different hardware.
    pub across_hosts: u64,
    /// One value.
    pub one: String,
    /// The other.
    pub other: String,
}

/// The places of all pairs, the most frequent first.
pub fn places(pairs: &[AnswerPair<'_>]) -> Vec<Place> {
    let mut places: BTreeMap<(&str, String, Kind), Place> = BTreeMap::new();
    for pair in pairs {
        let mut seen: Vec<(String, Kind)> = Vec::new();
        for (pointer, kind, one, other) in found_in(pair) {
            if seen.contains(&(pointer.clone(), kind)) {
                continue;
            }
            seen.push((pointer.clone(), kind));
            let new = || Place {
                route: pair.route.to_owned(),
                pointer: pointer.clone(),
                kind,
                count: 0,
                across_hosts: 0,
                one,
                other,
            };
            let place = places.entry((pair.route, pointer.clone(), kind)).or_insert_with(new);
            place.count += 1;
            place.across_hosts += u64::from(pair.across_hosts);
        }
    }
    let mut places: Vec<Place> = places.into_values().collect();
    places.sort_by_key(|place| std::cmp::Reverse(place.count));
    places
}

/// Pointer, kind and both values of all that differs in a pair.
fn found_in(pair: &AnswerPair<'_>) -> Vec<(String, Kind, String, String)> {
    let mut found = Vec::new();
    if let Some((one, other)) = &pair.bodies {
        reordered(one, other, &mut String::new(), &mut found);
    }
    let orders: Vec<String> = found.iter().map(|(pointer, ..)| format!("{pointer}/")).collect();
    for change in &pair.comparison.changes {
        let pointer = diff::with_indices_as_stars(&change.pointer);
        if orders.iter().any(|order| format!("{pointer}/").starts_with(order.as_str())) {
            continue;
        }
        let text = |shown: &Option<diff::Shown>| shown.as_ref().map(|shown| shown.text.clone()).unwrap_or_default();
        let (one, other) = (text(&change.recorded), text(&change.replayed));
        let kind = match change.kind {
            ChangeKind::Changed => kind_of(&one, &other),
            _ => Kind::Other,
        };
        found.push((pointer, kind, one, other));
    }
    found
}

/// Arrays with equal elements in another order, and objects with equal members in another order.
fn reordered(one: &Value, other: &Value, pointer: &mut String, found: &mut Vec<(String, Kind, String, String)>) {
    let depth = pointer.len();
    match (one, other) {
        (Value::Array(these), Value::Array(those)) if these.len() == those.len() => {
            let sorted = |values: &[Value]| {
                let mut texts: Vec<String> = values.iter().map(canonical).collect();
                texts.sort_unstable();
                texts
            };
            if these != those && sorted(these) == sorted(those) {
                found.push((pointer.clone(), Kind::Order, one.to_compact_text(), other.to_compact_text()));
                return;
            }
            pointer.push_str("/*");
            these.iter().zip(those).for_each(|(one, other)| reordered(one, other, pointer, found));
        }
        (Value::Object(these), Value::Object(those)) => {
            let keys = |members: &[(String, Value)]| members.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
            let (mut here, mut there) = (keys(these), keys(those));
            if here != there {
                here.sort_unstable();
                there.sort_unstable();
                if here == there {
                    let names = |members: &[(String, Value)]| keys(members).join(", ");
                    found.push((format!("{pointer} (members)"), Kind::Order, names(these), names(those)));
                }
            }
            for (key, value) in these {
                if let Some(counterpart) = other.get(key) {
                    pointer.push('/');
                    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    reordered(value, counterpart, pointer, found);
                    pointer.truncate(depth);
                }
            }
        }
        _ => {}
    }
    pointer.truncate(depth);
}

fn canonical(value: &Value) -> String {
    let mut bytes = Vec::new();
    value.write_canonical(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What two values, as JSON or as text, look like.
pub fn kind_of(one: &str, other: &str) -> Kind {
    let bare = |text: &str| text.trim_matches('"').to_owned();
    let (one, other) = (bare(one), bare(other));
    if is_time(&one) && is_time(&other) {
        return Kind::Time;
    }
    if let (Ok(one), Ok(other)) = (one.parse::<f64>(), other.parse::<f64>()) {
        let is_near = (one - other).abs() <= LAST_DIGITS * one.abs().max(other.abs());
        return if is_near { Kind::LastDigits } else { Kind::Number };
    }
    if is_identifier(&one) && is_identifier(&other) {
        return Kind::Identifier;
    }
    Kind::Text
}

/// A number of seconds, milliseconds, microseconds or nanoseconds since 1970 from 2001 to 2100, or an RFC 3339 or HTTP date.
fn is_time(text: &str) -> bool {
    const FROM_S: f64 = 1e9;
    const TO_S: f64 = 4.1e9;
    if let Ok(number) = text.parse::<f64>() {
        return [1.0, 1e3, 1e6, 1e9].iter().any(|scale| (FROM_S * scale..TO_S * scale).contains(&number));
    }
    let digits_at = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_rfc3339 = digits_at(0..4) && text.get(4..5) == Some("-") && digits_at(5..7) && digits_at(8..10);
    let is_http = text.len() == 29 && text.ends_with(" GMT") && digits_at(5..7);
    is_rfc3339 || is_http
}

/// A uuid, long hex, or letters and digits mixed without a space, with or without a prefix such as `chatcmpl-`.
fn is_identifier(text: &str) -> bool {
    let core: String = text.rsplit(['_', ':']).next().unwrap_or_default().to_owned();
    let hex = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let is_hex = hex >= ID_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let mixed = core.rsplit('-').next().unwrap_or_default();
    let has = |test: fn(&u8) -> bool| mixed.bytes().any(|byte| test(&byte));
    let is_mixed = mixed.len() >= ID_DIGITS_MIN
        && mixed.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic);
    is_hex || is_mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_known_by_what_they_look_like() {
        assert_eq!(kind_of("1764182073", "1764182074"), Kind::Time);
        assert_eq!(kind_of("1764182073.25", "1764182074.5"), Kind::Time);
        assert_eq!(kind_of("\"2026-11-26T20:00:00Z\"", "\"2026-11-26T20:00:01Z\""), Kind::Time);
        assert_eq!(kind_of("Thu, 26 Nov 2026 20:00:00 GMT", "Thu, 26 Nov 2026 20:00:01 GMT"), Kind::Time);
        let uuids = ["\"0b1e7a52-6a0c-4a3e-8f2f-0d9c6a1b2c3d\"", "\"5f1e7a52-6a0c-4a3e-8f2f-0d9c6a1b2c3e\""];
        assert_eq!(kind_of(uuids[0], uuids[1]), Kind::Identifier);
        assert_eq!(kind_of("\"chatcmpl-9aBcD3fGhIjK1mN0\"", "\"chatcmpl-8aBcD3fGhIjK1mN9\""), Kind::Identifier);
        assert_eq!(kind_of("0.30000001", "0.30000002"), Kind::LastDigits);
        assert_eq!(kind_of("0.3", "0.7"), Kind::Number);
        assert_eq!(kind_of("\"yes, of course\"", "\"no\""), Kind::Text);
        assert_eq!(kind_of("\"international\"", "\"constantinople\""), Kind::Text);
    }

    #[test]
    fn elements_and_members_in_another_order_are_an_order_and_nothing_below_is_told() {
        let value = |text: &str| content::json::parse(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        reordered(
            &value(r#"{"a":[{"x":1},{"x":2}],"b":{"k":1,"l":2}}"#),
            &value(r#"{"a":[{"x":2},{"x":1}],"b":{"l":2,"k":1}}"#),
            &mut String::new(),
            &mut found,
        );
        let places: Vec<_> = found.iter().map(|(pointer, kind, ..)| (pointer.as_str(), *kind)).collect();
        assert_eq!(places, [("/a", Kind::Order), ("/b (members)", Kind::Order)]);
    }
}
