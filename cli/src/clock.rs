//! The one clock: nanoseconds since the command began, and the wall clock's time then.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// A started clock.
#[derive(Clone)]
pub(crate) struct Clock {
    /// Nanoseconds since it was started, never going back.
    pub(crate) monotonic: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The wall clock when it was started, in nanoseconds since 1970.
    pub(crate) started_unix_ns: u64,
}

impl Clock {
    /// Starts it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the clocks are asked; all others are handed this"
    )]
    pub(crate) fn start() -> Self {
        let started = Instant::now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self { monotonic: Arc::new(move || nanos(started.elapsed())), started_unix_ns: nanos(wall) }
    }
}
