//! Protocols whose messages say how long they are and which of them is a login: memcached's binary one, AMQP 0-9-1 and Kafka's
//! here, MongoDB's next door.

use std::ops::Range;

use super::{HELD_BYTES_MAX, Messages, Released, mongodb};

/// How one of these protocols writes a message.
#[derive(Debug)]
pub(super) struct Wire {
    /// What says that something is a credential.
    place: &'static str,
    /// True while these bytes may be the beginning of what a client says.
    pub(super) may_begin: fn(&[u8]) -> bool,
    /// Bytes from which that is sure.
    pub(super) telling_len: usize,
    /// Bytes that say how long a message is.
    header_len: usize,
    /// The length of the message that begins like this, header included.
    len: fn(&[u8]) -> Option<u64>,
    /// Bytes that say what a message is for, should it be as long.
    purpose_len: usize,
    /// True for a message that may hold credentials.
    is_login: fn(&[u8]) -> bool,
    /// The credentials of such a message.
    secrets: fn(&[u8]) -> Vec<Range<usize>>,
}

/// All of them. Each is told from the others, and from those that have a module of their own, by how a client begins.
pub(super) const WIRES: [&Wire; 4] = [&MONGODB, &MEMCACHED, &AMQP, &KAFKA];

static MONGODB: Wire = Wire {
    place: "mongodb login",
    may_begin: mongodb::may_begin,
    telling_len: mongodb::HEADER_LEN,
    header_len: mongodb::HEADER_LEN,
    len: |header| Some(u64::from(u32::from_le_bytes(*header.first_chunk()?))),
    purpose_len: mongodb::PURPOSE_LEN,
    is_login: mongodb::is_login,
    secrets: mongodb::secrets_of,
};

/// Memcached's binary protocol ("BinaryProtocolRevamped" in its wiki): a request is 0x80, its opcode, the lengths of key and
/// extras, data type and bucket (both 0), the length of all that follows, eight bytes more of number and version.
static MEMCACHED: Wire = Wire {
    place: "memcached SASL",
    may_begin: |bytes| {
        let is = |at: usize, value: u8| bytes.get(at).is_none_or(|&byte| byte == value);
        is(0, 0x80) && bytes.get(1).is_none_or(|&opcode| opcode < 0x50) && (5..8).all(|at| is(at, 0)) && is(8, 0)
    },
    telling_len: 24,
    header_len: 24,
    len: |header| Some(24 + u64::from(u32::from_be_bytes(*header.get(8..)?.first_chunk()?))),
    purpose_len: 24,
    // SASL auth, and its steps.
    is_login: |header| matches!(header, [0x80, 0x21 | 0x22, ..]),
    secrets: |message| {
        let key_from = 24 + usize::from(message[4]);
        let key_end = key_from + usize::from(u16::from_be_bytes([message[2], message[3]]));
        let mechanism = message.get(key_from..key_end).unwrap_or_default();
        vec![secret_of(message, mechanism, key_end.min(message.len())..message.len())]
    },
};

/// AMQP 0-9-1 (its specification, sections 2.2.4 and 2.3.5): a header, then frames of type, channel, size, payload and 0xce.
static AMQP: Wire = Wire {
    place: "amqp login",
    may_begin: |bytes| bytes.iter().zip(AMQP_HEADER).all(|(byte, expected)| *byte == expected),
    telling_len: AMQP_HEADER.len(),
    header_len: 7,
    len: |header| match header {
        [b'A', b'M', b'Q', b'P', ..] => Some(8),
        _ => Some(8 + u64::from(u32::from_be_bytes(*header.get(3..)?.first_chunk()?))),
    },
    purpose_len: 11,
    // Methods start-ok and secure-ok of class connection.
    is_login: |frame| matches!(frame, [1, _, _, _, _, _, _, 0, 10, 0, 11 | 21, ..]),
    // What cannot be followed is hidden as a whole.
    secrets: |frame| vec![amqp_secret(frame).unwrap_or(11..frame.len())],
};

const AMQP_HEADER: [u8; 7] = *b"AMQP\0\0\x09";

/// Kafka's protocol (its guide, "The Messages"): the length, a key of the call and its version, both of two bytes, a number and
/// the client's name. A client that has to log in asks for versions or for the mechanism first.
static KAFKA: Wire = Wire {
    place: "kafka SASL",
    may_begin: |bytes| {
        bytes.iter().take(2).all(|&high| high == 0)
            && bytes.get(4).is_none_or(|&high| high == 0)
            && bytes.get(5).is_none_or(|key| matches!(key, 17 | 18))
            && bytes.get(6).is_none_or(|&high| high == 0)
            && bytes.get(7).is_none_or(|&version| version < 16)
    },
    telling_len: 8,
    header_len: 8,
    len: |header| Some(4 + u64::from(u32::from_be_bytes(*header.first_chunk()?))),
    purpose_len: 8,
    // `SaslAuthenticate`.
    is_login: |header| matches!(header, [_, _, _, _, 0, 36, ..]),
    secrets: |message| vec![kafka_secret(message).unwrap_or(8..message.len())],
};

/// One client of such a protocol.
#[derive(Debug)]
pub(super) struct Framed {
    wire: &'static Wire,
    passing: u64,
}

impl Framed {
    pub(super) fn new(wire: &'static Wire) -> Self {
        Self { wire, passing: 0 }
    }

    /// What is held may be a login that broke off.
    pub(super) fn flush(&mut self, held: &mut Vec<u8>, released: &mut Released) {
        let Wire { is_login, header_len, purpose_len, place, .. } = *self.wire;
        let is_login = held.len() >= purpose_len && is_login(&held[..purpose_len]);
        let secrets = if is_login { vec![(header_len..held.len(), place)] } else { Vec::new() };
        let count = held.len();
        // The rest of it, should it come, is no message.
        self.passing = if count > 0 { u64::MAX } else { self.passing };
        released.pass_unit(held, count, secrets);
    }
}

impl Messages for Framed {
    fn take(&mut self, held: &mut Vec<u8>, released: &mut Released) -> bool {
        let wire = self.wire;
        if held.len() < wire.header_len {
            return false;
        }
        let len = (wire.len)(held).unwrap_or(u64::MAX).max(wire.header_len as u64);
        let Some(whole) = usize::try_from(len).ok().filter(|len| *len <= HELD_BYTES_MAX) else {
            self.passing = len;
            return true;
        };
        let purpose_len = wire.purpose_len.min(whole);
        if held.len() < purpose_len {
            return false;
        }
        if !(wire.is_login)(&held[..purpose_len]) {
            self.passing = len;
            return true;
        }
        if held.len() < whole {
            return false;
        }
        let secrets = (wire.secrets)(&held[..whole]).into_iter().map(|range| (range, wire.place)).collect();
        released.pass_unit(held, whole, secrets);
        true
    }

    fn is_encrypted(&self) -> bool {
        false
    }

    fn passing(&mut self) -> &mut u64 {
        &mut self.passing
    }
}

/// The secret of what is said for a mechanism of SASL: after the last zero in `PLAIN`, which has the user's name before it
/// (RFC 4616), else all of it.
pub(super) fn secret_of(message: &[u8], mechanism: &[u8], said: Range<usize>) -> Range<usize> {
    let bytes = message.get(said.clone()).unwrap_or_default();
    let last_zero = bytes.iter().rposition(|&byte| byte == 0).filter(|_| mechanism == b"PLAIN");
    last_zero.map_or(said.start, |at| said.start + at + 1)..said.end
}

/// What answers in a frame: after the client's properties and the mechanism in `start-ok`, the whole in `secure-ok`.
fn amqp_secret(frame: &[u8]) -> Option<Range<usize>> {
    const ARGUMENTS_AT: usize = 11;
    let (mut mechanism, mut at) = (&b""[..], ARGUMENTS_AT);
    if frame[10] == 11 {
        let (_, properties_end) = long(frame, at)?;
        let name_from = properties_end + 1;
        at = name_from + usize::from(*frame.get(properties_end)?);
        mechanism = frame.get(name_from..at)?;
    }
    let (from, end) = long(frame, at)?;
    Some(secret_of(frame, mechanism, from..end))
}

/// From where to where the bytes stand whose length of four bytes stands at `at`.
fn long(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let len = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize;
    let (from, end) = (at + 4, (at + 4).checked_add(len)?);
    (end <= bytes.len()).then_some((from, end))
}

/// All after the client's name and the length of what is said; that length stands in one byte or more from version 2 on.
fn kafka_secret(message: &[u8]) -> Option<Range<usize>> {
    const CLIENT_AT: usize = 12;
    let client_len = i16::from_be_bytes(*message.get(CLIENT_AT..)?.first_chunk()?);
    let client_end = CLIENT_AT + 2 + usize::try_from(client_len).unwrap_or(0);
    let is_flexible = message[7] >= 2;
    let from = if is_flexible {
        let len_at = client_end + 1;
        len_at + message.get(len_at..)?.iter().position(|&byte| byte < 0x80)? + 1
    } else {
        client_end + 4
    };
    (from <= message.len()).then_some(from..message.len())
}
