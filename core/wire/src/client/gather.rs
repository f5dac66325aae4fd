//! The receiving half: a response in its parts, with times, and how it ended.

use std::sync::Arc;

use bytes::BytesMut;
use exchange::{Chunk, Head, Interim};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::watch,
};

use super::{Clock, Limits, Reply, ReplyEnd, room::Taken};
use crate::{
    framing::{FrameDecoder, Piece},
    head::{
        Framing, HEAD_BYTES_MAX, HeadEnd, RequestFacts, ResponseFacts, Unclear, find_head_end, may_become_response,
        read_response,
    },
};

/// Bytes asked of the stream at once.
const READ_BYTES: usize = 64 << 10;

/// Reads a response and keeps what it is made of, so that a time-out loses nothing that came before it.
pub(super) struct Gatherer<'a, R> {
    pub(super) reader: R,
    pub(super) limits: &'a Limits,
    pub(super) clock: &'a Clock,
    pub(super) facts: RequestFacts,
    pub(super) may_send_body: watch::Sender<bool>,
    unread: BytesMut,
    pub(super) reply: Reply,
    taken: Option<Taken>,
}

impl<'a, R: AsyncRead + Unpin> Gatherer<'a, R> {
    pub(super) fn new(
        reader: R,
        limits: &'a Limits,
        clock: &'a Clock,
        facts: RequestFacts,
        may_send_body: watch::Sender<bool>,
    ) -> Self {
        let taken = limits.room.clone().map(Taken::none_of);
        Self { reader, limits, clock, facts, may_send_body, unread: BytesMut::new(), reply: Reply::default(), taken }
    }

    pub(super) async fn gather(&mut self) -> ReplyEnd {
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

    pub(super) async fn gather_body(&mut self, framing: Framing) -> ReplyEnd {
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
                // What says when it came takes memory as well.
                let more = reply.body.len() - before + size_of::<Chunk>();
                if self.taken.as_mut().is_some_and(|taken| !taken.more(more as u64)) {
                    reply.body.truncate(before);
                    return ReplyEnd::TooLong;
                }
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

    pub(super) fn finish(mut self, end: ReplyEnd) -> Reply {
        self.reply.ended_ns = (self.clock)();
        self.reply.end = end;
        self.reply.taken = self.taken.map(Arc::new);
        self.reply
    }
}
