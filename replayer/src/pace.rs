//! How busy a service was: most exchanges in flight, and how long one took.
//!
//! In: when exchanges began and ended, of one clock. Out: the setting that a receipt compares with production's.

use std::collections::BTreeSet;

use bundle::Archive;
use exchange::Exchange;

use crate::receipt::Setting;

/// Durations that are kept for the median; of more, the first. A choice: a few megabytes.
const DURATIONS_LEN_MAX: usize = 1 << 20;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    in_flight_max: u64,
    durations_ns: Vec<u64>,
    count: u64,
    /// From the first start to the last end, of all clocks.
    lasted_ns: u64,
}

impl Pace {
    /// Adds exchanges of one clock, each as its start and end in nanoseconds.
    pub(crate) fn add(&mut self, spans: impl Iterator<Item = (u64, u64)>) {
        let spans: Vec<_> = spans.collect();
        let room = DURATIONS_LEN_MAX.saturating_sub(self.durations_ns.len());
        self.durations_ns.extend(spans.iter().take(room).map(|(start, end)| end.saturating_sub(*start)));
        self.lasted(&spans);
        self.in_flight_max = self.in_flight_max.max(in_flight_max(spans.iter().map(|span| (*span, true))));
    }

    /// That of the recorded exchanges: what else was in flight with one of them counts too.
    pub(crate) fn of_recorded(archive: &Archive, chosen: &[Exchange]) -> Self {
        let durations = chosen.iter().map(|exchange| exchange.times.ended_ns.saturating_sub(exchange.times.started_ns));
        let mut pace = Self { durations_ns: durations.take(DURATIONS_LEN_MAX).collect(), ..Self::default() };
        let ids: BTreeSet<_> = chosen.iter().map(|exchange| exchange.id).collect();
        for session in archive.sessions() {
            let clients = archive.entries().iter().filter(|entry| entry.dependency.is_none());
            let of_session = clients.filter(|entry| entry.session == session.id);
            let of_chosen = chosen.iter().filter(|exchange| exchange.session == session.id);
            let spans: Vec<_> = of_chosen.map(|it| (it.times.started_ns, it.times.ended_ns)).collect();
            pace.lasted(&spans);
            let spans = of_session.map(|entry| ((entry.started_ns, entry.ended_ns), ids.contains(&entry.id)));
            pace.in_flight_max = pace.in_flight_max.max(in_flight_max(spans));
        }
        pace
    }

    fn lasted(&mut self, spans: &[(u64, u64)]) {
        self.count += spans.len() as u64;
        let (first, last) = (spans.iter().map(|it| it.0).min(), spans.iter().map(|it| it.1).max());
        self.lasted_ns =
            self.lasted_ns.saturating_add(last.zip(first).map_or(0, |(last, first)| last.saturating_sub(first)));
    }

    /// All numbers.
    pub(crate) fn setting(mut self) -> Setting {
        self.durations_ns.sort_unstable();
        let median = self.durations_ns.get(self.durations_ns.len() / 2).copied().unwrap_or_default();
        let per_s = self.count as f64 * 1e9 / self.lasted_ns.max(1) as f64;
        Setting {
            in_flight_max: self.in_flight_max,
            took_ms_median: (median / 1000) as f64 / 1000.0,
            requests_per_s: (per_s * 1000.0).round() / 1000.0,
        }
    }
}

/// Most in flight at a time, while one of those that count is: `true` beside the span.
fn in_flight_max(spans: impl Iterator<Item = ((u64, u64), bool)>) -> u64 {
    let mut edges: Vec<(u64, bool, bool)> = Vec::new();
    for ((start, end), counts) in spans {
        edges.extend([(start, true, counts), (end.max(start), false, counts)]);
    }
    // What ends as another begins does not overlap it.
    edges.sort_unstable_by_key(|&(at, begins, _)| (at, begins));
    let (mut flying, mut counting, mut most) = (0_i64, 0_i64, 0_i64);
    for (_, begins, counts) in edges {
        let step = if begins { 1 } else { -1 };
        flying += step;
        counting += if counts { step } else { 0 };
        if counting > 0 {
            most = most.max(flying);
        }
    }
    u64::try_from(most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_not_in_flight_with_what_went_before() {
        let mut pace = Pace::default();
        pace.add([(0, 1_000_000), (1_000_000, 4_000_000), (2_000_000, 4_000_000)].into_iter());
        assert_eq!(pace.setting(), Setting { in_flight_max: 2, took_ms_median: 2.0, requests_per_s: 750.0 });
    }

    #[test]
    fn others_count_while_a_chosen_one_is_in_flight_and_not_otherwise() {
        let spans = [((0, 10), true), ((5, 20), false), ((15, 20), false), ((16, 20), false)];
        assert_eq!(in_flight_max(spans.into_iter()), 2);
        assert_eq!(in_flight_max([((5, 5), true)].into_iter()), 0);
    }
}
