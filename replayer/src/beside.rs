//! Real servers beside the replayed service, in its own network: what a recording cannot answer, such as a database.
//!
//! In: images of this machine with their dumps. Out: servers that are ready before the service starts, a fresh one for each
//! replay, gone when it ends. Calls to them are neither recorded nor compared, and the receipt says so.

mod error;
mod known;
mod plan;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use content::redact::Redactor;
use exchange::{LogLine, Subject};
use host::{BesideSpec, Docker, DockerError, Looking, RunningContainer};
use wire::{Upstream, bridge, client::Clock};

pub use error::BesideError;
use known::is_shell;
pub(crate) use plan::Plan;

use crate::{
    container::name_of,
    environment::GivenVariable,
    error::ReplayError,
    job::{Against, Job},
    ready::Check,
    receipt::{self, DumpProof, Void},
    select::Selection,
    serve::recorded_places,
    service::last_lines,
};

/// How often a server is looked at until it is ready. A choice.
const RETRY: Duration = Duration::from_millis(100);

/// Shortest value of a variable that is taken out of what a server logs. A choice: a shorter one stands in other words.
const SECRET_LEN_MIN: usize = 4;

/// A server to run beside the service: `--beside NAME=IMAGE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenBeside {
    /// What the service calls it, and its recorded dependency where there is one.
    pub name: String,
    /// Its image, which has to be on the engine's machine.
    pub image: String,
    /// Where it listens, unless its image exposes one port alone.
    pub port: Option<u16>,
    /// What it begins with: a file or folder of this machine.
    pub dump: Option<PathBuf>,
    /// Where the dump is in its container, unless the image is known.
    pub at: Option<String>,
    /// Its variables, over its image's own.
    pub variables: Vec<GivenVariable>,
}

/// A server that was started.
pub(crate) struct Server {
    plan: Plan,
    container: RunningContainer,
}

/// What is left of a server.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) name: String,
    /// What it logged.
    pub(crate) logs: Vec<LogLine>,
    /// How it ended where it did so by itself.
    pub(crate) by_itself: Option<String>,
}

impl Job<'_> {
    /// Refuses servers where the service has no container to share its network with.
    pub(crate) fn refuse_beside(&self) -> Result<(), BesideError> {
        let Some(first) = self.settings.beside.first() else { return Ok(()) };
        let instead = match (&self.settings.against, self.recorded.map(|recorded| &recorded.subject)) {
            (Against::Process(_), _) => "`--process` has none",
            (Against::Url(_), _) => "what runs at `--target` has its own",
            (Against::Recorded, Some(Subject::Process(_))) => "the recording is of a process",
            _ => return Ok(()),
        };
        Err(BesideError::NoContainer { name: first.name.clone(), instead })
    }

    /// Decides what runs beside the service, whose port is known.
    pub(crate) async fn plan_beside(&self, docker: &Docker, port: u16) -> Result<Vec<Plan>, ReplayError> {
        let mut plans = Vec::new();
        for given in &self.settings.beside {
            let image = match self.server_named(docker, (&given.name, &given.image)).await {
                Err(ReplayError::Docker(DockerError::NoImage { reference })) => {
                    let (name, is_here) = (given.name.clone(), docker.is_local());
                    return Err(BesideError::NoImage { name, image: reference, is_here }.into());
                }
                image => image?,
            };
            plans.push(plan::plan(given, image, self.recorded_port(&given.name))?);
        }
        let is_real = |name: &str| self.settings.beside.iter().any(|given| given.name == name);
        let places = recorded_places(&self.settings.archive).into_iter().filter(|place| !is_real(&place.name));
        let answered = places.map(|place| (place.address.port(), place.name)).collect();
        plan::refuse_same_ports(&plans, port, &answered)?;
        Ok(plans)
    }

    /// The port at which the recorded dependency of this name really was.
    fn recorded_port(&self, name: &str) -> Option<u16> {
        let sessions = self.settings.archive.sessions();
        let mut listeners = sessions.iter().rev().flat_map(|session| &session.listeners);
        let listener = listeners.find(|listener| listener.dependency.as_deref() == Some(name))?;
        listener.upstream.parse().ok().map(|upstream: Upstream| upstream.port)
    }
}

/// Where each listens, by name.
pub(crate) fn ports_of(plans: &[Plan]) -> BTreeMap<String, u16> {
    plans.iter().map(|plan| (plan.given.name.clone(), plan.port)).collect()
}

/// What the receipt says of each, before it is ready.
pub(crate) async fn receipts_of(plans: &[Plan], selection: &Selection) -> Result<Vec<receipt::Beside>, ReplayError> {
    let mut receipts = Vec::new();
    for plan in plans {
        receipts.push(receipt_of(plan, selection).await?);
    }
    Ok(receipts)
}

async fn receipt_of(plan: &Plan, selection: &Selection) -> Result<receipt::Beside, ReplayError> {
    let Plan { given, image, port, at, .. } = plan;
    let dump = match (&given.dump, at) {
        (Some(dump), Some(at)) => Some(proof_of(given, dump.clone(), at.clone()).await?),
        _ => None,
    };
    Ok(receipt::Beside {
        name: given.name.clone(),
        image: given.image.clone(),
        identity: name_of(&image.identity),
        port: *port,
        dump,
        variables: given.variables.iter().map(|variable| variable.name.clone()).collect(),
        ready: None,
        calls_not_compared: selection.aside_count(&given.name),
    })
}

async fn proof_of(given: &GivenBeside, dump: PathBuf, at: String) -> Result<DumpProof, ReplayError> {
    let path = dump.display().to_string();
    // A dump may be long: not on the runtime's threads.
    let read = {
        let dump = dump.clone();
        tokio::task::spawn_blocking(move || host::local_tree(&dump, &Looking::default())).await
    };
    let read = read.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
    let refused = |source| BesideError::NoDump { name: given.name.clone(), path: dump.clone(), source };
    Ok(DumpProof { path, digest: read.map_err(refused)?.digest, at })
}

/// Starts all servers in the network of the service's container, in the order given. Those that were started when one cannot
/// be are removed again.
pub(crate) async fn start(
    docker: &Docker,
    plans: Vec<Plan>,
    service: &RunningContainer,
    run: &str,
    clock: &Arc<Clock>,
) -> Result<Vec<Server>, ReplayError> {
    let mut servers = Vec::new();
    for plan in plans {
        let variables = plan.given.variables.iter();
        let spec = BesideSpec {
            image: plan.image.engine_id.clone(),
            variables: variables.map(|variable| (variable.name.clone(), variable.value.clone())).collect(),
            network_of: service.id().to_owned(),
            files: plan.given.dump.clone().zip(plan.at.clone()),
            run: run.to_owned(),
        };
        match docker.start_beside(&spec, Arc::clone(clock) as _).await {
            Ok(container) => servers.push(Server { plan, container }),
            Err(error) => {
                end(servers).await;
                return Err(error.into());
            }
        }
    }
    Ok(servers)
}

/// Waits until every server is ready, for at most `patience` in all. Gives how that was known, in their order.
///
/// # Errors
/// Why one is not, with what it wrote last.
pub(crate) async fn ready(
    servers: &mut [Server],
    bridge: &bridge::Host,
    patience: Duration,
    clock: &Arc<Clock>,
) -> Result<Vec<String>, Void> {
    let began_ns = clock();
    let mut known = Vec::new();
    for server in servers {
        let left = patience.saturating_sub(Duration::from_nanos(clock().saturating_sub(began_ns)));
        server.ready(bridge, left, patience).await?;
        let took = Duration::from_nanos(clock().saturating_sub(began_ns));
        known.push(format!("{} after {:.1} s", server.how(), took.as_secs_f64()));
    }
    Ok(known)
}

/// Removes all servers with their volumes.
pub(crate) async fn end(servers: Vec<Server>) -> Vec<Ended> {
    let mut ended = Vec::new();
    for mut server in servers {
        let by_itself = if server.container.has_ended() { Some(server.status().await) } else { None };
        // What could not be removed is found by its label later.
        let mut logs = server.container.remove().await.unwrap_or_default();
        logs.iter_mut().for_each(|line| server.conceal(&mut line.text));
        ended.push(Ended { name: server.plan.given.name, logs, by_itself });
    }
    ended
}

impl Ended {
    /// What it logged, each line under its name.
    pub(crate) fn named_lines(self) -> Vec<LogLine> {
        let name = self.name;
        let named = |line: LogLine| LogLine { text: format!("{name} | {}", line.text), ..line };
        self.logs.into_iter().map(named).collect()
    }
}

/// Why a replay is void in the midst of which a server ended.
pub(crate) fn gone(ended: &[Ended]) -> Option<Void> {
    let (first, how) = ended.iter().find_map(|ended| Some((ended, ended.by_itself.as_ref()?)))?;
    Some(Void {
        reason: format!("`{}`, beside the service, ended before the replay had, {how}", first.name),
        help: format!(
            "see what it wrote; run it by itself to find out: `docker run` with what `--beside {}` says",
            first.name
        ),
        last_lines: last_lines(&first.logs),
    })
}

impl Server {
    async fn ready(&mut self, bridge: &bridge::Host, left: Duration, patience: Duration) -> Result<(), Void> {
        let mut last = "it has not been tried".to_owned();
        let tries = async {
            loop {
                if self.container.has_ended() {
                    return Err(());
                }
                match self.look(bridge).await {
                    Ok(()) => return Ok(()),
                    Err(reason) => last = reason,
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        let outcome = tokio::time::timeout(left, tries).await;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(())) => Err(self.died().await),
            Err(_) => Err(self.late(patience, &last)),
        }
    }

    /// Its health check where it has one, and its port.
    async fn look(&self, bridge: &bridge::Host) -> Result<(), String> {
        if let Some(check) = self.check() {
            let ran =
                self.container.run_inside(&check.command, check.patience).await.map_err(|error| error.to_string())?;
            check.judge(&ran).map_err(|how| format!("its HEALTHCHECK {how}"))?;
        }
        let port = self.plan.port;
        bridge.open(port).await.map(drop).map_err(|error| format!("port {port}: {error}"))?;
        match self.is_being_filled().await {
            true => Err(format!("port {port} accepts, and the entrypoint has not done with filling it")),
            false => Ok(()),
        }
    }

    /// True while its entrypoint runs a server only to fill it: MongoDB's listens at the port that the real one will have.
    async fn is_being_filled(&self) -> bool {
        let filled = self.plan.kind.map_or("", |kind| kind.filled);
        let has_logged = || self.container.last_lines(usize::MAX).iter().any(|line| line.text.contains(filled));
        !filled.is_empty() && !has_logged() && self.container.first_program().await.is_some_and(|it| is_shell(&it))
    }

    fn check(&self) -> Option<Check> {
        self.plan.image.health.as_ref().and_then(Check::of)
    }

    fn how(&self) -> &'static str {
        if self.check().is_some() { "its HEALTHCHECK passed" } else { "its port accepted" }
    }

    async fn died(&mut self) -> Void {
        let how = self.status().await;
        let needs = self.plan.kind.map(|kind| kind.needs).filter(|needs| !needs.is_empty());
        let example = needs.unwrap_or("env=NAME=VALUE");
        let (name, image) = (&self.plan.given.name, &self.plan.given.image);
        Void {
            reason: format!("`{name}` ({image}), beside the service, ended before it was ready, {how}"),
            help: format!("give it what it lacks here: `--beside {name}={image},{example}`"),
            last_lines: self.last_lines(),
        }
    }

    fn late(&self, patience: Duration, last: &str) -> Void {
        let (name, image) = (&self.plan.given.name, &self.plan.given.image);
        Void {
            reason: format!(
                "`{name}` ({image}), beside the service, was not ready within {} s; the last try: {last}",
                patience.as_secs()
            ),
            help: format!(
                "give it longer with `--ready-timeout 5m` (a large dump takes its time), or say where it listens: `--beside {name}={image},port=N`"
            ),
            last_lines: self.last_lines(),
        }
    }

    async fn status(&mut self) -> String {
        let status = self.container.ended().await;
        status.map_or_else(|| "by itself".to_owned(), |status| format!("with status {status}"))
    }

    fn last_lines(&self) -> Vec<String> {
        let mut lines = last_lines(&self.container.last_lines(usize::MAX));
        lines.iter_mut().for_each(|line| self.conceal(line));
        lines
    }

    /// Takes the values of its variables out of what it wrote, where their names say that they are secrets.
    fn conceal(&self, text: &mut String) {
        let variables = &self.plan.given.variables;
        let secret =
            variables.iter().filter(|it| Redactor::is_secret_name(&it.name) && it.value.len() >= SECRET_LEN_MIN);
        for variable in secret {
            if text.contains(&variable.value) {
                *text = text.replace(&variable.value, "…");
            }
        }
    }
}
