//! Starts a container and gets the bridge into it: over a socket in a shared folder, or over the streams of a program that
//! the engine starts in the container.
//!
//! In: what to start, and which way. Out: the container with its bridge, and how they came there, in the receipt's words.
//! What runs in the container is the same both ways, and so is what passes over the bridge.

use std::{sync::Arc, time::Duration};

use exchange::LogLine;
use host::{ContainerSpec, Delivery, Docker, DockerError, RunningContainer, Said};
use wire::{
    bridge::{self, Virtual},
    client::Clock,
};

use super::folder::{RunFolder, run_folder};
use crate::{
    environment::{Addresses, MountPlan},
    error::ReplayError,
    forward::Forward,
    mounting::{self, Made},
};

/// How long the init may take to connect. A choice: starting a container takes 0.7 to 1.5 s under load.
const BRIDGE_PATIENCE: Duration = Duration::from_secs(30);

/// The relay, as the init's own program runs it.
const RELAY: [&str; 3] = ["/.retake/retake", "__init", "--relay"];

/// The way into a container that has no network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BridgeWay {
    /// The socket where the engine is a local one and sees this machine's files, else the streams.
    #[default]
    Auto,
    /// A unix socket in a folder that is mounted into the container.
    Socket,
    /// The standard streams of a program that the engine starts in the container, into which all is copied.
    Exec,
}

/// What is started, whichever way it is reached.
#[derive(Default)]
pub(crate) struct Order<'a> {
    /// The container, but for what differs with the way.
    pub(crate) spec: ContainerSpec,
    /// Where everything is in it.
    pub(crate) addresses: Addresses,
    /// Whether it waits until it is let go.
    pub(crate) waits: bool,
    /// What it has mounted.
    pub(crate) plan: MountPlan,
    /// What of its time and chance it is given.
    pub(crate) determinism: Option<Virtual>,
    /// The library that is loaded before its own, if one is.
    pub(crate) preload: Option<&'static [u8]>,
    /// What plays the forward proxy, whose certificate it gets.
    pub(crate) forward: Option<&'a Forward>,
}

/// A container that runs, and the bridge into it.
pub(crate) struct Reached {
    pub(crate) container: RunningContainer,
    pub(crate) bridge: bridge::Host,
    /// How our things came into the container.
    pub(crate) delivery: Delivery,
    /// The same in words, for the receipt.
    pub(crate) injected: Vec<String>,
    /// What is mounted into the container, if anything is.
    pub(crate) folder: RunFolder,
}

/// Why there is no bridge.
pub(crate) enum Unreached {
    /// There is not even a container.
    Error(ReplayError),
    /// The container was started, and is gone again: it ended at once, or hung. Why, and what it wrote.
    NoBridge(String, Vec<LogLine>),
}

/// Starts a container with the recorded places served in it.
pub(crate) async fn reach(
    docker: &Docker,
    order: &Order<'_>,
    way: BridgeWay,
    clock: &Arc<Clock>,
) -> Result<Reached, Unreached> {
    let first = match way {
        BridgeWay::Auto if docker.is_local() => Delivery::Mounted,
        BridgeWay::Socket => Delivery::Mounted,
        BridgeWay::Auto | BridgeWay::Exec => Delivery::Copied,
    };
    match reach_by(first, docker, order, clock).await {
        Err(Unreached::Error(ReplayError::Docker(error))) if way == BridgeWay::Auto && error.sees_other_files() => {
            reach_by(Delivery::Copied, docker, order, clock).await
        }
        reached => reached,
    }
}

async fn reach_by(
    delivery: Delivery,
    docker: &Docker,
    order: &Order<'_>,
    clock: &Arc<Clock>,
) -> Result<Reached, Unreached> {
    let folder = run_folder(&order.addresses, order.waits, order.determinism.as_ref(), order.preload, delivery)
        .map_err(ReplayError::Prepare)?;
    if let Some(forward) = order.forward {
        forward.put_into(&folder.path).map_err(ReplayError::Prepare)?;
    }
    let listener = match delivery {
        Delivery::Mounted => Some(bridge::listen(&folder.path).map_err(ReplayError::Prepare)?),
        Delivery::Copied => None,
    };
    let Made { mounts, volumes } = mounting::make(docker, order, delivery, folder.outer.path()).await?;
    let run_folder = folder.path.clone();
    let spec = ContainerSpec { mounts, volumes, run_folder, delivery, ..order.spec.clone() };
    let mut container = docker.start(&spec, Arc::clone(clock) as _).await?;
    let bridge = match listener {
        Some(listener) => bridge::Host::accept(listener, BRIDGE_PATIENCE).await.map_err(|error| error.to_string()),
        None => bridge_over_exec(&container).await,
    };
    match bridge {
        Ok(bridge) => Ok(Reached { container, bridge, delivery, injected: injected(delivery), folder }),
        Err(reason) => Err(no_bridge(&mut container, reason).await),
    }
}

async fn bridge_over_exec(container: &RunningContainer) -> Result<bridge::Host, String> {
    let stream = container.open_inside(&RELAY.map(str::to_owned), None).await.map_err(|error| with_cause(&error))?;
    let said = stream.said();
    let bridge = bridge::Host::over(stream, BRIDGE_PATIENCE).await;
    bridge.map_err(|error| format!("{error}{}", words_of(&said)))
}

/// What the relay said of its failure.
fn words_of(said: &Said) -> String {
    let text = said.text();
    if text.is_empty() { text } else { format!(" ({text})") }
}

fn with_cause(error: &DockerError) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

async fn no_bridge(container: &mut RunningContainer, reason: String) -> Unreached {
    let ended = if container.has_ended() { container.ended().await } else { None };
    let logs = container.remove().await.unwrap_or_default();
    let status = ended.map(|status| format!(" and the container ended with status {status}")).unwrap_or_default();
    Unreached::NoBridge(format!("{reason}{status}"), logs)
}

/// What is put into a container, in words.
fn injected(delivery: Delivery) -> Vec<String> {
    let by_way = match delivery {
        Delivery::Mounted => [
            "/.retake/retake: this program, read-only, as the container's init",
            "/.retake/run: the bridge's socket and settings, read-only",
        ],
        Delivery::Copied => [
            "/.retake/retake: this program, read-only, as the container's init, copied in through the engine",
            "/.retake/run: the bridge's settings, read-only, copied in too; the bridge runs over an exec's streams",
        ],
    };
    let always = [
        "/etc/resolv.conf: the container's own loopback",
        "network none, no capabilities but over its own files and users, no new privileges, no health check",
    ];
    by_way.into_iter().chain(always).map(str::to_owned).collect()
}

impl From<ReplayError> for Unreached {
    fn from(error: ReplayError) -> Self {
        Self::Error(error)
    }
}

impl From<DockerError> for Unreached {
    fn from(error: DockerError) -> Self {
        Self::Error(error.into())
    }
}
