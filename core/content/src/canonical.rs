//! Canonical content: what of a request or response is compared and hashed.
//!
//! In: a head and its body as sent. Out: the canonical bytes, their digest, and the body as a value that `diff` can walk.
//! Timing, ids and trace context are never in it.
//!
//! # The bytes
//!
//! A message is a row of *parts*, each `LABEL SP LENGTH LF BYTES LF` with the length in decimal, and then the body,
//! which is last, has no length and reaches to the end: `LABEL LF BYTES`. Two different messages therefore never give
//! the same bytes. The parts are, in this order:
//!
//! - of a request: `method` and `target`, both as sent; of a response: `status`, three digits. A head whose first line is
//!   neither has `start`, that line, instead; an empty head has no part at all. Version and reason phrase are left out.
//! - `field` for each header field: name in lower case, `: `, value without white space around it, folded lines joined by
//!   one space. Sorted by name, by bytes; fields of one name stay in their order. Left out are those of
//!   [`HEADERS_LEFT_OUT`] and those that a `Connection` field names. `Host` is content: a replay asks the same name,
//!   and a dependency's listener keeps its port. `Content-Encoding` is content too, `Content-Length` is framing.
//!
//! The body's label says how it was read:
//!
//! - `json`: the content type announces JSON and the decoded body is one document ([`crate::json`]): keys sorted by
//!   bytes, no white space, shortest escapes, numbers as written.
//! - `events`: the content type announces server-sent events and the decoded body is UTF-8: for each event the parts
//!   `event` (its type, `message` where none is given), `data-json` (as above, where the data is one JSON document) or
//!   `data`, `id`, `retry`, and `field` for each unknown one as `NAME: VALUE`; each only where the event has it.
//!   Comments, split points and line ends are left out, and so is the order of those fields. What came of an event that
//!   no blank line ended stands last, its type under `unfinished` in place of `event`.
//! - `decoded`: any other body, its content codings taken off.
//! - `sent`: the bytes as sent: of a raw stream, after an upgrade, where the codings do not come off, and where the body
//!   is longer than [`BODY_BYTES_MAX`], as sent or decoded.

use exchange::{Digest, Head, MediaKind, Transport};

mod body;
mod digester;
mod headers;
#[cfg(test)]
mod tests;

pub use body::{CanonicalBody, ITEMS_MAX, VALUES_MAX, body, body_cut_short, decoded_body};
pub use digester::Digester;
pub use headers::{HEADERS_LEFT_OUT, HeaderClass, is_left_out_header, left_out_class};

/// The longest body that is decoded, in bytes, as sent and decoded alike; a longer one's canonical form is its bytes as
/// sent. A choice: the longest JSON answers of model servers (embeddings in bulk) are a few MiB.
pub const BODY_BYTES_MAX: u64 = 8 << 20;

/// Canonical bytes of a request.
pub fn request(head: &Head, body: &[u8], transport: Transport) -> Vec<u8> {
    let mut out = Vec::new();
    write_request_head(head, &mut out);
    write_body(head, body, Reading::of_request(transport), &mut out);
    out
}

/// Canonical bytes of a response.
pub fn response(head: &Head, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_response_head(head, &mut out);
    write_body(head, body, Reading::of_response(head), &mut out);
    out
}

/// The digest of a request's canonical bytes. For a body that comes in pieces see [`Digester`].
pub fn request_digest(head: &Head, body: &[u8], transport: Transport) -> Digest {
    Digest::of(&request(head, body, transport))
}

/// The digest of a response's canonical bytes. For a body that comes in pieces see [`Digester`].
pub fn response_digest(head: &Head, body: &[u8]) -> Digest {
    Digest::of(&response(head, body))
}

/// Canonical bytes of a body alone: what stands at the end of its message's, from the label on.
pub fn canonical_body_bytes(head: &Head, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_body(head, body, Reading::Decoded, &mut out);
    out
}

/// Whether a body has a meaning beyond its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Decoded,
    AsSent,
}

impl Reading {
    fn of_request(transport: Transport) -> Self {
        if transport == Transport::Http1 { Self::Decoded } else { Self::AsSent }
    }

    /// A raw stream has no head, and after a 101 the bytes are another protocol's.
    fn of_response(head: &Head) -> Self {
        let is_upgrade = head.status_line().is_some_and(|line| line.status == 101);
        if head.is_empty() || is_upgrade { Self::AsSent } else { Self::Decoded }
    }
}

fn write_request_head(head: &Head, out: &mut Vec<u8>) {
    match head.request_line() {
        Some(line) => {
            write_part("method", line.method, out);
            write_part("target", line.target, out);
        }
        None => write_start(head, out),
    }
    write_fields(head, out);
}

fn write_response_head(head: &Head, out: &mut Vec<u8>) {
    match head.status_line() {
        Some(line) => write_part("status", format!("{:03}", line.status).as_bytes(), out),
        None => write_start(head, out),
    }
    write_fields(head, out);
}

fn write_start(head: &Head, out: &mut Vec<u8>) {
    if !head.is_empty() {
        write_part("start", &head.bytes[crate::fields::start_line(head)], out);
    }
}

fn write_fields(head: &Head, out: &mut Vec<u8>) {
    let fields = crate::fields::fields(head);
    let connection = headers::named_by_connection(head, &fields);
    let mut kept: Vec<(String, Vec<u8>)> = fields
        .iter()
        .map(|field| (field.lower_name(head), field.value(head)))
        .filter(|(name, _)| !is_left_out_header(name) && !connection.contains(name))
        .collect();
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, value) in kept {
        write_part("field", &[&exchange::bytes_of_text(&name).unwrap_or_default()[..], b": ", &value].concat(), out);
    }
}

fn write_body(head: &Head, sent: &[u8], reading: Reading, out: &mut Vec<u8>) {
    if reading == Reading::AsSent {
        out.extend_from_slice(b"sent\n");
        out.extend_from_slice(sent);
        return;
    }
    match decoded_body(head, sent) {
        Ok(decoded) => body::write_decoded(MediaKind::of(head), decoded, out),
        Err(_) => {
            out.extend_from_slice(b"sent\n");
            out.extend_from_slice(sent);
        }
    }
}

fn write_part(label: &str, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{label} {}\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.push(b'\n');
}
