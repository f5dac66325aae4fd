//! What a replay is told to do, and what its ways of starting a service share.
//!
//! In: the settings and the selection. Out: for `container`, `process` and `target` the job they start a service for; from
//! them a started service, or why there is none.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use bundle::Archive;
use diff::Rules;
use exchange::{Fingerprint, Id};
use futures_util::future::BoxFuture;
use wire::client::{Clock, Limits};

use crate::{
    environment::GivenVariable,
    error::ReplayError,
    ledger::Ledger,
    receipt::{EnvironmentDifference, Pinned, SourceProof, Void},
    select::Selection,
    serve::{Place, recorded_places},
    service::{Aftermath, Doorway},
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
    /// Variables given for this replay.
    pub given: Vec<GivenVariable>,
    /// The service's port where it is not the recorded upstream's.
    pub port: Option<u16>,
    /// How long the service may take to accept connections.
    pub ready_timeout: Duration,
    /// Void where anything of the environment differs.
    pub strict_environment: bool,
    /// Limits on each exchange.
    pub limits: Limits,
    /// The folder that runs are written to.
    pub runs_folder: PathBuf,
    /// This very program, statically linked: what becomes the container's init.
    pub executable: PathBuf,
    /// Version of this program.
    pub tool_version: String,
    /// The wall clock when `clock` was 0, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Nanoseconds since the start.
    pub clock: Arc<Clock>,
}

/// One replay under way.
pub(crate) struct Job<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) selection: &'a Selection,
    pub(crate) recorded: Option<&'a Fingerprint>,
    pub(crate) run: Id,
    pub(crate) ledger: Arc<Ledger>,
}

impl Job<'_> {
    /// The recorded addresses that the service finds its dependencies at.
    pub(crate) fn places(&self) -> Vec<Place> {
        recorded_places(&self.settings.archive)
    }

    /// The dependencies that were called and are at none of these places.
    pub(crate) fn not_served(&self, served: &[Place]) -> BTreeSet<String> {
        let called = self.selection.calls.iter().filter_map(|call| call.role.dependency());
        called.filter(|name| served.iter().all(|place| place.name != *name)).map(str::to_owned).collect()
    }

    /// The port that the service listens on: given, or the recorded upstream's.
    pub(crate) fn port(&self) -> Result<u16, ReplayError> {
        if let Some(port) = self.settings.port {
            return Ok(port);
        }
        let sessions = self.settings.archive.sessions();
        let upstreams = sessions.iter().flat_map(|session| &session.listeners).filter(|it| it.dependency.is_none());
        let port = upstreams
            .filter_map(|listener| listener.upstream.parse::<wire::Upstream>().ok())
            .map(|it| it.port)
            .next_back();
        port.ok_or(ReplayError::NoPort)
    }
}

/// What is to be run, and what was found out before it runs.
#[derive(Debug, Default)]
pub(crate) struct Preparation {
    pub(crate) pinned: Pinned,
    pub(crate) replacements: Vec<String>,
    pub(crate) injected: Vec<String>,
    /// What differs here.
    pub(crate) environment: Vec<EnvironmentDifference>,
    /// The level of determinism that holds once it runs.
    pub(crate) level: Option<u8>,
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
}

/// A started service, to be ended.
pub(crate) trait Running: Send {
    /// How the service ended, if it did.
    fn gone(&mut self) -> Option<String>;

    /// Ends it and tells what was seen of it.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Aftermath>;
}

/// What keeps the replay from being judged, or from happening.
pub(crate) enum Halt {
    Void(Void, Box<Preparation>),
    Error(ReplayError),
}

impl From<ReplayError> for Halt {
    fn from(error: ReplayError) -> Self {
        Self::Error(error)
    }
}
