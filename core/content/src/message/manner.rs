//! How the events of a stream tell their message, beside what they say.
//!
//! Clients go by it: who looks at the type of each event sees none of those that have no line for it, and who puts calls of tools
//! where the events say finds none where they were.

use std::collections::BTreeMap;

use super::Piece;

/// How events tell a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Whether each event has a line with its type, which its data names as well; `None` where the format does without, or
    /// nothing came that could have one.
    pub is_named: Option<bool>,
    /// Whether each event has its number; `None` where the format does without.
    pub is_numbered: Option<bool>,
    /// By the index of each choice that has calls of tools: the index of the first of them.
    pub calls_from: BTreeMap<usize, usize>,
}

impl Manner {
    /// True where what both have they have in common, the lines for types aside, which are told by themselves.
    pub fn is_like(&self, other: &Self) -> bool {
        let differs = |one: Option<bool>, other: Option<bool>| one.zip(other).is_some_and(|(one, other)| one != other);
        let is_elsewhere = |(choice, first): (&usize, &usize)| {
            other.calls_from.get(choice).is_some_and(|other_first| other_first != first)
        };
        !differs(self.is_numbered, other.is_numbered) && !self.calls_from.iter().any(is_elsewhere)
    }
}

/// Whether all events have a line with their type, or none has: `None` where only some do, or a line says otherwise than the data.
pub(super) fn are_named(pieces: &[Piece]) -> Option<bool> {
    let is_named = pieces.first()?.event.is_some();
    let is_alike = |piece: &Piece| match &piece.event {
        Some(event) => is_named && piece.text("type") == Some(event),
        None => !is_named,
    };
    pieces.iter().all(is_alike).then_some(is_named)
}
