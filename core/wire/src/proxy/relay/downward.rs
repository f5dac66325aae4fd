//! A response on its way to the client.

use std::io;

use exchange::Head;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::Received;
use crate::{
    edit::reframe_as_chunked,
    framing::{FrameDecoder, LAST_CHUNK, Piece, write_chunk},
    head::{Framing, HeadEnd, RequestFacts, ResponseFacts, find_head_end, may_become_response, read_response},
    proxy::flow::{Flow, end_when_dropped, reset_when_dropped},
    tee::GuardedTap,
};

/// The way from the upstream to the client.
pub(super) struct Downward<'a, R, C> {
    pub(super) upstream: R,
    pub(super) client: C,
    /// The client's socket.
    pub(super) tcp: &'a TcpStream,
    pub(super) flow: &'a mut Flow,
    pub(super) tap: &'a GuardedTap,
    pub(super) facts: &'a RequestFacts,
    pub(super) head_bytes_max: usize,
}

impl<R: AsyncRead + Unpin, C: AsyncWrite + Unpin> Downward<'_, R, C> {
    pub(super) async fn run(&mut self) -> Received {
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
                    reset_when_dropped(self.tcp);
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
        end_when_dropped(self.tcp);
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
    pub(super) async fn more(&mut self) {
        match self.flow.read_from(&mut self.upstream).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => self.flow.at_end = true,
        }
    }
}
