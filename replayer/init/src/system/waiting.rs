//! Waits for signals, for something to read, or for a moment, whichever is first.

use std::{
    io, mem,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    time::Duration,
};

use super::{all_but_faults, check};

/// Signals as something to read (signalfd(2)). They have to be blocked.
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    pub(crate) fn open() -> io::Result<Self> {
        let set = all_but_faults();
        // SAFETY: the set is initialised; the descriptor is checked before it is owned.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        check(fd)?;
        // SAFETY: it is open and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that has arrived, and the process that sent it.
    pub(crate) fn next(&self) -> Option<(i32, i32)> {
        // SAFETY: all zeroes is a valid value, and the kernel writes one of this size or nothing.
        let (info, len) = unsafe {
            let mut info: libc::signalfd_siginfo = mem::zeroed();
            let len = libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size_of_val(&info));
            (info, len)
        };
        let is_whole = usize::try_from(len) == Ok(size_of_val(&info));
        is_whole.then(|| (info.ssi_signo.cast_signed(), info.ssi_pid.cast_signed()))
    }
}

/// Waits until there is a signal or something to read, at most as long as `patience`.
pub(crate) fn wait(signals: &Signals, input: Option<BorrowedFd<'_>>, patience: Option<Duration>) {
    let entry = |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<_> = [Some(signals.0.as_fd()), input].into_iter().flatten().map(entry).collect();
    let millis = patience.map_or(-1, |patience| i32::try_from(patience.as_millis()).unwrap_or(i32::MAX));
    let count = libc::nfds_t::try_from(entries.len()).expect("two at most");
    // An interruption is as good as an event: whoever waits looks at everything.
    // SAFETY: the entries outlive the call.
    unsafe { libc::poll(entries.as_mut_ptr(), count, millis) };
}

/// The machine's monotonic clock, in nanoseconds.
pub(crate) fn monotonic_ns() -> i64 {
    clock_ns(libc::CLOCK_MONOTONIC).unwrap_or(0)
}

/// A clock as the C library reads it, in nanoseconds.
pub(crate) fn clock_ns(clock: i32) -> io::Result<i64> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel or the vDSO writes one value.
    check(unsafe { libc::clock_gettime(clock, &raw mut now) })?;
    Ok(now.tv_sec * 1_000_000_000 + now.tv_nsec)
}

/// Leaves a descriptor open in what is executed from now on, or not.
pub(crate) fn keep_in_programs(fd: BorrowedFd<'_>, keep: bool) -> io::Result<()> {
    let flags = if keep { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: it changes a flag of an open descriptor.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) })
}

/// The descriptor of this number, which whoever started this process has left open for it.
pub(crate) fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: it only asks.
    check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: it is open, and was left for us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    keep_in_programs(fd.as_fd(), false)?;
    Ok(fd)
}
