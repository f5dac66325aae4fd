//! Strings, numbers and words: where they end, and whether they are what they should be.

use super::{
    Fault, Kind,
    escape::{Refused, escape, refused},
    plain::{BLOCK, digits_in, plain_end},
};

/// What stands at a place that is no array and no object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar {
    /// Behind its last byte.
    pub(super) end: usize,
    pub(super) kind: Kind,
    pub(super) has_escape: bool,
}

/// Reads the scalar that begins here.
#[inline(always)]
pub(super) fn scalar(text: &str, at: usize) -> Result<Scalar, Refused> {
    let plain = |kind, end| Scalar { end, kind, has_escape: false };
    match byte(text, at) {
        Some(b'"') => string(text, at),
        Some(b'-' | b'0'..=b'9') => number_end(text, at).map(|end| plain(Kind::Number, end)),
        Some(b't') => word_end(text, at, "true").map(|end| plain(Kind::Bool, end)),
        Some(b'f') => word_end(text, at, "false").map(|end| plain(Kind::Bool, end)),
        Some(b'n') => word_end(text, at, "null").map(|end| plain(Kind::Null, end)),
        _ => Err(unexpected(text, at)),
    }
}

#[inline(always)]
fn word_end(text: &str, at: usize, word: &str) -> Result<usize, Refused> {
    let rest = &text.as_bytes()[at..];
    if rest.starts_with(word.as_bytes()) {
        return Ok(at + word.len());
    }
    let len = rest.iter().zip(word.as_bytes()).take_while(|(found, wanted)| found == wanted).count();
    Err(unexpected(text, at + len))
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
#[inline]
fn number_end(text: &str, begin: usize) -> Result<usize, Refused> {
    match text.as_bytes()[begin..].first_chunk().and_then(short_number_len) {
        Some(len) => Ok(begin + len),
        None => long_number_end(text, begin),
    }
}

/// The length of a number without an exponent that ends in this block; `None` for anything else.
#[inline]
fn short_number_len(block: &[u8; BLOCK]) -> Option<usize> {
    // No digit: what is behind the block is none either.
    let others = !digits_in(block);
    let whole_at = usize::from(block[0] == b'-');
    let whole_len = (others >> whole_at).trailing_zeros() as usize;
    let mut end = whole_at + whole_len;
    if whole_len == 0 || whole_len > 1 && block[whole_at] == b'0' {
        return None;
    }
    if block.get(end) == Some(&b'.') {
        let fraction_len = (others >> (end + 1)).trailing_zeros() as usize;
        end += 1 + fraction_len;
        if fraction_len == 0 {
            return None;
        }
    }
    (!matches!(block.get(end)?, b'e' | b'E')).then_some(end)
}

#[inline(never)]
fn long_number_end(text: &str, begin: usize) -> Result<usize, Refused> {
    let whole_at = begin + usize::from(byte(text, begin) == Some(b'-'));
    let mut at = behind_digits(text, whole_at)?;
    if at > whole_at + 1 && byte(text, whole_at) == Some(b'0') {
        return Err(refused(begin, Fault::BadNumber));
    }
    if byte(text, at) == Some(b'.') {
        at = behind_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = byte(text, at) {
        let is_signed = matches!(byte(text, at + 1), Some(b'+' | b'-'));
        at = behind_digits(text, at + 1 + usize::from(is_signed))?;
    }
    Ok(at)
}

/// Behind one digit or more.
fn behind_digits(text: &str, begin: usize) -> Result<usize, Refused> {
    let mut at = begin;
    while let Some(b'0'..=b'9') = byte(text, at) {
        at += 1;
    }
    if at == begin {
        let what = if at == text.len() { Fault::UnexpectedEnd } else { Fault::BadNumber };
        return Err(refused(at, what));
    }
    Ok(at)
}

/// Reads the string whose quote stands here.
#[inline(always)]
pub(super) fn string(text: &str, begin: usize) -> Result<Scalar, Refused> {
    let at = plain_end(text.as_bytes(), begin + 1);
    if byte(text, at) == Some(b'"') {
        return Ok(Scalar { end: at + 1, kind: Kind::String, has_escape: false });
    }
    let end = end_behind_escapes(text, at)?;
    Ok(Scalar { end, kind: Kind::String, has_escape: true })
}

/// Goes on at the first byte that does not stand for itself.
#[inline(never)]
fn end_behind_escapes(text: &str, mut at: usize) -> Result<usize, Refused> {
    loop {
        match byte(text, at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                at = match byte(text, at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at + 2,
                    _ => escape(text, at)?.1,
                }
            }
            Some(_) => return Err(refused(at, Fault::ControlCharacter)),
            None => return Err(refused(at, Fault::UnexpectedEnd)),
        }
        at = plain_end(text.as_bytes(), at);
    }
}

#[inline]
pub(super) fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

#[cold]
pub(super) fn unexpected(text: &str, at: usize) -> Refused {
    refused(at, text[at..].chars().next().map_or(Fault::UnexpectedEnd, Fault::Unexpected))
}
