//! A replay from start to receipt.
//!
//! In: a recording that was verified, what to run it against, and the rules. Out: the receipt, one result for each exchange,
//! and the run as a file. Damage and usage trouble are errors; what makes the replay void is in the receipt.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bundle::Archive;
use content::redact::{Extra, Redactor};
use diff::{ExchangeResult, Rules};
use exchange::{ClockPair, Fingerprint, Id, Run, Subject};
use tokio::sync::watch;
use wire::client::{Clock, Limits};

use crate::{
    answer::{Answerer, AnswererParts},
    container,
    drive::{Driver, Watch},
    environment,
    environment::GivenVariable,
    error::ReplayError,
    judge::{Case, Judgement},
    ledger::Ledger,
    process,
    receipt::{Determinism, Pinned, Receipt, SourceProof, Void},
    select::Selection,
    serve::{Place, recorded_places},
    service::{Aftermath, Doorway},
    target,
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

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// What it can prove about itself.
    pub receipt: Receipt,
    /// One entry for each chosen exchange.
    pub results: Vec<ExchangeResult>,
    /// The run's file.
    pub run_path: PathBuf,
}

impl Replayed {
    /// DESIGN's exit code: 3 when void, else the tally's.
    pub fn exit_code(&self) -> u8 {
        let skipped_some = !self.receipt.skipped.is_empty();
        match (&self.receipt.void, self.receipt.tally.exit_code()) {
            (Some(_), _) => 3,
            (None, 0) if skipped_some => 3,
            (None, code) => code,
        }
    }
}

/// Replays.
///
/// # Errors
/// Usage and environment trouble, and damage: what they touch was not judged.
pub async fn replay(settings: Settings, watched: Watched<'_>) -> Result<Replayed, ReplayError> {
    let selection = Selection::of(&settings.archive, &settings.only)?;
    let recorded = recorded_fingerprint(&settings, &selection)?;
    let run = new_id()?;
    std::fs::create_dir_all(&settings.runs_folder).map_err(ReplayError::Prepare)?;
    let redactor = Redactor::new(new_key()?, &Extra::default()).knowing(recorded_pseudonyms(&selection));
    let ledger = Arc::new(Ledger::create(&settings.runs_folder, run, redactor)?);
    let job = Job { settings: &settings, selection: &selection, recorded: recorded.as_ref(), run, ledger };
    let played = job.play(&watched).await;
    let result = match played {
        Ok(played) => job.conclude(played),
        Err(error) => Err(error),
    };
    if result.is_err() {
        // Nothing was judged, so there is no run to keep.
        drop(std::fs::remove_file(settings.runs_folder.join(format!("{run}.{}", bundle::EXTENSION))));
    }
    result
}

/// How a replay is watched and stopped.
pub struct Watched<'a> {
    /// Called with exchanges done and exchanges in all.
    pub progress: &'a (dyn Fn(u64, u64) + Send + Sync),
    /// Becomes true when the user wants it to stop.
    pub stop: watch::Receiver<bool>,
}

/// One replay under way.
pub(crate) struct Job<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) selection: &'a Selection,
    pub(crate) recorded: Option<&'a Fingerprint>,
    pub(crate) run: Id,
    pub(crate) ledger: Arc<Ledger>,
}

/// What is to be served inside, what is to be run, and what was found out before it runs.
#[derive(Debug, Default)]
pub(crate) struct Preparation {
    pub(crate) pinned: Pinned,
    pub(crate) replacements: Vec<String>,
    pub(crate) injected: Vec<String>,
    /// What differs here and shows only once it runs.
    pub(crate) environment: Vec<crate::receipt::EnvironmentDifference>,
    /// The level of determinism that holds once it runs.
    pub(crate) level: Option<u8>,
    /// What the run's exchanges name as their target.
    pub(crate) target: String,
}

/// A started target.
pub(crate) struct Started {
    pub(crate) doorway: Doorway,
    pub(crate) running: Running,
    pub(crate) calls_observed: bool,
    /// Written over the recorded `Host`.
    pub(crate) host: Option<String>,
}

/// What has to be ended.
pub(crate) enum Running {
    Container(Box<container::ContainerRun>),
    Process(Box<process::ProcessRun>),
    Url,
}

impl Running {
    fn gone(&mut self) -> Option<String> {
        match self {
            Self::Container(container) => container.gone(),
            Self::Process(process) => process.gone(),
            Self::Url => None,
        }
    }

    async fn finish(self) -> Aftermath {
        match self {
            Self::Container(container) => container.finish().await,
            Self::Process(process) => process.finish().await,
            Self::Url => Aftermath::default(),
        }
    }
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

/// What a replay came to before it is written down.
struct Played {
    preparation: Preparation,
    aftermath: Aftermath,
    judgement: Judgement,
    void: Option<Void>,
    environment: Vec<crate::receipt::EnvironmentDifference>,
    interrupted: bool,
}

impl Played {
    fn void(void: Void, preparation: Preparation) -> Self {
        Self {
            preparation,
            aftermath: Aftermath::default(),
            judgement: Judgement::default(),
            void: Some(void),
            environment: Vec::new(),
            interrupted: false,
        }
    }
}

impl Job<'_> {
    async fn play(&self, watched: &Watched<'_>) -> Result<Played, ReplayError> {
        let here = host::host_environment();
        let mut environment =
            self.recorded.map(|recorded| environment::differences(&recorded.host, &here)).unwrap_or_default();
        let pinned = self.settings.against == Against::Recorded;
        if let Some(void) = self.recorded.and_then(|recorded| environment::obstacle(recorded, &here)).filter(|_| pinned)
        {
            return Ok(Played { environment, ..Played::void(void, Preparation::default()) });
        }
        if let Some(first) = environment.first().filter(|_| self.settings.strict_environment) {
            let void = Void {
                reason: format!("`--strict-env`: {} was {}, and is {} here", first.what, first.recorded, first.here),
                help: "replay without `--strict-env` to get a warning instead".to_owned(),
            };
            return Ok(Played { environment, ..Played::void(void, Preparation::default()) });
        }
        let mut preparation = Preparation::default();
        let answerer = self.answerer()?;
        let started = match self.start(&answerer, &mut preparation).await {
            Ok(started) => started,
            Err(Halt::Void(void, preparation)) => {
                return Ok(Played { environment, ..Played::void(void, *preparation) });
            }
            Err(Halt::Error(error)) => return Err(error),
        };
        let mut played = self.run_started(started, preparation, answerer, watched).await?;
        played.environment.append(&mut environment);
        Ok(played)
    }

    async fn start(&self, answerer: &Arc<Answerer>, preparation: &mut Preparation) -> Result<Started, Halt> {
        match &self.settings.against {
            Against::Image(reference) => container::start(self, Some(reference), answerer, preparation).await,
            Against::Process(command) => process::start(self, Some(command), answerer, preparation).await,
            Against::Url(url) => target::start(url, preparation),
            Against::Recorded => match self.recorded.map(|recorded| &recorded.subject) {
                Some(Subject::Container(_)) => container::start(self, None, answerer, preparation).await,
                Some(Subject::Process(_)) => process::start(self, None, answerer, preparation).await,
                Some(Subject::Unknown) | None => Err(ReplayError::NothingPinned.into()),
            },
        }
    }

    async fn run_started(
        &self,
        mut started: Started,
        preparation: Preparation,
        answerer: Arc<Answerer>,
        watched: &Watched<'_>,
    ) -> Result<Played, ReplayError> {
        let ready = started.doorway.ready(self.settings.ready_timeout, || started.running.gone()).await;
        if let Err(reason) = ready {
            let aftermath = started.running.finish().await;
            let last = aftermath.logs.last().map(|line| format!("; its last line: {}", line.text)).unwrap_or_default();
            let void = Void {
                reason: format!("{reason}{last}"),
                help: "give it longer with `--ready-timeout`, or say where it listens with `--port`".to_owned(),
            };
            return Ok(Played { aftermath, ..Played::void(void, preparation) });
        }
        let driver = Arc::new(Driver {
            archive: Arc::clone(&self.settings.archive),
            answerer: Arc::clone(&answerer),
            ledger: Arc::clone(&self.ledger),
            doorway: started.doorway.clone(),
            limits: self.settings.limits,
            run: self.run,
            target: preparation.target.clone(),
            fingerprint: self.recorded.and_then(|recorded| self.ledger.put_fingerprint(recorded)),
            host: started.host.clone(),
            clock: Arc::clone(&self.settings.clock),
        });
        let watch = Watch { progress: watched.progress, stop: watched.stop.clone() };
        let outcomes = driver.drive(self.selection, watch).await;
        drop(started.doorway);
        let aftermath = started.running.finish().await;
        let case = Case {
            archive: &self.settings.archive,
            selection: self.selection,
            outcomes: &outcomes,
            notes: &answerer.notes(),
            never_asked: &answerer.never_asked(),
            rules: &self.settings.rules,
            calls_observed: started.calls_observed,
        };
        let judgement = case.judge()?;
        let interrupted = *watched.stop.borrow();
        Ok(Played { preparation, aftermath, judgement, void: None, environment: Vec::new(), interrupted })
    }

    fn answerer(&self) -> Result<Arc<Answerer>, ReplayError> {
        let parts = AnswererParts {
            archive: Arc::clone(&self.settings.archive),
            rules: self.settings.rules.clone(),
            reuse: false,
            ledger: Some(Arc::clone(&self.ledger)),
            run: self.run,
            target: self.target_words(),
            clock: Arc::clone(&self.settings.clock),
        };
        Ok(Arc::new(Answerer::new(self.selection, parts)?))
    }

    fn target_words(&self) -> String {
        match &self.settings.against {
            Against::Recorded => "as recorded".to_owned(),
            Against::Image(reference) => reference.clone(),
            Against::Process(command) => self.ledger.redactor().text(&command.join(" ")).0,
            Against::Url(url) => self.ledger.redactor().text(url).0,
        }
    }

    /// The recorded addresses that the service finds its dependencies at.
    pub(crate) fn places(&self) -> Vec<Place> {
        recorded_places(&self.settings.archive)
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

    fn conclude(self, played: Played) -> Result<Replayed, ReplayError> {
        let Played { mut preparation, aftermath, judgement, void, mut environment, interrupted } = played;
        environment.append(&mut preparation.environment);
        let replayed = judgement.results.iter().filter(|result| result.replayed_id.is_some()).count() as u64;
        let receipt = Receipt {
            run: self.run,
            void,
            sources: vec![self.settings.source.clone()],
            pinned: preparation.pinned,
            replayed,
            skipped: self.selection.skipped.clone(),
            answers: judgement.answers,
            egress: aftermath.egress,
            determinism: Determinism {
                level: preparation.level,
                order: "recorded".to_owned(),
                timing: "asap".to_owned(),
            },
            replacements: preparation.replacements,
            injected: preparation.injected,
            environment,
            rules: judgement.rules,
            headers_not_compared: diff::headers_not_compared(),
            tally: judgement.tally,
            outcome_digest: judgement.outcome_digest,
            service_ended: aftermath.service_ended,
            interrupted,
        };
        self.ledger.append_logs(aftermath.logs);
        let record = Run {
            id: self.run,
            tool_version: self.settings.tool_version.clone(),
            started: ClockPair { monotonic_ns: 0, wall_unix_ns: self.settings.started_unix_ns },
            sources: self.settings.source.digest.into_iter().collect(),
            receipt: serde_json::to_value(&receipt).expect("a receipt has keys that are text"),
            comparison: serde_json::to_value(&judgement.results).expect("results have keys that are text"),
        };
        let ledger = Arc::into_inner(self.ledger).expect("all tasks of the run have ended");
        let run_path = ledger.path().to_owned();
        ledger.seal(record)?;
        Ok(Replayed { receipt, results: judgement.results, run_path })
    }
}

/// The fingerprint that all chosen exchanges share, as far as what ran is concerned.
fn recorded_fingerprint(settings: &Settings, selection: &Selection) -> Result<Option<Fingerprint>, ReplayError> {
    let mut digests: Vec<_> = selection.chosen.iter().filter_map(|exchange| exchange.fingerprint).collect();
    digests.sort_unstable();
    digests.dedup();
    let mut found: Vec<Fingerprint> = Vec::new();
    for digest in &digests {
        let Some(fingerprint) = settings.archive.fingerprint(digest)? else { continue };
        if found.iter().all(|other| !same_subject(&other.subject, &fingerprint.subject)) {
            found.push(fingerprint);
        }
    }
    match (found.len(), &settings.against) {
        (2.., Against::Recorded) => Err(ReplayError::SeveralTargets { count: found.len() }),
        _ => Ok(found.into_iter().next()),
    }
}

/// Each pseudonym of the recording paired with itself, so that it stays as it is wherever the service passes it on.
fn recorded_pseudonyms(selection: &Selection) -> Vec<(Vec<u8>, Vec<u8>)> {
    // Only places are looked up: the key does not matter.
    let finder = Redactor::new([0; 32], &Extra::default());
    let of_exchange = |exchange: &exchange::Exchange| {
        let mut found = finder.found_in_request(&exchange.request.head);
        found.extend(exchange.response.iter().flat_map(|response| finder.found_in_response(&response.head)));
        found.into_iter().map(|found| (found.value.clone(), found.value))
    };
    selection.chosen.iter().chain(&selection.calls).flat_map(of_exchange).collect()
}

fn same_subject(one: &Subject, other: &Subject) -> bool {
    match (one, other) {
        (Subject::Container(one), Subject::Container(other)) => host::same_image(&one.image, &other.image).is_some(),
        (Subject::Process(one), Subject::Process(other)) => {
            one.digest == other.digest && one.arguments == other.arguments
        }
        (one, other) => one == other,
    }
}

pub(crate) fn new_id() -> Result<Id, ReplayError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| ReplayError::Prepare(std::io::Error::other(error)))?;
    Ok(Id(bytes))
}

fn new_key() -> Result<[u8; 32], ReplayError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| ReplayError::Prepare(std::io::Error::other(error)))?;
    Ok(key)
}
