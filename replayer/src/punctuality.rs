//! Whether exchanges were sent when they should have been, and whose fault it was where not.
//!
//! In: for each exchange when it should have been sent, when it could have been, when it was, and when it ended. Out: how
//! late, in quantiles, with how long answers took counted from either moment. Counting only from the moment of sending leaves
//! out what a slow answer keeps the next request waiting for: *coordinated omission* (G. Tene, "How NOT to Measure Latency").

use crate::{
    receipt::{Punctuality, Quantiles},
    timing::Pacing,
};

/// Later than this counts as late, in nanoseconds. A choice: above what a busy machine's scheduler adds to a timer, below what
/// changes which exchanges meet.
pub(crate) const LATE_NS: u64 = 10_000_000;

/// Exchanges whose times are kept for the quantiles; of more, the first. A choice: tens of megabytes.
const LEN_MAX: usize = 1 << 20;

/// When an exchange was to be sent, and was, in nanoseconds of one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// When it should have been.
    pub(crate) intended_ns: u64,
    /// When all that it waits for had come to pass.
    pub(crate) could_ns: u64,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    late_ns: Vec<u64>,
    late: u64,
    late_by_service: u64,
    took_ns: Vec<u64>,
    since_intended_ns: Vec<u64>,
    sent: u64,
}

impl Watched {
    /// Adds an exchange that was sent.
    pub(crate) fn add(&mut self, due: Due, started_ns: u64, ended_ns: u64) {
        self.sent += 1;
        let late_ns = started_ns.saturating_sub(due.intended_ns);
        // What the client adds by itself, once nothing keeps it waiting any more.
        let own_ns = started_ns.saturating_sub(due.intended_ns.max(due.could_ns));
        if late_ns > LATE_NS {
            self.late += 1;
            self.late_by_service += u64::from(own_ns <= LATE_NS);
        }
        if self.late_ns.len() < LEN_MAX {
            self.late_ns.push(late_ns);
            self.took_ns.push(ended_ns.saturating_sub(started_ns));
            self.since_intended_ns.push(ended_ns.saturating_sub(due.intended_ns.min(started_ns)));
        }
    }

    /// All of it; nothing where nothing had a time.
    pub(crate) fn conclude(self, pacing: Pacing, production_ns: Vec<u64>) -> Option<Punctuality> {
        let speed = pacing.timing.speed().filter(|_| self.sent > 0)?;
        Some(Punctuality {
            factor: speed.factor(),
            waits: pacing.waits.word().to_owned(),
            sent: self.sent,
            late: Quantiles::of(self.late_ns),
            late_bound_ms: ms(LATE_NS),
            late_count: self.late,
            late_by_service: self.late_by_service,
            late_by_client: self.late - self.late_by_service,
            took_in_production: Quantiles::of(production_ns),
            took_since_sent: Quantiles::of(self.took_ns),
            took_since_intended: Quantiles::of(self.since_intended_ns),
        })
    }
}

impl Quantiles {
    /// Those of these nanoseconds, by the nearest rank: the smallest value that so many of a hundred do not exceed.
    fn of(mut ns: Vec<u64>) -> Self {
        ns.sort_unstable();
        let at = |percent: usize| {
            let rank = (ns.len() * percent).div_ceil(100);
            ms(rank.checked_sub(1).and_then(|at| ns.get(at)).copied().unwrap_or_default())
        };
        Self { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

/// Milliseconds with three digits after the point.
fn ms(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::{Loop, Timing};

    const MS: u64 = 1_000_000;
    const PACING: Pacing = Pacing { timing: Timing::RECORDED, waits: Loop::Open };

    #[test]
    fn who_is_late_by_more_than_the_bound_is_counted_with_whose_fault_it_was() {
        let mut watched = Watched::default();
        let due = |intended: u64, could: u64| Due { intended_ns: intended * MS, could_ns: could * MS };
        watched.add(due(100, 0), 101 * MS, 120 * MS);
        watched.add(due(100, 300), 301 * MS, 310 * MS);
        watched.add(due(100, 0), 150 * MS, 160 * MS);
        let told = watched.conclude(PACING, vec![5 * MS]).unwrap();
        assert_eq!((told.sent, told.late_count, told.late_by_service, told.late_by_client), (3, 2, 1, 1));
        assert_eq!(told.late, Quantiles { p50_ms: 50.0, p99_ms: 201.0, max_ms: 201.0 });
        assert_eq!(told.took_since_sent.max_ms, 19.0);
        assert_eq!(told.took_since_intended.max_ms, 210.0, "the wait before it was sent counts");
        assert_eq!(told.took_in_production.p50_ms, 5.0);
    }

    #[test]
    fn without_a_time_nobody_is_late_and_one_value_is_all_quantiles() {
        assert_eq!(Watched::default().conclude(PACING, Vec::new()), None);
        let one = Quantiles::of(vec![3 * MS]);
        assert_eq!(one, Quantiles { p50_ms: 3.0, p99_ms: 3.0, max_ms: 3.0 });
        let hundred = Quantiles::of((1..=100).map(|at| at * MS).collect());
        assert_eq!(hundred, Quantiles { p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 });
    }
}
