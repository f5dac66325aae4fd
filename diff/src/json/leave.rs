//! A value without what rules cover, and whether two values are equal.

use content::json::Value;
use exchange::Digest;

use crate::pointer::{Cover, Step};

/// A copy without what rules cover; `None` when one covers the value itself. `path` and `cover` are those of the value. Members go, elements go and those
/// behind them move up. `taken` is told of each place: the rule's number, the path, the value.
pub(crate) fn without<'v>(
    value: &'v Value,
    path: &mut Vec<Step<'v>>,
    cover: &mut Cover<'_>,
    taken: &mut impl FnMut(usize, &[Step<'v>], &'v Value),
) -> Option<Value> {
    if let Some(rule_at) = cover.rule() {
        taken(rule_at, path, value);
        return None;
    }
    let mut below = |step: Step<'v>, value: &'v Value| {
        path.push(step);
        cover.enter(&step);
        let kept = without(value, path, cover, taken);
        cover.leave();
        path.pop();
        kept
    };
    Some(match value {
        Value::Array(elements) => {
            let kept = elements.iter().enumerate().filter_map(|(at, element)| below(Step::Index(at), element));
            Value::Array(kept.collect())
        }
        Value::Object(members) => {
            let kept = members.iter().filter_map(|(key, member)| Some((key.clone(), below(Step::Key(key), member)?)));
            Value::Object(kept.collect())
        }
        scalar => scalar.clone(),
    })
}

/// The digest of a value's canonical form.
pub(crate) fn canonical_digest(value: &Value) -> Digest {
    let mut canonical = Vec::new();
    value.write_canonical(&mut canonical);
    Digest::of(&canonical)
}

/// True when the canonical forms are equal: the order of members does not matter.
pub(crate) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
            let same_order = one.iter().zip(other).all(|((one, _), (other, _))| one == other);
            if same_order {
                return one.iter().zip(other).all(|((_, one), (_, other))| equal(one, other));
            }
            let (one, other) = (by_key(one), by_key(other));
            one.iter().zip(&other).all(|(one, other)| one.0 == other.0 && equal(one.1, other.1))
        }
        _ => one == other,
    }
}

/// The members sorted by their keys' bytes, as the canonical form has them.
pub(super) fn by_key(members: &[(String, Value)]) -> Vec<(&str, &Value)> {
    let mut sorted: Vec<_> = members.iter().map(|(key, value)| (key.as_str(), value)).collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    sorted
}
