//! A service with a dependency, a capture around it, and a client.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bundle::Archive;
use capture::{Clock, Notice, Settings, Started, Summary};
use exchange::Exchange;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use wire::{
    client::{Limits, Outgoing, Reply},
    server::{Answer, Handler, Incoming},
};

/// Longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";

/// A service: what it answers is the path's business.
pub(crate) struct Service {
    /// Where it calls on `/ask…`; set once the capture listens.
    pub(crate) dependency: Mutex<Option<SocketAddr>>,
}

impl Handler for Service {
    async fn answer(&self, incoming: Incoming) -> Answer {
        let target = String::from_utf8_lossy(incoming.head.request_line().unwrap().target).into_owned();
        let dependency = *self.dependency.lock().unwrap();
        let body = match (target.as_str(), dependency) {
            ("/ask", Some(address)) => ask(address, "").await,
            ("/ask-with-trace", Some(address)) => {
                let trace = incoming.head.text_of("traceparent").unwrap_or_default().to_owned();
                ask(address, &format!("traceparent: {trace}\r\n")).await
            }
            ("/hang", _) => return std::future::pending().await,
            _ => r#"{"system_fingerprint":"fp_1","echo":true}"#.to_owned(),
        };
        answer(&body)
    }
}

async fn ask(address: SocketAddr, fields: &str) -> String {
    let head = format!(
        "GET /asked HTTP/1.1\r\nHost: {address}\r\n{fields}Authorization: Bearer sk-dependency-1234567\r\n\r\n"
    );
    String::from_utf8(send(address, &head, b"").await.body).unwrap()
}

pub(crate) fn answer(body: &str) -> Answer {
    let head = format!("{OK}{}\r\n\r\n", body.len()).into_bytes();
    Answer { head, pieces: vec![(Duration::ZERO, body.to_owned().into())], ..Answer::default() }
}

/// Serves `handler` on a port of its own.
pub(crate) async fn serve(handler: Arc<impl Handler>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move { wire::server::serve_stream(stream, handler, 1 << 20, &|| 0).await.map(drop) });
        }
    });
    address
}

/// Sends one request over a connection of its own.
pub(crate) async fn send(address: SocketAddr, head: &str, body: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = Outgoing { head: head.as_bytes(), body: &[body], trailers: b"", is_whole: true };
    let reply = within(wire::client::exchange(&mut stream, request, &Limits::default(), &|| 0)).await;
    // The connection's end is the test's business no more.
    stream.shutdown().await.ok();
    reply
}

/// A running capture.
pub(crate) struct Running {
    pub(crate) started: Started,
    pub(crate) notices: Arc<Mutex<Vec<Notice>>>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Summary>,
}

impl Running {
    pub(crate) async fn start(settings: Settings) -> Self {
        Self::start_at(settings, Clock::start()).await
    }

    pub(crate) async fn start_at(settings: Settings, clock: Clock) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let notices: Arc<Mutex<Vec<Notice>>> = Arc::default();
        let heard = notices.clone();
        let running = tokio::spawn(async move {
            let shutdown = async move { drop(stopped.await) };
            let started = |started: &Started| tell.send(started.clone()).unwrap();
            let notify = move |notice| heard.lock().unwrap().push(notice);
            capture::run(settings, clock, shutdown, started, notify).await.unwrap()
        });
        let started = within(told).await.unwrap();
        Self { started, notices, stop: Some(stop), running }
    }

    /// The address of the `index`th listener.
    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        self.started.listeners[index].address
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) -> Summary {
        self.stop.take().unwrap().send(()).unwrap();
        self.end().await
    }

    /// Waits for its own end.
    pub(crate) async fn end(self) -> Summary {
        let summary = within(self.running).await.unwrap();
        drop(self.stop);
        summary
    }
}

/// Settings for a capture of `upstream` into `store`.
pub(crate) fn settings(upstream: SocketAddr, store: &Path) -> Settings {
    Settings {
        upstream: Some(format!("http://{upstream}").parse().unwrap()),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        store: store.to_owned(),
        tool_version: "test".to_owned(),
        sync_interval: Duration::from_millis(10),
        ..Settings::default()
    }
}

/// All exchanges of a store.
pub(crate) fn exchanges(store: &Path) -> (Archive, Vec<Exchange>) {
    let archive = Archive::open(store).unwrap();
    let exchanges = archive.entries().iter().map(|entry| archive.exchange(&entry.id).unwrap()).collect();
    (archive, exchanges)
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it took too long")
}
