//! A proxy between a scripted service and a client, and an observer that keeps all it is told.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use exchange::{End, Transport};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use wire::{
    Begun, Connector, Observer, Start, Tap, Ticket, Upstream,
    ca::{CertificateAuthority, TlsTrouble},
    proxy::{Forwarding, Route, Settings},
};

/// Longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an observer was told of one exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: String,
    /// Where the client of a forward proxy said that it wants to.
    pub(crate) destination: Option<String>,
    pub(crate) transport: Transport,
    pub(crate) request_body: Vec<u8>,
    pub(crate) request_trailers: Option<String>,
    pub(crate) interim: Vec<String>,
    pub(crate) response_head: Option<String>,
    pub(crate) response_chunks: Vec<Vec<u8>>,
    pub(crate) response_trailers: Option<String>,
    pub(crate) end: Option<End>,
}

impl Seen {
    pub(crate) fn response_body(&self) -> Vec<u8> {
        self.response_chunks.concat()
    }
}

/// Keeps all it is told.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) tickets: Mutex<u64>,
    pub(crate) troubles: Arc<Mutex<Vec<(String, TlsTrouble)>>>,
    pub(crate) traceparent: Option<String>,
    pub(crate) panics: bool,
}

struct RecorderTap {
    seen: Arc<Mutex<Vec<Seen>>>,
    index: usize,
    panics: bool,
}

impl Observer for Recorder {
    fn first_byte(&self, _listener: usize) -> Ticket {
        let mut tickets = self.tickets.lock().unwrap();
        *tickets += 1;
        Ticket { sequence: *tickets, at_ns: *tickets }
    }

    fn begin(&self, start: Start<'_>) -> Option<Begun> {
        let mut seen = self.seen.lock().unwrap();
        let destination = start.destination.map(ToString::to_string);
        seen.push(Seen { head: text(start.head), destination, ..Seen::default() });
        let tap = RecorderTap { seen: self.seen.clone(), index: seen.len() - 1, panics: self.panics };
        Some(Begun { tap: Box::new(tap), traceparent: self.traceparent.clone() })
    }

    fn unreadable(&self, destination: &Upstream, trouble: &TlsTrouble) {
        self.troubles.lock().unwrap().push((destination.to_string(), trouble.clone()));
    }
}

impl RecorderTap {
    fn keep(&self, keep: impl FnOnce(&mut Seen)) {
        assert!(!self.panics, "this tap was told to panic");
        keep(&mut self.seen.lock().unwrap()[self.index]);
    }
}

impl Tap for RecorderTap {
    fn transport(&mut self, transport: Transport) {
        self.keep(|seen| seen.transport = transport);
    }
    fn request_body(&mut self, payload: &[u8]) {
        self.keep(|seen| seen.request_body.extend_from_slice(payload));
    }
    fn request_end(&mut self, trailers: &[u8]) {
        self.keep(|seen| seen.request_trailers = Some(text(trailers)));
    }
    fn interim(&mut self, head: &[u8]) {
        self.keep(|seen| seen.interim.push(text(head)));
    }
    fn response_started(&mut self) {}
    fn response_head(&mut self, head: &[u8]) {
        self.keep(|seen| seen.response_head = Some(text(head)));
    }
    fn response_body(&mut self, payload: &[u8]) {
        self.keep(|seen| seen.response_chunks.push(payload.to_vec()));
    }
    fn response_end(&mut self, trailers: &[u8]) {
        self.keep(|seen| seen.response_trailers = Some(text(trailers)));
    }
    fn end(self: Box<Self>, end: End) {
        self.keep(|seen| seen.end = Some(end));
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) troubles: Arc<Mutex<Vec<(String, TlsTrouble)>>>,
    stop: watch::Sender<bool>,
    pub(crate) serving: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of `url`.
    pub(crate) async fn start(url: &str) -> Self {
        Self::start_with(url, Recorder::default(), false, Settings::default()).await
    }

    pub(crate) async fn start_with(url: &str, recorder: Recorder, rewrites_host: bool, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, troubles) = (recorder.seen.clone(), recorder.troubles.clone());
        let (stop, stopping) = watch::channel(false);
        let route = Route { listener: 0, upstream: url.parse().unwrap(), rewrites_host };
        let connector = Arc::new(Connector::new());
        let serving =
            tokio::spawn(wire::proxy::serve(listener, route, settings, Arc::new(recorder), connector, stopping));
        Self { address, seen, troubles, stop, serving }
    }

    /// A forward proxy that lets the TLS of `through` pass.
    pub(crate) async fn forwarding(authority: Arc<CertificateAuthority>, through: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let recorder = Recorder::default();
        let (seen, troubles) = (recorder.seen.clone(), recorder.troubles.clone());
        let (stop, stopping) = watch::channel(false);
        let through = through.iter().map(|&host| host.to_owned()).collect();
        let forwarding = Forwarding { listener: 0, authority, through };
        let (settings, connector) = (Settings::default(), Arc::new(Connector::new()));
        let serving =
            wire::proxy::serve_forward(listener, forwarding, settings, Arc::new(recorder), connector, stopping);
        Self { address, seen, troubles, stop, serving: tokio::spawn(serving) }
    }

    pub(crate) async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// What was seen of the first `count` exchanges, once they have ended.
    pub(crate) async fn seen(&self, count: usize) -> Vec<Seen> {
        within(async {
            loop {
                let seen = self.seen.lock().unwrap().clone();
                if seen.len() >= count && seen.iter().take(count).all(|seen| seen.end.is_some()) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }
}

/// A service that hands every connection to `script`; its URL.
pub(crate) async fn service<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    url
}

/// A service that reads until it has seen the end of each of `answers`' requests, as told by `ends`, then sends the answer.
pub(crate) async fn answering(exchanges: &'static [(&'static str, &'static str)]) -> String {
    service(move |mut stream| async move {
        for (request_end, answer) in exchanges {
            read_until(&mut stream, request_end.as_bytes()).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        // The other side's end, or its failure, is the end of the script.
        stream.read_u8().await.ok();
    })
    .await
}

/// Reads until what was read ends with `end`; what was read.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    within(async {
        while !read.ends_with(end) {
            let byte = stream.read_u8().await;
            read.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", text(&read))));
        }
    })
    .await;
    read
}

/// Reads until the end or a failure; what was read, and whether the end was in good order.
pub(crate) async fn read_all(stream: &mut TcpStream) -> (String, bool) {
    let mut read = Vec::new();
    let ended = within(stream.read_to_end(&mut read)).await;
    (text(&read), ended.is_ok())
}

pub(crate) async fn send(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.unwrap();
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it took too long")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
