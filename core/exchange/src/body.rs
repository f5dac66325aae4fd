//! A body: which pieces of a file it is, and when each part of it passed.

use serde::{Deserialize, Serialize};

use crate::bytes_text;

/// One body as it was sent, content-encoding included, transfer framing (chunked) taken off.
///
/// The bytes themselves are pieces of the file that has the record; `parts` says which, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// What to put one after another to have the kept bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// How many bytes passed, in bytes as sent.
    #[serde(default)]
    pub len: u64,
    /// What one read delivered, and when. Offsets refer to the bytes as sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<Chunk>,
    /// Trailer fields of a chunked body, as on the socket, with their final blank line.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "bytes_text::as_text")]
    pub trailers: Vec<u8>,
    /// Why fewer bytes are kept than passed; `None` when all are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

impl Body {
    /// How many bytes are kept.
    pub fn kept_len(&self) -> u64 {
        self.parts.iter().map(|part| part.len).fold(0, u64::saturating_add)
    }

    /// True when every byte that passed is kept.
    pub fn is_whole(&self) -> bool {
        self.gap.is_none() && self.kept_len() == self.len
    }
}

/// Bytes of a body that stand in a row: one piece of the file whose record has the body. Written as `[piece, len]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u64)", into = "(u32, u64)")]
pub struct Part {
    /// Which of the files that were opened together has the piece: it is known to whoever reads, and not written.
    pub file: u32,
    /// The piece's number in that file.
    pub piece: u32,
    /// How many bytes the piece gives.
    pub len: u64,
}

impl From<(u32, u64)> for Part {
    fn from((piece, len): (u32, u64)) -> Self {
        Self { file: 0, piece, len }
    }
}

impl From<Part> for (u32, u64) {
    fn from(part: Part) -> Self {
        (part.piece, part.len)
    }
}

/// What one read delivered: it begins at `offset` and reaches to the next chunk's offset. Written as `[offset, at_ns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Chunk {
    /// Where in the body it begins, in bytes as sent.
    pub offset: u64,
    /// When it was read, in nanoseconds since the session's start.
    pub at_ns: u64,
}

impl From<(u64, u64)> for Chunk {
    fn from((offset, at_ns): (u64, u64)) -> Self {
        Self { offset, at_ns }
    }
}

impl From<Chunk> for (u64, u64) {
    fn from(chunk: Chunk) -> Self {
        (chunk.offset, chunk.at_ns)
    }
}

/// Why bytes that passed were not kept. What is missing is always at the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// The body was longer than the setting allows to keep.
    OverLimit,
    /// The recorder lagged behind, and the client was not made to wait for it.
    QueueFull,
    /// The store could not take it (full disk, read-only, gone).
    StoreFailed,
}
