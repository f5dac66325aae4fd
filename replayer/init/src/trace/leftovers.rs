//! What a service that was stopped may have left where the engine's list of changed files does not look: files in memory,
//! shared memory, queues.
//!
//! In: this name space's mounts and its System V objects, before the service starts and after it has ended. Out: the first
//! thing that is new. Only names are looked at: what was there before and has another content now is not seen.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Names that are read of one folder. A choice: a service that starts among more is not looked at there.
const NAMES_MAX: usize = 10_000;

/// System V's tables (proc(5)): a heading, then a line for each object.
const TABLES: [&str; 3] = ["/proc/sysvipc/msg", "/proc/sysvipc/sem", "/proc/sysvipc/shm"];

/// What was there at some time.
#[derive(Debug)]
pub(super) struct Leftovers(Vec<(PathBuf, BTreeSet<String>)>);

impl Leftovers {
    /// What is there now.
    pub(super) fn now() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        // A device that is mounted by itself is none, and reading one might never end.
        let folders = mounts.lines().filter_map(in_memory).map(PathBuf::from).filter(|folder| folder.is_dir());
        let all = folders.chain(TABLES.map(PathBuf::from));
        Self(all.filter_map(|place| Some((place.clone(), names_of(&place)?))).collect())
    }

    /// Something that is there now and was not then, if any.
    pub(super) fn new_since(&self) -> Option<String> {
        self.0.iter().find_map(|(place, before)| {
            let new = names_of(place)?.into_iter().find(|name| !before.contains(name))?;
            Some(match place.is_dir() {
                true => place.join(new).display().to_string(),
                false => format!("`{new}` of {}", place.display()),
            })
        })
    }
}

/// The folder of a mount that holds files in memory and may be written to: a line is source, folder, type and options.
fn in_memory(line: &str) -> Option<&str> {
    let mut words = line.split(' ').skip(1);
    let (folder, kind, options) = (words.next()?, words.next()?, words.next()?);
    let is_writable = options.split(',').any(|option| option == "rw");
    (is_writable && matches!(kind, "tmpfs" | "ramfs" | "mqueue")).then_some(folder)
}

/// The names in a folder, or the keys and numbers in a table; nothing where they cannot be read.
fn names_of(place: &Path) -> Option<BTreeSet<String>> {
    if place.is_dir() {
        let names: BTreeSet<_> = fs::read_dir(place)
            .ok()?
            .take(NAMES_MAX)
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        return (names.len() < NAMES_MAX).then_some(names);
    }
    let table = fs::read_to_string(place).ok()?;
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Some(table.lines().skip(1).filter(|line| !goes_by_itself(line)).take(NAMES_MAX).map(name).collect())
}

/// Shared memory that goes with the last process that has it, as the clock's does: its mode has `SHM_DEST` (linux/shm.h).
fn goes_by_itself(line: &str) -> bool {
    const TO_BE_DESTROYED: u32 = 0o1000;
    let mode = line.split_whitespace().nth(2).and_then(|mode| u32::from_str_radix(mode, 8).ok());
    mode.is_some_and(|mode| mode & TO_BE_DESTROYED != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_files_in_memory_is_told_from_its_mount() {
        let shm = "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k 0 0";
        assert_eq!(in_memory(shm), Some("/dev/shm"));
        assert_eq!(in_memory("mqueue /dev/mqueue mqueue rw,nosuid 0 0"), Some("/dev/mqueue"));
        for other in ["tmpfs /proc/acpi tmpfs ro,relatime 0 0", "overlay / overlay rw 0 0", "", "a", "a b"] {
            assert_eq!(in_memory(other), None, "{other}");
        }
    }

    #[test]
    fn shared_memory_that_is_to_be_destroyed_is_not_left_behind() {
        assert!(goes_by_itself("         0     229376  1644  4096 9012 9012      2     0"));
        assert!(!goes_by_itself("         0     229377   600  4096 9012 9012      0     0"));
        assert!(!goes_by_itself("") && !goes_by_itself("1 2 x"));
    }

    #[test]
    fn a_file_that_is_new_is_found_and_one_that_was_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old"), "").unwrap();
        let left = Leftovers(vec![(folder.path().to_owned(), names_of(folder.path()).unwrap())]);
        assert_eq!(left.new_since(), None);
        fs::write(folder.path().join("new"), "").unwrap();
        assert!(left.new_since().unwrap().ends_with("/new"));
    }
}
