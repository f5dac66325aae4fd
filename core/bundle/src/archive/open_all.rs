//! Opens the files of a store side by side: reading an index is arithmetic.

use std::{
    num::NonZero,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    OpenError,
    segment::{Opened, Segment},
};

/// Files opened at once at most. A choice: each may hold an index in the making.
const AT_ONCE_MAX: usize = 4;

/// Each file, sealed or not, in the order of the paths.
pub(super) fn opened_all(paths: &[PathBuf]) -> Vec<Result<Opened, OpenError>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(AT_ONCE_MAX).min(paths.len());
    if threads < 2 {
        return paths.iter().map(|path| Segment::open_any(path)).collect();
    }
    let next = AtomicUsize::new(0);
    let opened = Mutex::new(Vec::with_capacity(paths.len()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, path)) = numbered(paths, next.fetch_add(1, Ordering::Relaxed)) {
                    let one = Segment::open_any(path);
                    opened.lock().unwrap_or_else(PoisonError::into_inner).push((at, one));
                }
            });
        }
    });
    let mut opened = opened.into_inner().unwrap_or_else(PoisonError::into_inner);
    opened.sort_by_key(|(at, _)| *at);
    opened.into_iter().map(|(_, one)| one).collect()
}

fn numbered(paths: &[PathBuf], at: usize) -> Option<(usize, &PathBuf)> {
    Some((at, paths.get(at)?))
}
