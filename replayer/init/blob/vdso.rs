//! What the vDSO's clocks and its `getrandom` lead to in a service whose time is given.
//!
//! It stands in the zero bytes at the end of each process's own copy of the vDSO, so it is position-independent, has no
//! data but the block at its start, and calls nothing but the vDSO's own functions, through that block. The tracer fills the
//! block before the program's first instruction. What the clocks show is in memory that the tracer has each program map, where
//! it changes while this runs (`src/clock.rs`). A wall clock that runs goes by the processor's counter, as the vDSO's own does, where
//! Linux tells the time by that.
//!
//! `scripts/blobs` builds it; `src/trace/blob.rs` knows where in it things are.

#![no_std]
#![no_main]

use core::{
    arch::{asm, global_asm},
    mem::MaybeUninit,
    ptr::{addr_of, read_volatile, write},
};

// The block, 32 bytes of zero, where each function is, from the block's start, and where there is an instruction that makes a
// call, by which the tracer has the memory mapped.
global_asm!(
    ".pushsection .text.first, \"ax\"",
    ".globl retake_block",
    "retake_block:",
    ".zero 32",
    ".long clock_gettime - retake_block",
    ".long gettimeofday - retake_block",
    ".long time - retake_block",
    ".long getrandom - retake_block",
    ".long retake_call - retake_block",
    "retake_call:",
    "syscall",
    "ud2",
    ".popsection",
);

#[repr(C)]
struct Block {
    /// Where the memory is that the clocks show.
    clock: *const Clock,
    /// The vDSO's own functions, from the block's start; 0 where the kernel itself is to be asked.
    original_clock_gettime: i64,
    original_gettimeofday: i64,
    /// 0 where the monotonic clocks are the machine's own.
    holds_monotonic: i64,
}

#[repr(C)]
struct Clock {
    /// The time itself; below zero, what is added to the monotonic clock: nanoseconds in the lowest 30 bits, and above them
    /// seconds, more by `SECONDS_MORE`, so that a reading takes no division. Nanoseconds of a second or more say where a `Line` is, in
    /// bytes from here, in their lowest 26 bits.
    wall: i64,
    /// What the monotonic clocks show, 0 for the machine's own.
    monotonic: i64,
}

/// A clock by the processor's counter: seconds since 1970, with 64 binary places, are the counter times the rate, and these.
#[repr(C)]
struct Line {
    rate: u64,
    seconds: u64,
    places: u64,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

#[repr(C)]
struct Timeval {
    seconds: i64,
    microseconds: i64,
}

const SECOND: i64 = 1_000_000_000;
const NANOSECONDS_BITS: u32 = 30;
const SECONDS_MORE: i64 = 1 << 30;
const LINE_BITS: u32 = 26;
const CLOCK_MONOTONIC: i32 = 1;
const ENOSYS: isize = 38;

/// `CLOCK_REALTIME`, `_COARSE`, `_ALARM` and `CLOCK_TAI`.
#[inline(always)]
fn is_wall(clock: i32) -> bool {
    matches!(clock, 0 | 5 | 8 | 11)
}

/// `CLOCK_MONOTONIC`, `_RAW`, `_COARSE`, `CLOCK_BOOTTIME` and its `_ALARM`.
#[inline(always)]
fn is_monotonic(clock: i32) -> bool {
    matches!(clock, 1 | 4 | 6 | 7 | 9)
}

#[inline(always)]
fn block() -> *const Block {
    let block: *const Block;
    unsafe { asm!("lea {}, [rip + retake_block]", out(reg) block, options(nomem, nostack, preserves_flags, pure)) };
    block
}

#[inline(always)]
fn shown() -> *const Clock {
    unsafe { read_volatile(addr_of!((*block()).clock)) }
}

/// The function at `offset` from the block, as one with these two arguments.
#[inline(always)]
unsafe fn original<A, B>(offset: i64) -> unsafe extern "C" fn(A, *mut B) -> i32 {
    unsafe { core::mem::transmute(block().cast::<u8>().offset(offset as isize)) }
}

#[inline(always)]
unsafe fn machine_clock(clock: i32, to: *mut Timespec) -> i32 {
    let offset = unsafe { read_volatile(addr_of!((*block()).original_clock_gettime)) };
    if offset != 0 {
        return unsafe { original::<i32, Timespec>(offset)(clock, to) };
    }
    let result: i64;
    unsafe {
        asm!("syscall", inlateout("rax") 228_i64 => result, in("rdi") clock as i64, in("rsi") to,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result as i32
}

/// The lowest bits of a clock that runs.
#[inline(always)]
fn nanoseconds_of(wall: i64) -> i64 {
    wall & ((1 << NANOSECONDS_BITS) - 1)
}

/// The processor's counter, after all that was to be read before.
#[inline(always)]
fn counter() -> u64 {
    let (low, high): (u64, u64);
    unsafe { asm!("rdtscp", out("rax") low, out("rdx") high, out("rcx") _, options(nostack, preserves_flags)) };
    high << 32 | low
}

#[inline(never)]
unsafe fn write_wall(to: *mut Timespec) -> i32 {
    unsafe {
        let shown = shown();
        // One word, which is never half-written.
        let wall = read_volatile(addr_of!((*shown).wall));
        if wall >= 0 {
            return write_time(wall, to);
        }
        if nanoseconds_of(wall) >= SECOND {
            // It was written before the word, and is not written again while anyone may read it.
            let line = shown.cast::<u8>().add(wall as usize & ((1 << LINE_BITS) - 1)).cast::<Line>();
            let at_zero = ((*line).seconds as u128) << 64 | (*line).places as u128;
            let now = (counter() as u128 * (*line).rate as u128).wrapping_add(at_zero);
            let nanoseconds = (now as u64 as u128 * SECOND as u128) >> 64;
            write(to, Timespec { seconds: (now >> 64) as i64, nanoseconds: nanoseconds as i64 });
            return 0;
        }
        write_sum(wall, to)
    }
}

/// The monotonic clock and what is added to it. Apart, since it calls, for which registers have to be kept.
#[inline(never)]
unsafe fn write_sum(wall: i64, to: *mut Timespec) -> i32 {
    unsafe {
        // It can only fail for an address that is none.
        let failed = machine_clock(CLOCK_MONOTONIC, to);
        if failed != 0 {
            return failed;
        }
        let more = ((wall as u64) << 1 >> (NANOSECONDS_BITS + 1)) as i64 - SECONDS_MORE;
        let nanoseconds = (*to).nanoseconds + nanoseconds_of(wall);
        let carry = nanoseconds >= SECOND;
        (*to).seconds += more + carry as i64;
        (*to).nanoseconds = nanoseconds - if carry { SECOND } else { 0 };
        0
    }
}

#[inline(always)]
fn wall() -> Timespec {
    let mut now = MaybeUninit::uninit();
    unsafe {
        // The address is ours.
        write_wall(now.as_mut_ptr());
        now.assume_init()
    }
}

#[inline(always)]
unsafe fn write_time(time: i64, to: *mut Timespec) -> i32 {
    unsafe { write(to, Timespec { seconds: time / SECOND, nanoseconds: time % SECOND }) };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: i32, to: *mut Timespec) -> i32 {
    if is_wall(clock) {
        return unsafe { write_wall(to) };
    }
    // What is not to be looked up costs nothing: it would have to be there before the machine's counter is read.
    let holds_monotonic = unsafe { read_volatile(addr_of!((*block()).holds_monotonic)) } != 0;
    if holds_monotonic && is_monotonic(clock) {
        let monotonic = unsafe { read_volatile(addr_of!((*shown()).monotonic)) };
        if monotonic != 0 {
            return unsafe { write_time(monotonic, to) };
        }
    }
    unsafe { machine_clock(clock, to) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(to: *mut Timeval, zone: *mut u8) -> i32 {
    if !to.is_null() {
        let Timespec { seconds, nanoseconds } = wall();
        unsafe { write(to, Timeval { seconds, microseconds: nanoseconds / 1000 }) };
    }
    let offset = unsafe { read_volatile(addr_of!((*block()).original_gettimeofday)) };
    if !zone.is_null() && offset != 0 {
        return unsafe { original::<*mut Timeval, u8>(offset)(core::ptr::null_mut(), zone) };
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn time(to: *mut i64) -> i64 {
    let seconds = wall().seconds;
    if !to.is_null() {
        unsafe { write(to, seconds) };
    }
    seconds
}

/// Sends whoever asks to the system call, which is answered by the tracer.
#[unsafe(no_mangle)]
extern "C" fn getrandom() -> isize {
    -ENOSYS
}

#[panic_handler]
fn never(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
