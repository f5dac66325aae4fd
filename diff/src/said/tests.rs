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
    assert_eq!(told(&comparison), ["removed sse:end"], "what is there says the same");
    let other = chunks("c", &["Hep"], false);
    let comparison = compared((EVENTS, &whole), (EVENTS, &other), &[]);
    assert_eq!(told(&comparison), ["changed /choices/0/message/content", "removed sse:end"]);
    let comparison = compared((EVENTS, &whole), (EVENTS, &cut), &["sse:end"]);
    assert_eq!(told(&comparison), ["changed /choices/0/message/content"], "hidden, it explains nothing");
    let ended = compared((EVENTS, &chunks("c", &["Hello"], false)), (EVENTS, &cut), &[]);
    assert_eq!(told(&ended), ["changed /choices/0/message/content"], "neither says that it is whole");
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
    let late = stream + "data: {\"error\":{\"message\":\"late\"}}";
    assert!(!told(&compared((EVENTS, &late), (JSON, &whole("Hello")), &[])).is_empty(), "it came behind the message");
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

/// Anthropic's blocks as an answer in one piece, and as a stream.
fn blocks(blocks: &[&str]) -> (String, String) {
    let block = |name: &&str| match name.split_once(' ') {
        Some((tool, city)) => {
            format!(r#"{{"type":"tool_use","id":"toolu_{city}","name":"{tool}","input":{{"city":"{city}"}}}}"#)
        }
        None => format!(r#"{{"type":"text","text":"{name}"}}"#),
    };
    let all: Vec<String> = blocks.iter().map(block).collect();
    let whole = |content: &str| format!(r#"{{"id":"m","type":"message","role":"assistant","content":[{content}]}}"#);
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let mut stream = event("message_start", &format!(r#","message":{}"#, whole("")));
    for (index, block) in all.iter().enumerate() {
        stream += &event("content_block_start", &format!(r#","index":{index},"content_block":{block}"#));
        stream += &event("content_block_stop", &format!(r#","index":{index}"#));
    }
    (whole(&all.join(",")), stream + &event("message_stop", ""))
}

#[test]
fn calls_that_are_neighbours_have_no_order_and_their_place_among_texts_counts() {
    let told_of = |recorded: &[&str], replayed: &[&str]| {
        let ((one, streamed), (other, other_streamed)) = (blocks(recorded), blocks(replayed));
        let of_whole = told(&compared((JSON, &one), (JSON, &other), &[]));
        assert_eq!(of_whole, told(&compared((EVENTS, &streamed), (EVENTS, &other_streamed), &[])));
        assert_eq!(of_whole, told(&compared((EVENTS, &streamed), (JSON, &other), &[])));
        assert_eq!(of_whole.len(), told(&compared((JSON, &other), (JSON, &one), &[])).len());
        of_whole
    };
    let none: [&str; 0] = [];
    assert_eq!(told_of(&["a", "look_up Bonn"], &["look_up Bonn", "a"]), ["moved /content/1"]);
    assert_eq!(told_of(&["a", "look_up Bonn", "time Kiel"], &["a", "time Kiel", "look_up Bonn"]), none);
    assert_eq!(told_of(&["time Kiel", "a", "look_up Bonn"], &["time Kiel", "look_up Bonn", "a"]), ["moved /content/2"]);
    assert_eq!(told_of(&["time Kiel", "look_up Bonn"], &["look_up Bonn", "a", "time Kiel"]), ["added /content/1"]);
    assert_eq!(told_of(&["a", "look_up Bonn", "b"], &["a", "time Kiel", "look_up Bonn", "b"]), ["added /content/1"]);
    let changed = told_of(&["a", "look_up Bonn", "time Kiel"], &["a", "time Kiel", "look_up Rome"]);
    assert_eq!(changed, ["changed /content/1/input/city"]);
}

#[test]
fn a_call_that_was_made_before_the_result_of_another_one_has_moved() {
    let answer = |items: &[&str]| {
        let item = |name: &&str| match name.strip_prefix("output ") {
            Some(id) => format!(r#"{{"type":"function_call_output","call_id":"{id}","output":"{id}"}}"#),
            None => format!(
                r#"{{"type":"function_call","call_id":"{name}","name":"look_up","arguments":"{{\"q\":\"{name}\"}}"}}"#
            ),
        };
        format!(r#"{{"object":"response","output":[{}]}}"#, items.iter().map(item).collect::<Vec<_>>().join(","))
    };
    let one_by_one = answer(&["A", "output A", "B", "output B"]);
    let at_once = answer(&["A", "B", "output A", "output B"]);
    assert_eq!(told(&compared((JSON, &one_by_one), (JSON, &at_once), &[])), ["moved /output/2"]);
    assert_eq!(told(&compared((JSON, &at_once), (JSON, &one_by_one), &[])), ["moved /output/1"]);
    let also_at_once = answer(&["B", "A", "output A", "output B"]);
    assert!(compared((JSON, &at_once), (JSON, &also_at_once), &[]).is_equal());
}

#[test]
fn results_of_two_calls_of_one_tool_that_are_swapped_are_told() {
    let answer = |calls: [&str; 2], results: [&str; 2]| {
        let call =
            |id| format!(r#"{{"type":"server_tool_use","id":"{id}","name":"search","input":{{"query":"{id}"}}}}"#);
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

#[test]
fn a_call_more_of_a_tool_is_all_that_is_told_and_results_of_the_other_keep_their_name() {
    let answer = |queries: &[&str]| {
        let block = |query: &&str| {
            format!(
                r#"{{"type":"server_tool_use","id":"s{query}","name":"search","input":{{"query":"{query}"}}}},{{"type":"web_search_tool_result","tool_use_id":"s{query}","content":"{query}"}}"#
            )
        };
        format!(r#"{{"content":[{}]}}"#, queries.iter().map(block).collect::<Vec<_>>().join(","))
    };
    let (once, twice) = (answer(&["cats"]), answer(&["cats", "dogs"]));
    assert_eq!(told(&compared((JSON, &once), (JSON, &twice), &[])), ["added /content/2", "added /content/3"]);
    assert_eq!(told(&compared((JSON, &twice), (JSON, &once), &[])), ["removed /content/2", "removed /content/3"]);
    let equal = answer(&["cats", "cats"]);
    assert_eq!(told(&compared((JSON, &once), (JSON, &equal), &[])).len(), 2);
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let streamed = |queries: &[&str]| {
        let mut stream =
            event("message_start", r#","message":{"id":"m","type":"message","role":"assistant","content":[]}"#);
        for (at, query) in queries.iter().enumerate() {
            let blocks = [
                format!(
                    r#"{{"type":"server_tool_use","id":"s{query}","name":"search","input":{{"query":"{query}"}}}}"#
                ),
                format!(r#"{{"type":"web_search_tool_result","tool_use_id":"s{query}","content":"{query}"}}"#),
            ];
            for (block, index) in blocks.iter().zip(2 * at..) {
                stream += &event("content_block_start", &format!(r#","index":{index},"content_block":{block}"#));
                stream += &event("content_block_stop", &format!(r#","index":{index}"#));
            }
        }
        stream + &event("message_stop", "")
    };
    let comparison = compared((EVENTS, &streamed(&["cats"])), (EVENTS, &streamed(&["cats", "dogs"])), &[]);
    assert_eq!(comparison.compared_as, ComparedAs::Message);
    assert_eq!(told(&comparison), ["added /content/2", "added /content/3"]);
}

/// Compares a recorded answer of which so many bytes came with a whole one.
fn compared_part(kind: &str, recorded: &str, replayed: &str) -> Comparison {
    let head = Head::new(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n"));
    let output = |body, complete| Output { head: &head, body, complete, whole: true };
    let (one, other) = (output(recorded.as_bytes(), false), output(replayed.as_bytes(), true));
    let comparison = compare_responses(&one, &other, &Rules::strict(), &Route::default());
    let mirrored = compare_responses(&other, &one, &Rules::strict(), &Route::default());
    assert_eq!(comparison.changes_count(), mirrored.changes_count());
    comparison
}

fn events(events: &[&str]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// A message with a text, a call and what they are split into.
fn chat(pieces: &[&str], arguments: &[&str]) -> String {
    let piece = |delta: String, reason: &str| {
        format!(r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#)
    };
    let mut all = vec![piece(r#"{"role":"assistant","content":""}"#.to_owned(), "null")];
    all.extend(pieces.iter().map(|text| piece(format!(r#"{{"content":"{text}"}}"#), "null")));
    let call = r#"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}"#;
    all.push(piece(call.to_owned(), "null"));
    all.extend(arguments.iter().map(|text| {
        let text = text.replace('"', "\\\"");
        piece(format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]}}"#), "null")
    }));
    all.push(piece("{}".to_owned(), "\"tool_calls\""));
    all.push("[DONE]".to_owned());
    events(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

fn anthropic(pieces: &[&str], arguments: &[&str]) -> String {
    let mut all = vec![
        r#"{"type":"message_start","message":{"id":"m","content":[],"stop_reason":null,"usage":{"output_tokens":1}}}"#
            .to_owned(),
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
    ];
    all.extend(pieces.iter().map(|text| {
        format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#)
    }));
    all.push(r#"{"type":"content_block_stop","index":0}"#.to_owned());
    let block = r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#;
    all.push(format!(r#"{{"type":"content_block_start","index":1,"content_block":{block}}}"#));
    all.extend(arguments.iter().map(|text| {
        let delta = format!(r#"{{"type":"input_json_delta","partial_json":"{}"}}"#, text.replace('"', "\\\""));
        format!(r#"{{"type":"content_block_delta","index":1,"delta":{delta}}}"#)
    }));
    all.push(r#"{"type":"content_block_stop","index":1}"#.to_owned());
    all.push(r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#.to_owned());
    all.push(r#"{"type":"message_stop"}"#.to_owned());
    events(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

fn responses(pieces: &[&str], arguments: &[&str]) -> String {
    let (text, input) = (pieces.concat(), arguments.concat().replace('"', "\\\""));
    let part = |text: &str| format!(r#"{{"type":"output_text","text":"{text}","annotations":[]}}"#);
    let message =
        |status: &str, parts: &str| format!(r#"{{"id":"i","type":"message","status":"{status}","content":[{parts}]}}"#);
    let call = |status: &str, input: &str| {
        format!(
            r#"{{"id":"j","type":"function_call","call_id":"t","name":"f","status":"{status}","arguments":"{input}"}}"#
        )
    };
    let response =
        |status: &str, output: &str| format!(r#"{{"id":"r","status":"{status}","error":null,"output":[{output}]}}"#);
    let (done, called) = (message("completed", &part(&text)), call("completed", &input));
    let place = r#""item_id":"i","output_index":0,"content_index":0"#;
    let mut all = vec![
        format!(r#"{{"type":"response.created","response":{}}}"#, response("in_progress", "")),
        format!(r#"{{"type":"response.output_item.added","output_index":0,"item":{}}}"#, message("in_progress", "")),
        format!(r#"{{"type":"response.content_part.added",{place},"part":{}}}"#, part("")),
    ];
    all.extend(
        pieces.iter().map(|text| format!(r#"{{"type":"response.output_text.delta",{place},"delta":"{text}"}}"#)),
    );
    all.push(format!(r#"{{"type":"response.output_text.done",{place},"text":"{text}"}}"#));
    all.push(format!(r#"{{"type":"response.content_part.done",{place},"part":{}}}"#, part(&text)));
    all.push(format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{done}}}"#));
    all.push(format!(r#"{{"type":"response.output_item.added","output_index":1,"item":{}}}"#, call("in_progress", "")));
    let place = r#""item_id":"j","output_index":1"#;
    all.extend(arguments.iter().map(|text| {
        let text = text.replace('"', "\\\"");
        format!(r#"{{"type":"response.function_call_arguments.delta",{place},"delta":"{text}"}}"#)
    }));
    all.push(format!(r#"{{"type":"response.output_item.done","output_index":1,"item":{called}}}"#));
    let output = format!("{done},{called}");
    all.push(format!(r#"{{"type":"response.completed","response":{}}}"#, response("completed", &output)));
    events(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Text and arguments in pieces, as a stream of one format.
type Format = fn(&[&str], &[&str]) -> String;

const FORMATS: [Format; 3] = [chat, anthropic, responses];

#[test]
fn a_stream_that_was_cut_anywhere_is_compared_as_far_as_it_goes_however_it_was_split() {
    for format in FORMATS {
        let recorded = format(&["Hello ", "there, wor", "ld"], &[r#"{"path":"#, r#""/tmp/x","n":[1,2]}"#]);
        let same = format(&["He", "llo th", "ere, world"], &[r#"{"pa"#, r#"th":"/tm"#, r#"p/x","n":[1,2"#, "]}"]);
        let whole_events = recorded.find("\n\n").unwrap() + 2;
        for len in whole_events..recorded.len() {
            let comparison = compared_part(EVENTS, &recorded[..len], &same);
            assert!(comparison.is_equal(), "{len}: {comparison:?}\n{}", &recorded[..len]);
            assert_eq!(comparison.compared_as, ComparedAs::Message, "{len}");
        }
        let text_at = recorded.find("there").unwrap() + 9;
        let other_text = format(&["Hello th", "is world"], &["{}"]);
        assert_eq!(compared_part(EVENTS, &recorded[..text_at], &other_text).changes_count(), 1);
        let arguments_at = recorded.find("/tmp/x").unwrap() + 5;
        let other_path = format(&["Hello there, world"], &[r#"{"path":"/etc"}"#]);
        let comparison = compared_part(EVENTS, &recorded[..arguments_at], &other_path);
        assert!(comparison.changes_count() == 1 && comparison.changes[0].pointer.ends_with("/path"), "{comparison:?}");
        let shorter = format(&["Hello th"], &["{}"]);
        assert!(!compared_part(EVENTS, &recorded[..text_at], &shorter).is_equal(), "it has to be there again");
    }
}

#[test]
fn a_part_that_came_to_its_end_is_compared_with_all_that_is_there() {
    for format in FORMATS {
        let recorded = format(&["Hi"], &["{}"]);
        assert!(compared_part(EVENTS, &recorded, &recorded).is_equal());
    }
    let call = r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"pay","arguments":"{}"}}]}}]}"#;
    let one_more = chunks("c", &["Hi"], false) + &events(&[call, "[DONE]"]);
    let comparison = compared_part(EVENTS, &chunks("c", &["Hi"], true), &one_more);
    assert_eq!(told(&comparison), ["added /choices/0/message/tool_calls"]);
}

#[test]
fn a_block_that_never_ends_in_a_message_that_is_whole_is_told() {
    let whole = anthropic(&["Hel", "lo"], &["{\"a\":", "1}"]);
    let open = whole.replace("data: {\"type\":\"content_block_stop\",\"index\":1}\n\n", "");
    let comparison = compared((EVENTS, &whole), (EVENTS, &open), &[]);
    assert_eq!(comparison.compared_as, ComparedAs::Message);
    assert_eq!(told(&comparison), ["removed sse:end"]);
    assert_eq!(comparison.changes[0].recorded.as_ref().unwrap().text, "the end of /content/1");
    assert_eq!(told(&compared((EVENTS, &open), (EVENTS, &whole), &[])), ["added sse:end"]);
    let split =
        anthropic(&["Hello"], &["{\"a\":1}"]).replace("data: {\"type\":\"content_block_stop\",\"index\":1}\n\n", "");
    assert!(compared((EVENTS, &open), (EVENTS, &split), &[]).is_equal());
    assert!(compared((EVENTS, &whole), (EVENTS, &open), &["sse:end"]).is_equal());
}

#[test]
fn what_the_events_of_a_response_say_against_its_end_is_no_message() {
    let recorded = responses(&["Hi"], &["{}"]);
    let (begun, end) = recorded.split_at(recorded.rfind("data: ").unwrap());
    let failed = format!("{begun}{}{end}", events(&[r#"{"type":"error","error":{"message":"overloaded"}}"#]));
    assert!(!compared((EVENTS, &recorded), (EVENTS, &failed), &[]).is_equal());
    let ended = |output: &str| {
        let response = format!(r#"{{"id":"r","status":"failed","output":[{output}]}}"#);
        begun.to_owned() + &events(&[&format!(r#"{{"type":"response.failed","response":{response}}}"#)])
    };
    let outputs = [ended(r#"{"id":"x"}"#), ended(r#"{"id":"y"}"#)];
    assert!(!compared((EVENTS, &outputs[0]), (EVENTS, &outputs[1]), &[]).is_equal());
}

#[test]
fn an_error_in_the_middle_and_a_lost_end_are_each_told_once() {
    for format in FORMATS {
        let recorded = format(&["Hello ", "there, world"], &[r#"{"path":"/tmp/x"}"#]);
        let other = format(&["He", "llo th", "ere, world"], &[r#"{"path":"/tmp/x"}"#]);
        for until in ["ere, world", "ath"] {
            let at = other.find(until).unwrap();
            let begun = &other[..other[..at].rfind("data: ").unwrap()];
            let comparison = compared((EVENTS, &recorded), (EVENTS, begun), &[]);
            assert_eq!(told(&comparison), ["removed sse:end"], "{begun}");
            let within = compared((EVENTS, &recorded), (EVENTS, &other[..at]), &[]);
            assert_eq!(told(&within), ["removed sse:end"], "{}", &other[..at]);
            let failed = format!("{begun}data: {}\n\n", r#"{"type":"error","error":{"message":"overloaded"}}"#);
            let comparison = compared((EVENTS, &recorded), (EVENTS, &failed), &[]);
            let (error, end) = (told(&comparison)[0].clone(), told(&comparison)[1..].to_vec());
            assert!(error == "added /error" || error == "type changed /error", "{comparison:?}");
            assert_eq!(end, ["removed sse:end"], "{comparison:?}");
            let hidden = compared((EVENTS, &recorded), (EVENTS, &failed), &["/error", "sse:end"]);
            assert!(!hidden.is_equal(), "what is missing is told then");
        }
        let failed = events(&[r#"{"type":"error","error":{"message":"overloaded"}}"#]);
        let comparison = compared((EVENTS, &recorded), (EVENTS, &failed), &[]);
        assert_eq!(comparison.changes_count(), 2, "{comparison:?}");
    }
}

#[test]
fn lines_that_were_cut_are_compared_as_the_message_they_begin() {
    let line = |text: &str, done: bool| {
        format!(
            r#"{{"model":"m","created_at":"{text}","message":{{"role":"assistant","content":"{text}"}},"done":{done}}}"#
        ) + "\n"
    };
    let recorded = [line("Hel", false), line("lo wor", false), line("ld", true)].concat();
    let same = [line("H", false), line("ello world", false), line("", true)].concat();
    let begins = line("Hel", false).len();
    for len in begins..recorded.len() - 20 {
        let comparison = compared_part("application/x-ndjson", &recorded[..len], &same);
        assert!(comparison.is_equal(), "{len}: {comparison:?}");
    }
    let other = [line("Hi", false), line("", true)].concat();
    assert!(!compared_part("application/x-ndjson", &recorded[..begins + 5], &other).is_equal());
}

#[test]
fn what_a_model_wrote_as_arguments_says_something_even_where_it_is_null_or_an_empty_list() {
    let whole = |arguments: &str| {
        let arguments = arguments.replace('"', "\\\"");
        let call = format!(r#"{{"id":"x","type":"function","function":{{"name":"f","arguments":"{arguments}"}}}}"#);
        let message = format!(r#"{{"role":"assistant","content":"Hi","refusal":null,"tool_calls":[{call}]}}"#);
        let choice = format!(r#"{{"index":0,"message":{message},"finish_reason":"tool_calls"}}"#);
        format!(r#"{{"id":"c","model":"m","choices":[{choice}]}}"#)
    };
    let stream = chat(&["Hi"], &[r#"{"path":"/x","only":null,"tags":[]}"#]);
    let same = whole(r#"{ "tags": [], "only": null, "path": "/x" }"#);
    assert_eq!(told(&compared((EVENTS, &stream), (JSON, &same), &[])), [""; 0]);
    let comparison = compared((EVENTS, &stream), (JSON, &whole(r#"{"path":"/x"}"#)), &[]);
    let arguments = "/choices/0/message/tool_calls/0/function/arguments";
    assert_eq!(told(&comparison), [format!("removed {arguments}/only"), format!("removed {arguments}/tags")]);
}

/// The stream with a line for the type of each event.
fn named(stream: &str) -> String {
    let with_type = |event: &str| {
        let kind = event.split("\"type\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        format!("event: {kind}\n{event}\n\n")
    };
    stream.split_terminator("\n\n").map(with_type).collect()
}

#[test]
fn lines_for_the_types_of_events_that_are_gone_are_told_once_and_none_is_missed_where_neither_side_has_any() {
    let other: Format = |pieces, _| {
        let delta = |text: &&str| {
            format!(r#"{{"type":"content-delta","index":0,"delta":{{"message":{{"content":{{"text":"{text}"}}}}}}}}"#)
        };
        let begin = [
            r#"{"type":"message-start","id":"1","delta":{"message":{"role":"assistant"}}}"#,
            r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        ];
        let end =
            [r#"{"type":"content-end","index":0}"#, r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#];
        let pieces: Vec<String> = pieces.iter().map(delta).collect();
        events(&begin.into_iter().chain(pieces.iter().map(String::as_str)).chain(end).collect::<Vec<_>>())
    };
    for format in [anthropic, responses, other] {
        let (bare, split) = (format(&["Hello"], &["{}"]), format(&["Hel", "lo"], &["{}"]));
        let comparison = compared((EVENTS, &named(&bare)), (EVENTS, &split), &[]);
        assert_eq!(comparison.compared_as, ComparedAs::Message);
        assert_eq!(told(&comparison), ["removed sse:event"]);
        assert_eq!(told(&compared((EVENTS, &bare), (EVENTS, &named(&split)), &[])), ["added sse:event"]);
        assert!(compared((EVENTS, &named(&bare)), (EVENTS, &split), &["sse:event"]).is_equal());
        assert!(compared((EVENTS, &bare), (EVENTS, &split), &[]).is_equal());
        assert!(compared((EVENTS, &named(&bare)), (EVENTS, &named(&split)), &[]).is_equal());
    }
}

#[test]
fn one_line_for_a_type_that_is_gone_is_told_at_its_event() {
    for format in [anthropic, responses] {
        let recorded = named(&format(&["Hi"], &["{}"]));
        let begin = recorded.rfind("event: ").unwrap();
        let line_end = begin + recorded[begin..].find('\n').unwrap() + 1;
        let replayed = [&recorded[..begin], &recorded[line_end..]].concat();
        let comparison = compared((EVENTS, &recorded), (EVENTS, &replayed), &[]);
        assert_eq!(told(&comparison), ["removed sse:event"]);
        assert_eq!(comparison.changes[0].event, Some(recorded.matches("event: ").count() as u64 - 1));
    }
}

#[test]
fn an_error_that_no_longer_has_a_type_is_told() {
    let begun = chunks("c", &["Hi"], false);
    let error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    let (recorded, replayed) = (format!("{begun}event: error\n{error}"), format!("{begun}{error}"));
    assert_eq!(told(&compared((EVENTS, &recorded), (EVENTS, &replayed), &[])), ["removed sse:event"]);
}

#[test]
fn a_call_that_stands_at_another_index_is_told_and_calls_that_changed_places_are_not() {
    let call = |index: usize, id: &str, name: &str| {
        let function = format!(r#""function":{{"name":"{name}","arguments":"{{}}"}}"#);
        format!(
            r#"{{"index":0,"delta":{{"tool_calls":[{{"index":{index},"id":"{id}","type":"function",{function}}}]}}}}"#
        )
    };
    let stream = |calls: &[String]| {
        let mut all: Vec<String> = calls.iter().map(|call| format!(r#"{{"id":"c","choices":[{call}]}}"#)).collect();
        all.push("[DONE]".to_owned());
        events(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let alone = |index| stream(&[call(index, "a", "f")]);
    let comparison = compared((EVENTS, &alone(0)), (EVENTS, &alone(1)), &[]);
    assert!(told(&comparison)[0].ends_with("sse:/choices/0/delta/tool_calls/0/index"), "{comparison:?}");
    let two = |at: [usize; 2], names: [&str; 2]| stream(&[call(at[0], "a", names[0]), call(at[1], "b", names[1])]);
    for from in 0..2 {
        let (one, other) = (two([from, from + 1], ["f", "g"]), two([from, from + 1], ["g", "f"]));
        let comparison = compared((EVENTS, &one), (EVENTS, &other), &[]);
        assert!(comparison.is_equal() && comparison.compared_as == ComparedAs::Message, "{comparison:?}");
    }
    assert!(!compared((EVENTS, &two([0, 1], ["f", "g"])), (EVENTS, &two([0, 2], ["f", "g"])), &[]).is_equal());
}

#[test]
fn events_that_have_no_numbers_any_more_are_told() {
    let bare = responses(&["Hi"], &["{}"]);
    let numbered: String = bare
        .split_terminator("\n\n")
        .enumerate()
        .map(|(at, event)| event.replacen('{', &format!("{{\"sequence_number\":{at},"), 1) + "\n\n")
        .collect();
    let comparison = compared((EVENTS, &numbered), (EVENTS, &bare), &[]);
    assert_eq!(comparison.changes[0].pointer, "sse:/sequence_number");
    assert!(compared((EVENTS, &numbered), (EVENTS, &bare), &["sse:/sequence_number"]).is_equal());
}

/// A completion with calls that have these arguments, as they are written.
fn with_arguments(arguments: &[&str]) -> String {
    let call = |arguments: &&str| {
        format!(r#"{{"id":"a","type":"function","function":{{"name":"f","arguments":{arguments}}}}}"#)
    };
    let calls: Vec<String> = arguments.iter().map(call).collect();
    format!(r#"{{"choices":[{{"message":{{"tool_calls":[{}]}}}}]}}"#, calls.join(","))
}

#[test]
fn arguments_that_turn_from_a_text_into_an_object_are_told_and_break_callers() {
    let (text, object) = (with_arguments(&[r#""{\"x\":1}""#]), with_arguments(&[r#"{"x":1}"#]));
    let comparison = compared((JSON, &text), (JSON, &object), &[]);
    assert_eq!(told(&comparison), ["type changed /choices/0/message/tool_calls/0/function/arguments"]);
    assert_eq!(crate::Weight::of(&comparison.changes[0]), crate::Weight::Breaking);
    assert!(!compared((JSON, &object), (JSON, &text), &[]).is_equal());
    let covered = compared((JSON, &text), (JSON, &object), &["/choices/0/message/tool_calls/0/function/arguments"]);
    assert!(covered.is_equal());
    let other = with_arguments(&[r#"{"x":2}"#]);
    assert!(told(&compared((JSON, &object), (JSON, &other), &[]))[0].ends_with("/arguments/x"), "two objects");
    let spaced = with_arguments(&[r#""{ \"x\": 1 }""#]);
    assert!(compared((JSON, &text), (JSON, &spaced), &[]).is_equal(), "two texts");
    let [one, two] = [r#"{"x":1}"#, r#""{\"x\":1}""#].map(|second| with_arguments(&[r#""{ \"y\": 1 }""#, second]));
    let comparison = compared((JSON, &one), (JSON, &two), &[]);
    assert_eq!(
        told(&comparison),
        ["type changed /choices/0/message/tool_calls/1/function/arguments"],
        "of two calls one"
    );
    let as_before = r#"{"choices":[{"message":{"function_call":{"name":"f","arguments":ARGUMENTS}}}]}"#;
    let [text, object] = [r#""{}""#, "{}"].map(|arguments| as_before.replace("ARGUMENTS", arguments));
    let comparison = compared((JSON, &text), (JSON, &object), &[]);
    assert_eq!(told(&comparison), ["type changed /choices/0/message/function_call/arguments"]);
}

#[test]
fn arguments_of_a_stream_that_are_an_object_in_the_whole_answer_are_told() {
    let call = r#"{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]}}]}"#;
    let stream = events(&[call, "[DONE]"]);
    let whole = |arguments: &str| {
        let calls = with_arguments(&[arguments]);
        calls.replace(r#"{"choices":[{"#, r#"{"id":"c","choices":[{"index":0,"#)
    };
    assert_eq!(told(&compared((EVENTS, &stream), (JSON, &whole(r#""{\"x\":1}""#)), &[])), Vec::<String>::new());
    let comparison = compared((EVENTS, &stream), (JSON, &whole(r#"{"x":1}"#)), &[]);
    assert_eq!(told(&comparison), ["type changed /choices/0/message/tool_calls/0/function/arguments"]);
}

/// An answer with a call that has this id and this argument.
type Answer<'a> = &'a dyn Fn(&str, &str) -> String;

#[test]
fn calls_whose_argument_is_a_text_have_no_ids_of_their_own_and_that_text_is_compared_as_it_is() {
    let chat = |id: &str, input: &str| {
        let call = format!(r#"{{"id":"{id}","type":"custom","custom":{{"name":"run","input":"{input}"}}}}"#);
        format!(r#"{{"choices":[{{"message":{{"tool_calls":[{call}]}}}}]}}"#)
    };
    let response = |id: &str, input: &str| {
        let call =
            format!(r#"{{"type":"custom_tool_call","id":"ctc_{id}","call_id":"{id}","name":"run","input":"{input}"}}"#);
        format!(r#"{{"output":[{call},{{"type":"custom_tool_call_output","call_id":"{id}","output":"ok"}}]}}"#)
    };
    let streamed = |id: &str, input: &str| {
        let (one, other) = input.split_at(1);
        let first = format!(r#"{{"index":0,"id":"{id}","type":"custom","custom":{{"name":"run","input":"{one}"}}}}"#);
        let calls = [first, format!(r#"{{"index":0,"custom":{{"input":"{other}"}}}}"#)];
        let all =
            calls.map(|call| format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}}}}]}}"#));
        events(&[&all[0], &all[1], "[DONE]"])
    };
    let cases: [(&str, Answer<'_>, &str); 3] = [
        (JSON, &chat, "/choices/0/message/tool_calls/0/custom/input"),
        (JSON, &response, "/output/0/input"),
        (EVENTS, &streamed, "/choices/0/message/tool_calls/0/custom/input"),
    ];
    for (kind, of, place) in cases {
        assert!(compared((kind, &of("a", "ls")), (kind, &of("b", "ls")), &[]).is_equal(), "{place}");
        let comparison = compared((kind, &of("a", "ls")), (kind, &of("b", "ps")), &[]);
        assert_eq!(told(&comparison), [format!("changed {place}")]);
        let json = |space: &str| of("a", &format!("{{{space}}}"));
        assert!(!compared((kind, &json("")), (kind, &json(" ")), &[]).is_equal(), "a text, whatever it looks like");
    }
}
