//! What was found, as lines for a person and as JSON.

use std::ops::Range;

use bundle::Entry;
use regex::bytes::Regex;
use report::{Style, escape_line, json};
use serde::Serialize;

/// How much is shown around a match on either side, and of the match itself, in bytes.
const AROUND_BYTES: usize = 40;
const MATCH_BYTES_MAX: usize = 120;

/// An exchange in which something was found.
pub(super) struct Found<'a> {
    pub(super) entry: &'a Entry,
    pub(super) hits: Vec<Hit>,
}

/// A text in which the pattern is.
#[derive(Serialize)]
pub(super) struct Hit {
    place: String,
    /// How often.
    count: usize,
    /// Where the first match begins, in bytes of the text as it was searched.
    offset: usize,
    before: String,
    #[serde(rename = "match")]
    matched: String,
    after: String,
}

impl Hit {
    /// The first match in a text, if there is one, and how many there are.
    pub(super) fn of(pattern: &Regex, place: &str, text: &[u8]) -> Option<Self> {
        let mut matches = pattern.find_iter(text);
        let first = matches.next()?.range();
        let shown = |range: Range<usize>| String::from_utf8_lossy(&text[range]).into_owned();
        let end = first.end.min(first.start + MATCH_BYTES_MAX);
        Some(Self {
            place: place.to_owned(),
            count: 1 + matches.count(),
            offset: first.start,
            before: shown(boundary(text, first.start.saturating_sub(AROUND_BYTES))..first.start),
            matched: shown(first.start..boundary(text, end)),
            after: shown(boundary(text, end)..boundary(text, (end + AROUND_BYTES).min(text.len()))),
        })
    }
}

/// The first byte at or after `at` that does not continue a character.
fn boundary(text: &[u8], at: usize) -> usize {
    let continues = |byte: &&u8| **byte & 0xc0 == 0x80;
    at + text[at..].iter().take(3).take_while(continues).count()
}

impl Found<'_> {
    /// A line for the exchange, and one for each place.
    pub(super) fn to_text(&self, style: Style) -> String {
        let status = self.entry.status.map(|status| format!("  {status}")).unwrap_or_default();
        let called = self.entry.dependency.as_ref().map(|name| format!("→ {name}: ")).unwrap_or_default();
        let title = format!("{called}{}", self.entry.title);
        let title = escape_line(&title);
        let mut text = format!("{}  {title}{status}\n", style.cyan(&self.entry.id.short()));
        for hit in &self.hits {
            let more = if hit.count > 1 { style.dim(&format!("  ({} times)", hit.count)) } else { String::new() };
            let [before, matched, after] = [&hit.before, &hit.matched, &hit.after].map(|part| escape_line(part));
            text +=
                &format!("  {} {before}{}{after}{more}\n", style.dim(&format!("{}:", hit.place)), style.red(&matched));
        }
        text
    }
}

/// One exchange for a machine.
#[derive(Serialize)]
struct Document<'a> {
    id: String,
    dependency: Option<&'a str>,
    title: &'a str,
    status: Option<u16>,
    places: &'a [Hit],
}

/// A document of schema `retake.matches`.
pub(super) fn to_json(found: &[Found<'_>], searched: usize) -> String {
    let documents: Vec<_> = found
        .iter()
        .map(|Found { entry, hits }| Document {
            id: entry.id.to_string(),
            dependency: entry.dependency.as_deref(),
            title: &entry.title,
            status: entry.status,
            places: hits,
        })
        .collect();
    json::document("matches", &serde_json::json!({ "searched": searched, "exchanges": documents }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_is_shown_with_what_is_around_it_and_no_character_is_cut() {
        let text = format!("{}ä needle é{}", "ü".repeat(50), "z".repeat(100));
        let hit = Hit::of(&Regex::new("needle").unwrap(), "request body", text.as_bytes()).unwrap();
        assert_eq!((hit.offset, hit.matched.as_str(), hit.count), (103, "needle", 1));
        assert!(hit.before.ends_with("üä ") && !hit.before.contains('\u{fffd}'), "{}", hit.before);
        assert!(hit.after.starts_with(" éz") && hit.after.len() <= AROUND_BYTES + 1, "{}", hit.after);
        assert!(Hit::of(&Regex::new("nothing").unwrap(), "request body", text.as_bytes()).is_none());
    }

    #[test]
    fn a_match_of_everything_is_cut_and_one_of_nothing_is_a_match() {
        let hit = Hit::of(&Regex::new("(?s).*").unwrap(), "x", "é".repeat(1000).as_bytes()).unwrap();
        assert!(hit.matched.len() <= MATCH_BYTES_MAX + 1 && !hit.matched.contains('\u{fffd}'));
        let empty = Hit::of(&Regex::new("^").unwrap(), "x", b"").unwrap();
        assert_eq!((empty.offset, empty.matched.as_str()), (0, ""));
    }
}
