//! The manifest of a sealed file: digests of all bytes before it. Its own digest is the bundle's.

use std::ops::Range;

use exchange::Digest;
use serde::{Deserialize, Serialize};

use crate::layout::{NEWEST, OPENING_LEN};

/// How many records of each kind a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Exchanges.
    pub exchanges: u64,
    /// Pieces: what bodies are put together from.
    pub pieces: u64,
    /// All records, exchanges and pieces included.
    pub records: u64,
    /// Bytes of all pieces as they are written, before compression.
    pub piece_bytes: u64,
}

/// One piece of the file and its digest. Written as `[offset, len, blake3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, Digest)", into = "(u64, u64, Digest)")]
pub(crate) struct Span {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// BLAKE3 of its bytes.
    pub(crate) digest: Digest,
}

impl Span {
    /// Its bytes, end excluded.
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.len)
    }
}

impl From<(u64, u64, Digest)> for Span {
    fn from((offset, len, digest): (u64, u64, Digest)) -> Self {
        Self { offset, len, digest }
    }
}

impl From<Span> for (u64, u64, Digest) {
    fn from(span: Span) -> Self {
        (span.offset, span.len, span.digest)
    }
}

/// What the manifest's JSON says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The format as `[major, minor]`, as in the opening.
    pub(crate) format: (u16, u16),
    /// Version of the tool that sealed it.
    pub(crate) tool_version: String,
    /// What it holds.
    pub(crate) counts: Counts,
    /// Every byte before the manifest: the opening, each block, and the index as the last.
    pub(crate) spans: Vec<Span>,
}

impl Manifest {
    /// The manifest of a file of these pieces.
    pub(crate) fn new(counts: Counts, spans: Vec<Span>) -> Self {
        let tool_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: (NEWEST.major, NEWEST.minor), tool_version, counts, spans }
    }

    /// True when the pieces are opening, blocks and index, and fill the file up to `end` without gap or overlap.
    pub(crate) fn covers(&self, end: u64) -> bool {
        let mut at = 0;
        for span in &self.spans {
            if span.offset != at || span.len == 0 {
                return false;
            }
            at = span.range().end;
        }
        at == end && self.spans.len() >= 2 && self.spans[0].len == OPENING_LEN
    }

    /// The piece that begins at `offset`. The pieces are in order.
    pub(crate) fn span_at(&self, offset: u64) -> Option<&Span> {
        let found = self.spans.binary_search_by_key(&offset, |span| span.offset).ok()?;
        Some(&self.spans[found])
    }

    /// The index's piece.
    pub(crate) fn index_span(&self) -> Option<&Span> {
        self.spans.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(pieces: &[(u64, u64)]) -> Manifest {
        let digest = Digest::of(b"");
        let spans = pieces.iter().map(|&(offset, len)| Span { offset, len, digest }).collect();
        Manifest::new(Counts::default(), spans)
    }

    #[test]
    fn a_gap_an_overlap_and_an_early_end_are_noticed() {
        assert!(manifest(&[(0, 40), (40, 100), (140, 9)]).covers(149));
        assert!(!manifest(&[(0, 40), (41, 99)]).covers(140));
        assert!(!manifest(&[(0, 40), (39, 101)]).covers(140));
        assert!(!manifest(&[(0, 40), (40, 100)]).covers(141));
        assert!(!manifest(&[(0, 41), (41, 99)]).covers(140));
        assert!(!manifest(&[(0, 40), (40, 0), (40, u64::MAX)]).covers(39));
    }
}
