//! How grave a difference is to whoever calls the service.
//!
//! In: a change. Out: whether it breaks callers, adds something, or gives another value.

use serde::{Deserialize, Serialize};

use crate::{Change, ChangeKind, pointer::is_number};

/// How grave a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// A caller that relies on what was there fails: another type, a missing member, another status, no whole answer.
    Breaking,
    /// Another value of the same kind, other text, more or fewer elements, other questions to dependencies.
    Changed,
    /// Something that was not there before: callers that read leniently do not notice.
    Additive,
}

impl Weight {
    /// Of a change.
    pub fn of(change: &Change) -> Self {
        let last = change.pointer.rsplit('/').next().unwrap_or_default();
        let is_element = change.pointer.contains('/') && is_number(last) && !change.numbered_key;
        let is_member = is_in_json(&change.pointer) && !is_element;
        match change.kind {
            _ if change.pointer == "status" => Self::Breaking,
            // Nobody who goes by the types of events sees one that has none.
            ChangeKind::Removed if matches!(change.pointer.as_str(), "sse:end" | "sse:event") => Self::Breaking,
            ChangeKind::TypeChanged => Self::Breaking,
            ChangeKind::Removed if is_member => Self::Breaking,
            ChangeKind::Added if is_member || change.pointer.starts_with("header:") => Self::Additive,
            _ => Self::Changed,
        }
    }

    /// The word for a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Breaking => "breaking",
            Self::Changed => "changed",
            Self::Additive => "additive",
        }
    }

    /// How surprising one such difference is in an answer of a service that has not changed, in bits: −log₂ of the share of such
    /// answers that would have it. Nobody has measured these shares (where they were measured, it is noise): 1 in 128, 1
    /// in 16 and 1 in 2 are choices.
    pub fn bits(self) -> f64 {
        match self {
            Self::Breaking => 7.0,
            Self::Changed => 4.0,
            Self::Additive => 1.0,
        }
    }
}

/// True for places in a body or in an event's data; the body as a whole is one.
fn is_in_json(pointer: &str) -> bool {
    pointer.is_empty() || pointer.starts_with('/') || pointer.starts_with("sse:/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callers_rely_on_breaks_them_and_what_is_new_does_not() {
        let weight = |pointer: &str, kind| Weight::of(&Change::at(pointer, kind));
        assert_eq!(weight("status", ChangeKind::Changed), Weight::Breaking);
        assert_eq!(weight("/a/b", ChangeKind::Removed), Weight::Breaking);
        assert_eq!(weight("/a/b", ChangeKind::TypeChanged), Weight::Breaking);
        assert_eq!(weight("sse:/a", ChangeKind::Removed), Weight::Breaking);
        assert_eq!(weight("", ChangeKind::Removed), Weight::Breaking);
        assert_eq!(weight("sse:end", ChangeKind::Removed), Weight::Breaking);
        assert_eq!(weight("sse:end", ChangeKind::Added), Weight::Changed);
        assert_eq!(weight("sse:event", ChangeKind::Removed), Weight::Breaking);
        assert_eq!(weight("sse:event", ChangeKind::Added), Weight::Changed);
        assert_eq!(weight("/a/0", ChangeKind::Removed), Weight::Changed);
        assert_eq!(weight("/a/0", ChangeKind::Added), Weight::Changed);
        assert_eq!(weight("/a", ChangeKind::Changed), Weight::Changed);
        assert_eq!(weight("header:etag", ChangeKind::Removed), Weight::Changed);
        assert_eq!(weight("/a/b", ChangeKind::Added), Weight::Additive);
        assert_eq!(weight("header:etag", ChangeKind::Added), Weight::Additive);
    }

    #[test]
    fn a_member_whose_key_is_a_number_is_no_element() {
        let weights = |one: &str, other: &str| -> Vec<Weight> {
            let comparison = crate::compare_documents(one.as_bytes(), other.as_bytes(), &crate::Rules::strict());
            comparison.changes.iter().map(Weight::of).collect()
        };
        let (both, one) = (r#"{"years":{"2024":7,"all":8}}"#, r#"{"years":{"all":8}}"#);
        assert_eq!(weights(both, one), [Weight::Breaking]);
        assert_eq!(weights(one, both), [Weight::Additive]);
        assert_eq!(weights("[1,\"a\"]", "[1]"), [Weight::Changed]);
    }
}
