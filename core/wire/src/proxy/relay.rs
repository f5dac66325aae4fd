//! One exchange of HTTP/1.x: the request goes up and the response comes down at the same time, each as it is read.

use std::io;

use exchange::{End, Head, Transport};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest},
    net::tcp,
    sync::watch,
};

use super::{
    connection::{Connection, Next, Request},
    flow::{Flow, READ_BYTES_MAX, end_when_dropped, keep_asking, reset_when_dropped},
};
use crate::{
    ConnectError,
    edit::{RequestEdit, edit_request, reframe_as_chunked},
    framing::{FrameDecoder, LAST_CHUNK, Piece, write_chunk},
    head::{Framing, HeadEnd, RequestFacts, ResponseFacts, find_head_end, may_become_response, read_response},
    tee::GuardedTap,
};

/// How far the request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Some of it is still to come.
    Partly,
    /// All of it was passed on.
    Whole,
    /// The client ended its side before the request was whole; so did we.
    Cut,
    /// Its framing broke: all that follows is passed on as it is.
    Broken,
    /// The upstream takes no more of it.
    Refused,
}

/// How the response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    /// All of it was passed on.
    Whole { closes: bool },
    /// The bytes that follow its head have no framing.
    Upgraded,
    /// What follows is not clearly HTTP/1.x.
    Unclear,
    /// The upstream ended, or failed, before the response was whole.
    Cut { failed: bool },
    /// The client takes no more of it, or is gone.
    ClientGone,
}

/// Carries one request to the upstream and its response back.
pub(super) async fn relay(connection: &mut Connection, request: Request) -> Next {
    let (tap, traceparent) = connection.begin(request.ticket, &request.head.bytes);
    if let Err(error) = connection.connect().await {
        return refuse(connection, &request, tap, error).await;
    }
    let traceparent = traceparent.filter(|_| request.head.value_of("traceparent").is_none());
    let route = &connection.shared.route;
    let authority = route.rewrites_host.then(|| route.upstream.authority());
    let edit = RequestEdit {
        host: authority.as_deref(),
        base_path: &route.upstream.base_path,
        traceparent: traceparent.as_deref(),
    };
    connection.from_client.pending.extend_from_slice(&request.blank);
    connection.from_client.pending.extend_from_slice(&edit_request(&request.head.bytes, edit));
    let (sent, received) = pass_both_ways(connection, &request.facts, &tap).await;
    conclude(connection, tap, sent, received).await
}

/// Tells the client that there is no connection to the upstream. This answer is ours, and says so.
async fn refuse(connection: &mut Connection, request: &Request, tap: GuardedTap, error: ConnectError) -> Next {
    let text = format!("retake: {error}\n");
    let body = if request.facts.is_head { "" } else { text.as_str() };
    let answer = format!(
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\nretake-error: upstream-unreachable\r\n\r\n{body}",
        text.len()
    );
    tap.end(End::Unreachable { reason: error.to_string() });
    match connection.client.write_all(answer.as_bytes()).await {
        Ok(()) => Next::Close,
        Err(_) => Next::Abort,
    }
}

async fn pass_both_ways(connection: &mut Connection, facts: &RequestFacts, tap: &GuardedTap) -> (Sent, Received) {
    let head_bytes_max = connection.shared.settings.head_bytes_max;
    let Connection { client, upstream: Some(upstream), from_client, from_upstream, .. } = connection else {
        return (Sent::Refused, Received::Cut { failed: true });
    };
    let (client_reader, client_writer) = client.split();
    let (upstream_reader, upstream_writer) = tokio::io::split(upstream);
    let (sent, mut sent_changes) = watch::channel(Sent::Partly);
    let mut upward = Upward { client: client_reader, upstream: upstream_writer, flow: from_client, tap, sent };
    let mut downward =
        Downward { upstream: upstream_reader, client: client_writer, flow: from_upstream, tap, facts, head_bytes_max };
    let received = {
        let mut upward = std::pin::pin!(upward.run(FrameDecoder::new(facts.framing)));
        let received = tokio::select! {
            biased;
            received = downward.run() => received,
            () = &mut upward => Received::ClientGone,
        };
        // The answer may come before the request is whole: the rest of it still belongs to this exchange.
        let must_go_on = matches!(received, Received::Whole { closes: false } | Received::Upgraded | Received::Unclear);
        if must_go_on {
            tokio::select! {
                biased;
                _ = sent_changes.wait_for(|sent| *sent != Sent::Partly) => received,
                () = &mut upward => Received::ClientGone,
                () = downward.more() => received,
            }
        } else {
            received
        }
    };
    let sent = *sent_changes.borrow();
    (sent, received)
}

/// Tells the tap how it ended, and says what becomes of the connection.
async fn conclude(connection: &mut Connection, tap: GuardedTap, sent: Sent, received: Received) -> Next {
    let unasked = !connection.from_upstream.unread.is_empty();
    match received {
        Received::Upgraded => {
            tap.tell(|tap| tap.transport(Transport::Upgraded));
            connection.pump(tap).await
        }
        Received::Whole { closes: false } if !unasked && sent != Sent::Broken => {
            tap.end(End::Complete);
            let may_go_on = sent == Sent::Whole && !connection.from_upstream.at_end;
            if may_go_on { Next::Keep } else { Next::Close }
        }
        Received::Whole { closes: true } => {
            tap.end(End::Complete);
            Next::Close
        }
        Received::Unclear | Received::Whole { .. } => {
            tap.tell(|tap| tap.transport(Transport::Raw));
            connection.pump(tap).await
        }
        Received::Cut { failed } => {
            // An upstream that ends after the client has ended its side was left, rather than leaving.
            let client_left = sent == Sent::Cut || connection.from_client.at_end;
            tap.end(if client_left { End::ClientGone } else { End::UpstreamReset });
            if failed { Next::Abort } else { Next::Close }
        }
        Received::ClientGone => {
            tap.end(End::ClientGone);
            Next::Abort
        }
    }
}

/// The way from the client to the upstream.
struct Upward<'a, W> {
    client: tcp::ReadHalf<'a>,
    upstream: W,
    flow: &'a mut Flow,
    tap: &'a GuardedTap,
    sent: watch::Sender<Sent>,
}

impl<W: AsyncWrite + Unpin> Upward<'_, W> {
    /// Passes the request on, then watches the client. Returns when the client is gone.
    async fn run(&mut self, mut decoder: FrameDecoder) {
        match self.send(&mut decoder).await {
            Ok(sent) => {
                self.sent.send_replace(sent);
                self.watch(sent).await;
            }
            Err(_) => keep_asking(self.client.as_ref()),
        }
    }

    /// Passes the request on. Fails when the client does.
    async fn send(&mut self, decoder: &mut FrameDecoder) -> io::Result<Sent> {
        loop {
            self.understand(decoder);
            if self.flow.write_to(&mut self.upstream).await.is_err() {
                return Ok(Sent::Refused);
            }
            if decoder.is_done() {
                return Ok(Sent::Whole);
            }
            if self.flow.read_from(&mut self.client).await? == 0 {
                // An upstream that cannot be told the end will tell its own.
                self.upstream.shutdown().await.ok();
                return Ok(Sent::Cut);
            }
        }
    }

    fn understand(&mut self, decoder: &mut FrameDecoder) {
        let mut trailers = Vec::new();
        if !decoder.is_done() {
            self.flow.decode(decoder, |piece| match piece {
                Piece::Payload(bytes) => self.tap.tell(|tap| tap.request_body(bytes)),
                Piece::Trailers(bytes) => trailers = bytes.to_vec(),
            });
        }
        if decoder.is_done() {
            self.tap.tell(|tap| tap.request_end(&trailers));
        }
        if decoder.is_broken() {
            self.tap.tell(|tap| {
                tap.transport(Transport::Raw);
                tap.request_body(&self.flow.unread);
            });
            self.flow.pass_on(self.flow.unread.len());
            self.sent.send_replace(Sent::Broken);
            *decoder = FrameDecoder::new(Framing::UntilClose);
        }
    }

    /// Reads ahead what the client sends before its answer has come, so that its end is seen. Returns when it is gone.
    async fn watch(&mut self, sent: Sent) {
        let mut end_is_passed_on = sent != Sent::Whole;
        loop {
            if self.flow.at_end && self.flow.unread.is_empty() && !end_is_passed_on {
                end_is_passed_on = true;
                // As above: an upstream that cannot be told the end will tell its own.
                self.upstream.shutdown().await.ok();
            }
            if self.flow.at_end || self.flow.unread.len() >= READ_BYTES_MAX {
                keep_asking(self.client.as_ref());
                // Whether it is the error or the waiting that failed: the connection is of no more use.
                self.client.ready(Interest::ERROR).await.ok();
                return;
            }
            if self.flow.read_from(&mut self.client).await.is_err() {
                return;
            }
        }
    }
}

/// The way from the upstream to the client.
struct Downward<'a, R> {
    upstream: R,
    client: tcp::WriteHalf<'a>,
    flow: &'a mut Flow,
    tap: &'a GuardedTap,
    facts: &'a RequestFacts,
    head_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Downward<'_, R> {
    async fn run(&mut self) -> Received {
        loop {
            let (head, facts) = match self.next_head().await {
                Ok(found) => found,
                Err(received) => return received,
            };
            if facts.is_interim {
                self.tap.tell(|tap| tap.interim(&head.bytes));
                if self.flow.write_to(&mut self.client).await.is_err() {
                    return Received::ClientGone;
                }
                continue;
            }
            self.tap.tell(|tap| tap.response_head(&head.bytes));
            if facts.is_upgrade {
                return match self.flow.write_to(&mut self.client).await {
                    Ok(()) => Received::Upgraded,
                    Err(_) => Received::ClientGone,
                };
            }
            let until_close = facts.framing == Framing::UntilClose;
            let received = match (until_close, self.facts.is_http10) {
                (true, false) => self.pass_reframed(&head).await,
                (true, true) => {
                    reset_when_dropped(self.client.as_ref());
                    self.pass_body(facts.framing).await
                }
                (false, _) => self.pass_body(facts.framing).await,
            };
            return received.unwrap_or(Received::ClientGone);
        }
    }

    /// Reads the next response's head and moves its bytes to what is to be written.
    async fn next_head(&mut self) -> Result<(Head, ResponseFacts), Received> {
        let mut resume_at = 0;
        let mut has_started = false;
        loop {
            if !self.flow.unread.is_empty() && !std::mem::replace(&mut has_started, true) {
                self.tap.tell(|tap| tap.response_started());
            }
            match find_head_end(&self.flow.unread, resume_at) {
                HeadEnd::Found { start, end } => {
                    let head = Head::new(&self.flow.unread[start..end]);
                    let facts = read_response(&head, self.facts).map_err(|_| Received::Unclear)?;
                    self.flow.pass_on(end);
                    return Ok((head, facts));
                }
                HeadEnd::Partial { resume_at: next } => resume_at = next,
            }
            if !may_become_response(&self.flow.unread) || self.flow.unread.len() > self.head_bytes_max {
                return Err(Received::Unclear);
            }
            match self.flow.read_from(&mut self.upstream).await {
                Ok(0) => return Err(self.cut_in_head().await),
                Ok(_) => {}
                Err(_) => return Err(Received::Cut { failed: true }),
            }
        }
    }

    /// The upstream ended within a head: the client sees what there was of it.
    async fn cut_in_head(&mut self) -> Received {
        self.flow.pass_on(self.flow.unread.len());
        match self.flow.write_to(&mut self.client).await {
            Ok(()) => Received::Cut { failed: false },
            Err(_) => Received::ClientGone,
        }
    }

    /// Passes the body on as it is framed. Fails when the client does.
    async fn pass_body(&mut self, framing: Framing) -> io::Result<Received> {
        let mut decoder = FrameDecoder::new(framing);
        loop {
            let mut trailers = Vec::new();
            self.flow.decode(&mut decoder, |piece| match piece {
                Piece::Payload(bytes) => self.tap.tell(|tap| tap.response_body(bytes)),
                Piece::Trailers(bytes) => trailers = bytes.to_vec(),
            });
            if decoder.is_done() {
                self.tap.tell(|tap| tap.response_end(&trailers));
            }
            self.flow.write_to(&mut self.client).await?;
            if decoder.is_done() {
                return Ok(Received::Whole { closes: false });
            }
            if decoder.is_broken() {
                return Ok(Received::Unclear);
            }
            match self.flow.read_from(&mut self.upstream).await {
                Ok(0) if decoder.may_end_here() => return Ok(self.end_until_close()),
                Ok(0) => return Ok(Received::Cut { failed: false }),
                Ok(_) => {}
                Err(_) => return Ok(Received::Cut { failed: true }),
            }
        }
    }

    fn end_until_close(&mut self) -> Received {
        self.tap.tell(|tap| tap.response_end(b""));
        end_when_dropped(self.client.as_ref());
        Received::Whole { closes: true }
    }

    /// Passes a body that lasts until close on in chunks, one for each read, so that its end cannot be mistaken.
    async fn pass_reframed(&mut self, head: &Head) -> io::Result<Received> {
        let blank_len = self.flow.pending.len() - head.bytes.len();
        self.flow.pending.truncate(blank_len);
        self.flow.pending.extend_from_slice(&reframe_as_chunked(head));
        let mut framed = Vec::new();
        loop {
            if !self.flow.unread.is_empty() {
                self.tap.tell(|tap| tap.response_body(&self.flow.unread));
                framed.clear();
                write_chunk(&mut framed, &self.flow.unread);
                self.flow.pending.extend_from_slice(&framed);
                self.flow.unread.clear();
            }
            self.flow.write_to(&mut self.client).await?;
            match self.flow.read_from(&mut self.upstream).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return Ok(Received::Cut { failed: true }),
            }
        }
        self.flow.pending.extend_from_slice(LAST_CHUNK);
        let received = self.end_until_close();
        self.flow.write_to(&mut self.client).await?;
        Ok(received)
    }

    /// Returns when the upstream sends more than its response, ends, or fails.
    async fn more(&mut self) {
        match self.flow.read_from(&mut self.upstream).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => self.flow.at_end = true,
        }
    }
}
