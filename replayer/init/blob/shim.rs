//! For programs whose random bytes pass by the kernel's call: `std::random_device` asks the processor, and `/dev/urandom` is
//! a file. Both are sent to `getrandom`, which the tracer answers.
//!
//! Loaded before a program's own libraries (`LD_PRELOAD`, ld.so(8)). It needs no library itself, so the same file loads
//! under glibc and under musl. Programs that are linked statically do not load it.
//!
//! `scripts/blobs` builds it.

#![no_std]

use core::{
    arch::asm,
    ffi::{c_char, c_int, c_long, c_void},
    mem::MaybeUninit,
};

const WRITE: c_long = 1;
const CLOSE: c_long = 3;
const LSEEK: c_long = 8;
const OPENAT: c_long = 257;
const GETRANDOM: c_long = 318;
const MEMFD_CREATE: c_long = 319;

const AT_FDCWD: c_int = -100;
const O_CREAT: c_int = 0o100;
const O_TMPFILE: c_int = 0o20_200_000;
const O_CLOEXEC: c_int = 0o2_000_000;
const MFD_CLOEXEC: c_long = 1;
const EIO: c_long = 5;

/// Bytes that one opening of `/dev/urandom` has before it ends. A choice: 32,768 random UUIDs of a program that reads 32
/// bytes for each.
const OPENING_LEN: usize = 1 << 20;
/// How much is asked for at a time. A choice: small beside the smallest stacks, large beside what asking costs.
const PIECE_LEN: usize = 8192;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

#[inline(always)]
unsafe fn call(number: c_long, arguments: [c_long; 4]) -> c_long {
    let result: c_long;
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") arguments[0], in("rsi") arguments[1],
            in("rdx") arguments[2], in("r10") arguments[3], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// As C has it: -1 and `errno` for an error.
unsafe fn result(number: c_long) -> c_int {
    if number < 0 {
        unsafe { *__errno_location() = -number as c_int };
        return -1;
    }
    number as c_int
}

/// Fills all of it, or says why not.
unsafe fn fill(bytes: *mut u8, len: usize) -> c_long {
    let mut done = 0;
    while done < len {
        let got = unsafe { call(GETRANDOM, [bytes.add(done) as c_long, (len - done) as c_long, 0, 0]) };
        match got {
            -4 => {}
            got if got < 0 => return got,
            got => done += got as usize,
        }
    }
    0
}

/// `std::random_device::_M_getval()`. A number that cannot be had ends the program: there is no error to return.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZNSt13random_device9_M_getvalEv(_this: *mut c_void) -> u32 {
    let mut number = [0_u8; 4];
    if unsafe { fill(number.as_mut_ptr(), 4) } < 0 {
        unsafe { asm!("ud2", options(noreturn)) };
    }
    u32::from_ne_bytes(number)
}

/// The same by the name that it had before C++11.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _ZNSt13random_device16_M_getval_pretr1Ev(this: *mut c_void) -> u32 {
    unsafe { _ZNSt13random_device9_M_getvalEv(this) }
}

/// True for the paths of the kernel's random bytes.
unsafe fn is_random(path: *const c_char) -> bool {
    let is = |wanted: &[u8]| {
        let mut at = 0;
        while at < wanted.len() {
            if unsafe { *path.add(at) } as u8 != wanted[at] {
                return false;
            }
            at += 1;
        }
        true
    };
    !path.is_null() && (is(b"/dev/urandom\0") || is(b"/dev/random\0"))
}

unsafe fn open_in(folder: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    if unsafe { is_random(path) } {
        return unsafe { result(opened(flags)) };
    }
    let takes_mode = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
    let mode = if takes_mode { mode } else { 0 };
    unsafe { result(call(OPENAT, [folder as c_long, path as c_long, flags as c_long, mode as c_long])) }
}

/// A file in memory with random bytes in it.
unsafe fn opened(flags: c_int) -> c_long {
    let close_on_exec = if flags & O_CLOEXEC != 0 { MFD_CLOEXEC } else { 0 };
    let file = unsafe { call(MEMFD_CREATE, [c"random".as_ptr() as c_long, close_on_exec, 0, 0]) };
    if file < 0 {
        return file;
    }
    let mut piece = MaybeUninit::<[u8; PIECE_LEN]>::uninit();
    let piece = piece.as_mut_ptr().cast::<u8>();
    let mut done = 0;
    while done < OPENING_LEN {
        let filled = unsafe { fill(piece, PIECE_LEN) };
        let written = if filled < 0 { filled } else { unsafe { call(WRITE, [file, piece as c_long, PIECE_LEN as c_long, 0]) } };
        if written != PIECE_LEN as c_long {
            unsafe { call(CLOSE, [file, 0, 0, 0]) };
            return if written < 0 { written } else { -EIO };
        }
        done += PIECE_LEN;
    }
    unsafe { call(LSEEK, [file, 0, 0, 0]) };
    file
}

// C's are variadic; on this architecture a third argument is where a fixed one would be.

/// `open(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    unsafe { open_in(AT_FDCWD, path, flags, mode) }
}

/// The same for large files, which all are here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    unsafe { open_in(AT_FDCWD, path, flags, mode) }
}

/// `openat(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    unsafe { open_in(folder, path, flags, mode) }
}

/// The same for large files.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    unsafe { open_in(folder, path, flags, mode) }
}

#[panic_handler]
fn never(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
