//! A replay in the recorded container image, or in the one that was asked for, without any network.
//!
//! In: the recorded container, the image in the bundle or on this machine. Out: a started container with the bridge into
//! it, every recorded listener served inside at its recorded address. Another image than the recorded one is refused before
//! the first request unless it was asked for.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bundle::Archive;
use exchange::{ContainerIdentity, HealthCheck, ImageIdentity, ImageRecord, Subject};
use futures_util::future::BoxFuture;
use host::{ContainerSpec, Docker, DockerError, FoundImage, RanInside, RunningContainer, SameImage};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use wire::bridge;

use crate::{
    answer::Answerer,
    environment::{Addresses, container_variables, devices_left_out},
    error::ReplayError,
    job::{Halt, Job, Preparation, Running, Started},
    mounting,
    receipt::{EnvironmentDifference, Pinned, Relation, Void},
    serve::Place,
    service::{Aftermath, Doorway, answer_bridge, egress_of, last_lines, listened_on},
};

/// How long the init may take to connect. A choice: starting a container takes 0.7 to 1.5 s under load.
const BRIDGE_PATIENCE: Duration = Duration::from_secs(30);

/// How long the service may take to end when it is asked to. Docker's own default.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A container that runs for this replay.
pub(crate) struct ContainerRun {
    container: RunningContainer,
    bridge: Arc<bridge::Host>,
    answering: JoinHandle<()>,
    docker: Docker,
    /// Volumes made for this run.
    volumes: Vec<String>,
    _folder: RunFolder,
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
    preparation.environment.extend(fit_limits(&docker, &mut recorded).await?);
    preparation.replacements.extend(devices_left_out(&recorded.config));
    let image = match other_image {
        Some(reference) => asked_for(&docker, reference, &recorded.image, preparation).await?,
        None => pinned_image(&docker, &job.settings.archive, &recorded.image, preparation).await?,
    };
    let port = job.port()?;
    let mut variables = container_variables(&recorded, &image.identity.runtime, &job.settings.given);
    let mut argv = argv_of(&recorded, &image);
    let addresses = job.place(port, &mut argv, &mut variables);
    let places = addresses.listeners();
    let plan = job.mounts(preparation).await?;
    let folder = run_folder(&places).map_err(ReplayError::Prepare)?;
    let mut injected = injected();
    if let Some(forward) = answerer.forward() {
        forward.put_into(&folder.path).map_err(ReplayError::Prepare)?;
        injected.push(forward.trust_inside(&mut variables));
    }
    let listener = bridge::listen(&folder.path).map_err(ReplayError::Prepare)?;
    let (run_name, mut volumes) = (job.run.to_string(), Vec::new());
    let made = mounting::make(&docker, plan, &run_name, &image.engine_id, folder.outer.path(), &mut volumes);
    let mounts = match made.await {
        Ok(mounts) => mounts,
        Err(error) => {
            mounting::remove(&docker, &volumes).await;
            return Err(error.into());
        }
    };
    let spec = ContainerSpec {
        argv,
        mounts,
        hosts: hosts_of(&addresses, &recorded.config.hostname),
        variables: variables.values.into_iter().collect(),
        ..spec_of(job, &recorded, &image, &folder)
    };
    preparation.replacements.extend(variables.replacements);
    preparation.replacements.extend(addresses.hosts_in_words());
    preparation.injected = injected;
    let clock = Arc::clone(&job.settings.clock);
    let mut container = match docker.start(&spec, clock).await {
        Ok(container) => container,
        Err(error) => {
            mounting::remove(&docker, &volumes).await;
            return Err(ReplayError::from(error).into());
        }
    };
    preparation.environment.extend(engine_warnings(&container));
    let bridge = match bridge::Host::accept(listener, BRIDGE_PATIENCE).await {
        Ok(bridge) => Arc::new(bridge),
        Err(error) => {
            let halt = no_bridge(&mut container, &error, preparation).await;
            mounting::remove(&docker, &volumes).await;
            return Err(halt);
        }
    };
    let not_served = job.not_served(&listened_on(&bridge, &addresses, &mut preparation.replacements));
    // What is pinned is the recorded image; with another one there is no level to speak of.
    preparation.level = (preparation.pinned.relation != Relation::OtherImage).then_some(0);
    let answering = answer_bridge(Arc::clone(&bridge), places, Arc::clone(answerer), Arc::clone(&job.settings.clock));
    let run = ContainerRun {
        container,
        bridge: Arc::clone(&bridge),
        answering: tokio::spawn(answering),
        docker: docker.clone(),
        volumes,
        _folder: folder,
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

impl Running for ContainerRun {
    fn run_inside<'a>(&'a self, command: &'a [String], patience: Duration) -> BoxFuture<'a, Result<RanInside, String>> {
        Box::pin(async move {
            let ran = self.container.run_inside(command, patience).await;
            ran.map_err(|error| std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string))
        })
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
        // Stopping ends the service; then the init sends its last counts, and the bridge ends by itself.
        let stopped = self.container.stop(STOP_PATIENCE).await;
        let told = tokio::time::timeout(STOP_PATIENCE, self.bridge.ended()).await;
        let observed = self.bridge.observed();
        self.answering.abort();
        let logs = self.container.remove().await.unwrap_or_default();
        mounting::remove(&self.docker, &self.volumes).await;
        let mut egress = egress_of(&observed, true);
        if stopped.is_err() || told.is_err() {
            egress.names = None;
            egress.without_route = None;
        }
        Aftermath { egress, logs, service_ended }
    }
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

async fn asked_for(
    docker: &Docker,
    reference: &str,
    recorded: &ImageIdentity,
    preparation: &mut Preparation,
) -> Result<FoundImage, Halt> {
    let (engine_id, identity) = docker.image_identity(reference).await.map_err(ReplayError::from)?;
    let same = host::same_image(recorded, &identity);
    preparation.pinned = Pinned {
        wanted: name_of(recorded),
        used: name_of(&identity),
        relation: same.map_or(Relation::OtherImage, relation_of),
    };
    preparation.target = name_of(&identity);
    Ok(FoundImage { engine_id, identity, same: same.unwrap_or(SameImage::ConfigDigest) })
}

/// The recorded image: on this machine, else out of the bundle.
async fn pinned_image(
    docker: &Docker,
    archive: &Arc<Archive>,
    wanted: &ImageIdentity,
    preparation: &mut Preparation,
) -> Result<FoundImage, Halt> {
    preparation.pinned = Pinned { wanted: name_of(wanted), used: String::new(), relation: Relation::NothingRan };
    preparation.target = name_of(wanted);
    let mut found = docker.find_image(wanted).await.map_err(ReplayError::from)?;
    if found.is_none() {
        let images = archive.images().map_err(ReplayError::from)?;
        if let Some(record) = images.iter().find(|record| host::same_image(&record.identity, wanted).is_some()) {
            load(docker, archive, record).await?;
            found = docker.find_image(wanted).await.map_err(ReplayError::from)?;
        }
    }
    let Some(found) = found else { return Err(absent(wanted, preparation)) };
    preparation.pinned.used = name_of(&found.identity);
    preparation.pinned.relation = relation_of(found.same);
    Ok(found)
}

fn absent(wanted: &ImageIdentity, preparation: &mut Preparation) -> Halt {
    let names = if wanted.tags.is_empty() { String::new() } else { format!(" ({})", wanted.tags.join(", ")) };
    let pull = wanted.repository_digests.first().map(|name| format!("`docker pull {name}`, or ")).unwrap_or_default();
    let void = Void {
        reason: format!(
            "the recorded image {}{names} is neither on this machine nor in the recording",
            name_of(wanted)
        ),
        help: format!(
            "{pull}export the bundle with `--with-image` where the image is, or ask for another with `--image REF`"
        ),
        ..Void::default()
    };
    Halt::Void(void, Box::new(std::mem::take(preparation)))
}

/// Loads the image that the bundle carries. Its bytes are verified piece by piece as they are read.
async fn load(docker: &Docker, archive: &Arc<Archive>, record: &ImageRecord) -> Result<(), ReplayError> {
    let parts = record.archive.parts.clone();
    let archive = Arc::clone(archive);
    let pieces = parts.into_iter().map(move |part| {
        let piece = exchange::Body { len: part.len(), parts: vec![part], ..exchange::Body::default() };
        archive.body(&piece, bundle::BLOB_BYTES_MAX as u64).map(bytes::Bytes::from).map_err(std::io::Error::other)
    });
    Ok(docker.load_image(futures_util::stream::iter(pieces)).await?)
}

fn relation_of(same: SameImage) -> Relation {
    match same {
        SameImage::ConfigDigest => Relation::SameConfigDigest,
        SameImage::RepositoryDigest => Relation::SameRepositoryDigest,
        SameImage::LayersAndRuntime => Relation::SameLayers,
    }
}

/// The digest that says most about an image.
pub(crate) fn name_of(image: &ImageIdentity) -> String {
    let digest = image.config_digest.as_ref().or(image.repository_digests.first()).cloned();
    digest.or_else(|| image.layers.last().map(|layer| format!("top layer {layer}"))).unwrap_or_default()
}

/// The folder that becomes `/.retake/run`: the socket is made by the bridge, the settings here. Whoever is not us cannot reach it from
/// outside, since the folder it is in is ours alone; a bind mount does not pass through that one.
pub(crate) fn run_folder(places: &[Place]) -> std::io::Result<RunFolder> {
    let outer = tempfile::Builder::new().prefix("retake-run-").tempdir()?;
    let path = outer.path().join("run");
    // The service's user inside may be any.
    std::fs::DirBuilder::new().create(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let listen: Vec<_> = places.iter().map(|place| place.address.to_string()).collect();
    let settings = serde_json::json!({ "socket": "/.retake/run/bridge.sock", "listen": listen, "resolver": true });
    std::fs::write(path.join("init.json"), settings.to_string())?;
    Ok(RunFolder { path, outer })
}

/// Removed when it is dropped.
pub(crate) struct RunFolder {
    pub(crate) path: PathBuf,
    /// Ours alone: copies of what the service may write to stand in it.
    outer: TempDir,
}

/// What the hosts file has beside `localhost`: the service's own name too, which services look up.
fn hosts_of(addresses: &Addresses, hostname: &str) -> Vec<(String, IpAddr)> {
    let own = Some(hostname).filter(|name| !name.is_empty() && *name != "localhost");
    let own = own.map(|name| (name.to_owned(), Ipv4Addr::LOCALHOST.into()));
    addresses.hosts.iter().map(|(name, ip)| (name.clone(), *ip)).chain(own).collect()
}

/// The command: what the recorded container had from its own image, this one has from its own.
fn argv_of(recorded: &ContainerIdentity, image: &FoundImage) -> Vec<String> {
    let (was, is) = (&recorded.image.runtime, &image.identity.runtime);
    let own = |recorded: &Vec<String>, of_image: &Vec<String>, now: &Vec<String>| {
        if recorded == of_image || recorded.is_empty() { now.clone() } else { recorded.clone() }
    };
    let mut argv = own(&recorded.config.entrypoint, &was.entrypoint, &is.entrypoint);
    argv.extend(own(&recorded.config.command, &was.command, &is.command));
    argv
}

/// The container as it was recorded, but for what differs with each run.
fn spec_of(job: &Job<'_>, recorded: &ContainerIdentity, image: &FoundImage, folder: &RunFolder) -> ContainerSpec {
    let (was, is) = (&recorded.image.runtime, &image.identity.runtime);
    let mut config = recorded.config.clone();
    if config.user == was.user {
        config.user.clone_from(&is.user);
    }
    if config.working_dir == was.working_dir {
        config.working_dir.clone_from(&is.working_dir);
    }
    ContainerSpec {
        image: image.engine_id.clone(),
        config,
        executable: job.settings.executable.clone(),
        run_folder: folder.path.clone(),
        run: job.run.to_string(),
        ..ContainerSpec::default()
    }
}

fn injected() -> Vec<String> {
    let things = [
        "/.retake/retake: this program, read-only, as the container's init",
        "/.retake/run: the bridge's socket and settings, read-only",
        "/etc/resolv.conf: the container's own loopback",
        "network none, no capabilities but over its own files and users, no new privileges, no health check",
    ];
    things.map(str::to_owned).to_vec()
}

/// The init never connected: the container ended at once, or hangs.
async fn no_bridge(
    container: &mut RunningContainer,
    error: &bridge::BridgeError,
    preparation: &mut Preparation,
) -> Halt {
    let ended = if container.has_ended() { container.ended().await } else { None };
    let logs = container.remove().await.unwrap_or_default();
    let status = ended.map(|status| format!(" and the container ended with status {status}")).unwrap_or_default();
    let void = Void {
        reason: format!("the service could not be started: {error}{status}"),
        help: "see what it wrote above; whether containers can be run here at all, `retake doctor` says".to_owned(),
        last_lines: last_lines(&logs),
    };
    Halt::Void(void, Box::new(std::mem::take(preparation)))
}

impl From<DockerError> for Halt {
    fn from(error: DockerError) -> Self {
        Self::Error(error.into())
    }
}
