//! For programs whose random bytes pass by the kernel's call: `std::random_device` asks the processor, and `/dev/urandom` is
//! a file. Both are sent to `getrandom`, which the tracer answers.
//!
//! Small requests of C's `getrandom` and `getentropy` it answers itself, since a call stops the service in its tracer: each
//! process asks the tracer for one key and makes its bytes from that by ChaCha20 (RFC 8439). What is asked past the library, or
//! before the key is there, is the call's matter.
//!
//! Loaded before a program's own libraries (`LD_PRELOAD`, ld.so(8)). It needs nothing but what each C library has, so the same
//! file loads under glibc and under musl. Programs that are linked statically do not load it.
//!
//! `scripts/blobs` builds it.

#![no_std]

use core::{
    arch::asm,
    ffi::{c_char, c_int, c_long, c_void},
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
};

const WRITE: c_long = 1;
const CLOSE: c_long = 3;
const LSEEK: c_long = 8;
const MMAP: c_long = 9;
const MUNMAP: c_long = 11;
const MADVISE: c_long = 28;
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

/// The flags of `getrandom` (getrandom(2)) that ask for what is given anyway: `GRND_NONBLOCK` and `GRND_INSECURE`.
const ALL_ONE: u32 = 1 | 4;
/// Most bytes that are given here, as of a request that is answered whole (getrandom(2)).
const GIVEN_LEN_MAX: usize = 256;

const READ_AND_WRITE: c_long = 3;
const PRIVATE_MEMORY: c_long = 0x22;
/// `MADV_WIPEONFORK` (Linux 4.14): a child has zeroes there.
const WIPE_ON_FORK: c_long = 18;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

#[inline(always)]
unsafe fn call(number: c_long, arguments: [c_long; 4]) -> c_long {
    let result: c_long;
    // The fifth and the sixth argument are those of a mapping of no file.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") arguments[0], in("rsi") arguments[1],
            in("rdx") arguments[2], in("r10") arguments[3], in("r8") -1_i64, in("r9") 0_i64,
            lateout("rcx") _, lateout("r11") _, options(nostack));
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

/// What a process makes its bytes from. It is in memory that is empty in a child, which so gets a key of its own.
#[repr(C)]
struct Generator {
    state: AtomicU32,
    key: [AtomicU32; 8],
    /// How many pieces of 64 bytes were made.
    made: AtomicU64,
}

/// States of a generator; one that has been asked for its key has none until it is [`READY`].
const EMPTY: u32 = 0;
const ASKED: u32 = 1;
const READY: u32 = 2;

static GENERATOR: AtomicPtr<Generator> = AtomicPtr::new(ptr::null_mut());

/// This process's generator, nothing where there can be none.
unsafe fn generator() -> Option<&'static Generator> {
    let there = GENERATOR.load(Ordering::Acquire);
    if !there.is_null() {
        return Some(unsafe { &*there });
    }
    let len = size_of::<Generator>() as c_long;
    let made = unsafe { call(MMAP, [0, len, READ_AND_WRITE, PRIVATE_MEMORY]) };
    if made < 0 {
        return None;
    }
    let is_wiped = unsafe { call(MADVISE, [made, len, WIPE_ON_FORK, 0]) } == 0;
    let made_at = made as *mut Generator;
    let stored = GENERATOR.compare_exchange(ptr::null_mut(), made_at, Ordering::AcqRel, Ordering::Acquire);
    match stored {
        Ok(_) if is_wiped => Some(unsafe { &*made_at }),
        Ok(_) => {
            GENERATOR.store(ptr::null_mut(), Ordering::Release);
            unsafe { call(MUNMAP, [made, len, 0, 0]) };
            None
        }
        Err(other) => {
            unsafe { call(MUNMAP, [made, len, 0, 0]) };
            Some(unsafe { &*other })
        }
    }
}

/// Fills all of it without a call; false where that cannot be.
unsafe fn give(bytes: *mut u8, len: usize) -> bool {
    let Some(generator) = (unsafe { generator() }) else { return false };
    let asked = generator.state.compare_exchange(EMPTY, ASKED, Ordering::AcqRel, Ordering::Acquire);
    match asked {
        Ok(_) => {
            let mut key = [0_u32; 8];
            if unsafe { fill(key.as_mut_ptr().cast(), size_of_val(&key)) } < 0 {
                generator.state.store(EMPTY, Ordering::Release);
                return false;
            }
            let mut at = 0;
            while at < key.len() {
                generator.key[at].store(key[at], Ordering::Relaxed);
                at += 1;
            }
            generator.state.store(READY, Ordering::Release);
        }
        // Another thread is at it, or this one, which a signal has interrupted.
        Err(ASKED) => return false,
        Err(_) => {}
    }
    let pieces = len.div_ceil(PIECE_OF_STREAM_LEN) as u64;
    let first = generator.made.fetch_add(pieces, Ordering::Relaxed);
    let word = |at: usize| generator.key[at].load(Ordering::Relaxed);
    let key = [word(0), word(1), word(2), word(3), word(4), word(5), word(6), word(7)];
    let (mut done, mut number) = (0, first);
    while done < len {
        let piece = piece_of_stream(&key, number);
        let part_len = if len - done < PIECE_OF_STREAM_LEN { len - done } else { PIECE_OF_STREAM_LEN };
        unsafe { ptr::copy_nonoverlapping(piece.as_ptr().cast(), bytes.add(done), part_len) };
        done += part_len;
        number += 1;
    }
    // A child that was made in between, by a signal's handler, has no key, and what came of that is nothing to be given.
    generator.state.load(Ordering::Acquire) == READY
}

const PIECE_OF_STREAM_LEN: usize = 64;

/// ChaCha20's block (RFC 8439, 2.3) with a counter of 64 bits and no nonce.
fn piece_of_stream(key: &[u32; 8], number: u64) -> [u32; 16] {
    let [a, b, c, d, e, f, g, h] = *key;
    let start = [
        0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574, a, b, c, d, e, f, g, h, number as u32, (number >> 32) as u32, 0, 0,
    ];
    let mut state = start;
    // Places are written out, so that none is looked up that might not be there: there is nobody to panic to.
    macro_rules! add_and_turn {
        ($to:literal $from:literal $other:literal $turn:literal) => {
            state[$to] = state[$to].wrapping_add(state[$from]);
            state[$other] = (state[$other] ^ state[$to]).rotate_left($turn);
        };
    }
    macro_rules! quarter {
        ($a:literal $b:literal $c:literal $d:literal) => {
            add_and_turn!($a $b $d 16);
            add_and_turn!($c $d $b 12);
            add_and_turn!($a $b $d 8);
            add_and_turn!($c $d $b 7);
        };
    }
    for _ in 0..10 {
        quarter!(0 4 8 12);
        quarter!(1 5 9 13);
        quarter!(2 6 10 14);
        quarter!(3 7 11 15);
        quarter!(0 5 10 15);
        quarter!(1 6 11 12);
        quarter!(2 7 8 13);
        quarter!(3 4 9 14);
    }
    let mut at = 0;
    while at < 16 {
        state[at] = state[at].wrapping_add(start[at]);
        at += 1;
    }
    state
}

/// `getrandom(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(bytes: *mut u8, len: usize, flags: u32) -> isize {
    if len <= GIVEN_LEN_MAX && flags & !ALL_ONE == 0 && unsafe { give(bytes, len) } {
        return len as isize;
    }
    let got = unsafe { call(GETRANDOM, [bytes as c_long, len as c_long, flags as c_long, 0]) };
    unsafe { result(got) as isize }
}

/// `getentropy(3)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(bytes: *mut u8, len: usize) -> c_int {
    if len > GIVEN_LEN_MAX {
        return unsafe { result(-EIO) };
    }
    if unsafe { give(bytes, len) } {
        return 0;
    }
    unsafe { result(fill(bytes, len)) }
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
