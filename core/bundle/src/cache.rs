//! Decompressed blocks kept for the next reading: a body's and those of the exchanges around it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    layout::{BlockHeader, block_kind},
    record::{RawRecord, pieces_of, record_at},
    rows::Rows,
};

/// Bytes kept at most, before compression, and at least one block. A choice: what the history of a long conversation is
/// spread over.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// A block, decompressed.
pub(crate) struct Block {
    /// What its frame holds.
    pub(crate) raw: Vec<u8>,
    /// Where its pieces' headers begin, in order.
    pieces: Vec<u32>,
    /// Its exchanges, where it has such.
    pub(crate) rows: Option<Rows>,
}

impl Block {
    /// The block with this header that holds these records.
    ///
    /// # Errors
    /// A text that says what is wrong with its exchanges.
    pub(crate) fn of(header: &BlockHeader, raw: Vec<u8>) -> Result<Self, String> {
        if header.kind == block_kind::EXCHANGES {
            let rows = Rows::of(&raw, header.record_count)?;
            return Ok(Self { raw, pieces: Vec::new(), rows: Some(rows) });
        }
        let pieces = pieces_of(&raw);
        Ok(Self { raw, pieces, rows: None })
    }

    /// What it takes in memory, in bytes, about.
    fn bytes(&self) -> usize {
        self.raw.len() + self.rows.as_ref().map_or(0, Rows::bytes)
    }

    /// Its piece of this number, from 0.
    pub(crate) fn piece(&self, number: u32) -> Option<RawRecord<'_>> {
        record_at(&self.raw, *self.pieces.get(number as usize)?)
    }
}

/// The blocks that were read last.
#[derive(Default)]
pub(crate) struct KeptBlocks {
    /// The last one first.
    blocks: Mutex<Vec<(BlockKey, Arc<Block>)>>,
}

/// Number of the file, and where in it the block begins.
pub(crate) type BlockKey = (usize, u64);

impl KeptBlocks {
    /// The block `key`, read by `read` where it is not kept. Readers of several blocks do not wait for each other.
    pub(crate) fn get<E>(&self, key: BlockKey, read: impl FnOnce() -> Result<Block, E>) -> Result<Arc<Block>, E> {
        if let Some(block) = self.kept(key) {
            return Ok(block);
        }
        let block = Arc::new(read()?);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.insert(0, (key, Arc::clone(&block)));
        let mut bytes = 0;
        let kept = blocks.iter().take_while(|(_, block)| {
            bytes += block.bytes();
            bytes <= KEPT_BYTES_MAX
        });
        let kept = kept.count().max(1);
        blocks.truncate(kept);
        Ok(block)
    }

    fn kept(&self, key: BlockKey) -> Option<Arc<Block>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let found = blocks.iter().position(|(other, _)| *other == key)?;
        blocks[..=found].rotate_right(1);
        Some(Arc::clone(&blocks[0].1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(raw: Vec<u8>) -> Block {
        Block { raw, pieces: Vec::new(), rows: None }
    }

    #[test]
    fn the_blocks_read_last_are_not_read_again() {
        let blocks = KeptBlocks::default();
        let read = |offset: u64| {
            let mut was_read = false;
            let block = blocks.get((0, offset), || {
                was_read = true;
                Ok::<_, ()>(block(vec![offset as u8; KEPT_BYTES_MAX / 4]))
            });
            assert_eq!(block.unwrap().raw[0], offset as u8);
            was_read
        };
        assert_eq!([1, 2, 3, 4].map(read), [true; 4]);
        assert_eq!([1, 5, 1, 3, 4].map(read), [false, true, false, false, false]);
        assert!(read(2));
    }

    #[test]
    fn a_block_that_is_larger_than_all_that_is_kept_is_kept_alone() {
        let blocks = KeptBlocks::default();
        let large = |()| Ok::<_, ()>(block(vec![0; KEPT_BYTES_MAX + 1]));
        blocks.get((0, 1), || large(())).unwrap();
        assert!(blocks.kept((0, 1)).is_some());
    }
}
