//! PostgreSQL's protocol 3.0: a start without type, then messages of type, length and payload.

use super::{HELD_BYTES_MAX, Messages, Released};

/// Codes in the place of a version (PostgreSQL documentation, "Message Formats").
const VERSION_3: u32 = 196_608;
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// Longest start of a connection, in bytes (`MAX_STARTUP_PACKET_LENGTH` in PostgreSQL's source).
const START_BYTES_MAX: u32 = 10_000;

/// One client of PostgreSQL.
#[derive(Debug, Default)]
pub(super) struct Postgres {
    has_started: bool,
    is_encrypted: bool,
    /// Bytes of a message that pass without being looked at.
    passing: u64,
}

/// Whether a connection that begins like this is one; `None` while more bytes are needed to tell.
pub(super) fn begins(bytes: &[u8]) -> Option<bool> {
    let (len, code) = match bytes {
        [a, b, c, d, e, f, g, h, ..] => (u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h])),
        [0, 0, ..] | [0] | [] => return None,
        _ => return Some(false),
    };
    let is_version_3 = code >> 16 == VERSION_3 >> 16;
    Some((8..=START_BYTES_MAX).contains(&len) && (is_version_3 || is_request(code)))
}

fn is_request(code: u32) -> bool {
    matches!(code, CANCEL_REQUEST | SSL_REQUEST | GSS_REQUEST)
}

impl Messages for Postgres {
    fn take(&mut self, held: &mut Vec<u8>, released: &mut Released) -> bool {
        if !self.has_started {
            return self.take_start(held, released);
        }
        let [kind, a, b, c, d, ..] = held[..] else { return false };
        let len = u32::from_be_bytes([a, b, c, d]).max(4) as usize;
        if kind != b'p' || len > HELD_BYTES_MAX {
            self.passing = len as u64 + 1;
            return true;
        }
        if held.len() < len + 1 {
            return false;
        }
        let secret = secret_of(&held[5..=len]);
        let secrets = vec![(5 + secret.start..5 + secret.end, "postgresql password")];
        released.pass_unit(held, len + 1, secrets);
        true
    }

    fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    fn passing(&mut self) -> &mut u64 {
        &mut self.passing
    }
}

impl Postgres {
    pub(super) fn flush(&mut self, held: &mut Vec<u8>, released: &mut Released) {
        let secrets = if held.first() == Some(&b'p') && self.has_started {
            vec![(1..held.len(), "postgresql password")]
        } else {
            Vec::new()
        };
        let count = held.len();
        released.pass_unit(held, count, secrets);
    }

    fn take_start(&mut self, held: &mut [u8], released: &mut Released) -> bool {
        if held[0] == 0x16 {
            self.is_encrypted = true;
            return true;
        }
        let [a, b, c, d, e, f, g, h, ..] = held[..] else { return false };
        self.has_started = !is_request(u32::from_be_bytes([e, f, g, h]));
        self.passing = u64::from(u32::from_be_bytes([a, b, c, d]).clamp(8, START_BYTES_MAX));
        released.bytes.reserve(held.len());
        true
    }
}

/// The secret of a password message: after the name of a SASL mechanism and a length, else all but the last zero.
fn secret_of(payload: &[u8]) -> std::ops::Range<usize> {
    let name_end = payload.iter().position(|&byte| byte == 0);
    match name_end {
        Some(end) if payload.starts_with(b"SCRAM-") && payload.len() >= end + 5 => end + 5..payload.len(),
        Some(end) if end + 1 == payload.len() => 0..end,
        _ => 0..payload.len(),
    }
}
