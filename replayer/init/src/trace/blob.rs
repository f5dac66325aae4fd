//! What is put into a program's vDSO (`blob/vdso.rs`), and where in it things are.

/// The bytes, which `scripts/blobs` builds.
pub(super) const BLOB: &[u8] = include_bytes!("../../blob/vdso.bin");

/// Length of the block at the start, in bytes: four numbers, the first of which is where the program has mapped its clock.
const BLOCK_LEN: usize = 32;

/// Entries of the table behind the block: the functions, and the instruction that makes a call.
const FUNCTION_COUNT: usize = 4;

/// One of the functions that it stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    ClockGettime,
    Gettimeofday,
    Time,
    Getrandom,
}

impl Function {
    /// By its name in the vDSO, which each has with `__vdso_` before it and some also without.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name.strip_prefix(b"__vdso_").unwrap_or(name) {
            b"clock_gettime" => Some(Self::ClockGettime),
            b"gettimeofday" => Some(Self::Gettimeofday),
            b"time" => Some(Self::Time),
            b"getrandom" => Some(Self::Getrandom),
            _ => None,
        }
    }

    /// True for what reads a clock.
    pub(super) fn is_clock(self) -> bool {
        self != Self::Getrandom
    }

    /// Where it is in the blob.
    pub(super) fn offset(self) -> u64 {
        entry(self as usize)
    }
}

/// Where in the blob the instruction is that makes a call.
pub(super) fn call_offset() -> u64 {
    entry(FUNCTION_COUNT)
}

fn entry(index: usize) -> u64 {
    let at = BLOCK_LEN + 4 * index;
    let offset = BLOB.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    offset.map_or(0, |bytes| u64::from(u32::from_le_bytes(bytes)))
}

/// The whole of it for one program. The originals are counted from its start, 0 where there is none to be used.
pub(super) fn filled(original_clock_gettime: i64, original_gettimeofday: i64, holds_monotonic: bool) -> Vec<u8> {
    let mut bytes = BLOB.to_vec();
    bytes[8..16].copy_from_slice(&original_clock_gettime.to_le_bytes());
    bytes[16..24].copy_from_slice(&original_gettimeofday.to_le_bytes());
    bytes[24..32].copy_from_slice(&i64::from(holds_monotonic).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use super::*;

    #[test]
    fn each_function_begins_within_the_blob_and_no_two_at_the_same_place() {
        use Function::{ClockGettime, Getrandom, Gettimeofday, Time};
        let mut offsets = [ClockGettime, Gettimeofday, Time, Getrandom].map(Function::offset);
        offsets.sort_unstable();
        let call = usize::try_from(call_offset()).unwrap();
        assert_eq!((call, &BLOB[call..call + 2]), (BLOCK_LEN + 4 * (FUNCTION_COUNT + 1), &[0x0f, 0x05][..]));
        assert!(offsets[0] > call as u64 && offsets[3] < BLOB.len() as u64, "{offsets:?}");
        assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "{offsets:?}");
        assert_eq!(BLOB[..BLOCK_LEN], [0; BLOCK_LEN]);
        assert_eq!(Function::named(b"__vdso_time"), Some(Time));
        assert_eq!(Function::named(b"__vdso_getcpu"), None);
    }

    /// Only where the very compiler is there that built what is committed.
    #[test]
    fn what_is_committed_is_what_the_sources_give() {
        let blobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("blob");
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/blobs");
        let built = Command::new(script).arg(folder.path()).output().unwrap();
        let read = |name: &str| (std::fs::read(folder.path().join(name)), std::fs::read(blobs.join(name)).unwrap());
        let (Ok(tools), committed) = read("built-by.txt") else {
            return eprintln!("skipped: the blobs cannot be built here: {}", String::from_utf8_lossy(&built.stderr));
        };
        if tools != committed {
            return eprintln!("skipped: the blobs were built by another compiler");
        }
        let names = std::fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for name in names.filter(|name| name.ends_with(".bin") || name.ends_with(".so")) {
            let (built, committed) = read(&name);
            assert!(built.unwrap() == committed, "run scripts/blobs: `{name}` is not what its source gives");
        }
    }
}
