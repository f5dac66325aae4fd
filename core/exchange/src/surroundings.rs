//! What a capture records beside the exchanges, as the `data` of events: what happened to a container, and samples of what
//! it used.

use serde::{Deserialize, Serialize};

use crate::Event;

/// Kinds of events that a capture writes.
pub mod event_kind {
    /// Something happened to the service's container: `data` is a [`super::Happened`].
    pub const CONTAINER: &str = "container";
    /// A fingerprint began or ceased to hold: `data` is a [`crate::Holding`], `subject` the container's name.
    pub const ENVIRONMENT: &str = "environment";
    /// What the service used, once a second: `data` is a [`super::Samples`].
    pub const SAMPLES: &str = "samples";
    /// Lines of the log were passed over since the last one that is recorded: `data` is how many.
    pub const LOG_GAP: &str = "log-gap";
}

/// Something that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// `start`, `die`, `update`, `rename`, `oom` and the like, as the engine says it.
    pub what: String,
    /// Whatever else is known of it: an exit status, a new name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What the service used: some samples, each a row of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// What the numbers are, each a name of [`mod@column`]. What cannot be seen here has no column.
    pub columns: Vec<String>,
    /// For each sample the milliseconds since the event's `at_ns`, then a number for each column; `null` where that one
    /// could not be read.
    pub rows: Vec<Vec<Option<u64>>>,
}

/// Names of columns. Those that count are per sample: what came on top since the one before.
pub mod column {
    /// CPU time used, in microseconds.
    pub const CPU_US: &str = "cpu_us";
    /// Scheduling periods in which it was throttled.
    pub const THROTTLED: &str = "throttled";
    /// Time for which it was throttled, in microseconds.
    pub const THROTTLED_US: &str = "throttled_us";
    /// Time that the hypervisor took from all CPUs of the host, in milliseconds.
    pub const STEAL_MS: &str = "steal_ms";
    /// Memory in use, in bytes.
    pub const MEMORY_BYTES: &str = "memory_bytes";
    /// The limit on it, in bytes; absent without one.
    pub const MEMORY_LIMIT_BYTES: &str = "memory_limit_bytes";
    /// Processes that were killed because memory ran out.
    pub const OOM_KILLS: &str = "oom_kills";
    /// Time for which at least one task waited for a CPU, in microseconds (pressure stall information).
    pub const PRESSURE_CPU_US: &str = "pressure_cpu_us";
    /// The same for memory.
    pub const PRESSURE_MEMORY_US: &str = "pressure_memory_us";
    /// The same for reading and writing.
    pub const PRESSURE_IO_US: &str = "pressure_io_us";
    /// Threads.
    pub const THREADS: &str = "threads";
    /// Use of the busiest GPU, in percent.
    pub const GPU_PERCENT: &str = "gpu_percent";
    /// Memory in use on all GPUs, in bytes.
    pub const GPU_MEMORY_BYTES: &str = "gpu_memory_bytes";
}

/// Until when an event of one of the kinds above says something, in nanoseconds since the session's start; `None` for events
/// of other kinds.
pub fn last_ns(event: &Event) -> Option<u64> {
    match event.kind.as_str() {
        event_kind::CONTAINER | event_kind::LOG_GAP => Some(event.at_ns),
        event_kind::SAMPLES => {
            let last_ms = event.data["rows"].as_array().and_then(|rows| rows.last()?[0].as_u64()).unwrap_or_default();
            Some(event.at_ns.saturating_add(last_ms.saturating_mul(1_000_000)))
        }
        _ => None,
    }
}

impl Samples {
    /// The numbers of one column, each with its time in nanoseconds since the session's start.
    pub fn series(&self, at_ns: u64, name: &str) -> Vec<(u64, u64)> {
        let Some(column) = self.columns.iter().position(|column| column == name) else { return Vec::new() };
        let point = |row: &Vec<Option<u64>>| {
            let since_ms = row.first().copied().flatten()?;
            Some((at_ns.saturating_add(since_ms.saturating_mul(1_000_000)), row.get(column + 1).copied().flatten()?))
        };
        self.rows.iter().filter_map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_a_columns_numbers_with_their_times_and_what_is_missing_is_left_out() {
        let samples = Samples {
            columns: vec![column::CPU_US.to_owned(), column::MEMORY_BYTES.to_owned()],
            rows: vec![vec![Some(0), Some(7), None], vec![Some(1000), Some(9), Some(64)], vec![Some(2000)]],
        };
        assert_eq!(samples.series(5, column::CPU_US), [(5, 7), (1_000_000_005, 9)]);
        assert_eq!(samples.series(0, column::MEMORY_BYTES), [(1_000_000_000, 64)]);
        assert!(samples.series(0, column::STEAL_MS).is_empty());
    }
}
