//! Two files compared: JSON, server-sent events, HTML, pictures and sounds, text or bytes, by what is in them.
//!
//! In: the bytes of both. Out: a [`Comparison`]. Rules that are limited to a route do not apply, since a file has none.

use std::{borrow::Cow, sync::Arc};

use content::{
    canonical::ITEMS_MAX,
    json::{self, Fault, ParseError},
    sse,
};
use exchange::MediaKind;

use crate::{
    ComparedAs, Comparison, Rules,
    compare::Views,
    findings::Findings,
    said::Cut,
    structured::{Reading, looks_like_html},
    view::{View, Written, has_lines, without_mark},
};

/// Values that a file may have to be read as JSON, however much memory there is. A choice: files of 50 MB have a few million.
const VALUES_MAX: usize = 16 << 20;

/// Memory that two files may take where nothing else is said, in bytes, they themselves included: as much as two of 256 MiB
/// with [`VALUES_MAX`] values take.
const MEMORY_BYTES: u64 = 4 << 30;

/// What a value of each of two files takes at most, in bytes: entries for itself and for its key, 16 each, and for the text of
/// each that has an escape 24.
const VALUE_BYTES: u64 = 2 * (16 + 16 + 24 + 24);

/// How often a file is in memory: where it has a document in each line, once more as one array.
const FILE_COPIES: u64 = 2;

/// What an element of HTML takes with what is compared of it, in bytes: measured, 1.1 GB for two files with 480,000 of them each.
const TAG_BYTES: u64 = 1_200;

/// What an attribute takes at most, in bytes: a name and a value, each with text of its own, several times.
const ATTRIBUTE_BYTES: u64 = 400;

/// What an event takes with its data as a document, in bytes: measured, 68 MB for two files with 60,000 events each.
const EVENT_LINE_BYTES: u64 = 600;

/// Compares two documents as what both of them are; where they are of different kinds, as text or bytes.
pub fn compare_documents(recorded: &[u8], replayed: &[u8], rules: &Rules) -> Comparison {
    compare_documents_within(recorded, replayed, rules, MEMORY_BYTES)
}

/// As [`compare_documents`], in so many bytes of memory, both documents included: JSON, HTML and events that need more are compared
/// as text, and the comparison is coarse where they differ.
pub fn compare_documents_within(recorded: &[u8], replayed: &[u8], rules: &Rules, memory_bytes: u64) -> Comparison {
    let mut findings = Findings::new();
    if recorded == replayed {
        let compared_as = if recorded.is_empty() { ComparedAs::Nothing } else { ComparedAs::Bytes };
        return findings.into_comparison(rules, compared_as);
    }
    let values_max = values_max(memory_bytes, recorded.len() as u64 + replayed.len() as u64);
    let left = memory_bytes.saturating_sub(recorded.len() as u64 + replayed.len() as u64);
    let mut has_too_many = reading_bytes(recorded) + reading_bytes(replayed) > left;
    let (one, other) = if has_too_many {
        let view = |bytes| View::read(MediaKind::Other, Cow::Borrowed(bytes), false, None);
        (view(recorded), view(replayed))
    } else {
        views(recorded, replayed, rules.reading(""), values_max, &mut has_too_many)
    };
    findings.note_not_json([&one, &other].map(|view| view.not_json(false, values_max)));
    let views = Views { one, other, cut: Cut::default() };
    let compared_as = views.compare(&rules.for_document(), &mut findings);
    has_too_many |= views.is_refused_as_html([recorded, replayed].map(looks_like_html));
    if has_too_many && findings.changes_count() > 0 {
        findings.note_coarse();
    }
    findings.into_comparison(rules, compared_as)
}

/// How many values there is memory for, beside files of so many bytes.
fn values_max(memory_bytes: u64, files_bytes: u64) -> usize {
    let left = memory_bytes.saturating_sub(FILE_COPIES * files_bytes);
    usize::try_from(left / VALUE_BYTES).unwrap_or(usize::MAX).min(VALUES_MAX)
}

/// What reading a file as HTML or events takes at most, beside itself, in bytes; 0 for others, which are bounded while they are read.
fn reading_bytes(bytes: &[u8]) -> u64 {
    if bytes.trim_ascii_start().first() == Some(&b'<') {
        markup_bytes(bytes)
    } else if BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning)) {
        EVENT_LINE_BYTES * bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64
    } else {
        0
    }
}

/// Counts what may be tags, and between them what may part attributes: rather too many than too few.
fn markup_bytes(bytes: &[u8]) -> u64 {
    let (mut tags, mut attributes, mut is_inside, mut quote) = (0, 0, false, None);
    for &byte in bytes {
        match (byte, quote) {
            (b'<', _) => (tags, is_inside) = (tags + 1, true),
            (b'>', None) => is_inside = false,
            (b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' | b'/', _) if is_inside => attributes += 1,
            (b'"' | b'\'', None) if is_inside => quote = Some(byte),
            (_, Some(open)) if byte == open => (attributes, quote) = (attributes + 1, None),
            _ => {}
        }
    }
    TAG_BYTES * tags + ATTRIBUTE_BYTES * attributes
}

fn views<'a>(
    one: &'a [u8],
    other: &'a [u8],
    reading: Reading<'_>,
    values_max: usize,
    has_too_many: &mut bool,
) -> (View<'a>, View<'a>) {
    let mut note = |error: &ParseError| *has_too_many |= error.what == Fault::TooManyValues;
    if let Ok(tree) = json::parse_tree(without_mark(one), values_max).map(Arc::new).inspect_err(&mut note)
        && let Ok(other) = json::parse_tree_like(without_mark(other), values_max, &tree).inspect_err(&mut note)
    {
        return (View::Json(tree, Written::WHOLE), View::Json(Arc::new(other), Written::WHOLE));
    }
    let json = |bytes| {
        let tree = json::parse_tree(without_mark(bytes), values_max).ok()?;
        Some(View::Json(Arc::new(tree), Written::WHOLE))
    };
    let both = |read: &dyn Fn(&'a [u8]) -> Option<View<'a>>| Some((read(one)?, read(other)?));
    if let Some((one, other)) = both(&|bytes| View::guessed(bytes, reading))
        && one.is_like(&other)
    {
        return (one, other);
    }
    let kind = if is_event_stream(one) && is_event_stream(other) { MediaKind::EventStream } else { MediaKind::Other };
    // A message that one side streamed and the other gave in one piece.
    let read = |bytes: &'a [u8]| match json(bytes) {
        Some(view) if is_event_stream(one) || is_event_stream(other) => view,
        _ if is_event_stream(bytes) => View::read(MediaKind::EventStream, Cow::Borrowed(bytes), false, None),
        _ => View::read(kind, Cow::Borrowed(bytes), false, None),
    };
    let either_streams = is_event_stream(one) != is_event_stream(other);
    if either_streams && (json(one).is_some() || json(other).is_some()) {
        return (read(one), read(other));
    }
    // A file of one line is a list where the other one is.
    let are_lines = has_lines(one) || has_lines(other);
    let lines = |bytes| are_lines.then(|| View::of_lines(bytes, values_max, false)).flatten();
    both(&lines).unwrap_or_else(|| {
        let view = |bytes| View::read(kind, Cow::Borrowed(bytes), false, None);
        (view(one), view(other))
    })
}

/// How lines of an event stream begin.
const BEGINNINGS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];

/// True where every line is one that an event stream has, and there is data. A YAML file with an `id:` has other lines.
fn is_event_stream(bytes: &[u8]) -> bool {
    // A field without a value is its name alone.
    let is_named =
        |line: &[u8], beginning: &[u8]| line.starts_with(beginning) || beginning.strip_suffix(b":") == Some(line);
    let known = |line: &[u8]| line.is_empty() || BEGINNINGS.iter().any(|beginning| is_named(line, beginning));
    let mut lines = without_mark(bytes).split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.all(known)
        && bytes.windows(5).any(|window| window == b"data:")
        && sse::parse_limited(bytes, ITEMS_MAX).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(recorded: &str, replayed: &str, rules: &[&str]) -> Comparison {
        let rules = rules.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap();
        compare_documents(recorded.as_bytes(), replayed.as_bytes(), &rules)
    }

    #[test]
    fn files_are_compared_as_what_both_of_them_are() {
        let kind = |one: &str, other: &str| between(one, other, &[]).compared_as;
        assert_eq!(kind("{}", "[1]"), ComparedAs::Json);
        assert_eq!(kind("data: 1\n\n", ": hi\r\n\r\nevent: x\r\ndata: 2\r\n\r\n"), ComparedAs::Events);
        assert_eq!(kind("data: 1\n\n", "\u{feff}data: 1\ndata\nid\n\n"), ComparedAs::Events);
        assert!(between("data: 1\n\n", "\u{feff}data: 1\r\n\r\n", &[]).is_equal());
        assert_eq!(kind("data: 1\n\n", "data: 1\ndatabase\n\n"), ComparedAs::Text);
        assert_eq!(kind("{}", "no json"), ComparedAs::Text);
        assert_eq!(kind("id: 7\nname: x\n", "id: 8\nname: x\n"), ComparedAs::Text);
        assert_eq!(kind("", ""), ComparedAs::Nothing);
    }

    #[test]
    fn lines_of_json_are_a_list_also_where_one_side_has_a_single_line_or_a_last_one_that_was_cut() {
        let three = "{\"id\":\"a\",\"v\":1}\n{\"id\":\"b\",\"v\":2}\n{\"id\":\"c\",\"v\":3}\n";
        let changes = |one: &str, other: &str, rules: &[&str]| {
            let comparison = between(one, other, rules);
            assert_eq!(comparison.compared_as, ComparedAs::Json);
            let shown = comparison.changes.iter().map(|it| format!("{} {}", it.pointer, it.kind.word()));
            shown.collect::<Vec<_>>()
        };
        let (one, cut) = (&three[..17], &three[..three.len() - 8]);
        assert_eq!(changes(three, one, &[]), ["/1 removed", "/2 removed"]);
        assert_eq!(changes(one, three, &[]), ["/1 added", "/2 added"]);
        assert_eq!(changes(three, cut, &[]), ["/2 type changed"]);
        assert_eq!(changes(&cut.replace("\"v\":2", "\"v\":7"), three, &["/1/v"]), ["/2 type changed"]);
        // A document that ends too early is no other document, whatever it has.
        assert_eq!(changes("1\n{\"a\":1}", "1\n{\"a\":1", &[]), ["/1 type changed"]);
        for text in ["\"\\\"ab\"", "\"(cut) \\\"ab\""] {
            let whole = format!("1\n{text}\n");
            assert!(!between(&whole, "1\n\"ab", &[]).is_equal(), "a text is no line that was cut");
            assert!(!between("1\n\"ab", &whole, &[]).is_equal());
        }
        let shown = &between("1\n{\"a\":1}", "1\n{\"a\":1", &[]).changes[0].replayed;
        assert_eq!(shown.as_ref().unwrap().text, "\"(cut) {\\\"a\\\":1\"");
        let (whole, ends) = ("1\n\"a€\"".as_bytes(), [5, 6]);
        let [early, late] = ends.map(|len| &whole[..len]);
        assert_eq!(compare_documents(early, late, &Rules::strict()).changes[0].pointer, "/1", "within a character");
        assert_eq!(compare_documents(late, whole, &Rules::strict()).changes[0].kind, crate::ChangeKind::Changed);
        assert_eq!(between("one\n", "1\n2\n", &[]).compared_as, ComparedAs::Text);
    }

    #[test]
    fn a_streamed_file_that_ends_within_a_line_or_a_message_is_read_as_far_as_it_goes() {
        let line = |text: &str, done: bool| {
            format!(r#"{{"model":"m","message":{{"role":"assistant","content":"{text}"}},"done":{done}}}"#)
        };
        let lines = [line("Hel", false), line("lo", false), line("", true)].join("\n");
        let told = |one: &[u8], other: &[u8]| {
            let comparison = compare_documents(one, other, &Rules::strict());
            let shown = comparison.changes.iter().map(|it| format!("{} {}", it.pointer, it.kind.word()));
            (comparison.compared_as, shown.collect::<Vec<_>>())
        };
        let cut = &lines[..lines.len() - 9];
        let ends = |word: &str| (ComparedAs::Message, vec![format!("sse:end {word}")]);
        assert_eq!(told(lines.as_bytes(), cut.as_bytes()), ends("removed"));
        assert_eq!(told(cut.as_bytes(), lines.as_bytes()), ends("added"));
        let other = cut.replace("Hel", "Hal");
        let said = vec!["/message/content changed".to_owned(), "sse:end added".to_owned()];
        assert_eq!(told(other.as_bytes(), lines.as_bytes()), (ComparedAs::Message, said));
        assert!(!told(cut.as_bytes(), other.as_bytes()).1.is_empty());
    }

    #[test]
    fn json_that_is_refused_is_said_to_be_and_why_and_a_byte_order_mark_does_not_matter() {
        let why = |one: &str, other: &str| {
            let comparison = between(one, other, &[]);
            let told = [&comparison.recorded_not_json, &comparison.replayed_not_json];
            assert_eq!(comparison.clone().mirrored().recorded_not_json, comparison.replayed_not_json);
            told.map(|it| it.as_ref().map(ToString::to_string).unwrap_or_default())
        };
        let deep = [&"[".repeat(200), &"]".repeat(200)[..]].concat();
        for (refused, wanted) in [
            ("{\"a\":\"\\ud83d\"}", "not JSON: one half of a surrogate pair at byte 6"),
            ("{\"a\":1,\"a\":2}", "not JSON: the object that begins here has the key \"a\" twice at byte 0"),
            (&deep, "not JSON: more than 128 arrays and objects inside one another at byte 128"),
            ("\u{feff}{\"a\":1,}", "not JSON: unexpected character '}' at byte 10"),
            ("{\"a\":", "not JSON: the document ends inside a value at byte 5"),
        ] {
            assert_eq!(why(refused, "{\"a\":1}"), [wanted, ""]);
            assert_eq!(why("[1]", refused), ["", wanted]);
        }
        assert_eq!(why("[INFO] it began\n", "[INFO] it ended\n"), ["", ""], "a log is no JSON");
        assert!(between("\u{feff}{\"a\":1}", "{\"a\": 1}", &[]).is_equal());
        assert_eq!(between("\u{feff}{\"a\":1}", "{\"a\":2}", &[]).changes[0].pointer, "/a");
        assert!(!between("\u{feff}one", "one", &[]).is_equal(), "of a text it is a part");
    }

    #[test]
    fn html_and_events_that_need_more_memory_than_there_is_are_compared_as_text_which_is_said() {
        let kind = |one: &str, memory: u64| {
            let other = one.replacen(['x', 'w', '1'], "2", 1);
            let comparison = compare_documents_within(one.as_bytes(), other.as_bytes(), &Rules::strict(), memory);
            assert!(!comparison.is_equal());
            (comparison.compared_as, comparison.coarse)
        };
        let tags = format!("<!doctype html><p>{}", "<b>x</b>".repeat(2_000));
        let attributes = format!("<html><p a\"><i{}>w", " a".repeat(2_000));
        for page in [&tags, &attributes] {
            assert_eq!(kind(page, 16 << 20), (ComparedAs::Html, false));
            assert_eq!(kind(page, 1 << 20), (ComparedAs::Text, true));
        }
        let text = format!("<!doctype html><p>{}", "It's a word. ".repeat(100_000));
        assert_eq!(kind(&text, 16 << 20).0, ComparedAs::Html, "words are no attributes");
        let events = "data: 1\n\n".repeat(10_000);
        assert_eq!(kind(&events, 32 << 20), (ComparedAs::Events, false));
        assert_eq!(kind(&events, 1 << 20), (ComparedAs::Text, true));
    }

    #[test]
    fn html_that_is_too_unlike_to_be_aligned_or_too_much_to_be_read_is_compared_more_coarsely_which_is_said() {
        let lists = |begin: usize, count: usize| {
            let items: String = (0..1_500).map(|at| format!("<li>{}", begin + at * 7 % 1_000)).collect();
            format!("<!doctype html>{}", format!("<ul>{items}</ul>").repeat(count))
        };
        let compared = |one: &str, other: &str| {
            let comparison = compare_documents(one.as_bytes(), other.as_bytes(), &Rules::strict());
            assert!(comparison.changes_count() > 0);
            (comparison.compared_as, comparison.coarse)
        };
        assert_eq!(compared(&lists(0, 2), &lists(500, 2)), (ComparedAs::Html, false));
        assert_eq!(compared(&lists(0, 60), &lists(500, 60)), (ComparedAs::Html, true));
        let deep = |text: &str| format!("<html>{}{text}", "<div>".repeat(70));
        assert_eq!(compared(&deep("one"), &deep("two")), (ComparedAs::Text, true));
        let much = |text: &str| format!("<html>{}{text}", "<br>".repeat((1 << 20) + 1));
        assert_eq!(compared(&much("one"), &much("two")), (ComparedAs::Text, true));
    }

    #[test]
    fn a_rule_applies_unless_it_is_limited_to_a_route() {
        assert!(between(r#"{"id":1}"#, r#"{"id":2}"#, &["/id"]).is_equal());
        assert!(!between(r#"{"id":1}"#, r#"{"id":2}"#, &["GET /a /id"]).is_equal());
    }

    #[test]
    fn a_file_that_is_empty_on_one_side_is_added_or_removed_as_a_whole() {
        let change = &between("", "some text", &[]).changes[0];
        assert_eq!((change.kind, change.pointer.as_str()), (crate::ChangeKind::Added, ""));
    }
}
