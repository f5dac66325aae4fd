//! Secrets given for a replay: what the recording knows by pseudonym is sent as it really is, and nobody else sees it.
//!
//! In: lines `PSEUDONYM=VALUE`, and variables that were given. Out: bytes for the service with the values in them, and bytes
//! of the service with the pseudonyms again. All that the service says passes here before it is compared, matched, logged or
//! written.

use std::collections::BTreeMap;

use bytes::Bytes;
use content::encoding;
use exchange::{Chunk, Head};

/// Shortest value that is taken, in bytes: a shorter one stands in every other text, and turning it back would change what
/// is no secret. A choice.
const VALUE_LEN_MIN: usize = 6;

/// Largest decoded body that is searched for values, in bytes. A choice; see [`Secrets::conceal_message`].
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Why a line of a secrets file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// It begins with no pseudonym of the recording.
    #[error("line {line} begins with no pseudonym of this recording followed by `=`")]
    Unknown {
        /// Its number, from 1.
        line: usize,
    },
    /// Its value is too short to be told from other text.
    #[error(
        "line {line} has a value of {len} bytes; it needs {VALUE_LEN_MIN} or more, or other text would be taken for it"
    )]
    Short {
        /// Its number, from 1.
        line: usize,
        /// The value's length in bytes.
        len: usize,
    },
}

/// Values and the pseudonyms that stand for them.
#[derive(Clone, Default)]
pub struct Secrets {
    /// By pseudonym.
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Values that are turned back, and never sent: those of variables, with their stand-in. The longest first.
    hidden: Vec<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Secrets {
    /// How many there are: the values are secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secrets").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads lines `PSEUDONYM=VALUE`; empty ones and those that begin with `#` are passed over. `known` are the recording's
    /// pseudonyms: they may hold a `=` themselves.
    ///
    /// # Errors
    /// The first line that cannot be used.
    pub fn read(text: &str, known: &[Vec<u8>]) -> Result<Self, SecretsError> {
        let mut secrets = Self::default();
        for (at, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let line = at + 1;
            let value_of = |pseudonym: &Vec<u8>| trimmed.as_bytes().strip_prefix(&pseudonym[..])?.strip_prefix(b"=");
            let fitting = known.iter().filter_map(|pseudonym| Some((pseudonym, value_of(pseudonym)?)));
            let longest = fitting.max_by_key(|(pseudonym, _)| pseudonym.len());
            let (pseudonym, value) = longest.ok_or(SecretsError::Unknown { line })?;
            if value.len() < VALUE_LEN_MIN {
                return Err(SecretsError::Short { line, len: value.len() });
            }
            secrets.values.insert(pseudonym.clone(), value.to_vec());
            secrets.hide(value.to_vec(), pseudonym.clone());
        }
        Ok(secrets)
    }

    /// From now on this value is turned into `stand_in` wherever the service says it.
    pub(crate) fn hide(&mut self, value: Vec<u8>, stand_in: Vec<u8>) {
        if value.len() >= VALUE_LEN_MIN && value != stand_in {
            self.hidden.push((value, stand_in));
            self.hidden.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        }
    }

    /// True when the value behind every one of these pseudonyms is known.
    pub(crate) fn has_all<'a>(&self, pseudonyms: impl IntoIterator<Item = &'a [u8]>) -> bool {
        pseudonyms.into_iter().all(|pseudonym| self.values.contains_key(pseudonym))
    }

    /// How many values there are to send.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// A head as the service is to get it.
    pub(crate) fn reveal_head(&self, head: &[u8]) -> Vec<u8> {
        let pairs = self.values.iter().map(|(pseudonym, value)| (&pseudonym[..], &value[..]));
        replace_all(head, pairs).unwrap_or_else(|| head.to_vec())
    }

    /// A word of its command as the service is to get it.
    pub(crate) fn reveal_text(&self, text: &mut String) {
        let revealed = self.reveal_head(text.as_bytes());
        *text = String::from_utf8_lossy(&revealed).into_owned();
    }

    /// A piece of a body as the service is to get it. What would change its length stays: its framing is recorded.
    pub(crate) fn reveal_piece(&self, piece: &Bytes) -> Bytes {
        let pairs = self.values.iter().filter(|(pseudonym, value)| pseudonym.len() == value.len());
        let pairs = pairs.map(|(pseudonym, value)| (&pseudonym[..], &value[..]));
        replace_all(piece, pairs).map_or_else(|| piece.clone(), Bytes::from)
    }

    /// What the service said, with pseudonyms for values; `None` where there was none in it.
    fn concealed(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        replace_all(bytes, self.hidden.iter().map(|(value, stand_in)| (&value[..], &stand_in[..])))
    }

    /// Bytes of the service, with pseudonyms for values.
    pub(crate) fn conceal(&self, bytes: &mut Vec<u8>) {
        if let Some(concealed) = self.concealed(bytes) {
            *bytes = concealed;
        }
    }

    /// A line that the service logged, with pseudonyms for values.
    pub(crate) fn conceal_text(&self, text: &mut String) {
        if let Some(concealed) = self.concealed(text.as_bytes()) {
            *text = String::from_utf8_lossy(&concealed).into_owned();
        }
    }

    /// A message of the service, with pseudonyms for values. A body that holds one under its content encoding is kept
    /// decoded, and the head says so: encoded again it would be another's work.
    pub(crate) fn conceal_message(&self, head: &mut Head, body: &mut Vec<u8>, chunks: &mut Vec<Chunk>) {
        if self.hidden.is_empty() {
            return;
        }
        if let Some(concealed) = self.concealed(&head.bytes) {
            *head = Head::new(concealed);
        }
        let len = body.len();
        let is_encoded = head.value_of("content-encoding").is_some();
        match encoding::decode(head, body, BODY_BYTES_MAX) {
            Ok(decoded) if is_encoded => {
                if let Some(concealed) = self.concealed(&decoded) {
                    *body = concealed;
                    *head = without_encoding(head);
                }
            }
            _ => self.conceal(body),
        }
        if body.len() != len {
            chunks.retain(|chunk| chunk.offset < body.len() as u64);
        }
    }
}

/// Replaces every occurrence of the first of each pair, in the order given; `None` where there is none.
fn replace_all<'a>(bytes: &[u8], pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<Vec<u8>> {
    let mut replaced: Option<Vec<u8>> = None;
    for (from, to) in pairs {
        let now = replaced.as_deref().unwrap_or(bytes);
        if memchr::memmem::find(now, from).is_none() {
            continue;
        }
        let mut next = Vec::with_capacity(now.len());
        let mut rest = 0;
        for at in memchr::memmem::find_iter(now, from) {
            next.extend_from_slice(&now[rest..at]);
            next.extend_from_slice(to);
            rest = at + from.len();
        }
        next.extend_from_slice(&now[rest..]);
        replaced = Some(next);
    }
    replaced
}

/// The head without the field that says how its body is encoded.
fn without_encoding(head: &Head) -> Head {
    let lines = head.bytes.split_inclusive(|&byte| byte == b'\n');
    let is_it = |line: &[u8]| {
        let name = b"content-encoding:";
        line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name)
    };
    Head::new(lines.filter(|line| !is_it(line)).flatten().copied().collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str, known: &[&str]) -> Result<Secrets, SecretsError> {
        Secrets::read(text, &known.iter().map(|known| known.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_is_a_pseudonym_of_the_recording_and_its_value_and_any_other_is_named_by_its_number() {
        let secrets_read = secrets("# mine\n\nsk-aaaa=sk-real\nYWJj==Zm9v==\n", &["sk-aaaa", "YWJj", "YWJj="]).unwrap();
        assert_eq!(secrets_read.values[&b"sk-aaaa"[..]], b"sk-real");
        assert_eq!(
            secrets_read.values[&b"YWJj="[..]],
            b"Zm9v==",
            "a pseudonym may end in what divides it from its value"
        );
        assert_eq!(secrets("sk-bbbb=sk-real", &["sk-aaaa"]).unwrap_err(), SecretsError::Unknown { line: 1 });
        assert_eq!(secrets("\nsk-aaaa=x", &["sk-aaaa"]).unwrap_err(), SecretsError::Short { line: 2, len: 1 });
    }

    #[test]
    fn the_service_gets_values_and_nobody_hears_of_them_again() {
        let mut secrets = secrets("tok-aaaa=tok-real", &["tok-aaaa"]).unwrap();
        secrets.hide(b"from-env-1".to_vec(), b"stand-in".to_vec());
        let head = secrets.reveal_head(b"GET / HTTP/1.1\r\nAuthorization: Bearer tok-aaaa\r\n\r\n");
        assert!(head.ends_with(b"Bearer tok-real\r\n\r\n"));
        let mut answer = Head::new(&b"HTTP/1.1 200 OK\r\nX-Echo: tok-real\r\n\r\n"[..]);
        let (mut body, mut chunks) = (b"tok-real from-env-1".to_vec(), vec![Chunk { offset: 18, at_ns: 0 }]);
        secrets.conceal_message(&mut answer, &mut body, &mut chunks);
        assert_eq!(body, b"tok-aaaa stand-in");
        assert!(answer.bytes.ends_with(b"X-Echo: tok-aaaa\r\n\r\n") && chunks.is_empty());
        let mut line = "key tok-real".to_owned();
        secrets.conceal_text(&mut line);
        assert_eq!(line, "key tok-aaaa");
    }

    #[test]
    fn a_value_under_a_content_encoding_is_found_and_the_body_kept_decoded() {
        let secrets = secrets("tok-aaaa=tok-real", &["tok-aaaa"]).unwrap();
        // gzip of `{"k":"tok-real"}`, one stored block (RFC 1951, section 3.2.4).
        let plain = br#"{"k":"tok-real"}"#;
        let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 16, 0, 0xef, 0xff];
        body.extend_from_slice(plain);
        body.extend_from_slice(&crc32(plain).to_le_bytes());
        body.extend_from_slice(&16_u32.to_le_bytes());
        let mut head = Head::new(&b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nA: b\r\n\r\n"[..]);
        secrets.conceal_message(&mut head, &mut body, &mut Vec::new());
        assert_eq!(body, br#"{"k":"tok-aaaa"}"#);
        assert_eq!(head.bytes, b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
    }

    /// CRC-32 as gzip has it (RFC 1952, section 8), bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        })
    }
}
