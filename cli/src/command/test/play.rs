//! Replays one case and judges it.

use std::{process::Stdio, sync::Mutex, time::Duration};

use bundle::Archive;
use exchange::Subject;
use replayer::replay::{Against, Settings, Watched, replay};
use report::{CaseReplay, CaseResult, Outcome};
use tokio::{runtime::Runtime, sync::watch};

use super::{
    case::{Case, Planned},
    judge::judge,
};
use crate::{
    clock::Clock,
    command::replay::{each_in_its_own, own_executable, settings_of},
    trouble::Trouble,
};

/// What all cases are played with.
pub(super) struct Player<'a> {
    runtime: &'a Runtime,
    stop: watch::Receiver<bool>,
    clock: Clock,
    /// False where processes share this machine's network.
    processes_are_apart: bool,
    /// Held by whoever uses something that others use too: this machine's ports, or a service that runs already.
    shared: Mutex<()>,
}

impl<'a> Player<'a> {
    /// Ready to play.
    ///
    /// # Errors
    /// When this program cannot find its own file.
    pub(super) fn new(runtime: &'a Runtime, stop: watch::Receiver<bool>, clock: Clock) -> Result<Self, Trouble> {
        let probe = std::process::Command::new(own_executable()?)
            .args([init::WORD, "--probe"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let processes_are_apart = probe.is_ok_and(|status| status.success());
        Ok(Self { runtime, stop, clock, processes_are_apart, shared: Mutex::new(()) })
    }

    /// True once the user wants it to end.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Plays a case; what it meets is its result and nobody else's.
    pub(super) fn play(&self, planned: &Planned) -> CaseResult {
        let case = match &planned.case {
            Err(trouble) => return planned.in_trouble(trouble),
            Ok(case) => case,
        };
        if let Some(reason) = &case.skip {
            return CaseResult { reasons: vec![reason.clone()], ..case.result(Outcome::Skipped, "skipped") };
        }
        if self.is_stopped() {
            return case.result(Outcome::NotRun, "not run");
        }
        let began_ns = (self.clock.monotonic)();
        let mut replays = Vec::new();
        let played = self.replays(case, &mut replays);
        let took_ms = (self.clock.monotonic)().saturating_sub(began_ns) / 1_000_000;
        let result = match played {
            Ok(in_time) => {
                let mut result = judge(case, replays);
                if !in_time {
                    let seconds = case.timeout.as_secs_f64();
                    result.reasons.insert(0, format!("it was not done within its timeout of {seconds} s"));
                }
                result
            }
            Err(trouble) => case.in_trouble(&trouble, replays),
        };
        CaseResult { took_ms, ..result }
    }

    /// Gives whether all was done in time.
    fn replays(&self, case: &Case, replays: &mut Vec<CaseReplay>) -> Result<bool, Trouble> {
        let source = case.bundle.display().to_string();
        let settings = Settings { rules: case.rules.clone(), ..settings_of(&source, &case.replay)? };
        let _alone = self.shares(&settings)?.then(|| {
            // Whoever held it and panicked left nothing behind that could be broken.
            self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        });
        let deadline = Duration::from_nanos((self.clock.monotonic)()) + case.timeout;
        for (settings, _) in each_in_its_own(settings)? {
            let now = Duration::from_nanos((self.clock.monotonic)());
            let left = deadline.saturating_sub(now);
            let (replayed, in_time) = self.runtime.block_on(self.replay_within(settings, left))?;
            replays.push(replayed);
            if !in_time {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn replay_within(&self, settings: Settings, patience: Duration) -> Result<(CaseReplay, bool), Trouble> {
        let (stop_this, stop) = watch::channel(false);
        let mut stop_all = self.stop.clone();
        let watched = Watched { progress: &|_| {}, stop };
        let replaying = replay(settings, watched);
        tokio::pin!(replaying);
        let mut in_time = true;
        let replayed = tokio::select! {
            replayed = &mut replaying => replayed,
            () = tokio::time::sleep(patience) => {
                in_time = false;
                stop_this.send_replace(true);
                replaying.await
            }
            // The sender lives as long as the runtime.
            _ = stop_all.wait_for(|stop| *stop) => {
                stop_this.send_replace(true);
                replaying.await
            }
        }?;
        let exit_code = replayed.exit_code();
        let run_path = replayed.run_path.display().to_string();
        let (receipt, results) = (replayed.receipt, replayed.results);
        Ok((CaseReplay { receipt, results, run_path, exit_code }, in_time))
    }

    /// True where others at the same time would be in each other's way.
    fn shares(&self, settings: &Settings) -> Result<bool, Trouble> {
        Ok(match &settings.against {
            Against::Url(_) => true,
            Against::Process(_) => !self.processes_are_apart,
            Against::Image(_) => false,
            Against::Recorded => !self.processes_are_apart && has_process(&settings.archive)?,
        })
    }
}

fn has_process(archive: &Archive) -> Result<bool, Trouble> {
    let fingerprints = archive.fingerprints()?;
    Ok(fingerprints.iter().any(|(_, fingerprint)| matches!(fingerprint.subject, Subject::Process(_))))
}
