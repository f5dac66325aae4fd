//! Carries the requests of `object_store` over `wire`.
//!
//! In: a request with its body in memory. Out: the answer, whole. Connections are kept for the next request; one that the
//! other side has closed meanwhile is noticed by the first request on it, which is then sent again where that is safe.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use exchange::Head;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};
use wire::{
    Connector, Scheme, Stream, Upstream,
    client::{Limits, Outgoing, Reply, ReplyEnd, exchange},
};

/// How long a connection may take. A choice.
const CONNECT_FOR: Duration = Duration::from_secs(10);
/// Connections kept for the next request, at most. A choice: as many as parts are sent at once.
const KEPT_MAX: usize = 4;

/// Our HTTP/1.1 in the place of another client.
#[derive(Clone, Default)]
pub(crate) struct Transport {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connector: Connector,
    kept: Mutex<Vec<(Upstream, Stream)>>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Transport")
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let upstream =
            upstream_of(&parts.uri).ok_or_else(|| failed(HttpErrorKind::Unknown, "its URL is none of http"))?;
        let head = head_of(&parts, &upstream, body.len());
        let is_repeatable = parts.method.is_idempotent();
        if let Some(stream) = self.kept(&upstream).filter(|_| is_repeatable) {
            let reply = self.on(stream, &upstream, &head, &body).await;
            // Closed since: nothing of an answer came.
            if !(reply.head.is_none() && matches!(reply.end, ReplyEnd::Cut | ReplyEnd::Failed(_))) {
                return answer(reply);
            }
        }
        let stream = self.shared.connector.connect(&upstream, CONNECT_FOR).await;
        let stream = stream.map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?;
        answer(self.on(stream, &upstream, &head, &body).await)
    }
}

impl Transport {
    /// Sends a request over this connection, and keeps it for the next where it can carry one.
    async fn on(&self, mut stream: Stream, upstream: &Upstream, head: &[u8], body: &Bytes) -> Reply {
        let pieces = [&body[..]];
        let request =
            Outgoing { head, body: if body.is_empty() { &[] } else { &pieces }, trailers: b"", is_whole: true };
        let reply = exchange(&mut stream, request, &Limits::default(), &|| 0).await;
        if reply.is_reusable {
            let mut kept = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT_MAX {
                kept.push((upstream.clone(), stream));
            }
        }
        reply
    }

    fn kept(&self, upstream: &Upstream) -> Option<Stream> {
        let mut kept = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().rposition(|(other, _)| other == upstream)?;
        Some(kept.remove(at).1)
    }
}

fn upstream_of(uri: &http::Uri) -> Option<Upstream> {
    let scheme = match uri.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if scheme == Scheme::Https { 443 } else { 80 });
    Some(Upstream { scheme, host, port, base_path: String::new(), server_name: None })
}

fn head_of(parts: &http::request::Parts, upstream: &Upstream, body_len: usize) -> Vec<u8> {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("{} {target} HTTP/1.1\r\n", parts.method);
    if !parts.headers.contains_key(http::header::HOST) {
        // Writing to a text cannot fail.
        write!(head, "host: {}\r\n", upstream.authority()).ok();
    }
    let may_have_body = matches!(parts.method, Method::PUT | Method::POST) || body_len > 0;
    if may_have_body && !parts.headers.contains_key(http::header::CONTENT_LENGTH) {
        write!(head, "content-length: {body_len}\r\n").ok();
    }
    let mut head = head.into_bytes();
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn answer(reply: Reply) -> Result<HttpResponse, HttpError> {
    match reply.end {
        ReplyEnd::Complete => {}
        ReplyEnd::TimedOut => return Err(failed(HttpErrorKind::Timeout, "it did not answer in time")),
        ReplyEnd::Cut => return Err(failed(HttpErrorKind::Interrupted, "the connection ended before the answer did")),
        ReplyEnd::Failed(why) => return Err(failed(HttpErrorKind::Interrupted, why)),
        ReplyEnd::TooLong => return Err(failed(HttpErrorKind::Unknown, "the answer is too long")),
        ReplyEnd::Unclear(why) => return Err(HttpError::new(HttpErrorKind::Decode, why)),
        ReplyEnd::Upgraded => return Err(failed(HttpErrorKind::Decode, "it answered with another protocol")),
    }
    let head = reply.head.unwrap_or_default();
    let mut response = Response::new(reply.body.into());
    *response.status_mut() =
        status_of(&head).ok_or_else(|| failed(HttpErrorKind::Decode, "it answered without a status"))?;
    for field in head.fields() {
        let name = HeaderName::from_bytes(field.name);
        // What is no header field for `http` means nothing to storage either.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

fn status_of(head: &Head) -> Option<StatusCode> {
    StatusCode::from_u16(head.status_line()?.status).ok()
}

fn failed(kind: HttpErrorKind, why: impl Into<String>) -> HttpError {
    HttpError::new_boxed(kind, why.into().into())
}
