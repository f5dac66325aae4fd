//! Limits of a recorded container on an engine that has less: what cannot be set is left out, and named.
//!
//! In: the recorded limits, what the engine says of its machine. Out: limits that the engine takes. A laptop is no reason
//! not to replay what ran on sixty-four CPUs, and the receipt says that it had two.

use exchange::Limits;

use crate::{docker::Docker, error::DockerError};

/// What an engine can put on a container, and what its machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// CPUs of its machine; 0 where it does not tell.
    pub cpu_count: u64,
    /// Memory of its machine in bytes; 0 where it does not tell.
    pub memory_bytes: u64,
    /// True where it cannot limit memory.
    pub lacks_memory_limit: bool,
    /// True where it cannot limit CPU time.
    pub lacks_cpu_limit: bool,
    /// True where it cannot choose the CPUs.
    pub lacks_cpu_set: bool,
    /// True where it cannot limit the number of processes.
    pub lacks_pids_limit: bool,
}

/// A limit that is not as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Which.
    pub what: &'static str,
    /// As recorded.
    pub recorded: String,
    /// What holds here.
    pub here: String,
}

impl Docker {
    /// Asks the engine what it can limit.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn capacity(&self) -> Result<Capacity, DockerError> {
        let info = self.engine.info().await.map_err(DockerError::refused("describe itself"))?;
        let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default();
        Ok(Capacity {
            cpu_count: count(info.ncpu),
            memory_bytes: count(info.mem_total),
            lacks_memory_limit: info.memory_limit == Some(false),
            lacks_cpu_limit: info.cpu_cfs_quota == Some(false),
            lacks_cpu_set: info.cpu_set == Some(false),
            lacks_pids_limit: info.pids_limit == Some(false),
        })
    }
}

/// The limits that an engine of this capacity takes, and those that are not as recorded.
pub fn fitted(recorded: &Limits, capacity: &Capacity) -> (Limits, Vec<Unfit>) {
    let mut limits = recorded.clone();
    let mut unfit = Vec::new();
    let mut note = |what, recorded: String, here: String| unfit.push(Unfit { what, recorded, here });
    let cpus = capacity.cpu_count;
    if let Some(nanos) = recorded.cpu_nanos {
        let too_many = cpus > 0 && nanos > cpus.saturating_mul(NANOS);
        if capacity.lacks_cpu_limit || too_many {
            limits.cpu_nanos = None;
            let here = if too_many { format!("the machine's {cpus}") } else { NOT_POSSIBLE.to_owned() };
            note("cpu limit", format!("{} CPUs", decimal(nanos, NANOS)), here);
        }
    }
    if let Some(set) = &recorded.cpu_set {
        let is_there = cpus == 0 || highest(set).is_none_or(|highest| highest < cpus);
        if capacity.lacks_cpu_set || !is_there {
            let len = recorded.cpu_set_len().filter(|len| !capacity.lacks_cpu_set && u64::from(*len) <= cpus);
            limits.cpu_set = len.map(first);
            let here = match &limits.cpu_set {
                Some(others) => format!("{others} of the machine's {cpus}"),
                None if is_there => NOT_POSSIBLE.to_owned(),
                None => format!("the machine's {cpus}"),
            };
            note("cpu set", set.clone(), here);
        }
    }
    if let Some(bytes) = recorded.memory_bytes {
        let recorded = format!("{} MiB", bytes >> 20);
        if capacity.lacks_memory_limit {
            limits.memory_bytes = None;
            note("memory limit", recorded, NOT_POSSIBLE.to_owned());
        } else if capacity.memory_bytes > 0 && bytes > capacity.memory_bytes {
            // The engine takes it; the machine will not keep it.
            note("memory limit", recorded, format!("the machine's {} MiB", capacity.memory_bytes >> 20));
        }
    }
    if let Some(pids) = recorded.pids.filter(|_| capacity.lacks_pids_limit) {
        limits.pids = None;
        note("limit on processes", pids.to_string(), NOT_POSSIBLE.to_owned());
    }
    (limits, unfit)
}

/// Of a CPU.
const NANOS: u64 = 1_000_000_000;

const NOT_POSSIBLE: &str = "none: this engine cannot set it (`retake doctor`)";

/// Two digits behind the point, without zeros at the end.
fn decimal(value: u64, unit: u64) -> String {
    let text = format!("{}.{:02}", value / unit, value % unit / (unit / 100));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The highest number in `0-3,5`.
fn highest(set: &str) -> Option<u64> {
    set.split([',', '-']).filter_map(|number| number.trim().parse().ok()).max()
}

/// The first so many CPUs, one at least.
fn first(len: u32) -> String {
    if len <= 1 { "0".to_owned() } else { format!("0-{}", len - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laptop() -> Capacity {
        Capacity { cpu_count: 2, memory_bytes: 8 << 30, ..Capacity::default() }
    }

    #[test]
    fn a_machine_with_less_gets_what_it_has_and_says_so() {
        let recorded = Limits {
            cpu_nanos: Some(7_500_000_000),
            cpu_set: Some("0-3,5".to_owned()),
            memory_bytes: Some(64 << 30),
            pids: Some(100),
            ..Limits::default()
        };
        let (limits, unfit) = fitted(&recorded, &laptop());
        assert_eq!(limits, Limits { cpu_nanos: None, cpu_set: None, ..recorded });
        let said: Vec<_> = unfit.iter().map(|it| format!("{} was {}, is {}", it.what, it.recorded, it.here)).collect();
        assert_eq!(
            said,
            [
                "cpu limit was 7.5 CPUs, is the machine's 2",
                "cpu set was 0-3,5, is the machine's 2",
                "memory limit was 65536 MiB, is the machine's 8192 MiB",
            ]
        );
    }

    #[test]
    fn what_fits_stays_and_nothing_is_said() {
        let recorded = Limits {
            cpu_nanos: Some(2_000_000_000),
            cpu_set: Some("0-1".to_owned()),
            memory_bytes: Some(1 << 30),
            ulimits: vec!["nofile=1:2".to_owned()],
            ..Limits::default()
        };
        assert_eq!(fitted(&recorded, &laptop()), (recorded.clone(), Vec::new()));
        assert_eq!(fitted(&recorded, &Capacity::default()), (recorded.clone(), Vec::new()));
        let strange = Limits { cpu_set: Some("x".to_owned()), ..Limits::default() };
        assert_eq!(fitted(&strange, &laptop()).0, strange);
    }

    #[test]
    fn cpus_that_are_not_here_are_replaced_by_as_many_that_are() {
        let set = |recorded: &str| {
            let recorded = Limits { cpu_set: Some(recorded.to_owned()), ..Limits::default() };
            let (limits, unfit) = fitted(&recorded, &laptop());
            (limits.cpu_set, unfit.into_iter().map(|it| it.here).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(set("6-7"), (Some("0-1".to_owned()), "0-1 of the machine's 2".to_owned()));
        assert_eq!(set("5"), (Some("0".to_owned()), "0 of the machine's 2".to_owned()));
        assert_eq!(set("1,3,5"), (None, "the machine's 2".to_owned()));
        assert_eq!(set("0-18446744073709551615,9"), (None, "the machine's 2".to_owned()));
    }

    #[test]
    fn an_engine_that_cannot_limit_is_not_asked_to() {
        let recorded = Limits { cpu_nanos: Some(1), pids: Some(9), memory_bytes: Some(1 << 20), ..Limits::default() };
        let capacity = Capacity { lacks_memory_limit: true, lacks_cpu_limit: true, lacks_pids_limit: true, ..laptop() };
        let (limits, unfit) = fitted(&recorded, &capacity);
        assert_eq!(limits, Limits::default());
        assert!(unfit.len() == 3 && unfit.iter().all(|it| it.here.contains("retake doctor")));
    }
}
