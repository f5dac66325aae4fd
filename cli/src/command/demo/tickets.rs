//! Sends the first recorded tickets again, a few at a time, as any client would.

use std::sync::Arc;

use bundle::Archive;
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpStream;
use wire::client::{Clock, Limits, Outgoing, exchange};

use crate::trouble::Trouble;

/// How many are in flight at once.
const IN_FLIGHT: usize = 4;

/// Largest ticket, in bytes.
const TICKET_BYTES_MAX: u64 = 1 << 20;

/// Sends the first `count` recorded requests to a port; gives how many were answered with 200.
pub(super) async fn send(archive: &Archive, port: u16, count: usize, clock: &Clock) -> Result<usize, Trouble> {
    let mut requests = Vec::new();
    for entry in archive.entries().iter().filter(|entry| entry.dependency.is_none()).take(count) {
        let recorded = archive.exchange(&entry.id)?;
        let body = archive.body(&recorded.request.body, TICKET_BYTES_MAX)?;
        requests.push((recorded.request.head.bytes, body));
    }
    let requests = Arc::new(requests);
    let answered = stream::iter(0..requests.len())
        .map(|at| {
            let requests = Arc::clone(&requests);
            async move {
                let (head, body) = &requests[at];
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                let request = Outgoing { head, body: &[body], trailers: b"", is_whole: true };
                let reply = exchange(&mut stream, request, &Limits::default(), clock).await;
                let status = reply.head.as_ref().and_then(|head| head.status_line()).map(|line| line.status);
                Ok::<_, std::io::Error>(status == Some(200))
            }
        })
        .buffered(IN_FLIGHT)
        .collect::<Vec<_>>()
        .await;
    let mut count = 0;
    for answer in answered {
        count += usize::from(answer?);
    }
    Ok(count)
}
