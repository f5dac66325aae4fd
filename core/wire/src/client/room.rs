//! Bytes that several replies may hold at once: each has its own limit, and together they have one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How many bytes are left, for all that share it.
#[derive(Clone, Debug)]
pub struct Room(Arc<AtomicU64>);

impl Room {
    /// One of so many bytes.
    pub fn of(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }
}

/// What one reply has of a room; it goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Room,
    bytes: u64,
}

impl Taken {
    pub(super) fn none_of(room: Room) -> Self {
        Self { room, bytes: 0 }
    }

    /// Takes more; false where so much is not left, and then nothing more is taken.
    pub(super) fn more(&mut self, bytes: u64) -> bool {
        let left = |left: u64| left.checked_sub(bytes);
        let is_there = self.room.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        self.bytes += if is_there { bytes } else { 0 };
        is_there
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_another_has_not_until_it_is_dropped() {
        let room = Room::of(10);
        let mut one = Taken::none_of(room.clone());
        let mut other = Taken::none_of(room);
        assert!(one.more(6) && one.more(1) && !other.more(4) && other.more(3) && !one.more(1));
        drop(one);
        assert!(other.more(7) && !other.more(1));
    }
}
