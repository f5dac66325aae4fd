//! What the clocks of the service show: two numbers in memory that init, the bridge, the tracer and each process of the
//! service have in common, so that a clock is set by writing one of them, and shows that everywhere at once.
//!
//! Each is one word, which no reader sees half-written. The bridge sets the wall clock where the host says so; the tracer sets
//! both before the service is started, and answers calls by them; `blob/vdso.rs` reads them in the service.

use std::{io, sync::atomic::Ordering};

use wire::bridge::WallClock;

use crate::{
    plant::{self, Plant},
    system::{
        shared::{MARK_AT, Shared},
        waiting::monotonic_ns,
    },
};

/// What frozen monotonic clocks show, in nanoseconds. A choice: a little less than 17 minutes, as of a machine that has
/// been on for a while.
pub(crate) const FROZEN_NS: i64 = 1_000_000_000_000;

/// Where the numbers are: the wall clock's, and the monotonic clocks'.
const WALL: usize = 0;
const MONOTONIC: usize = 1;

/// The highest bit of the wall clock's number: where it is set, the others are what is added to the machine's monotonic clock,
/// and else the time itself.
const RUNS: i64 = i64::MIN;

/// Of what is added the nanoseconds are in the lowest bits, and above them the seconds, more by so many that they are never below
/// zero: 34 years, longer than any machine has been on.
const NANOSECONDS_BITS: u32 = 30;
const SECONDS_MORE: i64 = 1 << 30;
const SECONDS_MAX: i64 = (1 << (63 - NANOSECONDS_BITS)) - 1 - SECONDS_MORE;

const SECOND_NS: i64 = 1_000_000_000;

/// What all processes of the service are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Shared);

impl Clock {
    /// A new one, which shows nothing yet.
    pub(crate) fn make() -> io::Result<Self> {
        if plant::is(Plant::NoClock) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Shared::make().map(Self)
    }

    /// The one of this number.
    pub(crate) fn of(number: i32) -> io::Result<Self> {
        Shared::of(number).map(Self)
    }

    /// Whoever gets it from now on is as a rule not to set it.
    pub(crate) fn seal(self) -> io::Result<()> {
        self.0.seal()
    }

    /// By which others have it.
    pub(crate) fn number(self) -> i32 {
        self.0.number()
    }

    /// Whether what a process has at `address` is this one: `read` reads there.
    pub(crate) fn is_at(self, address: u64, read: impl FnOnce(u64, &mut [u8]) -> io::Result<usize>) -> bool {
        let mut mark = [0; 8];
        read(address + MARK_AT, &mut mark).is_ok_and(|len| len == mark.len()) && mark == self.0.mark()
    }

    /// The wall clock shows this from now on.
    pub(crate) fn set(self, wall: WallClock) {
        self.store(WALL, word_of(wall, monotonic_ns()));
    }

    /// Monotonic clocks stand still from now on, or are the machine's own.
    pub(crate) fn freeze_monotonic(self, is_frozen: bool) {
        self.store(MONOTONIC, if is_frozen { FROZEN_NS } else { 0 });
    }

    /// What the monotonic clocks show, where that is not the machine's.
    pub(crate) fn monotonic(self) -> Option<i64> {
        Some(self.load(MONOTONIC)).filter(|shown| *shown != 0)
    }

    /// The time of day, in nanoseconds.
    pub(crate) fn now(self) -> i64 {
        time_of(self.load(WALL), monotonic_ns())
    }

    fn store(self, index: usize, word: i64) {
        self.0.words()[index].store(word, Ordering::SeqCst);
    }

    fn load(self, index: usize) -> i64 {
        self.0.words()[index].load(Ordering::SeqCst)
    }
}

/// The wall clock's number where the machine's monotonic clock shows `now`. Times end where the number does: in 2262, and in
/// 2208 for a clock that runs.
fn word_of(wall: WallClock, now: i64) -> i64 {
    let ns = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    match wall {
        WallClock::Frozen { at_ns } => ns(at_ns),
        WallClock::Running { from_ns } => {
            let more = (ns(from_ns) - now).clamp(-SECONDS_MORE * SECOND_NS, SECONDS_MAX * SECOND_NS);
            let (seconds, nanoseconds) = (more.div_euclid(SECOND_NS), more.rem_euclid(SECOND_NS));
            (seconds + SECONDS_MORE) << NANOSECONDS_BITS | nanoseconds | RUNS
        }
    }
}

/// What it shows then.
fn time_of(word: i64, now: i64) -> i64 {
    match word & RUNS {
        0 => word,
        _ => {
            let seconds = ((word & !RUNS) >> NANOSECONDS_BITS) - SECONDS_MORE;
            let nanoseconds = word & ((1 << NANOSECONDS_BITS) - 1);
            (seconds * SECOND_NS + nanoseconds).saturating_add(now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_what_it_was_set_to_and_one_that_runs_goes_on() {
        for at_ns in [0, 1, 1_700_000_000_123_456_789, i64::MAX.cast_unsigned()] {
            let word = word_of(WallClock::Frozen { at_ns }, 5);
            assert_eq!([5, 1_000_000].map(|now| time_of(word, now)), [at_ns.cast_signed(); 2]);
        }
        // Before the machine's start as well as after it.
        for from_ns in [0, 1_700_000_000_123_456_789, 1 << 62] {
            let word = word_of(WallClock::Running { from_ns }, 5_000);
            assert_eq!([5_000, 5_007].map(|now| time_of(word, now)), [0, 7].map(|later| from_ns.cast_signed() + later));
        }
        let most = word_of(WallClock::Frozen { at_ns: u64::MAX }, 0);
        assert_eq!(time_of(most, 0), i64::MAX);
        let most = word_of(WallClock::Running { from_ns: u64::MAX }, 0);
        assert_eq!(time_of(most, 7), SECONDS_MAX * SECOND_NS + 7);
        const { assert!(SECONDS_MAX > i64::MAX / 2 / SECOND_NS, "a clock that runs goes on to 2116 at least") };
    }
}
