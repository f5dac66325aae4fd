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

/// A response with a text and a call, as they are streamed.
const RESPONSE: [&str; 13] = [
    r#"{"type":"response.created","response":{"id":"r","model":"m","status":"in_progress","service_tier":"auto","output":[],"usage":null}}"#,
    r#"{"type":"response.in_progress","response":{"id":"r","model":"m","status":"in_progress","service_tier":"auto","output":[],"usage":null}}"#,
    r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"i","type":"message","status":"in_progress","content":[]}}"#,
    r#"{"type":"response.content_part.added","item_id":"i","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}"#,
    r#"{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"Hi","logprobs":[],"obfuscation":"x"}"#,
    r#"{"type":"response.output_text.done","item_id":"i","output_index":0,"content_index":0,"text":"Hi","logprobs":[]}"#,
    r#"{"type":"response.content_part.done","item_id":"i","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Hi","annotations":[],"logprobs":[]}}"#,
    r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"i","type":"message","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[],"logprobs":[]}]}}"#,
    r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"j","type":"function_call","status":"in_progress","call_id":"c","name":"f","arguments":""}}"#,
    r#"{"type":"response.function_call_arguments.delta","item_id":"j","output_index":1,"delta":"{}","obfuscation":"y"}"#,
    r#"{"type":"response.function_call_arguments.done","item_id":"j","output_index":1,"arguments":"{}"}"#,
    r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"j","type":"function_call","status":"completed","call_id":"c","name":"f","arguments":"{}"}}"#,
    r#"{"type":"response.completed","response":{"id":"r","model":"m","status":"completed","service_tier":"default","output":[{"id":"i","type":"message","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[],"logprobs":[]}]},{"id":"j","type":"function_call","status":"completed","call_id":"c","name":"f","arguments":"{}"}],"usage":{"total_tokens":3}}}"#,
];

#[test]
fn a_response_of_which_anything_was_said_otherwise_before_or_is_unknown_is_not_joined() {
    assert!(joined(&named(&RESPONSE)).is_some());
    let otherwise = [
        (0, r#""id":"r""#, r#""id":"q""#),
        (0, r#""model":"m""#, r#""model":"n""#),
        (0, "auto", "priority"),
        (0, "in_progress", "completed"),
        (0, r#","response""#, r#","more":1,"response""#),
        (1, "in_progress", "failed"),
        (2, r#""item""#, r#""more":1,"item""#),
        (2, r#""content":[]"#, r#""content":[{"type":"output_text","text":"Ho"}]"#),
        (3, r#""text":"""#, r#""text":"Ho""#),
        (3, r#""output_text""#, r#""refusal""#),
        (4, r#""logprobs":[]"#, r#""logprobs":[{"token":"Hi"}]"#),
        (4, r#""obfuscation""#, r#""more""#),
        (4, "output_text", "reasoning_text"),
        (5, r#""logprobs":[]"#, r#""logprobs":[1]"#),
        (5, r#""item_id":"i""#, r#""item_id":"j""#),
        (6, r#""annotations":[]"#, r#""annotations":[1]"#),
        (6, r#""text":"Hi""#, r#""text":"Ho""#),
        (8, r#""name":"f""#, r#""name":"g""#),
        (8, r#""call_id":"c""#, r#""call_id":"d""#),
        (8, r#""arguments":"""#, r#""arguments":"{\"a\":1}""#),
        (9, r#""obfuscation""#, r#""delta_of""#),
        (10, r#""arguments":"{}""#, r#""arguments":"{}","name":"g""#),
    ];
    for (at, was, is) in otherwise {
        let mut events = RESPONSE.map(str::to_owned);
        assert!(events[at].contains(was), "{at} {was}");
        events[at] = events[at].replace(was, is);
        assert_eq!(joined(&named(&events.each_ref().map(String::as_str))), None, "{at}: {is}");
    }
}

#[test]
fn a_response_that_leaves_out_events_is_not_joined_or_says_which_part_never_ended() {
    let without = |left_out: &[usize]| {
        let kept = RESPONSE.iter().enumerate().filter(|(at, _)| !left_out.contains(at)).map(|(_, event)| *event);
        joined(&named(&kept.collect::<Vec<_>>()))
    };
    for left_out in [&[0, 1][..], &[2], &[3], &[3, 6], &[4, 5], &[3, 4, 5, 6], &[9], &[9, 10], &[11]] {
        assert_eq!(without(left_out), None, "{left_out:?}");
    }
    for (left_out, place) in [
        (5, "[Key(\"output\"), Index(0), Key(\"content\"), Index(0), Key(\"text\")]"),
        (10, "[Key(\"output\"), Index(1), Key(\"arguments\")]"),
    ] {
        assert_eq!(format!("{:?}", without(&[left_out]).unwrap().unfinished.left_open), format!("[{place}]"));
    }
    assert_eq!(without(&[6]).unwrap().unfinished.left_open.len(), 1);
    assert!(without(&[]).unwrap().unfinished.left_open.is_empty());
    let tokens = |logprobs: &str| {
        let event = |event: &&str| event.replace("\"logprobs\":[]", &format!("\"logprobs\":{logprobs}"));
        let mut events: Vec<String> = RESPONSE.iter().map(event).collect();
        events[3] = RESPONSE[3].to_owned();
        joined(&named(&events.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    assert!(tokens(r#"[{"token":"Hi"}]"#).is_some());
}

/// A message with a text and a call, as they are streamed.
const MESSAGE: [&str; 9] = [
    r#"{"type":"message_start","message":{"id":"m","model":"x","content":[],"stop_reason":null}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
    r#"{"type":"message_stop"}"#,
];

#[test]
fn a_message_of_which_anything_was_said_otherwise_before_is_not_joined() {
    assert!(joined(&named(&MESSAGE)).is_some());
    let otherwise = [
        (0, r#""content":[]"#, r#""content":[{"type":"text","text":"lost"}]"#),
        (0, r#""content":[]"#, r#""content":{}"#),
        (0, r#""content":[],"#, ""),
        (1, r#""text":"""#, r#""text":"lost""#),
        (4, r#""input":{}"#, r#""input":{"a":1}"#),
        (7, r#""stop_reason":"tool_use""#, r#""stop_reason":"tool_use","model":"y""#),
        (8, r#""message_stop""#, r#""message_stop","id":"n""#),
    ];
    for (at, was, is) in otherwise {
        let mut events = MESSAGE.map(str::to_owned);
        assert!(events[at].contains(was), "{at} {was}");
        events[at] = events[at].replace(was, is);
        assert_eq!(joined(&named(&events.each_ref().map(String::as_str))), None, "{at}: {is}");
    }
}

#[test]
fn a_text_that_comes_whole_with_its_block_is_told_from_one_in_pieces() {
    let whole = MESSAGE[1].replace(r#""text":"""#, r#""text":"Hi""#);
    let whole = named(&[&[MESSAGE[0], &whole], &MESSAGE[3..]].concat());
    let [whole, pieces] = [whole, named(&MESSAGE)].map(|stream| joined(&stream).unwrap());
    assert_eq!(whole.message, pieces.message);
    assert!(!whole.manner.is_like(&pieces.manner) && whole.manner.is_like(&whole.manner));
}

#[test]
fn several_errors_are_one_only_where_they_are_the_same_and_nothing_comes_behind_them() {
    let error = |number: usize| format!(r#"{{"type":"error","error":{{"message":"{number}"}}}}"#);
    for begun in [&MESSAGE[..3], &RESPONSE[..5]] {
        let with = |more: &[&str]| joined(&named(&[begun, more].concat()));
        assert!(with(&[&error(1), &error(1)]).is_some());
        assert_eq!(with(&[&error(1), &error(2)]), None);
    }
    assert_eq!(joined(&named(&[&MESSAGE[..3], &[&error(1)], &MESSAGE[3..]].concat())), None);
    assert_eq!(joined(&named(&[&RESPONSE[..5], &[&error(1)], &RESPONSE[5..6]].concat())), None);
}

#[test]
fn arguments_in_pieces_that_are_no_object_are_the_text_that_they_are() {
    let input = |written: &str| {
        let piece = MESSAGE[5].replace("\"{}\"", written);
        let mut events = MESSAGE;
        events[5] = &piece;
        message(&named(&events))
    };
    assert_ne!(input(r#""x""#), input(r#""\"x\"""#));
    assert!(input(r#""[1]""#).contains(r#""input":"[1]""#));
    let bedrock = |written: &str| {
        message(&framed(&[
            ("messageStart", r#"{"role":"assistant"}"#),
            ("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"toolUse":{"name":"f","toolUseId":"t"}}}"#),
            ("contentBlockDelta", &format!(r#"{{"contentBlockIndex":0,"delta":{{"toolUse":{{"input":{written}}}}}}}"#)),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            ("messageStop", r#"{"stopReason":"tool_use"}"#),
        ]))
    };
    assert_ne!(bedrock(r#""x""#), bedrock(r#""\"x\"""#));
}

#[test]
fn what_comes_behind_the_end_of_an_answer_of_bedrock_or_at_another_index_is_no_part_of_it() {
    let begin = [("messageStart", r#"{"role":"assistant"}"#)];
    let text = |index: usize| format!(r#"{{"contentBlockIndex":{index},"delta":{{"text":"Hi"}}}}"#);
    let stop = |index: usize| format!(r#"{{"contentBlockIndex":{index}}}"#);
    let (end, usage) = (("messageStop", r#"{"stopReason":"end_turn"}"#), ("metadata", r#"{"usage":{}}"#));
    let (texts, stops) = ([text(0), text(1)], [stop(0), stop(1)]);
    let block = |at: usize| [("contentBlockDelta", texts[at].as_str()), ("contentBlockStop", stops[at].as_str())];
    let is_joined = |events: &[&[(&str, &str)]]| joined(&framed(&events.concat())).is_some();
    assert!(is_joined(&[&begin, &block(0), &[end, usage]]));
    for wrong in [
        &[&begin[..], &block(1), &[end, usage]][..],
        &[&begin, &block(0), &[end], &block(1)],
        &[&begin, &block(0), &[end, usage, usage]],
        &[&begin, &block(0), &block(0)[1..], &[end, usage]],
    ] {
        assert!(!is_joined(wrong), "{wrong:?}");
    }
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
fn what_groq_and_ollama_say_more_of_with_each_event_is_joined_too() {
    let groq = |more: &str| {
        data(&[
            r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}],"x_groq":{"id":"q"}}"#,
            &format!(
                r#"{{"id":"c","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],"x_groq":{more}}}"#
            ),
            "[DONE]",
        ])
    };
    assert!(
        message(&groq(r#"{"id":"q","usage":{"total_tokens":3}}"#))
            .ends_with(r#""x_groq":{"id":"q","usage":{"total_tokens":3}}}"#)
    );
    assert!(joined(&groq(r#"{"id":"other"}"#)).is_none());
    let line = |text: &str, token: u8, done: bool| {
        format!(r#"{{"model":"m","response":"{text}","logprobs":[{token}],"done":{done}}}"#)
    };
    let text = [line("a", 1, false), line("b", 2, false), line("", 3, true)].join("\n");
    let stream = lines(&text).unwrap();
    assert_eq!(message(&stream), r#"{"done":true,"logprobs":[1,2,3],"model":"m","response":"ab"}"#);
}

#[test]
fn an_object_with_more_members_than_any_message_has_is_not_joined() {
    let many: String = (0..300).map(|at| format!(r#""m{at}":0,"#)).collect();
    let response = |members: &str| {
        named(&[
            &format!(r#"{{"type":"response.created","response":{{{members}"output":[]}}}}"#),
            &format!(r#"{{"type":"response.completed","response":{{{members}"output":[]}}}}"#),
        ])
    };
    assert!(joined(&response("")).is_some() && joined(&response(&many)).is_none());
    let begun = |members: &str| named(&[&format!(r#"{{"type":"message_start","message":{{{members}"content":[]}}}}"#)]);
    assert!(joined(&begun("")).is_some() && joined(&begun(&many)).is_none());
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
    assert!(normal(tree.root()).unwrap().to_compact_text().ends_with(r#""tool_use_id":"call of f {}, 50000"}]}"#));
}

/// The normal form with calls in an order that does not depend on theirs: behind all else, sorted.
fn in_order(mut value: Value) -> Value {
    match &mut value {
        Value::Array(elements) => {
            let all: Vec<Value> = std::mem::take(elements).into_iter().map(in_order).collect();
            let (mut calls, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| call_of_value(it).is_some());
            calls.sort_by_cached_key(|call| {
                let mut canonical = Vec::new();
                call.write_canonical(&mut canonical);
                canonical
            });
            elements.extend(rest);
            elements.append(&mut calls);
        }
        Value::Object(members) => {
            for (_, member) in members {
                *member = in_order(std::mem::replace(member, Value::Null));
            }
        }
        _ => {}
    }
    value
}

/// Two calls of `pay`, and what came of each: who is paid, the call's id, and which call each result names.
fn paid(calls: [(&str, &str); 2], results: [(&str, &str); 2]) -> Value {
    let call = |(to, id)| {
        format!(r#"{{"type":"function_call","call_id":"{id}","name":"pay","arguments":"{{\"to\":\"{to}\"}}"}}"#)
    };
    let result = |(id, output)| format!(r#"{{"type":"function_call_output","call_id":"{id}","output":"{output}"}}"#);
    let all = [calls.map(call), results.map(result)].concat().join(",");
    in_order(normal_of(json::parse(format!(r#"{{"output":[{all}]}}"#).as_bytes()).unwrap()))
}

#[test]
fn results_stay_with_their_call_where_one_tool_is_called_more_than_once() {
    let (ann, bob) = (("ann", "1"), ("bob", "2"));
    let recorded = paid([ann, bob], [("1", "ok"), ("2", "refused")]);
    assert_ne!(recorded, paid([ann, bob], [("2", "ok"), ("1", "refused")]), "the results are swapped");
    assert_eq!(recorded, paid([("bob", "y"), ("ann", "x")], [("x", "ok"), ("y", "refused")]), "other ids and order");
    assert!(recorded.to_compact_text().contains(r#""call_id":"call of pay {\"to\":\"bob\"}","output":"refused""#));
    let twice = paid([ann, ("ann", "2")], [("1", "ok"), ("2", "refused")]);
    assert_ne!(twice, paid([ann, ("ann", "2")], [("1", "ok"), ("1", "refused")]));
    let long = "x".repeat(5_000);
    let of_long = paid([(&long, "1"), ("b", "2")], [("1", "ok"), ("2", "ok")]);
    assert!(of_long.to_compact_text().len() < 6_000, "long arguments are named by their digest");
    let shared = |output| paid([("ann", "0"), ("bob", "0")], [("0", output), ("0", "ok")]);
    assert!(shared("ok").to_compact_text().contains(r#""call_id":"call of pay","output":"ok""#));
}

#[test]
fn an_id_that_cannot_tie_a_result_to_its_call_is_told_from_one_that_can() {
    let answer = |ids: [&str; 2]| {
        let call = |(id, city): (&str, &str)| {
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{\"a\":\"{city}\"}}"}}}}"#)
        };
        let calls = [(ids[0], "x"), (ids[1], "y")].map(call).join(",");
        json::parse(format!(r#"{{"choices":[{{"message":{{"tool_calls":[{calls}]}}}}]}}"#).as_bytes()).unwrap()
    };
    let fine = normal_of(answer(["1", "2"]));
    assert_eq!(fine, normal_of(answer(["7", "8"])));
    for ids in [["1", "1"], ["", "2"], ["", ""]] {
        assert_ne!(normal_of(answer(ids)), fine, "{ids:?}");
        assert_ne!(normal_of_both(answer(ids), answer(["1", "2"])).0, fine, "{ids:?}");
    }
    assert_eq!(normal_of(answer(["1", "1"])), normal_of(answer(["2", "2"])));
}

#[test]
fn what_a_model_wrote_into_arguments_is_left_as_it_is() {
    let call = r#"{"type":"tool_use","id":"a","name":"f","input":{"type":"tool_use","id":"b","name":"g"}}"#;
    let value = normal_of(json::parse(format!(r#"{{"content":[{call}]}}"#).as_bytes()).unwrap());
    assert_eq!(value.to_compact_text(), format!(r#"{{"content":[{call}]}}"#).replacen("\"a\"", "\"call of f\"", 1));
}

/// Each of these would be copied or written again with every event or result; the body of either is a few megabytes.
#[test]
fn what_events_add_to_is_not_copied_for_each_of_them_and_a_long_name_does_not_multiply() {
    let long = "x".repeat(2 << 20);
    let usage = format!(r#"{{"type":"message_start","message":{{"id":"m","usage":{{"note":"{long}"}}}}}}"#);
    let mut events = vec![usage.as_str()];
    events.extend(std::iter::repeat_n(r#"{"type":"message_delta","usage":{"output_tokens":1}}"#, 60_000));
    assert!(joined(&named(&events)).is_some());
    let chunk = r#"{"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":"a","logprob":-1}]}}]}"#;
    assert!(joined(&data(&vec![chunk; 60_000])).is_some());
    let created = format!(r#"{{"type":"response.created","response":{{"id":"r","note":"{long}"}}}}"#);
    let mut events = vec![created.as_str()];
    events.extend(std::iter::repeat_n(r#"{"type":"error","message":"m"}"#, 60_000));
    assert!(joined(&named(&events)).is_some());
    let results = vec![r#"{"tool_use_id":"t"}"#; 100_000].join(",");
    let answer = format!(r#"{{"content":[{{"type":"tool_use","id":"t","name":"{long}"}},{results}]}}"#);
    let tree = json::parse_tree(answer.as_bytes(), usize::MAX).unwrap();
    assert!(normal(tree.root()).unwrap().to_compact_text().len() < 3 * answer.len() + 100_000 * 200);
}

#[test]
fn events_of_a_chat_of_cohere_join_to_the_answer_in_one_piece() {
    let stream = named(&[
        r#"{"id":"c","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I "}}}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"will"}}}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"f_1","type":"function","function":{"name":"f","arguments":""}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"a\""}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":":1}"}}}}}"#,
        r#"{"type":"tool-call-end","index":0}"#,
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
        r#"{"type":"content-end","index":0}"#,
        r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":2,"text":"Hi"}}}}"#,
        r#"{"type":"citation-end","index":0}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"tokens":{"input_tokens":3}}}}"#,
    ]);
    assert_eq!(
        message(&stream),
        r#"{"finish_reason":"TOOL_CALL","id":"c","message":{"citations":[{"end":2,"start":0,"text":"Hi"}],"content":[{"text":"Hi","type":"text"}],"role":"assistant","tool_calls":[{"function":{"arguments":"{\"a\":1}","name":"f"},"id":"f_1","type":"function"}],"tool_plan":"I will"},"usage":{"tokens":{"input_tokens":3}}}"#
    );
    let (mut closed, mut unknown, mut twice) = (stream.clone(), stream.clone(), stream.clone());
    closed.events.swap(8, 9);
    unknown.events[8].data = unknown.events[8].data.replace("content-delta", "content-more");
    twice.events.insert(1, twice.events[0].clone());
    for contradicting in [closed, unknown, twice] {
        assert_eq!(joined(&contradicting), None);
    }
}

#[test]
fn lines_of_ollama_join_to_the_answer_in_one_piece() {
    let chat = concat!(
        r#"{"model":"m","created_at":"1","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}"#,
        "\n",
        r#"{"model":"m","created_at":"2","message":{"role":"assistant","content":"Hi"},"done":false}"#,
        "\n",
        r#"{"model":"m","created_at":"3","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},"done":false}"#,
        "\n",
        r#"{"model":"m","created_at":"4","message":{"role":"assistant","content":"!"},"done":true,"eval_count":3}"#,
        "\n",
    );
    assert_eq!(
        message(&lines(chat).unwrap()),
        r#"{"created_at":"4","done":true,"eval_count":3,"message":{"content":"Hi!","role":"assistant","thinking":"Hm","tool_calls":[{"function":{"arguments":{},"name":"f"}}]},"model":"m"}"#
    );
    let generate =
        "{\"model\":\"m\",\"response\":\"a\",\"done\":false}\n\n{\"model\":\"m\",\"response\":\"b\",\"done\":true}";
    assert_eq!(message(&lines(generate).unwrap()), r#"{"done":true,"model":"m","response":"ab"}"#);
    assert_eq!(joined(&lines(&generate.replacen("\"m\"", "\"n\"", 1)).unwrap()), None, "another model halfway");
    assert_eq!(joined(&lines(&format!("{generate}\n{generate}")).unwrap()), None, "more behind the end");
}

#[test]
fn a_chat_of_cohere_of_which_anything_was_said_otherwise_before_or_is_unknown_is_not_joined() {
    let events = [
        r#"{"id":"c","type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}"#,
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
        r#"{"type":"content-end","index":0}"#,
        r#"{"id":"c","type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#,
    ];
    assert!(joined(&named(&events)).is_some());
    let otherwise = [
        (0, r#""content":[]"#, r#""content":[{"text":"lost"}]"#),
        (0, r#""delta""#, r#""more":1,"delta""#),
        (1, r#""text":"""#, r#""text":"lost""#),
        (2, r#""message":{"#, r#""message":{"more":1,"#),
        (2, r#""delta":{"#, r#""delta":{"more":1,"#),
        (3, r#""index":0"#, r#""index":0,"more":1"#),
        (4, r#""id":"c""#, r#""id":"d""#),
        (4, r#""delta""#, r#""more":1,"delta""#),
    ];
    for (at, was, is) in otherwise {
        let mut events = events.map(str::to_owned);
        events[at] = events[at].replace(was, is);
        assert_eq!(joined(&named(&events.each_ref().map(String::as_str))), None, "{at}: {is}");
    }
}

#[test]
fn a_chat_that_goes_on_behind_its_end_or_an_error_or_says_another_number_is_not_joined() {
    let chunk = |delta: &str, reason: &str| {
        format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#)
    };
    let (text, end) = (chunk(r#"{"content":"Hi"}"#, "null"), chunk("{}", "\"stop\""));
    let is_joined = |events: &[&str]| joined(&data(events)).is_some();
    assert!(is_joined(&[&text, &end, &chunk(r#"{"content":""}"#, "null"), "[DONE]"]));
    assert!(!is_joined(&[&end, &text, "[DONE]"]));
    let call = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#;
    assert!(!is_joined(&[&end, &chunk(call, "null"), "[DONE]"]));
    let error = r#"{"error":{"message":"overloaded"}}"#;
    assert!(is_joined(&[&text, error]));
    assert!(!is_joined(&[error, &text]) && !is_joined(&[&text, error, &text]));
    let counted = |count: u8| format!(r#"{{"id":"c","choices":[],"count":{count}}}"#);
    assert!(!is_joined(&[&counted(3), &counted(0)]) && is_joined(&[&counted(3), &counted(3)]));
    let line = |more: &str, done: bool| format!(r#"{{"model":"m","response":"a",{more}"done":{done}}}"#);
    let lines_of = |one: &str, other: &str| joined(&lines(&[line(one, false), line(other, true)].join("\n")).unwrap());
    assert!(lines_of(r#""created_at":"1","#, r#""created_at":"2","#).is_some());
    assert_eq!(lines_of(r#""count":1,"#, r#""count":2,"#), None);
}

/// A stream in Amazon's framing.
fn framed(events: &[(&str, &str)]) -> Stream {
    let frame = |(kind, payload): &(&str, &str)| {
        let headers = [(":event-type", *kind), (":content-type", "application/json"), (":message-type", "event")];
        crate::eventstream::framed(&headers, payload)
    };
    crate::eventstream::parse(&events.iter().map(frame).collect::<Vec<_>>().concat(), false, 100).unwrap()
}

#[test]
fn events_of_bedrock_join_to_the_answer_of_converse() {
    let stream = framed(&[
        ("messageStart", r#"{"p":"abc","role":"assistant"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm"}},"p":"a"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"s"}},"p":"a"}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":0,"p":"ab"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"Hel"},"p":"a"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"lo"},"p":"abc"}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":1,"p":"ab"}"#),
        ("contentBlockStart", r#"{"contentBlockIndex":2,"start":{"toolUse":{"name":"f","toolUseId":"t"}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\":"}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"1}"}}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
        ("messageStop", r#"{"p":"a","stopReason":"tool_use"}"#),
        ("metadata", r#"{"metrics":{"latencyMs":5},"p":"a","usage":{"totalTokens":3}}"#),
    ]);
    assert_eq!(
        message(&stream),
        r#"{"metrics":{"latencyMs":5},"output":{"message":{"content":[{"reasoningContent":{"reasoningText":{"signature":"s","text":"Hm"}}},{"text":"Hello"},{"toolUse":{"input":{"a":1},"name":"f","toolUseId":"t"}}],"role":"assistant"}},"stopReason":"tool_use","usage":{"totalTokens":3}}"#
    );
    assert_eq!(joined(&stream).unwrap().end.as_deref(), Some("messageStop"));
    assert!(normal_of(joined(&stream).unwrap().message).to_compact_text().contains(r#""toolUseId":"call of f""#));
    let mut unknown = stream;
    unknown.events[4].event = Some("contentBlockMore".to_owned());
    assert_eq!(joined(&unknown), None);
}

#[test]
fn what_bedrock_wraps_is_joined_as_what_the_model_says() {
    let wrapped = |said: &str| format!(r#"{{"bytes":"{}","p":"a"}}"#, crate::base64::encode(said.as_bytes()));
    let chunks = |said: &[&str]| {
        let payloads: Vec<String> = said.iter().map(|it| wrapped(it)).collect();
        framed(&payloads.iter().map(|payload| ("chunk", payload.as_str())).collect::<Vec<_>>())
    };
    let anthropic = chunks(&[
        r#"{"type":"message_start","message":{"id":"m","content":[]}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1}}"#,
    ]);
    assert_eq!(
        message(&anthropic),
        r#"{"amazon-bedrock-invocationMetrics":{"inputTokenCount":1},"content":[{"text":"Hi","type":"text"}],"id":"m"}"#
    );
    let nova = chunks(&[
        r#"{"messageStart":{"role":"assistant"}}"#,
        r#"{"contentBlockDelta":{"delta":{"text":"On"},"contentBlockIndex":0},"amazon-bedrock-guardrailAction":"NONE"}"#,
        r#"{"contentBlockStop":{"contentBlockIndex":0}}"#,
        r#"{"contentBlockDelta":{"delta":{"text":"ce"},"contentBlockIndex":1}}"#,
        r#"{"contentBlockStop":{"contentBlockIndex":1}}"#,
        r#"{"messageStop":{"stopReason":"end_turn"}}"#,
    ]);
    assert_eq!(
        message(&nova),
        r#"{"amazon-bedrock-guardrailAction":"NONE","output":{"message":{"content":[{"text":"Once"}],"role":"assistant"}},"stopReason":"end_turn"}"#
    );
}

/// What a model says, as Bedrock wraps it.
fn wrapped(said: &[&str]) -> Stream {
    let chunk = |said: &&str| format!(r#"{{"bytes":"{}","p":"a"}}"#, crate::base64::encode(said.as_bytes()));
    let payloads: Vec<String> = said.iter().map(chunk).collect();
    framed(&payloads.iter().map(|payload| ("chunk", payload.as_str())).collect::<Vec<_>>())
}

#[test]
fn pieces_by_titan_join_to_the_answer_that_it_gives_without_a_stream() {
    let said = [
        r#"{"outputText":"Hel","index":0,"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":5}"#,
        r#"{"outputText":"lo","index":0,"totalOutputTextTokenCount":3,"completionReason":"FINISH","inputTextTokenCount":null,"amazon-bedrock-invocationMetrics":{"outputTokenCount":3}}"#,
    ];
    let stream = wrapped(&said);
    assert_eq!(
        message(&stream),
        r#"{"amazon-bedrock-invocationMetrics":{"outputTokenCount":3},"inputTextTokenCount":5,"results":[{"completionReason":"FINISH","outputText":"Hello","tokenCount":3}]}"#
    );
    let joined_stream = joined(&stream).unwrap();
    assert_eq!((joined_stream.end.as_deref(), joined_stream.pieces), (Some("completionReason"), 2));
    let more = said.map(|piece| piece.replacen("\"index\":0", "\"index\":0,\"more\":1", 1));
    assert_eq!(joined(&wrapped(&more.each_ref().map(String::as_str))), None);
    let other = said[1].replace("\"inputTextTokenCount\":null", "\"inputTextTokenCount\":6");
    assert_eq!(joined(&wrapped(&[said[0], &other])), None, "it contradicts itself");
}

#[test]
fn pieces_by_writer_join_to_a_chat_completion_whether_each_is_said_once_or_twice() {
    let piece = |content: &str, twice: &str, reason: &str| {
        let delta = format!(r#"{{"role":"assistant","content":"{content}"}}"#);
        let message = match twice {
            "" => String::new(),
            "same" => format!(r#","message":{delta}"#),
            other => format!(r#","message":{other}"#),
        };
        let envelope = r#""id":"w","object":"chat.completion.chunk","created":7,"model":"palmyra-x5""#;
        format!(r#"{{{envelope},"choices":[{{"index":0,"finish_reason":{reason},"delta":{delta}{message}}}]}}"#)
    };
    let stream = |twice: &str| {
        let last = piece("lo", twice, "\"stop\"");
        let last =
            format!("{},\"amazon-bedrock-invocationMetrics\":{{\"outputTokenCount\":3}}}}", &last[..last.len() - 1]);
        wrapped(&[&piece("Hel", twice, "null"), &last])
    };
    let expected = r#"{"amazon-bedrock-invocationMetrics":{"outputTokenCount":3},"choices":[{"finish_reason":"stop","index":0,"message":{"content":"Hello","role":"assistant"}}],"created":7,"id":"w","model":"palmyra-x5","object":"chat.completion"}"#;
    for twice in ["", "null", "same"] {
        assert_eq!(message(&stream(twice)), expected, "{twice}");
    }
    assert_eq!(joined(&stream(r#"{"content":"else"}"#)), None);
}
