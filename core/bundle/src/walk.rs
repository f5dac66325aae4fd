//! Goes through a file block by block, by the headers alone.
//!
//! In: a file and the bytes of it that blocks should fill. Out: each block whose frame is what its header says, each piece
//! that is not, and where a tail begins that is no block. After damage it goes on at the next header that holds.

use std::{io, ops::Range};

use exchange::Digest;

use crate::{
    ReadAt,
    layout::{BlockHeader, FOOTER_LEN, HEADER_LEN, block_kind, find_block_magic},
};

/// Bytes searched at once for the next header.
const SEARCH_BYTES: u64 = 64 << 10;

/// What stands next in a file.
pub(crate) enum Step<'a> {
    /// A block whose header and frame hold.
    Block {
        /// Its header.
        header: BlockHeader,
        /// The whole block, header included.
        bytes: &'a [u8],
    },
    /// Bytes that are no whole block, with blocks after them.
    Damage {
        /// Which.
        range: Range<u64>,
        /// What is wrong with them.
        what: &'static str,
        /// The header, where that much can be trusted.
        header: Option<BlockHeader>,
    },
}

/// Where records end and a sealing begins, found while walking.
pub(crate) struct Bounds {
    /// Where the last block ends that is not part of a sealing, damaged ones included.
    pub(crate) records_end: u64,
    /// Where the manifest ends, when it was the last block.
    manifest_end: Option<u64>,
}

impl Bounds {
    /// Nothing found yet, from `start` on.
    pub(crate) fn from(start: u64) -> Self {
        Self { records_end: start, manifest_end: None }
    }

    /// Takes what stands next.
    pub(crate) fn take(&mut self, step: &Step<'_>) {
        let (end, kind) = match step {
            Step::Block { header, .. } => (header.end(), Some(header.kind)),
            Step::Damage { range, header, .. } => (range.end, header.map(|header| header.kind)),
        };
        let is_ending = kind.is_some_and(is_ending);
        self.records_end = if is_ending { self.records_end } else { end };
        self.manifest_end = (kind == Some(block_kind::MANIFEST)).then_some(end);
    }

    /// True when a tail has the place and the length of a footer: it was damaged, not cut off.
    pub(crate) fn is_footer(&self, tail: &Range<u64>) -> bool {
        self.manifest_end == Some(tail.start) && tail.end - tail.start >= FOOTER_LEN
    }
}

/// True for the blocks that sealing adds.
pub(crate) fn is_ending(kind: u8) -> bool {
    matches!(kind, block_kind::INDEX | block_kind::MANIFEST)
}

/// Goes through the blocks of `range`, and says where they end: before `range.end`, what follows is no block, or not all of one.
///
/// # Errors
/// The operating system's.
pub(crate) fn walk(
    file: &dyn ReadAt,
    range: Range<u64>,
    visit: &mut dyn FnMut(Step<'_>) -> io::Result<()>,
) -> io::Result<u64> {
    let mut at = range.start;
    let mut bytes = Vec::new();
    while at < range.end {
        let Some(header) = header_at(file, at, range.end)? else {
            let Some(next) = find_header(file, at + 1, range.end)? else { return Ok(at) };
            visit(Step::Damage { range: at..next, what: "this is no block", header: None })?;
            at = next;
            continue;
        };
        let end = header.end();
        if end > range.end {
            return Ok(at);
        }
        read_into(&mut bytes, file, at..end)?;
        if Digest::of(&bytes[HEADER_LEN as usize..]) == header.frame {
            visit(Step::Block { header, bytes: &bytes })?;
        } else if end == range.end && never_reached_the_disk(&bytes) {
            return Ok(at);
        } else {
            let what = "the block is not what was written";
            visit(Step::Damage { range: at..end, what, header: Some(header) })?;
        }
        at = end;
    }
    Ok(at)
}

/// True for a last block whose end is only zeros: a file system may keep a file's new length through a power loss and lose
/// what was written there.
fn never_reached_the_disk(block: &[u8]) -> bool {
    const ZEROS_MIN: usize = 64;
    let frame = &block[HEADER_LEN as usize..];
    let tail = &frame[frame.len().saturating_sub(ZEROS_MIN)..];
    !tail.is_empty() && tail.iter().all(|&byte| byte == 0)
}

fn header_at(file: &dyn ReadAt, at: u64, end: u64) -> io::Result<Option<BlockHeader>> {
    if end.saturating_sub(at) < HEADER_LEN {
        return Ok(None);
    }
    let mut bytes = [0; HEADER_LEN as usize];
    file.read_exact_at(&mut bytes, at)?;
    Ok(BlockHeader::read(&bytes, at))
}

/// Where the next header that holds begins, at or after `from`.
fn find_header(file: &dyn ReadAt, from: u64, end: u64) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    let mut at = from;
    while end.saturating_sub(at) >= HEADER_LEN {
        read_into(&mut bytes, file, at..end.min(at + SEARCH_BYTES + HEADER_LEN - 1))?;
        let mut searched = 0;
        while let Some(found) = find_block_magic(&bytes, searched) {
            let offset = at + found as u64;
            if BlockHeader::read(&bytes[found..], offset).is_some() {
                return Ok(Some(offset));
            }
            searched = found + 1;
        }
        at += SEARCH_BYTES;
    }
    Ok(None)
}

fn read_into(bytes: &mut Vec<u8>, file: &dyn ReadAt, range: Range<u64>) -> io::Result<()> {
    let len = usize::try_from(range.end - range.start).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(len, 0);
    file.read_exact_at(bytes, range.start)
}
