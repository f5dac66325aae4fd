//! What the clocks of the service show: two numbers in memory that init, the bridge, the tracer and each process of the
//! service have in common, so that a clock is set by writing one of them, and shows that everywhere at once.
//!
//! Each is one word, which no reader sees half-written. The bridge sets the wall clock where the host says so; the tracer sets
//! both before the service is started, and answers calls by them; `blob/vdso.rs` reads them in the service.
//!
//! A wall clock that runs goes by the processor's counter where Linux's own clock does (`counted`), and its word says where the numbers
//! for that are, which do not change once the word is written. Elsewhere the word is what is added to the monotonic clock.

mod counted;

use std::{
    io,
    sync::atomic::{AtomicI64, Ordering},
    thread,
    time::Duration,
};

use wire::bridge::WallClock;

use self::counted::{APART_NS_MIN, Counted};
use crate::{
    plant::{self, Plant},
    system::{
        counter::{self, Moment},
        shared::{COUNT, MARK_AT, Shared},
        waiting::monotonic_ns,
    },
};

/// What frozen monotonic clocks show, in nanoseconds. A choice: a little less than 17 minutes, as of a machine that has
/// been on for a while.
pub(crate) const FROZEN_NS: i64 = 1_000_000_000_000;

/// Where the numbers are: the wall clock's, and the monotonic clocks'.
const WALL: usize = 0;
const MONOTONIC: usize = 1;

/// The moment since which it is measured how fast the processor's counter is, by the counter and by the monotonic clock; 0 where
/// the wall clock is not to go by it.
const SINCE: [usize; 2] = [2, 3];

/// How many lines of numbers were written, the first of them, and how many there are. A line is not written again before as many others
/// were: a choice, for whoever read the word that says where it is. Each is a rate, seconds and places (`Counted`), and the word of the
/// same clock by the monotonic one.
const WRITTEN: usize = 4;
const LINES: usize = 5;
const LINE_LEN: usize = 4;
const LINE_COUNT: usize = (COUNT - LINES) / LINE_LEN;

/// The highest bit of the wall clock's number: where it is set, the others are what is added to the machine's monotonic clock,
/// and else the time itself.
const RUNS: i64 = i64::MIN;

/// Bits that no number of nanoseconds has all of: where they are set in theirs, the lower ones are where its line is, in bytes from the
/// memory's start.
const BY_COUNTER: i64 = 0xf << 26;

/// How far a clock by the counter may be from the same by the monotonic clock. A choice: far more than their speeds differ by, unless
/// the machine slept or is being set right.
const ASTRAY_NS_MAX: u64 = 10_000_000;

/// How far it may be and still be believed.
const BELIEVED_NS_MAX: u64 = 1_000_000_000;

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
        let clock = Shared::make().map(Self)?;
        if counter::is_the_clock() && !plant::is(Plant::NoCounter) {
            let Moment { counter, monotonic_ns } = Moment::now();
            clock.store(SINCE[1], monotonic_ns);
            clock.store(SINCE[0], counter.cast_signed());
        }
        Ok(clock)
    }

    /// The wall clock is not to go by the processor's counter, which the service cannot read as it is.
    pub(crate) fn leave_counter(self) {
        self.store(SINCE[0], 0);
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
        let ns = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        self.store(
            WALL,
            match wall {
                WallClock::Frozen { at_ns } => ns(at_ns),
                WallClock::Running { from_ns } => self.running(ns(from_ns)),
            },
        );
    }

    /// The number of a wall clock that shows `ns` now and runs.
    fn running(self, ns: i64) -> i64 {
        let Some(earlier) = self.since() else { return summed(ns, monotonic_ns()) };
        let apart = monotonic_ns().saturating_sub(earlier.monotonic_ns);
        let until = monotonic_ns() + (APART_NS_MIN.saturating_sub(apart)).clamp(0, APART_NS_MIN);
        while let Ok(missing @ 1..) = u64::try_from(until - monotonic_ns()) {
            thread::park_timeout(Duration::from_nanos(missing));
        }
        let now = Moment::now();
        let summed = summed(ns, now.monotonic_ns);
        Counted::showing(ns, earlier, now).map_or(summed, |counted| self.write_line(counted, summed))
    }

    fn since(self) -> Option<Moment> {
        let [counter, monotonic_ns] = SINCE.map(|at| self.load(at));
        (counter != 0).then_some(Moment { counter: counter.cast_unsigned(), monotonic_ns })
    }

    /// Writes numbers, and gives the word that says where they are.
    fn write_line(self, counted: Counted, summed: i64) -> i64 {
        let written = self.0.words()[WRITTEN].fetch_add(1, Ordering::SeqCst);
        let at = LINES + LINE_LEN * usize::try_from(written).map_or(0, |written| written % LINE_COUNT);
        let [seconds, places] = counted.halves();
        let line = [counted.rate.cast_signed(), seconds, places, summed];
        (at..).zip(line).for_each(|(at, number)| self.store(at, number));
        RUNS | BY_COUNTER | (at * size_of::<AtomicI64>()) as i64
    }

    /// The numbers of a wall clock that goes by the counter, and the word of the same by the monotonic clock.
    fn line(self, word: i64) -> Option<(Counted, i64)> {
        if word & RUNS == 0 || word & BY_COUNTER != BY_COUNTER {
            return None;
        }
        let bytes = usize::try_from(word & ((1 << NANOSECONDS_BITS) - 1) & !BY_COUNTER).ok()?;
        let at = bytes / size_of::<AtomicI64>();
        let line: &[AtomicI64; LINE_LEN] = self.0.words().get(at..)?.first_chunk()?;
        let [rate, seconds, places, summed] = line.each_ref().map(|number| number.load(Ordering::SeqCst));
        Some((Counted::of(rate.cast_unsigned(), [seconds, places]), summed))
    }

    /// Looks whether a wall clock that goes by the counter is where it should be. If not, as when the machine slept or Linux sets its own
    /// clock right by more than a little, it goes by the monotonic clock from now on.
    pub(crate) fn watch(self) {
        let word = self.load(WALL);
        let Some((counted, summed_word)) = self.line(word) else { return };
        let now = Moment::now();
        let (counted, should) = (counted.at(now.counter), time_of(summed_word, now.monotonic_ns));
        let astray = counted.abs_diff(should);
        if astray > ASTRAY_NS_MAX {
            self.leave_counter();
            let shown = if astray <= BELIEVED_NS_MAX { counted } else { should };
            let by_monotonic = summed(shown, now.monotonic_ns);
            // An error says that it was just set otherwise.
            self.0.words()[WALL].compare_exchange(word, by_monotonic, Ordering::SeqCst, Ordering::SeqCst).ok();
        }
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
        let word = self.load(WALL);
        match self.line(word) {
            Some((counted, _)) => counted.at(counter::read()),
            None => time_of(word, monotonic_ns()),
        }
    }

    fn store(self, index: usize, word: i64) {
        self.0.words()[index].store(word, Ordering::SeqCst);
    }

    fn load(self, index: usize) -> i64 {
        self.0.words()[index].load(Ordering::SeqCst)
    }
}

/// The number of a wall clock that shows `ns` where the machine's monotonic clock shows `now`, and goes on with that. Times end where the
/// number does: in 2208.
fn summed(ns: i64, now: i64) -> i64 {
    let more = (ns - now).clamp(-SECONDS_MORE * SECOND_NS, SECONDS_MAX * SECOND_NS);
    let (seconds, nanoseconds) = (more.div_euclid(SECOND_NS), more.rem_euclid(SECOND_NS));
    (seconds + SECONDS_MORE) << NANOSECONDS_BITS | nanoseconds | RUNS
}

/// What a wall clock shows, unless it goes by the counter.
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
    fn a_clock_that_stands_shows_what_it_was_set_to_and_one_that_runs_goes_on() {
        for at_ns in [0, 1, 1_700_000_000_123_456_789, i64::MAX] {
            assert_eq!([5, 1_000_000].map(|now| time_of(at_ns, now)), [at_ns; 2]);
        }
        // Before the machine's start as well as after it.
        for from_ns in [0, 1_700_000_000_123_456_789, 1 << 62] {
            let word = summed(from_ns, 5_000);
            assert_eq!([5_000, 5_007].map(|now| time_of(word, now)), [0, 7].map(|later| from_ns + later));
        }
        assert_eq!(time_of(summed(i64::MAX, 0), 7), SECONDS_MAX * SECOND_NS + 7);
        const { assert!(SECONDS_MAX > i64::MAX / 2 / SECOND_NS, "a clock that runs goes on to 2116 at least") };
        const { assert!(SECOND_NS <= BY_COUNTER && BY_COUNTER < 1 << NANOSECONDS_BITS) };
    }

    /// One whose counter is as fast as it claims to be.
    fn by_counter() -> Option<Clock> {
        let clock = Clock::make().ok();
        let clock = clock.filter(|clock| clock.since().is_some());
        if clock.is_none() {
            eprintln!("skipped: no memory can be shared here, or Linux does not go by the processor's counter");
        }
        clock
    }

    #[test]
    fn a_clock_by_the_counter_is_set_at_once_for_all_and_keeps_to_the_monotonic_clock() {
        const SET_NS: i64 = 1_700_000_000_999_999_999;
        let Some(clock) = by_counter() else { return };
        let other = Clock::of(clock.number()).unwrap();
        // More often than there are lines.
        for more in 0..100 {
            let from_ns = SET_NS + more * SECOND_NS;
            let before = monotonic_ns();
            clock.set(WallClock::Running { from_ns: from_ns.cast_unsigned() });
            let (shown, after) = (other.now(), monotonic_ns());
            assert!(other.line(other.load(WALL)).is_some(), "it goes by the counter");
            assert!((0..=after - before).contains(&(shown - from_ns)), "{shown} {from_ns}");
        }
        clock.watch();
        assert!(clock.line(clock.load(WALL)).is_some(), "it is not astray");
        clock.set(WallClock::Frozen { at_ns: 7 });
        assert_eq!(other.now(), 7);
        clock.leave_counter();
        clock.set(WallClock::Running { from_ns: 7 });
        assert!(other.line(other.load(WALL)).is_none());
    }

    #[test]
    fn a_clock_by_the_counter_that_is_astray_goes_by_the_monotonic_clock_and_goes_back_only_where_it_makes_no_sense() {
        let Some(clock) = by_counter() else { return };
        let since = clock.since().unwrap();
        let set_ns = 1_700_000_000 * SECOND_NS;
        let second = 1_i128 << 64;
        for (more, shown) in [(second / 50, SECOND_NS / 50), (-second / 50, -SECOND_NS / 50), (second * 3600, 0)] {
            clock.store(SINCE[0], since.counter.cast_signed());
            clock.set(WallClock::Running { from_ns: set_ns.cast_unsigned() });
            let (counted, summed) = clock.line(clock.load(WALL)).unwrap();
            let counted = Counted { at_zero: counted.at_zero.wrapping_add_signed(more), ..counted };
            clock.store(WALL, clock.write_line(counted, summed));
            clock.watch();
            assert!(clock.line(clock.load(WALL)).is_none() && clock.since().is_none());
            let later = clock.now() - set_ns - shown;
            assert!((0..SECOND_NS).contains(&later), "{later}");
        }
    }
}
