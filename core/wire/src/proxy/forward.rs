//! A forward proxy: the client says where it wants to, in a `CONNECT` or in a request's target.
//!
//! In: what came on a connection that has not said so yet. Out: the connection directed to that place, where it goes on as
//! any other does. TLS in a tunnel ends here with a certificate of our authority, and begins anew, verified, at the host,
//! so that what is said in it is understood; that of hosts to be left alone passes as raw bytes. What is neither TLS nor
//! HTTP passes raw as everywhere.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use exchange::Head;

use super::{
    Forwarding, Route, Settings, Shared,
    client::{Client, Socket},
    connection::{Came, Connection, Next},
    flow::Flow,
    relay::{self, answer_ourselves},
};
use crate::{Connector, Observer, Scheme, Upstream, ca::CertificateAuthority, tee};

/// How long a client may be silent in the middle of a head, or of its first bytes in a tunnel. As nginx's `client_header_timeout`.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(60);

/// How long a client may be silent in a new tunnel before it is taken for one that waits for the server to speak first, as
/// with SMTP or a database: then the server is called, and whoever speaks first decides. A choice.
const QUIET: Duration = Duration::from_secs(1);

/// What all connections of a forward proxy share.
pub(super) struct Forward {
    authority: Arc<CertificateAuthority>,
    through: Vec<String>,
}

impl From<Forwarding> for Forward {
    fn from(forwarding: Forwarding) -> Self {
        let through = forwarding.through.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { authority: forwarding.authority, through }
    }
}

/// What a connection stands on before it is directed anywhere. It is never connected to.
pub(super) fn nowhere_yet(
    forwarding: &Forwarding,
    settings: Settings,
    observer: Arc<dyn Observer>,
    connector: Arc<Connector>,
) -> Shared {
    let (host, base_path) = (String::new(), String::new());
    let upstream = Upstream { scheme: Scheme::Http, host, port: 0, base_path, server_name: None };
    let route = Route { listener: forwarding.listener, upstream, rewrites_host: false };
    Shared { route, destination: None, settings, observer, connector }
}

/// Directs the connection to where the client wants to, or tells it what is missing.
pub(super) async fn take(connection: &mut Connection, came: Came, forward: &Forward) -> Next {
    let request = match came {
        Came::Request(request) => request,
        Came::Unclear(_) => return refuse(connection, "what was sent is no request of HTTP/1.x").await,
        Came::UpstreamSpoke | Came::End => return connection.take(came).await,
    };
    let destination = if request.facts.is_connect { tunnel_to(&request.head) } else { named_in(&request.head) };
    match destination {
        Err(problem) => refuse(connection, problem).await,
        Ok(destination) if request.facts.is_connect => tunnel(connection, destination, forward).await,
        Ok(destination) => {
            direct(connection, destination.clone(), destination);
            relay::relay(connection, *request).await
        }
    }
}

/// Where a `CONNECT` wants to, as what is reached by TLS.
fn tunnel_to(head: &Head) -> Result<Upstream, &'static str> {
    let target = target_of(head).filter(|target| !target.contains('/'));
    let destination = target.and_then(|target| format!("https://{target}").parse().ok());
    destination.ok_or("a CONNECT needs a target of the form `HOST:PORT`")
}

/// Where a request wants to, by the host in its target.
fn named_in(head: &Head) -> Result<Upstream, &'static str> {
    let problem = "its target names no host: this is a forward proxy, to be set as HTTPS_PROXY and HTTP_PROXY rather \
                   than as a base URL";
    let (scheme, rest) = target_of(head).and_then(|target| target.split_once("://")).ok_or(problem)?;
    let authority = rest.find(['/', '?']).map_or(rest, |end| &rest[..end]);
    format!("{scheme}://{authority}")
        .parse()
        .map_err(|_| "its target is no URL with a host and nothing else before its path")
}

fn target_of(head: &Head) -> Option<&str> {
    std::str::from_utf8(head.request_line()?.target).ok()
}

/// From now on what the client says goes to `upstream`, and is told of as said to `destination`.
fn direct(connection: &mut Connection, destination: Upstream, upstream: Upstream) {
    if connection.shared.destination.as_ref() == Some(&destination) && connection.shared.route.upstream == upstream {
        return;
    }
    let Shared { route, settings, observer, connector, .. } = &*connection.shared;
    connection.shared = Arc::new(Shared {
        route: Route { upstream, ..route.clone() },
        destination: Some(destination),
        settings: *settings,
        observer: observer.clone(),
        connector: connector.clone(),
    });
    connection.upstream = None;
}

/// Who speaks first in a tunnel.
enum First {
    /// The client, and it begins with TLS.
    Tls,
    /// The client, in the clear.
    Clear,
    /// The server, or it cannot be reached.
    Server,
    /// Nobody.
    Gone,
}

/// Opens a tunnel: what follows belongs to `destination`.
async fn tunnel(connection: &mut Connection, destination: Upstream, forward: &Forward) -> Next {
    if answer_ourselves(connection, "HTTP/1.1 200 Connection Established\r\n\r\n").await == Next::Abort {
        return Next::Abort;
    }
    connection.forward = None;
    let in_the_clear = Upstream { scheme: Scheme::Http, ..destination.clone() };
    match first_to_speak(connection, &in_the_clear).await {
        First::Tls if forward.passes(&destination) => {
            direct(connection, destination, in_the_clear);
            connection.pass_raw(connection.first_byte(), true).await
        }
        First::Tls => understand(connection, destination, forward).await,
        First::Clear => {
            direct(connection, in_the_clear.clone(), in_the_clear);
            Next::Keep
        }
        First::Server => connection.pass_raw(connection.first_byte(), false).await,
        First::Gone => Next::Close,
    }
}

/// Waits for the first bytes in a tunnel.
async fn first_to_speak(connection: &mut Connection, in_the_clear: &Upstream) -> First {
    loop {
        match &connection.from_client.unread[..] {
            [] | [HANDSHAKE] => {}
            [HANDSHAKE, 3, ..] => return First::Tls,
            _ => return First::Clear,
        }
        if !connection.from_upstream.unread.is_empty() {
            return First::Server;
        }
        if connection.from_client.at_end {
            return First::Gone;
        }
        let idle = connection.from_client.unread.is_empty();
        let is_quiet = idle && connection.upstream.is_none();
        let patience = if is_quiet { QUIET } else { HEAD_PATIENCE };
        match tokio::time::timeout(patience, connection.read_either(idle, None)).await {
            Ok(true) => {}
            Err(_) if is_quiet => {
                direct(connection, in_the_clear.clone(), in_the_clear.clone());
                if connection.connect().await.is_err() {
                    return First::Server;
                }
            }
            Err(_) if idle => {}
            Ok(false) | Err(_) => return First::Gone,
        }
    }
}

/// First byte of a record of TLS's handshake; the second is 3 in all its versions (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Ends the client's TLS here, so that what is said in it is understood.
async fn understand(connection: &mut Connection, mut destination: Upstream, forward: &Forward) -> Next {
    let read_ahead = std::mem::replace(&mut connection.from_client.unread, BytesMut::new());
    let socket = Socket::with(Arc::clone(&connection.tcp), read_ahead);
    match forward.authority.terminate(socket, &destination.host).await {
        Ok((tls, server_name)) => {
            destination.server_name = server_name;
            connection.client = Client::Tls(Box::new(tls));
            (connection.from_client, connection.from_upstream) = (Flow::new(), Flow::new());
            // The server was called in the clear if the client was slow to speak.
            connection.upstream = None;
            direct(connection, destination.clone(), destination);
            Next::Keep
        }
        Err(trouble) => {
            tee::unreadable(&*connection.shared.observer, &destination, &trouble);
            Next::Close
        }
    }
}

impl Forward {
    /// True for a host whose TLS passes untouched.
    fn passes(&self, destination: &Upstream) -> bool {
        let host = destination.host.to_ascii_lowercase();
        let with_port = format!("{host}:{}", destination.port);
        self.through.iter().any(|pattern| match pattern.strip_prefix('*').unwrap_or(pattern) {
            suffix if suffix.starts_with('.') => host.ends_with(suffix),
            exact => exact == host || exact == with_port,
        })
    }
}

/// Tells the client what is wrong with what it sent. This answer is ours, and says so.
async fn refuse(connection: &mut Connection, problem: &str) -> Next {
    let text = format!("retake: {problem}\n");
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\nretake-error: no-destination\r\n\r\n{text}",
        text.len()
    );
    answer_ourselves(connection, &answer).await
}
