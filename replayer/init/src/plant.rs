//! False claims that tests plant, so as to see that the self-check finds them. Only `retake-init`, which is for tests, asks
//! for one.

use std::{sync::OnceLock, time::Duration};

/// A control that claims what it does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Calls for the clock are answered a millisecond late.
    LateClock,
    /// Calls for random bytes succeed, and nothing is written.
    NoEntropy,
    /// The vDSO is taken to have no room, which is no false claim.
    NoRoom,
    /// No memory can be shared, which is no false claim either.
    NoClock,
    /// The processor's counter is taken to be none to tell the time by, nor is this.
    NoCounter,
    /// The self-check takes `SLOWNESS` longer, nor is this.
    SlowCheck,
    /// How many filters a program has is not told, as before Linux 5.9, and calls have a tenth of the time, nor is this.
    UntoldFilters,
}

/// By how much. A choice: more than anything that is rounded in a test.
pub(crate) const SLOWNESS: Duration = Duration::from_millis(500);

static PLANTED: OnceLock<Plant> = OnceLock::new();

impl Plant {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "late-clock" => Some(Self::LateClock),
            "no-entropy" => Some(Self::NoEntropy),
            "no-room" => Some(Self::NoRoom),
            "no-clock" => Some(Self::NoClock),
            "no-counter" => Some(Self::NoCounter),
            "slow-check" => Some(Self::SlowCheck),
            "untold-filters" => Some(Self::UntoldFilters),
            _ => None,
        }
    }

    /// Plants it in this process.
    pub fn plant(self) {
        PLANTED.get_or_init(|| self);
    }
}

/// Whether this one is planted.
pub(crate) fn is(plant: Plant) -> bool {
    PLANTED.get() == Some(&plant)
}
