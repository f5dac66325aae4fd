//! What is done to a program that is just about to run: its vDSO's functions and its random bytes.

use std::io;

use wire::bridge::{Monotonic, Virtual, WallClock};

use super::{
    blob::{self, Function},
    memory::Memory,
    processes::Process,
    vdso::{self, Plan},
};
use crate::{
    clock::Clock,
    plant::{self, Plant},
    system::{own, ptrace},
};

/// Entries of the list that the kernel puts on a program's stack (getauxval(3)).
const AT_NULL: u64 = 0;
const AT_IGNORE: u64 = 1;
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;

/// The code segment of a 64-bit program (asm/segment.h).
const CODE_64_BIT: u64 = 0x33;

/// More arguments than any program is started with: the kernel takes 6 MiB of arguments at most (execve(2)).
const WORDS_MAX: u64 = 6 << 20;

/// Which controls are to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Controls {
    pub(super) clock: bool,
    pub(super) entropy: bool,
    pub(super) aslr_off: bool,
    pub(super) tsc: bool,
    pub(super) monotonic: bool,
}

impl Controls {
    pub(super) fn asked(settings: &Virtual) -> Self {
        Self {
            clock: settings.clock,
            entropy: settings.entropy,
            aslr_off: settings.aslr_off,
            tsc: settings.tsc,
            monotonic: settings.monotonic == Monotonic::FrozenUntilReady,
        }
    }

    pub(super) fn is_any(self) -> bool {
        self.clock || self.entropy || self.aslr_off || self.tsc || self.monotonic
    }

    /// Whether a function of the vDSO is not to be used as it is.
    fn redirects(self, function: Function) -> bool {
        if function.is_clock() { self.clock } else { self.entropy }
    }
}

/// What became of a program's vDSO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing was to be done, or it had none.
    Left,
    Redirected,
    Stripped,
}

/// What is done to programs.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) controls: Controls,
    /// What they map. They do also where the wall clock is not given: where memory lies is no matter of that control.
    shared: Option<Clock>,
    /// Nothing where vDSOs have no room, and are taken away.
    plan: Option<Plan>,
    /// The seccomp filters of the first program, which are the engine's and ours.
    filter_count: Option<u64>,
}

/// Where things are in a program's list.
#[derive(Clone, Copy, Debug, Default)]
struct Listed {
    /// The entry itself, to be taken away.
    vdso_entry: u64,
    vdso: u64,
    random: u64,
}

impl Programs {
    pub(super) fn new(controls: Controls, shared: Option<Clock>) -> Self {
        let address = own::vdso_address();
        let image = vdso::mapping_len(address).and_then(own::vdso_image);
        let plan = image.and_then(|image| Plan::of(image, |function| controls.redirects(function)).ok());
        Self { controls, shared, plan: plan.filter(|_| !plant::is(Plant::NoRoom)), filter_count: None }
    }

    /// What is shown; nothing where that is the machine's own.
    pub(super) fn clock(&self) -> Option<Clock> {
        self.shared.filter(|_| self.controls.clock)
    }

    /// All clocks show what they do when the service starts.
    pub(super) fn begin_clock(&self, wall: WallClock) {
        if let Some(clock) = self.clock() {
            if self.controls.tsc {
                clock.leave_counter();
            }
            clock.set(wall);
            clock.freeze_monotonic(self.controls.monotonic);
        }
    }

    /// The first program of all is about to run.
    pub(super) fn note_first(&mut self, pid: i32) {
        self.filter_count = self.filter_count.or_else(|| filter_count(pid));
    }

    /// Whether a program has seccomp filters of the service's own, which may kill it, or let it wait, for a call that is not.
    fn is_confined(&self, pid: i32) -> bool {
        self.filter_count.is_some_and(|ours| filter_count(pid).is_none_or(|count| count > ours))
    }

    /// Makes a stopped program ready, before its first instruction.
    ///
    /// An error means that it would have had the machine's own time or chance: it must not run.
    pub(super) fn prepare(&self, pid: i32, process: &mut Process) -> io::Result<Outcome> {
        let failed =
            |what: &'static str| move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        let registers = ptrace::registers(pid).map_err(failed("its registers"))?;
        if registers.cs != CODE_64_BIT {
            return Err(io::Error::other("it is no 64-bit program"));
        }
        process.vdso = None;
        let listed = listed(&process.memory, pid, registers.rsp).map_err(failed("its stack"))?;
        if self.controls.entropy && listed.random != 0 {
            let mut bytes = [0; 16];
            process.lineage.stream().fill(&mut bytes);
            let written = process.memory.write(pid, listed.random, &bytes);
            written.map_err(failed("its first random bytes"))?;
        }
        if listed.vdso == 0 || !(self.controls.clock || self.controls.entropy) {
            return Ok(Outcome::Left);
        }
        let plan = self.plan.as_ref().filter(|plan| is_same(plan, &process.memory, pid, listed.vdso));
        if let Some(plan) = plan
            && self.redirect(plan, pid, process, listed.vdso).map_err(failed("its vDSO"))?
        {
            return Ok(Outcome::Redirected);
        }
        process.memory.write(pid, listed.vdso_entry, &AT_IGNORE.to_le_bytes()).map_err(failed("its vDSO"))?;
        Ok(Outcome::Stripped)
    }

    /// False where the program may not map its clock, as in a name space of its own or under filters of the service's, and so
    /// has to make calls for it.
    fn redirect(&self, plan: &Plan, pid: i32, process: &mut Process, vdso: u64) -> io::Result<bool> {
        // With the counter trapped its own functions would be as well, and slower than a call.
        let original_clock_gettime = if self.controls.tsc { 0 } else { plan.original_clock_gettime };
        let block = vdso + plan.room_at as u64;
        let filled = blob::filled(original_clock_gettime, plan.original_gettimeofday, self.controls.monotonic);
        process.memory.write(pid, block, &filled)?;
        let map = |shared| mapped(pid, process, block + blob::call_offset(), shared);
        let shared = self.shared.filter(|_| !self.is_confined(pid)).map(map).transpose()?.flatten();
        match shared {
            Some(address) => process.memory.write(pid, block, &address.to_le_bytes())?,
            None if self.controls.clock => return Ok(false),
            None => {}
        }
        for (at, value) in &plan.edits {
            process.memory.write(pid, vdso + *at as u64, &value.to_le_bytes())?;
        }
        process.vdso = Some((vdso, plan.image.len() as u64));
        Ok(true)
    }
}

/// Has a program map its clock, which it can only read; the address, or nothing where that is refused, or is something else:
/// in another name space the clock's number is no one's, or another's.
fn mapped(pid: i32, process: &Process, instruction: u64, shared: Clock) -> io::Result<Option<u64>> {
    let arguments = [u64::from(shared.number().cast_unsigned()), 0, u64::from(libc::SHM_RDONLY.cast_unsigned())];
    let mut calls = ptrace::Calls::begin(pid, instruction)?;
    let answer = calls.make(libc::SYS_shmat, arguments)?;
    // As the kernel returns errors: the last page of addresses is none.
    let address = (answer > 0).then(|| answer.cast_unsigned());
    let is_ours = |address: &u64| shared.is_at(*address, |at, bytes| process.memory.read(pid, at, bytes));
    let ours = address.filter(is_ours);
    if let (Some(other), None) = (address, ours) {
        calls.make(libc::SYS_shmdt, [other, 0, 0])?;
    }
    calls.end()?;
    Ok(ours)
}

/// How many seccomp filters a process has; nothing where that is not told, as before Linux 5.9.
fn filter_count(pid: i32) -> Option<u64> {
    if plant::is(Plant::UntoldFilters) {
        return None;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"))?.trim().parse().ok()
}

/// Whether the program's vDSO is the one that the plan is for.
fn is_same(plan: &Plan, memory: &Memory, pid: i32, vdso: u64) -> bool {
    let mut image = vec![0; plan.image.len()];
    memory.read(pid, vdso, &mut image).is_ok_and(|len| len == image.len()) && image == plan.image
}

/// Reads the list, which comes behind the arguments and the variables.
fn listed(memory: &Memory, pid: i32, stack: u64) -> io::Result<Listed> {
    let mut words = memory.words(pid, stack);
    let argument_count = words.next()?;
    // The arguments with the null behind them, then the variables with theirs.
    for _ in 0..=argument_count.min(WORDS_MAX) {
        words.next()?;
    }
    while words.next()? != 0 {}
    let mut listed = Listed::default();
    loop {
        let entry = words.address();
        let (kind, value) = (words.next()?, words.next()?);
        match kind {
            AT_NULL => return Ok(listed),
            AT_RANDOM => listed.random = value,
            AT_SYSINFO_EHDR => (listed.vdso_entry, listed.vdso) = (entry, value),
            _ => {}
        }
    }
}
