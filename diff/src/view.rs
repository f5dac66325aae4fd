//! A body as it is compared: decoded, and read as what it is announced to be.
//!
//! In: an answer, or a file of a kind that was guessed. Out: a [`View`]. What cannot be decoded or read is compared as
//! text or bytes; a body that was cut is read as far as it goes.

use std::borrow::Cow;

use content::{
    canonical::{ITEMS_MAX, VALUES_MAX, decoded_body},
    encoding::DecodeError,
    json::{self, Tree},
    sse::{self, Stream},
};
use exchange::{Head, MediaKind};

use crate::{Output, Shown, json::parse_cut};

/// A body, read.
#[derive(Debug)]
pub(crate) enum View<'a> {
    /// No byte.
    Nothing,
    /// JSON, and how many values at its end were cut off.
    Json(Tree<'a>, usize),
    /// Server-sent events.
    Events(Stream),
    /// UTF-8.
    Text(Cow<'a, str>),
    /// Anything else.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> View<'a> {
    /// The view of an answer's body, as its content type says; without one it is tried as JSON.
    pub(crate) fn of(output: &Output<'a>) -> Self {
        let says_nothing = output.head.value_of("content-type").is_none();
        let kind = if says_nothing { MediaKind::Json } else { MediaKind::of(output.head) };
        match decoded_body(output.head, output.body) {
            Ok(decoded) if is_lines(output.head) && !output.is_part() => read_lines(&decoded, VALUES_MAX)
                .map_or_else(|| Self::read(kind, decoded, false), |tree| Self::Json(tree, 0)),
            decoded => Self::of_decoded(kind, output, decoded),
        }
    }

    /// The view of an answer's body read as this kind.
    pub(crate) fn of_as(kind: MediaKind, output: &Output<'a>) -> Self {
        Self::of_decoded(kind, output, decoded_body(output.head, output.body))
    }

    fn of_decoded(kind: MediaKind, output: &Output<'a>, decoded: Result<Cow<'a, [u8]>, DecodeError>) -> Self {
        match decoded {
            Ok(decoded) => Self::read(kind, decoded, output.is_part()),
            Err(DecodeError::Truncated { decoded, .. }) if output.is_part() => {
                Self::read(kind, Cow::Owned(decoded), true)
            }
            Err(_) if output.body.is_empty() => Self::Nothing,
            Err(_) => Self::Bytes(Cow::Borrowed(output.body)),
        }
    }

    /// Decoded bytes read as this kind where they are.
    pub(crate) fn read(kind: MediaKind, decoded: Cow<'a, [u8]>, is_part: bool) -> Self {
        if decoded.is_empty() {
            return Self::Nothing;
        }
        let decoded = match kind {
            MediaKind::Json => match read_json(decoded, VALUES_MAX) {
                Ok(tree) => return Self::Json(tree, 0),
                Err(decoded) => match is_part.then(|| parse_cut(&decoded, VALUES_MAX)).flatten() {
                    Some((tree, open)) => return Self::Json(tree, open),
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

    /// The bytes, where nothing more is known of them; `None` for what was read.
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Nothing | Self::Json(..) | Self::Events(_) => None,
        }
    }

    /// As it is shown where it is compared as a whole; `None` for nothing.
    pub(crate) fn shown(&self) -> Option<Shown> {
        match self {
            Self::Nothing => None,
            Self::Json(tree, _) => Some(Shown::of_json(tree.root())),
            Self::Events(stream) => {
                let len = stream.events.last().map_or(0, |event| event.range.end) as u64;
                Some(Shown { text: format!("{} events", stream.events.len()), len, digest: None })
            }
            Self::Text(text) => Some(Shown::beginning_of(text)),
            Self::Bytes(bytes) => Some(Shown::of_bytes(bytes)),
        }
    }
}

/// True for what is announced as a JSON document in each line.
fn is_lines(head: &Head) -> bool {
    const NAMES: [&str; 4] =
        ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];
    let essence = head.text_of("content-type").and_then(|text| text.split(';').next()).unwrap_or_default();
    NAMES.iter().any(|name| essence.trim().eq_ignore_ascii_case(name))
}

/// A JSON document in each line as one array of them; `None` where a line is none, or there is only one.
pub(crate) fn read_lines(bytes: &[u8], values_max: usize) -> Option<Tree<'static>> {
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    if lines.len() < 2 || !lines.iter().all(|line| json::parse_tree(line, values_max).is_ok()) {
        return None;
    }
    let joined = [&b"["[..], &lines.join(&b','), b"]"].concat();
    json::parse_tree(&joined, values_max).ok().map(Tree::into_owned)
}

/// The document, or the bytes where they are none.
pub(crate) fn read_json(bytes: Cow<'_, [u8]>, values_max: usize) -> Result<Tree<'_>, Cow<'_, [u8]>> {
    match bytes {
        Cow::Borrowed(borrowed) => json::parse_tree(borrowed, values_max).map_err(|_| bytes),
        Cow::Owned(owned) => match json::parse_tree(&owned, values_max).map(Tree::into_owned) {
            Ok(tree) => Ok(tree),
            Err(_) => Err(Cow::Owned(owned)),
        },
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
