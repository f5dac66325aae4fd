//! What the targets of `fuzz/` need of this crate: readers that stand behind checks which no chance gets past, and files
//! whose checks hold, whatever is in them. There is nothing of it in an ordinary build.

use exchange::Digest;

use crate::{
    block::{BlockMaker, RawBlock, open_frame},
    index::Index,
    layout::{BlockHeader, Footer, HEADER_LEN, NEWEST, OPENING_LEN, block_kind, opening},
    manifest::{Counts, Manifest, Span},
    record::pieces_of,
    rows::Rows,
};

/// What a block holds.
#[derive(Clone, Debug)]
pub struct RawContent {
    /// Kind of the block.
    pub kind: u8,
    /// How many records or exchanges it says it has.
    pub count: u32,
    /// What its frame holds.
    pub raw: Vec<u8>,
}

/// Reads an index.
pub fn index(bytes: &[u8]) -> bool {
    Index::read(bytes).is_ok()
}

/// Reads exchanges by columns, each of them.
pub fn rows(count: u32, raw: &[u8]) -> usize {
    let Ok(rows) = Rows::of(raw, count) else { return 0 };
    (0..rows.len()).filter(|number| rows.get(raw, *number).is_ok()).count()
}

/// The blocks of a whole file.
pub fn blocks_of(file: &[u8]) -> Vec<RawContent> {
    let mut blocks = Vec::new();
    let mut at = OPENING_LEN as usize;
    while let Some(header) = file.get(at..).and_then(|rest| BlockHeader::read(rest, at as u64)) {
        let end = header.end() as usize;
        let frame = file.get(at + HEADER_LEN as usize..end);
        let Some(Ok(raw)) = frame.map(|frame| open_frame(&header, frame)) else { break };
        blocks.push(RawContent { kind: header.kind, count: header.record_count, raw });
        at = end;
    }
    blocks
}

/// A file of these blocks, sealed where one of kind index is the last: all of its checks hold.
pub fn file_of(blocks: &[RawContent]) -> Vec<u8> {
    let mut maker = BlockMaker::new().expect("zstd makes a context");
    let mut file = opening(NEWEST);
    let mut spans = vec![span(0, &file)];
    let mut first_piece = 0;
    let mut put = |file: &mut Vec<u8>, kind, count, raw: &[u8]| {
        let offset = file.len() as u64;
        let block = RawBlock { kind, offset, record_count: count, first_piece, raw, cuts: &[] };
        let bytes = maker.make(&block).expect("a block in memory is made");
        if kind == block_kind::RECORDS {
            first_piece += pieces_of(raw).len() as u32;
        }
        file.extend_from_slice(&bytes);
        span(offset, &bytes)
    };
    for block in blocks {
        spans.push(put(&mut file, block.kind, block.count, &block.raw));
    }
    if blocks.last().is_some_and(|block| block.kind == block_kind::INDEX) {
        let manifest = Manifest::new(Counts::default(), spans);
        let json = serde_json::to_vec(&manifest).expect("a manifest is JSON");
        let ending = put(&mut file, block_kind::MANIFEST, 0, &json);
        let digest = Digest::of(&json);
        let footer = Footer { manifest_offset: ending.offset, manifest_len: ending.len, digest };
        file.extend_from_slice(&footer.to_bytes());
    }
    file
}

fn span(offset: u64, bytes: &[u8]) -> Span {
    Span { offset, len: bytes.len() as u64, digest: Digest::of(bytes) }
}
