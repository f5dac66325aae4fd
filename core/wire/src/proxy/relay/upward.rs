//! A request on its way to the upstream, and an eye on the client while it waits for its answer.

use std::io;

use exchange::Transport;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest},
    net::TcpStream,
    sync::watch,
};

use super::Sent;
use crate::{
    framing::{FrameDecoder, Piece},
    head::Framing,
    proxy::flow::{Flow, READ_BYTES_MAX, keep_asking},
    tee::GuardedTap,
};

/// The way from the client to the upstream.
pub(super) struct Upward<'a, C, W> {
    pub(super) client: C,
    /// The client's socket.
    pub(super) tcp: &'a TcpStream,
    pub(super) upstream: W,
    pub(super) flow: &'a mut Flow,
    pub(super) tap: &'a GuardedTap,
    pub(super) sent: watch::Sender<Sent>,
}

impl<C: AsyncRead + Unpin, W: AsyncWrite + Unpin> Upward<'_, C, W> {
    /// Passes the request on, then watches the client. Returns when the client is gone.
    pub(super) async fn run(&mut self, mut decoder: FrameDecoder) {
        match self.send(&mut decoder).await {
            Ok(sent) => {
                self.sent.send_replace(sent);
                self.watch(sent).await;
            }
            Err(_) => keep_asking(self.tcp),
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
                keep_asking(self.tcp);
                // Whether it is the error or the waiting that failed: the connection is of no more use.
                self.tcp.ready(Interest::ERROR).await.ok();
                return;
            }
            if self.flow.read_from(&mut self.client).await.is_err() {
                return;
            }
        }
    }
}
