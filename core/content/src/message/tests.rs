use super::*;
use crate::sse::parse;

fn data(events: &[&str]) -> Stream {
    parse(events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>().as_bytes())
}

fn named(events: &[&str]) -> Stream {
    let kind = |event: &str| json::parse(event.as_bytes()).unwrap().get("type").unwrap().as_str().unwrap().to_owned();
    parse(
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", kind(event))).collect::<String>().as_bytes(),
    )
}

fn message(stream: &Stream) -> String {
    let mut canonical = Vec::new();
    joined(stream).unwrap().message.write_canonical(&mut canonical);
    String::from_utf8(canonical).unwrap()
}

#[test]
fn chunks_of_a_chat_completion_join_to_the_completion() {
    let stream = data(&[
        r#"{"id":"","object":"","choices":[],"prompt_filter_results":[{}]}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":{"content":[1]}}]}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"lo"},"logprobs":{"content":[2]}}],"obfuscation":"x"}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"total_tokens":3}}"#,
        "[DONE]",
    ]);
    assert_eq!(
        message(&stream),
        r#"{"choices":[{"finish_reason":"tool_calls","index":0,"logprobs":{"content":[1,2]},"message":{"content":"Hello","role":"assistant","tool_calls":[{"function":{"arguments":"{\"a\":1}","name":"f"},"id":"t1","type":"function"}]}}],"id":"c1","object":"chat.completion","prompt_filter_results":[{}],"usage":{"total_tokens":3}}"#
    );
    assert_eq!(joined(&stream).unwrap().end.as_deref(), Some("[DONE]"));
}

#[test]
fn events_of_a_message_join_to_the_message() {
    let stream = named(&[
        r#"{"type":"message_start","message":{"id":"m","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    assert_eq!(
        message(&stream),
        r#"{"content":[{"text":"Hi","type":"text"},{"id":"t","input":{"a":1},"name":"f","type":"tool_use"}],"id":"m","stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":9}}"#
    );
}

#[test]
fn events_of_a_response_join_to_the_response_where_pieces_and_whole_agree() {
    let of = |piece: &str| {
        named(&[
            r#"{"type":"response.created","response":{"id":"r","status":"in_progress","output":[]}}"#,
            r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"i","content":[]}}"#,
            r#"{"type":"response.content_part.added","item_id":"i","output_index":0,"content_index":0,"part":{"text":""}}"#,
            &format!(
                r#"{{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"{piece}"}}"#
            ),
            r#"{"type":"response.output_text.done","item_id":"i","output_index":0,"content_index":0,"text":"Hi"}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"i","content":[{"text":"Hi"}]}}"#,
            r#"{"type":"response.completed","response":{"id":"r","status":"completed","output":[{"id":"i","content":[{"text":"Hi"}]}]}}"#,
        ])
    };
    assert_eq!(
        message(&of("Hi")),
        r#"{"id":"r","output":[{"content":[{"text":"Hi"}],"id":"i"}],"status":"completed"}"#
    );
    assert_eq!(joined(&of("Ho")), None, "pieces and whole disagree");
}

#[test]
fn a_stream_that_contradicts_itself_or_has_something_unknown_is_not_joined() {
    let two = |one: &str, other: &str| joined(&data(&[one, other]));
    let chunk = |id: &str| format!(r#"{{"id":"{id}","choices":[]}}"#);
    assert!(two(&chunk("a"), &chunk("a")).is_some());
    assert_eq!(two(&chunk("a"), &chunk("b")), None);
    assert_eq!(two(&chunk("a"), r#"{"choices":[]}"#), None, "each says its id, or none does");
    assert_eq!(joined(&parse(b"id: 1\ndata: {\"choices\":[]}\n\n")), None);
    assert_eq!(joined(&parse(b"data: {\"choices\":[]}\n\ndata: {}")), None, "no blank line ends it");
    assert_eq!(joined(&data(&["{}"])), None);
    assert_eq!(joined(&data(&[])), None);
}

#[test]
fn calls_have_no_ids_of_their_own_and_arguments_that_can_be_read() {
    let answer = r#"{"choices":[{"message":{"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{ \"a\": 1 }"}}]}}]}"#;
    let tree = json::parse_tree(answer.as_bytes(), 99).unwrap();
    assert_eq!(
        normal(tree.root()).unwrap().to_compact_text(),
        r#"{"choices":[{"message":{"tool_calls":[{"id":"call of f","type":"function","function":{"name":"f","arguments":{"a":1}}}]}}]}"#
    );
    let blocks = r#"{"content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"s"}]}"#;
    let tree = json::parse_tree(blocks.as_bytes(), 99).unwrap();
    assert!(normal(tree.root()).unwrap().to_compact_text().contains(r#""tool_use_id":"call of web_search""#));
    let plain = json::parse_tree(br#"{"choices":[{"message":{"content":"\"tool_calls\""}}]}"#, 99).unwrap();
    assert_eq!(normal_of(plain.root().to_value()), plain.root().to_value());
}

#[test]
fn a_stream_that_piles_up_members_and_an_answer_of_many_calls_are_read_at_once() {
    let chunk = |at: usize| {
        let keys: Vec<String> = (0..200).map(|key| format!("\"k{at}_{key}\":1")).collect();
        format!("data: {{\"choices\":[],{}}}\n\n", keys.join(","))
    };
    let body: String = (0..500).map(chunk).collect();
    assert_eq!(joined(&parse(body.as_bytes())), None);
    let blocks: Vec<String> = (0..50_000)
        .map(|at| {
            format!(
                r#"{{"type":"tool_use","id":"t{at}","name":"f","input":{{}}}},{{"type":"x","tool_use_id":"t{at}"}}"#
            )
        })
        .collect();
    let answer = format!(r#"{{"content":[{}]}}"#, blocks.join(","));
    let tree = json::parse_tree(answer.as_bytes(), usize::MAX).unwrap();
    assert!(normal(tree.root()).unwrap().to_compact_text().ends_with(r#""tool_use_id":"call of f"}]}"#));
}
