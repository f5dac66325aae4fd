use exchange::Head;
use proptest::prelude::*;

use super::*;

const JSON: &str = "content-type: application/json";
const EVENTS: &str = "content-type: text/event-stream";
const TEXT: &str = "content-type: text/plain";

/// `{"a":2}` as gzip writes it.
const GZIPPED_A2: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff\xab\x56\x4a\x54\xb2\x32\xaa\x05\0\x6c\xff\x36\x7d\x07\0\0\0";

/// One answer of a story.
#[derive(Debug)]
struct Answer {
    head: Head,
    body: Vec<u8>,
    complete: bool,
}

fn answer(field: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer { head: Head::new(format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n")), body: body.into(), complete: true }
}

fn cut(field: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer { complete: false, ..answer(field, body) }
}

fn output(answer: &Answer) -> Output<'_> {
    Output { head: &answer.head, body: &answer.body, complete: answer.complete, whole: true }
}

fn between(recorded: &Answer, replayed: &Answer, texts: &[&str]) -> Comparison {
    let rules = texts.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap();
    compare_responses(&output(recorded), &output(replayed), &rules, &Route::new("POST", "/tickets"))
}

fn pointers(comparison: &Comparison) -> Vec<String> {
    comparison.changes.iter().map(|change| format!("{} {}", change.kind.word(), change.pointer)).collect()
}

#[test]
fn a_fresh_request_id_is_ignored_and_counted_but_a_changed_answer_is_not() {
    let recorded = answer(JSON, r#"{"id":"req-1","answer":"yes"}"#);
    let only_a_new_id = answer(JSON, r#"{"id":"req-2","answer":"yes"}"#);
    let another_answer = answer(JSON, r#"{"id":"req-2","answer":"no"}"#);
    let comparison = between(&recorded, &only_a_new_id, &["POST /tickets /id"]);
    assert!(comparison.is_equal() && comparison.rules_used.len() == 1);
    assert_eq!(pointers(&between(&recorded, &another_answer, &["/id"])), ["changed /answer"]);
    assert_eq!(pointers(&between(&recorded, &only_a_new_id, &["GET /tickets /id"])), ["changed /id"]);
}

#[test]
fn a_document_in_each_line_is_no_list_to_who_expects_one_document() {
    let (lines, list) = (answer(JSON, "{\"a\":1}\n{\"b\":1}\n"), answer(JSON, r#"[{"a":1},{"b":1}]"#));
    let comparison = between(&lines, &list, &[]);
    assert_eq!(pointers(&comparison), ["type changed "]);
    assert_eq!(comparison.mirrored(), between(&list, &lines, &[]));
    let other = answer(JSON, "{\"a\":1}\n{\"b\":2}\n");
    assert_eq!(pointers(&between(&list, &other, &[])), ["type changed ", "changed /1/b"]);
    assert_eq!(pointers(&between(&lines, &other, &[])), ["changed /1/b"]);
}

#[test]
fn lines_of_json_are_a_list_also_of_one_line_and_where_they_were_cut() {
    const LINES: &str = "content-type: application/x-ndjson";
    let (three, one) = ("{\"id\":1,\"v\":1}\n{\"id\":2,\"v\":2}\n{\"id\":3,\"v\":3}\n", "{\"id\":1,\"v\":1}\n");
    assert_eq!(pointers(&between(&answer(LINES, three), &answer(LINES, one), &[])), ["removed /1", "removed /2"]);
    let fresh = answer(LINES, one.replace(":1,", ":7,"));
    assert!(between(&answer(LINES, one), &fresh, &["/0/id"]).is_equal());
    assert!(between(&answer(LINES, one), &fresh, &["/*/id"]).is_equal());
    // As httpbin sends them.
    let many = |text: &str| answer(JSON, text);
    assert!(between(&many(three), &many(&three.replace(":3,", ":7,")), &["/*/id"]).is_equal());
    let cut_at = |len: usize| cut(LINES, &three[..len]);
    for len in [7, 16, 17, 20, 40, three.len() - 3] {
        let comparison = between(&cut_at(len), &answer(LINES, three), &[]);
        assert!(comparison.is_equal() && comparison.compared_as == ComparedAs::Json, "{len}: {comparison:?}");
        let other = answer(LINES, three.replace("\"id\":1", "\"id\":8"));
        assert_eq!(pointers(&between(&cut_at(len.max(20)), &other, &[]))[0], "changed /0/id");
    }
}

#[test]
fn an_answer_that_is_announced_as_json_and_is_none_says_why() {
    let (fine, error) = (answer(JSON, "{\"a\":1}"), answer(JSON, "<h1>Bad gateway</h1>"));
    let told = |comparison: &Comparison| comparison.replayed_not_json.as_ref().map(ToString::to_string);
    let comparison = between(&fine, &error, &[]);
    assert_eq!(told(&comparison).unwrap(), "not JSON: unexpected character '<' at byte 0");
    assert_eq!(comparison.recorded_not_json, None);
    assert_eq!(told(&between(&fine, &answer(TEXT, "{\"a\":1,}"), &[])), None, "it is announced as text");
    assert!(between(&fine, &answer(JSON, "\u{feff}{\"a\":1}"), &[]).is_equal());
    // Refused on both sides, and only a mark apart: it is no text without it.
    let (one, other) = (answer(JSON, "\u{feff}{\"a\":1,}"), answer(JSON, "{\"a\":1,}"));
    assert!(!between(&one, &other, &[]).is_equal());
}

#[test]
fn white_space_in_json_is_no_difference_though_the_bytes_and_their_length_differ() {
    let recorded = answer(&format!("{JSON}\r\ncontent-length: 7"), r#"{"a":1}"#);
    let replayed = answer(&format!("{JSON}\r\ncontent-length: 10"), "{ \"a\" : 1}");
    assert!(between(&recorded, &replayed, &[]).is_equal());
}

#[test]
fn a_body_is_compared_decoded_and_its_encoding_as_a_header_field() {
    let replayed = answer(&format!("{JSON}\r\ncontent-encoding: gzip"), GZIPPED_A2);
    let comparison = between(&answer(JSON, r#"{"a":1}"#), &replayed, &[]);
    assert_eq!(pointers(&comparison), ["added header:content-encoding", "changed /a"]);
}

#[test]
fn a_body_that_does_not_decode_is_compared_as_it_was_sent() {
    let broken = |body: &str| answer(&format!("{JSON}\r\ncontent-encoding: gzip"), body);
    let comparison = between(&broken("no gzip"), &broken("no gzIp"), &[]);
    assert_eq!((pointers(&comparison), comparison.compared_as), (vec!["changed ".to_owned()], ComparedAs::Bytes));
    assert_eq!(comparison.changes[0].text.as_ref().unwrap().first_difference, 5);
}

#[test]
fn json_where_a_text_stands_now_is_another_type_and_an_empty_body_is_a_removed_one() {
    let recorded = answer(JSON, r#"{"a":1}"#);
    assert_eq!(pointers(&between(&recorded, &answer(JSON, "Internal Server Error"), &[])), ["type changed "]);
    assert_eq!(pointers(&between(&recorded, &answer(JSON, ""), &[])), ["removed "]);
    assert_eq!(pointers(&between(&recorded, &answer("x: y", ""), &["header:x", "header:content-type"])), ["removed "]);
}

#[test]
fn an_answer_without_content_type_that_is_json_is_compared_as_json() {
    let comparison = between(&answer("x: y", r#"{"a":1}"#), &answer("x: y", r#"{ "a":2}"#), &[]);
    assert_eq!((pointers(&comparison), comparison.compared_as), (vec!["changed /a".to_owned()], ComparedAs::Json));
}

#[test]
fn another_status_is_a_change_that_a_rule_can_hide() {
    let failed = Answer { head: Head::new(format!("HTTP/1.1 500 Oh\r\n{TEXT}\r\n\r\n")), ..answer(TEXT, "x") };
    assert_eq!(pointers(&between(&answer(TEXT, "x"), &failed, &[])), ["changed status"]);
    assert_eq!(between(&answer(TEXT, "x"), &failed, &["status"]).rules_used[0].count, 1);
}

#[test]
fn of_json_that_was_cut_in_production_the_recorded_part_is_compared_and_that_is_said() {
    let whole = answer(JSON, r#"{"id":2,"list":[{"t":"one"},{"t":"two and more"}],"end":true}"#);
    let recorded = |body: &str| cut(JSON, body);
    let comparison = between(&recorded(r#"{"id":1,"list":[{"t":"one"},{"t":"two a"#), &whole, &["/id"]);
    assert!(comparison.is_equal() && comparison.recorded_part_only && !comparison.replayed_part_only);
    let other = between(&recorded(r#"{"id":1,"list":[{"t":"ONE"},{"t":"two b"#), &whole, &["/id"]);
    assert_eq!(pointers(&other), ["changed /list/0/t", "changed /list/1/t"]);
    assert!(between(&recorded(r#"{"#), &whole, &[]).is_equal());
    assert!(between(&recorded(""), &whole, &[]).is_equal());
}

#[test]
fn of_an_answer_that_is_cut_now_the_part_is_compared_with_the_recorded_beginning() {
    let comparison = between(&answer(TEXT, "all of it"), &cut(TEXT, "all"), &[]);
    assert!(comparison.is_equal() && comparison.replayed_part_only && !comparison.recorded_part_only);
    let other = between(&answer(JSON, r#"{"a":1,"b":2}"#), &cut(JSON, r#"{"a":7,"#), &[]);
    let change = &other.changes[0];
    assert_eq!(
        (change.recorded.as_ref().unwrap().text.as_str(), change.replayed.as_ref().unwrap().text.as_str()),
        ("1", "7")
    );
}

#[test]
fn an_answer_that_is_cut_even_earlier_than_in_production_is_no_equal_part() {
    assert_eq!(pointers(&between(&cut(TEXT, "all of"), &cut(TEXT, "all"), &[])), ["changed "]);
    assert!(between(&cut(TEXT, "all"), &cut(TEXT, "all of"), &[]).is_equal());
    assert_eq!(
        pointers(&between(&cut(JSON, r#"{"a":1,"b":"xyz"#), &cut(JSON, r#"{"a":1,"b":"xy"#), &[])),
        ["changed /b"]
    );
    assert_eq!(
        pointers(&between(&cut(EVENTS, "data: 1\n\ndata: 2\n\n"), &cut(EVENTS, "data: 1\n\n"), &[])),
        ["removed sse:"]
    );
}

#[test]
fn of_an_answer_that_is_not_kept_whole_now_the_kept_part_is_compared() {
    let (recorded, replayed) = (cut(TEXT, "all of it"), answer(TEXT, "all"));
    let kept = |body: &str| {
        let answer = answer(TEXT, body);
        let replayed = Output { whole: false, ..output(&answer) };
        compare_responses(&output(&recorded), &replayed, &Rules::strict(), &Route::default()).is_equal()
    };
    assert!(kept("all") && !kept("alf"));
    assert!(!between(&recorded, &replayed, &[]).is_equal(), "this one ended there");
}

#[test]
fn of_events_that_were_cut_in_production_those_that_came_are_compared_the_last_as_far_as_it_goes() {
    let whole = answer(EVENTS, "data: {\"t\":\"a\"}\n\ndata: {\"t\":\"be\",\"n\":1}\n\ndata: [DONE]\n\n");
    let recorded = |body: &str| cut(EVENTS, body);
    assert!(between(&recorded("data: {\"t\":\"a\"}\n\ndata: {\"t\":\"b"), &whole, &[]).is_equal());
    assert!(between(&recorded("data: {\"t\":\"a\"}\n\nda"), &whole, &[]).is_equal());
    let other = between(&recorded("data: {\"t\":\"a\"}\n\ndata: {\"t\":\"x"), &whole, &[]);
    assert_eq!((pointers(&other), other.changes[0].event), (vec!["changed sse:/t".to_owned()], Some(1)));
}

#[test]
fn a_character_that_was_cut_is_no_difference() {
    let body = "é".as_bytes();
    assert!(between(&cut(TEXT, &body[..1]), &answer(TEXT, "é"), &[]).is_equal());
    assert!(between(&cut(TEXT, "ab"), &answer(TEXT, "é"), &[]).changes_count() > 0);
}

#[test]
fn a_body_too_long_to_read_is_compared_as_bytes_and_a_difference_says_that_it_is_coarse() {
    let long = |end: &str| answer(JSON, format!("[\"{}\",{end}]", "x".repeat(BODY_BYTES_MAX as usize)));
    let comparison = between(&long("1"), &long("2"), &[]);
    assert!(comparison.coarse && comparison.compared_as == ComparedAs::Bytes);
    let equal = between(&long("1"), &long("1"), &[]);
    assert!(equal.is_equal() && !equal.coarse);
}

#[test]
fn the_answers_of_a_dependency_have_rules_of_their_own() {
    let rules = Rules::strict().ignoring("dep:llm:response:/id").unwrap().ignoring("/model").unwrap();
    let (recorded, replayed) = (answer(JSON, r#"{"id":1,"model":"a"}"#), answer(JSON, r#"{"id":2,"model":"b"}"#));
    let comparison = compare_call_responses(&output(&recorded), &output(&replayed), &rules, "llm");
    assert_eq!(pointers(&comparison), ["changed /model"]);
    assert_eq!(comparison.rules_used[0].rule, "dep:llm:response:/id");
}

#[test]
fn what_a_comparison_found_is_read_back_from_its_json() {
    let comparison = between(&answer(JSON, r#"{"a":"x","b":1}"#), &answer(JSON, r#"{"a":"y","b":2}"#), &["/b"]);
    let written = serde_json::to_string(&comparison).unwrap();
    insta::assert_snapshot!(written, @r#"{"changes":[{"pointer":"/a","kind":"changed","recorded":{"text":"\"x\"","len":3},"replayed":{"text":"\"y\"","len":3}}],"rules_used":[{"rule":"/b","pointer":"/b","count":1}],"compared_as":"json"}"#);
    assert_eq!(serde_json::from_str::<Comparison>(&written).unwrap(), comparison);
}

/// Bodies that look like what services send, and some that do not.
fn any_answer() -> impl Strategy<Value = Answer> {
    let json = crate::json::any_value().prop_map(|value| value.to_compact_text());
    let events = "((data|id|event|retry|x): (\\{\"a\":[12]\\}|a|b)?\n|\n|:c\n){0,12}";
    let body = prop_oneof![json, events, "[ab\n ]{0,30}"];
    let field = prop_oneof![Just(JSON), Just(EVENTS), Just(TEXT), Just("x-a: 1"), Just("content-encoding: gzip")];
    (field, body).prop_map(|(field, body)| answer(field, body))
}

proptest! {
    #[test]
    fn an_answer_is_equal_to_itself(one in any_answer()) {
        let comparison = between(&one, &one, &["/a", "sse:/a"]);
        prop_assert!(comparison.is_equal() && comparison.rules_used.is_empty());
    }

    #[test]
    fn swapping_sides_swaps_the_comparison(one in any_answer(), other in any_answer()) {
        prop_assert_eq!(between(&one, &other, &[]).mirrored(), between(&other, &one, &[]));
    }

    /// Two views of one thing: the bytes that count are equal exactly when nothing differs.
    #[test]
    fn outcomes_are_equal_exactly_when_nothing_differs(one in any_answer(), other in any_answer()) {
        let (rules, route) = (Rules::strict().ignoring("/a").unwrap().ignoring("sse:/a").unwrap(), Route::default());
        let outcome = |answer: &Answer| crate::outcome_bytes(&output(answer), &rules, &route);
        let comparison = compare_responses(&output(&one), &output(&other), &rules, &route);
        prop_assert_eq!(outcome(&one) == outcome(&other), comparison.is_equal());
    }

    #[test]
    fn anything_at_all_is_compared_without_panic(
        fields in prop::collection::vec(prop_oneof![Just(JSON), Just(EVENTS), Just("content-encoding: br")], 2),
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 2),
        complete in any::<(bool, bool)>(),
    ) {
        let one = Answer { complete: complete.0, ..answer(fields[0], bodies[0].clone()) };
        let other = Answer { complete: complete.1, ..answer(fields[1], bodies[1].clone()) };
        between(&one, &other, &["/**/a", "sse:/0"]);
    }
}
