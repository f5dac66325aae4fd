//! Goes through a head and replaces its secrets where they stand.

use std::{collections::BTreeMap, ops::Range};

use exchange::{Head, Redaction};

use super::{Found, Redactor, forms, names, url};
use crate::fields::{self, FieldAt};

/// Words before a credential that tell its kind and stay (RFC 9110, section 11.4, and the schemes in use), in lower case.
const SCHEMES: &[&str] = &[
    "api-key",
    "apikey",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "digest",
    "dpop",
    "hawk",
    "hmac",
    "key",
    "negotiate",
    "ntlm",
    "signature",
    "token",
];

/// Fields that hold a URL, or several, in lower case.
const URL_HEADERS: &[&str] =
    &["content-location", "link", "location", "referer", "x-forwarded-uri", "x-original-uri", "x-original-url"];

/// One way through a head.
pub(super) struct Walk<'a> {
    redactor: &'a Redactor,
    head: &'a mut Head,
    /// `request`, `response`, or the trailers of one.
    side: &'static str,
    /// Which bytes are replaced already: a pseudonym looks like a secret.
    done: Vec<bool>,
    /// How often each place was replaced.
    counts: BTreeMap<String, u32>,
    pub(super) found: Vec<Found>,
}

impl<'a> Walk<'a> {
    pub(super) fn request(redactor: &'a Redactor, head: &'a mut Head) -> Self {
        let mut walk = Self::new(redactor, head, "request");
        // Without a method and target in it the line is still looked through: it may be a target all the same.
        let line = fields::start_line(walk.head);
        walk.url(line, "");
        walk.fields();
        walk
    }

    pub(super) fn response(redactor: &'a Redactor, head: &'a mut Head) -> Self {
        let mut walk = Self::new(redactor, head, "response");
        walk.fields();
        walk
    }

    /// Trailer fields: a head without its first line.
    pub(super) fn trailers(redactor: &'a Redactor, head: &'a mut Head, side: &'static str) -> Self {
        let mut walk = Self::new(redactor, head, side);
        walk.fields();
        walk
    }

    /// The places, sorted, each once.
    pub(super) fn redactions(self) -> Vec<Redaction> {
        self.counts.into_iter().map(|(place, count)| Redaction { place, count }).collect()
    }

    fn new(redactor: &'a Redactor, head: &'a mut Head, side: &'static str) -> Self {
        let done = vec![false; head.bytes.len()];
        Self { redactor, head, side, done, counts: BTreeMap::new(), found: Vec::new() }
    }

    fn fields(&mut self) {
        let fields = fields::fields(self.head);
        for field in &fields {
            let name = field.lower_name(self.head);
            match name.as_str() {
                "cookie" => self.cookies(field, &place_of(&name)),
                "set-cookie" => self.set_cookie(field, &place_of(&name)),
                _ if self.is_credential(&name) => self.credential(field, &place_of(&name)),
                _ if URL_HEADERS.contains(&name.as_str()) => self.urls(field, &place_of(&name)),
                _ => {}
            }
        }
        self.by_form(&fields);
    }

    fn is_credential(&self, name: &str) -> bool {
        names::is_credential_header(name) || self.redactor.extra.headers.iter().any(|extra| extra == name)
    }

    /// A whole value, less the word of its scheme.
    fn credential(&mut self, field: &FieldAt, place: &str) {
        for (at, line) in field.lines.iter().enumerate() {
            let scheme_len = if at == 0 { scheme_len(&self.head.bytes[line.clone()]) } else { 0 };
            self.replace(line.start + scheme_len..line.end, place);
        }
    }

    /// Each cookie's value; its name stays.
    fn cookies(&mut self, field: &FieldAt, place: &str) {
        for line in &field.lines {
            let mut start = line.start;
            while start < line.end {
                let rest = &self.head.bytes[start..line.end];
                let end = memchr::memchr(b';', rest).map_or(line.end, |len| start + len);
                self.cookie(start..end, place);
                start = end + 1;
            }
        }
    }

    /// The cookie's value; its name and attributes stay, save on folded lines, where they cannot be told apart.
    fn set_cookie(&mut self, field: &FieldAt, place: &str) {
        let Some((first, folded)) = field.lines.split_first() else { return };
        let end = memchr::memchr(b';', &self.head.bytes[first.clone()]).map_or(first.end, |len| first.start + len);
        self.cookie(first.start..end, place);
        for line in folded {
            self.replace(line.clone(), place);
        }
    }

    fn cookie(&mut self, range: Range<usize>, place: &str) {
        let equals = memchr::memchr(b'=', &self.head.bytes[range.clone()]);
        let value = equals.map_or(range.start, |len| range.start + len + 1)..range.end;
        self.replace(fields::trimmed(&self.head.bytes, value), place);
    }

    fn urls(&mut self, field: &FieldAt, place: &str) {
        for line in &field.lines {
            self.url(line.clone(), place);
        }
    }

    /// The userinfo and the secret pairs of every URL between white space, commas and angle brackets.
    fn url(&mut self, range: Range<usize>, within: &str) {
        let place = |name: &str| if within.is_empty() { name.to_owned() } else { format!("{within} {name}") };
        let mut start = range.start;
        while start < range.end {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || (!within.is_empty() && matches!(byte, b'<' | b'>'));
            let len = self.head.bytes[start..range.end].iter().position(ends);
            let end = len.map_or(range.end, |len| start + len);
            let userinfo = memchr::memmem::find(&self.head.bytes[start..end], b"://")
                .and_then(|colon| url::userinfo(&self.head.bytes[..end], start + colon));
            if let Some(userinfo) = userinfo {
                self.userinfo(userinfo, &place("userinfo"));
            }
            for pair in url::secret_pairs(&self.head.bytes, start..end, |key| self.is_secret_key(key)) {
                self.replace_encoded(pair.value, &place(&format!("query:{}", pair.key)));
            }
            start = end + 1;
        }
    }

    /// Name and password, each for itself: either may be the secret.
    fn userinfo(&mut self, range: Range<usize>, place: &str) {
        let colon = memchr::memchr(b':', &self.head.bytes[range.clone()]).map_or(range.end, |len| range.start + len);
        self.replace_encoded(range.start..colon, place);
        self.replace_encoded((colon + 1).min(range.end)..range.end, place);
    }

    fn is_secret_key(&self, key: &str) -> bool {
        names::is_secret_query_key(key) || self.redactor.extra.query_keys.iter().any(|extra| extra == key)
    }

    /// Whatever shows by its form: also in the first line, in one without a colon, and after the blank line.
    fn by_form(&mut self, fields: &[FieldAt]) {
        let version = self.version();
        // `GET /bearer HTTP/1.1` names no credential.
        for secret in forms::find(&self.head.bytes).into_iter().filter(|secret| *secret != version) {
            let before = &fields[..fields.partition_point(|field| field.name.start <= secret.start)];
            let holds = |line: &Range<usize>| line.start <= secret.start && secret.end <= line.end;
            let field = before.last().filter(|field| field.lines.iter().any(holds));
            let place = field.map(|field| place_of(&field.lower_name(self.head)));
            self.replace(secret, place.as_deref().unwrap_or("head"));
        }
    }

    /// The last word of a request's first line, where it is a version of HTTP as `HTTP/1.1`; else an empty range.
    fn version(&self) -> Range<usize> {
        let line = fields::start_line(self.head);
        let bytes = &self.head.bytes[line.clone()];
        let space = memchr::memrchr(b' ', bytes).filter(|at| {
            let word = &bytes[at + 1..];
            word.len() == b"HTTP/1.1".len() && word.starts_with(b"HTTP/")
        });
        space.map_or(0..0, |at| line.start + at + 1..line.end)
    }

    fn replace(&mut self, range: Range<usize>, place: &str) {
        if self.is_done(&range) {
            return;
        }
        let value = self.head.bytes[range.clone()].to_vec();
        let pseudonym = self.redactor.pseudonym(&value);
        self.put(range, &pseudonym, value, place);
    }

    /// The value is what is encoded, so that its pseudonym is the same wherever it stands plain.
    fn replace_encoded(&mut self, range: Range<usize>, place: &str) {
        if self.is_done(&range) {
            return;
        }
        let (value, spellings) = url::decoded(&self.head.bytes[range.clone()]);
        let pseudonym = url::encoded(&self.redactor.pseudonym(&value), &spellings);
        self.put(range, &pseudonym, value, place);
    }

    fn put(&mut self, range: Range<usize>, pseudonym: &[u8], value: Vec<u8>, place: &str) {
        self.head.bytes[range.clone()].copy_from_slice(pseudonym);
        self.done[range].fill(true);
        let place = format!("{} {place}", self.side);
        let count = self.counts.entry(place.clone()).or_default();
        *count = count.saturating_add(1);
        self.found.push(Found { place, value });
    }

    fn is_done(&self, range: &Range<usize>) -> bool {
        range.is_empty() || self.done[range.clone()].contains(&true)
    }
}

fn place_of(name: &str) -> String {
    format!("header:{name}")
}

/// The length of the scheme's word and the space after it, where a credential begins with one.
fn scheme_len(value: &[u8]) -> usize {
    let Some(word_len) = memchr::memchr2(b' ', b'\t', value) else { return 0 };
    let word = String::from_utf8_lossy(&value[..word_len]).to_ascii_lowercase();
    let space_len = value[word_len..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if SCHEMES.contains(&word.as_str()) { word_len + space_len } else { 0 }
}
