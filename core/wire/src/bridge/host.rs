//! The bridge's end outside the container.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    ops::ControlFlow,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    attempt::{Attempt, Attempts},
    control::{ControlError, Order, Orders},
    determinism::WallClock,
    frame::{BridgeError, Header, Kind},
    inside::Ready,
    link::{Link, Side, locked},
    reached::Reached,
    rest::{Questions, Rest},
    stream::BridgeStream,
};

/// Different names that are told apart. A choice: a service that makes up names must not fill our memory.
const NAMES_MAX: usize = 4096;

/// How long [`Host::close`] waits for the last word from inside. A choice: it has nothing left to do but say it.
const BYE_PATIENCE: Duration = Duration::from_secs(2);

/// How long what can no longer be written to may still be read from. A choice: what is there is there.
const LAST_WORD_PATIENCE: Duration = Duration::from_secs(1);

/// The bridge's end outside the container. Dropping it breaks off every connection through it.
pub struct Host {
    link: Arc<Link>,
    incoming: tokio::sync::Mutex<mpsc::UnboundedReceiver<(SocketAddr, BridgeStream)>>,
    seen: Arc<Mutex<Observed>>,
    attempts: Attempts,
    orders: Orders,
    questions: Questions,
    phase: watch::Receiver<Phase>,
    tasks: [JoinHandle<()>; 2],
}

/// What the inside has told of attempts to leave, and of its listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Names that were asked of the resolver, sorted.
    pub names: Vec<NameAsked>,
    /// True when there were more different names than are kept.
    pub names_cut: bool,
    /// True when a resolver answered on the container's loopback; without it names are not observed at all.
    pub names_observed: bool,
    /// Packets that found no route since the bridge began, IPv4 and IPv6; `None` where the kernel does not tell.
    pub no_route_count: Option<u64>,
    /// What the service tried to connect to, sorted.
    pub attempts: Vec<Attempt>,
    /// True when init saw the service's connects; without it attempts are not observed at all.
    pub attempts_observed: bool,
    /// True when there were more different attempts than are kept.
    pub attempts_cut: bool,
    /// Attempts of which it could not be seen where they went.
    pub attempts_unread_count: u64,
    /// True when the inside has said its last word: the counts are complete. Otherwise they are a lower bound, up
    /// to a second old.
    pub complete: bool,
    /// The recorded addresses, and whether each could be listened on.
    pub listeners: Vec<ListenerInside>,
    /// How far the service's time and chance are given; `None` where nobody traces it, or where nothing was told of it yet.
    pub reached: Option<Reached>,
}

/// A name that was asked of the resolver inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAsked {
    /// The name in lower case, without the last dot.
    pub name: String,
    /// How many questions; one look-up as a rule asks twice, for IPv4 and IPv6.
    pub question_count: u64,
}

/// One recorded address inside the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerInside {
    /// The address.
    pub address: SocketAddr,
    /// Why it could not be listened on, if so.
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Over,
}

impl Host {
    /// Waits at most `patience` for the container to connect and to listen on what it was told to.
    ///
    /// The first connection is ours, because init makes it before it starts the service; no other is taken.
    ///
    /// # Errors
    /// `Silent` after `patience`, and whatever is wrong with what the other side says.
    pub async fn accept(listener: UnixListener, patience: Duration) -> Result<Self, BridgeError> {
        let accepted = tokio::time::timeout(patience, listener.accept()).await.map_err(|_| silent(patience))?;
        let (stream, _) = accepted?;
        drop(listener);
        Self::over(stream, patience).await
    }

    /// The same over any stream, such as the standard streams of a command that runs in the container.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn over<S>(stream: S, patience: Duration) -> Result<Self, BridgeError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut host = Self::start(stream);
        let ready = host.phase.wait_for(|phase| *phase != Phase::Starting);
        let phase = tokio::time::timeout(patience, ready).await.map(|phase| phase.map(|phase| *phase));
        match phase {
            Ok(Ok(Phase::Ready)) => Ok(host),
            // Over before this was woken: it has said all, and what it said is here.
            Ok(Ok(Phase::Over)) if locked(&host.seen).complete => Ok(host),
            Ok(_) => Err(host.error().unwrap_or(BridgeError::Gone)),
            Err(_) => Err(silent(patience)),
        }
    }

    fn start<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) -> Self {
        let link = Link::new(Side::Host);
        let (reader, writer) = tokio::io::split(stream);
        let (send_incoming, incoming) = mpsc::unbounded_channel();
        let (send_phase, phase) = watch::channel(Phase::Starting);
        let seen = Arc::new(Mutex::new(Observed::default()));
        let attempts = Attempts::default();
        let (orders, questions) = (Orders::default(), Questions::default());
        let mut outside = Outside {
            incoming: send_incoming,
            phase: send_phase,
            seen: Arc::clone(&seen),
            names: BTreeMap::new(),
            attempts: attempts.clone(),
            orders: orders.clone(),
            questions: questions.clone(),
        };
        let reading = Arc::clone(&link);
        let read = tokio::spawn(async move {
            match reading.read_all(reader, &mut outside).await {
                Ok(()) => reading.close(),
                Err(error) => reading.fail(error),
            }
            outside.phase.send_replace(Phase::Over);
        });
        let (writing, mut over) = (Arc::clone(&link), phase.clone());
        let write = tokio::spawn(async move {
            let Err(error) = writing.write_all(writer).await else { return };
            // Whoever cannot be written to any more has as a rule left its last word, which is still to be read.
            let read = over.wait_for(|phase| *phase == Phase::Over);
            if tokio::time::timeout(LAST_WORD_PATIENCE, read).await.is_err() {
                writing.fail(error.into());
            }
        });
        let (incoming, tasks) = (tokio::sync::Mutex::new(incoming), [read, write]);
        Self { link, incoming, seen, attempts, orders, questions, phase, tasks }
    }

    /// Connects to `port` on the container's loopback.
    ///
    /// # Errors
    /// What the connect inside failed with (`ConnectionRefused` while nothing listens), or `BrokenPipe` when the
    /// bridge has ended.
    pub async fn open(&self, port: u16) -> io::Result<BridgeStream> {
        let stream = self.link.open(&port.to_be_bytes(), false)?;
        stream.opened().await?;
        Ok(stream)
    }

    /// Lets the service start, where it was told to wait for that.
    pub fn let_go(&self) {
        self.link.send(Kind::Go, 0, &[]);
    }

    /// Has the wall clock of each of the service's processes show this, before anything arrives that is sent through the bridge
    /// from now on. Where that cannot be, the clock counts as failed from then on ([`Observed::reached`]).
    ///
    /// # Errors
    /// `Gone` where nobody traces the service, and `Failed` where its clock is not given, or nothing was told of that yet.
    pub fn set_clock(&self, wall: WallClock) -> Result<(), ControlError> {
        self.orders.clock_is_given().inspect_err(|error| self.orders.clock_has_failed(error))?;
        // Who cannot get it any more gets no request either.
        self.link.send(Kind::Clock, 0, &wall.payload());
        Ok(())
    }

    /// Says that the service is ready: monotonic clocks that were frozen until then go on.
    ///
    /// # Errors
    /// `Gone` where nobody traces the service, and what the tracer could not do.
    pub async fn say_ready(&self) -> Result<(), ControlError> {
        self.order(Order::Ready).await
    }

    /// True while the service is traced, so that it can be stopped and started anew.
    pub fn is_controlled(&self) -> bool {
        self.orders.are_taken()
    }

    /// Sends the service's own process a signal, and ends what is left of it once that one has ended. All of it is gone when
    /// this returns, and nothing of it where the engine does not look: in shared memory, queues, or files in memory.
    ///
    /// # Errors
    /// As [`Self::say_ready`]; `Failed` also where something is left, which it names.
    pub async fn stop_service(&self, signal: i32) -> Result<(), ControlError> {
        self.order(Order::Stop { signal }).await
    }

    /// Ends all the service's processes and starts it anew, with the same seed and the wall clock of its first start.
    /// Its program runs again when this returns; what it listens on is not there yet.
    ///
    /// # Errors
    /// As [`Self::say_ready`].
    pub async fn restart(&self) -> Result<(), ControlError> {
        self.order(Order::Restart).await
    }

    /// Waits, for at most `patience`, until the service has taken in all that was sent through the bridge by now, and waits for
    /// something itself.
    pub async fn rest(&self, patience: Duration) -> Rest {
        self.questions.ask(&self.link, patience, self.ended()).await
    }

    async fn order(&self, order: Order) -> Result<(), ControlError> {
        let (line, pending) = self.orders.begin(order)?;
        self.link.send(Kind::Order, 0, line.as_bytes());
        pending.answered(self.ended()).await
    }

    /// The next connection made inside, with the address that was listened on; `None` when the bridge has ended.
    pub async fn incoming(&self) -> Option<(SocketAddr, BridgeStream)> {
        self.incoming.lock().await.recv().await
    }

    /// What the inside has told so far.
    pub fn observed(&self) -> Observed {
        let status = self.attempts.status();
        Observed {
            attempts: self.attempts.list(),
            attempts_observed: status.watching,
            attempts_cut: status.cut,
            attempts_unread_count: status.unread_count,
            reached: self.orders.reached(),
            ..locked(&self.seen).clone()
        }
    }

    /// Why the bridge ended before its time, once it has.
    pub fn error(&self) -> Option<BridgeError> {
        self.link.error()
    }

    /// Waits until the bridge has ended, which it does when the service inside has.
    pub async fn ended(&self) {
        // An error means that the reading task is gone, and the bridge with it.
        drop(self.phase.clone().wait_for(|phase| *phase == Phase::Over).await);
    }

    /// Asks for the last counts, breaks off what is open, and gives back all that was observed.
    ///
    /// The init inside then asks the service to end. End the service first and wait for [`Self::ended`], to see also
    /// what it tries on its way out.
    pub async fn close(&self) -> Observed {
        self.link.send(Kind::Bye, 0, &[]);
        // Without an answer in time `complete` stays false, which says it.
        drop(tokio::time::timeout(BYE_PATIENCE, self.ended()).await);
        self.link.close();
        self.observed()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.link.close();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn silent(patience: Duration) -> BridgeError {
    BridgeError::Silent { seconds: patience.as_secs() }
}

/// Takes the frames that only the host understands.
struct Outside {
    incoming: mpsc::UnboundedSender<(SocketAddr, BridgeStream)>,
    phase: watch::Sender<Phase>,
    seen: Arc<Mutex<Observed>>,
    names: BTreeMap<String, u64>,
    attempts: Attempts,
    orders: Orders,
    questions: Questions,
}

impl super::link::Peer for Outside {
    fn take(&mut self, link: &Arc<Link>, header: Header, payload: &[u8]) -> Result<ControlFlow<()>, BridgeError> {
        match header.kind {
            Kind::Ready => self.take_ready(payload)?,
            Kind::Open => self.take_open(link, header.stream, payload)?,
            Kind::Name => self.take_name(payload)?,
            Kind::Counters => locked(&self.seen).no_route_count = read_counters(payload)?,
            Kind::Attempt => self.take_attempt(payload)?,
            Kind::Told => self.take_told(payload)?,
            Kind::Rested if self.questions.take(payload) => {}
            Kind::Bye => {
                locked(&self.seen).complete = true;
                return Ok(ControlFlow::Break(()));
            }
            other => return Err(other.malformed()),
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Outside {
    fn take_ready(&mut self, payload: &[u8]) -> Result<(), BridgeError> {
        if *self.phase.borrow() != Phase::Starting {
            return Err(Kind::Ready.malformed());
        }
        let ready = Ready::read(payload)?;
        let mut seen = locked(&self.seen);
        seen.listeners = ready.listeners;
        seen.names_observed = ready.resolver;
        drop(seen);
        self.phase.send_replace(Phase::Ready);
        Ok(())
    }

    fn take_open(&mut self, link: &Arc<Link>, stream: u32, payload: &[u8]) -> Result<(), BridgeError> {
        let text = std::str::from_utf8(payload).map_err(|_| Kind::Open.malformed())?;
        let address = text.parse().map_err(|_| Kind::Open.malformed())?;
        match link.accept(stream)? {
            // Nobody waits for connections any more when the receiver is gone; dropping the stream resets it.
            Some(accepted) => drop(self.incoming.send((address, accepted))),
            None => link.send(Kind::Reset, stream, &[]),
        }
        Ok(())
    }

    fn take_name(&mut self, payload: &[u8]) -> Result<(), BridgeError> {
        let (count, name) = payload.split_first_chunk().ok_or_else(|| Kind::Name.malformed())?;
        let name = std::str::from_utf8(name).map_err(|_| Kind::Name.malformed())?;
        let mut seen = locked(&self.seen);
        if self.names.len() >= NAMES_MAX && !self.names.contains_key(name) {
            seen.names_cut = true;
            return Ok(());
        }
        self.names.insert(name.to_owned(), u64::from_be_bytes(*count));
        let asked = |(name, count): (&String, &u64)| NameAsked { name: name.clone(), question_count: *count };
        seen.names = self.names.iter().map(asked).collect();
        Ok(())
    }

    fn take_attempt(&mut self, payload: &[u8]) -> Result<(), BridgeError> {
        let line = std::str::from_utf8(payload).map_err(|_| Kind::Attempt.malformed())?;
        if self.attempts.take(line) { Ok(()) } else { Err(Kind::Attempt.malformed()) }
    }

    fn take_told(&mut self, payload: &[u8]) -> Result<(), BridgeError> {
        let line = std::str::from_utf8(payload).map_err(|_| Kind::Told.malformed())?;
        if self.orders.take(line) { Ok(()) } else { Err(Kind::Told.malformed()) }
    }
}

fn read_counters(payload: &[u8]) -> Result<Option<u64>, BridgeError> {
    match payload.split_first() {
        Some((0, [])) => Ok(None),
        Some((1, count)) => {
            count.try_into().map(|count| Some(u64::from_be_bytes(count))).map_err(|_| Kind::Counters.malformed())
        }
        _ => Err(Kind::Counters.malformed()),
    }
}
