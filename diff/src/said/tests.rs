use exchange::Head;

use crate::{ComparedAs, Comparison, Output, Route, Rules, compare_responses, outcome_bytes};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

fn compared(recorded: (&str, &str), replayed: (&str, &str), rules: &[&str]) -> Comparison {
    let rules = rules.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap();
    let head = |kind: &str| Head::new(format!("HTTP/1.1 200 OK\r\nx-kind: {kind}\r\ncontent-type: {kind}\r\n\r\n"));
    let (one, other) = (head(recorded.0), head(replayed.0));
    let output = |head, body: &'static str| Output { head, body: body.as_bytes(), complete: true, whole: true };
    let leak = |body: &str| -> &'static str { body.to_owned().leak() };
    let (one, other) = (output(&one, leak(recorded.1)), output(&other, leak(replayed.1)));
    let comparison = compare_responses(&one, &other, &rules, &Route::default());
    let outcomes = [one, other].map(|output| outcome_bytes(&output, &rules, &Route::default()));
    if recorded.0 == replayed.0 {
        assert_eq!(comparison.is_equal(), outcomes[0] == outcomes[1], "{comparison:?}");
    }
    comparison
}

fn told(comparison: &Comparison) -> Vec<String> {
    let changes = comparison.changes.iter().filter(|change| !change.pointer.starts_with("header:"));
    changes.map(|change| format!("{} {}", change.kind.word(), change.pointer)).collect()
}

fn chunks(id: &str, pieces: &[&str], done: bool) -> String {
    let chunk = |delta: String| {
        format!(
            "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n"
        )
    };
    let mut stream = chunk("{\"role\":\"assistant\"}".to_owned());
    stream.extend(pieces.iter().map(|piece| chunk(format!("{{\"content\":\"{piece}\"}}"))));
    stream + if done { "data: [DONE]\n\n" } else { "" }
}

#[test]
fn where_a_text_was_split_is_told_and_no_difference() {
    let (one, other) = (chunks("c", &["Hel", "lo"], true), chunks("c", &["H", "ell", "", "o"], true));
    let comparison = compared((EVENTS, &one), (EVENTS, &other), &[]);
    assert!(comparison.is_equal(), "{comparison:?}");
    assert_eq!(comparison.compared_as, ComparedAs::Message);
    let streams = comparison.streams.unwrap();
    assert_eq!((streams.recorded.unwrap().events, streams.replayed.unwrap().events), (4, 6));
}

#[test]
fn what_is_said_differs_at_its_place_in_the_message_and_a_stream_that_just_ends_is_told() {
    let whole = chunks("c", &["Hel", "lo"], true);
    let other = chunks("c", &["Hel", "p"], true);
    assert_eq!(told(&compared((EVENTS, &whole), (EVENTS, &other), &[])), ["changed /choices/0/message/content"]);
    let cut = chunks("c", &["Hel"], false);
    let comparison = compared((EVENTS, &whole), (EVENTS, &cut), &[]);
    assert_eq!(told(&comparison), ["changed /choices/0/message/content", "removed sse:end"]);
    let comparison =
        compared((EVENTS, &chunks("c", &["a"], true)), (EVENTS, &chunks("c", &["a"], false)), &["sse:end"]);
    assert!(comparison.is_equal() && comparison.rules_used.len() == 1);
}

#[test]
fn rules_for_the_data_of_events_and_rules_for_bodies_both_apply_to_a_message() {
    let (one, other) = (chunks("c", &["Hello"], true), chunks("d", &["Hel", "lo"], true));
    assert_eq!(told(&compared((EVENTS, &one), (EVENTS, &other), &[])), ["changed /id"]);
    for rule in ["sse:/id", "/id"] {
        let comparison = compared((EVENTS, &one), (EVENTS, &other), &[rule]);
        assert!(comparison.is_equal() && comparison.rules_used.len() == 1, "{rule}: {comparison:?}");
    }
}

#[test]
fn an_answer_in_one_piece_and_a_stream_that_say_the_same_are_equal_in_content() {
    let stream = chunks("c", &["Hel", "lo"], true);
    let whole = |text: &str| {
        format!(
            r#"{{"id":"c","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null,"annotations":[]}}}}],"usage":{{"total_tokens":3}}}}"#
        )
    };
    for (one, other) in [((EVENTS, &*stream), (JSON, &*whole("Hello"))), ((JSON, &*whole("Hello")), (EVENTS, &*stream))]
    {
        let comparison = compared(one, other, &[]);
        assert!(told(&comparison).is_empty(), "{comparison:?}");
        assert_eq!(comparison.compared_as, ComparedAs::Message);
    }
    let comparison = compared((EVENTS, &stream), (JSON, &whole("Help")), &[]);
    assert_eq!(told(&comparison), ["changed /choices/0/message/content"]);
}

fn calls(calls: &[(&str, &str, &str)]) -> String {
    let call = |(id, name, arguments): &(&str, &str, &str)| {
        let arguments = arguments.replace('"', "\\\"");
        format!(r#"{{"id":"{id}","type":"function","function":{{"name":"{name}","arguments":"{arguments}"}}}}"#)
    };
    let calls: Vec<String> = calls.iter().map(call).collect();
    format!(r#"{{"choices":[{{"message":{{"tool_calls":[{}]}}}}]}}"#, calls.join(","))
}

#[test]
fn calls_of_tools_are_compared_by_name_and_arguments_in_any_order() {
    let recorded = calls(&[("a", "weather", r#"{"city":"Bonn"}"#), ("b", "time", "{}")]);
    let reordered = calls(&[("x", "time", "{ }"), ("y", "weather", r#"{ "city": "Bonn" }"#)]);
    assert!(compared((JSON, &recorded), (JSON, &reordered), &[]).is_equal());
    let other = calls(&[("x", "time", "{}"), ("y", "weather", r#"{"city":"Kiel"}"#)]);
    let comparison = compared((JSON, &recorded), (JSON, &other), &[]);
    assert_eq!(told(&comparison), ["changed /choices/0/message/tool_calls/0/function/arguments/city"]);
    let one_more = calls(&[("b", "time", "{}"), ("a", "weather", r#"{"city":"Bonn"}"#), ("c", "time", "{}")]);
    assert_eq!(told(&compared((JSON, &recorded), (JSON, &one_more), &[])), ["added /choices/0/message/tool_calls/0"]);
}

#[test]
fn results_of_two_calls_of_one_tool_that_are_swapped_are_told() {
    let answer = |calls: [&str; 2], results: [&str; 2]| {
        let call = |id| format!(r#"{{"type":"server_tool_use","id":"{id}","name":"search","input":{{"query":"{id}"}}}}"#);
        let result = |(id, found): (&str, &str)| {
            format!(r#"{{"type":"web_search_tool_result","tool_use_id":"{id}","content":"{found}"}}"#)
        };
        let results = [(results[0], "1"), (results[1], "2")].map(result);
        format!(r#"{{"content":[{},{}]}}"#, calls.map(call).join(","), results.join(","))
    };
    let recorded = answer(["cats", "dogs"], ["cats", "dogs"]);
    let swapped = answer(["cats", "dogs"], ["dogs", "cats"]);
    let comparison = compared((JSON, &recorded), (JSON, &swapped), &[]);
    assert_eq!(told(&comparison), ["changed /content/2/tool_use_id", "changed /content/3/tool_use_id"]);
    assert!(compared((JSON, &recorded), (JSON, &answer(["dogs", "cats"], ["cats", "dogs"])), &[]).is_equal());
}
