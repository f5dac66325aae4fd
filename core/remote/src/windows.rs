//! What was fetched last, of one object or of all objects of a store.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;

/// Bytes that are asked for at once, at least. A choice: a request costs as much as reading these.
const WINDOW_BYTES_MIN: u64 = 512 << 10;
/// Bytes that are asked for at once where one window was read after another. A choice, as a part is as long.
const WINDOW_BYTES_MAX: u64 = 8 << 20;
/// Windows kept: the end of a file is read between its blocks. A choice.
const WINDOWS_KEPT: usize = 4;

/// Windows of objects, the one that was used last first.
#[derive(Default)]
pub(crate) struct Windows {
    kept: Mutex<Vec<Window>>,
}

struct Window {
    /// The object's number in its store.
    object: usize,
    start: u64,
    bytes: Bytes,
}

impl Windows {
    /// The window that holds all of this range, and where it starts.
    pub(crate) fn holding(&self, object: usize, range: &Range<u64>) -> Option<(u64, Bytes)> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let holds =
            |window: &Window| window.object == object && window.start <= range.start && range.end <= window.end();
        let at = kept.iter().position(holds)?;
        kept[..=at].rotate_right(1);
        Some((kept[0].start, kept[0].bytes.clone()))
    }

    /// What to fetch for this range of an object of so many bytes: more where the object is read from front to back.
    pub(crate) fn around(&self, object: usize, range: &Range<u64>, len: u64) -> Range<u64> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.iter().find(|it| it.object == object && it.start < range.start && range.start <= it.end());
        let bytes =
            before.map_or(WINDOW_BYTES_MIN, |it| (2 * it.bytes.len() as u64).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX));
        let end = range.end.max(range.start.saturating_add(bytes)).min(len);
        // At the end of an object the window reaches back: what stands there is read backwards.
        range.start.min(end.saturating_sub(WINDOW_BYTES_MIN))..end
    }

    /// Keeps a window, and lets go of the one that was not used for longest.
    pub(crate) fn keep(&self, object: usize, start: u64, bytes: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(0, Window { object, start, bytes });
        kept.truncate(WINDOWS_KEPT);
    }
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bytes(range: &Range<u64>) -> Bytes {
        vec![0; usize::try_from(range.end - range.start).unwrap()].into()
    }

    #[test]
    fn what_is_read_from_front_to_back_is_fetched_in_ever_longer_pieces_and_the_end_once() {
        let windows = Windows::default();
        let mut read = Vec::new();
        let mut at = 0;
        while at < 40 * MIB {
            let window = windows.around(0, &(at..at + 64), 40 * MIB);
            windows.keep(0, window.start, bytes(&window));
            assert_eq!(windows.holding(0, &(at..at + 64)).unwrap().0, window.start);
            read.push(window.end - window.start);
            at = window.end;
        }
        assert_eq!(read[..5], [MIB / 2, MIB, 2 * MIB, 4 * MIB, 8 * MIB]);
        assert!(read[5..].iter().all(|len| *len <= 8 * MIB), "{read:?}");
        let footer = windows.around(1, &(40 * MIB - 64..40 * MIB), 40 * MIB);
        assert_eq!(footer, 40 * MIB - MIB / 2..40 * MIB);
    }

    #[test]
    fn windows_of_many_objects_are_bounded_together_and_never_mixed_up() {
        let windows = Windows::default();
        for object in 0..100 {
            windows.keep(object, 0, bytes(&(0..10)));
        }
        assert_eq!(windows.kept.lock().unwrap().len(), WINDOWS_KEPT);
        assert!(windows.holding(99, &(0..10)).is_some());
        assert!(windows.holding(99, &(0..11)).is_none() && windows.holding(3, &(0..10)).is_none());
        assert_eq!(windows.around(5, &(0..10), 20), 0..20);
    }
}
