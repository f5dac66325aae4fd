mod slowly;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn fault_of(document: &str) -> (usize, Fault) {
    let error = parse(document.as_bytes()).unwrap_err();
    (error.offset, error.what)
}

fn canonical(document: &str) -> String {
    let mut out = Vec::new();
    parse(document.as_bytes()).unwrap().write_canonical(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn order_white_space_and_escapes_do_not_reach_the_canonical_form() {
    let one = r#"{"b": [1, 2.50, "\u0061\/\u00e9\ud83d\ude00"], "a" : {"é":null,"z":true}}"#;
    let other = "{\"a\":{\"z\":true,\t\"\\u00e9\":null},\r\n\"b\":[1,2.50,\"a/é😀\"]}";
    assert_eq!(canonical(one), canonical(other));
    assert_eq!(canonical(one), r#"{"a":{"z":true,"é":null},"b":[1,2.50,"a/é😀"]}"#);
}

#[test]
fn numbers_stay_as_they_were_written() {
    let numbers = "[1.0,1.00,1e2,1E+2,-0,0.1,123456789012345678901234567890]";
    assert_eq!(canonical(numbers), numbers);
    assert_ne!(parse(b"1.0").unwrap(), parse(b"1.00").unwrap());
}

#[test]
fn control_characters_get_their_shortest_escape_and_nothing_else_is_escaped() {
    assert_eq!(
        canonical(r#""\u0008\u0009\u000A\u000c\u000d\u0000\u001F\u007f\u0022\u005c\/""#),
        "\"\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}\\\"\\\\/\""
    );
}

#[test]
fn the_compact_form_keeps_the_documents_order() {
    assert_eq!(parse(br#" { "b" : 1 , "a" : [ ] } "#).unwrap().to_compact_text(), r#"{"b":1,"a":[]}"#);
}

#[test]
fn an_error_names_the_byte_and_what_is_wrong_there() {
    assert_eq!(fault_of(""), (0, Fault::UnexpectedEnd));
    assert_eq!(fault_of("[1,]"), (3, Fault::Unexpected(']')));
    assert_eq!(fault_of("{\"a\" 1}"), (5, Fault::Unexpected('1')));
    assert_eq!(fault_of("[1 é"), (3, Fault::Unexpected('é')));
    assert_eq!(fault_of("nul"), (3, Fault::UnexpectedEnd));
    assert_eq!(fault_of("1 2"), (2, Fault::Trailing));
    assert_eq!(fault_of("01"), (0, Fault::BadNumber));
    assert_eq!(fault_of("-"), (1, Fault::UnexpectedEnd));
    assert_eq!(fault_of("1.e3"), (2, Fault::BadNumber));
    assert_eq!(fault_of("\"a\nb\""), (2, Fault::ControlCharacter));
    assert_eq!(fault_of(r#""\x""#), (1, Fault::BadEscape));
    assert_eq!(fault_of(r#""\u12g4""#), (5, Fault::BadEscape));
    assert_eq!(fault_of(r#""\u12"#), (5, Fault::UnexpectedEnd));
    assert_eq!(fault_of("\u{feff}1"), (0, Fault::ByteOrderMark));
    assert_eq!(parse(b"\"\xff\"").unwrap_err(), ParseError { offset: 1, what: Fault::NotUtf8 });
    assert_eq!(parse(b"[1,]").unwrap_err().to_string(), "byte 3: unexpected character ']'");
}

#[test]
fn half_a_surrogate_pair_is_refused_wherever_it_stands() {
    for document in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\ud800\n""#] {
        assert_eq!(fault_of(document), (1, Fault::LoneSurrogate), "{document}");
    }
}

#[test]
fn a_key_given_twice_is_refused_in_small_and_large_objects_however_it_is_escaped() {
    assert_eq!(fault_of(r#"[{"a":1,"\u0061":1}]"#), (1, Fault::DuplicateKey("a".to_owned())));
    // In an object that has the keys of the one before it, and one of them once more.
    for (twice, key) in
        [(r#"{"a":1,"bcdefghij":2,"a":3}"#, "a"), (r#"{"a":1,"b":2,"b":3}"#, "b"), (r#"{"a":1,"\u0061":3}"#, "a")]
    {
        for before in [r#"{"a":0,"bcdefghij":[{}]}"#, r#"{"a":0,"b":0}"#, r#"{"a":0}"#, "{}", "[]", "1"] {
            let offset = before.len() + 2;
            assert_eq!(fault_of(&format!("[{before},{twice}]")), (offset, Fault::DuplicateKey(key.to_owned())));
        }
    }
    let members: Vec<String> = (0..1000).chain([500]).map(|key| format!("\"{key}\":0")).collect();
    assert_eq!(fault_of(&format!("{{{}}}", members.join(","))), (0, Fault::DuplicateKey("500".to_owned())));
}

#[test]
fn depth_is_bounded_and_the_limit_itself_is_allowed() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(fault_of(&nested(DEPTH_MAX + 1)), (DEPTH_MAX, Fault::TooDeep));
    assert_eq!(fault_of(&"[".repeat(1_000_000)), (DEPTH_MAX, Fault::TooDeep));
    assert_eq!(fault_of(&"{\"a\":".repeat(1_000_000)), (DEPTH_MAX * 5, Fault::TooDeep));
}

#[test]
fn values_are_counted_where_the_caller_limits_them() {
    assert!(parse_limited(br#"[1,{"a":2}]"#, 4).is_ok());
    assert_eq!(parse_limited(br#"[1,{"a":2}]"#, 3).unwrap_err().what, Fault::TooManyValues);
}

#[test]
fn a_member_is_found_by_its_key() {
    let value = parse(br#"{"a":{"b":"c"}}"#).unwrap();
    assert_eq!(value.get("a").and_then(|a| a.get("b")).and_then(Value::as_str), Some("c"));
    assert_eq!(value.get("b"), None);
    assert_eq!(value.kind_name(), "object");
}

/// Any value, built by hand, keys made unique.
fn any_value() -> impl Strategy<Value = Value> {
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(Value::Number),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 64, 12, |inner| {
        let members = proptest::collection::btree_map(any::<String>(), inner.clone(), 0..12);
        prop_oneof![
            proptest::collection::vec(inner, 0..12).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(members.into_iter().rev().collect())),
        ]
    })
}

/// Text that is almost JSON: the tokens of the grammar and of its mistakes, in any order.
fn almost_json() -> impl Strategy<Value = String> {
    let token = proptest::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "1",
        "-",
        "0",
        ".5",
        "e3",
        "E+2",
        "true",
        "nul",
        "null",
        " ",
        "\n",
        "\"",
        "\\u0041",
        "\\ud83d\\ude00",
        "\\ud800",
        "\\q",
        "é",
        "\u{1}",
        "\u{c}",
        "1.5",
        "[]",
        "{}",
        "\"a\":1",
    ]);
    proptest::collection::vec(token, 0..8).prop_map(|tokens| tokens.concat())
}

fn agrees_with_serde_json(document: &[u8]) {
    let ours = parse(document);
    let theirs = serde_json::from_slice::<serde_json::Value>(document);
    match (&ours, &theirs) {
        (Ok(value), Ok(theirs)) => {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&value.to_compact_text()).unwrap(), *theirs);
        }
        (Err(_), Err(_)) => {}
        // What we refuse and serde_json takes, and the other way round: both are documented.
        (Err(error), Ok(_)) => assert!(matches!(error.what, Fault::DuplicateKey(_)), "{document:?}: {error}"),
        (Ok(_), Err(error)) => assert!(error.to_string().contains("number out of range"), "{document:?}: {error}"),
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_it_was(value in any_value()) {
        prop_assert_eq!(parse(value.to_compact_text().as_bytes()).unwrap(), value);
    }

    #[test]
    fn the_canonical_form_is_its_own_canonical_form(value in any_value()) {
        let mut once = Vec::new();
        value.write_canonical(&mut once);
        let mut twice = Vec::new();
        parse(&once).unwrap().write_canonical(&mut twice);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn documents_are_accepted_and_refused_as_serde_json_does(value in any_value()) {
        agrees_with_serde_json(value.to_compact_text().as_bytes());
    }

    #[test]
    fn what_is_almost_json_is_accepted_and_refused_as_serde_json_does(document in almost_json()) {
        agrees_with_serde_json(document.as_bytes());
    }

    #[test]
    fn rows_are_accepted_and_refused_as_serde_json_does(document in rows()) {
        agrees_with_serde_json(document.as_bytes());
        // Each by itself has nothing before it that it may be like.
        if let Ok(tree) = parse_tree(document.as_bytes(), usize::MAX) {
            for element in tree.root().elements() {
                let alone = parse_tree(element.raw().as_bytes(), usize::MAX).unwrap();
                prop_assert_eq!(told_of(element), told_of(alone.root()));
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_are_accepted_and_refused_as_serde_json_does(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
        agrees_with_serde_json(&bytes);
    }
}

/// Rows as lists have them: objects with the same keys, one of which may go, stand elsewhere or come twice; and a byte of the
/// text that may be another one.
fn rows() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "a",
        "b",
        "id",
        "finish_reason",
        "a key of more bytes than one step",
        "\\u0061",
        "é",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "-0.5e3",
        "null",
        "true",
        "\"\"",
        "\"a \\\"b\\\" and some more of it\"",
        "[{\"a\":1},{\"a\":2}]",
        "{\"id\":{}}",
        "[ ]",
    ]);
    let space = prop::sample::select(vec!["", " ", "\n  "]);
    let change = (0_usize..6, 0_usize..6, 0_usize..6);
    (
        prop::collection::btree_set(key, 0..5),
        prop::collection::vec(prop::collection::vec(value, 5), 0..6),
        prop::collection::vec(change, 6),
        (space.clone(), space),
        prop::option::of((
            any::<prop::sample::Index>(),
            prop::sample::select(vec![" ", ",", ":", "\"", "}", "]", "0", ""]),
        )),
    )
        .prop_map(|(keys, rows, changes, (space, other_space), broken)| {
            let keys: Vec<_> = keys.into_iter().collect();
            let rows = rows.iter().zip(changes).map(|(values, (kind, at, other))| {
                let mut keys = keys.clone();
                if !keys.is_empty() {
                    let (at, other) = (at % keys.len(), other % keys.len());
                    match kind {
                        0 => drop(keys.remove(at)),
                        1 => keys.swap(at, other),
                        2 => keys[at] = keys[other],
                        3 => keys.insert(at, "more"),
                        _ => {}
                    }
                }
                let members = keys.iter().zip(values.iter().cycle());
                let members: Vec<_> =
                    members.map(|(key, value)| format!("{space}\"{key}\":{other_space}{value}")).collect();
                format!("{{{}}}", members.join(","))
            });
            let mut text = format!("[{}]", rows.collect::<Vec<_>>().join(&format!(",{space}")));
            if let Some((at, byte)) = broken {
                let at = at.index(text.len());
                if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                    text.replace_range(at..=at, byte);
                }
            }
            text
        })
}

/// All that a document has: how many entries, its text, its value, and each value as it is written.
fn told(tree: &Tree<'_>) -> (usize, String, Value, Vec<String>) {
    (tree.len(), tree.root().raw().to_owned(), tree.root().to_value(), told_of(tree.root()))
}

fn told_of(node: Node<'_>) -> Vec<String> {
    fn written(node: Node<'_>, all: &mut Vec<String>) {
        all.push(format!("{} {:?}", node.raw(), node.text()));
        node.elements().for_each(|element| written(element, all));
        node.members().for_each(|(key, value)| {
            all.push(key.to_owned());
            written(value, all);
        });
    }
    let mut all = Vec::new();
    written(node, &mut all);
    all
}

fn numbered(node: Node<'_>, numbers: &mut Vec<u64>) {
    numbers.push(node.number());
    node.elements().for_each(|element| numbered(element, numbers));
    node.members().for_each(|(_, value)| numbered(value, numbers));
}

/// Two documents, the other made of pieces of the one.
fn two_alike() -> impl proptest::strategy::Strategy<Value = (String, String)> {
    use proptest::prelude::*;

    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,2})(\\.[0-9]{1,2})?",
        "\"[ab]{0,4}(\\\\n|\\\\u0041)?[ab]{0,4}\"",
    ];
    let value = scalar.prop_recursive(3, 24, 5, |below| {
        let member = ("\"[a-e]{1,2}(\\\\t)?\"", below.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        prop_oneof![
            prop::collection::vec(below, 0..5).prop_map(|them| format!("[{}]", them.join(","))),
            prop::collection::vec(member, 0..5).prop_map(|them| format!("{{{}}}", them.join(", "))),
        ]
    });
    (value.clone(), value, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(one, other, at, end, is_other)| {
            let (at, end) = (at.index(one.len() + 1), end.index(one.len() + 1));
            let cut = if is_other { other } else { format!("{}{}{}", &one[..at.min(end)], other, &one[at.max(end)..]) };
            (one, cut)
        },
    )
}

proptest::proptest! {
    #[test]
    fn what_is_taken_over_from_a_document_alike_is_what_would_have_been_read((one, other) in two_alike(), values_max in 0_usize..40) {
        if let Ok(like) = parse_tree(one.as_bytes(), usize::MAX).map(Arc::new) {
            let read = parse_tree(other.as_bytes(), values_max);
            let taken = parse_tree_like(other.as_bytes(), values_max, &like);
            let owned = parse_tree_owned(other.clone(), values_max, Some(&like)).map_err(|(error, text)| {
                assert_eq!(text, other, "the text comes back");
                error
            });
            proptest::prop_assert_eq!(owned.as_ref().map(told), taken.as_ref().map(told));
            proptest::prop_assert_eq!(taken.as_ref().ok().map(told), read.as_ref().ok().map(told));
            if let Ok(taken) = &taken {
                let mut numbers = Vec::new();
                numbered(taken.root(), &mut numbers);
                let count = numbers.len();
                numbers.sort_unstable();
                numbers.dedup();
                proptest::prop_assert_eq!(numbers.len(), count, "each value has its own number");
                // What was taken over is no document to take over from.
                let again = parse_tree_like(one.as_bytes(), usize::MAX, &Arc::new(taken.clone())).unwrap();
                proptest::prop_assert_eq!(told(&again), told(&like));
            }
        }
    }
}

/// It would take hours to look through the long key for each of the others.
#[test]
fn many_keys_are_looked_for_beside_a_long_one_with_escapes() {
    let one = format!(r#"{{"a":1,"\n{}":1}}"#, "x".repeat(4 << 20));
    let members: Vec<String> = (0..300_000).map(|number| format!("\"q{number}\":0")).collect();
    let other = format!("{{{}}}", members.join(","));
    let like = parse_tree(one.as_bytes(), usize::MAX).map(Arc::new).unwrap();
    let taken = parse_tree_like(other.as_bytes(), usize::MAX, &like).unwrap();
    assert_eq!(told(&taken), told(&parse_tree(other.as_bytes(), usize::MAX).unwrap()));
}
