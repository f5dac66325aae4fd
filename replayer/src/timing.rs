//! When exchanges are sent: as soon as the order allows, or at production's times, scaled or not.
//!
//! In: what the user asked for, and when each exchange began in the recording. Out: how long after the first each is to be
//! sent. Waiting is `drive`'s, and whether it was kept `punctuality`'s to say.

use std::{fmt, str::FromStr, time::Duration};

use crate::order::Span;

/// When exchanges are sent, and what waits for what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pacing {
    /// When they are sent.
    pub timing: Timing,
    /// What waits for what, where they are sent at a time.
    pub waits: Loop,
}

impl Pacing {
    /// As soon as the order allows.
    pub const ASAP: Self = Self { timing: Timing::Asap, waits: Loop::Open };

    /// A few words for the receipt: `asap`, `recorded, open loop`.
    pub fn words(self) -> String {
        match self.timing {
            Timing::Asap => self.timing.to_string(),
            Timing::Paced(_) => format!("{}, {} loop", self.timing, self.waits.word()),
        }
    }
}

/// When exchanges are sent, relative to production's send times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Timing {
    /// As soon as the order allows.
    #[default]
    Asap,
    /// At production's times, this many times as fast.
    Paced(Speed),
}

/// How many times as fast as production: more than 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

/// Why a text is no timing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a timing is asap, recorded, or x and how many times as fast, from x0.001 to x1000: x2 is twice as fast")]
pub struct TimingError;

impl Timing {
    /// Production's own times.
    pub const RECORDED: Self = Self::Paced(Speed(1.0));

    /// How many times as fast as production, where that is asked for.
    pub fn speed(self) -> Option<Speed> {
        match self {
            Self::Asap => None,
            Self::Paced(speed) => Some(speed),
        }
    }
}

impl FromStr for Timing {
    type Err = TimingError;

    fn from_str(text: &str) -> Result<Self, TimingError> {
        match text {
            "asap" => return Ok(Self::Asap),
            "recorded" => return Ok(Self::RECORDED),
            _ => {}
        }
        let factor: Option<f64> = text.strip_prefix('x').and_then(|factor| factor.parse().ok());
        let factor = factor.filter(|factor| (0.001..=1000.0).contains(factor)).ok_or(TimingError)?;
        Ok(Self::Paced(Speed(factor)))
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asap => formatter.write_str("asap"),
            Self::Paced(Speed(1.0)) => formatter.write_str("recorded"),
            Self::Paced(Speed(factor)) => write!(formatter, "x{factor}"),
        }
    }
}

impl Speed {
    /// The factor.
    pub fn factor(self) -> f64 {
        self.0
    }

    /// How long something takes here that took `ns` nanoseconds in production.
    pub(crate) fn of(self, ns: u64) -> Duration {
        Duration::from_nanos(ns).div_f64(self.0)
    }

    pub(crate) fn of_ns(self, ns: u64) -> u64 {
        u64::try_from(self.of(ns).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What an exchange that has a time waits for beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loop {
    /// For the answers that had come before it in its own conversation, and for nothing of another: a service that is slow
    /// gets more in flight, as from real clients.
    #[default]
    Open,
    /// For all answers that had come before it, and then as long as its client had taken: a service that is slow gets less.
    Closed,
}

impl Loop {
    /// Its name on the command line and in a receipt.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// When each exchange is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Nanoseconds after the first.
    pub(crate) at_ns: Vec<u64>,
    /// How long its client had taken since the last answer that it had waited for.
    pub(crate) thought_ns: Vec<u64>,
}

impl Schedule {
    /// How much later than the first copy one of `copies` begins: evenly within production's mean gap, so that there are so many
    /// times as many arrivals and no volleys.
    pub(crate) fn shift_ns(&self, copy: u32, copies: u32) -> u64 {
        let gaps = self.at_ns.len().saturating_sub(1) as u64;
        let mean_ns = self.at_ns.last().map_or(0, |last_ns| last_ns / gaps.max(1));
        (mean_ns / u64::from(copies.max(1))).saturating_mul(u64::from(copy))
    }

    /// That of `spans`, sorted by session and start. Sessions have no common clock: a later one begins where all of the
    /// earlier one had ended.
    pub(crate) fn of(spans: &[Span], speed: Speed) -> Self {
        let (mut at_ns, mut thought_ns) = (Vec::with_capacity(spans.len()), Vec::with_capacity(spans.len()));
        let mut offset_ns = 0_u64;
        for session in spans.chunk_by(|one, other| one.session == other.session) {
            let began_ns = session[0].started_ns;
            let mut ends: Vec<u64> = session.iter().map(Span::end).collect();
            ends.sort_unstable();
            for span in session {
                at_ns.push(speed.of_ns(offset_ns.saturating_add(span.started_ns - began_ns)));
                let before = ends.partition_point(|&end| end < span.started_ns);
                let last_ns = before.checked_sub(1).map(|last| ends[last]);
                thought_ns.push(last_ns.map_or(0, |last_ns| speed.of_ns(span.started_ns - last_ns)));
            }
            let ended_ns = ends.last().copied().unwrap_or(began_ns);
            offset_ns = offset_ns.saturating_add(ended_ns - began_ns);
        }
        Self { at_ns, thought_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(session: usize, started_ns: u64, ended_ns: u64) -> Span {
        Span { session, started_ns, ended_ns }
    }

    #[test]
    fn a_timing_is_read_and_shown_alike_and_nonsense_is_refused() {
        for text in ["asap", "recorded", "x2", "x0.5"] {
            assert_eq!(text.parse::<Timing>().unwrap().to_string(), text);
        }
        assert_eq!("x1".parse::<Timing>(), Ok(Timing::RECORDED));
        for wrong in ["", "x", "x0", "x-1", "xNaN", "xinf", "2", "x1e9", "fast"] {
            assert_eq!(wrong.parse::<Timing>(), Err(TimingError), "{wrong}");
        }
    }

    #[test]
    fn a_schedule_begins_with_the_first_and_keeps_production_s_gaps_at_the_speed() {
        let spans = [span(0, 1_000, 5_000), span(0, 3_000, 4_000), span(0, 9_000, 9_500)];
        let twice = Schedule::of(&spans, Speed(2.0));
        assert_eq!(twice.at_ns, [0, 1_000, 4_000]);
        assert_eq!(twice.thought_ns, [0, 0, 2_000], "the last one was sent 4,000 ns after an answer");
    }

    #[test]
    fn a_later_session_begins_where_the_earlier_one_ended_whatever_its_clock_says() {
        let spans = [span(0, 500, 700), span(0, 600, 900), span(1, 7, 8), span(1, 107, 108)];
        assert_eq!(Schedule::of(&spans, Speed(1.0)).at_ns, [0, 100, 400, 500]);
    }

    #[test]
    fn copies_are_spread_evenly_over_the_mean_gap() {
        let schedule = Schedule::of(&[span(0, 0, 5), span(0, 100, 105), span(0, 800, 805)], Speed(1.0));
        assert_eq!([0, 1, 3].map(|copy| schedule.shift_ns(copy, 4)), [0, 100, 300]);
        assert_eq!(Schedule::of(&[span(0, 7, 9)], Speed(1.0)).shift_ns(3, 4), 0);
    }

    #[test]
    fn a_hostile_recording_overflows_nothing() {
        let spans = [span(0, 0, u64::MAX), span(1, 5, 0), span(1, u64::MAX, 3)];
        let slow = Schedule::of(&spans, Speed(0.001));
        assert_eq!(slow.at_ns, [0, u64::MAX, u64::MAX]);
    }
}
