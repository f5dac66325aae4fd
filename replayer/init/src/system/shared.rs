//! A little memory that this process has in common with others (shmget(2), shmat(2)).
//!
//! It has a number and no name. It is to be destroyed from the start, so that it goes with the last process that has it,
//! however that ends; until then Linux still lets others have it by its number (shmctl(2)).

use std::{
    io,
    mem::offset_of,
    ptr,
    sync::atomic::{AtomicI64, Ordering},
};

use super::check;

/// How many numbers are in it.
pub(crate) const COUNT: usize = 133;

/// What is at the memory's start.
#[derive(Debug)]
#[repr(C)]
struct Page {
    words: [AtomicI64; COUNT],
    mark: AtomicI64,
}

/// Where the mark is, in bytes from the memory's start.
pub(crate) const MARK_AT: u64 = offset_of!(Page, mark) as u64;

/// Numbers that others read and write as well; this process has them as long as it lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    number: i32,
    mark: i64,
    page: &'static Page,
}

impl Shared {
    /// New ones, all 0, with a mark by chance, which every user may read and this one write.
    pub(crate) fn make() -> io::Result<Self> {
        // SAFETY: it makes something new, and touches no memory of ours.
        let number = unsafe { libc::shmget(libc::IPC_PRIVATE, size_of::<Page>(), libc::IPC_CREAT | 0o644) };
        check(number)?;
        let shared = Self::of(number);
        // SAFETY: nothing is written where none is asked for.
        check(unsafe { libc::shmctl(number, libc::IPC_RMID, ptr::null_mut()) })?;
        let shared = Self { mark: random()?, ..shared? };
        shared.page.mark.store(shared.mark, Ordering::SeqCst);
        Ok(shared)
    }

    /// Those of this number.
    pub(crate) fn of(number: i32) -> io::Result<Self> {
        // SAFETY: the kernel chooses a place where nothing is.
        let address = unsafe { libc::shmat(number, ptr::null(), 0) };
        if address.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: what starts there is a page, zero at first, which is never given back; whoever else has it can change
        // nothing but what the numbers are.
        let page: &Page = unsafe { &*address.cast() };
        Ok(Self { number, mark: page.mark.load(Ordering::SeqCst), page })
    }

    /// From now on whoever has no rights beyond its user's can only have them to read, the user of this process too, unless it
    /// changes that back. Who has them already goes on as before.
    pub(crate) fn seal(self) -> io::Result<()> {
        // SAFETY: all zeroes is a valid value, which the kernel writes before it is read.
        unsafe {
            let mut about: libc::shmid_ds = std::mem::zeroed();
            check(libc::shmctl(self.number, libc::IPC_STAT, &raw mut about))?;
            about.shm_perm.mode = 0o444;
            check(libc::shmctl(self.number, libc::IPC_SET, &raw mut about))
        }
    }

    /// By which others have them.
    pub(crate) fn number(self) -> i32 {
        self.number
    }

    pub(crate) fn words(self) -> &'static [AtomicI64; COUNT] {
        &self.page.words
    }

    /// What no other memory has at [`MARK_AT`]: in another name space the number is that of something else.
    pub(crate) fn mark(self) -> [u8; 8] {
        self.mark.to_ne_bytes()
    }
}

/// A number by chance.
fn random() -> io::Result<i64> {
    let mut bytes = [0; 8];
    // SAFETY: the kernel writes at most as many bytes as there are.
    let len = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(len) == Ok(bytes.len()) {
        Ok(i64::from_ne_bytes(bytes))
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_writes_the_other_reads_and_a_number_of_nobody_is_an_error() {
        let Ok(one) = Shared::make() else { return eprintln!("skipped: no memory can be shared here") };
        let other = Shared::of(one.number()).unwrap();
        assert!(!ptr::eq(one.words(), other.words()));
        one.words()[1].store(7, Ordering::Relaxed);
        assert_eq!([0, 1].map(|at: usize| other.words()[at].load(Ordering::Relaxed)), [0, 7]);
        assert_eq!(one.mark(), other.mark());
        assert_ne!(one.mark(), Shared::make().unwrap().mark());
        assert!(Shared::of(-1).is_err());
    }
}
