//! Bytes both ways until both sides have ended: upgrades, tunnels, and whatever is not clearly HTTP/1.x.

use std::io;

use exchange::End;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    client::Client,
    flow::{Flow, end_when_dropped, reset_when_dropped},
};
use crate::{Stream, Tap, tee::GuardedTap};

/// How one direction ended.
enum Ended {
    Clean,
    ReaderFailed,
    WriterFailed,
}

/// Passes bytes both ways until both sides have ended or one has failed; says how, as the client's exchange sees it.
///
/// Until a direction has ended, the kernel resets the connection it writes to if the process is killed: without framing, an
/// end could not be told from a cut.
pub(super) async fn pump(
    tcp: &TcpStream,
    client: &mut Client,
    upstream: &mut Stream,
    from_client: &mut Flow,
    from_upstream: &mut Flow,
    tap: &GuardedTap,
) -> End {
    reset_when_dropped(tcp);
    reset_when_dropped(upstream.tcp());
    let (upward, downward) = {
        let (mut client_reader, mut client_writer) = tokio::io::split(client);
        let (mut upstream_reader, mut upstream_writer) = tokio::io::split(&mut *upstream);
        let upward = pass(&mut client_reader, &mut upstream_writer, from_client, |bytes| {
            tap.tell(|tap| tap.request_body(bytes))
        });
        let mut has_started = false;
        let downward = pass(&mut upstream_reader, &mut client_writer, from_upstream, |bytes| {
            tap.tell(|tap| tell_response(tap, bytes, &mut has_started));
        });
        both(upward, downward, || tap.tell(|tap| tap.request_end(b""))).await
    };
    let end = match (upward, downward) {
        (Some(Ended::ReaderFailed), _) | (_, Some(Ended::WriterFailed)) => End::ClientGone,
        (_, Some(Ended::Clean)) => End::Complete,
        _ => End::UpstreamReset,
    };
    if end == End::Complete {
        end_when_dropped(tcp);
        end_when_dropped(upstream.tcp());
    }
    end
}

fn tell_response(tap: &mut dyn Tap, bytes: &[u8], has_started: &mut bool) {
    if !std::mem::replace(has_started, true) {
        tap.response_started();
    }
    tap.response_body(bytes);
}

/// Waits for both directions, or for the first that fails. A client that ended its side while the server had not is told of:
/// who hangs up first is part of what a protocol says.
async fn both(
    upward: impl Future<Output = Ended>,
    downward: impl Future<Output = Ended>,
    client_ended_first: impl FnOnce(),
) -> (Option<Ended>, Option<Ended>) {
    let (mut upward, mut downward) = (std::pin::pin!(upward), std::pin::pin!(downward));
    let (mut up, mut down) = (None, None);
    let mut client_ended_first = Some(client_ended_first);
    while up.is_none() || down.is_none() {
        tokio::select! {
            ended = &mut upward, if up.is_none() => up = Some(ended),
            ended = &mut downward, if down.is_none() => down = Some(ended),
        }
        let failed = |ended: &Option<Ended>| matches!(ended, Some(Ended::ReaderFailed | Ended::WriterFailed));
        if failed(&up) || failed(&down) {
            break;
        }
        if let (Some(Ended::Clean), None) = (&up, &down)
            && let Some(tell) = client_ended_first.take()
        {
            tell();
        }
    }
    (up, down)
}

async fn pass(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    flow: &mut Flow,
    mut tell: impl FnMut(&[u8]),
) -> Ended {
    loop {
        if !flow.unread.is_empty() {
            tell(&flow.unread);
            flow.pass_on(flow.unread.len());
        }
        if flow.write_to(writer).await.is_err() {
            return Ended::WriterFailed;
        }
        let read: io::Result<usize> = if flow.at_end { Ok(0) } else { flow.read_from(reader).await };
        match read {
            Ok(0) => return if writer.shutdown().await.is_ok() { Ended::Clean } else { Ended::WriterFailed },
            Ok(_) => {}
            Err(_) => return Ended::ReaderFailed,
        }
    }
}
