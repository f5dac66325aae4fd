//! Explains bytes that nothing recorded begins with: the nearest turn, and the first byte that differs.

use std::{collections::BTreeMap, fmt::Write as _, ops::Bound};

use exchange::Id;

use super::{Equal, Place, resp};
use crate::{Distance, Nearest, likeness::shared_len};

/// Longest text shown of what was said, in characters. A choice: what fits on a line.
const SHOWN_CHARS_MAX: usize = 60;

/// How much is shown around the first byte that differs, in bytes: before and from it on. Choices.
const BEFORE_BYTES: usize = 8;
const FROM_BYTES: usize = 16;

/// What was said, for a reader: a command of Redis as its words, else as text with what is no text escaped.
pub fn shown(said: &[u8]) -> String {
    let words = resp::words_of(said);
    let text = match &words {
        Some(words) => words.iter().map(|word| escaped(word)).collect::<Vec<_>>().join(" "),
        None => escaped(said.trim_ascii_end()),
    };
    let more = text.chars().count() > SHOWN_CHARS_MAX;
    let text: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if more { text + "…" } else { text }
}

/// Bytes as text: what is ASCII as it is, everything else as `\r` or `\x00`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(SHOWN_CHARS_MAX + 1) {
        // Writing to a text cannot fail.
        let _infallible = write!(text, "{}", byte.escape_ascii());
    }
    text
}

/// A recorded turn that may be the nearest.
pub(super) struct Near<'a> {
    /// Its connection.
    pub(super) id: Id,
    /// Its number there, from 1.
    pub(super) number: usize,
    pub(super) asked: &'a [u8],
}

/// The recorded turn that shares the longest beginning with what was said.
pub(super) fn alike(turns: &BTreeMap<Vec<u8>, Equal>, said: &[u8]) -> Option<Place> {
    let before = turns.range::<[u8], _>((Bound::Unbounded, Bound::Included(said))).next_back();
    let after = turns.range::<[u8], _>((Bound::Excluded(said), Bound::Unbounded)).next();
    let nearest = before.into_iter().chain(after).max_by_key(|(asked, _)| shared_len(asked, said))?;
    nearest.1.all.first().copied()
}

/// Of these turns the one that shares the longest beginning with what was said, the first among equals.
pub(super) fn of<'a>(said: &[u8], turns: impl Iterator<Item = Near<'a>>) -> Option<Nearest> {
    let mut nearest: Option<Near<'a>> = None;
    for near in turns {
        if nearest.as_ref().is_none_or(|other| shared_len(near.asked, said) > shared_len(other.asked, said)) {
            nearest = Some(near);
        }
    }
    nearest.map(|Near { id, number, asked }| Nearest {
        id,
        title: format!("turn {number}, {}", shown(asked)),
        differences: vec![first_difference(asked, said)],
        differences_more: 0,
        distance: Distance::default(),
    })
}

fn first_difference(recorded: &[u8], said: &[u8]) -> String {
    let at = shared_len(recorded, said);
    let around = |bytes: &[u8]| {
        let (from, to) = (at.saturating_sub(BEFORE_BYTES), bytes.len().min(at + FROM_BYTES));
        let text = bytes.get(from..to).unwrap_or_default().escape_ascii().to_string();
        let (before, after) = (if from > 0 { "…" } else { "" }, if to < bytes.len() { "…" } else { "" });
        format!("\"{before}{text}{after}\"")
    };
    match (recorded.get(at), said.get(at)) {
        (Some(_), None) => format!("it ends after {at} bytes, recorded goes on: {}", around(recorded)),
        (None, _) => format!("byte {at}: recorded ends there, said {}", around(said)),
        (Some(_), Some(_)) => format!("byte {at}: recorded {}, said {}", around(recorded), around(said)),
    }
}
