//! When the service is ready to be sent what was recorded.
//!
//! In: a started service, and what readiness means: a path that answers, its own health check, or a port that accepts. Out:
//! how it was known, in words, or why it was not within the time there was.

use std::{sync::Arc, time::Duration};

use exchange::HealthCheck;
use host::RanInside;
use wire::client::{self, Clock, Limits, Outgoing};

use crate::{
    job::{Running, Started},
    receipt::Void,
    service::Doorway,
};

/// How often a port, and a path or a health check, is tried again. Choices: a connection costs nothing, a program does.
const PORT_RETRY: Duration = Duration::from_millis(20);
const CHECK_RETRY: Duration = Duration::from_millis(250);

/// How long one answer to `--ready PATH` may take, and one run of a health check that says nothing of it (Docker's own
/// default).
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
const CHECK_PATIENCE: Duration = Duration::from_secs(30);

/// Longest answer to `--ready PATH` that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What is said of a service that ended first.
pub(crate) const ENDED: &str = "the service ended before it was ready";

/// What it means that the service is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// A request for this path is answered with a status below 400.
    Path(String),
    /// This check, run inside, ends with 0.
    Health(Check),
    /// Its port accepts.
    Port,
}

/// A health check, to be run inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) command: Vec<String>,
    pub(crate) patience: Duration,
}

impl Check {
    /// The check that this one asks for, if any.
    pub(crate) fn of(health: &HealthCheck) -> Option<Self> {
        let patience = if health.timeout_ns == 0 { CHECK_PATIENCE } else { Duration::from_nanos(health.timeout_ns) };
        Some(Self { command: health.command()?, patience })
    }

    /// Whether it passed; if not, how it did not, in words behind its name.
    pub(crate) fn judge(&self, ran: &RanInside) -> Result<(), String> {
        let output = ran.output.trim();
        let said = if output.is_empty() { String::new() } else { format!(": {output}") };
        match ran.status {
            Some(0) => Ok(()),
            Some(status) => Err(format!("ended with status {status}{said}")),
            None => Err(format!("did not end within {} s{said}", self.patience.as_secs())),
        }
    }
}

impl Ready {
    /// What was asked for, else the service's own health check, else its port.
    pub(crate) fn of(path: Option<&str>, health: Option<&HealthCheck>) -> Self {
        if let Some(path) = path {
            return Self::Path(path.to_owned());
        }
        health.and_then(Check::of).map_or(Self::Port, Self::Health)
    }

    /// Waits until the service is ready, for at most `patience`. Gives how it was known.
    ///
    /// # Errors
    /// Why it is not ready, and what to do.
    pub(crate) async fn wait(
        &self,
        started: &mut Started,
        patience: Duration,
        clock: &Arc<Clock>,
    ) -> Result<String, Void> {
        let began_ns = clock();
        let mut last = "it has not ended".to_owned();
        let tries = async {
            loop {
                if started.running.gone().is_some() {
                    return Err(());
                }
                match self.look(&started.doorway, started.running.as_ref(), clock).await {
                    Ok(()) => return Ok(()),
                    Err(reason) => last = reason,
                }
                tokio::time::sleep(if *self == Self::Port { PORT_RETRY } else { CHECK_RETRY }).await;
            }
        };
        match tokio::time::timeout(patience, tries).await {
            Ok(Ok(())) => {
                let took = Duration::from_nanos(clock().saturating_sub(began_ns));
                Ok(format!("{} after {:.1} s", self.how(), took.as_secs_f64()))
            }
            Ok(Err(())) => Err(gone()),
            Err(_) => Err(self.late(&started.doorway, patience, &last)),
        }
    }

    async fn look(&self, doorway: &Doorway, running: &dyn Running, clock: &Arc<Clock>) -> Result<(), String> {
        match self {
            Self::Port => accepts(doorway).await,
            Self::Path(path) => answers(doorway, path, clock).await,
            Self::Health(check) => {
                let ran = running.run_inside(&check.command, check.patience).await?;
                check.judge(&ran).map_err(|how| format!("it {how}"))?;
                accepts(doorway).await.map_err(|reason| format!("it passed, but {reason}"))
            }
        }
    }

    fn how(&self) -> String {
        match self {
            Self::Port => "its port accepted".to_owned(),
            Self::Path(path) => format!("`GET {path}` was answered"),
            Self::Health(_) => "its HEALTHCHECK passed".to_owned(),
        }
    }

    fn late(&self, doorway: &Doorway, patience: Duration, last: &str) -> Void {
        let within = format!("within {} s", patience.as_secs());
        let (reason, help) = match self {
            Self::Port => (
                format!("the service accepted no connection {doorway} {within}"),
                match doorway {
                    Doorway::Url(..) => "start the service there, or name another address with `--target URL`",
                    _ => "say which port it listens on with `--port N`, or give it longer with `--ready-timeout 5m`",
                },
            ),
            Self::Path(path) => (
                format!("`GET {path}` got no answer with a status below 400 {within}; the last try: {last}"),
                "name a path that answers once the service is ready, or leave `--ready` out to wait for its port alone",
            ),
            Self::Health(check) => (
                format!("its HEALTHCHECK `{}` did not pass {within}; the last try: {last}", check.command.join(" ")),
                "where the check needs what is not in here, wait with `--ready PATH` for a path that the service answers; where \
                 it only takes its time, `--ready-timeout 5m`",
            ),
        };
        Void { reason, help: help.to_owned(), ..Void::default() }
    }
}

/// How it ended is known once all of it has.
fn gone() -> Void {
    Void {
        reason: ENDED.to_owned(),
        help: "give it what it lacks here: a variable or secret with `--env NAME=VALUE`; what else it had, `retake inspect` lists"
            .to_owned(),
        ..Void::default()
    }
}

async fn accepts(doorway: &Doorway) -> Result<(), String> {
    doorway.connect().await.map(drop).map_err(|error| format!("the service accepted no connection {doorway}: {error}"))
}

async fn answers(doorway: &Doorway, path: &str, clock: &Arc<Clock>) -> Result<(), String> {
    let mut stream = doorway.connect().await.map_err(|error| error.to_string())?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: retake\r\nConnection: close\r\n\r\n");
    let limits = Limits {
        body_bytes_max: ANSWER_BYTES_MAX,
        silence_max: ANSWER_PATIENCE,
        total_max: ANSWER_PATIENCE,
        ..Limits::default()
    };
    let request = Outgoing { head: head.as_bytes(), body: &[], trailers: &[], is_whole: true };
    let reply = client::exchange(&mut stream, request, &limits, &**clock).await;
    match reply.head.as_ref().and_then(|head| head.status_line()).map(|line| line.status) {
        Some(..400) => Ok(()),
        Some(status) => Err(format!("status {status}")),
        None => Err("no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_was_asked_for_beats_a_health_check_and_that_beats_the_port() {
        let health = HealthCheck { test: vec!["CMD".to_owned(), "/healthy".to_owned()], timeout_ns: 5_000_000_000 };
        assert_eq!(Ready::of(Some("/up"), Some(&health)), Ready::Path("/up".to_owned()));
        let check = Ready::Health(Check { command: vec!["/healthy".to_owned()], patience: Duration::from_secs(5) });
        assert_eq!(Ready::of(None, Some(&health)), check);
        let unknown = HealthCheck { test: vec!["NONSENSE".to_owned()], timeout_ns: 0 };
        assert_eq!(Ready::of(None, Some(&unknown)), Ready::Port);
        assert_eq!(Ready::of(None, None), Ready::Port);
    }
}
