//! What the service uses, sampled at an interval and recorded some samples at a time.

use std::{collections::BTreeMap, time::Duration};

use exchange::surroundings::{Samples, event_kind};
use host::{Docker, Usage, UsageOf};
use tokio::{
    sync::watch,
    time::{self, MissedTickBehavior},
};

use super::{Surround, stopped};
use crate::{Notice, environment::Whose, error::with_causes};

/// Samples that are recorded together: as many are lost when the capture is killed. A choice.
const ROWS_MAX: usize = 10;

/// Longest wait for an engine that says what a container uses. A choice.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// Samples until the capture stops, or the process is gone.
pub(super) async fn record(surround: Surround, whose: Whose, every: Duration, stopping: watch::Receiver<bool>) {
    let subject = match &whose {
        Whose::Container(name) => name.clone(),
        Whose::Process(pid, _) => format!("process {pid}"),
        Whose::Nobody => return,
    };
    let mut rows = Rows { surround, subject, before: None, at_ns: 0, samples: Samples::default() };
    tokio::select! {
        () = rows.sample(whose, every) => {}
        () = stopped(stopping) => {}
    }
    rows.send();
}

/// Samples that were taken and are not recorded yet.
struct Rows {
    surround: Surround,
    subject: String,
    /// The look before.
    before: Option<Usage>,
    /// When the first row was sampled.
    at_ns: u64,
    samples: Samples,
}

impl Rows {
    async fn sample(&mut self, whose: Whose, every: Duration) {
        let mut ticks = time::interval(every);
        // A machine that has no time for one sample has none for two.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (has_gpu, mut looker, mut is_seen_or_said) = (host::has_gpu(), None, false);
        loop {
            ticks.tick().await;
            let looked = match time::timeout(ENGINE_PATIENCE, look(&whose, &mut looker)).await {
                Ok(looked) => looked,
                Err(_) => Err("the engine takes too long".to_owned()),
            };
            match looked {
                Ok(mut usage) => {
                    is_seen_or_said = true;
                    if has_gpu {
                        usage.gauges.extend(host::gpu_usage().await.gauges);
                    }
                    self.take(usage, self.surround.lines.clock.now_ns());
                }
                Err(reason) => {
                    (looker, self.before) = (None, None);
                    if matches!(whose, Whose::Process(..)) {
                        return;
                    }
                    // One that was seen has ended since, which its events say.
                    if !is_seen_or_said {
                        is_seen_or_said = true;
                        (self.surround.notify)(Notice::UsageUnknown { reason });
                    }
                }
            }
        }
    }

    /// Takes a look as a row: what is in use, and what was used since the look before.
    fn take(&mut self, usage: Usage, now_ns: u64) {
        let row = row_of(self.before.as_ref(), &usage);
        self.before = Some(usage);
        let Some(row) = row else { return };
        if !row.keys().eq(self.samples.columns.iter()) {
            self.send();
        }
        if self.samples.rows.is_empty() {
            self.at_ns = now_ns;
            self.samples.columns = row.keys().map(|&name| name.to_owned()).collect();
        }
        let since_ms = now_ns.saturating_sub(self.at_ns) / 1_000_000;
        self.samples.rows.push(std::iter::once(Some(since_ms)).chain(row.into_values()).collect());
        if self.samples.rows.len() >= ROWS_MAX {
            self.send();
        }
    }

    fn send(&mut self) {
        let samples = std::mem::take(&mut self.samples);
        if samples.rows.is_empty() {
            return;
        }
        if let Ok(data) = serde_json::to_value(&samples) {
            self.surround.send(self.at_ns, event_kind::SAMPLES, self.subject.clone(), data);
        }
    }
}

/// The numbers of one sample by the names of their columns; `None` for a first look, with which nothing can be compared.
fn row_of(before: Option<&Usage>, now: &Usage) -> Option<BTreeMap<&'static str, Option<u64>>> {
    let before = before?;
    // One that counts less than before began anew in between.
    let since = |name: &str, count: u64| count.checked_sub(*before.counters.get(name)?);
    let counted = now.counters.iter().map(|(&name, &count)| (name, since(name, count)));
    Some(now.gauges.iter().map(|(&name, &value)| (name, Some(value))).chain(counted).collect())
}

/// Where it is looked, once it is found.
enum Looker {
    Here(UsageOf),
    Engine(Docker, String),
}

async fn look(whose: &Whose, looker: &mut Option<Looker>) -> Result<Usage, String> {
    if looker.is_none() {
        *looker = Some(find(whose).await?);
    }
    match looker {
        Some(Looker::Here(usage)) => usage.look().map_err(|error| error.to_string()),
        Some(Looker::Engine(docker, id)) => docker.container_usage(id).await.map_err(|error| with_causes(&error)),
        None => Err("there is nothing to look at".to_owned()),
    }
}

/// A container's control group where it is of this machine; else what the engine says.
async fn find(whose: &Whose) -> Result<Looker, String> {
    match whose {
        Whose::Process(pid, _) => Ok(Looker::Here(UsageOf::process(*pid))),
        Whose::Container(name) => {
            let docker = Docker::connect().await.map_err(|error| with_causes(&error))?;
            let now = docker.container_now(name).await.map_err(|error| with_causes(&error))?;
            if !now.is_running {
                return Err(format!("container `{name}` does not run"));
            }
            let group = UsageOf::container(now.pid, &now.id);
            Ok(group.map_or_else(|| Looker::Engine(docker, now.id), Looker::Here))
        }
        Whose::Nobody => Err("it is not known whose it would be".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use exchange::surroundings::column;

    use super::*;

    #[test]
    fn what_counts_is_what_came_on_top_and_one_that_began_anew_has_no_number() {
        let usage = |cpu, throttled, memory| Usage {
            gauges: BTreeMap::from([(column::MEMORY_BYTES, memory)]),
            counters: BTreeMap::from([(column::CPU_US, cpu), (column::THROTTLED, throttled)]),
        };
        assert_eq!(row_of(None, &usage(1, 1, 1)), None);
        let row = row_of(Some(&usage(10, 7, 1)), &usage(15, 3, 64)).unwrap();
        assert_eq!(row[column::CPU_US], Some(5));
        assert_eq!((row[column::THROTTLED], row[column::MEMORY_BYTES]), (None, Some(64)));
    }
}
