//! Carries orders from the host to the tracer beside init, and its lines back, for the bridge's end inside.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use tokio::{net::UnixStream, sync::watch};

use super::{
    control::{CONTROL_LINE_MAX, GONE},
    frame::Kind,
    link::Link,
};

/// The way to the tracer; clones share it. Without one, all orders fail.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<UnixStream>>);

impl Tracer {
    /// Over a stream of which the tracer has the other end.
    pub fn over(stream: UnixStream) -> Self {
        Self(Some(Arc::new(stream)))
    }

    /// Carries what the tracer says to the host until it says no more; `over` is then true.
    pub(super) async fn carry_lines(&self, link: &Link, over: &watch::Sender<bool>) {
        if let Some(stream) = &self.0 {
            // It ends with the tracer, whatever ended it.
            drop(read_lines(stream, |line| link.send(Kind::Told, 0, line)).await);
        }
        link.send(Kind::Told, 0, GONE.as_bytes());
        over.send_replace(true);
    }

    /// Hands an order to the tracer. One that cannot be written meets a tracer that is gone, which is told otherwise.
    pub(super) fn give(&self, order: &[u8]) {
        if let Some(stream) = &self.0 {
            let line = [order, b"\n"].concat();
            drop(stream.try_write(&line));
        }
    }
}

async fn read_lines(stream: &UnixStream, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut held = Vec::new();
    let mut piece = [0; CONTROL_LINE_MAX];
    loop {
        stream.readable().await?;
        let len = match stream.try_read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        held.extend_from_slice(&piece[..len]);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            take(&held[..end]);
            held.drain(..=end);
        }
        if held.len() > CONTROL_LINE_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
    }
}
