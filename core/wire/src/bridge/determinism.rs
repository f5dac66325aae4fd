//! What of its time and chance a service inside is given, instead of the machine's own: the settings that init is told,
//! and the wall clock, which the host sets anew while the service runs.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What is made for the service rather than left to the machine. Each control is there to be switched on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Virtual {
    /// What all chance comes from, written as 64 hexadecimal digits.
    #[serde(serialize_with = "write_seed", deserialize_with = "read_seed")]
    pub seed: [u8; 32],
    /// What the wall clock shows when the service starts.
    pub wall_clock: WallClock,
    /// Whether the wall clock is given: by the vDSO as by calls.
    #[serde(default = "yes")]
    pub clock: bool,
    /// Whether the kernel's random bytes are given: `getrandom`, `AT_RANDOM`, and the vDSO's `getrandom`.
    #[serde(default = "yes")]
    pub entropy: bool,
    /// Whether addresses are left where they are at each start.
    #[serde(default = "yes")]
    pub aslr_off: bool,
    /// Whether the processor's time stamp counter is given, which makes each reading of it some 50 µs.
    #[serde(default)]
    pub tsc: bool,
    /// What the clocks show that only go on.
    #[serde(default)]
    pub monotonic: Monotonic,
    /// Whether the service is run also where a control cannot be had, which is then told. Otherwise it is not started.
    #[serde(default)]
    pub fallback: bool,
}

/// What the wall clock shows, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WallClock {
    /// One moment, until it is set anew.
    Frozen {
        /// The moment.
        at_ns: u64,
    },
    /// It goes on from a moment, as fast as time passes.
    Running {
        /// The moment that it is when this is set.
        from_ns: u64,
    },
}

impl WallClock {
    /// The payload of its frame: 0 for one moment, 1 for one that goes on, and nanoseconds (8 bytes).
    pub(super) fn payload(self) -> [u8; 9] {
        let (kind, ns) = match self {
            Self::Frozen { at_ns } => (0, at_ns),
            Self::Running { from_ns } => (1, from_ns),
        };
        let mut payload = [kind; 9];
        payload[1..].copy_from_slice(&ns.to_be_bytes());
        payload
    }

    /// The clock of a payload as [`Self::payload`] made it.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (kind, ns) = payload.split_first()?;
        let ns = u64::from_be_bytes(ns.try_into().ok()?);
        match kind {
            0 => Some(Self::Frozen { at_ns: ns }),
            1 => Some(Self::Running { from_ns: ns }),
            _ => None,
        }
    }
}

/// Sets the wall clock of all that runs inside, at once; clones set the same one.
#[derive(Clone)]
pub struct SetsClock(Arc<dyn Fn(WallClock) + Send + Sync>);

impl SetsClock {
    /// By calling this, which cannot fail.
    pub fn by(set: impl Fn(WallClock) + Send + Sync + 'static) -> Self {
        Self(Arc::new(set))
    }

    pub(super) fn set(&self, wall: WallClock) {
        (self.0)(wall);
    }
}

impl fmt::Debug for SetsClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SetsClock").finish_non_exhaustive()
    }
}

/// What the clocks show that only go on: `CLOCK_MONOTONIC`, `CLOCK_BOOTTIME` and their kin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monotonic {
    /// The machine's own.
    #[default]
    Real,
    /// One moment, the same in each run, until the host says that the service is ready; the machine's own from then on.
    /// Timers of a service that waits before it is ready hang.
    FrozenUntilReady,
}

fn yes() -> bool {
    true
}

fn write_seed<S: Serializer>(seed: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&seed.map(|byte| format!("{byte:02x}")).concat())
}

fn read_seed<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(from)?;
    parse_seed(&text).ok_or_else(|| de::Error::custom("a seed is 64 hexadecimal digits"))
}

fn parse_seed(text: &str) -> Option<[u8; 32]> {
    let digits = text.bytes().map(|byte| char::from(byte).to_digit(16)).collect::<Option<Vec<_>>>()?;
    let bytes: Vec<_> = digits.chunks_exact(2).flat_map(|pair| u8::try_from(pair[0] << 4 | pair[1])).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_read_as_it_was_written_and_nothing_else_is_one() {
        for wall in [WallClock::Frozen { at_ns: u64::MAX }, WallClock::Running { from_ns: 7 }] {
            let payload = wall.payload();
            assert_eq!(WallClock::read(&payload), Some(wall));
            for wrong in [&payload[..8], &[&payload[..], &[0]].concat(), &[], &[2, 0, 0, 0, 0, 0, 0, 0, 0]] {
                assert_eq!(WallClock::read(wrong), None, "{wrong:?}");
            }
        }
    }

    #[test]
    fn a_seed_is_64_hexadecimal_digits_and_nothing_else() {
        let text = "00ff".repeat(16);
        assert_eq!(parse_seed(&text).unwrap()[..2], [0, 255]);
        for wrong in ["", "00ff", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(parse_seed(wrong), None, "{wrong}");
        }
    }
}
