//! A wall clock that goes by the processor's counter: one product and one sum, so that reading it takes no longer than the machine's own
//! clock, which is made in the same way.
//!
//! Seconds since 1970 are `counter * rate + at_zero`, with 64 binary places; nanoseconds are the places times 10⁹. `blob/vdso.rs` reads it so in
//! the service.

use crate::system::counter::Moment;

/// How long two moments are to be apart that tell how fast the counter is: 20 ns in that are four in a million. A choice; as a rule
/// they are a service's start apart, which is a hundred times longer.
pub(super) const APART_NS_MIN: i64 = 5_000_000;

const SECOND_NS: u128 = 1_000_000_000;

const PLACES: u32 = 64;

/// What counters count in a second. Outside of this what was measured makes no sense: the machine slept in between.
const COUNTS_MIN: u128 = 100_000_000;
const COUNTS_MAX: u128 = 20_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// What is added for each count.
    pub(super) rate: u64,
    /// What it shows at counter 0, modulo 2¹²⁸.
    pub(super) at_zero: u128,
}

impl Counted {
    /// One that shows `ns` now, 0 or more, and is as fast as the monotonic clock was since `earlier`; nothing where that makes no sense.
    pub(super) fn showing(ns: i64, earlier: Moment, now: Moment) -> Option<Self> {
        let passed = u128::try_from(now.monotonic_ns.saturating_sub(earlier.monotonic_ns)).ok()?;
        let counted = u128::from(now.counter.checked_sub(earlier.counter)?);
        let counts = (counted * SECOND_NS).checked_div(passed)?;
        if !(COUNTS_MIN..=COUNTS_MAX).contains(&counts) {
            return None;
        }
        let rate = u64::try_from((passed << PLACES) / (counted * SECOND_NS)).ok()?;
        let ns = u128::try_from(ns).ok()?;
        // Up, so that the same nanoseconds come back.
        let places = ((ns % SECOND_NS) << PLACES).div_ceil(SECOND_NS);
        let shown = (ns / SECOND_NS) << PLACES | places;
        Some(Self { rate, at_zero: shown.wrapping_sub(u128::from(now.counter) * u128::from(rate)) })
    }

    /// From its rate and the halves of what it shows at 0: seconds and places.
    pub(super) fn of(rate: u64, [seconds, places]: [i64; 2]) -> Self {
        let at_zero = u128::from(seconds.cast_unsigned()) << PLACES | u128::from(places.cast_unsigned());
        Self { rate, at_zero }
    }

    /// Seconds and places of what it shows at 0.
    pub(super) fn halves(self) -> [i64; 2] {
        let half = |half: u128| i64::from_le_bytes(half.to_le_bytes()[..8].try_into().unwrap_or_default());
        [half(self.at_zero >> PLACES), half(self.at_zero)]
    }

    /// What it shows at `counter`, in nanoseconds.
    pub(super) fn at(self, counter: u64) -> i64 {
        let shown = (u128::from(counter) * u128::from(self.rate)).wrapping_add(self.at_zero).cast_signed();
        let (seconds, places) = (shown >> PLACES, shown & i128::from(u64::MAX));
        let ns = (seconds * SECOND_NS.cast_signed()).saturating_add((places * SECOND_NS.cast_signed()) >> PLACES);
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: Moment = Moment { counter: 7_000_000_000_000, monotonic_ns: 3_000_000_000_000 };

    fn later(ms: i64, hertz: u64) -> Moment {
        let counter = EARLIER.counter + hertz / 1000 * ms.unsigned_abs();
        Moment { counter, monotonic_ns: EARLIER.monotonic_ns + ms * 1_000_000 }
    }

    #[test]
    fn it_shows_what_it_was_set_to_and_is_as_fast_as_the_monotonic_clock() {
        for hertz in [1_000_000_000, 2_445_429_000, 5_000_000_000] {
            let now = later(500, hertz);
            for ns in [0, 1, 999_999_999, 1_700_000_000_123_456_789, 1 << 62] {
                let counted = Counted::showing(ns, EARLIER, now).unwrap();
                assert_eq!(counted.at(now.counter), ns);
                assert_eq!(Counted::of(counted.rate, counted.halves()), counted);
                let day = counted.at(now.counter + hertz * 86_400) - ns;
                assert!(day.abs_diff(86_400_000_000_000) < 20_000, "{hertz} {ns} {day}: the rate has 33 binary digits");
                let before = ns - counted.at(now.counter - hertz / 1000);
                assert!(before.abs_diff(1_000_000) <= 1, "{before}");
            }
        }
    }

    #[test]
    fn it_never_goes_back() {
        let now = later(5, 3_000_000_000);
        let counted = Counted::showing(1_700_000_000_999_999_000, EARLIER, now).unwrap();
        let shown: Vec<i64> = (0..10_000).map(|counts| counted.at(now.counter + counts)).collect();
        assert!(shown.is_sorted() && shown.first() < shown.last());
    }

    #[test]
    fn what_was_measured_over_a_sleep_makes_no_sense_and_times_end_where_the_number_does() {
        let now = later(500, 2_000_000_000);
        let began_anew = Moment { counter: 1, ..now };
        let slept = Moment { counter: now.counter + (3600 * 2_000_000_000), ..now };
        let stood = Moment { counter: EARLIER.counter, ..now };
        let at_once = Moment { monotonic_ns: EARLIER.monotonic_ns, ..now };
        for moment in [began_anew, slept, stood, at_once] {
            assert_eq!(Counted::showing(7, EARLIER, moment), None, "{moment:?}");
        }
        assert_eq!(Counted::showing(-1, EARLIER, now), None);
        assert_eq!(Counted::showing(i64::MAX, EARLIER, now).unwrap().at(now.counter + 2_000_000_000), i64::MAX);
        assert!(Counted::showing(5, EARLIER, now).unwrap().at(now.counter - 2_000_000_000) < 0);
    }
}
