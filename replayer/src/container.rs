//! A replay in the recorded container image, or in the one that was asked for, without any network.
//!
//! In: the recorded container, the image in the bundle or on this machine. Out: a started container with the bridge into
//! it, every recorded listener served inside at its recorded address. Another image than the recorded one is refused before
//! the first request unless it was asked for.

use std::{sync::Arc, time::Duration};

use exchange::{ContainerIdentity, HealthCheck, ImageIdentity, Subject};
use futures_util::future::BoxFuture;
use host::{ContainerSpec, Docker, DockerError, FoundImage, RanInside, RunningContainer};
use tokio::task::JoinHandle;
use wire::{
    bridge::{self, ControlError},
    client::Clock,
};

pub(crate) use self::image::name_of;
pub use self::reach::BridgeWay;
use self::{
    folder::RunFolder,
    image::{asked_for, pinned_image},
    reach::{Order, Reached, Unreached, reach},
    spec::{argv_of, hosts_of, signal_of, spec_of},
};
use crate::{
    answer::Answerer,
    beside,
    determinism::{SHIM, SeededDevice, set_place, set_variables, shim_words},
    environment::{container_variables, devices_left_out, reveal_commands},
    error::ReplayError,
    forward::Forward,
    job::{Halt, Job, Preparation, Running, Started},
    receipt::{EnvironmentDifference, Relation, Void},
    service::{Aftermath, Doorway, answer_bridge, egress_of, last_lines, listened_on},
};

mod folder;
mod image;
pub(crate) mod reach;
mod spec;

/// How long the service may take to end when it is asked to. Docker's own default.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A container that runs for this replay.
pub(crate) struct ContainerRun {
    container: RunningContainer,
    bridge: Arc<bridge::Host>,
    answering: JoinHandle<()>,
    /// What runs beside it.
    servers: Vec<beside::Server>,
    /// True until it is let go.
    waits: bool,
    /// What it may write to and the engine does not list, if anything.
    unlisted: Option<String>,
    stop_signal: i32,
    clock: Arc<Clock>,
    _folder: RunFolder,
    _device: Option<SeededDevice>,
}

/// Starts the container.
pub(crate) async fn start(
    job: &Job<'_>,
    other_image: Option<&str>,
    answerer: &Arc<Answerer>,
    preparation: &mut Preparation,
) -> Result<Started, Halt> {
    let docker = Docker::connect().await.map_err(ReplayError::from)?;
    // Only containers whose owner is dead: what a killed replay left.
    docker.remove_left_behind().await.map_err(ReplayError::from)?;
    preparation.environment.extend(other_engine(job, docker.version()));
    let mut recorded = recorded_container(job);
    preparation.replacements.extend(reveal_commands(&mut recorded, &job.secrets));
    let recorded_set = recorded.config.limits.cpu_set.clone();
    preparation.environment.extend(fit_limits(&docker, &mut recorded).await?);
    let (asked, controls) = (&job.settings.determinism, &mut preparation.controls);
    set_place(&mut recorded.config, recorded_set.as_deref(), asked, controls);
    preparation.processors = preparation.processors.on_set(recorded.config.limits.cpu_set_len());
    preparation.replacements.extend(devices_left_out(&recorded.config));
    let image = match other_image {
        Some(reference) => asked_for(job, &docker, (reference, &recorded.image), preparation).await?,
        None => pinned_image(&docker, &job.settings.archive, &recorded.image, preparation).await?,
    };
    let port = job.port()?;
    let mut variables = container_variables(&recorded, &image.identity.runtime, &job.settings.given);
    set_variables(&mut variables.values, &job.settings.determinism, preparation.processors, &mut preparation.controls);
    let mut argv = argv_of(&recorded, &image);
    let plans = job.plan_beside(&docker, port).await?;
    preparation.beside = beside::receipts_of(&plans, job.selection).await?;
    job.hold_dumps(&preparation.beside)?;
    let addresses = job.place(port, beside::ports_of(&plans), &mut argv, &mut variables);
    let certificate_file = answerer.forward().map(Forward::certificate);
    let mut plan = job.mounts(&docker, &image.engine_id, certificate_file, preparation).await?;
    let device = job.seeded_device(preparation)?;
    plan.mounts.extend(device.iter().flat_map(SeededDevice::mounts));
    let certificate = answerer.forward().map(|forward| forward.trust_inside(&mut variables));
    let determinism = job.inside();
    let spec = ContainerSpec {
        argv,
        hosts: hosts_of(&addresses, &recorded.config.hostname),
        variables: variables.values.into_iter().collect(),
        fixed_addresses: determinism.as_ref().is_some_and(|given| given.aslr_off),
        ..spec_of(job, &recorded, &image)
    };
    preparation.supplied.extend(variables.supplied);
    preparation.replacements.extend(variables.replacements);
    preparation.supplied.extend(addresses.hosts_in_words());
    preparation.replacements.extend(addresses.moved_ports_in_words());
    let waits = !plans.is_empty();
    let preload = job.preload();
    let order = Order { spec, addresses, waits, plan, determinism, preload, forward: answerer.forward() };
    let Reached { mut container, bridge, injected, folder, .. } = reached(job, &docker, &order, preparation).await?;
    let bridge = Arc::new(bridge);
    preparation.injected.extend(injected.into_iter().chain(certificate));
    preparation.injected.extend(preload.map(|_| shim_words(&format!("/.retake/run/{SHIM}"))));
    preparation.environment.extend(engine_warnings(&container));
    let started = beside::start(&docker, plans, &container, &job.run.to_string(), &job.settings.clock).await;
    let servers = match started {
        Ok(servers) => servers,
        Err(error) => {
            drop(container.remove().await);
            return Err(error.into());
        }
    };
    let unlisted = match job.settings.repeating.renews() {
        true => container.writable_mount().await?,
        false => None,
    };
    let not_served = job.not_served(&listened_on(&bridge, &order.addresses, &mut preparation.replacements));
    // What is pinned is the recorded image with recorded dependencies; with others there is no level to speak of.
    let is_as_recorded = preparation.pinned.relation != Relation::OtherImage && servers.is_empty();
    preparation.is_pinned = is_as_recorded;
    let places = order.addresses.listeners();
    let answering = answer_bridge(Arc::clone(&bridge), places, Arc::clone(answerer), Arc::clone(&job.settings.clock));
    let run = ContainerRun {
        container,
        bridge: Arc::clone(&bridge),
        answering: tokio::spawn(answering),
        servers,
        waits,
        unlisted,
        stop_signal: signal_of(&order.spec.config.stop_signal),
        clock: Arc::clone(&job.settings.clock),
        _folder: folder,
        _device: device,
    };
    Ok(Started {
        doorway: Doorway::Bridge(bridge, port),
        running: Box::new(run),
        calls_observed: true,
        not_served,
        host: None,
        health: health_of(&docker, other_image, &image, &recorded).await?,
    })
}

/// Starts the container with the bridge into it. Where that one does not come about, nothing can be judged.
async fn reached(
    job: &Job<'_>,
    docker: &Docker,
    order: &Order<'_>,
    preparation: &mut Preparation,
) -> Result<Reached, Halt> {
    let (reason, logs) = match reach(docker, order, job.settings.bridge, &job.settings.clock).await {
        Ok(reached) => return Ok(reached),
        Err(Unreached::Error(error)) => return Err(error.into()),
        Err(Unreached::NoBridge(reason, logs)) => (reason, logs),
    };
    if !docker.answers().await {
        return Err(DockerError::Lost.into());
    }
    let void = Void {
        reason: format!("the service could not be started: {reason}"),
        help: "see what it wrote above; whether containers can be run here at all, `retake doctor` says".to_owned(),
        last_lines: last_lines(&logs),
    };
    Err(Halt::Void(void, Box::new(std::mem::take(preparation))))
}

impl Running for ContainerRun {
    fn run_inside<'a>(&'a self, command: &'a [String], patience: Duration) -> BoxFuture<'a, Result<RanInside, String>> {
        Box::pin(async move {
            let ran = self.container.run_inside(command, patience).await;
            ran.map_err(|error| std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string))
        })
    }

    fn begin<'a>(&'a mut self, patience: Duration) -> BoxFuture<'a, Result<Vec<String>, Void>> {
        Box::pin(async move {
            let known = beside::ready(&mut self.servers, &self.bridge, patience, &self.clock).await?;
            if std::mem::take(&mut self.waits) {
                self.bridge.let_go();
            }
            Ok(known)
        })
    }

    fn why_not_anew(&self) -> Option<String> {
        if !self.bridge.is_controlled() {
            return Some("its init does not trace the service, which level 3 does".to_owned());
        }
        if !self.servers.is_empty() {
            return Some("what runs beside it remembers".to_owned());
        }
        self.unlisted.as_ref().map(|path| format!("what it writes to `{path}`, which is mounted, is not looked at"))
    }

    fn stop_service(&mut self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let stopped = tokio::time::timeout(STOP_PATIENCE, self.bridge.stop_service(self.stop_signal)).await;
            let stopped = stopped.map_err(|_| "it did not end when it was asked to".to_owned())?;
            stopped.map_err(|error| match error {
                ControlError::Failed { reason } => reason,
                other => other.to_string(),
            })?;
            let changed = self.container.changed_files().await.map_err(|error| error.to_string())?;
            first_written(&changed).map_or(Ok(()), |path| Err(format!("it wrote to its files, first `{path}`")))
        })
    }

    fn start_anew(&mut self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { self.bridge.restart().await.map_err(|error| error.to_string()) })
    }

    fn lost_its_engine(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(self.container.lost_its_engine())
    }

    fn gone(&mut self) -> Option<String> {
        self.container.has_ended().then(|| "with its container".to_owned())
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Aftermath> {
        Box::pin(self.stop())
    }
}

impl ContainerRun {
    /// Stops and removes the container, and tells what was seen of it.
    async fn stop(mut self: Box<Self>) -> Aftermath {
        let service_ended = if self.container.has_ended() {
            let status = self.container.ended().await;
            Some(status.map_or_else(|| "by itself".to_owned(), |status| format!("by itself, with status {status}")))
        } else {
            None
        };
        if self.waits {
            // What was never let go listens to nobody but the bridge.
            self.bridge.close().await;
        }
        // Stopping ends the service; then the init sends its last counts, and the bridge ends by itself.
        let stopped = self.container.stop(STOP_PATIENCE).await;
        let told = tokio::time::timeout(STOP_PATIENCE, self.bridge.ended()).await;
        let observed = self.bridge.observed();
        let reached = observed.reached.clone();
        self.answering.abort();
        let logs = self.container.remove().await.unwrap_or_default();
        let beside = beside::end(self.servers).await;
        let mut egress = egress_of(&observed, true);
        if stopped.is_err() || told.is_err() {
            egress.names = None;
            egress.without_route = None;
        }
        Aftermath { egress, logs, service_ended, beside, reached }
    }
}

/// The first of sorted paths that is not only the folder of the next one.
fn first_written(changed: &[String]) -> Option<&String> {
    let is_folder_of_next =
        |pair: &&[String]| pair[1].strip_prefix(&*pair[0]).is_some_and(|rest| rest.starts_with('/'));
    let folders = changed.windows(2).take_while(is_folder_of_next).count();
    changed.get(folders)
}

/// The recorded container's health check; another image's own.
async fn health_of(
    docker: &Docker,
    other_image: Option<&str>,
    image: &FoundImage,
    recorded: &ContainerIdentity,
) -> Result<Option<HealthCheck>, ReplayError> {
    match other_image {
        Some(_) => Ok(docker.image_health(&image.engine_id).await?),
        None => Ok(recorded.config.health.clone()),
    }
}

/// Makes the recorded limits such as this engine can set; gives those that are not as recorded.
async fn fit_limits(
    docker: &Docker,
    recorded: &mut ContainerIdentity,
) -> Result<Vec<EnvironmentDifference>, ReplayError> {
    let (limits, unfit) = host::fitted(&recorded.config.limits, &docker.capacity().await?);
    recorded.config.limits = limits;
    let difference = |unfit: host::Unfit| EnvironmentDifference {
        what: unfit.what.to_owned(),
        recorded: unfit.recorded,
        here: unfit.here,
    };
    Ok(unfit.into_iter().map(difference).collect())
}

/// What the engine did otherwise than it was asked to.
fn engine_warnings(container: &RunningContainer) -> impl Iterator<Item = EnvironmentDifference> {
    container.warnings().iter().map(|warning| EnvironmentDifference {
        what: "container".to_owned(),
        recorded: "as it was started".to_owned(),
        here: warning.trim_start_matches("WARNING: ").to_owned(),
    })
}

fn other_engine(job: &Job<'_>, here: &str) -> Option<EnvironmentDifference> {
    let recorded = job.recorded?.host.engine.as_deref()?;
    (recorded != here).then(|| EnvironmentDifference {
        what: "engine".to_owned(),
        recorded: recorded.to_owned(),
        here: here.to_owned(),
    })
}

/// The recorded container; an empty one where `--image` is asked of a recording that knows none.
fn recorded_container(job: &Job<'_>) -> ContainerIdentity {
    match job.recorded.map(|recorded| &recorded.subject) {
        Some(Subject::Container(container)) => (**container).clone(),
        _ => ContainerIdentity { image: ImageIdentity::default(), config: exchange::ContainerConfig::default() },
    }
}

impl From<DockerError> for Halt {
    fn from(error: DockerError) -> Self {
        Self::Error(error.into())
    }
}
