//! The sending half: a recorded request, framed as its head says.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::watch,
};

use super::Outgoing;
use crate::{
    framing::{write_chunk, write_last_chunk},
    head::Framing,
};

/// How long a request that expects `100 Continue` waits for it before its body is sent all the same. RFC 9110, section
/// 10.1.1, forbids to wait without end and names no time; curl waits one second.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// Largest body that goes out with its head in one write, in bytes. A choice.
const TOGETHER_BYTES_MAX: usize = 64 << 10;

/// Sends the request; its body waits for `body_awaits` to say yes.
pub(super) async fn send<W: AsyncWrite + Unpin>(
    writer: &mut W,
    request: Outgoing<'_>,
    framing: Framing,
    mut body_awaits: watch::Receiver<bool>,
) -> io::Result<()> {
    if *body_awaits.borrow() {
        // Head and body in one go, so that a small request is one segment as it usually was when recorded.
        let mut bytes = request.head.to_vec();
        let rest = frame_small(&mut bytes, request, framing);
        writer.write_all(&bytes).await?;
        send_body(writer, rest, framing).await?;
    } else {
        writer.write_all(request.head).await?;
        writer.flush().await?;
        // Both a word from the other side and its silence let the body go.
        drop(tokio::time::timeout(CONTINUE_WAIT, body_awaits.wait_for(|may_send| *may_send)).await);
        send_body(writer, request, framing).await?;
    }
    writer.flush().await?;
    if !request.is_whole {
        writer.shutdown().await?;
    }
    Ok(())
}

/// Appends the first piece of a body when it is small and the only one; what is returned is still to be sent.
fn frame_small<'a>(out: &mut Vec<u8>, request: Outgoing<'a>, framing: Framing) -> Outgoing<'a> {
    match (request.body, framing) {
        ([only], Framing::Length(_)) if only.len() <= TOGETHER_BYTES_MAX => {
            out.extend_from_slice(only);
            Outgoing { body: &[], ..request }
        }
        _ => request,
    }
}

async fn send_body<W: AsyncWrite + Unpin>(writer: &mut W, request: Outgoing<'_>, framing: Framing) -> io::Result<()> {
    let mut framed = Vec::new();
    for piece in request.body {
        match framing {
            Framing::None => break,
            Framing::Length(_) | Framing::UntilClose => writer.write_all(piece).await?,
            Framing::Chunked => {
                framed.clear();
                write_chunk(&mut framed, piece);
                writer.write_all(&framed).await?;
            }
        }
        writer.flush().await?;
    }
    if framing == Framing::Chunked && request.is_whole {
        framed.clear();
        write_last_chunk(&mut framed, request.trailers);
        writer.write_all(&framed).await?;
    }
    Ok(())
}
