//! What a value looks like: its type, of a text its format, of an object its members.
//!
//! In: a value as it is shown. Out: a form in words, such as `uuid`, `integer` or `text`. Values are known by what they look
//! like, never by the name of their field. Two values of one form may be the same thing; two of different forms are not.

use content::json::{self, Value};
use exchange::Digest;

use crate::{Change, Shown};

/// Shortest run of letters and digits taken for an id, in characters: as in routes.
const ID_LEN_MIN: usize = 8;
/// Shortest run of letters alone, capitals and small ones mixed, taken for an id, in characters. A choice: longer than words.
const MIXED_ID_LEN_MIN: usize = 16;
/// Longest form in words, in bytes; of a longer one there is a digest. A choice.
const WORDS_LEN_MAX: usize = 160;
/// Values read of an object or list. Far above what fits into a value as it is shown.
const VALUES_MAX: usize = 1_000;

/// What stands between the pieces of an id.
const SEPARATORS: [char; 3] = ['-', '_', ':'];

/// Nothing stands there.
pub(crate) const ABSENT: &str = "absent";
/// An object or list of which not all is shown: nothing can be said of its form.
pub(crate) const LONG: &str = "something long";

/// The form of a value; of `None` that nothing stands there.
pub fn form_of(shown: Option<&Shown>) -> String {
    let Some(shown) = shown else { return ABSENT.to_owned() };
    let text = shown.text.as_str();
    match text.as_bytes().first() {
        None => "empty text".to_owned(),
        Some(b'{' | b'[') if shown.is_cut() => LONG.to_owned(),
        Some(b'{' | b'[') => structure(text),
        Some(b'"') => form_of_text(inner(text)),
        _ => form_of_scalar(text),
    }
}

/// True where the value could be one of this form: a random hex number of eight digits is now and then all digits.
pub(crate) fn fits(form: &str, shown: Option<&Shown>) -> bool {
    let found = form_of(shown);
    if found == form {
        return true;
    }
    let Some(text) = shown.map(|shown| inner(&shown.text)) else { return false };
    let is_text = |text: &str| shown.is_some_and(|shown| shown.text.starts_with('"')) || text.parse::<f64>().is_err();
    match form {
        "hex" => is_text(text) && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "decimal" => found == "integer",
        "text" => matches!(found.as_str(), "word" | "empty text"),
        _ => form.strip_prefix("id ").is_some_and(|prefix| {
            let core = text.strip_prefix(prefix);
            is_text(text) && core.is_some_and(is_core_of_id)
        }),
    }
}

/// The form of both values of a difference, where it is one that clock or chance makes: a moment, or an id.
pub fn fresh_form(change: &Change) -> Option<String> {
    let form = form_of(change.recorded.as_ref());
    let is_fresh = is_time(&form) || matches!(form.as_str(), "uuid" | "hex") || form.starts_with("id ");
    (is_fresh && fits(&form, change.replayed.as_ref())).then_some(form)
}

/// True for what a clock gives.
pub(crate) fn is_time(form: &str) -> bool {
    form.starts_with("unix time") || form == "timestamp"
}

/// The value of a number.
pub(crate) fn number_of(shown: Option<&Shown>) -> Option<f64> {
    let text = &shown?.text;
    let begins_so = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    text.parse().ok().filter(|number: &f64| begins_so && number.is_finite())
}

/// A text without the quotes of JSON.
fn inner(text: &str) -> &str {
    let open = text.strip_prefix('"').unwrap_or(text);
    if open.len() < text.len() { open.strip_suffix('"').unwrap_or(open) } else { text }
}

fn form_of_scalar(text: &str) -> String {
    match text {
        "null" => return text.to_owned(),
        "true" | "false" => return "boolean".to_owned(),
        _ => {}
    }
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(number) if is_number => form_of_number(text, number).to_owned(),
        _ => form_of_text(text),
    }
}

/// Times are from 2001 to 2100, as seconds, milliseconds, microseconds or nanoseconds since 1970.
fn form_of_number(text: &str, number: f64) -> &'static str {
    const UNITS: [(f64, &str); 4] =
        [(1.0, "unix time, s"), (1e3, "unix time, ms"), (1e6, "unix time, µs"), (1e9, "unix time, ns")];
    let time = UNITS.iter().find(|(scale, _)| (1e9 * scale..4.1e9 * scale).contains(&number));
    let is_whole = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    match time {
        Some((_, name)) => name,
        None if is_whole => "integer",
        None => "decimal",
    }
}

fn form_of_text(text: &str) -> String {
    let all = |test: fn(&u8) -> bool| text.as_bytes().iter().all(test);
    if text.is_empty() {
        "empty text".to_owned()
    } else if crate::route::is_uuid(text) {
        "uuid".to_owned()
    } else if is_timestamp(text) {
        "timestamp".to_owned()
    } else if all(u8::is_ascii_digit) {
        "digits".to_owned()
    } else if text.len() >= ID_LEN_MIN && all(u8::is_ascii_hexdigit) && text.bytes().any(|byte| byte.is_ascii_digit()) {
        "hex".to_owned()
    } else if is_token(text) {
        "JSON web token".to_owned()
    } else if let Some(prefix) = prefix_of_id(text) {
        format!("id {prefix}")
    } else if all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
        "word".to_owned()
    } else {
        "text".to_owned()
    }
}

/// A date and time as RFC 3339 has it, `T` or a space between, or an HTTP date.
fn is_timestamp(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let day = digits(0..4) && text.get(4..5) == Some("-") && digits(5..7) && digits(8..10);
    let time = matches!(text.get(10..11), Some("T" | " ")) && digits(11..13) && digits(14..16) && text.len() <= 40;
    let http = text.len() == 29 && text.ends_with(" GMT") && digits(5..7);
    (day && time) || http
}

/// Three parts of base64 (RFC 7519), the first an object.
fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3 && !text.contains(' ')
}

/// What stands before the random part of an id, such as `chatcmpl-` or `msg_bdrk_`: words, in capitals or small letters. Nothing
/// before it is an empty prefix. The random part may have several pieces, as a UUID has.
fn prefix_of_id(text: &str) -> Option<&str> {
    let is_word = |piece: &str| {
        let letters = piece.strip_suffix(SEPARATORS).unwrap_or(piece).as_bytes();
        letters.iter().all(u8::is_ascii_lowercase) || letters.iter().all(u8::is_ascii_uppercase)
    };
    let pieces = text.split_inclusive(SEPARATORS);
    let prefix_len = pieces.take_while(|piece| piece.ends_with(SEPARATORS) && is_word(piece)).map(str::len).sum();
    let (prefix, core) = text.split_at(prefix_len);
    let is_random = |piece: &str| {
        let has = |test: fn(&u8) -> bool| piece.as_bytes().iter().any(test);
        let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
        let is_long = piece.len() >= MIXED_ID_LEN_MIN && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        (piece.len() >= ID_LEN_MIN && is_mixed) || is_long
    };
    (is_core_of_id(core) && core.split(SEPARATORS).any(is_random) && prefix.len() <= 40).then_some(prefix)
}

/// Letters and digits, in one piece or several.
fn is_core_of_id(text: &str) -> bool {
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || SEPARATORS.contains(&char::from(byte));
    !text.is_empty() && text.bytes().all(is_of_it)
}

/// An object with the forms of its members, or a list with those of its elements, each once.
fn structure(text: &str) -> String {
    let Ok(value) = json::parse_limited(text.as_bytes(), VALUES_MAX) else { return "text".to_owned() };
    let words = structure_of(&value);
    if words.len() <= WORDS_LEN_MAX {
        return words;
    }
    let what = if text.starts_with('{') { "object" } else { "list" };
    format!("{what} of the form {}", Digest::of(words.as_bytes()).short())
}

fn structure_of(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut parts: Vec<_> =
                members.iter().map(|(name, value)| format!("{name}: {}", structure_of(value))).collect();
            parts.sort_unstable();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Array(elements) => {
            let mut parts: Vec<_> = elements.iter().map(structure_of).collect();
            parts.sort_unstable();
            parts.dedup();
            format!("[{}]", parts.join(" | "))
        }
        scalar => {
            let mut text = Vec::new();
            scalar.write_canonical(&mut text);
            form_of(Some(&Shown::beginning_of(&String::from_utf8_lossy(&text))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        form_of(Some(&Shown::beginning_of(text)))
    }

    #[test]
    fn values_are_known_by_what_they_look_like() {
        for (text, expected) in [
            ("\"0b1e7a52-6a0c-4a3e-8f2f-0d9c6a1b2c3d\"", "uuid"),
            ("\"2026-11-27T02:05:14Z\"", "timestamp"),
            ("Fri, 27 Nov 2026 02:05:14 GMT", "timestamp"),
            ("1764208800", "unix time, s"),
            ("1764208800123", "unix time, ms"),
            ("1764208800.5", "unix time, s"),
            ("12", "integer"),
            ("-12.5e3", "decimal"),
            ("\"12\"", "digits"),
            ("\"9f86d081884c7d65\"", "hex"),
            ("\"chatcmpl-9xYzAbCdEfGhIjKl0123\"", "id chatcmpl-"),
            ("\"call_AbCdEfGhIjKlMnOpQr\"", "id call_"),
            ("\"high\"", "word"),
            ("\"the card was declined\"", "text"),
            ("\"\"", "empty text"),
            ("true", "boolean"),
            ("null", "null"),
            ("{\"b\":[1,2],\"a\":\"x\"}", "{a: word, b: [integer]}"),
            ("[]", "[]"),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
        assert_eq!(form_of(None), "absent");
        assert_eq!(form(&format!("[{}1]", "1,".repeat(200))), "something long");
    }

    #[test]
    fn a_random_value_that_looks_like_less_than_it_is_fits_and_one_of_another_kind_does_not() {
        let fits = |form: &str, text: &str| super::fits(form, Some(&Shown::beginning_of(text)));
        assert!(fits("hex", "\"12345678\"") && fits("hex", "\"abcdefab\"") && !fits("hex", "\"ghijklmn\""));
        assert!(!fits("hex", "12345678") && !fits("hex", "\"\""));
        assert!(fits("id call_", "\"call_abcdefgh\"") && !fits("id call_", "\"toolu_abcdefg1\""));
        assert!(fits("decimal", "3") && !fits("integer", "3.5"));
        assert!(!super::fits("hex", None) && super::fits("absent", None));
    }
}
