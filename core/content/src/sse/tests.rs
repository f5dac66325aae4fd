use proptest::prelude::*;

use super::*;

fn data_of(body: &str) -> Vec<String> {
    parse(body.as_bytes()).events.into_iter().filter(|event| event.dispatched).map(|event| event.data).collect()
}

#[test]
fn the_standards_first_example_gives_its_three_messages() {
    // WHATWG HTML, section 9.2.6: "the following event stream, once followed by a blank line".
    assert_eq!(data_of("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
}

#[test]
fn the_standards_second_example_has_a_comment_ids_and_a_leading_space() {
    let stream = parse(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n");
    let read: Vec<_> = stream.events.iter().map(|event| (event.data.as_str(), event.id.as_deref())).collect();
    assert_eq!(read, [("first event", Some("1")), ("second event", Some("")), (" third event", None)]);
    assert_eq!(stream.trailing, None);
}

#[test]
fn the_standards_third_example_fires_two_events_and_discards_the_last() {
    let stream = parse(b"data\n\ndata\ndata\n\ndata:");
    let read: Vec<_> = stream.events.iter().map(|event| (event.data.as_str(), event.dispatched)).collect();
    assert_eq!(read, [("", true), ("\n", true)]);
    let trailing = stream.trailing.unwrap();
    assert!(trailing.has_data && !trailing.dispatched);
    assert_eq!(trailing.range, 17..22);
}

#[test]
fn the_standards_fourth_example_gives_two_equal_events() {
    assert_eq!(data_of("data:test\n\ndata: test\n\n"), ["test", "test"]);
}

/// The bodies of the web platform tests, eventsource/format-*.any.js, and the data that they expect.
#[test]
fn the_platforms_tests_of_the_format_read_as_browsers_read_them() {
    let long = "x".repeat(2_000);
    let comments = format!("data:1\r:\0\n:\r\ndata:2\n:{long}\rdata:3\n:data:fail\r:{long}\ndata:4\n\n");
    let parsing =
        "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n";
    for (body, expected) in [
        (comments.as_str(), vec!["1\n2\n3\n4"]),
        (parsing, vec!["\0\n 2\n1\n3\n\n4"]),
        ("data:\n\ndata\ndata\n\ndata:test\n\n", vec!["", "\n", "test"]),
        ("data:test\r\ndata\ndata:test\r\n\r\n", vec!["test\n\ntest"]),
        ("data:\ttest\rdata: \ndata:test\n\n", vec!["\ttest\n\ntest"]),
        ("\u{feff}data:1\n\ndata:2\n\n\u{feff}data:3\n\n", vec!["1", "2"]),
        ("\u{feff}\u{feff}data:1\n\ndata:2\n\ndata:3\n\n", vec!["2", "3"]),
        ("data:ok\n test\n\ndata:end\n\n", vec!["ok", "end"]),
        ("data: test\n\n\ndata: \u{2026}\n\n", vec!["test", "\u{2026}"]),
        ("retry:1000\rretry:5000\n\nretry:1000x\ndata:x\n\n", vec!["x"]),
    ] {
        assert_eq!(data_of(body), expected, "{body:?}");
    }
    let kinds = |body: &str| parse(body.as_bytes()).events.into_iter().map(|it| it.event).collect::<Vec<_>>();
    assert_eq!(
        kinds("event:test\ndata:x\n\ndata:x\n\nevent: \ndata:data\n\n"),
        [Some("test".into()), None, Some(String::new())]
    );
}

#[test]
fn every_line_end_is_one_and_a_byte_order_mark_is_none() {
    let lines = "event: a\ndata: 1\ndata: 2\n\ndata: 3\n\n";
    let plain = parse(lines.as_bytes());
    for end in ["\r", "\r\n"] {
        let body = format!("\u{feff}{}", lines.replace('\n', end));
        let events = parse(body.as_bytes()).events;
        let without_range =
            |events: &[Event]| events.iter().map(|event| Event { range: 0..0, ..event.clone() }).collect::<Vec<_>>();
        assert_eq!(without_range(&events), without_range(&plain.events), "{end:?}");
        assert_eq!((events[0].range.start, events[1].range.end), (3, body.len()));
    }
    assert_eq!(data_of("data: \u{feff}x\n\n"), ["\u{feff}x"]);
}

#[test]
fn an_event_without_data_is_kept_and_marked_and_one_of_comments_alone_is_none() {
    let stream = parse(b": ping\n\nevent: done\nretry: soon\nid: 7\n: why\nfoo: bar\nbaz\n\n: cut pi");
    let [event] = &stream.events[..] else { panic!("{stream:?}") };
    assert!(!event.dispatched && !event.has_data);
    assert_eq!(event.event.as_deref(), Some("done"));
    assert_eq!((event.retry.as_deref(), event.id.as_deref()), (Some("soon"), Some("7")));
    assert_eq!(event.comments, ["why"]);
    assert_eq!(event.others, [("foo".to_owned(), "bar".to_owned()), ("baz".to_owned(), String::new())]);
    assert_eq!(stream.trailing, None);
}

#[test]
fn an_id_with_a_nul_is_no_id_and_field_names_are_case_sensitive() {
    let stream = parse(b"id: 1\nid: a\0b\nData: x\n\n");
    assert_eq!(stream.events[0].id.as_deref(), Some("1"));
    let others = [("id".to_owned(), "a\0b".to_owned()), ("Data".to_owned(), "x".to_owned())];
    assert_eq!(stream.events[0].others, others);
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced() {
    assert_eq!(parse(b"data: a\xffb\n\n").events[0].data, "a\u{fffd}b");
}

#[test]
fn items_are_counted_where_the_caller_limits_them_and_lines_of_data_are_not() {
    let long_data = "data: x\n".repeat(100);
    assert!(parse_limited(format!("{long_data}\n{long_data}\n").as_bytes(), 2).is_ok());
    assert_eq!(parse_limited(b"data\n\ndata\n\ndata\n\n", 2), Err(TooManyItems { items_max: 2 }));
    assert!(parse_limited(":\n".repeat(3).as_bytes(), 2).is_err());
}

proptest! {
    #[test]
    fn events_cover_the_body_in_order_and_never_overlap(body in "(data|event|id|x|:|: |\r|\n|\r\n|é){0,40}") {
        let stream = parse(body.as_bytes());
        let mut at = 0;
        for event in stream.events.iter().chain(&stream.trailing) {
            prop_assert!(event.range.start >= at && event.range.end <= body.len() && !event.range.is_empty());
            at = event.range.end;
            // Each event read alone is the same event.
            let alone = parse(&body.as_bytes()[event.range.clone()]);
            let alone = alone.events.first().or(alone.trailing.as_ref()).unwrap();
            prop_assert_eq!(Event { range: 0..0, ..alone.clone() }, Event { range: 0..0, ..event.clone() });
        }
    }

    #[test]
    fn data_lines_come_back_as_they_were_sent(events in proptest::collection::vec(proptest::collection::vec("[^\r\n\u{0}]{0,8}", 1..4), 0..6)) {
        let body: String = events.iter().map(|lines| lines.iter().map(|line| format!("data: {line}\n")).collect::<String>() + "\n").collect();
        let expected: Vec<String> = events.iter().map(|lines| lines.join("\n")).collect();
        prop_assert_eq!(data_of(&body), expected);
    }
}
