//! Makes control characters visible, so that what was recorded cannot drive the terminal it is shown on.

use std::{borrow::Cow, fmt::Write};

/// `text` for one line: every control character, line ends included, and every character that reorders text is written
/// as an escape.
pub fn escape_line(text: &str) -> Cow<'_, str> {
    escape(text, |character| character == '\t')
}

/// The same for a text of several lines: line feeds and tabs stay.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| matches!(character, '\t' | '\n'))
}

fn escape(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_harmless = |character: char| is_kept(character) || !is_dangerous(character);
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            harmless if is_harmless(harmless) => escaped.push(harmless),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            short if u32::from(short) < 0x100 => {
                write_escape(&mut escaped, format_args!("\\x{:02x}", u32::from(short)))
            }
            long => write_escape(&mut escaped, format_args!("\\u{{{:x}}}", u32::from(long))),
        }
    }
    Cow::Owned(escaped)
}

fn write_escape(out: &mut String, escape: std::fmt::Arguments<'_>) {
    out.write_fmt(escape).expect("writing into a string cannot fail");
}

/// Control characters (C0, DEL, C1) and those that change the direction of text (Unicode TR 9, and CVE-2021-42574).
pub(crate) fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_that_would_clear_the_screen_or_turn_text_around_is_shown_instead() {
        assert_eq!(escape_line("a\x1b[2Jb\r\n\u{9b}1m\u{202e}c"), "a\\x1b[2Jb\\r\\n\\x9b1m\\u{202e}c");
        assert_eq!(escape_lines("one\n\ttwo\r"), "one\n\ttwo\\r");
        assert!(matches!(escape_line("grüße, 世界"), Cow::Borrowed(_)));
    }
}
