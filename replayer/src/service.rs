//! What the requests are sent to: a container without network, a process of its own, or a service that runs already.
//!
//! In: a started target. Out: streams to the service, and at the end what was observed of it. Each way of starting has a
//! module of its own.

use std::{fmt, io, net::IpAddr, sync::Arc, time::Duration};

use exchange::LogLine;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use wire::{
    Connector, Upstream,
    bridge::{self, Destination, Fate, Reached, WallClock},
    client::Clock,
    server::Served,
};

use crate::{
    answer::Answerer,
    beside::Ended,
    environment::Addresses,
    forward::serve_place,
    receipt::{Attempt, Egress, Found, Transport},
    serve::Place,
};

/// How long connecting to the service may take. A choice.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// A byte stream to the service.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A byte stream to the service.
pub(crate) type Stream = Box<dyn Io>;

/// The way in.
#[derive(Clone)]
pub(crate) enum Doorway {
    /// Through the bridge, to a port on the container's loopback.
    Bridge(Arc<bridge::Host>, u16),
    /// To a port on this machine's loopback.
    Loopback(u16),
    /// To a URL's host.
    Url(Arc<Connector>, Upstream),
}

/// Where that is: `on port 8000`, `at 127.0.0.1:8000`.
impl fmt::Display for Doorway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge(_, port) | Self::Loopback(port) => write!(formatter, "on port {port}"),
            Self::Url(_, upstream) => write!(formatter, "at {}", upstream.authority()),
        }
    }
}

impl Doorway {
    /// A new connection to the service, within [`CONNECT_PATIENCE`].
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        let connected = tokio::time::timeout(CONNECT_PATIENCE, self.connect_at_leisure()).await;
        connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Sets the service's wall clock, where that is given to it.
    pub(crate) fn set_clock(&self, wall: WallClock) {
        if let Self::Bridge(bridge, _) = self {
            // What fails here counts as the control's failure, which is asked for at the end.
            drop(bridge.set_clock(wall));
        }
    }

    /// Says that the service is ready: clocks that stood still until then go on.
    pub(crate) async fn say_ready(&self) -> Result<(), String> {
        match self {
            Self::Bridge(bridge, _) => bridge.say_ready().await.map_err(|error| error.to_string()),
            Self::Loopback(_) | Self::Url(..) => Ok(()),
        }
    }

    /// How far the service's time and chance are given so far.
    pub(crate) fn reached(&self) -> Option<Reached> {
        match self {
            Self::Bridge(bridge, _) => bridge.observed().reached,
            Self::Loopback(_) | Self::Url(..) => None,
        }
    }

    async fn connect_at_leisure(&self) -> io::Result<Stream> {
        match self {
            Self::Bridge(bridge, port) => Ok(Box::new(bridge.open(*port).await?)),
            Self::Loopback(port) => {
                let stream = TcpStream::connect((IpAddr::from([127, 0, 0, 1]), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Url(connector, upstream) => {
                let stream = connector.connect(upstream, CONNECT_PATIENCE).await.map_err(io::Error::other)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// What a run left behind, once it has ended.
#[derive(Debug, Default)]
pub(crate) struct Aftermath {
    /// What tried to leave.
    pub(crate) egress: Egress,
    /// What the service logged.
    pub(crate) logs: Vec<LogLine>,
    /// How the service ended where it did so by itself.
    pub(crate) service_ended: Option<String>,
    /// What ran beside it.
    pub(crate) beside: Vec<Ended>,
    /// How far its time and chance were given.
    pub(crate) reached: Option<Reached>,
}

/// Lines shown of what a service wrote before it was given up. A choice.
const LAST_LINES: usize = 10;

/// The end of a service's log.
pub(crate) fn last_lines(logs: &[LogLine]) -> Vec<String> {
    logs[logs.len().saturating_sub(LAST_LINES)..].iter().map(|line| line.text.clone()).collect()
}

/// Answers the calls that come through the bridge until it ends.
pub(crate) async fn answer_bridge(
    bridge: Arc<bridge::Host>,
    places: Vec<Place>,
    answerer: Arc<Answerer>,
    clock: Arc<Clock>,
) {
    answerer.answers_over(&bridge);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            incoming = bridge.incoming() => {
                let Some((address, stream)) = incoming else { break };
                let Some(place) = places.iter().find(|place| place.address == address) else { continue };
                let connected = answerer.hold_open();
                let answered = answer_stream(stream, place.name.clone(), answerer.clone(), clock.clone());
                connections.spawn(async move {
                    answered.await;
                    drop(connected);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn answer_stream(stream: bridge::BridgeStream, name: String, answerer: Arc<Answerer>, clock: Arc<Clock>) {
    // A stream that breaks off is the service's business; what was asked on it is in the notes.
    if let Ok(Served::ToBeReset(stream)) = serve_place(stream, &name, &answerer, &*clock).await {
        stream.reset();
    }
}

/// The places that are served inside; those whose address could not be listened on there are named.
pub(crate) fn listened_on(bridge: &bridge::Host, addresses: &Addresses, replacements: &mut Vec<String>) -> Vec<Place> {
    let mut served = addresses.listeners();
    for listener in bridge.observed().listeners {
        let Some(error) = listener.error else { continue };
        served.retain(|place| place.address != listener.address);
        // A companion is nothing that was recorded.
        if addresses.places.iter().any(|place| place.address == listener.address) {
            replacements.push(format!("{}: could not be listened on inside: {error}", listener.address));
        }
    }
    served
}

/// The bridge's own account of what tried to leave.
pub(crate) fn egress_of(observed: &bridge::Observed, prevented: bool) -> Egress {
    let names = observed.names.iter().map(|asked| asked.name.clone()).collect();
    Egress {
        prevented,
        names: (observed.names_observed && observed.complete).then_some(names),
        without_route: if observed.complete { observed.no_route_count } else { None },
        attempts: attempts_of(observed),
        attempts_unread: observed.attempts_unread_count,
        attempts_cut: observed.attempts_observed && (observed.attempts_cut || !observed.complete),
    }
}

/// What was seen holds also where the last word is missing; that nothing was seen then means nothing.
fn attempts_of(observed: &bridge::Observed) -> Option<Vec<Attempt>> {
    let says_something = observed.attempts_observed && (observed.complete || !observed.attempts.is_empty());
    says_something.then(|| observed.attempts.iter().map(attempt_of).collect())
}

fn attempt_of(attempt: &bridge::Attempt) -> Attempt {
    let (transport, address) = match &attempt.destination {
        Destination::Tcp(address) => (Transport::Tcp, address.to_string()),
        Destination::Udp(address) => (Transport::Udp, address.to_string()),
        Destination::Unix(path) => (Transport::Unix, path.clone()),
    };
    let found = match attempt.fate {
        Fate::Recorded => Found::Recorded,
        Fate::Inside => Found::Inside,
        Fate::Absent => Found::Nothing,
        Fate::Outside => Found::NoNetwork,
    };
    Attempt { transport, address, found, count: attempt.count }
}
