//! Where the bytes of a bundle are read: a file, or whatever else gives ranges of bytes, as object storage does.

use std::{fs::File, io, os::unix::fs::FileExt};

/// Bytes that can be read by ranges, and do not change while they are read.
pub trait ReadAt: Send + Sync {
    /// How many there are now.
    ///
    /// # Errors
    /// Those of the place.
    fn len(&self) -> io::Result<u64>;

    /// Fills `bytes` with those that begin at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` where there are not as many; those of the place.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// True where there are none.
    ///
    /// # Errors
    /// As [`ReadAt::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl ReadAt for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }
}
