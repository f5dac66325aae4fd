//! A body that is read beside another one, and what they have in common only once, is compared as if it had been read by itself.

use std::sync::Arc;

use content::json;
use exchange::Head;
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    compare_documents,
    json::any_value,
    structured::Reading,
    view::{Written, has_lines},
};

const VALUES_MAX: usize = 16 << 20;

/// What edits put into a document: pieces of JSON, and what breaks it.
const PIECES: [&str; 26] = [
    "",
    "",
    "1",
    "1.0",
    "-0",
    "0",
    "e5",
    "true",
    "null",
    "\"a\"",
    "\"\\u0061\"",
    "\\n",
    "\\ud800",
    "\"id\":3,",
    "{\"id\":1},",
    "[]",
    "{}",
    ",",
    ":",
    "\"",
    "{",
    "]",
    " ",
    "\n\t",
    "é",
    "\u{1}",
];

/// Records as an API lists them: some of them have the same id, some escapes in their keys.
fn records() -> impl Strategy<Value = String> {
    let record = (0_u8..6, 0_u8..3, prop::bool::weighted(0.2), any_value()).prop_map(|(id, number, is_escaped, value)| {
        let key = if is_escaped { "\\u0069d" } else { "id" };
        let value = value.to_compact_text();
        format!(r#"{{"{key}":{id},"v":{number},"text":"some \"words\" in a row, and a few more of them to be long: {id}","value":{value}}}"#)
    });
    (prop::collection::vec(record, 0..8), any::<bool>()).prop_map(|(records, is_listed)| {
        let records = format!("[{}]", records.join(", "));
        if is_listed {
            format!(r#"{{"object":"list","draft":false,"items":{records},"has_more":null}}"#)
        } else {
            records
        }
    })
}

/// Two documents: the other is the one after some edits, or has nothing to do with it.
fn two() -> impl Strategy<Value = (String, String)> {
    let document = || prop_oneof![any_value().prop_map(|value| value.to_compact_text()), records()];
    let edit = (any::<Index>(), 0_usize..12, prop::sample::select(&PIECES[..]));
    let moved = prop::option::weighted(0.3, (any::<Index>(), any::<Index>(), any::<Index>()));
    let edited = (document(), prop::collection::vec(edit, 0..4), moved).prop_map(|(one, edits, moved)| {
        let mut other = one.clone();
        for (at, len, piece) in edits {
            let at = other.floor_char_boundary(at.index(other.len() + 1));
            let end = other.floor_char_boundary((at + len).min(other.len()));
            // Half of the edits only put something in.
            let end = if len % 2 == 0 { at } else { end };
            other.replace_range(at..end, piece);
        }
        if let Some((at, end, to)) = moved {
            let within = |index: Index, text: &str| text.floor_char_boundary(index.index(text.len() + 1));
            let (at, end) = (within(at, &other), within(end, &other));
            let piece: String = other.drain(at.min(end)..at.max(end)).collect();
            let to = within(to, &other);
            other.insert_str(to, &piece);
        }
        (one, other)
    });
    prop_oneof![8 => edited, 1 => (document(), document())]
}

fn rules() -> impl Strategy<Value = Rules> {
    prop::sample::select(vec!["", "/**/v", "/items/*/id", "/0/id", "/0", "tolerance /**=abs:1", "/**/value/**"])
        .prop_map(|text| if text.is_empty() { Rules::strict() } else { Rules::strict().ignoring(text).unwrap() })
}

/// Compares what was read one by one.
fn plainly(recorded: &Output<'_>, replayed: &Output<'_>, rules: &Rules) -> Comparison {
    let (mut findings, active) = (Findings::new(), rules.for_response(&Route::default()));
    let [one, other] = [recorded, replayed].map(|output| View::of(output, Reading::default()));
    let mut views = Views { one, other, cut: Cut { recorded: recorded.is_part(), both: false } };
    views.note_not_json(recorded, replayed, &mut findings);
    views.read_alike(recorded, replayed);
    let compared_as = views.compare(&active, &mut findings);
    let comparison = findings.into_comparison(rules, compared_as);
    Comparison { recorded_part_only: recorded.is_part(), ..comparison }
}

/// The same of two files, where both are JSON.
fn documents_plainly(recorded: &str, replayed: &str, rules: &Rules) -> Option<Comparison> {
    let one = View::Json(Arc::new(json::parse_tree(recorded.as_bytes(), VALUES_MAX).ok()?), Written::WHOLE);
    let other = View::Json(Arc::new(json::parse_tree(replayed.as_bytes(), VALUES_MAX).ok()?), Written::WHOLE);
    let mut findings = Findings::new();
    let compared_as = Views { one, other, cut: Cut::default() }.compare(&rules.for_document(), &mut findings);
    Some(findings.into_comparison(rules, compared_as))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn answers_read_side_by_side_differ_in_the_same_places_as_those_read_one_by_one(
        (one, other) in two(), rules in rules(), is_part in prop::bool::weighted(0.2),
    ) {
        prop_assume!(one != other);
        let head = Head::new("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_owned());
        let recorded = Output { head: &head, body: one.as_bytes(), complete: !is_part, whole: true };
        let replayed = Output { head: &head, body: other.as_bytes(), complete: true, whole: true };
        let comparison = compare_responses(&recorded, &replayed, &rules, &Route::default());
        prop_assert_eq!(comparison, plainly(&recorded, &replayed, &rules));
    }

    #[test]
    fn files_read_side_by_side_differ_in_the_same_places_as_those_read_one_by_one((one, other) in two(), rules in rules()) {
        prop_assume!(one != other);
        let comparison = compare_documents(one.as_bytes(), other.as_bytes(), &rules);
        match documents_plainly(&one, &other, &rules) {
            Some(plain) => prop_assert_eq!(comparison, plain),
            None if has_lines(one.as_bytes()) || has_lines(other.as_bytes()) => {}
            None => prop_assert_ne!(comparison.compared_as, ComparedAs::Json),
        }
    }
}
