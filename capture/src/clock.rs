//! The one clock of a capture session: nanoseconds since it was started, and the wall's time beside it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use exchange::ClockPair;

/// How far the wall's clock has to be from where it should be to have been set, in nanoseconds. A choice: what steers a clock
/// gently moves it by half a millisecond in a second at most (adjtimex(2)).
const SET_NS_MIN: u64 = 1_000_000_000;

/// A monotonic clock that was 0 when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    wall: fn() -> SystemTime,
}

impl Clock {
    /// A clock that is 0 now.
    pub fn start() -> Self {
        Self::beside(wall_now)
    }

    /// A clock that is 0 now, beside a wall's clock of the caller's.
    pub fn beside(wall: fn() -> SystemTime) -> Self {
        Self { started: now(), wall }
    }

    /// Nanoseconds since the start.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(now().duration_since(self.started).as_nanos()).unwrap_or(u64::MAX)
    }

    /// An instant of the wall's time on this clock; `None` before the start. Never later than now, whatever another
    /// machine's clock says.
    pub(crate) fn at_unix_ns(&self, unix_ns: u64) -> Option<u64> {
        let now = self.pair();
        now.monotonic_ns.checked_sub(now.wall_unix_ns.saturating_sub(unix_ns))
    }

    /// The wall's time when this clock was 0, by what the wall says now: nanoseconds since 1970.
    pub(crate) fn start_unix_ns(&self) -> u64 {
        let now = self.pair();
        now.wall_unix_ns.saturating_sub(now.monotonic_ns)
    }

    /// Both clocks, read one right after the other.
    pub fn pair(&self) -> ClockPair {
        let since_epoch = (self.wall)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_unix_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        ClockPair { monotonic_ns: self.now_ns(), wall_unix_ns }
    }
}

/// Notices when somebody sets the wall's clock, or the machine sleeps.
#[derive(Debug)]
pub(crate) struct WallWatch {
    /// Both clocks at the last look.
    last: ClockPair,
}

impl WallWatch {
    pub(crate) fn from(pair: ClockPair) -> Self {
        Self { last: pair }
    }

    /// How far the wall's clock was set since the last look, in nanoseconds: less than 0 where it went back.
    pub(crate) fn set_by(&mut self, now: ClockPair) -> Option<i64> {
        let passed_ns = now.monotonic_ns.saturating_sub(self.last.monotonic_ns);
        let expected_ns = self.last.wall_unix_ns.saturating_add(passed_ns);
        self.last = now;
        let by_ns = i128::from(now.wall_unix_ns) - i128::from(expected_ns);
        let is_set = by_ns.unsigned_abs() >= u128::from(SET_NS_MIN);
        is_set.then(|| i64::try_from(by_ns).unwrap_or(if by_ns < 0 { i64::MIN } else { i64::MAX }))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
fn wall_now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_clock_that_is_set_is_noticed_once_each_way_and_one_that_is_steered_is_not() {
        let pair = |monotonic_ns, wall_unix_ns| ClockPair { monotonic_ns, wall_unix_ns };
        let mut watch = WallWatch::from(pair(0, 1_000 * SECOND));
        assert_eq!(watch.set_by(pair(60 * SECOND, 1_060 * SECOND + SECOND / 30)), None);
        assert_eq!(
            watch.set_by(pair(61 * SECOND, 401 * SECOND)),
            Some(-660 * SECOND.cast_signed() - (SECOND / 30).cast_signed())
        );
        assert_eq!(watch.set_by(pair(62 * SECOND, 402 * SECOND)), None);
        assert_eq!(watch.set_by(pair(62 * SECOND, 502 * SECOND)), Some(100 * SECOND.cast_signed()));
        assert_eq!(watch.set_by(pair(63 * SECOND, u64::MAX)), Some(i64::MAX));
        assert_eq!(watch.set_by(pair(64 * SECOND, 0)), Some(i64::MIN));
    }
}
