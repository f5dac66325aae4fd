//! What a replay is told to do, and what its ways of starting a service share.
//!
//! In: the settings and the selection. Out: for `container`, `process` and `target` the job they start a service for; from
//! them a started service, or why there is none.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bundle::Archive;
use diff::Rules;
use exchange::{ContainerConfig, Fingerprint, HealthCheck, Id, Subject};
use futures_util::future::BoxFuture;
use host::RanInside;
use serde::{Deserialize, Serialize};
use wire::{
    bridge::Virtual,
    client::{Clock, Limits},
};

use crate::{
    beside::GivenBeside,
    container::BridgeWay,
    determinism::{Asked, Control, Controls, Processors, recorded_time},
    environment::{Addresses, GivenMount, GivenVariable, RecordedAddresses, Told, Variables, looked_for},
    error::ReplayError,
    forward::FORWARD_PROXY,
    held::Held,
    journal::Resumable,
    ledger::Ledger,
    noise::{Chosen, FoundNoise},
    on_miss::{GivenLive, Misses, OnMiss},
    order::Order,
    receipt::{self, EnvironmentDifference, Pinned, SourceProof, Void},
    repeat::{Fallen, Repeating},
    secrets::Secrets,
    select::Selection,
    serve::{Place, recorded_places},
    service::{Aftermath, Doorway},
    timing::Pacing,
};

/// What a recording is replayed against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// What it was recorded from: its image, or its command.
    Recorded,
    /// Another image.
    Image(String),
    /// A command and its arguments, started as a child.
    Process(Vec<String>),
    /// A service that runs already, at this URL.
    Url(String),
}

/// What a replay is to do.
#[derive(Clone)]
pub struct Settings {
    /// The recording, verified.
    pub archive: Arc<Archive>,
    /// What the receipt says of it.
    pub source: SourceProof,
    /// The exchanges to replay; all when it is empty.
    pub only: Vec<Id>,
    /// What to send them to.
    pub against: Against,
    /// Rules by hand.
    pub rules: Rules,
    /// What was found of noise.
    pub noise: FoundNoise,
    /// Variables given for this replay.
    pub given: Vec<GivenVariable>,
    /// What stands in for recorded mounts.
    pub mounts: Vec<GivenMount>,
    /// Real servers that run beside the service.
    pub beside: Vec<GivenBeside>,
    /// Lines `PSEUDONYM=VALUE` for secrets that the recording knows by pseudonym, and what to call them in errors.
    pub secrets: Option<SecretsFile>,
    /// The service's port where it is not the recorded upstream's.
    pub port: Option<u16>,
    /// The path that the service answers once it is ready, where its health check or its port do not tell.
    pub ready_path: Option<String>,
    /// How long the service may take until it is ready.
    pub ready_timeout: Duration,
    /// The way into a container that has no network.
    pub bridge: BridgeWay,
    /// Void where anything of the environment differs.
    pub strict_environment: bool,
    /// How deterministic it is to be.
    pub determinism: Asked,
    /// In which order exchanges are sent.
    pub order: Order,
    /// When they are sent.
    pub pacing: Pacing,
    /// What answers a call that was not recorded.
    pub on_miss: OnMiss,
    /// Real dependencies that do, before that.
    pub live: Vec<GivenLive>,
    /// A seed that is set in requests whose format has a place for one.
    pub seed: Option<u32>,
    /// Limits on each exchange.
    pub limits: Limits,
    /// How often it is replayed.
    pub repeating: Repeating,
    /// How to ask for it again, which the run keeps, so that it can be gone on with once it was cut off; `None` where it cannot.
    pub resumable: Option<serde_json::Value>,
    /// What files said that flags named, by flag and name: a run that is gone on with is refused where one says something else.
    pub files: BTreeMap<String, String>,
    /// The run that is gone on with.
    pub resume: Option<Arc<Resumable>>,
    /// The folder that runs are written to.
    pub runs_folder: PathBuf,
    /// This very program, statically linked: what becomes the container's init.
    pub executable: PathBuf,
    /// The library that is loaded before the service's own: `init`'s shim.
    pub shim: &'static [u8],
    /// Version of this program.
    pub tool_version: String,
    /// The wall clock when `clock` was 0, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Nanoseconds since the start.
    pub clock: Arc<Clock>,
}

/// A file of secrets.
#[derive(Clone)]
pub struct SecretsFile {
    /// As it was named.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// One replay under way.
pub(crate) struct Job<'a> {
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) settings: &'a Settings,
    pub(crate) selection: &'a Selection,
    pub(crate) recorded: Option<&'a Fingerprint>,
    pub(crate) run: Id,
    pub(crate) misses: Arc<Misses>,
    pub(crate) ledger: Arc<Ledger>,
    /// The noise of the recorded version.
    pub(crate) noise: Chosen,
    /// What its names led to when it began.
    pub(crate) held: Held,
}

impl Job<'_> {
    /// Decides where the service finds its dependencies, and what runs beside it by name and port, in a place that has nothing
    /// but a loopback; changes its variables and its command so that it does.
    pub(crate) fn place(
        &self,
        port: u16,
        beside: BTreeMap<String, u16>,
        command: &mut [String],
        variables: &mut Variables,
    ) -> Addresses {
        let config = self.recorded_container();
        let hosts = config.map(|config| config.extra_hosts.clone()).unwrap_or_default();
        let told = Told { variables: &variables.values, arguments: command, hosts: &hosts };
        let mut called = self.selection.authorities_called();
        called.extend(looked_for(&beside, &told));
        let recorded = RecordedAddresses {
            listeners: recorded_places(&self.settings.archive),
            called,
            hosts,
            service_port: Some(port),
            hostname: config.map(|config| config.hostname.clone()).unwrap_or_default(),
            beside,
        };
        let in_two_parts = variables.in_two_parts();
        let texts = command.iter().chain(variables.values.values()).chain(&in_two_parts).map(String::as_str);
        let addresses = Addresses::of(&recorded, texts);
        variables.move_addresses(&addresses);
        for word in command {
            let (moved, notes) = addresses.replace_in(word);
            *word = moved;
            variables.replacements.extend(notes.into_iter().map(|note| format!("an argument: {note}")));
        }
        addresses
    }

    /// What of its time and chance the service is given.
    pub(crate) fn inside(&self) -> Option<Virtual> {
        let first = self.selection.chosen.first().and_then(|first| recorded_time(&self.settings.archive, first));
        self.settings.determinism.inside(self.settings.order, first)
    }

    /// The library that is loaded before the service's own, where that is asked for.
    pub(crate) fn preload(&self) -> Option<&'static [u8]> {
        self.settings.determinism.why_off(Control::RandomDevice).is_none().then_some(self.settings.shim)
    }

    /// How the recorded container was started, where it was one.
    pub(crate) fn recorded_container(&self) -> Option<&ContainerConfig> {
        match self.recorded.map(|recorded| &recorded.subject) {
            Some(Subject::Container(container)) => Some(&container.config),
            _ => None,
        }
    }

    /// The dependencies that were called and are at none of these places.
    pub(crate) fn not_served(&self, served: &[Place]) -> BTreeSet<String> {
        let called = self.selection.calls.iter().filter_map(|call| call.role.dependency());
        let is_at = |name: &str| served.iter().any(|place| place.name == name);
        let own = recorded_places(&self.settings.archive);
        let behind_proxy = |name: &str| is_at(FORWARD_PROXY) && own.iter().all(|place| place.name != name);
        called.filter(|name| !is_at(name) && !behind_proxy(name)).map(str::to_owned).collect()
    }

    /// The port that the service listens on: given, else what the recorded upstream's leads to in the recorded container,
    /// else the recorded upstream's own.
    pub(crate) fn port(&self) -> Result<u16, ReplayError> {
        if let Some(port) = self.settings.port {
            return Ok(port);
        }
        let sessions = self.settings.archive.sessions();
        let upstreams = sessions.iter().flat_map(|session| &session.listeners).filter(|it| it.is_for_clients());
        let upstream = upstreams.filter_map(|listener| listener.upstream.parse::<wire::Upstream>().ok()).next_back();
        let upstream = upstream.ok_or(ReplayError::NoPort)?;
        Ok(self.recorded_container().map_or(upstream.port, |config| port_inside(config, &upstream.host, upstream.port)))
    }
}

/// The container's port behind an upstream: what is published as it on the host leads to another one, as a rule, unless the
/// container was called by an address of its own.
fn port_inside(config: &ContainerConfig, host: &str, port: u16) -> u16 {
    let is_its_own = config.addresses.iter().any(|address| address == host.trim_matches(['[', ']']));
    let published = config.ports.iter().filter(|mapping| mapping.protocol == "tcp" && mapping.host == port);
    let mapping = published.min_by_key(|mapping| mapping.host_address != host);
    mapping.filter(|_| !is_its_own).map_or(port, |mapping| mapping.container)
}

/// What is to be run, and what was found out before it runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Preparation {
    pub(crate) pinned: Pinned,
    /// What was given or put in its place, and is what was recorded: nothing differs by it.
    pub(crate) supplied: Vec<String>,
    /// What was put in the place of something recorded, and is another.
    pub(crate) replacements: Vec<String>,
    pub(crate) injected: Vec<String>,
    /// What runs beside the service.
    pub(crate) beside: Vec<receipt::Beside>,
    /// What differs here.
    pub(crate) environment: Vec<EnvironmentDifference>,
    /// Whether what runs is the recorded image or program, with recorded dependencies: there is no level without that.
    pub(crate) is_pinned: bool,
    /// How many processors there were, and are where it runs.
    pub(crate) processors: Processors,
    /// What became of the controls of its determinism.
    pub(crate) controls: Controls,
    /// How it was known that the service was ready.
    pub(crate) ready: Option<String>,
    /// What the run's exchanges name as their target.
    pub(crate) target: String,
}

/// A started target.
pub(crate) struct Started {
    pub(crate) doorway: Doorway,
    pub(crate) running: Box<dyn Running>,
    pub(crate) calls_observed: bool,
    /// Dependencies whose recorded address is not served here: calls to them go nowhere.
    pub(crate) not_served: BTreeSet<String>,
    /// Written over the recorded `Host`.
    pub(crate) host: Option<String>,
    /// How the service's engine found out whether it was well.
    pub(crate) health: Option<HealthCheck>,
}

/// A started service, to be ended.
pub(crate) trait Running: Send + Sync {
    /// Runs a program where the service runs.
    fn run_inside<'a>(
        &'a self,
        _command: &'a [String],
        _patience: Duration,
    ) -> BoxFuture<'a, Result<RanInside, String>> {
        Box::pin(async { Err("nothing can be run where this service runs".to_owned()) })
    }

    /// Waits until what runs beside the service is ready, for at most `patience`, and lets the service start. Gives how that
    /// was known, for each in the receipt's order.
    fn begin<'a>(&'a mut self, _patience: Duration) -> BoxFuture<'a, Result<Vec<String>, Void>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Why the service cannot be started anew in the place that it has, if so.
    fn why_not_anew(&self) -> Option<String> {
        Some("it is not run by this program".to_owned())
    }

    /// Ends the service alone, as it would be ended with its place. An error, in words, is why another cannot be started in
    /// that place as if it were the first: something is left in it.
    fn stop_service(&mut self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("it cannot be stopped by itself".to_owned()) })
    }

    /// Starts it again, in the place that was left to it.
    fn start_anew(&mut self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("it cannot be started again".to_owned()) })
    }

    /// True where what runs the service went away under it.
    fn lost_its_engine(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }

    /// How the service ended, if it did.
    fn gone(&mut self) -> Option<String>;

    /// Ends it and tells what was seen of it.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Aftermath>;
}

/// What keeps the replay from being judged, or from happening.
pub(crate) enum Halt {
    Void(Void, Box<Preparation>),
    /// The same of a service that had been started.
    Fallen(Box<Fallen>),
    Error(ReplayError),
}

impl From<bundle::ReadError> for Halt {
    fn from(error: bundle::ReadError) -> Self {
        Self::Error(error.into())
    }
}

impl From<ReplayError> for Halt {
    fn from(error: ReplayError) -> Self {
        Self::Error(error)
    }
}

#[cfg(test)]
mod tests {
    use exchange::PortMapping;

    use super::*;

    #[test]
    fn a_published_port_leads_to_the_containers_own_and_any_other_is_itself() {
        let mapping = |container, host, address: &str| PortMapping {
            container,
            protocol: "tcp".to_owned(),
            host_address: address.to_owned(),
            host,
        };
        let ports = vec![mapping(8000, 32768, ""), mapping(9000, 32768, "127.0.0.2"), mapping(8080, 80, "")];
        let config = ContainerConfig { ports, addresses: vec!["172.17.0.2".to_owned()], ..ContainerConfig::default() };
        assert_eq!(port_inside(&config, "127.0.0.1", 32768), 8000);
        assert_eq!(port_inside(&config, "127.0.0.2", 32768), 9000);
        assert_eq!(port_inside(&config, "172.17.0.2", 80), 80);
        assert_eq!(port_inside(&config, "127.0.0.1", 5000), 5000);
    }
}
