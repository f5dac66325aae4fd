//! One client's connection: waits for requests, hands each to `relay`, and ends when either side does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use exchange::{End, Head, Transport};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

use super::{
    Shared,
    flow::{Flow, reset_when_dropped},
    raw, relay, stopped,
};
use crate::{
    ConnectError, Stream,
    head::{HeadEnd, RequestFacts, find_head_end, may_become_request, read_request},
    tee::{self, GuardedTap, Start, Ticket},
};

/// How long what a client still sends is read after our side has ended, so that it is not reset before it has read the answer.
/// nginx's `lingering_timeout` waits 5 s; a choice.
const LINGER: Duration = Duration::from_secs(2);

/// A client's connection and the upstream's that belongs to it.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) client: TcpStream,
    peer: SocketAddr,
    pub(super) upstream: Option<Stream>,
    pub(super) from_client: Flow,
    pub(super) from_upstream: Flow,
    stop: watch::Receiver<bool>,
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
enum Came {
    Request(Box<Request>),
    /// Something that is no clear request.
    Unclear(Ticket),
    /// Bytes from the upstream that nobody asked for.
    UpstreamSpoke,
    End,
}

impl Connection {
    pub(super) fn new(client: TcpStream, peer: SocketAddr, shared: Arc<Shared>, stop: watch::Receiver<bool>) -> Self {
        let (from_client, from_upstream) = (Flow::new(), Flow::new());
        Self { shared, client, peer, upstream: None, from_client, from_upstream, stop }
    }

    pub(super) async fn run(mut self) {
        // A failure to turn Nagle's algorithm off costs latency, not the connection.
        self.client.set_nodelay(true).ok();
        loop {
            let next = match self.wait().await {
                Came::Request(request) => relay::relay(&mut self, *request).await,
                Came::Unclear(ticket) => self.pass_raw(ticket, true).await,
                Came::UpstreamSpoke => {
                    let ticket = tee::first_byte(&*self.shared.observer, self.shared.route.listener);
                    self.pass_raw(ticket, false).await
                }
                Came::End => Next::Close,
            };
            match next {
                Next::Keep => {
                    self.from_client.rest();
                    self.from_upstream.rest();
                }
                Next::Close => return self.close().await,
                Next::Abort => return reset_when_dropped(&self.client),
            }
        }
    }

    /// Begins to tell the observer about an exchange.
    pub(super) fn begin(&self, ticket: Ticket, head: &[u8]) -> (GuardedTap, Option<String>) {
        let start = Start { listener: self.shared.route.listener, ticket, peer: self.peer, head };
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

    /// Waits for a request's head, or for whatever else comes.
    async fn wait(&mut self) -> Came {
        let mut resume_at = 0;
        let mut ticket = None;
        loop {
            if !self.from_client.unread.is_empty() {
                let first_byte = || tee::first_byte(&*self.shared.observer, self.shared.route.listener);
                let ticket = *ticket.get_or_insert_with(first_byte);
                match self.look(ticket, &mut resume_at) {
                    Some(came) => return came,
                    None if self.from_client.at_end => return self.at_the_end(ticket),
                    None => {}
                }
            }
            let idle = self.from_client.unread.is_empty();
            if (idle && self.from_client.at_end) || !self.read_either(idle).await {
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

    /// Reads from whichever side has something first. False when the connection is to end.
    async fn read_either(&mut self, idle: bool) -> bool {
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
                    let crossed = idle && self.client.try_read_buf(&mut self.from_client.unread).is_ok_and(|count| count > 0);
                    return !idle || crossed;
                }
                true
            }
            read = self.from_client.read_from(&mut self.client) => read.is_ok(),
        }
    }

    /// Passes bytes both ways without understanding them; `fresh` over a new connection to the upstream.
    async fn pass_raw(&mut self, ticket: Ticket, fresh: bool) -> Next {
        let (tap, _) = self.begin(ticket, b"");
        tap.tell(|tap| tap.transport(Transport::Raw));
        if fresh {
            self.upstream = None;
        }
        if let Err(error) = self.connect().await {
            tap.end(End::Unreachable { reason: error.to_string() });
            return Next::Abort;
        }
        self.pump(tap).await
    }

    /// Passes bytes both ways until the end, which the tap is told.
    pub(super) async fn pump(&mut self, tap: GuardedTap) -> Next {
        let Some(upstream) = &mut self.upstream else { return Next::Abort };
        let end = raw::pump(&mut self.client, upstream, &mut self.from_client, &mut self.from_upstream, &tap).await;
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
