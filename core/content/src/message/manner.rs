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
    /// Of members of blocks, as far as any came: whether they came in pieces rather than whole with the beginning of the block.
    pub in_pieces: BTreeMap<&'static str, bool>,
}

impl Manner {
    /// True where what both have they have in common, the lines for types aside, which are told by themselves.
    pub fn is_like(&self, other: &Self) -> bool {
        let differs = |one: Option<bool>, other: Option<bool>| one.zip(other).is_some_and(|(one, other)| one != other);
        !differs(self.is_numbered, other.is_numbered)
            && agree(&self.calls_from, &other.calls_from)
            && agree(&self.in_pieces, &other.in_pieces)
    }

    /// Notes that a member came in pieces or whole; `None` where another one of the name came the other way.
    pub(super) fn note(&mut self, member: &'static str, is_in_pieces: bool) -> Option<()> {
        (*self.in_pieces.entry(member).or_insert(is_in_pieces) == is_in_pieces).then_some(())
    }
}

/// True where what stands on both sides is the same.
fn agree<K: Ord, V: PartialEq>(one: &BTreeMap<K, V>, other: &BTreeMap<K, V>) -> bool {
    one.iter().all(|(key, value)| other.get(key).is_none_or(|other| other == value))
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
