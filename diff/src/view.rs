//! A body as it is compared: decoded, and read as what it is announced to be.
//!
//! In: an answer, or a file of a kind that was guessed. Out: a [`View`]. What cannot be decoded or read is compared as
//! text or bytes; a body that was cut is read as far as it goes.

use std::{borrow::Cow, sync::Arc};

use content::{
    canonical::{BODY_BYTES_MAX, ITEMS_MAX, VALUES_MAX, decoded_body},
    encoding::DecodeError,
    eventstream,
    json::{self, Kind, Tree},
    message, multipart,
    sse::{self, Stream},
};
use exchange::MediaKind;

use crate::{
    NotJson, Output, Shown,
    json::parse_cut,
    media::Media,
    structured::{Reading, Structured},
};

/// Amazon's framing of streams.
const EVENTSTREAM: &str = "application/vnd.amazon.eventstream";

/// How JSON was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many values at its end were cut off.
    pub(crate) open: usize,
    /// A document in each line: all of them are read as one array, and are none to who expects one document.
    pub(crate) in_lines: bool,
}

impl Written {
    /// One document, all of it.
    pub(crate) const WHOLE: Self = Self { open: 0, in_lines: false };
}

/// A body, read.
#[derive(Debug)]
pub(crate) enum View<'a> {
    /// No byte.
    Nothing,
    /// JSON, and how it was written.
    Json(Arc<Tree<'a>>, Written),
    /// JSON in lines that join to a message: all lines as one array, and each as an event.
    Lines(Arc<Tree<'static>>, Stream),
    /// JSON in lines of a body that came whole, or of a file, the last of which was cut: all lines as one array, in which that one
    /// is a text; and each as an event where they join to a message.
    CutLines(Arc<Tree<'static>>, Option<Stream>),
    /// Server-sent events, or messages in Amazon's framing.
    Events(Stream),
    /// A form, parts, HTML or protobuf.
    Structured(Structured),
    /// A picture or sound.
    Media(Media<'a>),
    /// UTF-8.
    Text(Cow<'a, str>),
    /// Anything else.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> View<'a> {
    /// The view of an answer's body, as its content type says; without one it is tried as JSON.
    pub(crate) fn of(output: &Output<'a>, reading: Reading<'_>) -> Self {
        Self::of_alike(output, reading, None)
    }

    /// As [`View::of`], quicker where it is much like another one.
    pub(crate) fn of_alike(output: &Output<'a>, reading: Reading<'_>, like: Option<&Self>) -> Self {
        let says_nothing = output.head.value_of("content-type").is_none();
        let kind = if says_nothing { MediaKind::Json } else { MediaKind::of(output.head) };
        match decoded_body(output.head, output.body) {
            Ok(decoded) if !says_nothing && kind != MediaKind::Json && kind != MediaKind::EventStream => {
                Self::of_others(kind, output, decoded, reading)
            }
            decoded => Self::of_decoded(kind, output, decoded, like),
        }
    }

    /// The view of what is neither JSON nor server-sent events.
    fn of_others(kind: MediaKind, output: &Output<'a>, decoded: Cow<'a, [u8]>, reading: Reading<'_>) -> Self {
        let essence = multipart::essence(output.head.text_of("content-type").unwrap_or_default());
        if essence == EVENTSTREAM
            && let Some(stream) = eventstream::parse(&decoded, output.is_part(), ITEMS_MAX)
        {
            return Self::Events(stream);
        }
        if output.is_part()
            && is_lines(&essence)
            && let Some(view) = Self::of_cut_lines(&decoded)
        {
            return view;
        }
        if is_lines(&essence)
            && let Some(view) = Self::of_lines(&decoded, VALUES_MAX, output.is_part())
        {
            return view;
        }
        if output.is_part() || decoded.is_empty() {
            return Self::read(kind, decoded, output.is_part(), None);
        }
        if let Some(structured) = Structured::read(output.head, &decoded, reading) {
            return Self::Structured(structured);
        }
        match Media::of(&essence, decoded) {
            Ok(media) => Self::Media(media),
            Err(decoded) => Self::read(kind, decoded, false, None),
        }
    }

    /// A JSON document in each line, one line or more; where they join to a message, with that.
    pub(crate) fn of_lines(bytes: &[u8], values_max: usize, is_part: bool) -> Option<Self> {
        let (tree, last) = read_lines(bytes, values_max, is_part)?;
        let open = match last {
            LastLine::Whole => 0,
            LastLine::Part(open) => open,
            LastLine::Cut => {
                let stream = std::str::from_utf8(bytes).ok().and_then(message::cut_lines).filter(begins_message);
                return Some(Self::CutLines(Arc::new(tree), stream));
            }
        };
        let stream = std::str::from_utf8(bytes).ok().filter(|_| !is_part).and_then(message::lines);
        let joined = stream.filter(|stream| message::joined(stream).is_some());
        Some(match joined {
            Some(stream) => Self::Lines(Arc::new(tree), stream),
            None => Self::Json(Arc::new(tree), Written { open, in_lines: true }),
        })
    }

    /// The same of a body that was cut, where its lines join to a message as far as they go.
    fn of_cut_lines(bytes: &[u8]) -> Option<Self> {
        let stream = message::cut_lines(bytes.utf8_chunks().next()?.valid())?;
        if !begins_message(&stream) {
            return None;
        }
        let array: Vec<&str> = stream.events.iter().map(|event| event.data.as_str()).collect();
        let tree = json::parse_tree_owned(format!("[{}]", array.join(",")), VALUES_MAX, None).ok()?;
        Some(Self::Lines(Arc::new(tree), stream))
    }

    /// A file as what it looks like, beside JSON and text.
    pub(crate) fn guessed(file: &'a [u8], reading: Reading<'_>) -> Option<Self> {
        if let Some(stream) = eventstream::parse_file(file, ITEMS_MAX) {
            return Some(Self::Events(stream));
        }
        if let Some(structured) = Structured::guessed(file, reading) {
            return Some(Self::Structured(structured));
        }
        Media::of("", Cow::Borrowed(file)).ok().map(Self::Media)
    }

    /// The view of an answer's body read as this kind.
    pub(crate) fn of_as(kind: MediaKind, output: &Output<'a>) -> Self {
        Self::of_decoded(kind, output, decoded_body(output.head, output.body), None)
    }

    fn of_decoded(
        kind: MediaKind,
        output: &Output<'a>,
        decoded: Result<Cow<'a, [u8]>, DecodeError>,
        like: Option<&Self>,
    ) -> Self {
        match decoded {
            Ok(decoded) => Self::read(kind, decoded, output.is_part(), like),
            Err(DecodeError::Truncated { decoded, .. }) if output.is_part() => {
                Self::read(kind, Cow::Owned(decoded), true, like)
            }
            Err(_) if output.body.is_empty() => Self::Nothing,
            Err(_) => Self::Bytes(Cow::Borrowed(output.body)),
        }
    }

    /// Decoded bytes read as this kind where they are; quicker where they are much like another body.
    pub(crate) fn read(kind: MediaKind, decoded: Cow<'a, [u8]>, is_part: bool, like: Option<&Self>) -> Self {
        if decoded.is_empty() {
            return Self::Nothing;
        }
        let decoded = match kind {
            MediaKind::Json => match read_json(decoded, VALUES_MAX, like) {
                Ok(tree) => return Self::Json(Arc::new(tree), Written::WHOLE),
                Err(decoded) => match is_part.then(|| parse_cut(without_mark(&decoded), VALUES_MAX)).flatten() {
                    Some((tree, open)) => return Self::Json(Arc::new(tree), Written { open, in_lines: false }),
                    None if has_lines(&decoded) => match Self::of_lines(&decoded, VALUES_MAX, is_part) {
                        Some(view) => return view,
                        None => decoded,
                    },
                    None => decoded,
                },
            },
            MediaKind::EventStream => {
                if let Some(stream) = read_events(&decoded, is_part) {
                    return Self::Events(stream);
                }
                decoded
            }
            MediaKind::Text | MediaKind::Other => decoded,
        };
        Self::text_or_bytes(decoded, is_part)
    }

    fn text_or_bytes(decoded: Cow<'a, [u8]>, is_part: bool) -> Self {
        let valid_len = match std::str::from_utf8(&decoded) {
            Ok(text) => text.len(),
            // A last character that was cut: no error, only not all there.
            Err(error) if is_part && error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Self::Bytes(decoded),
        };
        let text = match decoded {
            Cow::Borrowed(bytes) => str::from_utf8(&bytes[..valid_len]).map(Cow::Borrowed).unwrap_or_default(),
            Cow::Owned(mut bytes) => {
                bytes.truncate(valid_len);
                Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
            }
        };
        Self::Text(text)
    }

    /// Why it was not read as JSON, where it should have been: as it was announced, or as it looks.
    pub(crate) fn not_json(&self, is_announced: bool, values_max: usize) -> Option<NotJson> {
        let bytes = match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            _ => return None,
        };
        if bytes.len() as u64 > BODY_BYTES_MAX || !(is_announced || looks_like_json(bytes)) {
            return None;
        }
        let document = without_mark(bytes);
        let mut error = json::parse_tree(document, values_max).err()?;
        error.offset += bytes.len() - document.len();
        Some(NotJson::of(&error))
    }

    /// True where both are of one kind, and can be compared as that.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Structured(one), Self::Structured(other)) => one.compared_as == other.compared_as,
            (Self::Media(one), Self::Media(other)) => one.compared_as == other.compared_as,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }

    /// What joins to a message, if it does.
    pub(crate) fn stream(&self) -> Option<&Stream> {
        match self {
            Self::Events(stream) | Self::Lines(_, stream) | Self::CutLines(_, Some(stream)) => Some(stream),
            _ => None,
        }
    }

    /// A list of what stands in each line, or any other list.
    pub(crate) fn list(&self) -> Option<&Tree<'a>> {
        match self {
            Self::Json(tree, Written { open: 0, .. }) if tree.root().kind() == Kind::Array => Some(tree),
            Self::Lines(tree, _) | Self::CutLines(tree, _) => Some(tree),
            _ => None,
        }
    }

    /// The bytes, where nothing more is known of them; `None` for what was read.
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Media(media) => Some(&media.bytes),
            Self::Nothing
            | Self::Json(..)
            | Self::Lines(..)
            | Self::CutLines(..)
            | Self::Events(_)
            | Self::Structured(_) => None,
        }
    }

    /// As it is shown where it is compared as a whole; `None` for nothing.
    pub(crate) fn shown(&self) -> Option<Shown> {
        match self {
            Self::Nothing => None,
            Self::Json(tree, _) => Some(Shown::of_json(tree.root())),
            Self::Lines(tree, _) | Self::CutLines(tree, _) => Some(Shown::of_json(tree.root())),
            Self::Structured(structured) => Some(Shown::beginning_of(&structured.value().to_compact_text())),
            Self::Media(media) => Some(Shown::of_bytes(&media.bytes)),
            Self::Events(stream) => {
                let len = stream.events.last().map_or(0, |event| event.range.end) as u64;
                Some(Shown { text: format!("{} events", stream.events.len()), len, digest: None })
            }
            Self::Text(text) => Some(Shown::beginning_of(text)),
            Self::Bytes(bytes) => Some(Shown::of_bytes(bytes)),
        }
    }
}

/// A byte order mark in UTF-8, which RFC 8259 (section 8.1) lets readers ignore.
const MARK: &str = "\u{feff}";

/// The bytes behind a byte order mark.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK.as_bytes()).unwrap_or(bytes)
}

/// True for what begins and ends like an object or array, or begins like an object with a key. A line of a log may begin with `[`.
fn looks_like_json(bytes: &[u8]) -> bool {
    let bytes = without_mark(bytes).trim_ascii();
    match (bytes.first(), bytes.last()) {
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) => true,
        (Some(b'{'), _) => bytes[1..].trim_ascii_start().first() == Some(&b'"'),
        _ => false,
    }
}

/// True for what is announced as a JSON document in each line.
fn is_lines(essence: &str) -> bool {
    let subtype = essence.strip_prefix("application/").or_else(|| essence.strip_prefix("text/")).unwrap_or_default();
    let subtype = subtype.strip_prefix("x-").unwrap_or(subtype);
    matches!(subtype, "ndjson" | "jsonl" | "jsonlines" | "json-lines")
}

/// Lines that are not empty.
fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

/// True for bytes with two lines or more that are not empty.
pub(crate) fn has_lines(bytes: &[u8]) -> bool {
    lines_of(bytes).nth(1).is_some()
}

/// How the last of several lines ends.
enum LastLine {
    /// As a document does.
    Whole,
    /// The body was cut, so many values of it with it.
    Part(usize),
    /// Too early, though nobody cut the body.
    Cut,
}

/// What stands before a line that was cut, where it is a text among documents.
pub(crate) const CUT: &str = "(cut) ";

/// True where the lines that are whole join to a message.
fn begins_message(stream: &Stream) -> bool {
    message::joined(&Stream { events: stream.events.clone(), trailing: None }).is_some()
}

/// A JSON document in each line as one array of them, and how the last one ends; `None` where a line is none.
///
/// Where nobody cut the body, a last line that ends too early is a text among the documents: nothing of it is left out.
fn read_lines(bytes: &[u8], values_max: usize, is_part: bool) -> Option<(Tree<'static>, LastLine)> {
    let bytes = without_mark(bytes);
    if lines_of(bytes).nth(values_max).is_some() {
        return None;
    }
    let lines: Vec<&[u8]> = lines_of(bytes).collect();
    let (last, before) = lines.split_last()?;
    let is_document = |line: &[u8]| json::parse_tree(line, values_max).is_ok();
    if !before.iter().all(|line| is_document(line)) {
        return None;
    }
    let mut joined = [&b"["[..], &before.join(&b',')].concat();
    if !before.is_empty() {
        joined.push(b',');
    }
    if is_part {
        joined.extend_from_slice(last);
        // Behind it a number is whole.
        joined.extend(bytes.ends_with(b"\n").then_some(b'\n'));
        return parse_cut(&joined, values_max).map(|(tree, open)| (tree, LastLine::Part(open)));
    }
    let is_whole = is_document(last);
    if is_whole {
        joined.extend_from_slice(last);
    } else if !before.is_empty() && parse_cut(last, values_max).is_some() {
        let text = format!("{CUT}{}", text_up_to_cut(last)?);
        joined.extend(json::Value::String(text).to_compact_text().into_bytes());
    } else {
        return None;
    }
    joined.push(b']');
    let tree = json::parse_tree_owned(String::from_utf8(joined).ok()?, values_max, None).ok()?;
    Some((tree, if is_whole { LastLine::Whole } else { LastLine::Cut }))
}

/// The text, and bytes of a character that was cut as escapes that JSON does not have.
fn text_up_to_cut(bytes: &[u8]) -> Option<String> {
    let valid_len = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return None,
    };
    let mut text = std::str::from_utf8(&bytes[..valid_len]).ok()?.to_owned();
    bytes[valid_len..].iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    Some(text)
}

/// The document, or the bytes where they are none. A byte order mark before it is no part of it.
fn read_json<'a>(bytes: Cow<'a, [u8]>, values_max: usize, like: Option<&View<'a>>) -> Result<Tree<'a>, Cow<'a, [u8]>> {
    let like = match like {
        Some(View::Json(tree, Written::WHOLE)) => Some(tree),
        _ => None,
    };
    match bytes {
        Cow::Borrowed(borrowed) => match like {
            Some(like) => json::parse_tree_like(without_mark(borrowed), values_max, like),
            None => json::parse_tree(without_mark(borrowed), values_max),
        }
        .map_err(|_| bytes),
        Cow::Owned(owned) => {
            let mut text = String::from_utf8(owned).map_err(|error| Cow::Owned(error.into_bytes()))?;
            let is_marked = text.starts_with(MARK);
            if is_marked {
                text.drain(..MARK.len());
            }
            json::parse_tree_owned(text, values_max, like).map_err(|(_, text)| {
                Cow::Owned(if is_marked { [MARK, &text].concat().into_bytes() } else { text.into_bytes() })
            })
        }
    }
}

/// Events, where the bytes are UTF-8 up to a character that was cut.
fn read_events(decoded: &[u8], is_part: bool) -> Option<Stream> {
    let valid_len = match std::str::from_utf8(decoded) {
        Ok(text) => text.len(),
        Err(error) if is_part && error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return None,
    };
    sse::parse_limited(&decoded[..valid_len], ITEMS_MAX).ok()
}
