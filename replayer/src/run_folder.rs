//! The temporary folder of one replay, and those that killed replays left.
//!
//! A folder is locked for as long as its replay lives; the kernel releases the lock however that ends. A service that does not end with
//! its replay by itself is named in it.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use host::owner_of;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

const PREFIX: &str = "retake-run-";

/// Names the service, as [`owner_of`] writes a process.
const SERVICE_FILE: &str = "service";

/// How old an empty folder is that nobody has locked, before it counts as left, in nanoseconds: it is made a moment before it is
/// locked, and filled after that. A choice: an hour.
const UNLOCKED_NS_MIN: u64 = 3_600_000_000_000;

/// A folder that only this user can enter. It is removed when it is dropped.
pub(crate) struct RunFolder {
    folder: TempDir,
    _lock: File,
}

impl RunFolder {
    /// Makes one where temporary files go.
    pub(crate) fn make() -> io::Result<Self> {
        Self::make_in(&std::env::temp_dir())
    }

    fn make_in(parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::open(folder.path())?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Names a process that leads a group of its own, and is to end when this replay is killed; where the kernel does not tell enough
    /// of it to know it again, nothing is named.
    pub(crate) fn name_service(&self, pid: u32) -> io::Result<()> {
        owner_of(pid).map_or(Ok(()), |service| fs::write(self.path().join(SERVICE_FILE), service))
    }
}

/// A service that a dead replay left running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftService(Pid);

impl LeftService {
    /// The one that is named in the folder of a dead replay; nothing where it has ended, and its number is another's or nobody's.
    pub fn of(folder: &Path) -> Option<Self> {
        let named = fs::read_to_string(folder.join(SERVICE_FILE)).ok()?;
        let pid: u32 = named.split_once(':')?.0.parse().ok()?;
        let is_it = owner_of(pid).is_some_and(|found| found == named);
        Pid::from_raw(i32::try_from(pid).ok()?).filter(|_| is_it).map(Self)
    }

    /// Ends it, and what it started in its group.
    ///
    /// # Errors
    /// Where it is not ours to end.
    pub fn end(self) -> io::Result<()> {
        match kill_process_group(self.0, Signal::KILL) {
            // It has ended by now.
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Folders of this user in `parent`, where temporary files go, whose replays are dead; `now_unix_ns` is the time. By name.
///
/// # Errors
/// Where `parent` cannot be listed.
pub fn dead_run_folders(parent: &Path, now_unix_ns: u64) -> io::Result<Vec<PathBuf>> {
    let mut dead = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        // One that cannot be looked at, or is gone by now, is somebody else's.
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && is_dead(&entry.path(), now_unix_ns).unwrap_or(false)
        {
            dead.push(entry.path());
        }
    }
    dead.sort_unstable();
    Ok(dead)
}

fn is_dead(path: &Path, now_unix_ns: u64) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(false);
    }
    let changed_ns = u64::try_from(metadata.mtime()).unwrap_or_default().saturating_mul(1_000_000_000);
    let is_empty = fs::read_dir(path)?.next().is_none();
    if is_empty && now_unix_ns.saturating_sub(changed_ns) < UNLOCKED_NS_MIN {
        return Ok(false);
    }
    match File::open(path)?.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_that_a_dead_replay_left_is_ended_with_its_group_and_no_other_of_its_number() {
        use std::{
            io::{BufRead as _, BufReader},
            os::unix::process::CommandExt as _,
            process::{Command, Stdio},
        };
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::make_in(parent.path()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]).process_group(0).stdout(Stdio::piped());
        let mut service = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(service.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child: u32 = line.trim().parse().unwrap();
        folder.name_service(service.id()).unwrap();
        assert!(owner_of(child).is_some());
        // As if its number were another's by now, also since the machine was started anew.
        let file = folder.path().join(SERVICE_FILE);
        let named = fs::read_to_string(&file).unwrap();
        let (process, place) = named.split_once('@').unwrap();
        for other in
            [format!("{}:1@{place}", service.id()), format!("{process}@another-boot/1"), service.id().to_string()]
        {
            fs::write(&file, other).unwrap();
            assert_eq!(LeftService::of(folder.path()), None);
        }
        fs::write(&file, named).unwrap();
        LeftService::of(folder.path()).unwrap().end().unwrap();
        assert!(!service.wait().unwrap().success());
        // Whoever adopts it may not have reaped it yet.
        let stat = || fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        while !stat().is_empty() && !stat().contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(LeftService::of(folder.path()), None);
    }

    #[test]
    fn the_folder_of_a_dead_replay_is_found_and_that_of_one_that_lives_or_begins_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let living = RunFolder::make_in(parent.path()).unwrap();
        let left = parent.path().join("retake-run-killed");
        fs::create_dir(&left).unwrap();
        fs::create_dir(parent.path().join("others")).unwrap();
        let filled = parent.path().join("retake-run-filled");
        fs::create_dir_all(filled.join("run")).unwrap();
        fs::create_dir(living.path().join("run")).unwrap();
        std::os::unix::fs::symlink(&left, parent.path().join("retake-run-link")).unwrap();
        let made_ns = u64::try_from(fs::metadata(&left).unwrap().mtime()).unwrap() * 1_000_000_000;
        assert_eq!(
            dead_run_folders(parent.path(), made_ns + 3_500_000_000_000).unwrap(),
            std::slice::from_ref(&filled)
        );
        assert_eq!(
            dead_run_folders(parent.path(), made_ns + 3_700_000_000_000).unwrap(),
            [filled.clone(), left.clone()]
        );
        // A lock goes with whoever had it.
        let was = living.path().to_owned();
        let RunFolder { folder, _lock } = living;
        drop(_lock);
        let mut all = vec![filled, left, was];
        all.sort();
        assert_eq!(dead_run_folders(parent.path(), made_ns + 3_700_000_000_000).unwrap(), all);
        drop(folder);
    }
}
