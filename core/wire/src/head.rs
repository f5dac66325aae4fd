//! Where a head ends, and what it says about the bytes that follow.
//!
//! In: bytes from the socket. Out: the place of the blank line, then the facts that framing needs. The reading is as
//! lenient as a careful server's where only one meaning is possible, and says [`Unclear`] where two servers could
//! disagree: such a message is passed on as raw bytes rather than understood in our own way (RFC 9112, sections 2.2,
//! 5.1 and 6.3; RFC 9110, section 8.6). What bodies and fields mean otherwise is for others.

use exchange::Head;

/// Largest head that is understood, in bytes: 10,000 fields of a hundred bytes. A choice; a longer one passes as raw bytes.
pub const HEAD_BYTES_MAX: usize = 1 << 20;

/// Longest method that is taken for one, in bytes. The longest registered method has 17; a choice with room.
const METHOD_BYTES_MAX: usize = 64;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body follows.
    None,
    /// This many bytes follow.
    Length(u64),
    /// Chunks follow, the last of them empty, then trailers.
    Chunked,
    /// All bytes until the connection's end.
    UntilClose,
}

/// What a request's head says about the bytes around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The answer has no body whatever its head says.
    pub is_head: bool,
    /// An answer of 2xx turns the connection into a tunnel.
    pub is_connect: bool,
    /// The client is of HTTP/1.0: it knows no chunks.
    pub is_http10: bool,
    /// The client may wait for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The connection ends after this exchange.
    pub wants_close: bool,
    /// How the end of the request's body is told.
    pub framing: Framing,
}

/// What a response's head says about the bytes around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    /// Three digits as a number.
    pub status: u16,
    /// Another response follows this one (1xx but 101).
    pub is_interim: bool,
    /// Bytes without HTTP's framing follow (101, or 2xx to a CONNECT).
    pub is_upgrade: bool,
    /// The connection ends after this exchange.
    pub wants_close: bool,
    /// How the end of the response's body is told.
    pub framing: Framing,
}

/// Why the extent of a message cannot be told for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unclear {
    /// No request or status line of HTTP/1.x.
    #[error("the first line is not one of HTTP/1.x")]
    NotHttp1,
    /// The head did not end within the limit.
    #[error("the head is longer than the limit")]
    TooLong,
    /// The stream ended inside the head.
    #[error("the stream ended inside the head")]
    Cut,
    /// A carriage return that no line feed follows: some end the line there.
    #[error("a carriage return stands alone in the head")]
    LoneCarriageReturn,
    /// White space before the colon, or a folded line, at a field that tells the framing.
    #[error("a field that tells the body's length is written in a way that is read in several")]
    OddField,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("both content-length and transfer-encoding are given")]
    LengthAndEncoding,
    /// A content length that is no number, or several that differ.
    #[error("the content-length is no number, or there are several")]
    BadLength,
    /// A transfer encoding whose last step is not `chunked`, or one in HTTP/1.0.
    #[error("the transfer-encoding does not end in one `chunked`")]
    BadEncoding,
    /// The framing of a body broke.
    #[error("the body's framing is broken")]
    BadChunk,
}

/// How far the search for a head's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadEnd {
    /// The head begins after `start` bytes of blank lines and ends, blank line included, before `end`.
    Found {
        /// Where the first line begins.
        start: usize,
        /// Where what follows the head begins.
        end: usize,
    },
    /// More bytes are needed; the next search may begin at `resume_at`.
    Partial {
        /// Argument for the next search.
        resume_at: usize,
    },
}

/// Finds the end of the head at the beginning of `bytes`, of which the part before `resume_at` was searched before.
///
/// Lines may end in `\n` alone, and blank lines before the first line are passed over (RFC 9112, section 2.2).
pub fn find_head_end(bytes: &[u8], resume_at: usize) -> HeadEnd {
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let from = resume_at.clamp(start, bytes.len());
    for line_end in memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| from + at) {
        match &bytes[line_end + 1..] {
            [b'\n', ..] => return HeadEnd::Found { start, end: line_end + 2 },
            [b'\r', b'\n', ..] => return HeadEnd::Found { start, end: line_end + 3 },
            [] | [b'\r'] => return HeadEnd::Partial { resume_at: line_end },
            _ => {}
        }
    }
    HeadEnd::Partial { resume_at: bytes.len() }
}

/// True while `bytes`, the beginning of what a client sent, may still become a request of HTTP/1.x.
///
/// Tells a TLS hello, the preface of HTTP/2 and most binary protocols before they have sent a line feed that never comes.
pub fn may_become_request(bytes: &[u8]) -> bool {
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = &bytes[start..];
    let line_end = memchr::memchr(b'\n', bytes);
    let line = &bytes[..line_end.unwrap_or(bytes.len())];
    let method_end = memchr::memchr(b' ', line).unwrap_or(line.len());
    let method_may_be = method_end <= METHOD_BYTES_MAX && line[..method_end].iter().all(|&byte| is_token(byte));
    match line_end {
        Some(_) => method_may_be && is_request_line(line),
        None => method_may_be && line.iter().all(|&byte| byte >= b' ' || byte == b'\r' || byte == b'\t'),
    }
}

/// True while `bytes`, the beginning of what a server sent, may still become a response of HTTP/1.x.
pub fn may_become_response(bytes: &[u8]) -> bool {
    const VERSION: &[u8] = b"HTTP/1.";
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    bytes[start..].iter().zip(VERSION).all(|(found, expected)| found == expected)
}

/// Reads what a request's head says about framing.
///
/// # Errors
/// [`Unclear`] when two servers could disagree about where the request ends.
pub fn read_request(head: &Head) -> Result<RequestFacts, Unclear> {
    let first_line = head.bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = head.request_line().filter(|_| is_request_line(first_line)).ok_or(Unclear::NotHttp1)?;
    let is_http10 = line.version == b"HTTP/1.0";
    let fields = FramingFields::read(head)?;
    Ok(RequestFacts {
        is_head: line.method == b"HEAD",
        is_connect: line.method == b"CONNECT",
        is_http10,
        expects_continue: !is_http10
            && head.value_of("expect").is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")),
        wants_close: wants_close(head, is_http10),
        framing: fields.framing(is_http10)?.unwrap_or(Framing::None),
    })
}

/// Reads what the head of a response to `request` says about framing.
///
/// # Errors
/// [`Unclear`] when two clients could disagree about where the response ends.
pub fn read_response(head: &Head, request: &RequestFacts) -> Result<ResponseFacts, Unclear> {
    let is_response = head.bytes.starts_with(b"HTTP/1.");
    let line = head.status_line().filter(|line| is_response && is_version(line.version)).ok_or(Unclear::NotHttp1)?;
    let status = line.status;
    let is_http10 = line.version == b"HTTP/1.0";
    let is_upgrade = status == 101 || (request.is_connect && (200..300).contains(&status));
    let is_interim = (100..200).contains(&status) && !is_upgrade;
    let framing = if is_upgrade || is_interim || request.is_head || matches!(status, 204 | 304) {
        Framing::None
    } else {
        FramingFields::read(head)?.framing(is_http10)?.unwrap_or(Framing::UntilClose)
    };
    let wants_close = framing == Framing::UntilClose || wants_close(head, is_http10);
    Ok(ResponseFacts { status, is_interim, is_upgrade, wants_close, framing })
}

/// What the fields that tell the framing say.
#[derive(Default)]
struct FramingFields<'a> {
    lengths: Vec<&'a [u8]>,
    encodings: Vec<&'a [u8]>,
}

impl<'a> FramingFields<'a> {
    fn read(head: &'a Head) -> Result<Self, Unclear> {
        let mut fields = Self::default();
        let mut at_framing_field = false;
        for (number, line) in head.bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if memchr::memchr(b'\r', line).is_some() {
                return Err(Unclear::LoneCarriageReturn);
            }
            if number == 0 {
                continue;
            }
            if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
                // A folded line belongs to the field before it; one after the start line to none, or to all of them.
                if at_framing_field || number == 1 {
                    return Err(Unclear::OddField);
                }
                continue;
            }
            at_framing_field = fields.take(line)?;
        }
        Ok(fields)
    }

    fn take(&mut self, line: &'a [u8]) -> Result<bool, Unclear> {
        let Some(colon) = memchr::memchr(b':', line) else { return Ok(false) };
        let name = &line[..colon];
        let kept = match name.trim_ascii() {
            trimmed if trimmed.eq_ignore_ascii_case(b"content-length") => &mut self.lengths,
            trimmed if trimmed.eq_ignore_ascii_case(b"transfer-encoding") => &mut self.encodings,
            _ => return Ok(false),
        };
        if name != name.trim_ascii() {
            return Err(Unclear::OddField);
        }
        kept.push(line[colon + 1..].trim_ascii());
        Ok(true)
    }

    /// The framing that the fields tell, `None` when they tell none.
    fn framing(&self, is_http10: bool) -> Result<Option<Framing>, Unclear> {
        match (self.lengths.as_slice(), self.encodings.as_slice()) {
            ([], []) => Ok(None),
            ([length, others @ ..], []) => {
                let same = others.iter().all(|other| other == length);
                same.then(|| read_length(length))
                    .flatten()
                    .map(|length| Some(Framing::Length(length)))
                    .ok_or(Unclear::BadLength)
            }
            ([], encodings) => {
                let mut steps =
                    encodings.iter().flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
                let chunked = |step: &[u8]| step.eq_ignore_ascii_case(b"chunked");
                let last_is_chunked = steps.next_back().is_some_and(chunked);
                let clear = !is_http10 && last_is_chunked && !steps.any(|step| chunked(step) || step.is_empty());
                clear.then_some(Some(Framing::Chunked)).ok_or(Unclear::BadEncoding)
            }
            _ => Err(Unclear::LengthAndEncoding),
        }
    }
}

fn read_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// True when the connection ends after the message with this head (RFC 9112, section 9.3).
fn wants_close(head: &Head, is_http10: bool) -> bool {
    let options = || {
        let values = head.fields().filter(|field| field.is("connection")).map(|field| field.value);
        values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
    };
    let says = |option: &[u8]| options().any(|found| found.eq_ignore_ascii_case(option));
    says(b"close") || (is_http10 && !says(b"keep-alive"))
}

fn is_request_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.splitn(3, |&byte| byte == b' ').map(<[u8]>::trim_ascii);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let method_is_one = !method.is_empty() && method.iter().all(|&byte| is_token(byte));
    method_is_one && !target.is_empty() && is_version(words.next().unwrap_or_default())
}

fn is_version(version: &[u8]) -> bool {
    matches!(version, b"HTTP/1.1" | b"HTTP/1.0")
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
