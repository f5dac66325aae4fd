//! Escapes in strings: `\n`, `\u00e9`, and pairs of surrogates.

use super::{Fault, ParseError, plain::plain_end};

/// Why reading stopped; boxed, so that what is read all the time is told in a register.
pub(super) type Refused = Box<ParseError>;

/// The character that the escape whose backslash stands at `begin` means, and what stands behind it; of a pair of surrogates
/// behind both.
pub(super) fn escape(text: &str, begin: usize) -> Result<(char, usize), Refused> {
    let Some(&kind) = text.as_bytes().get(begin + 1) else { return Err(refused(text.len(), Fault::UnexpectedEnd)) };
    let character = match kind {
        b'"' | b'\\' | b'/' => char::from(kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text, begin),
        _ => return Err(refused(begin, Fault::BadEscape)),
    };
    Ok((character, begin + 2))
}

fn unicode_escape(text: &str, begin: usize) -> Result<(char, usize), Refused> {
    let lone = || refused(begin, Fault::LoneSurrogate);
    let first = hex_unit(text, begin + 2)?;
    let end = begin + 6;
    if !(0xd800..=0xdbff).contains(&first) {
        return Ok((char::from_u32(first).ok_or_else(lone)?, end));
    }
    if !text.as_bytes()[end..].starts_with(b"\\u") {
        return Err(lone());
    }
    match hex_unit(text, end + 2)? {
        second @ 0xdc00..=0xdfff => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            Ok((char::from_u32(code).ok_or_else(lone)?, end + 6))
        }
        _ => Err(lone()),
    }
}

/// Four hex digits.
fn hex_unit(text: &str, begin: usize) -> Result<u32, Refused> {
    let mut unit = 0;
    for at in begin..begin + 4 {
        let Some(&digit) = text.as_bytes().get(at) else { return Err(refused(text.len(), Fault::UnexpectedEnd)) };
        let Some(digit) = char::from(digit).to_digit(16) else { return Err(refused(at, Fault::BadEscape)) };
        unit = unit * 16 + digit;
    }
    Ok(unit)
}

pub(super) fn refused(offset: usize, what: Fault) -> Refused {
    Box::new(ParseError { offset, what })
}

/// A string as it stands between its quotes, escapes resolved. All of them have been read before.
pub(super) fn unescaped(written: &str) -> String {
    let mut text = String::with_capacity(written.len());
    let mut at = 0;
    loop {
        let plain_end = plain_end(written.as_bytes(), at);
        text.push_str(&written[at..plain_end]);
        if plain_end == written.len() {
            return text;
        }
        let Ok((character, end)) = escape(written, plain_end) else { return text };
        text.push(character);
        at = end;
    }
}

/// True where each escape of this string, which was read before, is the shortest for its character.
pub(super) fn has_shortest_escapes(written: &str) -> bool {
    let mut rest = written.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let is_shortest = matches!(rest.get(at + 1), Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't'));
        if !is_shortest {
            return false;
        }
        rest = &rest[at + 2..];
    }
    true
}
