//! Decompressed blocks kept for the next reading: a body's and those of the exchanges around it.

use std::sync::{Arc, Mutex, PoisonError};

/// Blocks kept at most, each of at most 8 MiB. A choice: an exchange and its two bodies, and one more.
const BLOCKS_KEPT: usize = 4;

/// The blocks that were read last.
#[derive(Default)]
pub(crate) struct KeptBlocks {
    /// The last one first.
    blocks: Mutex<Vec<(BlockKey, Arc<Vec<u8>>)>>,
}

/// Number of the file, and where in it the block begins.
pub(crate) type BlockKey = (usize, u64);

impl KeptBlocks {
    /// The block `key`, read by `read` where it is not kept. Readers of several blocks do not wait for each other.
    pub(crate) fn get<E>(&self, key: BlockKey, read: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Arc<Vec<u8>>, E> {
        if let Some(block) = self.kept(key) {
            return Ok(block);
        }
        let block = Arc::new(read()?);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.truncate(BLOCKS_KEPT - 1);
        blocks.insert(0, (key, Arc::clone(&block)));
        Ok(block)
    }

    fn kept(&self, key: BlockKey) -> Option<Arc<Vec<u8>>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let found = blocks.iter().position(|(other, _)| *other == key)?;
        blocks[..=found].rotate_right(1);
        Some(Arc::clone(&blocks[0].1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_read_last_are_not_read_again() {
        let blocks = KeptBlocks::default();
        let read = |offset: u64| {
            let mut was_read = false;
            let block = blocks.get((0, offset), || {
                was_read = true;
                Ok::<_, ()>(offset.to_le_bytes().to_vec())
            });
            assert_eq!(*block.unwrap(), offset.to_le_bytes());
            was_read
        };
        assert_eq!([1, 2, 3, 4].map(read), [true; 4]);
        assert_eq!([1, 5, 1, 3, 4].map(read), [false, true, false, false, false]);
        assert!(read(2));
    }
}
