//! What is shown of one exchange beside its result: both sides with their calls, chunks and bodies.
//!
//! In: what `cli` finds in both archives. Out: plain values, which go into the page as JSON. A body is shown as text, cut where it
//! is long; the cut says how to see all of it.

use content::{encoding, json};
use diff::ComparedAs;
use exchange::{Body, Exchange, Head, Id, MediaKind};
use serde::Serialize;

use crate::{
    Style,
    body::{BodyView, Pretty, pretty},
};

/// Most of one body that the page has, in bytes of the text it is shown as. A choice: some two hundred lines.
const BODY_BYTES_MAX: usize = 16 << 10;

/// Most chunks that the page has of one answer. A choice: more cannot be told apart on a line.
const CHUNKS_LEN_MAX: usize = 200;

/// Both sides of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Look {
    /// As it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Side>,
    /// As it was replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Side>,
    /// What could not be read, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
}

/// One side. Times are in nanoseconds since the first byte of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// When it began, by the wall clock of where it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// When the first byte of the answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_ns: Option<u64>,
    /// When it ended; a file has no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ns: Option<u64>,
    /// How it ended, where the answer did not come whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// What each read of the answer gave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<Chunk>,
    /// Chunks beyond those.
    #[serde(skip_serializing_if = "is_zero")]
    pub chunks_more: u64,
    /// The calls of dependencies that were, or may have been, made for it, in the order they began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Content>,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Content>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Bytes of an answer that came at once. Written as `[at_ns, len]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "(u64, u64)")]
pub struct Chunk {
    /// When, in nanoseconds since the request's first byte.
    pub at_ns: u64,
    /// How many bytes.
    pub len: u64,
}

impl From<Chunk> for (u64, u64) {
    fn from(chunk: Chunk) -> Self {
        (chunk.at_ns, chunk.len)
    }
}

/// A call of a dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its id.
    pub id: Id,
    /// In a run: the recorded call that answered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<Id>,
    /// Whom.
    pub dependency: String,
    /// Method and path.
    pub title: String,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How it ended, in a word.
    pub end: &'static str,
    /// When it began, in nanoseconds since the exchange did; before it where a parent was inferred wrongly.
    pub began_ns: i64,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// False where it may have been made for another exchange.
    pub certain: bool,
}

/// A message as it is read: its head and its body as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Start line and header fields as they were sent.
    pub head: String,
    /// The body: JSON indented, its members sorted so that their order is no difference; events one by one; bytes as hex.
    pub body: String,
    /// Bytes of the body as sent.
    pub len: u64,
    /// True where the text above is only the beginning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// True for text, all of it, whose last line has no line feed, which the text above gives it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unended: bool,
}

impl Side {
    /// Times and chunks of an exchange; its calls and messages are put in by whoever has them.
    pub fn of(exchange: &Exchange) -> Self {
        let times = &exchange.times;
        let since = |at_ns: u64| at_ns.saturating_sub(times.started_ns);
        let body = exchange.response.as_ref().map(|response| &response.body);
        let (chunks, chunks_more) = body.map(|body| chunks(body, times.started_ns)).unwrap_or_default();
        Self {
            answered_ns: times.response_started_ns.map(since),
            took_ns: Some(since(times.ended_ns)),
            end: (!exchange.end.is_complete()).then(|| exchange.end.word().to_owned()),
            chunks,
            chunks_more,
            ..Self::default()
        }
    }
}

fn chunks(body: &Body, started_ns: u64) -> (Vec<Chunk>, u64) {
    let ends = body.chunks.iter().skip(1).map(|next| next.offset).chain([body.len]);
    let chunks = body.chunks.iter().zip(ends).take(CHUNKS_LEN_MAX);
    let chunks = chunks.map(|(chunk, end)| Chunk {
        at_ns: chunk.at_ns.saturating_sub(started_ns),
        len: end.saturating_sub(chunk.offset),
    });
    (chunks.collect(), body.chunks.len().saturating_sub(CHUNKS_LEN_MAX) as u64)
}

impl Content {
    /// A file that was compared as this, or its beginning.
    pub fn of_file(bytes: &[u8], compared_as: ComparedAs) -> Self {
        let kind = match compared_as {
            ComparedAs::Json => "application/json",
            ComparedAs::Events | ComparedAs::Message => "text/event-stream",
            _ => "text/plain",
        };
        let head = Head::new(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n"));
        let len = bytes.len() as u64;
        let body = Body { parts: vec![(0, len).into()], len, ..Body::default() };
        Self { head: String::new(), ..Self::of(&BodyView { head: &head, body: &body, bytes, started_ns: 0 }) }
    }

    /// A message whose body's kept bytes, or their beginning, are these.
    pub fn of(view: &BodyView<'_>) -> Self {
        let sorted = sorted_json(view).map(|text| Pretty { text, ..Pretty::default() });
        let Pretty { text, is_cut, is_unended } = sorted.unwrap_or_else(|| pretty(view, Style::PLAIN));
        let cut = is_cut || text.len() > BODY_BYTES_MAX || (view.bytes.len() as u64) < view.body.kept_len();
        let mut body = text;
        body.truncate(body.floor_char_boundary(BODY_BYTES_MAX));
        let mut head = String::from_utf8_lossy(&view.head.bytes).replace("\r\n", "\n");
        head.truncate(head.floor_char_boundary(BODY_BYTES_MAX));
        let unended = is_unended && !cut;
        Self { head: head.trim_end().to_owned(), body, len: view.body.len, cut, unended }
    }
}

/// JSON with its members in the order of their names: `None` for what is no JSON.
fn sorted_json(view: &BodyView<'_>) -> Option<String> {
    if MediaKind::of(view.head) != MediaKind::Json || !view.body.is_whole() {
        return None;
    }
    let decoded = encoding::decode(view.head, view.bytes, 8 << 20).ok()?;
    let mut value = json::parse(&decoded).ok()?;
    sort(&mut value);
    Some(crate::body::indented(&value) + "\n")
}

/// Nesting is bounded by the parser.
fn sort(value: &mut json::Value) {
    match value {
        json::Value::Array(items) => items.iter_mut().for_each(sort),
        json::Value::Object(members) => {
            members.sort_by(|one, other| one.0.cmp(&other.0));
            members.iter_mut().for_each(|(_, member)| sort(member));
        }
        _ => {}
    }
}
