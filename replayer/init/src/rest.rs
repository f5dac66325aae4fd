//! Whether the service waits: all its threads sleep, and none of them has run while that was looked at.
//!
//! In: `/proc` of a container's own process name space. Out: yes, no, or that it cannot be seen. A thread that wakes another one
//! is still running when that one becomes so, so that work which passes from thread to thread is never between two of them.

use std::{collections::BTreeMap, fs, path::Path};

use wire::bridge::SeesRest;

/// Most threads that are looked at. A choice: each costs some 10 µs, and the bridge does nothing else meanwhile.
const THREADS_MAX: usize = 512;

/// What sees it, where this process is a child of its name space's first one and sees that name space's processes.
pub(crate) fn sees() -> SeesRest {
    let our_number = std::process::id().to_string();
    let is_our_proc = fs::read_link("/proc/self").is_ok_and(|found| found == Path::new(&our_number));
    if is_our_proc && std::os::unix::process::parent_id() == 1 { SeesRest::by(look) } else { SeesRest::default() }
}

fn look() -> Option<bool> {
    let Seen::Asleep(before) = threads()? else { return Some(false) };
    let Seen::Asleep(after) = threads()? else { return Some(false) };
    Some(before == after)
}

/// The threads that belong to the container's command and to us.
enum Seen {
    /// How often each has been switched to another one: who ran in between has been once more.
    Asleep(BTreeMap<i32, u64>),
    Busy,
}

/// Nothing where there are too many, or what `/proc` says makes no sense.
fn threads() -> Option<Seen> {
    let mut found = BTreeMap::new();
    let ourselves = i32::try_from(std::process::id()).ok()?;
    for process in numbers_in(Path::new("/proc"))? {
        // The bridge is what looks. Whoever has no parent in here was brought in by the engine, as its checks of health are, and
        // the relay, which is at work whenever we are.
        if process == ourselves || process != 1 && parent_of(process) == Some(0) {
            continue;
        }
        // What is gone by now does nothing any more.
        let Some(threads) = numbers_in(Path::new(&format!("/proc/{process}/task"))) else { continue };
        for thread in threads {
            let Ok(status) = fs::read_to_string(format!("/proc/{process}/task/{thread}/status")) else { continue };
            let (is_asleep, switches) = read(&status)?;
            if !is_asleep {
                return Some(Seen::Busy);
            }
            found.insert(thread, switches);
            if found.len() > THREADS_MAX {
                return None;
            }
        }
    }
    Some(Seen::Asleep(found))
}

fn numbers_in(folder: &Path) -> Option<Vec<i32>> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    Some(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn parent_of(process: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    field(&status, "PPid:")?.parse().ok()
}

/// Whether a thread waits, and how often it gave way, by its `status` (proc(5)). One that was stopped by its tracer or waits for a
/// disk goes on by itself, and so waits for nothing that could come from outside.
fn read(status: &str) -> Option<(bool, u64)> {
    let is_asleep = matches!(field(status, "State:")?.as_bytes().first()?, b'S' | b'T' | b'Z' | b'X');
    let switches = |name| field(status, name).map_or(Some(0), |count| count.parse::<u64>().ok());
    Some((is_asleep, switches("voluntary_ctxt_switches:")? + switches("nonvoluntary_ctxt_switches:")?))
}

fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_waits_when_it_sleeps_and_not_when_it_runs_or_is_held_by_its_tracer() {
        let status = |state: &str| {
            format!(
                "Name:\ta\nState:\t{state}\nPPid:\t0\nvoluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t4\n"
            )
        };
        assert_eq!(read(&status("S (sleeping)")), Some((true, 7)));
        for busy in ["R (running)", "D (disk sleep)", "t (tracing stop)"] {
            assert_eq!(read(&status(busy)), Some((false, 7)), "{busy}");
        }
        assert_eq!(read(""), None);
        assert_eq!(field(&status("S"), "PPid:"), Some("0"));
    }
}
