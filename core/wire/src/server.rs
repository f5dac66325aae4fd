//! Serves HTTP/1.1 over any stream with answers that are bytes and times: how recorded answers are played.
//!
//! In: a stream and a [`Handler`]. Out: each request's head and body to the handler, its answer to the stream, head bytes as
//! they were recorded, payload framed as that head says, each piece no earlier than its time. Choosing the answer is the
//! handler's, listening and resetting are the caller's.

use std::{any::Any, fmt, future::Future, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use exchange::{Chunk, Head, Transport};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

use crate::{
    client::Clock,
    framing::{FrameDecoder, Piece, write_chunk, write_last_chunk},
    head::{
        Framing, HEAD_BYTES_MAX, HeadEnd, RequestFacts, ResponseFacts, find_head_end, may_become_request, read_request,
        read_response,
    },
};

/// Bytes asked of the stream at once.
const READ_BYTES: usize = 64 << 10;

/// What a request is answered with.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Heads of informational responses that go first.
    pub interim: Vec<Head>,
    /// The head's bytes, sent as they are; empty for the answer to a raw stream.
    pub head: Vec<u8>,
    /// How long after the request was read the head is sent at the earliest.
    pub starts: Duration,
    /// The payload in pieces, each sent no earlier than this long after the request was read.
    pub pieces: Vec<(Duration, Bytes)>,
    /// Trailer fields with their final blank line, or nothing.
    pub trailers: Vec<u8>,
    /// How the answer stops short after its pieces.
    pub cut: Option<Cut>,
    /// How long after the request was read it ends, or stops short, at the earliest; where its last byte is its end, that is
    /// when it ends.
    pub ends: Duration,
    /// Let go of once the answer was handed to the stream, or could not be.
    pub hold: Hold,
}

/// Something whose end tells its owner that an answer is through.
#[derive(Clone, Default)]
pub struct Hold(Option<Arc<dyn Any + Send + Sync>>);

impl Hold {
    /// Holds `thing` until the answer is through.
    pub fn new(thing: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(thing)))
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "held" } else { "nothing" })
    }
}

/// How an answer stops short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The connection breaks off.
    Reset,
    /// Nothing more comes until the other side goes.
    Hang,
}

/// A request, or what came instead of one.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// HTTP/1.x, or raw bytes whose head is empty and whose body is what was read so far.
    pub transport: Transport,
    /// The head as on the socket.
    pub head: Head,
    /// The body's payload, content-encoding included; its beginning when it was longer than the limit.
    pub body: Vec<u8>,
    /// What one read delivered, and when.
    pub chunks: Vec<Chunk>,
    /// Trailer fields with their final blank line, or nothing.
    pub trailers: Vec<u8>,
    /// How many bytes of payload there were.
    pub body_len: u64,
    /// True when the whole request came, whether or not all of it was kept.
    pub is_whole: bool,
    /// When its first byte was read.
    pub started_ns: u64,
    /// When its last byte was read.
    pub ended_ns: u64,
}

/// Gives the answers.
pub trait Handler: Send + Sync + 'static {
    /// The answer to `incoming`.
    fn answer(&self, incoming: Incoming) -> impl Future<Output = Answer> + Send;

    /// Told when the answer to a request was handed to the stream, or could not be.
    fn answered(&self, _delivered: bool) {}
}

/// How a stream ended that was served.
#[derive(Debug)]
pub enum Served<S> {
    /// Both sides were through with it.
    Clean,
    /// An answer was to break off: the stream is given back to be reset, which only its owner knows how to do.
    ToBeReset(S),
}

/// Serves requests from `stream` one after another until either side ends it. Bodies are kept up to `body_bytes_max` bytes.
///
/// # Errors
/// The stream's own error when it fails between two requests or while one is read or answered.
pub async fn serve_stream<S, H>(stream: S, handler: Arc<H>, body_bytes_max: u64, clock: &Clock) -> io::Result<Served<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    let mut connection = Connection { stream, unread: BytesMut::new(), body_bytes_max, clock };
    loop {
        let Some((incoming, facts)) = connection.next_request().await? else {
            connection.stream.shutdown().await?;
            return Ok(Served::Clean);
        };
        let received = Instant::now();
        let may_go_on = incoming.is_whole && facts.is_some_and(|facts| !facts.wants_close);
        let answer = handler.answer(incoming).await;
        let sent = connection.send(&answer, facts.as_ref(), received).await;
        drop(answer);
        handler.answered(sent.is_ok());
        match sent? {
            After::Next if may_go_on => {}
            After::Next | After::Close => {
                connection.close().await?;
                return Ok(Served::Clean);
            }
            After::Reset => return Ok(Served::ToBeReset(connection.stream)),
        }
    }
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Next,
    Close,
    Reset,
}

fn after(answer: &Answer, facts: Option<ResponseFacts>, framing: Framing, sent_len: u64) -> After {
    // A recording that kept less, or more, than its head promises cannot be ended cleanly.
    let breaks_promise = matches!(framing, Framing::Length(promised) if promised != sent_len);
    match answer.cut {
        Some(Cut::Hang | Cut::Reset) => After::Reset,
        None if breaks_promise => After::Reset,
        None if framing == Framing::UntilClose || facts.is_none_or(|facts| facts.wants_close) => After::Close,
        None => After::Next,
    }
}

struct Connection<'a, S> {
    stream: S,
    unread: BytesMut,
    body_bytes_max: u64,
    clock: &'a Clock,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// The next request, with its facts where it is one of HTTP/1.x; `None` at the stream's end.
    async fn next_request(&mut self) -> io::Result<Option<(Incoming, Option<RequestFacts>)>> {
        let mut resume_at = 0;
        let mut started_ns = None;
        loop {
            if !self.unread.is_empty() && started_ns.is_none() {
                started_ns = Some((self.clock)());
            }
            let started = started_ns.unwrap_or_default();
            match find_head_end(&self.unread, resume_at) {
                HeadEnd::Found { start, end } => {
                    let head = Head::new(&self.unread[start..end]);
                    let Ok(facts) = read_request(&head) else { return Ok(Some((self.take_raw(started), None))) };
                    drop(self.unread.split_to(end));
                    let incoming = self.read_body(head, &facts, started).await?;
                    return Ok(Some((incoming, Some(facts))));
                }
                HeadEnd::Partial { resume_at: next } => resume_at = next,
            }
            if !may_become_request(&self.unread) || self.unread.len() > HEAD_BYTES_MAX {
                return Ok(Some((self.take_raw(started), None)));
            }
            if self.read_more().await? == 0 {
                let only_blank = self.unread.iter().all(u8::is_ascii_whitespace);
                return Ok((!only_blank).then(|| (self.take_raw(started), None)));
            }
        }
    }

    fn take_raw(&mut self, started_ns: u64) -> Incoming {
        let body = self.unread.split().to_vec();
        Incoming {
            transport: Transport::Raw,
            head: Head::default(),
            body_len: body.len() as u64,
            chunks: vec![Chunk { offset: 0, at_ns: started_ns }],
            body,
            trailers: Vec::new(),
            is_whole: false,
            started_ns,
            ended_ns: (self.clock)(),
        }
    }

    async fn read_body(&mut self, head: Head, facts: &RequestFacts, started_ns: u64) -> io::Result<Incoming> {
        if facts.expects_continue && facts.framing != Framing::None {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            self.stream.flush().await?;
        }
        let mut decoder = FrameDecoder::new(facts.framing);
        let mut incoming = Incoming {
            transport: Transport::Http1,
            head,
            body: Vec::new(),
            chunks: Vec::new(),
            trailers: Vec::new(),
            body_len: 0,
            is_whole: false,
            started_ns,
            ended_ns: started_ns,
        };
        loop {
            let at_ns = (self.clock)();
            let before = incoming.body_len;
            let fed = decoder.feed(&self.unread, |piece| incoming.take(piece, self.body_bytes_max));
            if incoming.body_len > before {
                incoming.chunks.push(Chunk { offset: before, at_ns });
            }
            incoming.ended_ns = at_ns;
            drop(self.unread.split_to(fed));
            incoming.is_whole = decoder.is_done();
            if incoming.is_whole || decoder.is_broken() || self.read_more().await? == 0 {
                return Ok(incoming);
            }
        }
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        self.unread.reserve(READ_BYTES);
        self.stream.read_buf(&mut self.unread).await
    }

    async fn send(&mut self, answer: &Answer, request: Option<&RequestFacts>, received: Instant) -> io::Result<After> {
        for interim in &answer.interim {
            self.stream.write_all(&interim.bytes).await?;
        }
        let facts = request.and_then(|request| read_response(&Head::new(answer.head.as_slice()), request).ok());
        let framing = match facts {
            Some(ResponseFacts { is_upgrade: true, .. }) | None => Framing::UntilClose,
            Some(facts) => facts.framing,
        };
        let mut sent_len = 0;
        let mut bytes = Vec::new();
        self.wait_until(received, answer.starts, &mut bytes).await?;
        bytes.extend_from_slice(&answer.head);
        for (not_before, payload) in &answer.pieces {
            self.wait_until(received, *not_before, &mut bytes).await?;
            if framing == Framing::None {
                break;
            }
            match framing {
                Framing::Chunked => write_chunk(&mut bytes, payload),
                _ => bytes.extend_from_slice(payload),
            }
            sent_len += payload.len() as u64;
            self.write_out(&mut bytes).await?;
        }
        let after = after(answer, facts, framing, sent_len);
        // Where nothing is left to be sent, the other side has it whole and may go on.
        if after != After::Next || framing == Framing::Chunked {
            self.wait_until(received, answer.ends, &mut bytes).await?;
        }
        if framing == Framing::Chunked && answer.cut.is_none() {
            write_last_chunk(&mut bytes, &answer.trailers);
        }
        self.write_out(&mut bytes).await?;
        if answer.cut == Some(Cut::Hang) {
            self.wait_until_gone().await;
        }
        Ok(after)
    }

    /// Waits for what is left of `not_before` since the request was read; what there is to be sent goes first.
    async fn wait_until(&mut self, received: Instant, not_before: Duration, bytes: &mut Vec<u8>) -> io::Result<()> {
        let left = not_before.saturating_sub(received.elapsed());
        if !left.is_zero() {
            self.stream.flush().await?;
            self.write_out(bytes).await?;
            tokio::time::sleep(left).await;
        }
        Ok(())
    }

    async fn write_out(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if !bytes.is_empty() {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await?;
            bytes.clear();
        }
        Ok(())
    }

    /// Reads and drops until the other side ends or fails.
    async fn wait_until_gone(&mut self) {
        loop {
            self.unread.clear();
            match self.read_more().await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Ends our side, then takes what the other side still sends for a moment, so that it is not reset before it has read.
    async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        // The other side's silence is as good as its end here.
        drop(tokio::time::timeout(LINGER, self.wait_until_gone()).await);
        Ok(())
    }
}

/// How long what still comes is read after our side has ended. nginx's `lingering_timeout` waits 5 s for more; a choice.
const LINGER: Duration = Duration::from_secs(2);

impl Incoming {
    fn take(&mut self, piece: Piece<'_>, body_bytes_max: u64) {
        match piece {
            Piece::Payload(bytes) => {
                self.body_len += bytes.len() as u64;
                let room = body_bytes_max.saturating_sub(self.body.len() as u64);
                let kept = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
                self.body.extend_from_slice(&bytes[..kept]);
            }
            Piece::Trailers(bytes) => self.trailers = bytes.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests;
