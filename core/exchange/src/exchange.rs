//! One request and all that came back.

use serde::{Deserialize, Serialize};

use crate::{Body, Context, Digest, Head, Id, Times, bytes_text};

/// One request and all that came back, with the time of every chunk, how it ended, and what surrounded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Given when the first byte arrived; never changes.
    pub id: Id,
    /// The capture session, or the run, that it belongs to.
    pub session: Id,
    /// The session's counter when it began: the order of first bytes.
    pub sequence: u64,
    /// Whether a client called the service, or the service called out.
    pub role: Role,
    /// How the bytes were understood.
    #[serde(default, skip_serializing_if = "Transport::is_http1")]
    pub transport: Transport,
    /// What was asked.
    pub request: Request,
    /// Informational (1xx) responses, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interim: Vec<Interim>,
    /// What came back; absent when not even a head did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// How it ended.
    pub end: End,
    /// When its parts happened.
    pub times: Times,
    /// The trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// What request or response pin of their own randomness.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<Seed>,
    /// The environment it ran in: the digest of a [`crate::Fingerprint`]'s record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Digest>,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "Context::is_empty")]
    pub context: Context,
    /// Digests of the canonical content.
    #[serde(default)]
    pub digests: Digests,
    /// Where secrets were replaced by pseudonyms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<Redaction>,
    /// In a run: which recorded exchange this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
}

/// Who called whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum Role {
    /// A client called the service.
    Ingress,
    /// The service called a dependency.
    Dependency {
        /// The dependency's name, as given to `--dependency`.
        name: String,
        /// The ingress exchange on whose behalf it called; absent when none was in flight.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
    },
}

impl Role {
    /// The dependency's name, or `None` for an ingress exchange.
    pub fn dependency(&self) -> Option<&str> {
        match self {
            Self::Ingress => None,
            Self::Dependency { name, .. } => Some(name),
        }
    }

    /// The parent of a dependency call, where there is one.
    pub fn parent(&self) -> Option<&Parent> {
        match self {
            Self::Ingress => None,
            Self::Dependency { parent, .. } => parent.as_ref(),
        }
    }
}

/// The ingress exchange that a dependency call belongs to, and how we know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The exchange that is held to be the parent: for an ambiguous one the oldest candidate.
    pub id: Id,
    /// How we know.
    pub certainty: Certainty,
    /// All that it may have been, when ambiguous (at most 16 are named).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Id>,
}

/// How a parent is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The call carried the trace id of this ingress exchange, and of no other in flight.
    Recorded,
    /// It was the only ingress exchange in flight.
    Inferred,
    /// Several were in flight, and nothing told them apart.
    Ambiguous,
}

/// How the bytes of an exchange were understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// HTTP/1.x messages.
    #[default]
    Http1,
    /// HTTP/1.x heads, then bytes both ways after a 101 or a CONNECT: the bodies are those bytes.
    Upgraded,
    /// Not understood: heads are empty, the bodies are all bytes of either direction.
    Raw,
}

impl Transport {
    fn is_http1(&self) -> bool {
        *self == Self::Http1
    }
}

/// What was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// As on the socket between client and proxy, secrets replaced.
    pub head: Head,
    /// The body that followed.
    #[serde(default)]
    pub body: Body,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// As on the socket between upstream and proxy, secrets replaced.
    pub head: Head,
    /// The body that followed.
    #[serde(default)]
    pub body: Body,
}

impl Response {
    /// The status, or `None` where the head does not tell one.
    pub fn status(&self) -> Option<u16> {
        self.head.status_line().map(|line| line.status)
    }
}

/// An informational response, such as `100 Continue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interim {
    /// When its head was read, in nanoseconds since the session's start.
    pub at_ns: u64,
    /// As on the socket.
    pub head: Head,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum End {
    /// The response came whole, and the client took it.
    Complete,
    /// The client went away before the response was through.
    ClientGone,
    /// Upstream closed or reset the connection before its answer was whole.
    UpstreamReset,
    /// There was no connection to upstream.
    Unreachable {
        /// Why, in the words of the operating system or of TLS.
        reason: String,
    },
    /// A time-out of the proxy's own settings was reached.
    TimedOut,
    /// The capture ended first.
    CaptureStopped,
}

impl End {
    /// True when the answer came whole.
    pub fn is_complete(&self) -> bool {
        *self == Self::Complete
    }

    /// One or two words for a table.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client gone",
            Self::UpstreamReset => "upstream reset",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut => "timed out",
            Self::CaptureStopped => "capture stopped",
        }
    }
}

/// W3C trace context (<https://www.w3.org/TR/trace-context/>) as the service got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits: the caller's span, as in `traceparent`.
    pub span_id: String,
    /// True when the request carried none and the proxy made this one and sent it on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
}

/// Something that pins randomness: `seed`, `temperature`, `system_fingerprint` and the like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// Where it stood.
    pub place: SeedPlace,
    /// RFC 6901 pointer into the JSON body (for an event stream: into the first event that has it), or a header's name.
    pub pointer: String,
    /// The value as written: JSON text for a body, plain for a header.
    pub value: String,
}

impl Seed {
    /// True for the name of the model, as a request asks for it or an answer says it.
    pub fn is_model(&self) -> bool {
        self.pointer == "/model"
    }
}

/// Where a seed stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeedPlace {
    /// In the request.
    Request,
    /// In the response.
    Response,
}

/// Digests of canonical content, `None` where there is no such content or it is not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Digest>,
    /// Of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Digest>,
}

/// A place where secrets were replaced by pseudonyms of the same length and alphabet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Redaction {
    /// `request header:authorization`, `request query:key`, `response header:set-cookie`, …
    pub place: String,
    /// How many values were replaced there.
    pub count: u32,
}

/// Which recorded exchange a replayed one repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// The recorded exchange; for a dependency call the one that answered it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Id>,
    /// The repeat's number, from 0.
    pub repeat: u32,
    /// What it was sent to: an image's identity, a command, a URL.
    pub target: String,
    /// What of the request the replayer changed, each as `header:NAME: why` or `body:POINTER: why`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replacements: Vec<String>,
}

impl Exchange {
    /// Method and path with query for a table: `POST /tickets`; a raw stream says so.
    pub fn title(&self) -> String {
        match self.request.head.request_line() {
            Some(line) => {
                let target = self.request.head.origin_target().unwrap_or_default();
                format!("{} {}", bytes_text::text_of_bytes(line.method), String::from_utf8_lossy(target))
            }
            None => "(raw stream)".to_owned(),
        }
    }

    /// The response's status where there is one.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().and_then(Response::status)
    }
}
