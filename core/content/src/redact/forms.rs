//! Secrets that show themselves by their form, wherever they stand.

use std::ops::Range;

use super::{names, url};

/// A kind of secret that begins in its own way.
struct Form {
    prefix: &'static str,
    /// Characters that may follow, beside ASCII letters and digits.
    marks: &'static [u8],
    /// How many of them follow at least: fewer are a word that happens to begin so.
    len_min: usize,
}

/// The forms, longest prefix first among those that begin alike. From the vendors' documentation of their own secrets.
const FORMS: &[Form] = &[
    form("sk-ant-api03-", b"-_", 16),
    form("sk-ant-", b"-_", 16),
    form("sk-or-v1-", b"-_", 16),
    form("sk-proj-", b"-_", 16),
    form("sk-svcacct-", b"-_", 16),
    form("sk-", b"-_", 16),
    form("sk_live_", b"", 16),
    form("sk_test_", b"", 16),
    form("rk_live_", b"", 16),
    form("whsec_", b"+/=", 16),
    form("github_pat_", b"_", 20),
    form("ghp_", b"", 20),
    form("gho_", b"", 20),
    form("ghr_", b"", 20),
    form("ghs_", b"", 20),
    form("ghu_", b"", 20),
    form("glpat-", b"-_", 16),
    form("hf_", b"", 20),
    form("gsk_", b"", 20),
    form("npm_", b"", 20),
    form("nvapi-", b"-_", 20),
    form("pplx-", b"", 20),
    form("pypi-", b"-_", 20),
    form("r8_", b"", 20),
    form("xai-", b"", 20),
    form("xapp-", b"-", 10),
    form("xoxa-", b"-", 10),
    form("xoxb-", b"-", 10),
    form("xoxp-", b"-", 10),
    form("xoxr-", b"-", 10),
    form("xoxs-", b"-", 10),
    form("AIza", b"-_", 30),
    form("AKIA", b"", 16),
    form("ASIA", b"", 16),
];

const fn form(prefix: &'static str, marks: &'static [u8], len_min: usize) -> Form {
    Form { prefix, marks, len_min }
}

impl Form {
    /// How long the secret is that begins where `bytes` do.
    fn len_in(&self, bytes: &[u8]) -> Option<usize> {
        let prefix = self.prefix.as_bytes();
        // One byte tells most of them apart without a call.
        let rest = (bytes.first() == prefix.first()).then(|| bytes.strip_prefix(prefix)).flatten()?;
        let len = run_len(rest, self.marks);
        (len >= self.len_min).then_some(self.prefix.len() + len)
    }
}

/// The length of the beginning that tells what kind of secret `value` is, and is kept; 0 where there is none.
pub(super) fn prefix_len(value: &[u8]) -> usize {
    FORMS.iter().find(|form| form.len_in(value).is_some()).map_or(0, |form| form.prefix.len())
}

/// Where secrets of a known form stand, in order, none overlapping another.
pub(super) fn find(bytes: &[u8]) -> Vec<Range<usize>> {
    Search { bytes, no_web_token_before: 0, also_assigned: false }.run()
}

/// The same with secrets that are assigned to a name, for text that is no head.
pub(super) fn find_in_text(bytes: &[u8]) -> Vec<Range<usize>> {
    Search { bytes, no_web_token_before: 0, also_assigned: true }.run()
}

struct Search<'a> {
    bytes: &'a [u8],
    /// Nothing before here begins a web token: a run of its characters is followed to its end only once.
    no_web_token_before: usize,
    also_assigned: bool,
}

impl Search<'_> {
    fn run(&mut self) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() {
            // Only where a word begins, so that each of them is looked at once.
            let begins = at == 0 || !is_word_byte(self.bytes[at - 1]) || self.bytes[at] == b':';
            match begins.then(|| self.secret_at(at)).flatten() {
                Some(range) => {
                    at = range.end.max(at + 1);
                    found.push(range);
                }
                None => at += 1,
            }
        }
        found
    }

    fn secret_at(&mut self, at: usize) -> Option<Range<usize>> {
        let rest = &self.bytes[at..];
        let moved = |range: Range<usize>| at + range.start..at + range.end;
        let by_form = match rest[0] {
            b'e' => self.web_token_at(at),
            b'b' | b'B' => after_scheme(rest).map(moved),
            b':' => url::secret_of_userinfo(self.bytes, at),
            b'-' => private_key(rest).map(moved),
            _ => None,
        };
        let by_prefix = || FORMS.iter().find_map(|form| form.len_in(rest)).map(|len| at..at + len);
        by_form.or_else(by_prefix).or_else(|| self.also_assigned.then(|| assigned(rest)).flatten().map(moved))
    }

    /// A JSON web token: three parts of base64url, the first the beginning of a JSON object (`eyJ` is `{"`).
    fn web_token_at(&mut self, at: usize) -> Option<Range<usize>> {
        let rest = &self.bytes[at..];
        if at < self.no_web_token_before || !rest.starts_with(b"eyJ") {
            return None;
        }
        let header_len = run_len(rest, b"-_");
        self.no_web_token_before = at + header_len;
        let payload = rest[header_len..].strip_prefix(b".").filter(|_| header_len >= 12)?;
        let payload_len = run_len(payload, b"-_");
        let signature = payload[payload_len..].strip_prefix(b".");
        let signature_len = signature.map_or(0, |signature| 1 + run_len(signature, b"-_"));
        (payload_len >= 4).then(|| at..at + header_len + 1 + payload_len + signature_len)
    }
}

/// What follows `Bearer ` or `Basic `, where it is no word of a sentence.
fn after_scheme(bytes: &[u8]) -> Option<Range<usize>> {
    const SCHEMES: [&[u8]; 2] = [b"bearer ", b"basic "];
    let scheme = SCHEMES
        .iter()
        .find(|scheme| bytes.get(..scheme.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme)))?;
    let space_len = bytes[scheme.len()..].iter().take_while(|&&byte| byte == b' ').count();
    let start = scheme.len() + space_len;
    let token = &bytes[start..start + run_len(&bytes[start..], b"-._~+/=")];
    let is_token = token.len() >= 8 && token.iter().any(u8::is_ascii_digit) || token.len() >= 24;
    is_token.then_some(start..start + token.len())
}

/// What stands between the lines that begin and end a private key in PEM (RFC 7468).
fn private_key(bytes: &[u8]) -> Option<Range<usize>> {
    const LABEL_LEN_MAX: usize = 64;
    let beginning = bytes.strip_prefix(b"-----BEGIN ")?;
    let label = &beginning[..beginning.len().min(LABEL_LEN_MAX)];
    let label_len = memchr::memmem::find(label, b"PRIVATE KEY-----")?;
    let start = bytes.len() - beginning.len() + label_len + b"PRIVATE KEY-----".len();
    let len = memchr::memmem::find(&bytes[start..], b"-----END").unwrap_or(bytes.len() - start);
    Some(start..start + len)
}

/// The value that a name assigns: `NAME=value`, `--name=value`, `"name": "value"`, where the name is a secret's.
fn assigned(bytes: &[u8]) -> Option<Range<usize>> {
    /// Longest name, in bytes; no variable or option has one as long. Bounds what a text of names alone costs.
    const NAME_LEN_MAX: usize = 128;
    let name_len = run_len(&bytes[..bytes.len().min(NAME_LEN_MAX)], b"-_.");
    let name = std::str::from_utf8(&bytes[..name_len]).ok().filter(|name| !name.is_empty())?;
    let after_name = &bytes[name_len..];
    let unquoted = after_name.strip_prefix(b"\"").or(after_name.strip_prefix(b"'"));
    let assignment = match unquoted {
        Some(after_quote) => after_quote.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start(),
        None => after_name.strip_prefix(b"=")?,
    };
    if !names::is_secret(name) {
        return None;
    }
    let quote = assignment.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
    let start = bytes.len() - assignment.len() + usize::from(quote.is_some());
    let ends = |byte: &u8| match quote {
        Some(quote) => *byte == quote,
        None => byte.is_ascii_whitespace() || matches!(byte, b'&' | b';' | b',' | b'"' | b'\'' | b'}'),
    };
    let len = bytes[start..].iter().position(ends).unwrap_or(bytes.len() - start);
    (len > 0).then_some(start..start + len)
}

/// How many letters, digits and `marks` stand at the beginning.
fn run_len(bytes: &[u8], marks: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || marks.contains(byte)).count()
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
