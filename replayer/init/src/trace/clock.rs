//! What the clocks of the service show.

use wire::bridge::WallClock;

use crate::system::waiting::monotonic_ns;

/// What frozen monotonic clocks show, in nanoseconds. A choice: a little less than 17 minutes, as of a machine that has
/// been on for a while.
pub(super) const FROZEN_NS: i64 = 1_000_000_000_000;

/// The clocks that show the time of day, by number (linux/time.h): `REALTIME`, `_COARSE`, `_ALARM`, `TAI`.
pub(super) const WALLS: [i32; 4] = [0, 5, 8, 11];

/// Those that only go on: `MONOTONIC`, `_RAW`, `_COARSE`, `BOOTTIME`, `_ALARM`.
pub(super) const MONOTONICS: [i32; 5] = [1, 4, 6, 7, 9];

/// What all processes of the service are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// Whether `wall` is added to the machine's monotonic clock.
    runs: bool,
    wall: i64,
    monotonic_is_frozen: bool,
    /// Even; another one for each change.
    sequence: u32,
}

impl Clock {
    pub(super) fn new(wall: WallClock, monotonic_is_frozen: bool) -> Self {
        let mut clock = Self { runs: false, wall: 0, monotonic_is_frozen, sequence: 0 };
        clock.set(wall);
        clock
    }

    /// The wall clock shows this from now on.
    pub(super) fn set(&mut self, wall: WallClock) {
        let ns = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        (self.runs, self.wall) = match wall {
            WallClock::Frozen { at_ns } => (false, ns(at_ns)),
            WallClock::Running { from_ns } => (true, ns(from_ns).saturating_sub(monotonic_ns())),
        };
        self.sequence = self.sequence.wrapping_add(2);
    }

    /// As it was made, for another start.
    pub(super) fn start_over(&mut self, wall: WallClock, monotonic_is_frozen: bool) {
        self.monotonic_is_frozen = monotonic_is_frozen;
        self.set(wall);
    }

    /// Monotonic clocks are the machine's own from now on.
    pub(super) fn go_on(&mut self) {
        self.monotonic_is_frozen = false;
        self.sequence = self.sequence.wrapping_add(2);
    }

    pub(super) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Whether it runs, and what is to be added to the machine's monotonic clock, or else the time itself.
    pub(super) fn wall(&self) -> (bool, i64) {
        (self.runs, self.wall)
    }

    /// What the monotonic clocks show, where that is not the machine's.
    pub(super) fn monotonic(&self) -> Option<i64> {
        self.monotonic_is_frozen.then_some(FROZEN_NS)
    }

    /// The time of day, in nanoseconds.
    pub(super) fn now(&self) -> i64 {
        if self.runs { self.wall.saturating_add(monotonic_ns()) } else { self.wall }
    }
}
