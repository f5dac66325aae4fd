//! Sends one recorded request over a stream and gathers what comes back, with the time of every chunk.
//!
//! In: the head as it was recorded and the body's payload. Out: the same head bytes, the body framed as the head says, and
//! a [`Reply`] that says how it ended. Which stream, which secrets and what the answer means are the caller's.

mod gather;
mod room;
mod send;

use std::{sync::Arc, time::Duration};

use exchange::{Chunk, Head, Interim};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::watch,
};

pub use self::room::Room;
use self::{gather::Gatherer, room::Taken, send::send};
use crate::head::{Framing, RequestFacts, Unclear, read_request};

/// A clock of nanoseconds since the session's or run's start.
pub type Clock = dyn Fn() -> u64 + Send + Sync;

/// Limits on one exchange.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body gathered, in bytes of payload.
    pub body_bytes_max: u64,
    /// What the bodies of all replies that share it may have at once, for as long as these are held; `None` for no such limit.
    pub room: Option<Room>,
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
            room: None,
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
    /// Its part of a room that it shares.
    taken: Option<Arc<Taken>>,
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

impl Reply {
    /// Nothing, by this moment.
    pub fn none_by(ended_ns: u64) -> Self {
        Self { ended_ns, ..Self::default() }
    }
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
    let mut gatherer = Gatherer::new(reader, limits, clock, facts, may_send_body);
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
    let mut gatherer = Gatherer::new(reader, limits, clock, facts, may_send_body);
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

#[cfg(test)]
mod tests;
