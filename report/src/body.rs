//! Bodies for reading: JSON indented, an event stream by event with the time of each, text as it is, bytes as hex.

use std::fmt::Write;

use content::{encoding, json, sse};
use exchange::{Body, Head, MediaKind};

use crate::{Style, bytes, escape_line, escape_lines, span};

/// Most of a body that is shown, in bytes of the text it comes to. A choice: more than anyone reads in a terminal.
const SHOWN_BYTES_MAX: usize = 256 << 10;

/// Most of a body that is decoded to be shown, in bytes.
const DECODED_BYTES_MAX: u64 = 8 << 20;

/// Bytes of a body that is no text that are shown.
const HEX_BYTES_MAX: usize = 256;

/// A body and what is needed to read it.
#[derive(Clone, Copy, Debug)]
pub struct BodyView<'a> {
    /// The head it followed.
    pub head: &'a Head,
    /// How it is put together, and when its chunks came.
    pub body: &'a Body,
    /// Its kept bytes as sent, from the beginning; fewer than kept when it is too long to show.
    pub bytes: &'a [u8],
    /// When the exchange began, in nanoseconds since the session's start.
    pub started_ns: u64,
}

impl BodyView<'_> {
    /// When the byte before `end` was read, in nanoseconds since the exchange began.
    pub(crate) fn arrived_ns(&self, end: usize) -> Option<u64> {
        let last = (end as u64).checked_sub(1)?;
        let chunks = &self.body.chunks;
        let chunk = chunks.get(chunks.partition_point(|chunk| chunk.offset <= last).checked_sub(1)?)?;
        Some(chunk.at_ns.saturating_sub(self.started_ns))
    }
}

/// A body for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pretty {
    /// Each line ended by a line feed; nothing at all for an empty body.
    pub(crate) text: String,
    /// True where some of the body is not in the text.
    pub(crate) is_cut: bool,
    /// True for text whose last line has no line feed, which the text here gives it.
    pub(crate) is_unended: bool,
}

/// The body for a person, each line ended by a line feed; nothing at all for an empty one.
pub fn pretty_body(view: &BodyView<'_>, style: Style) -> String {
    pretty(view, style).text
}

/// As [`pretty_body`], with what the text does not tell.
pub(crate) fn pretty(view: &BodyView<'_>, style: Style) -> Pretty {
    if view.bytes.is_empty() {
        return Pretty { text: notes(view, style), ..Pretty::default() };
    }
    let (decoded, trouble) = match encoding::decode(view.head, view.bytes, DECODED_BYTES_MAX) {
        Ok(decoded) => (decoded.into_owned(), None),
        Err(error) => (error.decoded().unwrap_or(view.bytes).to_vec(), Some(error.to_string())),
    };
    let is_as_sent = decoded == view.bytes;
    let mut pretty = render(view, &decoded, is_as_sent, style);
    pretty.is_cut |= trouble.is_some() || pretty.text.len() > SHOWN_BYTES_MAX;
    pretty.text = cut(pretty.text, style);
    if let Some(trouble) = trouble {
        pretty.text += &format!("{}\n", style.yellow(&format!("({})", escape_line(&trouble))));
    }
    pretty.text += &notes(view, style);
    pretty
}

fn render(view: &BodyView<'_>, decoded: &[u8], is_as_sent: bool, style: Style) -> Pretty {
    let whole = |text| Pretty { text, ..Pretty::default() };
    let as_json = || json::parse(decoded).ok().map(|value| whole(format!("{}\n", indented(&value))));
    let as_text = || {
        let text = std::str::from_utf8(decoded).ok()?;
        Some(Pretty { is_unended: !text.ends_with('\n'), ..whole(with_line_end(&escape_lines(text))) })
    };
    let pretty = match MediaKind::of(view.head) {
        MediaKind::EventStream => Some(whole(events(view, decoded, is_as_sent, style))),
        MediaKind::Json => as_json().or_else(as_text),
        MediaKind::Text | MediaKind::Other => as_text(),
    };
    pretty.unwrap_or_else(|| Pretty { is_cut: decoded.len() > HEX_BYTES_MAX, ..whole(hex(decoded)) })
}

/// Each event under a line that says which, and when its last byte came; its data indented where it is JSON.
fn events(view: &BodyView<'_>, decoded: &[u8], is_as_sent: bool, style: Style) -> String {
    let stream = sse::parse(decoded);
    let mut text = String::new();
    for (number, event) in stream.events.iter().chain(&stream.trailing).enumerate() {
        let at = if is_as_sent { view.arrived_ns(event.range.end) } else { None };
        let at = at.map(|at_ns| format!(" +{}", span(at_ns))).unwrap_or_default();
        let name = event.event.as_deref().map(|name| format!(" {}", escape_line(name))).unwrap_or_default();
        let cut = if event.dispatched { "" } else { " (not dispatched)" };
        text += &format!("{}\n", style.dim(&format!("— {number}{name}{at}{cut}")));
        let id = event.id.as_deref().map(|id| ("id", id));
        let retry = event.retry.as_deref().map(|retry| ("retry", retry));
        for (field, value) in id.into_iter().chain(retry) {
            text += &format!("{field}: {}\n", escape_line(value));
        }
        if event.has_data {
            let data = json::parse(event.data.as_bytes()).ok().map(|value| value.to_compact_text());
            text += &with_line_end(&escape_lines(&data.unwrap_or_else(|| event.data.clone())));
        }
        if text.len() > SHOWN_BYTES_MAX {
            break;
        }
    }
    text
}

/// JSON with two spaces a level; numbers as written.
pub(crate) fn indented(value: &json::Value) -> String {
    let mut text = String::new();
    write_indented(value, 0, &mut text);
    text
}

fn write_indented(value: &json::Value, level: usize, out: &mut String) {
    let line = |out: &mut String, level: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    };
    match value {
        json::Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { "," });
                line(out, level + 1);
                write_indented(item, level + 1, out);
            }
            line(out, level);
            out.push(']');
        }
        json::Value::Object(members) if !members.is_empty() => {
            out.push('{');
            for (place, (key, member)) in members.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { "," });
                line(out, level + 1);
                out.push_str(&escape_line(&json::Value::String(key.clone()).to_compact_text()));
                out.push_str(": ");
                write_indented(member, level + 1, out);
            }
            line(out, level);
            out.push('}');
        }
        scalar => out.push_str(&escape_line(&scalar.to_compact_text())),
    }
}

/// Sixteen bytes a line, with the printable ones beside them.
fn hex(content: &[u8]) -> String {
    let mut text = String::new();
    for (row, line) in content[..content.len().min(HEX_BYTES_MAX)].chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String =
            line.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' }).collect();
        writeln!(text, "{:08x}  {:47}  {shown}", row * 16, digits.join(" ")).expect("a string takes all");
    }
    if content.len() > HEX_BYTES_MAX {
        text += &format!("… {} more, no text\n", bytes((content.len() - HEX_BYTES_MAX) as u64));
    }
    text
}

fn cut(mut text: String, style: Style) -> String {
    if text.len() <= SHOWN_BYTES_MAX {
        return text;
    }
    text.truncate(text.floor_char_boundary(SHOWN_BYTES_MAX));
    text + &format!("…\n{}\n", style.yellow("(cut here to be shown; `--as raw` gives a response's body whole)"))
}

/// What is missing, and why; chunked trailers.
fn notes(view: &BodyView<'_>, style: Style) -> String {
    let mut text = String::new();
    if !view.body.trailers.is_empty() {
        text += &format!("trailers: {}\n", escape_line(String::from_utf8_lossy(&view.body.trailers).trim_end()));
    }
    if let Some(gap) = view.body.gap {
        let (kept, len) = (view.body.kept_len(), view.body.len);
        let why = match gap {
            exchange::Gap::OverLimit => "it was longer than `--body-max` allows",
            exchange::Gap::QueueFull => "the recorder lagged behind",
            exchange::Gap::StoreFailed => "the store could not take it",
        };
        text += &format!("{}\n", style.yellow(&format!("({kept} of {len} bytes were kept: {why})")));
    }
    text
}

fn with_line_end(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

#[cfg(test)]
mod tests {
    use exchange::Chunk;

    use super::*;

    fn pretty(content_type: &str, content: &[u8], body: Body) -> String {
        let head = Head::new(format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n"));
        pretty_body(&BodyView { head: &head, body: &body, bytes: content, started_ns: 1_000_000 }, Style::PLAIN)
    }

    #[test]
    fn json_is_indented_with_its_numbers_as_written_and_its_order_kept() {
        let text = pretty("application/json", br#"{"b":[1.00,{}],"a":"x\u001b[2J"}"#, Body::default());
        insta::assert_snapshot!(text, @r#"
        {
          "b": [
            1.00,
            {}
          ],
          "a": "x\u001b[2J"
        }
        "#);
    }

    #[test]
    fn what_claims_to_be_json_and_is_not_is_shown_as_text_and_bytes_as_hex() {
        assert_eq!(pretty("application/json", b"{oops \x1b[2J", Body::default()), "{oops \\x1b[2J\n");
        insta::assert_snapshot!(pretty("image/png", b"\x89PNG\r\n\x1a\n\0", Body::default()), @"00000000  89 50 4e 47 0d 0a 1a 0a 00                       .PNG.....");
    }

    #[test]
    fn each_event_tells_when_its_last_byte_came() {
        let content = b"event: delta\ndata: {\"t\": \"a\"}\n\ndata: [DONE]\n\ndata: cut";
        let chunks = vec![Chunk { offset: 0, at_ns: 2_000_000 }, Chunk { offset: 20, at_ns: 13_500_000 }];
        let text = pretty("text/event-stream", content, Body { chunks, ..Body::default() });
        insta::assert_snapshot!(text, @r#"
        — 0 delta +12.5 ms
        {"t":"a"}
        — 1 +12.5 ms
        [DONE]
        — 2 +12.5 ms (not dispatched)
        cut
        "#);
    }

    #[test]
    fn a_body_that_was_not_kept_whole_says_how_much_is_missing_and_why() {
        let body = Body { len: 10, gap: Some(exchange::Gap::QueueFull), ..Body::default() };
        assert_eq!(pretty("text/plain", b"", body), "(0 of 10 bytes were kept: the recorder lagged behind)\n");
    }

    #[test]
    fn a_long_body_is_cut_and_says_so() {
        let text = pretty("text/plain", &vec![b'a'; SHOWN_BYTES_MAX + 10], Body::default());
        assert!(text.len() < SHOWN_BYTES_MAX + 200 && text.contains("--as raw"));
    }
}
