//! The only way to write the page: constants as they are, everything else escaped.

use std::fmt::Write;

use crate::{escape::is_dangerous, escape_line, escape_lines};

/// Longest line, in characters. A choice: nobody reads more, and the exchanges have it whole. It also bounds how long a browser
/// needs for a character under thousands of accents, which goes with their square.
const LINE_CHARS_MAX: usize = 1_000;

/// HTML under way.
#[derive(Debug, Default)]
pub(super) struct Markup {
    html: String,
}

impl Markup {
    /// Markup of ours. A `'static` text cannot have come out of a recording.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.constant(markup)
    }

    /// The page's own style, script or icon, as it is.
    pub(super) fn constant(&mut self, text: &'static str) -> &mut Self {
        self.html.push_str(text);
        self
    }

    /// A text on one line, or an attribute's value between double quotes; of a very long one its beginning.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        match text.char_indices().nth(LINE_CHARS_MAX) {
            Some((end, _)) => self.escape(&escape_line(&text[..end])).raw("…"),
            None => self.escape(&escape_line(text)),
        }
    }

    /// A text of several lines, for `pre`; of very long ones their beginnings.
    pub(super) fn lines(&mut self, text: &str) -> &mut Self {
        for line in text.split_inclusive('\n') {
            match line.char_indices().nth(LINE_CHARS_MAX) {
                Some((end, _)) => self.escape(&escape_lines(&line[..end])).raw("…\n"),
                None => self.escape(&escape_lines(line)),
            };
        }
        self
    }

    /// A number.
    pub(super) fn number(&mut self, number: impl std::fmt::Display) -> &mut Self {
        let text = number.to_string();
        self.escape(&text)
    }

    /// A cell of a table with a text.
    pub(super) fn cell(&mut self, text: &str) -> &mut Self {
        self.raw("<td>").text(text).raw("</td>")
    }

    /// A cell with something to type or to read letter by letter.
    pub(super) fn code_cell(&mut self, text: &str) -> &mut Self {
        self.raw("<td><code>").text(text).raw("</code></td>")
    }

    /// A row of two: what, and the words for it.
    pub(super) fn fact(&mut self, what: &'static str, words: &str) -> &mut Self {
        self.raw("<tr><th scope=\"row\">").raw(what).raw("</th>").cell(words).raw("</tr>\n")
    }

    /// A command, with a button that copies it where there are scripts.
    pub(super) fn command(&mut self, command: &str) -> &mut Self {
        self.raw("<span class=\"command\"><code>")
            .text(command)
            .raw("</code><button type=\"button\" class=\"copy\" hidden data-copy=\"");
        self.text(command).raw("\">Copy</button></span>")
    }

    /// The HTML so far.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.html.as_bytes()
    }

    fn escape(&mut self, text: &str) -> &mut Self {
        for character in text.chars() {
            match character {
                '&' => self.html.push_str("&amp;"),
                '<' => self.html.push_str("&lt;"),
                '>' => self.html.push_str("&gt;"),
                '"' => self.html.push_str("&quot;"),
                '\'' => self.html.push_str("&#39;"),
                other => self.html.push(other),
            }
        }
        self
    }
}

/// JSON that can stand in a `script` element: nothing in it ends the element, begins a comment, or turns text around.
///
/// In JSON the characters that are replaced occur in strings alone, where an escape says the same.
pub(super) fn json_for_script(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 16);
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{feff}' => write_unit(&mut escaped, character),
            unseen if is_dangerous(unseen) => write_unit(&mut escaped, unseen),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A character of the basic plane as JSON's escape.
fn write_unit(out: &mut String, character: char) {
    write!(out, "\\u{:04x}", u32::from(character)).expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_constant_cannot_open_a_tag_or_leave_an_attribute() {
        let mut page = Markup::default();
        page.raw("<td title=\"").text("\"><script>alert('x')</script>\0\u{202e}").raw("\">");
        let html = String::from_utf8(page.as_bytes().to_vec()).unwrap();
        assert_eq!(html, "<td title=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\\x00\\u{202e}\">");
    }

    #[test]
    fn json_in_a_script_element_says_the_same_and_cannot_end_it() {
        let value = serde_json::json!({ "</script><!--": "]]>\u{2028}\u{2029}&amp;\u{0}\u{85}" });
        let escaped = json_for_script(&value.to_string());
        assert!(!escaped.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\u{85}', '\0']));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
