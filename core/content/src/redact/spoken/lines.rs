//! Line protocols: SMTP, IMAP, POP3, FTP, NATS, Redis typed by hand; and header fields, should there be some.

use std::ops::Range;

use super::{HELD_BYTES_MAX, Released};
use crate::redact::{forms, names};

/// Longest beginning of a line that is held to tell whether a credential follows, in bytes. A choice: two words.
const BEGINNING_BYTES_MAX: usize = 80;

/// How each record of a TLS handshake begins (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// One client that speaks in lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// True within a line of which nothing more is to be looked at.
    is_passing: bool,
    /// Lines to come that are credentials as a whole.
    secret_lines: u8,
    /// True where the last line asked for TLS.
    asked_for_tls: bool,
    is_encrypted: bool,
}

impl Lines {
    pub(super) fn go_on(&mut self, held: &mut Vec<u8>, released: &mut Released) {
        while !held.is_empty() {
            self.is_encrypted |= self.asked_for_tls && held[0] == TLS_HANDSHAKE;
            if self.is_encrypted {
                return released.pass(held, usize::MAX);
            }
            let line_end = memchr::memchr(b'\n', held).map(|at| at + 1);
            if self.is_passing {
                self.is_passing = line_end.is_none();
                released.pass(held, line_end.unwrap_or(usize::MAX));
                continue;
            }
            let beginning = &held[..line_end.unwrap_or(held.len())];
            if self.secret_lines == 0 && !may_be_secret(beginning) || beginning.len() > HELD_BYTES_MAX {
                self.is_passing = true;
                self.asked_for_tls = false;
                continue;
            }
            let Some(line_end) = line_end else { return };
            self.take_line(held, released, line_end);
        }
    }

    /// True when what follows cannot be read.
    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    pub(super) fn flush(&mut self, held: &mut Vec<u8>, released: &mut Released) {
        if !held.is_empty() {
            let count = held.len();
            self.take_line(held, released, count);
            // What follows may be the rest of this line.
            self.is_passing = self.secret_lines == 0;
        }
    }

    fn take_line(&mut self, held: &mut Vec<u8>, released: &mut Released, len: usize) {
        let text_len = held[..len].trim_ascii_end().len();
        self.asked_for_tls = asks_for_tls(&held[..text_len]);
        let secrets = if self.secret_lines > 0 {
            self.secret_lines -= 1;
            vec![(0..text_len, "line after AUTH")]
        } else {
            let (secrets, more) = secrets_of(&held[..text_len]);
            self.secret_lines = more;
            secrets
        };
        released.pass_unit(held, len, secrets);
    }
}

/// `STARTTLS` (SMTP, IMAP with a tag before it), `STLS` (POP3), `AUTH TLS` (FTP).
fn asks_for_tls(line: &[u8]) -> bool {
    let last = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default().to_ascii_uppercase();
    matches!(last.as_slice(), b"STARTTLS" | b"STLS") || line.eq_ignore_ascii_case(b"AUTH TLS")
}

/// False once it is clear that the line holds no credential.
fn may_be_secret(line: &[u8]) -> bool {
    let text = line.trim_ascii_end();
    let is_whole = text.len() < line.len() && line.ends_with(b"\n");
    if !text.iter().take(BEGINNING_BYTES_MAX).all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return false;
    }
    let words: Vec<Range<usize>> = words_of(text).take(3).collect();
    match words.len() {
        _ if is_whole => true,
        0 | 1 => text.len() <= BEGINNING_BYTES_MAX,
        // The second word decides, once there is a third, or it is long enough to know.
        _ => text.len() <= BEGINNING_BYTES_MAX || is_secret_line(text, &words),
    }
}

fn is_secret_line(line: &[u8], words: &[Range<usize>]) -> bool {
    let word = |at: usize| words.get(at).map(|range| line[range.clone()].to_ascii_uppercase()).unwrap_or_default();
    matches!(word(0).as_slice(), b"AUTH" | b"PASS" | b"HELLO" | b"CONNECT")
        || matches!(word(1).as_slice(), b"LOGIN" | b"AUTHENTICATE")
        || is_secret_field(&line[words[0].clone()])
}

fn is_secret_field(first_word: &[u8]) -> bool {
    let name = first_word.split(|&byte| byte == b':').next().unwrap_or_default();
    name.len() < first_word.len() && std::str::from_utf8(name).is_ok_and(names::is_credential_header)
}

/// The credentials of a line without its end, and how many lines after it are credentials as a whole.
fn secrets_of(line: &[u8]) -> (Vec<(Range<usize>, &'static str)>, u8) {
    let words: Vec<Range<usize>> = words_of(line).take(8).collect();
    let word = |at: usize| words.get(at).map(|range| line[range.clone()].to_ascii_uppercase()).unwrap_or_default();
    let rest = |at: usize| words.get(at).map(|range| range.start..line.len());
    let one = |range: Option<Range<usize>>, place| range.map(|range| (range, place)).into_iter().collect::<Vec<_>>();
    let first = words.first().map(|range| &line[range.clone()]).unwrap_or_default();
    match (word(0).as_slice(), word(1).as_slice()) {
        (b"PASS", _) => (one(rest(1), "PASS"), 0),
        (b"AUTH", mechanism) if is_mechanism(mechanism) => match rest(2) {
            Some(range) => (one(Some(range), "AUTH"), u8::from(mechanism == b"LOGIN")),
            None => (Vec::new(), if mechanism == b"LOGIN" { 2 } else { 1 }),
        },
        // Redis typed by hand: the last word, since a user's name is none.
        (b"AUTH", _) => (one(words.last().filter(|_| words.len() > 1).cloned(), "redis AUTH"), 0),
        (b"HELLO", _) => (one(words.get(4).filter(|_| word(2) == b"AUTH").cloned(), "redis HELLO AUTH"), 0),
        (b"CONNECT", _) => (forms::find_in_text(line).into_iter().map(|range| (range, "CONNECT")).collect(), 0),
        (_, b"LOGIN") => (one(rest(3), "LOGIN"), 0),
        (_, b"AUTHENTICATE") => match rest(3) {
            Some(range) => (one(Some(range), "AUTHENTICATE"), u8::from(word(2) == b"LOGIN")),
            None => (Vec::new(), if word(2) == b"LOGIN" { 2 } else { 1 }),
        },
        _ if is_secret_field(first) => {
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or_default() + 1;
            let start = colon + line[colon..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            (vec![(start..line.len(), "header field")], 0)
        }
        _ => (Vec::new(), 0),
    }
}

/// The mechanisms of SASL that mail servers offer; another word after `AUTH` is a password of Redis.
fn is_mechanism(word: &[u8]) -> bool {
    matches!(word, b"PLAIN" | b"LOGIN" | b"CRAM-MD5" | b"XOAUTH2" | b"OAUTHBEARER" | b"NTLM")
        || word.starts_with(b"SCRAM-")
}

fn words_of(line: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + line.get(at..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
        at = start + line[start..].iter().position(u8::is_ascii_whitespace).unwrap_or(line.len() - start);
        Some(start..at)
    })
}
