//! What Retake itself writes into a HAR beyond the format, and how much of it is believed.
//!
//! An entry's `_retake` is the exchange's record without what the entry tells anyway: digests and seeds, which are found
//! again, bodies' bytes, and heads that names and values give to the byte. `log._retake` has the sessions. Where an entry was
//! changed after it was written, the entry counts.

use exchange::{Body, Digests, Exchange, Field, Head, Lack, Session, bytes_of_text, text_of_bytes};
use serde::{Deserialize, Serialize};

use super::entry::RawField;

/// The version of these fields. A file with a newer one is refused.
pub(super) const VERSION: u32 = 0;

/// `log._retake`.
#[derive(Serialize, Deserialize)]
pub(super) struct OwnLog<S> {
    pub(super) version: u32,
    pub(super) sessions: Vec<S>,
}

impl OwnLog<Session> {
    /// # Errors
    /// Where a newer release wrote it.
    pub(super) fn check(self) -> Result<Vec<Session>, String> {
        match self.version {
            0..=VERSION => Ok(self.sessions),
            newer => Err(format!(
                "`_retake` has version {newer}; this build reads up to {VERSION}: import with the release that wrote it"
            )),
        }
    }
}

/// The record as an entry carries it.
pub(super) fn carried(exchange: &Exchange, url: &str) -> Exchange {
    let mut carried = exchange.clone();
    carried.digests = Digests::default();
    carried.seeds.clear();
    if request_head(url, &told_request(&exchange.request.head)).as_ref() == Some(&exchange.request.head) {
        carried.request.head = Head::default();
    }
    carried.request.body.parts.clear();
    if let Some(response) = &mut carried.response {
        if response_head(&told_response(&response.head)).as_ref() == Some(&response.head) {
            response.head = Head::default();
        }
        response.body.parts.clear();
    }
    carried
}

/// The words of a first line, and the fields, as an entry tells them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ToldHead {
    pub(super) words: [String; 2],
    pub(super) version: String,
    pub(super) fields: Vec<(String, String)>,
}

/// Method and nothing (the target is the URL's).
pub(super) fn told_request(head: &Head) -> ToldHead {
    let line = head.request_line();
    let of = |word: Option<&[u8]>| word.map(text_of_bytes).unwrap_or_default();
    let words = [of(line.map(|line| line.method)), String::new()];
    ToldHead { words, version: of(line.map(|line| line.version)), fields: told_fields(head) }
}

/// Status and reason.
pub(super) fn told_response(head: &Head) -> ToldHead {
    let line = head.status_line();
    let of = |word: Option<&[u8]>| word.map(text_of_bytes).unwrap_or_default();
    let words = [line.map_or(0, |line| line.status).to_string(), of(line.map(|line| line.reason))];
    ToldHead { words, version: of(line.map(|line| line.version)), fields: told_fields(head) }
}

fn told_fields(head: &Head) -> Vec<(String, String)> {
    head.fields().map(|field: Field<'_>| (text_of_bytes(field.name), text_of_bytes(field.value))).collect()
}

/// What an entry's fields say, as they stand there.
pub(super) fn fields_of(raw: &[RawField]) -> Vec<(String, String)> {
    raw.iter().map(|field| (field.name.clone(), field.value.clone().unwrap_or_default())).collect()
}

/// The target of the URL that an entry has, or nothing.
fn target_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    authority.find('/').map_or("", |at| &authority[at..])
}

/// The request's head that these give, where they can stand in one.
fn request_head(url: &str, told: &ToldHead) -> Option<Head> {
    let first_line = format!("{} {} {}", told.words[0], target_of(url), told.version);
    plain_head(&first_line, &told.fields)
}

fn response_head(told: &ToldHead) -> Option<Head> {
    plain_head(&format!("{} {} {}", told.version, told.words[0], told.words[1]), &told.fields)
}

/// A head in the plainest form; `None` where something in it would end a line, or is no byte.
fn plain_head(first_line: &str, fields: &[(String, String)]) -> Option<Head> {
    let lines = fields.iter().map(|(name, value)| format!("{name}: {value}"));
    let mut bytes = Vec::new();
    for line in std::iter::once(first_line.to_owned()).chain(lines) {
        let line = bytes_of_text(&line).filter(|line| !line.iter().any(|byte| matches!(byte, b'\r' | b'\n')))?;
        bytes.extend_from_slice(&line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    Some(Head::new(bytes))
}

/// The request's head as it was recorded; `None` where the entry says something else.
pub(super) fn recorded_request(carried: &Head, url: &str, told: &ToldHead) -> Option<Head> {
    if carried.is_empty() {
        return request_head(url, told).filter(|head| told_request(head) == *told);
    }
    let target = text_of_bytes(carried.origin_target().unwrap_or_default());
    (told_request(carried) == *told && url.ends_with(&target)).then(|| carried.clone())
}

/// The response's head as it was recorded; `None` where the entry says something else.
pub(super) fn recorded_response(carried: &Head, told: &ToldHead) -> Option<Head> {
    if carried.is_empty() {
        return response_head(told).filter(|head| told_response(head) == *told);
    }
    (told_response(carried) == *told).then(|| carried.clone())
}

/// The body as it was recorded, of which `bytes` are told; what contradicts them is left out and lacking. A body of which
/// nothing is told keeps its length.
pub(super) fn recorded_body(carried: &Body, bytes: Option<&[u8]>, lacks: &mut Vec<Lack>) -> Body {
    let mut body = Body { parts: Vec::new(), ..carried.clone() };
    let Some(bytes) = bytes else { return body };
    let told = bytes.len() as u64;
    let fits = match body.gap {
        Some(_) => told <= body.len,
        None => told == body.len,
    };
    let in_order = body.chunks.is_sorted_by(|one, next| one.offset <= next.offset && one.at_ns <= next.at_ns);
    if !fits || !in_order || body.chunks.last().is_some_and(|chunk| chunk.offset > body.len) {
        lacks.push(Lack::ChunkTimes);
        body = Body { len: told, trailers: body.trailers, ..Body::default() };
    }
    body
}
