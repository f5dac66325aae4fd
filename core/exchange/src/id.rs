//! Ids of exchanges, capture sessions and runs: given before content is known, never changed after.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// 128 bits that name one exchange, capture session, event or run, shown as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

/// Why a text is no id or digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {digits} hex digits")]
pub struct IdParseError {
    text: String,
    digits: usize,
}

impl Id {
    /// The id of the `counter`th thing of a capture session: the first 16 bytes of BLAKE3, keyed with the session's
    /// random key, over the counter as 8 little-endian bytes.
    pub fn derive(session_key: &[u8; 32], counter: u64) -> Self {
        Self::first_bytes(blake3::keyed_hash(session_key, &counter.to_le_bytes()))
    }

    /// The id of a replayed exchange, from its run, the exchange it repeats, and the repeat's number (from 0).
    pub fn of_repeat(run: Id, original: Id, repeat: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("retake 2026-11 replayed exchange id");
        hasher.update(&run.0).update(&original.0).update(&repeat.to_le_bytes());
        Self::first_bytes(hasher.finalize())
    }

    /// The id of the `position`th item of something with this digest: what is imported twice gets the same ids twice.
    pub fn of_item(source: &crate::Digest, position: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("retake 2026-11 imported item id");
        hasher.update(&source.0).update(&position.to_le_bytes());
        Self::first_bytes(hasher.finalize())
    }

    /// The first twelve hex digits, for tables that a person reads.
    pub fn short(&self) -> String {
        hex_of(&self.0[..6])
    }

    fn first_bytes(hash: blake3::Hash) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        Self(id)
    }
}

pub(crate) fn hex_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

pub(crate) fn read_hex<const N: usize>(text: &str) -> Result<[u8; N], IdParseError> {
    let refused = || IdParseError { text: text.chars().take(80).collect(), digits: 2 * N };
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refused());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| refused())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| refused())?;
    }
    Ok(bytes)
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&hex_of(&self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Id({self})")
    }
}

impl FromStr for Id {
    type Err = IdParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read_hex(text).map(Self)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex_of(&self.0))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_session_differ_and_the_same_counter_gives_the_same_id() {
        let key = [7; 32];
        assert_eq!(Id::derive(&key, 1), Id::derive(&key, 1));
        assert_ne!(Id::derive(&key, 1), Id::derive(&key, 2));
        assert_ne!(Id::derive(&key, 1), Id::derive(&[8; 32], 1));
    }

    #[test]
    fn an_id_is_read_back_from_what_it_shows_and_nothing_else_is() {
        let id = Id::derive(&[7; 32], 1);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("zz".parse::<Id>().is_err());
        assert!("+1234567890123456789012345678901".parse::<Id>().is_err());
        assert!("é".repeat(16).parse::<Id>().is_err());
    }
}
