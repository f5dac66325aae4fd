//! A file that has no name: nobody else reaches it, and it is gone when it is closed, however the program ends.

use std::{fs::File, io};

use rustix::fs::{MemfdFlags, memfd_create};

/// Most bytes that are kept in memory. A choice: most cases are smaller, and those with an image are not.
const MEMORY_BYTES_MAX: u64 = 64 << 20;

/// A new file for at most `len_max` bytes: in memory where they are few, else in the folder for temporary files (`TMPDIR`),
/// of mode 0600 and without a name.
pub(crate) fn private_file(len_max: u64) -> io::Result<File> {
    if len_max <= MEMORY_BYTES_MAX {
        return Ok(File::from(memfd_create("retake", MemfdFlags::CLOEXEC)?));
    }
    tempfile::tempfile()
}
