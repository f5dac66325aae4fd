//! Waits that end at a time of day: the kernel is given the moment that comes as late by the machine's wall clock as the one
//! that was meant does by the service's.
//!
//! What it is given stands below the caller's stack, and the caller's own pointer to its moment is put back when the call is
//! over, since what called it may count on its registers.

use std::io;

use super::processes::Process;
use crate::{
    clock::Clock,
    system::{
        ptrace::{self, Registers},
        waiting::clock_ns,
    },
};

/// Operations of `futex` that wait until a moment (linux/futex.h): `WAIT_BITSET`, `WAIT_REQUEUE_PI`, `LOCK_PI2`.
const WAITS: [u64; 3] = [9, 11, 13];

/// The part of an operation that says which one it is.
const OPERATION: u64 = 0x7f;

/// What below the stack belongs to the function that is running (System V ABI for x86-64, 3.2.2).
const RED_ZONE_LEN: u64 = 128;

const MOMENT_LEN: usize = 16;

/// A register that is to be put back when the call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// The third argument's.
    Third(u64),
    /// The fourth's.
    Fourth(u64),
}

/// Gives the kernel its own moment, in a call that is about to be made; nothing where it waits for none.
///
/// An error means that it could not be given, and the wait would end at the wrong time.
pub(super) fn translate(
    thread: i32,
    process: &Process,
    clock: Clock,
    registers: &Registers,
) -> io::Result<Option<Changed>> {
    let is_wait = registers.orig_rax.cast_signed() != libc::SYS_futex || WAITS.contains(&(registers.rsi & OPERATION));
    let changed = match registers.orig_rax.cast_signed() {
        libc::SYS_clock_nanosleep => Changed::Third(registers.rdx),
        _ => Changed::Fourth(registers.r10),
    };
    let (Changed::Third(address) | Changed::Fourth(address)) = changed;
    let mut moment = [0; MOMENT_LEN];
    // What is no address, or no moment, the kernel says itself.
    let is_read = address != 0 && process.memory.read(thread, address, &mut moment).is_ok_and(|len| len == MOMENT_LEN);
    let Some(meant) = nanoseconds(&moment).filter(|_| is_wait && is_read) else { return Ok(None) };
    let ours = meant.saturating_sub(clock.now()).saturating_add(clock_ns(libc::CLOCK_REALTIME)?).max(0);
    let place = (registers.rsp.saturating_sub(RED_ZONE_LEN + MOMENT_LEN as u64)) & !15;
    let bytes = [(ours / 1_000_000_000).to_le_bytes(), (ours % 1_000_000_000).to_le_bytes()].concat();
    process.memory.write(thread, place, &bytes)?;
    let translated = match changed {
        Changed::Third(_) => Registers { rdx: place, ..*registers },
        Changed::Fourth(_) => Registers { r10: place, ..*registers },
    };
    ptrace::set_registers(thread, &translated)?;
    Ok(Some(changed))
}

/// Puts back what was changed.
pub(super) fn put_back(thread: i32, changed: Changed) -> io::Result<()> {
    let registers = ptrace::registers(thread)?;
    let restored = match changed {
        Changed::Third(address) => Registers { rdx: address, ..registers },
        Changed::Fourth(address) => Registers { r10: address, ..registers },
    };
    ptrace::set_registers(thread, &restored)
}

fn nanoseconds(moment: &[u8; MOMENT_LEN]) -> Option<i64> {
    let number = |at: usize| moment[at..].first_chunk().map(|bytes| i64::from_le_bytes(*bytes));
    let (seconds, rest) = (number(0)?, number(8)?);
    let is_moment = seconds >= 0 && (0..1_000_000_000).contains(&rest);
    is_moment.then(|| seconds.saturating_mul(1_000_000_000).saturating_add(rest))
}
