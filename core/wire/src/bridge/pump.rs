//! Carries bytes between a TCP connection and a stream of the bridge, both ways, until both ways have ended.

use std::{future::poll_fn, io};

use bytes::Buf as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
};

use super::stream::BridgeStream;

/// Read from TCP in one go, in bytes. A choice: one busy connection's worth, times two thousand still affordable.
const READ_LEN: usize = 16 * 1024;

/// Carries until both directions have ended; a reset on one side becomes a reset on the other.
pub(super) async fn carry(mut tcp: TcpStream, stream: BridgeStream) {
    let (from_tcp, to_tcp) = tcp.split();
    let carried = tokio::try_join!(inward(from_tcp, &stream), outward(&stream, to_tcp));
    if carried.is_err() {
        stream.send_reset();
        // Without it the kernel would end the connection as if all had been said. It can only fail for a
        // connection that is already gone.
        tcp.set_zero_linger().unwrap_or_default();
    }
}

/// From the TCP connection into the bridge.
async fn inward(mut tcp: ReadHalf<'_>, stream: &BridgeStream) -> io::Result<()> {
    let mut buffer = vec![0; READ_LEN];
    loop {
        let len = tcp.read(&mut buffer).await?;
        if len == 0 {
            stream.end();
            return Ok(());
        }
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            let put = poll_fn(|context| stream.poll_put(context, rest)).await?;
            rest.advance(put);
        }
    }
}

/// Out of the bridge into the TCP connection.
async fn outward(stream: &BridgeStream, mut tcp: WriteHalf<'_>) -> io::Result<()> {
    loop {
        let taken = poll_fn(|context| stream.poll_take(context)).await?;
        if taken.is_empty() {
            return tcp.shutdown().await;
        }
        tcp.write_all(&taken).await?;
    }
}
