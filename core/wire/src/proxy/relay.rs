//! One exchange of HTTP/1.x: the request goes up and the response comes down at the same time, each as it is read.

mod downward;
mod upward;

use exchange::{End, Transport};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

use self::{downward::Downward, upward::Upward};
use super::connection::{Connection, Next, Request};
use crate::{
    ConnectError,
    edit::{RequestEdit, edit_request},
    framing::FrameDecoder,
    head::RequestFacts,
    tee::GuardedTap,
};

/// How far the request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Some of it is still to come.
    Partly,
    /// All of it was passed on.
    Whole,
    /// The client ended its side before the request was whole; so did we.
    Cut,
    /// Its framing broke: all that follows is passed on as it is.
    Broken,
    /// The upstream takes no more of it.
    Refused,
}

/// How the response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    /// All of it was passed on.
    Whole { closes: bool },
    /// The bytes that follow its head have no framing.
    Upgraded,
    /// What follows is not clearly HTTP/1.x.
    Unclear,
    /// The upstream ended, or failed, before the response was whole.
    Cut { failed: bool },
    /// The client takes no more of it, or is gone.
    ClientGone,
}

/// Carries one request to the upstream and its response back.
pub(super) async fn relay(connection: &mut Connection, request: Request) -> Next {
    let (tap, traceparent) = connection.begin(request.ticket, &request.head.bytes);
    if let Err(error) = connection.connect().await {
        return refuse(connection, &request, tap, error).await;
    }
    connection.tell_peer(&tap);
    let traceparent = traceparent.filter(|_| request.head.value_of("traceparent").is_none());
    let route = &connection.shared.route;
    let names_destination = connection.is_forward();
    let authority = (route.rewrites_host || names_destination).then(|| route.upstream.authority());
    let edit = RequestEdit {
        host: authority.as_deref(),
        base_path: &route.upstream.base_path,
        for_origin: names_destination,
        traceparent: traceparent.as_deref(),
    };
    connection.from_client.pending.extend_from_slice(&request.blank);
    connection.from_client.pending.extend_from_slice(&edit_request(&request.head.bytes, edit));
    let (sent, received) = pass_both_ways(connection, &request.facts, &tap).await;
    conclude(connection, tap, sent, received).await
}

/// Tells the client that there is no connection to the upstream. This answer is ours, and says so.
async fn refuse(connection: &mut Connection, request: &Request, tap: GuardedTap, error: ConnectError) -> Next {
    let text = format!("retake: {error}\n");
    let body = if request.facts.is_head { "" } else { text.as_str() };
    let answer = format!(
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\nretake-error: upstream-unreachable\r\n\r\n{body}",
        text.len()
    );
    tap.end(End::Unreachable { reason: error.to_string() });
    answer_ourselves(connection, &answer).await
}

/// Writes an answer of our own; the connection ends after it.
pub(super) async fn answer_ourselves(connection: &mut Connection, answer: &str) -> Next {
    let written = async {
        connection.client.write_all(answer.as_bytes()).await?;
        connection.client.flush().await
    };
    match written.await {
        Ok(()) => Next::Close,
        Err(_) => Next::Abort,
    }
}

async fn pass_both_ways(connection: &mut Connection, facts: &RequestFacts, tap: &GuardedTap) -> (Sent, Received) {
    let head_bytes_max = connection.shared.settings.head_bytes_max;
    let Connection { tcp, client, upstream: Some(upstream), from_client, from_upstream, .. } = connection else {
        return (Sent::Refused, Received::Cut { failed: true });
    };
    let tcp: &TcpStream = tcp;
    let (client_reader, client_writer) = tokio::io::split(client);
    let (upstream_reader, upstream_writer) = tokio::io::split(upstream);
    let (sent, mut sent_changes) = watch::channel(Sent::Partly);
    let mut upward = Upward { client: client_reader, tcp, upstream: upstream_writer, flow: from_client, tap, sent };
    let mut downward = Downward {
        upstream: upstream_reader,
        client: client_writer,
        tcp,
        flow: from_upstream,
        tap,
        facts,
        head_bytes_max,
    };
    let received = {
        let mut upward = std::pin::pin!(upward.run(FrameDecoder::new(facts.framing)));
        let received = tokio::select! {
            biased;
            received = downward.run() => received,
            () = &mut upward => Received::ClientGone,
        };
        // The answer may come before the request is whole: the rest of it still belongs to this exchange.
        let must_go_on = matches!(received, Received::Whole { closes: false } | Received::Upgraded | Received::Unclear);
        if must_go_on {
            tokio::select! {
                biased;
                _ = sent_changes.wait_for(|sent| *sent != Sent::Partly) => received,
                () = &mut upward => Received::ClientGone,
                () = downward.more() => received,
            }
        } else {
            received
        }
    };
    let sent = *sent_changes.borrow();
    (sent, received)
}

/// Tells the tap how it ended, and says what becomes of the connection.
async fn conclude(connection: &mut Connection, tap: GuardedTap, sent: Sent, received: Received) -> Next {
    let unasked = !connection.from_upstream.unread.is_empty();
    match received {
        Received::Upgraded => {
            tap.tell(|tap| tap.transport(Transport::Upgraded));
            connection.pump(tap).await
        }
        Received::Whole { closes: false } if !unasked && sent != Sent::Broken => {
            tap.end(End::Complete);
            let may_go_on = sent == Sent::Whole && !connection.from_upstream.at_end;
            if may_go_on { Next::Keep } else { Next::Close }
        }
        Received::Whole { closes: true } => {
            tap.end(End::Complete);
            Next::Close
        }
        Received::Unclear | Received::Whole { .. } => {
            tap.tell(|tap| tap.transport(Transport::Raw));
            connection.pump(tap).await
        }
        Received::Cut { failed } => {
            // An upstream that ends after the client has ended its side was left, rather than leaving.
            let client_left = sent == Sent::Cut || connection.from_client.at_end;
            tap.end(if client_left { End::ClientGone } else { End::UpstreamReset });
            if failed { Next::Abort } else { Next::Close }
        }
        Received::ClientGone => {
            tap.end(End::ClientGone);
            Next::Abort
        }
    }
}
