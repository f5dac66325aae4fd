//! Tracing other processes (ptrace(2)). All of it is done by the one thread that seized them.

use std::{io, mem, ptr, time::Duration};

use super::{
    check,
    waiting::{monotonic_ns, wait_for_child},
};
use crate::plant::{self, Plant};

pub(crate) use libc::user_regs_struct as Registers;

/// What a traced thread tells of itself.
const OPTIONS: libc::c_int = libc::PTRACE_O_EXITKILL
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACESECCOMP;

/// How long a call may take that a program is made to make, in nanoseconds. A choice: it is over at once, unless the machine is
/// very busy, or somebody is to allow it who does not.
const CALL_PATIENCE_NS: i64 = 20_000_000_000;

/// How the end of a call shows among the signals.
const CALL_OVER: i32 = libc::SIGTRAP | 0x80;

/// What became of a child or a traced thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is over, with this status: 128 and the number for one that a signal ended.
    Over { status: u8, signal: Option<i32> },
    /// A signal is about to be delivered.
    Signal(i32),
    /// It is stopped with its whole group, by this signal.
    GroupStop,
    /// It has only just begun, or goes on after a group's stop, or was interrupted.
    Stop,
    /// It has made another process or thread.
    Made,
    /// It runs another program.
    Exec,
    /// It makes a call that the filter tells of.
    Call,
    /// The call that it was let go on into is over.
    CallOver,
}

/// Traces a process from now on; it ends with this one.
pub(crate) fn seize(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, OPTIONS as usize)
}

/// Lets a stopped thread go on, delivering `signal` unless that is 0. One that has just been killed needs no leave.
pub(crate) fn go_on(pid: i32, signal: i32) {
    drop(request(libc::PTRACE_CONT, pid, 0, usize::try_from(signal).unwrap_or(0)));
}

/// Lets a thread that is stopped at a call go on into it, until [`Change::CallOver`].
pub(crate) fn go_on_into_call(pid: i32) {
    drop(request(libc::PTRACE_SYSCALL, pid, 0, 0));
}

/// Leaves a thread stopped with its group until that goes on.
pub(crate) fn stay_stopped(pid: i32) {
    drop(request(libc::PTRACE_LISTEN, pid, 0, 0));
}

/// The number that came with [`Change::Made`] or [`Change::Exec`].
pub(crate) fn message(pid: i32) -> io::Result<i32> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, pid, 0, (&raw mut message).addr())?;
    i32::try_from(message).map_err(io::Error::other)
}

/// The registers of a stopped thread.
pub(crate) fn registers(pid: i32) -> io::Result<Registers> {
    // SAFETY: all zeroes is a valid value.
    let mut registers: Registers = unsafe { mem::zeroed() };
    request(libc::PTRACE_GETREGS, pid, 0, (&raw mut registers).addr())?;
    Ok(registers)
}

/// False for a thread that is not stopped: it has been killed.
pub(crate) fn is_stopped(pid: i32) -> bool {
    registers(pid).is_ok()
}

/// Sets them.
pub(crate) fn set_registers(pid: i32, registers: &Registers) -> io::Result<()> {
    request(libc::PTRACE_SETREGS, pid, 0, ptr::from_ref(registers).addr())
}

/// One word of a stopped thread's memory.
pub(crate) fn peek(pid: i32, address: usize) -> io::Result<[u8; 8]> {
    // As a bare call it writes the word, and does not return it (ptrace(2), C library/kernel differences).
    let mut word = [0; 8];
    request(libc::PTRACE_PEEKDATA, pid, address, word.as_mut_ptr().addr())?;
    Ok(word)
}

/// Sets one word.
pub(crate) fn poke(pid: i32, address: usize, word: [u8; 8]) -> io::Result<()> {
    request(libc::PTRACE_POKEDATA, pid, address, usize::from_ne_bytes(word))
}

/// A program that is stopped at [`Change::Exec`], before its first instruction, and makes calls that are not its own.
///
/// An error means that it is not known what became of a call; of a process that has ended its end is yet to be taken.
#[derive(Debug)]
pub(crate) struct Calls {
    pid: i32,
    instruction: u64,
    before: Registers,
    blocked: u64,
    was_stopped: bool,
}

impl Calls {
    /// Begins, with calls made by the instruction at `instruction`.
    pub(crate) fn begin(pid: i32, instruction: u64) -> io::Result<Self> {
        let blocked = signal_mask(pid)?;
        // What is sent to it meanwhile comes when the mask is its own again.
        set_signal_mask(pid, u64::MAX)?;
        // The end of the call that runs the program, which gives its registers their last value.
        let was_stopped = until_call_border(pid)?;
        Ok(Self { pid, instruction, before: registers(pid)?, blocked, was_stopped })
    }

    /// Has it make one call, and gives what that returned, an error's number below zero.
    pub(crate) fn make(&mut self, number: libc::c_long, arguments: [u64; 3]) -> io::Result<i64> {
        let [rdi, rsi, rdx] = arguments;
        let (rax, rip) = (number.cast_unsigned(), self.instruction);
        set_registers(self.pid, &Registers { orig_rax: u64::MAX, rax, rip, rdi, rsi, rdx, ..self.before })?;
        self.was_stopped |= until_call_border(self.pid)?;
        self.was_stopped |= until_call_border(self.pid)?;
        Ok(registers(self.pid)?.rax.cast_signed())
    }

    /// Leaves it stopped as it was, still at its first instruction.
    pub(crate) fn end(self) -> io::Result<()> {
        set_registers(self.pid, &Registers { orig_rax: u64::MAX, ..self.before })?;
        set_signal_mask(self.pid, self.blocked)?;
        if self.was_stopped {
            // It stops again where its group has not gone on since.
            request(libc::PTRACE_INTERRUPT, self.pid, 0, 0)?;
        }
        Ok(())
    }
}

/// Lets a thread go on until the next beginning or end of a call, also where its group is stopped meanwhile; true then.
fn until_call_border(pid: i32) -> io::Result<bool> {
    let (mut signal, mut was_stopped) = (0, false);
    loop {
        request(libc::PTRACE_SYSCALL, pid, 0, usize::try_from(signal).unwrap_or(0))?;
        signal = match wait_for_stop(pid)? {
            Change::CallOver => return Ok(was_stopped),
            // One that cannot be blocked.
            Change::Signal(signal) => signal,
            change => {
                was_stopped |= change == Change::GroupStop;
                0
            }
        };
    }
}

/// Waits until a thread stops, no longer than a call may take. That it has ended is an error, and left to be taken by
/// [`next_change`].
fn wait_for_stop(pid: i32) -> io::Result<Change> {
    let id = libc::id_t::try_from(pid).map_err(io::Error::other)?;
    let flags = libc::WSTOPPED | libc::WEXITED | libc::__WALL;
    let patience_ns = if plant::is(Plant::UntoldFilters) { CALL_PATIENCE_NS / 10 } else { CALL_PATIENCE_NS };
    let until_ns = monotonic_ns().saturating_add(patience_ns);
    let mut status = 0;
    loop {
        // SAFETY: all zeroes is a valid value, and says that nothing has changed.
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: the value outlives the call that writes it.
        check(unsafe { libc::waitid(libc::P_PID, id, &raw mut info, flags | libc::WNOWAIT | libc::WNOHANG) })?;
        if info.si_signo == 0 {
            let left_ns = until_ns - monotonic_ns();
            let left = u64::try_from(left_ns).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
            wait_for_child(Duration::from_nanos(left));
            continue;
        }
        if ![libc::CLD_TRAPPED, libc::CLD_STOPPED].contains(&info.si_code) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // SAFETY: the status outlives the call.
        check(unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) })?;
        return Ok(change(status));
    }
}

fn signal_mask(pid: i32) -> io::Result<u64> {
    let mut mask = 0_u64;
    request(libc::PTRACE_GETSIGMASK, pid, size_of_val(&mask), (&raw mut mask).addr())?;
    Ok(mask)
}

fn set_signal_mask(pid: i32, mask: u64) -> io::Result<()> {
    request(libc::PTRACE_SETSIGMASK, pid, size_of_val(&mask), (&raw const mask).addr())
}

/// The next child or traced thread of which something is to be told, if any.
pub(crate) fn next_change() -> Option<(i32, Change)> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
    (pid > 0).then(|| (pid, change(status)))
}

fn change(status: i32) -> Change {
    if libc::WIFEXITED(status) {
        return Change::Over { status: u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX), signal: None };
    }
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        return Change::Over { status: u8::try_from(128 + signal).unwrap_or(u8::MAX), signal: Some(signal) };
    }
    let signal = libc::WSTOPSIG(status);
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    match status >> 16 {
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => Change::Made,
        libc::PTRACE_EVENT_EXEC => Change::Exec,
        libc::PTRACE_EVENT_SECCOMP => Change::Call,
        libc::PTRACE_EVENT_STOP if stops.contains(&signal) => Change::GroupStop,
        libc::PTRACE_EVENT_STOP => Change::Stop,
        _ if signal == CALL_OVER => Change::CallOver,
        _ => Change::Signal(signal),
    }
}

fn request(request: libc::c_uint, pid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: where the kernel writes through `data`, each caller gives the address of a value of the right size that
    // outlives the call. A bare call, because the C library's own changes what some requests mean.
    let done = unsafe { libc::syscall(libc::SYS_ptrace, libc::c_long::from(request), pid, address, data) };
    check(if done < 0 { -1 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_stop_is_told_from_the_others() {
        let stopped = |event: i32, signal: i32| event << 16 | signal << 8 | 0x7f;
        assert_eq!(change(7 << 8), Change::Over { status: 7, signal: None });
        assert_eq!(change(9), Change::Over { status: 137, signal: Some(9) });
        assert_eq!(change(stopped(0, libc::SIGTERM)), Change::Signal(libc::SIGTERM));
        assert_eq!(change(stopped(0, libc::SIGTRAP)), Change::Signal(libc::SIGTRAP));
        assert_eq!(change(stopped(0, libc::SIGTRAP | 0x80)), Change::CallOver);
        assert_eq!(change(stopped(0, libc::SIGSTOP)), Change::Signal(libc::SIGSTOP));
        assert_eq!(change(stopped(libc::PTRACE_EVENT_STOP, libc::SIGTSTP)), Change::GroupStop);
        assert_eq!(change(stopped(libc::PTRACE_EVENT_STOP, libc::SIGTRAP)), Change::Stop);
        assert_eq!(change(stopped(libc::PTRACE_EVENT_VFORK, libc::SIGTRAP)), Change::Made);
        assert_eq!(change(stopped(libc::PTRACE_EVENT_SECCOMP, libc::SIGTRAP)), Change::Call);
        assert_eq!(change(stopped(libc::PTRACE_EVENT_EXEC, libc::SIGTRAP)), Change::Exec);
    }
}
