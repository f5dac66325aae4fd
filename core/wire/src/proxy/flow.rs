//! The bytes of one direction between the socket they come from and the one they go to.
//!
//! Nothing is lost when a future that moves them is dropped half way: what was read and not understood yet is in `unread`,
//! what was not yet written in `pending`.

use std::{io, time::Duration};

use bytes::BytesMut;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::framing::{FrameDecoder, Piece};

/// Bytes asked for at once from a connection that is quiet, so that ten thousand idle ones take 80 MB. A choice.
const READ_BYTES_MIN: usize = 8 << 10;

/// Bytes asked for at once from a busy connection, and what is held at most of a direction whose other end does not read.
pub(super) const READ_BYTES_MAX: usize = 64 << 10;

/// How long a client that ended its side must be silent before it is asked whether it is still there, and between questions.
///
/// The kernel of a client that is gone answers with a reset once it has forgotten the connection: Linux does after
/// `tcp_fin_timeout`, 60 s. One that only ended its side acknowledges.
const STILL_THERE_AFTER: Duration = Duration::from_secs(30);

/// One direction.
#[derive(Debug)]
pub(super) struct Flow {
    /// Read and not yet understood.
    pub(super) unread: BytesMut,
    /// Understood and not yet written.
    pub(super) pending: BytesMut,
    /// True when the side it comes from has ended.
    pub(super) at_end: bool,
    read_bytes: usize,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { unread: BytesMut::new(), pending: BytesMut::new(), at_end: false, read_bytes: READ_BYTES_MIN }
    }

    /// Reads once; 0 is the end. Loses nothing when dropped.
    pub(super) async fn read_from(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.unread.reserve(self.read_bytes);
        let room = self.unread.capacity() - self.unread.len();
        let count = reader.read_buf(&mut self.unread).await?;
        if count == room {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        self.at_end = count == 0;
        Ok(count)
    }

    /// Moves what the decoder understands from `unread` to `pending`, as it is.
    pub(super) fn decode(&mut self, decoder: &mut FrameDecoder, on_piece: impl FnMut(Piece<'_>)) {
        let used = decoder.feed(&self.unread, on_piece);
        self.pass_on(used);
    }

    /// Moves the first `count` bytes of `unread` to `pending`.
    pub(super) fn pass_on(&mut self, count: usize) {
        let passed = self.unread.split_to(count);
        if self.pending.is_empty() {
            self.pending = passed;
        } else {
            self.pending.extend_from_slice(&passed);
        }
    }

    /// Writes all of `pending`. What was not written when it fails or is dropped is still there.
    pub(super) async fn write_to(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        writer.write_all_buf(&mut self.pending).await?;
        // Lets `unread` have its memory back: both are views of one buffer.
        self.pending = BytesMut::new();
        writer.flush().await
    }

    /// Gives memory back between two exchanges.
    pub(super) fn rest(&mut self) {
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
            self.read_bytes = READ_BYTES_MIN;
        }
    }
}

/// From now on the kernel resets the connection when the socket goes away, even when the whole process does.
pub(super) fn reset_when_dropped(tcp: &TcpStream) {
    // A socket that refuses is one that is gone already.
    sockopt::set_socket_linger(tcp, Some(Duration::ZERO)).ok();
}

/// Takes back [`reset_when_dropped`]: what was written is delivered, then the end.
pub(super) fn end_when_dropped(tcp: &TcpStream) {
    sockopt::set_socket_linger(tcp, None).ok();
}

/// Has the kernel ask from time to time whether the other side is still there.
pub(super) fn keep_asking(tcp: &TcpStream) {
    // Without it a client that is gone is noticed when something is written to it.
    sockopt::set_tcp_keepidle(tcp, STILL_THERE_AFTER).ok();
    sockopt::set_tcp_keepintvl(tcp, STILL_THERE_AFTER).ok();
    sockopt::set_socket_keepalive(tcp, true).ok();
}
