//! The service's processes and threads, as far as they are known.

use std::{collections::BTreeMap, fs, io};

use super::{entropy::Lineage, memory::Memory};
use crate::system;

/// One process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) lineage: Lineage,
    pub(super) memory: Memory,
    /// Its vDSO where that was redirected: its address and length.
    pub(super) vdso: Option<(u64, u64)>,
    /// Readings of the time stamp counter so far.
    pub(super) tsc_count: u64,
}

impl Process {
    pub(super) fn new(pid: i32, lineage: Lineage) -> Self {
        Self { lineage, memory: Memory::of(pid), vdso: None, tsc_count: 0 }
    }

    /// True for an address within its vDSO.
    pub(super) fn is_in_vdso(&self, address: u64) -> bool {
        self.vdso.is_some_and(|(start, len)| (start..start + len).contains(&address))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Processes {
    /// Each thread's process, by their numbers.
    threads: BTreeMap<i32, i32>,
    by_number: BTreeMap<i32, Process>,
}

impl Processes {
    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    pub(super) fn knows(&self, thread: i32) -> bool {
        self.threads.contains_key(&thread)
    }

    pub(super) fn process_of(&self, thread: i32) -> Option<i32> {
        self.threads.get(&thread).copied()
    }

    pub(super) fn numbers(&self) -> Vec<i32> {
        self.by_number.keys().copied().collect()
    }

    /// The process that a new thread is one of, where that is its maker or, with none named, one that is known.
    ///
    /// As a rule that is so, and asking is cheaper than reading it from `/proc`.
    pub(super) fn of_new(&self, thread: i32, maker: Option<i32>) -> Option<i32> {
        let is_its = |process: &i32| system::has_thread(*process, thread);
        match maker {
            Some(maker) => Some(maker).filter(is_its),
            None => self.by_number.keys().copied().find(is_its),
        }
    }

    pub(super) fn get(&mut self, process: i32) -> Option<&mut Process> {
        self.by_number.get_mut(&process)
    }

    pub(super) fn of_thread(&mut self, thread: i32) -> Option<&mut Process> {
        let process = self.process_of(thread)?;
        self.get(process)
    }

    pub(super) fn add_thread(&mut self, thread: i32, process: i32) {
        self.threads.insert(thread, process);
    }

    pub(super) fn add(&mut self, pid: i32, process: Process) {
        self.threads.insert(pid, pid);
        self.by_number.insert(pid, process);
    }

    /// A thread is over, and with its process's first thread the process; true for that.
    pub(super) fn remove(&mut self, thread: i32) -> bool {
        self.threads.remove(&thread);
        self.by_number.remove(&thread).is_some()
    }

    /// A thread runs another program, which leaves it the process's only one and gives it the process's number.
    pub(super) fn keep_only(&mut self, pid: i32) {
        self.threads.retain(|thread, of| *of != pid || *thread == pid);
        self.threads.insert(pid, pid);
    }
}

/// All that this process traces, known or not yet.
pub(super) fn traced_by_this_process() -> Vec<i32> {
    let ours = format!("TracerPid:\t{}\n", std::process::id());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_ours = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| text.contains(&ours));
    numbers.filter(is_ours).collect()
}

/// The process that a thread belongs to, and that process's parent.
pub(super) fn identity(thread: i32) -> io::Result<(i32, i32)> {
    let status = fs::read_to_string(format!("/proc/{thread}/status"))?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok()).ok_or(io::ErrorKind::InvalidData)
    };
    Ok((number("Tgid:")?, number("PPid:")?))
}
