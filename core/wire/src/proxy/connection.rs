//! One client's connection: waits for requests, hands each to `relay`, and ends when either side does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use exchange::{End, Head, Transport};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

use super::{
    Shared,
    client::{Client, Socket},
    flow::{Flow, end_when_dropped, reset_when_dropped},
    forward::{self, Forward},
    raw, relay, stopped,
};
use crate::{
    ConnectError, Scheme, Stream,
    head::{HeadEnd, RequestFacts, find_head_end, may_become_request, read_request},
    tee::{self, GuardedTap, Start, Ticket},
};

/// How long what a client still sends is read after our side has ended, so that it is not reset before it has read the answer.
/// nginx's `lingering_timeout` waits 5 s; a choice.
const LINGER: Duration = Duration::from_secs(2);

/// A client's connection and the upstream's that belongs to it.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    /// Set while the client may still say where it wants to: on a forward proxy, outside of tunnels.
    pub(super) forward: Option<Arc<Forward>>,
    pub(super) tcp: Arc<TcpStream>,
    pub(super) client: Client,
    peer: SocketAddr,
    pub(super) upstream: Option<Stream>,
    pub(super) from_client: Flow,
    pub(super) from_upstream: Flow,
    pub(super) stop: watch::Receiver<bool>,
}

/// A request whose head is read; its body's beginning may be in the client's flow.
pub(super) struct Request {
    /// The head as on the socket.
    pub(super) head: Head,
    /// What it says about framing.
    pub(super) facts: RequestFacts,
    /// Blank lines that came before it.
    pub(super) blank: Vec<u8>,
    /// Given when its first byte arrived.
    pub(super) ticket: Ticket,
}

/// What a connection does after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Waits for another request.
    Keep,
    /// Ends in good order: what was written is delivered.
    Close,
    /// Is reset.
    Abort,
}

/// What came while nothing was under way.
pub(super) enum Came {
    Request(Box<Request>),
    /// Something that is no clear request.
    Unclear(Ticket),
    /// Bytes from the upstream that nobody asked for.
    UpstreamSpoke,
    End,
}

impl Connection {
    pub(super) fn new(tcp: TcpStream, peer: SocketAddr, shared: Arc<Shared>, stop: watch::Receiver<bool>) -> Self {
        let tcp = Arc::new(tcp);
        let client = Client::Plain(Socket::new(Arc::clone(&tcp)));
        let (from_client, from_upstream) = (Flow::new(), Flow::new());
        Self { shared, forward: None, tcp, client, peer, upstream: None, from_client, from_upstream, stop }
    }

    /// The same, for a client that says itself where it wants to.
    pub(super) fn forwarding(self, forward: Arc<Forward>) -> Self {
        Self { forward: Some(forward), ..self }
    }

    /// True while the client says with each request where it wants to.
    pub(super) fn is_forward(&self) -> bool {
        self.forward.is_some()
    }

    pub(super) async fn run(mut self) {
        // A failure to turn Nagle's algorithm off costs latency, not the connection.
        self.tcp.set_nodelay(true).ok();
        if self.shared.route.upstream.scheme == Scheme::Tcp {
            return self.run_raw().await;
        }
        loop {
            let came = self.wait().await;
            let next = match self.forward.clone() {
                Some(forward) => forward::take(&mut self, came, &forward).await,
                None => self.take(came).await,
            };
            match next {
                Next::Keep => {
                    self.from_client.rest();
                    self.from_upstream.rest();
                }
                Next::Close => return self.close().await,
                Next::Abort => return reset_when_dropped(&self.tcp),
            }
        }
    }

    /// Does what is to be done with what came.
    pub(super) async fn take(&mut self, came: Came) -> Next {
        match came {
            Came::Request(request) => relay::relay(self, *request).await,
            Came::Unclear(ticket) => self.pass_raw(ticket, true).await,
            Came::UpstreamSpoke => self.pass_raw(self.first_byte(), false).await,
            Came::End => Next::Close,
        }
    }

    /// A ticket for what begins now.
    pub(super) fn first_byte(&self) -> Ticket {
        tee::first_byte(&*self.shared.observer, self.shared.route.listener)
    }

    /// Begins to tell the observer about an exchange.
    pub(super) fn begin(&self, ticket: Ticket, head: &[u8]) -> (GuardedTap, Option<String>) {
        let Shared { route, destination, .. } = &*self.shared;
        let start =
            Start { listener: route.listener, ticket, peer: self.peer, head, destination: destination.as_ref() };
        GuardedTap::begin(&*self.shared.observer, start)
    }

    /// Opens the upstream's connection where there is none.
    pub(super) async fn connect(&mut self) -> Result<(), ConnectError> {
        if self.upstream.is_none() {
            self.from_upstream = Flow::new();
            let Shared { connector, route, settings, .. } = &*self.shared;
            self.upstream = Some(connector.connect(&route.upstream, settings.connect_timeout).await?);
        }
        Ok(())
    }

    /// Tells the tap who is at the other end.
    pub(super) fn tell_peer(&self, tap: &GuardedTap) {
        let peer = self.upstream.as_ref().and_then(|upstream| upstream.tcp().peer_addr().ok());
        if let Some(peer) = peer {
            tap.tell(|tap| tap.connected(peer.ip().to_canonical()));
        }
    }

    /// Waits for a request's head, or for whatever else comes.
    async fn wait(&mut self) -> Came {
        let mut resume_at = 0;
        let mut ticket = None;
        let patience = self.is_forward().then_some(forward::HEAD_PATIENCE);
        loop {
            if !self.from_client.unread.is_empty() {
                let ticket = *ticket.get_or_insert_with(|| self.first_byte());
                match self.look(ticket, &mut resume_at) {
                    Some(came) => return came,
                    None if self.from_client.at_end => return self.at_the_end(ticket),
                    None => {}
                }
            }
            let idle = self.from_client.unread.is_empty();
            if (idle && self.from_client.at_end) || !self.read_either(idle, patience).await {
                return Came::End;
            }
            if !self.from_upstream.unread.is_empty() {
                return Came::UpstreamSpoke;
            }
        }
    }

    /// What the bytes read from the client are, as far as it can be told already.
    fn look(&mut self, ticket: Ticket, resume_at: &mut usize) -> Option<Came> {
        let unread = &mut self.from_client.unread;
        let may_become_one = may_become_request(unread) && unread.len() <= self.shared.settings.head_bytes_max;
        match find_head_end(unread, *resume_at) {
            HeadEnd::Found { start, end } => {
                let head = Head::new(&unread[start..end]);
                let Ok(facts) = read_request(&head) else { return Some(Came::Unclear(ticket)) };
                let blank = unread[..start].to_vec();
                drop(unread.split_to(end));
                Some(Came::Request(Box::new(Request { head, facts, blank, ticket })))
            }
            HeadEnd::Partial { .. } if !may_become_one => Some(Came::Unclear(ticket)),
            HeadEnd::Partial { resume_at: next } => {
                *resume_at = next;
                None
            }
        }
    }

    /// The client ended its side within what may have become a head.
    fn at_the_end(&self, ticket: Ticket) -> Came {
        let only_blank = self.from_client.unread.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if only_blank { Came::End } else { Came::Unclear(ticket) }
    }

    /// Reads from whichever side has something first. False when the connection is to end; so it is with a client that is
    /// silent for longer than `patience` in the middle of something.
    pub(super) async fn read_either(&mut self, idle: bool, patience: Option<Duration>) -> bool {
        let silence = async {
            match patience {
                Some(patience) if !idle => tokio::time::sleep(patience).await,
                _ => std::future::pending().await,
            }
        };
        let upstream_reads = async {
            match &mut self.upstream {
                Some(upstream) => self.from_upstream.read_from(upstream).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stopped(&mut self.stop), if idle => false,
            read = upstream_reads => {
                if !matches!(read, Ok(1..)) {
                    self.upstream = None;
                    // The client's next request may have crossed the upstream's end: nothing of it was sent, so it gets a
                    // connection of its own rather than the end that was meant for an idle client.
                    return !idle || self.has_more().await;
                }
                true
            }
            read = self.from_client.read_from(&mut self.client) => read.is_ok(),
            () = silence => false,
        }
    }

    /// True when the client has sent something already.
    async fn has_more(&mut self) -> bool {
        tokio::select! {
            biased;
            read = self.from_client.read_from(&mut self.client) => matches!(read, Ok(1..)),
            () = std::future::ready(()) => false,
        }
    }

    /// Passes bytes both ways without understanding them; `fresh` over a new connection to the upstream.
    pub(super) async fn pass_raw(&mut self, ticket: Ticket, fresh: bool) -> Next {
        let (tap, _) = self.begin(ticket, b"");
        tap.tell(|tap| tap.transport(Transport::Raw));
        if fresh {
            self.upstream = None;
        }
        if let Err(error) = self.connect().await {
            tap.end(End::Unreachable { reason: error.to_string() });
            return Next::Abort;
        }
        self.tell_peer(&tap);
        self.pump(tap).await
    }

    /// Passes bytes from the first one on, whichever side speaks first. Such connections rest in pools for as long as the
    /// service lives: once the proxy is to stop, they end.
    async fn run_raw(mut self) {
        let (tap, _) = self.begin(self.first_byte(), b"");
        tap.tell(|tap| tap.transport(Transport::Raw));
        if let Err(error) = self.connect().await {
            tap.end(End::Unreachable { reason: error.to_string() });
            return reset_when_dropped(&self.tcp);
        }
        let Some(upstream) = &mut self.upstream else { return };
        let (from_client, from_upstream) = (&mut self.from_client, &mut self.from_upstream);
        let pumped = raw::pump(&self.tcp, &mut self.client, upstream, from_client, from_upstream, &tap);
        let end = tokio::select! {
            biased;
            end = pumped => end,
            () = stopped(&mut self.stop) => {
                end_when_dropped(&self.tcp);
                return tap.end(End::CaptureStopped);
            }
        };
        let is_complete = end == End::Complete;
        tap.end(end);
        match is_complete {
            true => self.close().await,
            false => reset_when_dropped(&self.tcp),
        }
    }

    /// Passes bytes both ways until the end, which the tap is told.
    pub(super) async fn pump(&mut self, tap: GuardedTap) -> Next {
        let Some(upstream) = &mut self.upstream else { return Next::Abort };
        let end =
            raw::pump(&self.tcp, &mut self.client, upstream, &mut self.from_client, &mut self.from_upstream, &tap)
                .await;
        let next = if end == End::Complete { Next::Close } else { Next::Abort };
        tap.end(end);
        next
    }

    /// Ends our side in good order.
    async fn close(mut self) {
        self.upstream = None;
        if self.client.shutdown().await.is_err() || self.from_client.at_end {
            return;
        }
        let until_gone = async {
            while matches!(self.from_client.read_from(&mut self.client).await, Ok(1..)) {
                self.from_client.unread.clear();
            }
        };
        // The client's silence is as good as its end here.
        drop(tokio::time::timeout(LINGER, until_gone).await);
    }
}
