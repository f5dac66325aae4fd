//! Sends one recorded request over a stream and gathers what comes back, with the time of every chunk.
//!
//! In: the head as it was recorded and the body's payload. Out: the same head bytes, the body framed as the head says, and
//! a [`Reply`] that says how it ended. Which stream, which secrets and what the answer means are the caller's.

use std::{future::Future, io, time::Duration};

use bytes::BytesMut;
use exchange::{Chunk, Head, Interim};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
};

use crate::{
    framing::{FrameDecoder, Piece, write_chunk, write_last_chunk},
    head::{
        Framing, HEAD_BYTES_MAX, HeadEnd, RequestFacts, ResponseFacts, Unclear, find_head_end, may_become_response,
        read_request, read_response,
    },
};

/// How long a request that expects `100 Continue` waits for it before its body is sent all the same. RFC 9110, section
/// 10.1.1, forbids to wait without end and names no time; curl waits one second.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// Bytes asked of the stream at once.
const READ_BYTES: usize = 64 << 10;

/// A clock of nanoseconds since the session's or run's start.
pub type Clock = dyn Fn() -> u64 + Send + Sync;

/// Limits on one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body gathered, in bytes of payload.
    pub body_bytes_max: u64,
    /// Most interim responses taken before the final one.
    pub interim_max: usize,
    /// Longest silence of the other side while something is awaited from it.
    pub silence_max: Duration,
    /// Longest time for the whole exchange.
    pub total_max: Duration,
}

impl Default for Limits {
    /// 256 MiB, 64 interim responses, two minutes of silence, ten minutes in all. Choices.
    fn default() -> Self {
        Self {
            body_bytes_max: 256 << 20,
            interim_max: 64,
            silence_max: Duration::from_secs(120),
            total_max: Duration::from_secs(600),
        }
    }
}

/// A request as it was recorded.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The head's bytes, sent as they are.
    pub head: &'a [u8],
    /// The body's payload; a chunked body is sent with one chunk for each piece.
    pub body: &'a [&'a [u8]],
    /// Trailer fields with their final blank line, or nothing.
    pub trailers: &'a [u8],
    /// False for a request that was cut: the sending side ends after the payload, without the end that its framing wants.
    pub is_whole: bool,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Informational responses, in order.
    pub interim: Vec<Interim>,
    /// The final response's head as on the socket.
    pub head: Option<Head>,
    /// The body's payload, content-encoding included, transfer framing taken off.
    pub body: Vec<u8>,
    /// What one read delivered, and when.
    pub chunks: Vec<Chunk>,
    /// Trailer fields with their final blank line, or nothing.
    pub trailers: Vec<u8>,
    /// When the last byte of the request was handed to the stream.
    pub request_ended_ns: Option<u64>,
    /// When the first byte of the final response was read.
    pub response_started_ns: Option<u64>,
    /// When the exchange ended.
    pub ended_ns: u64,
    /// How it ended.
    pub end: ReplyEnd,
    /// True when the stream may carry another exchange.
    pub is_reusable: bool,
}

/// How a reply ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReplyEnd {
    /// The response came whole.
    Complete,
    /// The response's head came whole and turned the stream into something else than HTTP; `body` holds what was read past it.
    Upgraded,
    /// The stream ended before the response was whole, or before there was any.
    #[default]
    Cut,
    /// The stream failed before the response was whole, in the operating system's words.
    Failed(String),
    /// The other side was silent, or the exchange lasted, for longer than the limits allow.
    TimedOut,
    /// What came back was not understood as a response of HTTP/1.x; `body` holds what was read.
    Unclear(Unclear),
    /// The body was longer than the limit; `body` holds its beginning.
    TooLong,
}

/// Sends `request` over `stream` and gathers the answer. The times are `clock`'s.
///
/// Never fails: whatever happens is told by the reply's end, beside all that came before it.
pub async fn exchange<S>(stream: &mut S, request: Outgoing<'_>, limits: &Limits, clock: &Clock) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let facts = match read_request(&Head::new(request.head)) {
        Ok(facts) => facts,
        Err(unclear) => return Reply { end: ReplyEnd::Unclear(unclear), ended_ns: clock(), ..Reply::default() },
    };
    let (reader, mut writer) = tokio::io::split(stream);
    let (may_send_body, body_awaits) = watch::channel(!facts.expects_continue);
    let mut gatherer =
        Gatherer { reader, limits, clock, facts, may_send_body, unread: BytesMut::new(), reply: Reply::default() };
    let mut request_ended_ns = None;
    let ended = tokio::time::timeout(limits.total_max, async {
        let sending = async {
            let sent = send(&mut writer, request, facts.framing, body_awaits).await;
            request_ended_ns = sent.is_ok().then(clock);
            // A write that failed is told by what can, or cannot, still be read.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            end = gatherer.gather() => end,
            () = sending => ReplyEnd::Cut,
        }
    });
    let end = ended.await.unwrap_or(ReplyEnd::TimedOut);
    let mut reply = gatherer.finish(end);
    reply.request_ended_ns = request_ended_ns;
    reply.is_reusable &= request_ended_ns.is_some() && request.is_whole;
    reply
}

/// Sends `bytes` over `stream` as they are, ends the sending side, and gathers all bytes until the other side's end.
pub async fn exchange_raw<S>(stream: &mut S, bytes: &[u8], limits: &Limits, clock: &Clock) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (reader, mut writer) = tokio::io::split(stream);
    let facts = RequestFacts {
        is_head: false,
        is_connect: false,
        is_http10: false,
        expects_continue: false,
        wants_close: true,
        framing: Framing::UntilClose,
    };
    let (may_send_body, _) = watch::channel(true);
    let mut gatherer =
        Gatherer { reader, limits, clock, facts, may_send_body, unread: BytesMut::new(), reply: Reply::default() };
    let mut request_ended_ns = None;
    let ended = tokio::time::timeout(limits.total_max, async {
        let sending = async {
            let sent = match writer.write_all(bytes).await {
                Ok(()) => writer.shutdown().await,
                Err(error) => Err(error),
            };
            request_ended_ns = sent.is_ok().then(clock);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            end = gatherer.gather_body(Framing::UntilClose) => end,
            () = sending => ReplyEnd::Cut,
        }
    });
    let end = ended.await.unwrap_or(ReplyEnd::TimedOut);
    let mut reply = gatherer.finish(end);
    reply.request_ended_ns = request_ended_ns;
    reply
}

async fn send<W: AsyncWrite + Unpin>(
    writer: &mut W,
    request: Outgoing<'_>,
    framing: Framing,
    mut body_awaits: watch::Receiver<bool>,
) -> io::Result<()> {
    if *body_awaits.borrow() {
        // Head and body in one go, so that a small request is one segment as it usually was when recorded.
        let mut bytes = request.head.to_vec();
        let rest = frame_small(&mut bytes, request, framing);
        writer.write_all(&bytes).await?;
        send_body(writer, rest, framing).await?;
    } else {
        writer.write_all(request.head).await?;
        writer.flush().await?;
        // Both a word from the other side and its silence let the body go.
        drop(tokio::time::timeout(CONTINUE_WAIT, body_awaits.wait_for(|may_send| *may_send)).await);
        send_body(writer, request, framing).await?;
    }
    writer.flush().await?;
    if !request.is_whole {
        writer.shutdown().await?;
    }
    Ok(())
}

/// Appends the first piece of a body when it is small and the only one; what is returned is still to be sent.
fn frame_small<'a>(out: &mut Vec<u8>, request: Outgoing<'a>, framing: Framing) -> Outgoing<'a> {
    match (request.body, framing) {
        ([only], Framing::Length(_)) if only.len() <= READ_BYTES => {
            out.extend_from_slice(only);
            Outgoing { body: &[], ..request }
        }
        _ => request,
    }
}

async fn send_body<W: AsyncWrite + Unpin>(writer: &mut W, request: Outgoing<'_>, framing: Framing) -> io::Result<()> {
    let mut framed = Vec::new();
    for piece in request.body {
        match framing {
            Framing::None => break,
            Framing::Length(_) | Framing::UntilClose => writer.write_all(piece).await?,
            Framing::Chunked => {
                framed.clear();
                write_chunk(&mut framed, piece);
                writer.write_all(&framed).await?;
            }
        }
        writer.flush().await?;
    }
    if framing == Framing::Chunked && request.is_whole {
        framed.clear();
        write_last_chunk(&mut framed, request.trailers);
        writer.write_all(&framed).await?;
    }
    Ok(())
}

/// Reads a response and keeps what it is made of, so that a time-out loses nothing that came before it.
struct Gatherer<'a, R> {
    reader: R,
    limits: &'a Limits,
    clock: &'a Clock,
    facts: RequestFacts,
    may_send_body: watch::Sender<bool>,
    unread: BytesMut,
    reply: Reply,
}

impl<R: AsyncRead + Unpin> Gatherer<'_, R> {
    async fn gather(&mut self) -> ReplyEnd {
        loop {
            let (head, response) = match self.next_head().await {
                Ok(found) => found,
                Err(end) => return end,
            };
            self.may_send_body.send_replace(true);
            if response.is_interim {
                if self.reply.interim.len() >= self.limits.interim_max {
                    return ReplyEnd::TooLong;
                }
                self.reply.interim.push(Interim { at_ns: (self.clock)(), head });
                continue;
            }
            self.reply.head = Some(head);
            if response.is_upgrade {
                self.reply.body = self.unread.split().to_vec();
                return ReplyEnd::Upgraded;
            }
            let end = self.gather_body(response.framing).await;
            let ends_clean = end == ReplyEnd::Complete && self.unread.is_empty();
            self.reply.is_reusable = ends_clean && !response.wants_close && !self.facts.wants_close;
            return end;
        }
    }

    async fn next_head(&mut self) -> Result<(Head, ResponseFacts), ReplyEnd> {
        let mut resume_at = 0;
        self.reply.response_started_ns = None;
        loop {
            if !self.unread.is_empty() && self.reply.response_started_ns.is_none() {
                self.reply.response_started_ns = Some((self.clock)());
            }
            if !may_become_response(&self.unread) {
                return Err(self.not_understood(Unclear::NotHttp1));
            }
            match find_head_end(&self.unread, resume_at) {
                HeadEnd::Found { start, end } => {
                    let head = Head::new(self.unread.split_to(end)[start..].to_vec());
                    let facts = read_response(&head, &self.facts);
                    return facts.map(|facts| (head, facts)).map_err(|unclear| self.not_understood(unclear));
                }
                HeadEnd::Partial { resume_at: next } => resume_at = next,
            }
            if self.unread.len() > HEAD_BYTES_MAX {
                return Err(self.not_understood(Unclear::TooLong));
            }
            if self.read_more().await? == 0 {
                return Err(ReplyEnd::Cut);
            }
        }
    }

    fn not_understood(&mut self, unclear: Unclear) -> ReplyEnd {
        self.reply.body = self.unread.split().to_vec();
        ReplyEnd::Unclear(unclear)
    }

    async fn gather_body(&mut self, framing: Framing) -> ReplyEnd {
        let mut decoder = FrameDecoder::new(framing);
        loop {
            let at_ns = (self.clock)();
            let body_bytes_max = self.limits.body_bytes_max;
            let reply = &mut self.reply;
            let before = reply.body.len();
            let fed = decoder.feed(&self.unread, |piece| match piece {
                Piece::Payload(bytes) => reply.body.extend_from_slice(bytes),
                Piece::Trailers(bytes) => reply.trailers = bytes.to_vec(),
            });
            if reply.body.len() > before {
                reply.chunks.push(Chunk { offset: before as u64, at_ns });
            }
            drop(self.unread.split_to(fed));
            if decoder.is_broken() {
                return ReplyEnd::Unclear(Unclear::BadChunk);
            }
            if reply.body.len() as u64 > body_bytes_max {
                reply.body.truncate(usize::try_from(body_bytes_max).unwrap_or(usize::MAX));
                return ReplyEnd::TooLong;
            }
            if decoder.is_done() {
                return ReplyEnd::Complete;
            }
            match self.read_more().await {
                Ok(0) if decoder.may_end_here() => return ReplyEnd::Complete,
                Ok(0) => return ReplyEnd::Cut,
                Ok(_) => {}
                Err(end) => return end,
            }
        }
    }

    fn read_more(&mut self) -> impl Future<Output = Result<usize, ReplyEnd>> {
        self.unread.reserve(READ_BYTES);
        let read = tokio::time::timeout(self.limits.silence_max, self.reader.read_buf(&mut self.unread));
        async {
            match read.await {
                Ok(Ok(count)) => Ok(count),
                Ok(Err(error)) => Err(ReplyEnd::Failed(error.to_string())),
                Err(_) => Err(ReplyEnd::TimedOut),
            }
        }
    }

    fn finish(mut self, end: ReplyEnd) -> Reply {
        self.reply.ended_ns = (self.clock)();
        self.reply.end = end;
        self.reply
    }
}

#[cfg(test)]
mod tests;
