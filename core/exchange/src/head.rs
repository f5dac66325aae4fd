//! The head of a message, exactly as it was on the socket, and a lenient reading of it.

use serde::{Deserialize, Serialize};

use crate::bytes_text;

/// The bytes of a request's or response's head, from the start line to the blank line, both included.
///
/// Order, case, spacing and repetition are those of the wire. Reading is lenient: lines may end in `\n` alone, and a line
/// without a colon is a field with an empty value rather than an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Head {
    /// The bytes. Written as text of ISO 8859-1, so that every byte survives.
    #[serde(with = "bytes_text::as_text")]
    pub bytes: Vec<u8>,
}

/// A request's first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// As sent, usually in upper case.
    pub method: &'a [u8],
    /// As sent: origin form (`/path?query`), absolute form, authority form or `*`.
    pub target: &'a [u8],
    /// `HTTP/1.1`, `HTTP/1.0`, or empty when there was none.
    pub version: &'a [u8],
}

/// A response's first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLine<'a> {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: &'a [u8],
    /// Three digits as a number.
    pub status: u16,
    /// Whatever follows, often empty.
    pub reason: &'a [u8],
}

/// One header field as it was sent, without the white space around its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name in the case it was sent in.
    pub name: &'a [u8],
    /// The value; for a folded one, only what stands on its first line.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// True when the field's name is `name`, whatever the case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

impl Head {
    /// A head of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// True for the head of something that had none (a raw stream).
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The first line as a request's, or `None` when it has no method and target.
    pub fn request_line(&self) -> Option<RequestLine<'_>> {
        let mut words = self.first_line().splitn(3, |&byte| byte == b' ').map(trim);
        let line =
            RequestLine { method: words.next()?, target: words.next()?, version: words.next().unwrap_or_default() };
        (!line.method.is_empty() && !line.target.is_empty()).then_some(line)
    }

    /// The first line as a response's, or `None` when it has no three-digit status.
    pub fn status_line(&self) -> Option<StatusLine<'_>> {
        let mut words = self.first_line().splitn(3, |&byte| byte == b' ').map(trim);
        let version = words.next().filter(|version| version.starts_with(b"HTTP/"))?;
        let digits = words.next().filter(|digits| digits.len() == 3 && digits.iter().all(u8::is_ascii_digit))?;
        let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        Some(StatusLine { version, status, reason: words.next().unwrap_or_default() })
    }

    /// The header fields in the order they were sent, repeated ones repeated.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.lines().skip(1).filter(|line| !line.is_empty() && !line[0].is_ascii_whitespace()).map(|line| {
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            Field { name: trim(&line[..colon]), value: trim(line.get(colon + 1..).unwrap_or_default()) }
        })
    }

    /// The value of the first field of this name, whatever its case.
    pub fn value_of<'a>(&'a self, name: &str) -> Option<&'a [u8]> {
        self.fields().find(|field| field.is(name)).map(|field| field.value)
    }

    /// The value of the first field of this name where it is UTF-8.
    pub fn text_of<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.value_of(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Path and query of the request's target without scheme and authority, or `None` for a head without request line.
    pub fn origin_target(&self) -> Option<&[u8]> {
        let target = self.request_line()?.target;
        let Some(scheme_end) = target.windows(3).position(|window| window == b"://") else { return Some(target) };
        if target[..scheme_end].contains(&b'/') {
            return Some(target);
        }
        let after = &target[scheme_end + 3..];
        Some(memchr::memchr2(b'/', b'?', after).map_or(&b"/"[..], |slash| &after[slash..]))
    }

    fn first_line(&self) -> &[u8] {
        self.lines().next().unwrap_or_default()
    }

    /// The lines without their ends, up to and without the blank one.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.enumerate().take_while(|(at, line)| *at == 0 || !line.is_empty()).map(|(_, line)| line)
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_case_and_repetition_are_those_of_the_socket() {
        let head = Head::new(*b"GET /a[b]?x=<y> HTTP/1.1\r\nB: 1\r\na: 2\r\nB:3\r\n\r\n");
        let line = head.request_line().unwrap();
        assert_eq!((line.method, line.target, line.version), (&b"GET"[..], &b"/a[b]?x=<y>"[..], &b"HTTP/1.1"[..]));
        let fields: Vec<_> = head.fields().map(|field| (field.name, field.value)).collect();
        assert_eq!(fields, [(&b"B"[..], &b"1"[..]), (&b"a"[..], &b"2"[..]), (&b"B"[..], &b"3"[..])]);
        assert_eq!(head.text_of("A"), Some("2"));
    }

    #[test]
    fn what_follows_the_blank_line_is_no_field_and_a_line_without_a_colon_is_one_without_value() {
        let head = Head::new(*b"HTTP/1.1 200 OK\nodd line\n folded\n\nx: y");
        assert_eq!(head.status_line().unwrap().status, 200);
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [Field { name: b"odd line", value: b"" }]);
    }

    #[test]
    fn a_target_in_absolute_form_gives_its_path_and_one_with_a_url_inside_is_left_alone() {
        let target = |line: &str| {
            let head = Head::new(format!("{line}\r\n\r\n"));
            String::from_utf8(head.origin_target().unwrap().to_vec()).unwrap()
        };
        assert_eq!(target("GET http://host:80/a?b HTTP/1.1"), "/a?b");
        assert_eq!(target("GET http://host HTTP/1.1"), "/");
        assert_eq!(target("GET /go?to=http://host/a HTTP/1.1"), "/go?to=http://host/a");
    }

    #[test]
    fn bytes_above_ascii_survive_being_written() {
        let head = Head::new(vec![b'G', 0xff, 0x00, b'\r', b'\n']);
        let written = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<Head>(&written).unwrap(), head);
    }
}
