//! Where a writer's bytes go: a file, or in tests something that fails.

use std::{fs::File, io, os::unix::fs::FileExt};

/// A growing file.
pub(crate) trait Storage: Send {
    /// Writes all of `bytes` at `offset`. A failure may leave some of them there.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Returns when the content is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Storage for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
