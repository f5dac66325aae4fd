//! The client's side of a connection: its socket, perhaps with TLS on it that ends here.
//!
//! The socket is shared, so that its options can be set, and its errors waited for, while both directions are in use.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::ca::TlsStream;

/// What the client says, and is told.
pub(super) enum Client {
    /// As it is on the socket.
    Plain(Socket),
    /// Inside of its TLS.
    Tls(Box<TlsStream<Socket>>),
}

/// A socket, and what was read from it before it was known what that is.
pub(super) struct Socket {
    tcp: Arc<TcpStream>,
    read_ahead: BytesMut,
}

impl Socket {
    pub(super) fn new(tcp: Arc<TcpStream>) -> Self {
        Self { tcp, read_ahead: BytesMut::new() }
    }

    /// A socket of which these bytes were read already.
    pub(super) fn with(tcp: Arc<TcpStream>, read_ahead: BytesMut) -> Self {
        Self { tcp, read_ahead }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if !socket.read_ahead.is_empty() {
            let count = socket.read_ahead.len().min(into.remaining());
            into.put_slice(&socket.read_ahead[..count]);
            socket.read_ahead.advance(count);
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(socket.tcp.poll_read_ready(context))?;
            match socket.tcp.try_read_buf(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(context))?;
            match self.tcp.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match shutdown(&*self.tcp, Shutdown::Write) {
            // It has ended already.
            Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            ended => Poll::Ready(ended.map_err(io::Error::from)),
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, into),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}
