//! What this process sees of itself: its vDSO, its clocks by every way there is, and its random bytes.

use std::{ffi::c_void, io, slice};

use super::{check, waiting::clock_ns};

/// The wall clocks: `CLOCK_REALTIME` and `CLOCK_REALTIME_COARSE`.
const WALLS: [i32; 2] = [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE];

/// Where this process's vDSO is, 0 where it has none.
pub(crate) fn vdso_address() -> usize {
    auxiliary(libc::AT_SYSINFO_EHDR)
}

/// This process's vDSO, of the length that `/proc` gives its mapping.
pub(crate) fn vdso_image(len: usize) -> Option<&'static [u8]> {
    let address = vdso_address();
    // SAFETY: it is mapped at that length as long as this process lives, and nobody writes to it.
    (address != 0).then(|| unsafe { slice::from_raw_parts(address as *const u8, len) })
}

/// The wall clock in nanoseconds by calls that pass by the vDSO: `clock_gettime` twice, `gettimeofday`, `time`.
pub(crate) fn wall_by_calls() -> io::Result<Vec<i64>> {
    let mut read = Vec::new();
    for clock in WALLS {
        let mut now = [0_i64; 2];
        // SAFETY: the kernel writes two numbers.
        call(unsafe { libc::syscall(libc::SYS_clock_gettime, clock, now.as_mut_ptr()) })?;
        read.push(now[0] * 1_000_000_000 + now[1]);
    }
    let mut day = [0_i64; 2];
    // SAFETY: the kernel writes two numbers, and is given no zone to write.
    call(unsafe { libc::syscall(libc::SYS_gettimeofday, day.as_mut_ptr(), 0) })?;
    read.push(day[0] * 1_000_000_000 + day[1] * 1000);
    // SAFETY: the kernel is given nowhere to write.
    read.push(call(unsafe { libc::syscall(libc::SYS_time, 0) })? * 1_000_000_000);
    Ok(read)
}

/// The same by the C library.
pub(crate) fn wall_by_library() -> io::Result<Vec<i64>> {
    let mut read = WALLS.map(clock_ns).into_iter().collect::<io::Result<Vec<_>>>()?;
    let mut day = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: one value is written, and no zone.
    check(unsafe { libc::gettimeofday(&raw mut day, std::ptr::null_mut()) })?;
    read.push(day.tv_sec * 1_000_000_000 + day.tv_usec * 1000);
    // SAFETY: nothing is written.
    read.push(unsafe { libc::time(std::ptr::null_mut()) } * 1_000_000_000);
    Ok(read)
}

/// The same by the vDSO's functions at these addresses: `clock_gettime`, `gettimeofday`, `time`.
pub(crate) fn wall_by_vdso(clock_gettime: usize, gettimeofday: usize, time: usize) -> Vec<i64> {
    type Reads = unsafe extern "C" fn(i32, *mut i64) -> i32;
    type ReadsDay = unsafe extern "C" fn(*mut i64, *mut c_void) -> i32;
    type ReadsSeconds = unsafe extern "C" fn(*mut i64) -> i64;
    // SAFETY: the vDSO's own symbols say that these functions are there, and they have these types (vdso(7)).
    let (reads, reads_day, reads_seconds) = unsafe {
        (
            std::mem::transmute::<usize, Reads>(clock_gettime),
            std::mem::transmute::<usize, ReadsDay>(gettimeofday),
            std::mem::transmute::<usize, ReadsSeconds>(time),
        )
    };
    let mut read = Vec::new();
    for clock in WALLS {
        let mut now = [0_i64; 2];
        // SAFETY: two numbers are written.
        unsafe { reads(clock, now.as_mut_ptr()) };
        read.push(now[0] * 1_000_000_000 + now[1]);
    }
    let mut day = [0_i64; 2];
    // SAFETY: two numbers are written, and no zone.
    unsafe { reads_day(day.as_mut_ptr(), std::ptr::null_mut()) };
    read.push(day[0] * 1_000_000_000 + day[1] * 1000);
    // SAFETY: nothing is written.
    read.push(unsafe { reads_seconds(std::ptr::null_mut()) } * 1_000_000_000);
    read
}

/// What the vDSO's `getrandom` at this address says when it is asked how it wants to be used (getrandom(2), Linux 6.11).
pub(crate) fn vdso_getrandom(getrandom: usize) -> i64 {
    type Fills = unsafe extern "C" fn(*mut c_void, usize, u32, *mut c_void, usize) -> isize;
    // SAFETY: the vDSO's own symbols say that this function is there, and it has this type.
    let fills = unsafe { std::mem::transmute::<usize, Fills>(getrandom) };
    let mut parameters = [0_u32; 16];
    // SAFETY: at most that many numbers are written.
    let answer = unsafe { fills(std::ptr::null_mut(), 0, 0, parameters.as_mut_ptr().cast(), usize::MAX) };
    i64::try_from(answer).unwrap_or(i64::MIN)
}

/// Random bytes by the call itself, and by the C library.
pub(crate) fn random() -> io::Result<[[u8; 32]; 2]> {
    let (mut by_call, mut by_library) = ([0; 32], [0; 32]);
    // SAFETY: the kernel writes at most 32 bytes.
    let len = call(unsafe { libc::syscall(libc::SYS_getrandom, by_call.as_mut_ptr(), by_call.len(), 0) })?;
    // SAFETY: as above.
    let other = unsafe { libc::getrandom(by_library.as_mut_ptr().cast(), by_library.len(), 0) };
    match (len, other) {
        (32, 32) => Ok([by_call, by_library]),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

/// The 16 bytes that the kernel gives each program at its start.
pub(crate) fn at_random() -> Option<[u8; 16]> {
    let address = auxiliary(libc::AT_RANDOM);
    // SAFETY: the kernel has put 16 bytes there (getauxval(3)).
    (address != 0).then(|| unsafe { *(address as *const [u8; 16]) })
}

/// The processor's time stamp counter.
pub(crate) fn time_stamp() -> u64 {
    // SAFETY: every x86-64 has it; where it is trapped, whoever traps it answers.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether this process's addresses are left where they are.
pub(crate) fn is_without_randomization() -> bool {
    // SAFETY: all ones only asks.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    personality >= 0 && personality & 0x0004_0000 != 0
}

fn auxiliary(kind: libc::c_ulong) -> usize {
    // SAFETY: it looks up a number.
    let value = unsafe { libc::getauxval(kind) };
    usize::try_from(value).unwrap_or(0)
}

fn call(result: libc::c_long) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
