//! A body as it is compared: decoded, and read as what it is announced to be.
//!
//! In: an answer, or a file of a kind that was guessed. Out: a [`View`]. What cannot be decoded or read is compared as
//! text or bytes; a body that was cut is read as far as it goes.

use std::borrow::Cow;

use content::{
    canonical::{ITEMS_MAX, VALUES_MAX, decoded_body},
    encoding::DecodeError,
    json::{self, Value},
    sse::{self, Stream},
};
use exchange::MediaKind;

use crate::{Output, Shown, json::parse_cut};

/// A body, read.
#[derive(Debug)]
pub(crate) enum View<'a> {
    /// No byte.
    Nothing,
    /// JSON, and how many values at its end were cut off.
    Json(Value, usize),
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
        Self::of_as(kind, output)
    }

    /// The view of an answer's body read as this kind.
    pub(crate) fn of_as(kind: MediaKind, output: &Output<'a>) -> Self {
        match decoded_body(output.head, output.body) {
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
        match kind {
            MediaKind::Json => {
                let cut = || if is_part { parse_cut(&decoded, VALUES_MAX) } else { None };
                let whole = json::parse_limited(&decoded, VALUES_MAX).map(|value| (value, 0));
                if let Some((value, open)) = whole.ok().or_else(cut) {
                    return Self::Json(value, open);
                }
            }
            MediaKind::EventStream => {
                if let Some(stream) = read_events(&decoded, is_part) {
                    return Self::Events(stream);
                }
            }
            MediaKind::Text | MediaKind::Other => {}
        }
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
            Self::Json(value, _) => Some(Shown::of_json(value)),
            Self::Events(stream) => {
                let len = stream.events.last().map_or(0, |event| event.range.end) as u64;
                Some(Shown { text: format!("{} events", stream.events.len()), len, digest: None })
            }
            Self::Text(text) => Some(Shown::beginning_of(text)),
            Self::Bytes(bytes) => Some(Shown::of_bytes(bytes)),
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
