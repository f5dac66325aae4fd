//! One run of a capture, from its first listener to its last record.

use std::{
    ffi::OsString,
    future::Future,
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
        mpsc::{self, Sender},
    },
    time::Duration,
};

use bundle::{Store, TornTail};
use content::redact::{Extra, Redactor};
use exchange::{ClockPair, Id, Session, SessionCounts};
use host::Reach;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{self, SignalKind},
    sync::watch,
    task::JoinSet,
};
use wire::{Connector, Observer, Scheme, proxy};

use crate::{
    Bound, CaptureError, Clock, Notice, Service, Settings, advice,
    attribute::InFlight,
    child,
    environment::{self, Following, Whose},
    error::first_cause,
    forward::{self, Behind, BoundForward},
    lines::{LineRecorder, Rate},
    listen,
    queue::{Budget, Item, Losses},
    record::Recorder,
    surround::Surround,
    warned::Warned,
    write::{Notify, Setup, StartError, Wanted, Writing},
};

/// Longest wait for the service to accept, before it is said that it does not. A choice.
const UPSTREAM_PATIENCE: Duration = Duration::from_secs(3);

/// Longest that a service is kept from ending for a last look at it. A choice.
const LAST_LOOK_MAX: Duration = Duration::from_secs(3);

/// What a capture says when it has begun.
#[derive(Clone, Debug)]
pub struct Started {
    /// The session.
    pub session: Id,
    /// Where it listens, the clients' listener first.
    pub listeners: Vec<Bound>,
    /// The forward proxy, where there is one.
    pub forward: Option<BoundForward>,
    /// The store's folder.
    pub store: PathBuf,
    /// What captures before this one had not finished writing when they were killed, cut off now.
    pub torn: Vec<TornTail>,
    /// Process id of the service, where it was started here.
    pub child: Option<u32>,
}

/// What a capture says when it is over.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The session.
    pub session: Id,
    /// What was recorded, and what was not.
    pub counts: SessionCounts,
    /// The segments that were written.
    pub segments: Vec<PathBuf>,
    /// False when the last segment could not be sealed; what was synced is readable all the same.
    pub is_sealed: bool,
    /// How the service ended, where it was started here.
    pub child: Option<ExitStatus>,
    /// The dependencies that nobody called where they listen.
    pub never_called: Vec<String>,
}

/// Records until `shutdown` is done or the started service ends. `started` is told where it listens, `notify` of trouble
/// on the way; it is called from another thread and should be quick.
///
/// # Errors
/// [`CaptureError`], all of them before the first connection is accepted or because the service could not be started.
pub async fn run(
    settings: Settings,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
    started: impl FnOnce(&Started),
    notify: impl Fn(Notice) + Send + Sync + 'static,
) -> Result<Summary, CaptureError> {
    survive_a_limit_on_files();
    let reach = environment::find(&settings.service).await?;
    for replica in &settings.replicas {
        environment::find(&Service::Container(replica.clone())).await?;
    }
    let store = Store::open_or_create(&settings.store)?;
    let torn = store.recover()?;
    let extra = Extra { headers: settings.secret_headers.clone(), query_keys: settings.secret_query_keys.clone() };
    let redactor = Arc::new(Redactor::new(store.redaction_key()?, &extra));
    if !matches!(settings.service, Service::Command(_)) {
        allow_many_connections();
    }
    let (listeners, bound): (Vec<_>, Vec<_>) = listen::bind(&settings).await?.into_iter().unzip();
    let (forward_listener, forward) = forward::bind(&settings).await?.unzip();
    let listeners: Vec<_> = listeners.into_iter().chain(forward_listener).collect();
    let mut session = session_of(&settings, &bound, &redactor, clock)?;
    session.listeners.extend(forward.iter().map(BoundForward::to_record));
    let store_path = store.path().to_owned();
    let begun = Started { session: session.id, listeners: bound, forward, store: store_path, torn, child: None };

    let mut session_key = [0; 32];
    getrandom::fill(&mut session_key).map_err(|error| CaptureError::Session(error.into()))?;
    let (queue, items) = mpsc::channel();
    let shared = Shared {
        clock,
        session_key,
        redactor,
        budget: Budget::new(settings.queue_bytes_max),
        losses: Arc::default(),
        queue,
        notify: Arc::new(notify),
        secret_variables: settings.secret_variables.clone().into(),
    };
    let writing = Writing::start(shared.writer_setup(&settings, store, session), items).map_err(start_failed)?;
    let session = begun.session;
    let ended = record(&shared, &settings, listeners, begun, reach, started, shutdown).await;
    // Whatever happened: what was recorded until then is written.
    let written = shared.stop_writing(writing).await;
    let Ended { child, never_called } = ended?;
    Ok(Summary {
        session,
        counts: written.counts,
        segments: written.segments,
        is_sealed: written.is_sealed,
        child,
        never_called,
    })
}

/// What is known when all that was served has ended, as in [`Summary`].
struct Ended {
    child: Option<ExitStatus>,
    never_called: Vec<String>,
}

/// Serves until the end.
async fn record(
    shared: &Shared,
    settings: &Settings,
    listeners: Vec<TcpListener>,
    mut begun: Started,
    reach: Option<Reach>,
    started: impl FnOnce(&Started),
    shutdown: impl Future<Output = ()>,
) -> Result<Ended, CaptureError> {
    let recorder = Arc::new(shared.recorder(settings, &begun));
    let (stop, stopping) = watch::channel(false);
    let (stop_raw, stopping_raw) = watch::channel(false);
    let stopping = Stopping { http: stopping, raw: stopping_raw };
    let Serving { mut http, mut raw } = serve(listeners, &begun.listeners, settings, recorder.clone(), &stopping);
    let lines = shared.line_recorder(settings);
    let mut child = match &settings.service {
        Service::Command(command) => {
            // Where it cannot be started, what serves is dropped, and with it all connections.
            let through_proxy = begun.forward.iter().flat_map(|forward| forward.variables.clone());
            let variables = begun.listeners.iter().flat_map(Bound::assignments).chain(through_proxy).collect();
            Some(child::Started::start(command, variables, &lines)?)
        }
        _ => None,
    };
    begun.child = child.as_ref().and_then(child::Started::pid);
    // Requests are served meanwhile: an engine that takes its time, or hangs, is not to keep them waiting.
    started(&begun);
    let whose = whose(&settings.service, begun.child);
    let (mut surrounding, mut looking) = (JoinSet::new(), JoinSet::new());
    let replicas = settings.replicas.iter().map(|name| Whose::Container(name.clone()));
    for (replica, whose) in std::iter::once(whose).chain(replicas).enumerate() {
        let (changes, heard) = tokio::sync::mpsc::unbounded_channel();
        let surround = shared.surround(settings, lines.clone(), begun.session);
        let tasks = surround.start(&whose, replica, changes, &stopping.http);
        surrounding.spawn(async move { drop(tasks.join_all().await) });
        looking.spawn(shared.following(replica, whose).follow(heard, stopping.http.clone()));
    }
    let advising = tokio::spawn(shared.clone().advise(settings.clone(), begun.listeners.clone(), reach));

    wait_for_the_end(shutdown, &mut child).await;
    stop.send_replace(true);
    // What runs is looked at once more before it is told to end.
    let last_look = async { while looking.join_next().await.is_some() {} };
    tokio::time::timeout(LAST_LOOK_MAX, last_look).await.ok();
    let child_stops = async {
        match child {
            Some(child) => child.stop(settings.grace).await,
            None => None,
        }
    };
    let all_served = async { while http.join_next().await.is_some() {} };
    // A capture that was short is no reason to know less of whom it recorded, unless that takes long.
    let looked = tokio::time::timeout(settings.grace, looking.join_all());
    let surrounded = tokio::time::timeout(settings.grace, surrounding.join_all());
    let (status, (), ..) = tokio::join!(child_stops, all_served, looked, surrounded);
    // What is pooled ends only now: an exchange that was still under way may have needed it.
    stop_raw.send_replace(true);
    while raw.join_next().await.is_some() {}
    advising.abort();
    Ok(Ended { child: status, never_called: recorder.never_called() })
}

/// Whose environment is recorded.
fn whose(service: &Service, child: Option<u32>) -> Whose {
    match (service, child) {
        (Service::Container(name), _) => Whose::Container(name.clone()),
        (Service::Process(pid), _) => Whose::Process(*pid, Arc::from([])),
        (Service::Command(command), Some(pid)) => {
            Whose::Process(pid, command.iter().map(|word| word.to_string_lossy().into_owned()).collect())
        }
        (Service::Unknown, _) | (Service::Command(_), None) => Whose::Nobody,
    }
}

/// What the parts of a capture share.
#[derive(Clone)]
struct Shared {
    clock: Clock,
    /// What ids are derived with.
    session_key: [u8; 32],
    redactor: Arc<Redactor>,
    budget: Arc<Budget>,
    losses: Arc<Losses>,
    queue: Sender<Item>,
    notify: Notify,
    secret_variables: Arc<[String]>,
}

impl Shared {
    fn writer_setup(&self, settings: &Settings, store: Store, session: Session) -> Setup {
        Setup {
            store,
            session,
            session_key: self.session_key,
            clock: self.clock,
            sync_interval: settings.sync_interval,
            segment_bytes_max: settings.segment_bytes_max,
            dedup_bytes_max: settings.dedup_bytes_max,
            budget: self.budget.clone(),
            losses: self.losses.clone(),
            notify: self.notify.clone(),
            wanted: Wanted {
                annotations: settings.annotations.iter().map(|it| (it.name.clone(), it.place.clone())).collect(),
                conversation: settings.conversation.as_ref().map(|it| it.place.clone()),
            },
            replicas: 1 + settings.replicas.len(),
            follows: !matches!(settings.service, Service::Unknown),
        }
    }

    /// What listens to the proxy.
    fn recorder(&self, settings: &Settings, begun: &Started) -> Recorder {
        Recorder {
            session: begun.session,
            session_key: self.session_key,
            listeners: begun.listeners.iter().map(|bound| bound.dependency.clone()).collect(),
            called: begun.listeners.iter().map(|_| AtomicBool::new(false)).collect(),
            raw_listeners: begun.listeners.iter().map(|bound| bound.upstream.scheme == Scheme::Tcp).collect(),
            behind: Behind::new(settings, self.notify.clone()),
            warned: Arc::new(Warned::new(self.notify.clone())),
            adds_traceparent: settings.adds_traceparent,
            body_bytes_max: settings.body_bytes_max,
            clock: self.clock,
            redactor: self.redactor.clone(),
            budget: self.budget.clone(),
            losses: self.losses.clone(),
            queue: self.queue.clone(),
            counter: AtomicU64::new(0),
            in_flight: Arc::new(Mutex::new(InFlight::default())),
        }
    }

    /// Says what the service has to call, and whether it is there at all.
    async fn advise(self, settings: Settings, bound: Vec<Bound>, reach: Option<Reach>) {
        let container = match (&settings.service, &reach) {
            (Service::Container(name), Some(reach)) => Some((name.as_str(), reach)),
            _ => None,
        };
        advice::of(container, &bound).into_iter().for_each(|notice| (self.notify)(notice));
        // A service that is started here is given its time.
        let upstream = settings.upstream.filter(|_| !matches!(settings.service, Service::Command(_)));
        let Some(upstream) = upstream else { return };
        if let Err(error) = Connector::new().connect(&upstream, UPSTREAM_PATIENCE).await {
            let container = container.map(|(name, _)| name.to_owned());
            let (upstream, reason) = (upstream.to_string(), first_cause(&error));
            (self.notify)(Notice::UpstreamSilent { container, upstream, reason });
        }
    }

    /// What takes fingerprints and hands them to the writer.
    fn following(&self, replica: usize, whose: Whose) -> Following {
        let (redactor, secret_variables) = (self.redactor.clone(), self.secret_variables.clone());
        Following::new(
            (replica, whose),
            self.clock,
            redactor,
            secret_variables,
            self.queue.clone(),
            self.notify.clone(),
        )
    }

    fn line_recorder(&self, settings: &Settings) -> LineRecorder {
        // A container's are asked of the engine when its log is.
        let secrets = match &settings.service {
            Service::Command(command) => {
                let in_words = |word: &OsString| word.to_string_lossy().into_owned();
                let variables = std::env::vars_os().map(|(name, value)| (in_words(&name), in_words(&value)));
                let command: Vec<_> = command.iter().map(in_words).collect();
                host::secret_values(&command, variables, &self.secret_variables)
            }
            _ => Vec::new(),
        };
        LineRecorder {
            is_on: settings.records_logs,
            subject: String::new(),
            clock: self.clock,
            redactor: self.redactor.clone(),
            secrets: secrets.into(),
            budget: self.budget.clone(),
            losses: self.losses.clone(),
            queue: self.queue.clone(),
            rate: Arc::new(Mutex::new(Rate::default())),
        }
    }

    fn surround(&self, settings: &Settings, lines: LineRecorder, session: Id) -> Surround {
        Surround {
            session,
            lines,
            secret_variables: self.secret_variables.clone(),
            every: settings.sample_interval,
            notify: self.notify.clone(),
        }
    }

    /// Waits until the writer has written what there is.
    async fn stop_writing(&self, writing: Writing) -> crate::write::Written {
        // As above.
        self.queue.send(Item::Stop).ok();
        tokio::task::spawn_blocking(move || writing.finish()).await.unwrap_or_default()
    }
}

/// Raises the limit on open files as far as it goes: a connection takes two. A service that is started here would inherit
/// it, and some cannot cope with high numbers: then it stays as it is.
fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    // With the limit as it is, later connections wait for earlier ones.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

/// Makes a write beyond the limit on the size of files fail, as one to a full disk does, where the kernel would end the process.
fn survive_a_limit_on_files() {
    // The handler stays when what hears it is dropped. Where it cannot be set the limit does what it does to any program.
    drop(unix::signal(SignalKind::from_raw(Signal::XFSZ.as_raw())));
}

fn session_of(
    settings: &Settings,
    bound: &[Bound],
    redactor: &Redactor,
    clock: Clock,
) -> Result<Session, CaptureError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| CaptureError::Session(error.into()))?;
    let command = match &settings.service {
        Service::Command(command) => command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        _ => Vec::new(),
    };
    Ok(Session {
        id: Id(id),
        tool_version: settings.tool_version.clone(),
        started: ClockPair { monotonic_ns: 0, wall_unix_ns: clock.start_unix_ns() },
        listeners: bound.iter().map(Bound::to_record).collect(),
        service_version: settings.service_version.clone(),
        command: redactor.arguments(&command).0,
        conversation: settings.conversation.as_ref().map(|it| it.text.clone()),
    })
}

fn start_failed(error: StartError) -> CaptureError {
    match error {
        StartError::Store(error) => CaptureError::Store(error),
        StartError::Thread(error) => CaptureError::Session(error),
    }
}

/// Says when listeners are to stop: those of HTTP, and those of everything else.
struct Stopping {
    http: watch::Receiver<bool>,
    raw: watch::Receiver<bool>,
}

/// What serves the listeners, as above.
#[derive(Default)]
struct Serving {
    http: JoinSet<()>,
    raw: JoinSet<()>,
}

fn serve(
    listeners: Vec<TcpListener>,
    bound: &[Bound],
    settings: &Settings,
    recorder: Arc<Recorder>,
    stopping: &Stopping,
) -> Serving {
    let connector = Arc::new(Connector::new());
    let proxy_settings = proxy::Settings { grace: settings.grace, ..proxy::Settings::default() };
    let mut serving = Serving::default();
    for (index, listener) in listeners.into_iter().enumerate() {
        let observer: Arc<dyn Observer> = recorder.clone();
        let connector = connector.clone();
        match (bound.get(index), &settings.forward) {
            (Some(bound), _) => {
                let (served, stopping) = match bound.upstream.scheme == Scheme::Tcp {
                    true => (&mut serving.raw, stopping.raw.clone()),
                    false => (&mut serving.http, stopping.http.clone()),
                };
                let route = bound.route(index);
                served.spawn(proxy::serve(listener, route, proxy_settings, observer, connector, stopping));
            }
            // The one beyond those with a route is the forward proxy's.
            (None, Some(forward)) => {
                let forwarding = forward::forwarding(forward, index);
                let stopping = stopping.http.clone();
                let served = proxy::serve_forward(listener, forwarding, proxy_settings, observer, connector, stopping);
                serving.http.spawn(served);
            }
            (None, None) => {}
        }
    }
    serving
}

/// Returns when the capture is to end: because it is told to, or because the service did.
async fn wait_for_the_end(shutdown: impl Future<Output = ()>, child: &mut Option<child::Started>) {
    let child_ends = async {
        match child {
            Some(child) => drop(child.wait().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = child_ends => {}
    }
}
