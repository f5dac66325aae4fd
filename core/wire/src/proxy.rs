//! The streaming reverse proxy: passes on what it reads, as it reads it, and tells an observer what passed.
//!
//! In: a listener and a [`Route`]. Out: the same bytes at the upstream, and its answers at the client. One upstream connection
//! belongs to one client's connection and ends with it, and the other way round. Backpressure is TCP's: no side is read while
//! what was read before has not been written. What is changed on the way, and nothing else:
//!
//! - requests to a dependency: the value of `Host`, and the upstream's base path before the target;
//! - requests to a forward proxy that name their host in the target: the target's path alone, the host in `Host`, and no
//!   `Proxy-Authorization` and `Proxy-Connection` (RFC 9112, section 3.2.2);
//! - requests without `traceparent`: one is added where the observer asks for it;
//! - an answer that lasts until its connection's close, to a client of HTTP/1.1: chunked, with `Connection: close`, so that a
//!   proxy that is killed cannot make half an answer look whole. To a client of HTTP/1.0, which knows no chunks, and where bytes
//!   pass without framing at all, the socket is set so that the kernel resets the connection of a killed proxy;
//! - no connection to the upstream: the client gets our own `502` with a `retake-error` field.
//!
//! What is not clearly HTTP/1.x passes as raw bytes over an upstream connection of its own, and so does everything to an upstream
//! whose scheme is `tcp`. Recording is the observer's.

mod client;
mod connection;
mod flow;
mod forward;
mod raw;
mod relay;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use self::{connection::Connection, forward::Forward};
use crate::{Connector, Observer, Upstream, ca::CertificateAuthority, head::HEAD_BYTES_MAX};

/// How long the proxy waits after a listener could not accept, which is mostly for want of file descriptors. A choice.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What one listener is for.
#[derive(Clone, Debug)]
pub struct Route {
    /// The index that the observer knows the listener by.
    pub listener: usize,
    /// Where its traffic goes.
    pub upstream: Upstream,
    /// True to put the upstream's authority into `Host`: for dependencies, which are called by the listener's address.
    pub rewrites_host: bool,
}

/// Limits and times of a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Longest wait for a connection to the upstream, look-up and TLS included.
    pub connect_timeout: Duration,
    /// Largest head that is understood, in bytes; a longer one passes as raw bytes.
    pub head_bytes_max: usize,
    /// Most connections served at once by one listener; more wait to be accepted.
    pub connections_max: usize,
    /// How long exchanges may go on once the proxy is to stop.
    pub grace: Duration,
}

impl Default for Settings {
    /// 10 s to connect, heads up to 1 MiB, 16,384 connections, 5 s of grace. Choices.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            head_bytes_max: HEAD_BYTES_MAX,
            connections_max: 16_384,
            grace: Duration::from_secs(5),
        }
    }
}

/// What all connections of one listener share, or of those on a forward proxy that want to the same place.
struct Shared {
    route: Route,
    /// On a forward proxy: where the client said that it wants to.
    destination: Option<Upstream>,
    settings: Settings,
    observer: Arc<dyn Observer>,
    connector: Arc<Connector>,
}

/// Serves the listener until `stop` says true; then closes idle connections, lets exchanges end within the grace, and cuts the rest.
pub async fn serve(
    listener: TcpListener,
    route: Route,
    settings: Settings,
    observer: Arc<dyn Observer>,
    connector: Arc<Connector>,
    stop: watch::Receiver<bool>,
) {
    let shared = Arc::new(Shared { route, destination: None, settings, observer, connector });
    let stopping = stop.clone();
    let begin = |client, peer| Connection::new(client, peer, shared.clone(), stopping.clone());
    accept_all(listener, settings, begin, stop).await;
}

/// What a forward proxy is for: an HTTP proxy that a client is told to call everything through.
#[derive(Clone)]
pub struct Forwarding {
    /// The index that the observer knows the listener by.
    pub listener: usize,
    /// Vouches for the hosts whose TLS ends here.
    pub authority: Arc<CertificateAuthority>,
    /// Hosts whose TLS passes untouched, `NAME`, `NAME:PORT` or `.SUFFIX`: what is said in it is not understood.
    pub through: Vec<String>,
}

/// As [`serve`], for a forward proxy: `CONNECT` and requests that name their host. TLS ends here, and begins anew to the host.
pub async fn serve_forward(
    listener: TcpListener,
    forwarding: Forwarding,
    settings: Settings,
    observer: Arc<dyn Observer>,
    connector: Arc<Connector>,
    stop: watch::Receiver<bool>,
) {
    let shared = Arc::new(forward::nowhere_yet(&forwarding, settings, observer, connector));
    let forward = Arc::new(Forward::from(forwarding));
    let stopping = stop.clone();
    let begin =
        |client, peer| Connection::new(client, peer, shared.clone(), stopping.clone()).forwarding(forward.clone());
    accept_all(listener, settings, begin, stop).await;
}

/// Accepts connections until it is to stop, then ends them.
async fn accept_all(
    listener: TcpListener,
    settings: Settings,
    begin: impl Fn(TcpStream, SocketAddr) -> Connection,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < settings.connections_max;
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok((client, peer)) => {
                    connections.spawn(begin(client, peer).run());
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(settings.grace, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// Returns when the proxy is to stop, or when whoever could say so is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}
