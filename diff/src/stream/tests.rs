use content::sse::parse;

use super::*;
use crate::{ComparedAs, Comparison, Route, Rules};

fn between(recorded: &str, replayed: &str, texts: &[&str]) -> Comparison {
    let rules = texts.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap();
    let mut findings = Findings::new();
    let active = rules.for_response(&Route::default());
    compare(&parse(recorded.as_bytes()), &parse(replayed.as_bytes()), false, &active, &mut findings);
    findings.into_comparison(&rules, ComparedAs::Events)
}

fn told(recorded: &str, replayed: &str, rules: &[&str]) -> String {
    let lines = between(recorded, replayed, rules).changes.into_iter().map(|change| {
        let shown = |shown: Option<Shown>| shown.map_or("-".to_owned(), |shown| shown.text);
        let event = change.event.unwrap();
        let moved = change.replayed_event.map(|event| format!(" -> {event}")).unwrap_or_default();
        format!(
            "{} {} ({event}{moved}): {} | {}",
            change.kind.word(),
            change.pointer,
            shown(change.recorded),
            shown(change.replayed)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn split_points_comments_line_ends_and_the_order_of_members_do_not_matter() {
    let recorded = "event: delta\ndata: {\"a\":1,\"b\":2}\n\ndata: x\ndata: y\n\n";
    let replayed = ": ping\r\n\r\ndata: {\"b\":2,\"a\":1}\r\nevent:delta\r\n\r\n:\r\ndata:x\r\ndata:y\r\n\r\n";
    assert_eq!(told(recorded, replayed, &[]), "");
}

#[test]
fn a_field_inside_an_events_data_has_its_pointer_and_the_events_number() {
    let recorded = "data: {\"id\":1,\"d\":{\"t\":\"a\"}}\n\ndata: {\"id\":1,\"d\":{\"t\":\"b\"}}\n\ndata: [DONE]\n\n";
    let replayed = "data: {\"id\":2,\"d\":{\"t\":\"a\"}}\n\ndata: {\"id\":2,\"d\":{\"t\":\"c\"}}\n\ndata: [DONE]\n\n";
    assert_eq!(told(recorded, replayed, &["sse:/id"]), r#"changed sse:/d/t (1): "b" | "c""#);
    assert_eq!(between(recorded, replayed, &["sse:/id"]).rules_used[0].count, 2);
}

#[test]
fn one_event_put_in_is_one_added_though_each_has_another_id() {
    let event = |id: u8, text: &str| format!("data: {{\"id\":{id},\"t\":\"{text}\"}}\n\n");
    let recorded = [event(1, "a"), event(1, "b"), event(1, "c")].concat();
    let replayed = [event(2, "a"), event(2, "new"), event(2, "b"), event(2, "C")].concat();
    insta::assert_snapshot!(told(&recorded, &replayed, &["sse:/id"]), @r#"
    added sse: (1): - | {"id":2,"t":"new"}
    changed sse:/t (2 -> 3): "c" | "C"
    "#);
}

#[test]
fn the_other_fields_of_an_event_are_compared_and_have_rules_of_their_own() {
    let recorded = "event: a\nid: 1\nretry: 5\nx: y\ndata: d\n\n";
    let replayed = "event: b\nid: 2\nretry: 6\nx: z\ndata: d\n\n";
    insta::assert_snapshot!(told(recorded, replayed, &["sse:id"]), @r"
    changed sse:event (0): a | b
    changed sse:retry (0): 5 | 6
    changed sse:others (0): x: y | x: z
    ");
    assert_eq!(told("event: message\ndata: d\n\n", "data: d\n\n", &[]), "", "that is what no type means");
}

#[test]
fn data_that_is_json_on_one_side_only_is_another_type_and_all_data_can_be_ignored() {
    assert_eq!(told("data: {}\n\n", "data: oops\n\n", &[]), "type changed sse: (0): {} | oops");
    assert_eq!(told("data: a\n\ndata: 1\n\n", "data: b\n\ndata: 2\n\n", &["sse:"]), "");
    assert_eq!(told("data: a\n\n", "event: x\n\n", &["sse:event"]), "removed sse: (0): a | -");
}

#[test]
fn an_event_that_no_blank_line_ends_is_not_the_same_as_one_that_is_ended() {
    assert_eq!(told("data: a\n\n", "data: a\n", &[]), "changed sse: (0): a | (no blank line ends it) a");
}

#[test]
fn many_events_of_many_values_are_read_as_json_only_while_memory_allows() {
    let mut left = 3;
    let stream = parse(b"data: [1,2]\n\ndata: [1,2]\n\n");
    let kinds = stream.events.iter().map(|event| matches!(Data::of(event, false, &mut left), Data::Json(..)));
    assert_eq!(kinds.collect::<Vec<_>>(), [true, false]);
}
