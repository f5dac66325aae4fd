//! Where a URL carries secrets: in its userinfo, and in its query and fragment.

use std::ops::Range;

/// A key of a query and where its value stands.
pub(super) struct Pair {
    /// In lower case, percent-encoding taken off.
    pub(super) key: String,
    pub(super) value: Range<usize>,
}

/// The pairs of the query and the fragment of the URL at `range`, for which `is_secret` holds by their key.
///
/// Pairs are split at `&`, and where a pair is no secret's, at `;` too, which some servers still read so.
pub(super) fn secret_pairs(bytes: &[u8], range: Range<usize>, is_secret: impl Fn(&str) -> bool) -> Vec<Pair> {
    let url = &bytes[range.clone()];
    let Some(begin) = memchr::memchr2(b'?', b'#', url) else { return Vec::new() };
    let mut found = Vec::new();
    for pair in split(bytes, range.start + begin + 1..range.end, |byte| matches!(byte, b'&' | b'?' | b'#')) {
        let whole = pair_at(bytes, pair.clone());
        if is_secret(&whole.key) {
            found.push(whole);
        } else {
            let inner = split(bytes, pair, |byte| byte == b';').into_iter().map(|inner| pair_at(bytes, inner));
            found.extend(inner.filter(|pair| is_secret(&pair.key)));
        }
    }
    found
}

fn pair_at(bytes: &[u8], range: Range<usize>) -> Pair {
    let equals = memchr::memchr(b'=', &bytes[range.clone()]).map_or(range.end, |len| range.start + len);
    let (key, _) = decoded(&bytes[range.start..equals]);
    let key = String::from_utf8_lossy(&key).to_ascii_lowercase();
    Pair { key, value: (equals + 1).min(range.end)..range.end }
}

fn split(bytes: &[u8], range: Range<usize>, is_separator: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut start = range.start;
    let pieces = bytes[range].split(|&byte| is_separator(byte)).map(|piece| {
        let piece = start..start + piece.len();
        start = piece.end + 1;
        piece
    });
    pieces.collect()
}

/// How one byte of a decoded value is spelt.
#[derive(Clone, Copy)]
pub(super) enum Spelling {
    AsItIs,
    /// `%` and two hex digits, in upper case where one of them was.
    Percent {
        upper: bool,
    },
}

/// The bytes with percent-encoding taken off, and how each was spelt.
pub(super) fn decoded(encoded: &[u8]) -> (Vec<u8>, Vec<Spelling>) {
    let (mut plain, mut spellings) = (Vec::with_capacity(encoded.len()), Vec::with_capacity(encoded.len()));
    let mut rest = encoded;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, spelling, len) = match (first, after) {
            (b'%', &[high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let upper = !high.is_ascii_lowercase() && !low.is_ascii_lowercase();
                (hex_value(high) << 4 | hex_value(low), Spelling::Percent { upper }, 3)
            }
            _ => (first, Spelling::AsItIs, 1),
        };
        plain.push(byte);
        spellings.push(spelling);
        rest = &rest[len..];
    }
    (plain, spellings)
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

/// The bytes spelt as others were; of the same length when there are as many.
pub(super) fn encoded(plain: &[u8], spellings: &[Spelling]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(plain.len());
    for (byte, spelling) in plain.iter().zip(spellings) {
        match spelling {
            Spelling::AsItIs => encoded.push(*byte),
            Spelling::Percent { upper: true } => encoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            Spelling::Percent { upper: false } => encoded.extend_from_slice(format!("%{byte:02x}").as_bytes()),
        }
    }
    encoded
}

/// The userinfo of the URL whose `://` stands at `colon`.
pub(super) fn userinfo(bytes: &[u8], colon: usize) -> Option<Range<usize>> {
    let authority = bytes[colon..].strip_prefix(b"://")?;
    let ends =
        |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>');
    let len = authority.iter().position(ends).unwrap_or(authority.len());
    let at_sign = memchr::memrchr(b'@', &authority[..len])?;
    Some(colon + 3..colon + 3 + at_sign)
}

/// What is secret in the userinfo of the URL whose `://` stands at `colon`: the password, or a name that is long enough
/// to be a token; `git@` is neither.
pub(super) fn secret_of_userinfo(bytes: &[u8], colon: usize) -> Option<Range<usize>> {
    const TOKEN_LEN_MIN: usize = 16;
    let whole = userinfo(bytes, colon)?;
    let secret = match memchr::memchr(b':', &bytes[whole.clone()]) {
        Some(name_len) if name_len >= TOKEN_LEN_MIN => whole,
        Some(name_len) => whole.start + name_len + 1..whole.end,
        None if whole.len() >= TOKEN_LEN_MIN => whole,
        None => return None,
    };
    (!secret.is_empty()).then_some(secret)
}
