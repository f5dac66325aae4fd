//! The one clock of a capture session: nanoseconds since it was started, and the wall's time beside it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use exchange::ClockPair;

/// A monotonic clock that was 0 when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that is 0 now.
    pub fn start() -> Self {
        Self { started: now() }
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
        let since_epoch = wall_now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_unix_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        ClockPair { monotonic_ns: self.now_ns(), wall_unix_ns }
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
