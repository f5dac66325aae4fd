//! A seccomp filter that lets us see connects before they happen (seccomp_unotify(2)), and lets every one of them go on.

use std::{
    io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
};

use super::check;

/// The architecture whose calls are looked at, as the audit subsystem numbers it (linux/audit.h). Calls of another, such
/// as 32-bit ones, pass unseen.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else {
    None
};

/// Where the filter finds things in `struct seccomp_data` (seccomp(2)); which half of an address comes first is all one.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ADDRESS_OF_SENDTO_AT: u32 = 16 + 4 * 8;

/// Wakes whoever waits on the same processor, since one waits for the other in turn: Linux 6.6, linux/seccomp.h.
const SYNC_WAKE_UP: u64 = 1;

/// The answer by which a call is carried out (Linux 5.5).
const GO_ON: u32 = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;

/// The end of the filter that hears of calls. While it is open they wait for it; once it is closed they fail.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

/// A call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    id: u64,
    /// The thread that makes it, as numbered in our name space.
    pub(crate) pid: u32,
    /// The socket, among the caller's descriptors.
    pub(crate) socket: u64,
    /// Where the address is in the caller's memory.
    pub(crate) address: u64,
    /// The address's length in bytes, as the caller claims.
    pub(crate) address_len: u64,
    /// True when it is a datagram that is sent, and no connect.
    pub(crate) is_datagram: bool,
}

impl Listener {
    /// Waits for the next call.
    pub(crate) fn next(&self) -> io::Result<Call> {
        // SAFETY: all zeroes is a valid value, and the one that the kernel asks for.
        let mut told: libc::seccomp_notif = unsafe { mem::zeroed() };
        // SAFETY: the kernel writes one value of this type, whose size has been checked.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut told) })?;
        let arguments = told.data.args;
        let is_datagram = libc::c_long::from(told.data.nr) == libc::SYS_sendto;
        let (address, address_len) =
            if is_datagram { (arguments[4], arguments[5]) } else { (arguments[1], arguments[2]) };
        Ok(Call { id: told.id, pid: told.pid, socket: arguments[0], address, address_len, is_datagram })
    }

    /// True when the caller still waits: what was read of it was its own.
    pub(crate) fn still_waits(&self, call: Call) -> bool {
        // SAFETY: the kernel reads one number.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const call.id) == 0 }
    }

    /// Lets the call go on as if nobody had looked.
    pub(crate) fn go_on(&self, call: Call) {
        let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags: GO_ON };
        // It fails for a caller that has been killed, which waits for nothing.
        // SAFETY: the kernel reads one value of this type, whose size has been checked.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    }
}

/// From now on this thread, and what it starts, waits for the [`Listener`] in each connect, and in each sendto that
/// names an address.
pub(crate) fn filter_this_thread() -> io::Result<Listener> {
    check_sizes()?;
    let mut filter = filter(ARCHITECTURE.ok_or(io::ErrorKind::Unsupported)?);
    let program =
        libc::sock_fprog { len: u16::try_from(filter.len()).expect("a few instructions"), filter: filter.as_mut_ptr() };
    let listener = install(&program).or_else(|error| match error.raw_os_error() {
        // Without CAP_SYS_ADMIN it takes the promise that nothing started from here gains privileges. Where we run,
        // a container or name spaces of our own, it is given already, or there are none to gain.
        Some(libc::EACCES) => promise_no_new_privileges().and_then(|()| install(&program)),
        _ => Err(error),
    })?;
    // A kernel that does not know it is slower by some microseconds.
    // SAFETY: the descriptor is open, and the flags are passed by value.
    unsafe { libc::ioctl(listener.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
    Ok(listener)
}

/// Other sizes than ours mean a kernel that says more than we make room for.
fn check_sizes() -> io::Result<()> {
    // SAFETY: all zeroes is a valid value.
    let mut sizes: libc::seccomp_notif_sizes = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes one value of this type.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes) };
    check(i32::try_from(done).unwrap_or(-1))?;
    let fits = usize::from(sizes.seccomp_notif) == size_of::<libc::seccomp_notif>()
        && usize::from(sizes.seccomp_notif_resp) == size_of::<libc::seccomp_notif_resp>();
    if fits { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// Signals other than deadly ones leave a call alone that is being looked at, where the kernel can do that (Linux 5.19).
/// Elsewhere such a call begins again, and is counted again.
fn install(program: &libc::sock_fprog) -> io::Result<Listener> {
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let installed = install_with(program, flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    match installed {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install_with(program, flags),
        installed => installed,
    }
}

fn install_with(program: &libc::sock_fprog, flags: libc::c_ulong) -> io::Result<Listener> {
    let program = ptr::from_ref(program);
    // SAFETY: the program and its instructions outlive the call, which copies them.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, program) };
    let fd = i32::try_from(fd).unwrap_or(-1);
    check(fd)?;
    // SAFETY: it is open and nobody else has it; it closes itself in what is executed.
    Ok(Listener(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn promise_no_new_privileges() -> io::Result<()> {
    // SAFETY: prctl with this option reads four numbers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Tell of connect, and of sendto with an address; allow the rest.
fn filter(architecture: u32) -> [libc::sock_filter; 11] {
    let load = |at| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    // Both jumps count from the instruction after this one.
    let equal = |value, jump, or| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, jump, or);
    let answer = |action| instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0);
    let number = |number: libc::c_long| u32::try_from(number).unwrap_or(u32::MAX);
    [
        load(ARCHITECTURE_AT),
        equal(architecture, 0, 7),
        load(NUMBER_AT),
        equal(number(libc::SYS_connect), 6, 0),
        equal(number(libc::SYS_sendto), 0, 4),
        load(ADDRESS_OF_SENDTO_AT),
        equal(0, 0, 3),
        load(ADDRESS_OF_SENDTO_AT + 4),
        equal(0, 0, 1),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_USER_NOTIF),
    ]
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).expect("codes have 16 bits"), jt, jf, k }
}
