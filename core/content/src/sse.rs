//! Server-sent events, read as a browser reads them (WHATWG HTML, section 9.2.6), with nothing thrown away that was said.
//!
//! In: the decoded bytes of a `text/event-stream` body. Out: its events in order, each with the range of bytes it came
//! from. Where a browser forgets (an event without data, fields it does not know, the unfinished event at the end), we
//! keep and mark. What an event's data means is left to others.

use std::ops::Range;

#[cfg(test)]
mod tests;

/// One event: the lines between two blank ones, where at least one of them is a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The type: the last `event` field; `None` without one, which a browser calls `message`.
    pub event: Option<String>,
    /// The values of the `data` fields, with a line feed between each two.
    pub data: String,
    /// The last `id` field. One with a NUL counts as a field that the standard does not know, since it ignores it.
    pub id: Option<String>,
    /// The last `retry` field as written, digits or not.
    pub retry: Option<String>,
    /// Fields that the standard does not know, name and value, in order.
    pub others: Vec<(String, String)>,
    /// Comments that stood among the fields, without their colon.
    pub comments: Vec<String>,
    /// True when a browser would dispatch it: it has a `data` field, and the blank line that ends it came.
    pub dispatched: bool,
    /// True when it has a `data` field, be it an empty one.
    pub has_data: bool,
    /// Where it stands, in bytes of the body, the blank line that ends it included.
    pub range: Range<usize>,
}

/// A body read as events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The events that were ended by a blank line, dispatched or not.
    pub events: Vec<Event>,
    /// What came of an event that no blank line ended; a browser never sees it.
    pub trailing: Option<Event>,
}

/// More events and other fields than the caller allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event stream has more than {items_max} events and fields")]
pub struct TooManyItems {
    /// What the caller allows.
    pub items_max: usize,
}

impl TooManyItems {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        Some("such a body is compared as bytes")
    }
}

/// Reads a whole body. Bytes that are not UTF-8 become U+FFFD, as in a browser.
///
/// The events take at most about 100 bytes of memory for each byte of the body; where that is too much, use
/// [`parse_limited`].
pub fn parse(bytes: &[u8]) -> Stream {
    parse_limited(bytes, usize::MAX).unwrap_or_default()
}

/// Like [`parse`], with at most `items_max` events, comments and fields other than `data`, counted together.
///
/// # Errors
/// When there are more.
pub fn parse_limited(bytes: &[u8], items_max: usize) -> Result<Stream, TooManyItems> {
    let begin = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut stream = Stream::default();
    let mut pending = Pending::beginning_at(begin);
    let mut items_left = items_max;
    let mut at = begin;
    while at < bytes.len() {
        let (line, next) = line_at(bytes, at);
        if line.is_empty() {
            stream.events.extend(pending.ended_at(next));
            pending = Pending::beginning_at(next);
        } else if pending.take_line(line) {
            items_left = items_left.checked_sub(1).ok_or(TooManyItems { items_max })?;
        }
        at = next;
    }
    stream.trailing = pending.ended_at(bytes.len()).map(|event| Event { dispatched: false, ..event });
    Ok(stream)
}

/// The line that begins at `at`, and where the next one begins. CR, LF and CRLF end lines.
fn line_at(bytes: &[u8], at: usize) -> (&[u8], usize) {
    let rest = &bytes[at..];
    let Some(len) = memchr::memchr2(b'\r', b'\n', rest) else { return (rest, bytes.len()) };
    let end_len = if rest[len..].starts_with(b"\r\n") { 2 } else { 1 };
    (&rest[..len], at + len + end_len)
}

/// The event whose lines are being read.
struct Pending {
    event: Event,
    has_field: bool,
}

impl Pending {
    fn beginning_at(begin: usize) -> Self {
        Self { event: Event { range: begin..begin, ..Event::default() }, has_field: false }
    }

    /// Takes one line that is not blank; true when it is something to count.
    fn take_line(&mut self, line: &[u8]) -> bool {
        let colon = memchr::memchr(b':', line);
        let (name, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        let is_first = !self.has_field;
        self.has_field |= !name.is_empty();
        match name {
            b"data" => {
                if std::mem::replace(&mut self.event.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(&value);
                return is_first;
            }
            b"event" => self.event.event = Some(value.into_owned()),
            b"id" if !value.contains('\0') => self.event.id = Some(value.into_owned()),
            b"retry" => self.event.retry = Some(value.into_owned()),
            b"" => self.event.comments.push(value.into_owned()),
            _ => self.event.others.push((String::from_utf8_lossy(name).into_owned(), value.into_owned())),
        }
        true
    }

    /// The event, or `None` when there was no field: blank lines and comments alone are none.
    fn ended_at(self, end: usize) -> Option<Event> {
        let mut event = self.event;
        event.range.end = end;
        event.dispatched = event.has_data;
        self.has_field.then_some(event)
    }
}
