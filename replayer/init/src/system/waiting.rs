//! Waits for signals, for something to read, or for a moment, whichever is first.

use std::{
    io, mem,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    time::Duration,
};

use super::{all_but_faults, check};

/// Signals that are read at a time. A choice: as a rule there is one.
const SIGNALS_MAX: usize = 8;

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readable {
    pub(crate) signals: bool,
    pub(crate) input: bool,
}

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

    /// Signals that have arrived, each with the process that sent it; when there are more, they can still be read.
    pub(crate) fn take(&self) -> impl Iterator<Item = (i32, i32)> {
        // SAFETY: all zeroes is a valid value, and the kernel writes whole ones, as many as there is room for.
        let (infos, len) = unsafe {
            let mut infos: [libc::signalfd_siginfo; SIGNALS_MAX] = mem::zeroed();
            let len = libc::read(self.0.as_raw_fd(), infos.as_mut_ptr().cast(), size_of_val(&infos));
            (infos, len)
        };
        let count = usize::try_from(len).unwrap_or(0) / size_of::<libc::signalfd_siginfo>();
        infos.into_iter().take(count).map(|info| (info.ssi_signo.cast_signed(), info.ssi_pid.cast_signed()))
    }
}

/// Waits until there is a signal or something to read, at most as long as `patience`.
pub(crate) fn wait(signals: &Signals, input: Option<BorrowedFd<'_>>, patience: Option<Duration>) -> Readable {
    // A number below zero is passed over.
    let entry = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut entries = [signals.0.as_raw_fd(), input.map_or(-1, |input| input.as_raw_fd())].map(entry);
    let millis = patience.map_or(-1, |patience| i32::try_from(patience.as_millis()).unwrap_or(i32::MAX));
    // No signal interrupts it: all are blocked.
    // SAFETY: the two entries outlive the call.
    unsafe { libc::poll(entries.as_mut_ptr(), 2, millis) };
    let [signals, input] = entries.map(|entry| entry.revents != 0);
    Readable { signals, input }
}

/// Waits until something became of a child, or a traced thread, at most as long as `patience`. Whoever calls this looks
/// afterwards at all of them: the signal is taken, and comes once for what several do. It has to be blocked.
pub(crate) fn wait_for_child(patience: Duration) {
    let limit = libc::timespec {
        tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(patience.subsec_nanos()),
    };
    let mut set = mem::MaybeUninit::uninit();
    // SAFETY: the set is written before it is read, and it and the limit outlive the call.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::sigtimedwait(set.as_ptr(), std::ptr::null_mut(), &raw const limit);
    }
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
