//! The system calls, each wrapped so that the rest of the crate needs no `unsafe`.

pub(crate) mod counter;
pub(crate) mod diag;
pub(crate) mod launch;
#[cfg(target_arch = "x86_64")]
pub(crate) mod own;
#[cfg(target_arch = "x86_64")]
pub(crate) mod ptrace;
pub(crate) mod seccomp;
pub(crate) mod shared;
pub(crate) mod told_calls;
pub(crate) mod waiting;

use std::{
    ffi::{CString, OsStr},
    io,
    mem::{self, MaybeUninit},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    ptr,
    time::Duration,
};

/// Signals that a fault raises in the process itself, which nobody can hand on.
const FAULTS: [i32; 7] =
    [libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// Signals that ask a process to end.
const POLITE: [i32; 6] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signalled {
    /// A child ended.
    Child,
    /// One to be handed on.
    Other(i32),
}

fn all_but_faults() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset writes the whole set before anything reads it.
    let mut set = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    };
    for signal in FAULTS {
        // SAFETY: the set is initialised and the number is a signal's.
        unsafe { libc::sigdelset(&raw mut set, signal) };
    }
    set
}

/// Keeps signals waiting for [`wait_for_signal`]. Children inherit that: see [`with_no_signal_blocked`].
pub(crate) fn block_signals() {
    let set = all_but_faults();
    // SAFETY: the set is initialised, and the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) };
}

/// Makes `command` start with no signal blocked. That none is ignored, the standard library sees to: it restores
/// SIGPIPE, the only one it changes.
pub(crate) fn with_no_signal_blocked(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only system calls are made, and no memory is allocated.
    unsafe {
        command.pre_exec(|| {
            let mut set = MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut());
            Ok(())
        })
    }
}

/// Leaves a descriptor open in `command`, which starts with it under the number that this gives.
pub(crate) fn leave_open(command: &mut Command, descriptor: &OwnedFd) -> i32 {
    let number = descriptor.as_raw_fd();
    // SAFETY: between fork and exec only one system call is made, and no memory is allocated.
    unsafe { command.pre_exec(move || check(libc::fcntl(number, libc::F_SETFD, 0))) };
    number
}

/// Lets signals pass that ask this process to end.
pub(crate) fn ignore_polite_signals() {
    for signal in POLITE {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// The next signal, or `None` when `patience` has passed without one.
pub(crate) fn wait_for_signal(patience: Option<Duration>) -> Option<Signalled> {
    let set = all_but_faults();
    loop {
        let signal = match patience {
            // SAFETY: the set is initialised, and what the signal carried is not asked for.
            None => unsafe { libc::sigwaitinfo(&raw const set, ptr::null_mut()) },
            Some(patience) => {
                let limit = libc::timespec {
                    tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
                    tv_nsec: libc::c_long::from(patience.subsec_nanos()),
                };
                // SAFETY: as above; the limit outlives the call.
                unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const limit) }
            }
        };
        match signal {
            libc::SIGCHLD => return Some(Signalled::Child),
            signal if signal > 0 => return Some(Signalled::Other(signal)),
            _ if io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) => return None,
            _ => {}
        }
    }
}

/// Sends a signal to one process; one that has just ended needs none.
pub(crate) fn send_signal(pid: i32, signal: i32) {
    // SAFETY: kill has no memory to harm.
    unsafe { libc::kill(pid, signal) };
}

/// Whether a process has this thread.
pub(crate) fn has_thread(process: i32, thread: i32) -> bool {
    // SAFETY: no signal is sent by number 0.
    let found = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) };
    // One that is not ours to be signalled is there.
    found == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Takes one ended child with its exit status, 128 and the number for one that a signal ended.
pub(crate) fn reap() -> Option<(i32, u8)> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let code = if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
    Some((pid, u8::try_from(code).unwrap_or(u8::MAX)))
}

/// Makes orphans of our children our own, where we are not their name space's first process anyway.
pub(crate) fn become_reaper() {
    // SAFETY: prctl with this option reads one number.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// The process's number, as the system calls want it.
pub(crate) fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("Linux numbers processes up to 2^22")
}

/// This executable, by the name that also holds when its path does not exist here.
pub(crate) fn own_executable() -> PathBuf {
    let own = Path::new("/proc/self/exe");
    if own.exists() { own.to_owned() } else { std::env::args_os().next().unwrap_or_default().into() }
}

/// The process that started this one.
pub(crate) fn parent() -> i32 {
    // SAFETY: it only returns a number.
    unsafe { libc::getppid() }
}

pub(crate) fn is_root() -> bool {
    user_and_group().0 == 0
}

/// Effective user and group.
pub(crate) fn user_and_group() -> (u32, u32) {
    // SAFETY: both only return a number.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// New name spaces for the network, mounts, System V's objects and (for children) processes, in a new user name space or not.
pub(crate) fn unshare(with_user: bool) -> io::Result<()> {
    let user = if with_user { libc::CLONE_NEWUSER } else { 0 };
    let own = libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID;
    // SAFETY: this process has one thread, and nothing in it depends on the name spaces it leaves.
    check(unsafe { libc::unshare(user | own) })
}

/// Brings up `lo`, which is down in a new network name space.
pub(crate) fn bring_loopback_up() -> io::Result<()> {
    // SAFETY: the descriptor is checked before it is owned.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(socket)?;
    // SAFETY: it is open and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is initialised and outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) })
}

/// Gives a variable to what is run from now on, or takes it away. This process must have no other threads.
pub(crate) fn set_variable(name: &str, value: Option<&OsStr>) {
    // SAFETY: no other thread reads the environment meanwhile.
    unsafe {
        match value {
            Some(value) => std::env::set_var(name, value),
            None => std::env::remove_var(name),
        }
    }
}

/// Keeps what is mounted here from showing outside.
pub(crate) fn keep_mounts_private() -> io::Result<()> {
    mount(None, Path::new("/"), libc::MS_REC | libc::MS_PRIVATE)
}

/// Shows `source` at `target`.
pub(crate) fn bind_mount(source: &Path, target: &Path) -> io::Result<()> {
    mount(Some(source), target, libc::MS_BIND)
}

/// Makes `command` end with us, and see its own processes under `/proc` where the system allows it.
pub(crate) fn first_of_name_space(command: &mut Command) {
    // SAFETY: between fork and exec only system calls are made, and no memory is allocated.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // Fails inside a container, whose own /proc then stays, showing more processes than can be reached.
            libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), 0, ptr::null());
            Ok(())
        });
    }
}

/// What a socket of another process speaks, in the kernel's words: `TCP`, `UDPv6`, `UNIX`, …
pub(crate) fn protocol_of(pid: u32, socket: u64) -> io::Result<String> {
    let path = text_of(OsStr::new(&format!("/proc/{pid}/fd/{socket}")))?;
    let mut word = [0_u8; 32];
    let name = c"system.sockprotoname";
    // SAFETY: both texts outlive the call, which writes at most as many bytes as there are.
    let len = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), word.as_mut_ptr().cast(), word.len()) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    Ok(String::from_utf8_lossy(&word[..len]).trim_end_matches('\0').to_owned())
}

fn mount(source: Option<&Path>, target: &Path, flags: libc::c_ulong) -> io::Result<()> {
    let source = source.map(|path| text_of(path.as_os_str())).transpose()?;
    let target = text_of(target.as_os_str())?;
    let source = source.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: each pointer is null or a text that outlives the call.
    check(unsafe { libc::mount(source, target.as_ptr(), ptr::null(), flags, ptr::null()) })
}

fn text_of(path: &OsStr) -> io::Result<CString> {
    Ok(CString::new(path.as_bytes())?)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
