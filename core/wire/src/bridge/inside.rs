//! The bridge's end inside the container.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::ControlFlow,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    attempt::Attempts,
    carry::Tracer,
    control::CONTROL_LINE_MAX,
    counters,
    determinism::{SetsClock, WallClock},
    detour,
    frame::{BridgeError, Header, Kind},
    host::ListenerInside,
    link::{Link, Side, locked},
    pump::{self, Speaking, SpeakingGuard},
    resolver::{Names, Resolver},
    rest::SeesRest,
    stream::{BridgeStream, refusal},
};

/// How often what was observed is told. A choice: `Observed::complete` says how stale it may be.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long what the service has left in its connections when it ends may take to get out. A choice: as a rule it is
/// out at once, unless whoever reads it outside is slow.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// How long the host may take to close its side after the last word. A choice: a round trip, unless nobody is there.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);

/// How long what is on its way within the kernel may take to arrive. A choice: loopback takes microseconds.
const ARRIVAL_PATIENCE: Duration = Duration::from_millis(20);

/// How long what the tracer has left to say may take to be read once the service has ended. A choice: it has ended as well.
const TRACER_PATIENCE: Duration = Duration::from_secs(1);

/// How long a connect on loopback may take. A choice: only a full backlog makes one wait.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Pause after a failed accept, which means as a rule that there are no file descriptors left. A choice.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What the inside is told to do.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// The recorded addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Recorded addresses to listen on that lead to another one in here, and not to the host.
    pub detours: Vec<(SocketAddr, SocketAddr)>,
    /// Whether the service is to wait until the host lets it go.
    pub waits: bool,
    /// Whether to answer as a resolver on 127.0.0.1:53, so as to see the names that are asked.
    pub resolver: bool,
    /// What is seen of the service's connects, by whoever can: told to the host as it changes.
    pub attempts: Attempts,
    /// The way to whoever traces the service.
    pub tracer: Tracer,
    /// What sets the service's wall clock, where that is given.
    pub clock: Option<SetsClock>,
    /// What sees whether the service is at rest.
    pub sees_rest: SeesRest,
}

/// Runs the inside of the bridge over `stream` until the host says goodbye or `stop` is done.
///
/// `start` is called once the service may start: everything listens that can, and the host has let it go where the
/// settings say that it waits for that; it is called before the host is told otherwise. After `stop`, which means that the service has ended, what it left in its connections is carried out, and
/// the last counts are sent.
///
/// # Errors
/// What ended the bridge before its time.
pub async fn inside<S>(
    stream: S,
    settings: &Inside,
    start: impl FnOnce(),
    stop: impl Future<Output = ()>,
) -> Result<(), BridgeError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let link = Link::new(Side::Inside);
    let baseline = counters::packets_without_route();
    let names = Arc::new(Mutex::new(Names::default()));
    let speaking = Speaking::none();
    let (ready, _listening) = listen(&link, settings, &names, &speaking).await;
    let mut start = Some(start);
    if !settings.waits {
        start.take().into_iter().for_each(|start| start());
    }
    link.send(Kind::Ready, 0, &ready.write());

    let (mut reader, writer) = tokio::io::split(stream);
    let mut write = pin!(link.write_all(writer));
    let attempts = settings.attempts.clone();
    let mut teller = Teller { link: Arc::clone(&link), baseline, told: None, names, attempts };
    let mut opener = Opener {
        has_loopback_v6: counters::has_loopback_v6(),
        speaking: speaking.clone(),
        start,
        tracer: settings.tracer.clone(),
        clock: settings.clock.clone(),
        sees_rest: settings.sees_rest.clone(),
    };
    let traced = watch::Sender::new(false);
    let stop_and_drain = async {
        stop.await;
        // Connections and questions that are just arriving are taken up first.
        tokio::time::sleep(ARRIVAL_PATIENCE).await;
        // What has not got out by then is lost, and its stream breaks, which whoever reads it sees.
        drop(tokio::time::timeout(DRAIN_PATIENCE, speaking.silent()).await);
        let mut traced = traced.subscribe();
        drop(tokio::time::timeout(TRACER_PATIENCE, traced.wait_for(|over| *over)).await);
    };
    let outcome = tokio::select! {
        read = link.read_all(&mut reader, &mut opener) => read,
        () = teller.tell_regularly() => Ok(()),
        () = carry_lines_and_stay(&settings.tracer, &link, &traced) => Ok(()),
        () = stop_and_drain => Ok(()),
        written = &mut write => Err(written.err().map_or(BridgeError::Gone, BridgeError::from)),
    };
    if let Err(error) = outcome {
        link.fail(error.clone());
        return Err(error);
    }
    teller.tell();
    link.send(Kind::Bye, 0, &[]);
    link.close();
    write.await?;
    // The stream may have more to go than this process sees, and end with the container: the host closes its side once it
    // has the last word. One that takes longer is not waited for.
    drop(tokio::time::timeout(FAREWELL_PATIENCE, end_of(reader)).await);
    Ok(())
}

/// The bridge goes on when the tracer has no more to say.
async fn carry_lines_and_stay(tracer: &Tracer, link: &Link, over: &watch::Sender<bool>) {
    tracer.carry_lines(link, over).await;
    std::future::pending().await
}

/// Reads until the other side has nothing more to say.
async fn end_of(mut reader: impl AsyncRead + Unpin) {
    drop(tokio::io::copy(&mut reader, &mut tokio::io::sink()).await);
}

/// Listens on all that the settings name, each in a task of its own, until those are dropped.
async fn listen(
    link: &Arc<Link>,
    settings: &Inside,
    names: &Arc<Mutex<Names>>,
    speaking: &Speaking,
) -> (Ready, JoinSet<()>) {
    let mut tasks = JoinSet::new();
    let mut listeners = Vec::with_capacity(settings.listen.len() + settings.detours.len());
    for &address in &settings.listen {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => {
                tasks.spawn(accept_all(Arc::clone(link), listener, address, speaking.clone()));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        listeners.push(ListenerInside { address, error });
    }
    for &(address, to) in &settings.detours {
        let bound = TcpListener::bind(address).await;
        let error = bound.map(|listener| drop(tasks.spawn(detour::lead_all(listener, to)))).err();
        listeners.push(ListenerInside { address, error: error.map(|error| error.to_string()) });
    }
    let bound = match settings.resolver {
        true => Resolver::bind((Ipv4Addr::LOCALHOST, 53).into()).await.ok(),
        false => None,
    };
    let resolver = bound.map(|resolver| resolver.start(names, &mut tasks)).is_some();
    (Ready { listeners, resolver }, tasks)
}

async fn accept_all(link: Arc<Link>, listener: TcpListener, address: SocketAddr, speaking: Speaking) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => accept_one(&link, tcp, address, &speaking),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn accept_one(link: &Arc<Link>, tcp: TcpStream, address: SocketAddr, speaking: &Speaking) {
    match link.open(address.to_string().as_bytes(), true) {
        Ok(stream) => {
            set_no_delay(&tcp);
            tokio::spawn(pump::carry(tcp, stream, speaking.begin()));
        }
        // Too many connections, or no bridge any more: the service sees a reset.
        Err(_) => tcp.set_zero_linger().unwrap_or_default(),
    }
}

/// Small writes pass at once. A connection for which this fails is slower, or already gone.
pub(super) fn set_no_delay(tcp: &TcpStream) {
    tcp.set_nodelay(true).unwrap_or_default();
}

/// Takes the frames that only the inside understands: letting the service go, opening connections to it, setting its clock, and
/// looking whether it is at rest.
struct Opener<F> {
    has_loopback_v6: bool,
    speaking: Speaking,
    /// Gone once it has been called.
    start: Option<F>,
    tracer: Tracer,
    clock: Option<SetsClock>,
    sees_rest: SeesRest,
}

impl<F: FnOnce()> super::link::Peer for Opener<F> {
    fn take(&mut self, link: &Arc<Link>, header: Header, payload: &[u8]) -> Result<ControlFlow<()>, BridgeError> {
        match header.kind {
            Kind::Open => {
                let port = payload.try_into().map(u16::from_be_bytes).map_err(|_| Kind::Open.malformed())?;
                match link.accept(header.stream)? {
                    Some(stream) => {
                        tokio::spawn(connect(stream, port, self.has_loopback_v6, self.speaking.begin()));
                    }
                    None => {
                        let text = "too many connections are open through the bridge";
                        link.send(Kind::Refused, header.stream, &refusal(0, text));
                    }
                }
                Ok(ControlFlow::Continue(()))
            }
            Kind::Go => {
                let start = self.start.take().ok_or_else(|| Kind::Go.malformed())?;
                start();
                Ok(ControlFlow::Continue(()))
            }
            Kind::Order => {
                if payload.len() >= CONTROL_LINE_MAX || payload.contains(&b'\n') {
                    return Err(Kind::Order.malformed());
                }
                self.tracer.give(payload);
                Ok(ControlFlow::Continue(()))
            }
            Kind::Clock => {
                let wall = WallClock::read(payload).ok_or_else(|| Kind::Clock.malformed())?;
                // The host was told that there is one.
                self.clock.as_ref().ok_or_else(|| Kind::Clock.malformed())?.set(wall);
                Ok(ControlFlow::Continue(()))
            }
            Kind::Rest if self.sees_rest.take(link, payload) => Ok(ControlFlow::Continue(())),
            Kind::Bye => Ok(ControlFlow::Break(())),
            other => Err(other.malformed()),
        }
    }
}

async fn connect(stream: BridgeStream, port: u16, has_loopback_v6: bool, speaking: SpeakingGuard) {
    match tokio::time::timeout(CONNECT_PATIENCE, connect_loopback(port, has_loopback_v6)).await {
        Ok(Ok(tcp)) => {
            set_no_delay(&tcp);
            stream.answer_opened();
            pump::carry(tcp, stream, speaking).await;
        }
        Ok(Err(error)) => stream.answer_refused(&error),
        Err(_) => stream.answer_refused(&io::Error::from_raw_os_error(libc::ETIMEDOUT)),
    }
}

async fn connect_loopback(port: u16, has_loopback_v6: bool) -> io::Result<TcpStream> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Err(_) if has_loopback_v6 => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await,
        connected => connected,
    }
}

/// Tells the host what was observed.
struct Teller {
    link: Arc<Link>,
    baseline: Option<u64>,
    /// The last counters sent.
    told: Option<Option<u64>>,
    names: Arc<Mutex<Names>>,
    attempts: Attempts,
}

impl Teller {
    async fn tell_regularly(&mut self) {
        let mut interval = tokio::time::interval(TELL_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.tell();
        }
    }

    fn tell(&mut self) {
        let changed = locked(&self.names).changed();
        for (count, name) in changed {
            self.link.send(Kind::Name, 0, &[&count.to_be_bytes(), name.as_bytes()].concat());
        }
        for line in self.attempts.changed() {
            self.link.send(Kind::Attempt, 0, line.as_bytes());
        }
        let now = counters::packets_without_route();
        let count = now.zip(self.baseline).map(|(now, baseline)| now.saturating_sub(baseline));
        if self.told != Some(count) {
            let payload = count.map_or_else(|| vec![0], |count| [&[1_u8][..], &count.to_be_bytes()].concat());
            self.link.send(Kind::Counters, 0, &payload);
            self.told = Some(count);
        }
    }
}

/// What the inside listens on. As text: `resolver` and `yes` or `no`, then for each listener its address and why it
/// could not be listened on, or nothing; a tab between, a line feed after each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) listeners: Vec<ListenerInside>,
    pub(super) resolver: bool,
}

impl Ready {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut text = format!("resolver\t{}\n", if self.resolver { "yes" } else { "no" });
        for listener in &self.listeners {
            let error = listener.error.as_deref().unwrap_or_default().replace(['\t', '\n'], " ");
            text.push_str(&format!("{}\t{error}\n", listener.address));
        }
        text.into_bytes()
    }

    pub(super) fn read(payload: &[u8]) -> Result<Self, BridgeError> {
        Self::parse(payload).ok_or_else(|| Kind::Ready.malformed())
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(payload).ok()?.lines().map(|line| line.split_once('\t'));
        let resolver = match lines.next()?? {
            ("resolver", "yes") => true,
            ("resolver", "no") => false,
            _ => return None,
        };
        let listener = |line: Option<(&str, &str)>| {
            let (address, error) = line?;
            let error = (!error.is_empty()).then(|| error.to_owned());
            Some(ListenerInside { address: address.parse().ok()?, error })
        };
        Some(Self { listeners: lines.map(listener).collect::<Option<_>>()?, resolver })
    }
}
