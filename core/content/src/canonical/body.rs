//! A body's decoded view, by what its content type announces.

use std::borrow::Cow;

use exchange::{Head, MediaKind};

use super::{BODY_BYTES_MAX, write_part};
use crate::{
    encoding::{self, DecodeError},
    json::{self, Value},
    sse::{self, Event, Stream},
};

/// Values that a JSON body may have to be read as one; one with more is compared as text. A choice: it bounds what 8 MiB
/// of `[0,0,…]` can take to about 60 MiB.
pub const VALUES_MAX: usize = 1 << 20;

/// Events and fields that an event stream may have to be read as one. A choice, like [`VALUES_MAX`].
pub const ITEMS_MAX: usize = 1 << 18;

/// A body as a value that can be walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanonicalBody {
    /// Announced as JSON, and one document.
    Json(Value),
    /// Announced as server-sent events, and UTF-8.
    Events(Stream),
    /// Announced as some text, or as one of the above that it is not, and UTF-8.
    Text(String),
    /// Anything else, content codings taken off.
    Bytes(Vec<u8>),
    /// The bytes as sent: the content codings did not come off, or the body is longer than [`BODY_BYTES_MAX`].
    AsSent(Vec<u8>),
}

/// The decoded view of a body.
pub fn body(head: &Head, sent: &[u8]) -> CanonicalBody {
    match decoded_body(head, sent) {
        Ok(decoded) => view(head, decoded),
        Err(_) => CanonicalBody::AsSent(sent.to_vec()),
    }
}

/// The decoded view of a body that was cut: where its content coding ends early, of what could be decoded.
pub fn body_cut_short(head: &Head, sent: &[u8]) -> CanonicalBody {
    match decoded_body(head, sent) {
        Ok(decoded) => view(head, decoded),
        Err(DecodeError::Truncated { decoded, .. }) => view(head, Cow::Owned(decoded)),
        Err(_) => CanonicalBody::AsSent(sent.to_vec()),
    }
}

/// The body's bytes with content codings taken off, as canonical content has them.
///
/// # Errors
/// Those of [`encoding::decode`]; `TooLong` also for a body that is longer than [`BODY_BYTES_MAX`] as sent.
pub fn decoded_body<'a>(head: &Head, sent: &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
    if sent.len() as u64 > BODY_BYTES_MAX {
        return Err(DecodeError::TooLong { len_max: BODY_BYTES_MAX });
    }
    encoding::decode(head, sent, BODY_BYTES_MAX)
}

fn view(head: &Head, decoded: Cow<'_, [u8]>) -> CanonicalBody {
    let kind = MediaKind::of(head);
    if kind == MediaKind::Json
        && let Ok(value) = json::parse_limited(&decoded, VALUES_MAX)
    {
        return CanonicalBody::Json(value);
    }
    if kind == MediaKind::EventStream
        && let Some(stream) = events(&decoded)
    {
        return CanonicalBody::Events(stream);
    }
    if kind == MediaKind::Other && !is_text_by_another_name(head) {
        return CanonicalBody::Bytes(decoded.into_owned());
    }
    match String::from_utf8(decoded.into_owned()) {
        Ok(text) => CanonicalBody::Text(text),
        Err(error) => CanonicalBody::Bytes(error.into_bytes()),
    }
}

/// `None` where the bytes are not UTF-8, since reading them as events would make different ones equal.
fn events(decoded: &[u8]) -> Option<Stream> {
    std::str::from_utf8(decoded).ok().and_then(|_| sse::parse_limited(decoded, ITEMS_MAX).ok())
}

/// Types outside `text/` whose bodies are text all the same.
fn is_text_by_another_name(head: &Head) -> bool {
    const ESSENCES: &[&str] = &[
        "application/graphql",
        "application/javascript",
        "application/jsonl",
        "application/toml",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/yaml",
    ];
    let content_type = head.text_of("content-type").unwrap_or_default().to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.ends_with("+xml") || ESSENCES.contains(&essence)
}

/// Appends the canonical form of a decoded body, from its label on.
pub(super) fn write_decoded(kind: MediaKind, decoded: Cow<'_, [u8]>, out: &mut Vec<u8>) {
    match kind {
        MediaKind::Json => {
            if let Ok(value) = json::parse_limited(&decoded, VALUES_MAX) {
                out.extend_from_slice(b"json\n");
                return value.write_canonical(out);
            }
        }
        MediaKind::EventStream => {
            if let Some(stream) = events(&decoded) {
                out.extend_from_slice(b"events\n");
                return write_stream(&stream, out);
            }
        }
        MediaKind::Text | MediaKind::Other => {}
    }
    out.extend_from_slice(b"decoded\n");
    out.extend_from_slice(&decoded);
}

pub(super) fn write_stream(stream: &Stream, out: &mut Vec<u8>) {
    for event in &stream.events {
        write_event("event", event, out);
    }
    if let Some(event) = &stream.trailing {
        write_event("unfinished", event, out);
    }
}

fn write_event(label: &str, event: &Event, out: &mut Vec<u8>) {
    write_part(label, event.event.as_deref().unwrap_or("message").as_bytes(), out);
    if event.has_data {
        match json::parse_limited(event.data.as_bytes(), VALUES_MAX) {
            Ok(value) => {
                let mut canonical = Vec::with_capacity(event.data.len());
                value.write_canonical(&mut canonical);
                write_part("data-json", &canonical, out);
            }
            Err(_) => write_part("data", event.data.as_bytes(), out),
        }
    }
    for (label, value) in [("id", &event.id), ("retry", &event.retry)] {
        if let Some(value) = value {
            write_part(label, value.as_bytes(), out);
        }
    }
    for (name, value) in &event.others {
        write_part("field", format!("{name}: {value}").as_bytes(), out);
    }
}
