//! Whether an executable needs nothing but the kernel.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// Program header type of the interpreter's name (System V ABI, chapter 5).
const PT_INTERP: u32 = 3;

/// True for a 64-bit little-endian ELF file that names no interpreter: it runs in any image of this architecture.
pub fn is_static(path: &Path) -> bool {
    program_header_types(path).is_some_and(|types| !types.contains(&PT_INTERP))
}

/// The types of all program headers, or `None` where the file is no such ELF file.
fn program_header_types(path: &Path) -> Option<Vec<u32>> {
    let mut file = File::open(path).ok()?;
    let mut header = [0; 64];
    file.read_exact(&mut header).ok()?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table_at = u64::from_le_bytes(header[32..40].try_into().ok()?);
    let entry_len = usize::from(u16::from_le_bytes([header[54], header[55]]));
    let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
    let mut table = vec![0; entry_len * count];
    file.seek(SeekFrom::Start(table_at)).ok()?;
    file.read_exact(&mut table).ok()?;
    let entries = table.chunks_exact(entry_len.max(4));
    Some(entries.map(|entry| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_static_a_dynamic_program_is_not_and_a_text_is_no_program() {
        assert!(is_static(&std::env::current_exe().unwrap()));
        assert!(!is_static(Path::new("/bin/sh")));
        assert!(!is_static(Path::new("/etc/passwd")));
        assert!(!is_static(Path::new("/nonexistent")));
    }
}
