//! Answers calls that the filter tells of, in place of the kernel.

use std::io;

use super::{
    deadlines::{self, Changed},
    processes::Process,
    program::Programs,
};
use crate::{
    clock::Clock,
    plant::{self, Plant},
    system::ptrace::{self, Registers},
};

/// The clocks that show the time of day, by number (linux/time.h): `REALTIME`, `_COARSE`, `_ALARM`, `TAI`.
pub(super) const WALLS: [i32; 4] = [0, 5, 8, 11];

/// Those that only go on: `MONOTONIC`, `_RAW`, `_COARSE`, `BOOTTIME`, `_ALARM`.
pub(super) const MONOTONICS: [i32; 5] = [1, 4, 6, 7, 9];

/// How much is filled at a time, in bytes. A choice.
const PIECE_LEN: usize = 64 << 10;

/// What the kernel takes of a length at most (`MAX_RW_COUNT`, linux/fs.h).
const LEN_MAX: u64 = 0x7fff_f000;

/// The flags of `getrandom` (getrandom(2)): `GRND_NONBLOCK`, `GRND_RANDOM`, `GRND_INSECURE`.
const NON_BLOCKING: u64 = 1;
const RANDOM: u64 = 2;
const INSECURE: u64 = 4;

/// How a call was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The kernel carries it out: it is not about what we give.
    ByKernel,
    /// As that, but what it waits for was changed.
    Translated(Changed),
    Random,
    Clock,
    /// It failed, as it would have: for an address that is none.
    Failed,
}

/// A call's answer: the number that it returns, or an error's.
type Answer = Result<i64, i32>;

/// Answers the call at which a thread is stopped.
///
/// An error means that it could not be answered at all: the thread must not go on.
pub(super) fn answer(thread: i32, process: &mut Process, programs: &Programs) -> io::Result<Answered> {
    let registers = ptrace::registers(thread)?;
    let (dealt, answer) = match (registers.orig_rax.cast_signed(), programs.clock()) {
        (libc::SYS_getrandom, _) if programs.controls.entropy => {
            (Answered::Random, random(thread, process, &registers))
        }
        (libc::SYS_clock_gettime, Some(clock)) => match shown(process, clock, &registers) {
            Some(time) => (Answered::Clock, clock_gettime(thread, process, &registers, time)),
            None => return Ok(Answered::ByKernel),
        },
        (libc::SYS_gettimeofday, Some(clock)) => {
            (Answered::Clock, gettimeofday(thread, process, &registers, now(clock)))
        }
        (libc::SYS_time, Some(clock)) => (Answered::Clock, time(thread, process, &registers, now(clock))),
        (libc::SYS_futex | libc::SYS_clock_nanosleep, Some(clock)) => {
            let changed = deadlines::translate(thread, process, clock, &registers)?;
            return Ok(changed.map_or(Answered::ByKernel, Answered::Translated));
        }
        _ => return Ok(Answered::ByKernel),
    };
    // No call is carried out in its place: its number becomes none, and what it returns is ours.
    let value = answer.unwrap_or_else(|error| i64::from(-error));
    let skipped = Registers { orig_rax: u64::MAX, rax: value.cast_unsigned(), ..registers };
    ptrace::set_registers(thread, &skipped)?;
    Ok(if answer == Err(libc::EFAULT) { Answered::Failed } else { dealt })
}

fn now(clock: Clock) -> i64 {
    clock.now() + if plant::is(Plant::LateClock) { 1_000_000 } else { 0 }
}

/// What the clock that is asked for shows, where that is not the machine's own.
fn shown(process: &Process, clock: Clock, registers: &Registers) -> Option<i64> {
    // The kernel takes a number of 32 bits.
    let asked = registers.rdi as i32;
    if WALLS.contains(&asked) {
        return Some(now(clock));
    }
    // The vDSO's own function asks the kernel where it cannot tell itself, and the wall clock goes by that.
    clock.monotonic().filter(|_| MONOTONICS.contains(&asked) && !process.is_in_vdso(registers.rip))
}

fn random(thread: i32, process: &mut Process, registers: &Registers) -> Answer {
    let (mut address, flags) = (registers.rdi, registers.rdx & u64::from(u32::MAX));
    if flags & !(NON_BLOCKING | RANDOM | INSECURE) != 0 || flags & (RANDOM | INSECURE) == RANDOM | INSECURE {
        return Err(libc::EINVAL);
    }
    let len = registers.rsi.min(LEN_MAX);
    let mut left = len;
    let mut piece = vec![0; PIECE_LEN.min(usize::try_from(len).unwrap_or(PIECE_LEN))];
    while left > 0 {
        let part_len = usize::try_from(left).unwrap_or(PIECE_LEN).min(PIECE_LEN);
        let part = &mut piece[..part_len];
        process.lineage.stream().fill(part);
        if !plant::is(Plant::NoEntropy) {
            process.memory.write(thread, address, part).map_err(|_| libc::EFAULT)?;
        }
        address = address.wrapping_add(part_len as u64);
        left -= part_len as u64;
    }
    Ok(len.cast_signed())
}

fn clock_gettime(thread: i32, process: &Process, registers: &Registers, time: i64) -> Answer {
    write_two(thread, process, registers.rsi, time / 1_000_000_000, time % 1_000_000_000)
}

fn gettimeofday(thread: i32, process: &Process, registers: &Registers, time: i64) -> Answer {
    if registers.rdi != 0 {
        write_two(thread, process, registers.rdi, time / 1_000_000_000, time % 1_000_000_000 / 1000)?;
    }
    if registers.rsi != 0 {
        // The kernel's own zone, which is zero unless somebody set it, as nobody does any more (gettimeofday(2)).
        process.memory.write(thread, registers.rsi, &[0; 8]).map_err(|_| libc::EFAULT)?;
    }
    Ok(0)
}

fn time(thread: i32, process: &Process, registers: &Registers, time: i64) -> Answer {
    let seconds = time / 1_000_000_000;
    if registers.rdi != 0 {
        process.memory.write(thread, registers.rdi, &seconds.to_le_bytes()).map_err(|_| libc::EFAULT)?;
    }
    Ok(seconds)
}

fn write_two(thread: i32, process: &Process, address: u64, first: i64, second: i64) -> Answer {
    let bytes = [first.to_le_bytes(), second.to_le_bytes()].concat();
    process.memory.write(thread, address, &bytes).map_err(|_| libc::EFAULT)?;
    Ok(0)
}

/// Answers a reading of the time stamp counter that was trapped, if it was one; true then.
pub(super) fn answer_tsc(thread: i32, process: &mut Process) -> io::Result<bool> {
    /// What a reading shows more than the one before it. A choice: the counter of a slow processor in a microsecond.
    const STEP: u64 = 1000;
    /// What the first one shows. A choice.
    const START: u64 = 1_000_000_000;
    let mut registers = ptrace::registers(thread)?;
    let mut code = [0; 3];
    let read = process.memory.read(thread, registers.rip, &mut code)?;
    // RDTSC and RDTSCP; the latter also says which processor it ran on.
    let len = match code[..read] {
        [0x0f, 0x31, ..] => 2,
        [0x0f, 0x01, 0xf9] => {
            registers.rcx = 0;
            3
        }
        _ => return Ok(false),
    };
    process.tsc_count += 1;
    let shown = START.wrapping_add(process.tsc_count.wrapping_mul(STEP));
    registers.rip = registers.rip.wrapping_add(len);
    (registers.rax, registers.rdx) = (shown & u64::from(u32::MAX), shown >> 32);
    ptrace::set_registers(thread, &registers)?;
    Ok(true)
}
