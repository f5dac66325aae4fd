//! Plays a recorded dependency that speaks no HTTP on one connection.
//!
//! In: a stream, and what the service says on it. Out: the server's recorded greeting, and for each recorded turn its
//! recorded answer, as soon as the turn is whole. What was not recorded ends the connection, with an error where Redis is
//! spoken; otherwise it breaks off, since nothing is known of how its protocol says no. Which turn answers is `matching`'s to find; what is held for that is bounded by what was recorded.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use content::redact::spoken::Spoken;
use exchange::{Chunk, End};
use matching::conversation::Caller;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};
use wire::{client::Clock, server::Served};

use crate::{
    answer::{
        Answerer,
        turns::{Conversed, Next},
    },
    connections::Ending,
};

/// How long what may be the beginning of a credential is held while nothing more comes. A choice: far above the pauses
/// within one message, far below what a person waits for.
const CREDENTIAL_PATIENCE: Duration = Duration::from_millis(50);

/// How long the rest of a turn is waited for. A choice: twice the silence that ends a recorded turn.
const TURN_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes asked of the stream at once.
const READ_BYTES: usize = 64 << 10;

/// Answers that wait for a service that does not read them; it is not read either while there are more. A choice: above
/// the longest pipelines that clients send.
const WAITING_MAX: usize = 1 << 16;

/// Most bytes of a connection that the run keeps, each way. A choice.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Most pieces that the run lists of a connection, each way: as many as a capture does.
const CHUNKS_MAX: usize = 32_768;

/// Answers one connection until either side ends it.
///
/// # Errors
/// The stream's own.
pub(crate) async fn converse<S>(stream: S, name: &str, answerer: &Arc<Answerer>, clock: &Clock) -> io::Result<Served<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut talk = Talk::begin(answerer, name, clock);
    let mut read = BytesMut::with_capacity(READ_BYTES);
    loop {
        if talk.waiting.is_empty() {
            writer.flush().await?;
            match talk.over {
                Some(Over::Broken) => return Ok(Served::ToBeReset(reader.unsplit(writer))),
                Some(Over::Closed) => {
                    writer.shutdown().await?;
                    return Ok(Served::Clean);
                }
                None => {}
            }
        }
        let deadline = talk.deadline();
        let front = talk.waiting.front().cloned().unwrap_or_default();
        tokio::select! {
            written = writer.write(&front), if !front.is_empty() => talk.wrote(written?),
            came = reader.read_buf(&mut read), if talk.listens() => match came? {
                0 => talk.ended(),
                _ => talk.hears(&read.split()),
            },
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => talk.silence(),
        }
        read.reserve(READ_BYTES);
    }
}

/// How a connection is over, once what waits is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Closed,
    Broken,
}

/// One connection, and what is kept of it for the run.
struct Talk<'a> {
    answerer: &'a Answerer,
    name: &'a str,
    clock: &'a Clock,
    caller: Caller,
    spoken: Spoken,
    waiting: VecDeque<Bytes>,
    over: Option<Over>,
    last_heard: Instant,
    said: Kept,
    answered: Kept,
    started_ns: u64,
}

impl<'a> Talk<'a> {
    fn begin(answerer: &'a Answerer, name: &'a str, clock: &'a Clock) -> Self {
        let (caller, first) = answerer.connected(name);
        let mut talk = Self {
            answerer,
            name,
            clock,
            caller,
            spoken: Spoken::default(),
            waiting: VecDeque::new(),
            over: None,
            last_heard: Instant::now(),
            said: Kept::default(),
            answered: Kept::default(),
            started_ns: clock(),
        };
        talk.take(first);
        talk
    }

    /// True while more is to be read.
    fn listens(&self) -> bool {
        self.over.is_none() && self.waiting.len() < WAITING_MAX
    }

    /// When something is to be done though nothing comes.
    fn deadline(&self) -> Option<Instant> {
        let patience = match (self.over, self.spoken.holds(), self.caller.pending().is_empty()) {
            (None, true, _) => CREDENTIAL_PATIENCE,
            (None, false, false) => TURN_PATIENCE,
            _ => return None,
        };
        Some(self.last_heard + patience)
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.last_heard = Instant::now();
        let said = self.spoken.hear(bytes).masked();
        self.says(said);
        self.answer(false);
    }

    /// Nothing came for a while.
    fn silence(&mut self) {
        let held = self.spoken.holds();
        self.flush();
        self.answer(!held);
    }

    /// The service says nothing more.
    fn ended(&mut self) {
        self.flush();
        self.answer(true);
        self.over.get_or_insert(Over::Closed);
    }

    fn flush(&mut self) {
        let said = self.spoken.flush().masked();
        self.says(said);
    }

    fn says(&mut self, said: Vec<u8>) {
        let said = self.answerer.takes(&mut self.caller, said);
        self.said.add(&said, (self.clock)());
    }

    fn answer(&mut self, at_last: bool) {
        while self.over.is_none() {
            let next = self.answerer.next(self.name, &mut self.caller, at_last);
            if next == Next::Listen {
                return;
            }
            self.take(next);
        }
    }

    fn take(&mut self, next: Next) {
        let (answer, over) = match next {
            Next::Say(answer) => (answer, None),
            Next::SayAndEnd(answer, Ending::Breaks) => (answer, Some(Over::Broken)),
            Next::SayAndEnd(answer, _) => (answer, Some(Over::Closed)),
            Next::Listen => return,
            Next::Miss(words) if words.is_empty() => (words, Some(Over::Broken)),
            Next::Miss(words) => (words, Some(Over::Closed)),
        };
        self.over = over;
        self.answered.add(&answer, (self.clock)());
        if !answer.is_empty() {
            self.waiting.push_back(answer);
        }
    }

    fn wrote(&mut self, count: usize) {
        if let Some(front) = self.waiting.front_mut() {
            drop(front.split_to(count.min(front.len())));
            if front.is_empty() {
                self.waiting.pop_front();
            }
        }
    }
}

/// However it ends, the run has it.
impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.answerer.conversed(Conversed {
            dependency: self.name,
            original: self.answerer.followed(&self.caller),
            said: &self.said.bytes,
            said_len: self.said.len,
            said_chunks: std::mem::take(&mut self.said.chunks),
            answered: &self.answered.bytes,
            answered_len: self.answered.len,
            answered_chunks: std::mem::take(&mut self.answered.chunks),
            started_ns: self.started_ns,
            end: match self.over {
                Some(Over::Broken) => End::UpstreamReset,
                Some(Over::Closed) => End::Complete,
                None => End::ClientGone,
            },
        });
    }
}

/// One direction as the run keeps it.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    len: u64,
    chunks: Vec<Chunk>,
}

impl Kept {
    fn add(&mut self, bytes: &[u8], at_ns: u64) {
        if bytes.is_empty() {
            return;
        }
        if self.chunks.len() < CHUNKS_MAX {
            self.chunks.push(Chunk { offset: self.len, at_ns });
        }
        let room = KEPT_BYTES_MAX - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.len += bytes.len() as u64;
    }
}
