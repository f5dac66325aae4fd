//! Opens the files of a store side by side: reading an index is arithmetic.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{OpenError, segment::Opened};

/// Files opened at once at most. A choice: each may hold an index in the making.
const AT_ONCE_MAX: usize = 4;

/// Each file as `open` opens it, in the order of the files.
pub(super) fn opened_all<T: Sync>(
    files: &[T],
    open: impl Fn(&T) -> Result<Opened, OpenError> + Sync,
) -> Vec<Result<Opened, OpenError>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(AT_ONCE_MAX).min(files.len());
    if threads < 2 {
        return files.iter().map(open).collect();
    }
    let next = AtomicUsize::new(0);
    let opened = Mutex::new(Vec::with_capacity(files.len()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, file)) = numbered(files, next.fetch_add(1, Ordering::Relaxed)) {
                    let one = open(file);
                    opened.lock().unwrap_or_else(PoisonError::into_inner).push((at, one));
                }
            });
        }
    });
    let mut opened = opened.into_inner().unwrap_or_else(PoisonError::into_inner);
    opened.sort_by_key(|(at, _)| *at);
    opened.into_iter().map(|(_, one)| one).collect()
}

fn numbered<T>(files: &[T], at: usize) -> Option<(usize, &T)> {
    Some((at, files.get(at)?))
}
