//! Carries bytes between a TCP connection and a stream of the bridge, both ways, until both ways have ended.

use std::{future::poll_fn, io, sync::Arc};

use bytes::Buf as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use super::stream::BridgeStream;

/// Read from TCP in one go, in bytes. A choice: one busy connection's worth, times two thousand still affordable.
const READ_LEN: usize = 16 * 1024;

/// How many connections may still have something to say to the host.
#[derive(Clone)]
pub(super) struct Speaking(Arc<watch::Sender<usize>>);

impl Speaking {
    pub(super) fn none() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Counts one more, until the guard is dropped.
    pub(super) fn begin(&self) -> SpeakingGuard {
        self.0.send_modify(|count| *count += 1);
        SpeakingGuard(self.clone())
    }

    /// Waits until all have said what they had to say.
    pub(super) async fn silent(&self) {
        // It cannot fail: we hold the sender.
        drop(self.0.subscribe().wait_for(|count| *count == 0).await);
    }
}

/// One connection that may still have something to say.
pub(super) struct SpeakingGuard(Speaking);

impl Drop for SpeakingGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// Carries until both directions have ended; a reset on one side becomes a reset on the other.
pub(super) async fn carry(mut tcp: TcpStream, stream: BridgeStream, speaking: SpeakingGuard) {
    let (from_tcp, to_tcp) = tcp.split();
    let speaks = async {
        let _speaking = speaking;
        inward(from_tcp, &stream).await
    };
    let carried = tokio::try_join!(speaks, outward(&stream, to_tcp));
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
