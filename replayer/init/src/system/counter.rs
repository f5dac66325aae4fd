//! The processor's time stamp counter, where Linux itself tells the time by it (Intel SDM vol. 3, 18.17; AMD APM vol. 3, RDTSCP).

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__cpuid, __rdtscp};
use std::fs;

use super::waiting::monotonic_ns;

/// Says what Linux tells the time by.
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// Of so many attempts to read two clocks at once the closest counts. A choice: one of a few is not interrupted.
const ATTEMPTS: usize = 8;

/// The same moment by the counter and by the machine's monotonic clock, to some ten nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) counter: u64,
    pub(crate) monotonic_ns: i64,
}

impl Moment {
    /// Now. Only where [`is_the_clock`] says so.
    pub(crate) fn now() -> Self {
        let attempt = || {
            let (before, monotonic_ns, after) = (read(), monotonic_ns(), read());
            let took = after.saturating_sub(before);
            (took, Self { counter: before + took / 2, monotonic_ns })
        };
        let closest =
            (1..ATTEMPTS).map(|_| attempt()).fold(attempt(), |one, other| if other.0 < one.0 { other } else { one });
        closest.1
    }
}

/// True where all processors count alike and at one speed, as Linux has found, and where reading the counter waits for what comes before.
#[cfg(target_arch = "x86_64")]
pub(crate) fn is_the_clock() -> bool {
    const EXTENDED: u32 = 0x8000_0001;
    const RDTSCP: u32 = 1 << 27;
    let has_rdtscp = __cpuid(0x8000_0000).eax >= EXTENDED && __cpuid(EXTENDED).edx & RDTSCP != 0;
    has_rdtscp && fs::read_to_string(CLOCK_SOURCE).is_ok_and(|name| name.trim_end() == "tsc")
}

/// What it shows, after all that was to be read before.
#[cfg(target_arch = "x86_64")]
pub(crate) fn read() -> u64 {
    let mut processor = 0;
    // SAFETY: one number is written. Where there is no such instruction nobody asks, since it is not the clock.
    unsafe { __rdtscp(&raw mut processor) }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn is_the_clock() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn read() -> u64 {
    0
}
