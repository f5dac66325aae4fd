//! JSON values compared member by member, and cut down to what rules leave.
//!
//! In: two values and the rules for them. Out: one difference for each place, members in the order of their keys, so that
//! the order in which a document has them never matters. Numbers are compared as written, unless a rule says how near they need to be. Of a document that was cut, the
//! part that is there is compared (`cut`). Which elements of two arrays belong together is decided in `elements`, and where some are calls of tools in `runs`.

mod cut;
mod elements;
mod leave;
mod print;
mod runs;
mod walk;

pub(crate) use cut::parse_cut;
pub(crate) use leave::{canonical_digest, without};
pub(crate) use runs::in_order;
pub(crate) use walk::{Document, compare};

/// Any JSON value of a few levels, for properties.
#[cfg(test)]
pub(crate) fn any_value() -> impl proptest::strategy::Strategy<Value = content::json::Value> {
    use content::json::Value;
    use proptest::prelude::*;

    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?".prop_map(Value::Number),
        "[ab é~/*\"\\\\\n]{0,6}".prop_map(Value::String),
    ];
    scalar.prop_recursive(4, 40, 6, |below| {
        let members = prop::collection::btree_map("[a-e~/*]{0,2}", below.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(below, 0..6).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
