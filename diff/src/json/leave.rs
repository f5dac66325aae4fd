//! A value without what rules cover.

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
