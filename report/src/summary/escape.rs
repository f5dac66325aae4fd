//! Text that a stranger may have written, as Markdown that shows it and does nothing.

use crate::escape_line;

/// In a code span on one line: its fence is longer than any within (CommonMark 0.31, section 6.1).
pub(super) fn code(text: &str) -> String {
    let text = escape_line(text);
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') || text.trim().is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// A fenced block (section 4.5).
pub(super) fn fenced(text: &str) -> String {
    let text = crate::escape_lines(text);
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    format!("{fence}text\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

/// As words on one line: every character of ASCII punctuation as a reference, which no parser takes for markup, a mention or
/// a number of an issue. Those that mean nothing within a line stay readable.
pub(super) fn plain(text: &str) -> String {
    escape_line(text).chars().fold(String::new(), |mut plain, character| {
        let means_nothing =
            matches!(character, ',' | '.' | ';' | '?' | '/' | '%' | '-' | '\'' | '"' | '(' | ')' | '=' | '+');
        if character.is_ascii_punctuation() && !means_nothing {
            plain += &format!("&#{};", u32::from(character));
        } else {
            plain.push(character);
        }
        plain
    })
}

/// As HTML text on one line.
pub(super) fn html(text: &str) -> String {
    plain(text)
}

/// An address as a link where it is a plain one (`https://…`); anything else as words.
pub(super) fn link(text: &str) -> String {
    let is_safe = |character: char| character.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()+,;=%".contains(character);
    let is_link = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    if is_link && text.len() <= 500 && text.chars().all(is_safe) { format!("<{text}>") } else { plain(text) }
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_cannot_be_left_and_words_mean_nothing() {
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`x\n"), "`` `x\\n ``");
        assert_eq!(fenced("```\nx"), "````text\n```\nx\n````\n");
        assert_eq!(plain("<b>@all #1 [a](b)"), "&#60;b&#62;&#64;all &#35;1 &#91;a&#93;(b)");
        assert_eq!(link("https://wiki.example/a?b=c"), "<https://wiki.example/a?b=c>");
        assert_eq!(link("javascript:alert(1)"), "javascript&#58;alert(1)");
        assert_eq!(link("https://a> <script>"), "https&#58;//a&#62; &#60;script&#62;");
    }
}
