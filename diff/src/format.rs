//! Values that are known by how they look: what differs in one of them is shown as such.
//!
//! In: the last key of a place and the values there. Out: a [`Format`]. It hides nothing: only a rule does.

use std::borrow::Cow;

use content::json::{Kind, Node};
use serde::{Deserialize, Serialize};

use crate::{numbers::is_whole, route::is_uuid};

/// What values at a place look like, on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// A UUID, RFC 9562.
    Uuid,
    /// An id with the prefix that says of what: `chatcmpl-…`, `msg_…`, `req_…`, `fp_…`.
    Id,
    /// A moment: RFC 3339, or seconds or milliseconds since 1970 where the key says so.
    Timestamp,
    /// How long something took, where the key says so.
    Duration,
    /// How many tokens, where the key says so.
    TokenCount,
    /// A signature, or content that only its provider can read.
    Signature,
    /// 32 hexadecimal digits or more.
    Digest,
}

/// Keys of signatures and of what is encrypted.
const SIGNATURES: [&str; 7] = [
    "signature",
    "thoughtsignature",
    "thought_signature",
    "encrypted_content",
    "encrypted_index",
    "obfuscation",
    "fingerprint",
];

/// Keys of moments, beside those that end with `_at`.
const MOMENTS: [&str; 6] = ["created", "timestamp", "time", "date", "expires", "updated"];

/// Keys of durations, beside those that end with `_duration`, `_ms` or `_time`.
const DURATIONS: [&str; 4] = ["duration", "latency", "elapsed", "latencyms"];

/// 2001-09-09, since when seconds since 1970 have ten digits.
const SECONDS_MIN: u64 = 1_000_000_000;

/// Shortest signature, in characters. A choice.
const SIGNATURE_LEN_MIN: usize = 24;

impl Format {
    /// The word for a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Id => "id",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::TokenCount => "token count",
            Self::Signature => "signature",
            Self::Digest => "digest",
        }
    }

    /// The format that the values of both sides have, or that of the one that is there.
    pub(crate) fn of_pair(key: Option<&str>, one: Option<Node<'_>>, other: Option<Node<'_>>) -> Option<Self> {
        let of = |node: Node<'_>| Self::of(key.unwrap_or_default(), node);
        match (one, other) {
            (Some(one), Some(other)) => of(one).filter(|format| of(other) == Some(*format)),
            (Some(node), None) | (None, Some(node)) => of(node),
            (None, None) => None,
        }
    }

    /// The format that both of these texts have under this key.
    pub(crate) fn of_texts(key: Option<&str>, one: &str, other: &str) -> Option<Self> {
        let key = in_lower_case(key.unwrap_or_default());
        Self::of_text(&key, one).filter(|format| Self::of_text(&key, other) == Some(*format))
    }

    fn of(key: &str, node: Node<'_>) -> Option<Self> {
        let key = in_lower_case(key);
        match node.kind() {
            Kind::Number => of_number(&key, node),
            Kind::String => Self::of_text(&key, node.text()?),
            _ => None,
        }
    }

    /// The format of a text under this key, which is in lower case.
    pub(crate) fn of_text(key: &str, text: &str) -> Option<Self> {
        let is_long_one = text.len() >= SIGNATURE_LEN_MIN && !text.contains(' ');
        if is_uuid(text) {
            Some(Self::Uuid)
        } else if is_long_one && SIGNATURES.contains(&key) {
            Some(Self::Signature)
        } else if is_moment(text) {
            Some(Self::Timestamp)
        } else if text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Some(Self::Digest)
        } else if is_id(text) {
            Some(Self::Id)
        } else {
            None
        }
    }
}

fn in_lower_case(key: &str) -> Cow<'_, str> {
    let has_capitals = key.bytes().any(|byte| byte.is_ascii_uppercase());
    if has_capitals { Cow::Owned(key.to_ascii_lowercase()) } else { Cow::Borrowed(key) }
}

fn of_number(key: &str, node: Node<'_>) -> Option<Format> {
    let value: Option<u64> = node.raw().parse().ok();
    let is_moment = key.ends_with("_at") || MOMENTS.contains(&key);
    if is_moment && value.is_some_and(|value| value >= SECONDS_MIN) {
        return Some(Format::Timestamp);
    }
    let is_duration = ["_duration", "_ms", "_time"].iter().any(|end| key.ends_with(end)) || DURATIONS.contains(&key);
    if is_duration {
        return Some(Format::Duration);
    }
    let is_count = key.ends_with("tokens") || key.ends_with("token_count") || key.ends_with("tokencount");
    (is_whole(node) && (is_count || key == "eval_count" || key == "prompt_eval_count")).then_some(Format::TokenCount)
}

/// `YYYY-MM-DDThh:mm…` (RFC 3339, section 5.6), a space for the `T` allowed.
fn is_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    (16..=40).contains(&bytes.len())
        && bytes[..16].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            10 => matches!(byte, b'T' | b't' | b' '),
            13 => *byte == b':',
            _ => byte.is_ascii_digit(),
        })
        && bytes[16..].iter().all(|byte| byte.is_ascii_digit() || b":.+-Zz".contains(byte))
}

/// A short word in lower case, `-` or `_`, and at least eight letters and digits with a digit or a capital among them.
fn is_id(text: &str) -> bool {
    let Some(at) = text.bytes().take(13).position(|byte| matches!(byte, b'-' | b'_')).filter(|at| *at > 0) else {
        return false;
    };
    let (prefix, rest) = (&text[..at], &text[at + 1..]);
    prefix.bytes().all(|byte| byte.is_ascii_lowercase())
        && (8..=128).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && rest.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        && rest.split(['-', '_']).any(|part| part.len() >= 8)
}

#[cfg(test)]
mod tests {
    use content::json::parse_tree;

    use super::*;

    fn of(key: &str, json: &str) -> Option<Format> {
        let tree = parse_tree(json.as_bytes(), 9).unwrap();
        Format::of_pair(Some(key), Some(tree.root()), Some(tree.root()))
    }

    #[test]
    fn what_changes_with_every_answer_is_known_by_how_it_looks() {
        assert_eq!(of("x", "\"6f1a2b3c-0000-4000-8000-0123456789ab\""), Some(Format::Uuid));
        assert_eq!(of("id", "\"chatcmpl-9xKzQ1aB2cD3\""), Some(Format::Id));
        assert_eq!(of("id", "\"msg_01AbCdEfGhIj\""), Some(Format::Id));
        assert_eq!(of("when", "\"2026-11-27T02:00:00.5Z\""), Some(Format::Timestamp));
        assert_eq!(of("created_at", "1732672800"), Some(Format::Timestamp));
        assert_eq!(of("total_duration", "123"), Some(Format::Duration));
        assert_eq!(of("completion_tokens", "12"), Some(Format::TokenCount));
        assert_eq!(of("signature", "\"EqQBCkYIBRgCKkDxYz0123456789+/==\""), Some(Format::Signature));
        assert_eq!(of("etag", "\"0123456789abcdef0123456789abcdef\""), Some(Format::Digest));
    }

    #[test]
    fn words_and_other_numbers_are_no_format() {
        for (key, json) in [
            ("model", "\"gpt-4o-mini-2024-07-18\""),
            ("text", "\"well-known things\""),
            ("created", "7"),
            ("n", "1732672800"),
            ("completion_tokens", "1.5"),
            ("signature", "\"short\""),
            ("name", "\"get_weather_forecast\""),
        ] {
            assert_eq!(of(key, json), None, "{key} {json}");
        }
    }

    #[test]
    fn both_sides_have_to_have_the_format() {
        let (one, other) = (parse_tree(b"\"msg_01AbCdEfGhIj\"", 9).unwrap(), parse_tree(b"\"yes\"", 9).unwrap());
        assert_eq!(Format::of_pair(Some("id"), Some(one.root()), Some(other.root())), None);
        assert_eq!(Format::of_pair(Some("id"), Some(one.root()), None), Some(Format::Id));
    }
}
