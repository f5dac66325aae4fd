use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::json::Value;

fn answer(fields: &str, body: &str) -> String {
    let head = Head::new(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    String::from_utf8(response(&head, body.as_bytes())).unwrap()
}

fn json_answer(body: &str) -> String {
    answer("Content-Type: application/json\r\n", body)
}

fn event_answer(body: &str) -> String {
    answer("Content-Type: text/event-stream; charset=utf-8\r\n", body)
}

#[test]
fn the_bytes_of_a_request_are_as_documented() {
    let head = Head::new(
        *b"POST /v1/chat?b=2&a=1 HTTP/1.1\r\nX-Two: first\r\nHost: model:8080\r\nAuthorization: Bearer x\r\ntraceparent: 00-1-2-01\r\n\
           Content-Type: application/json\r\nx-two:\tsecond\r\n  folded\r\nContent-Length: 20\r\nX-Request-Id: 7\r\nX-B3-TraceId: 1\r\n\r\n",
    );
    let canonical = request(&head, br#"{ "b": 1.0, "a": 2 }"#, Transport::Http1);
    let expected = "method 4\nPOST\ntarget 16\n/v1/chat?b=2&a=1\nfield 30\ncontent-type: application/json\nfield 16\nhost: model:8080\n\
                    field 12\nx-two: first\nfield 20\nx-two: second folded\njson\n{\"a\":2,\"b\":1.0}";
    assert_eq!(String::from_utf8(canonical).unwrap(), expected);
}

#[test]
fn the_bytes_of_a_stream_are_as_documented() {
    let body = ": ping\r\n\r\nid: 1\r\nevent: delta\r\ndata: {\"b\": 1,\r\ndata: \"a\": 2}\r\nx: y\r\n\r\ndata: [DONE]\r\n\r\nretry: 5\r\n\r\ndata: cu";
    assert_eq!(
        event_answer(body).split_once("events\n").unwrap().1,
        "event 5\ndelta\ndata-json 13\n{\"a\":2,\"b\":1}\nid 1\n1\nfield 4\nx: y\n\
         event 7\nmessage\ndata 6\n[DONE]\n\
         event 7\nmessage\nretry 1\n5\n\
         unfinished 7\nmessage\ndata 2\ncu\n"
    );
}

#[test]
fn what_json_leaves_free_is_left_out_and_what_was_written_is_not() {
    assert_eq!(json_answer(r#"{"a":"\u00e9","b":[]}"#), json_answer("{ \"b\" : [ ],\n\"a\":\"é\" }"));
    assert_ne!(json_answer(r#"{"a":1.0}"#), json_answer(r#"{"a":1.00}"#));
    assert_ne!(json_answer(r#"{"a":1}"#), json_answer(r#"{"a":"1"}"#));
    // A key given twice is no document: the bytes count, white space included.
    assert_ne!(json_answer(r#"{"a":1,"a":1}"#), json_answer(r#"{"a":1, "a":1}"#));
}

#[test]
fn what_server_sent_events_leave_free_is_left_out_and_what_was_said_is_not() {
    let one = event_answer("event: message\ndata: {\"a\":1,\"b\":2}\n\n");
    assert_eq!(one, event_answer("\u{feff}data:{\"b\": 2, \"a\": 1}\r\n\r\n: ping\r\n\r\n"));
    assert_ne!(one, event_answer("event: other\ndata: {\"a\":1,\"b\":2}\n\n"));
    assert_ne!(event_answer("data: a\n\ndata: b\n\n"), event_answer("data: a\ndata: b\n\n"));
    assert_ne!(event_answer("data: a\n\n"), event_answer("data: a\n"));
    assert_ne!(event_answer("event: x\n\n"), event_answer("event: x\ndata\n\n"));
}

#[test]
fn fields_of_one_name_keep_their_order_and_others_do_not_matter() {
    assert_eq!(answer("A: 1\r\nB: 2\r\nA: 3\r\n", ""), answer("b:2\r\na:1\r\na:  3 \r\n", ""));
    assert_ne!(answer("A: 1\r\nA: 3\r\n", ""), answer("A: 3\r\nA: 1\r\n", ""));
    assert_ne!(answer("A: 1, 3\r\n", ""), answer("A: 1\r\nA: 3\r\n", ""));
}

#[test]
fn names_that_connection_lists_are_hop_by_hop() {
    assert_eq!(answer("Connection: close, X-Hop\r\nX-Hop: 1\r\n", ""), answer("", ""));
    assert_ne!(answer("X-Hop: 1\r\n", ""), answer("", ""));
}

#[test]
fn each_class_of_header_is_known_whatever_its_case() {
    let classes = [
        ("Transfer-Encoding", HeaderClass::HopByHop),
        ("X-API-Key", HeaderClass::Credential),
        ("x-datadog-sampling-priority", HeaderClass::Trace),
        ("Date", HeaderClass::Time),
        ("CF-Ray", HeaderClass::RequestId),
    ];
    for (name, class) in classes {
        assert_eq!(left_out_class(name), Some(class), "{name}");
    }
    for name in ["host", "content-type", "content-encoding", "x-b3", "etag", "retry-after"] {
        assert_eq!(left_out_class(name), None, "{name}");
    }
}

#[test]
fn names_left_out_are_in_lower_case_and_sorted_so_that_one_is_found_again() {
    for (class, names) in HEADERS_LEFT_OUT {
        assert!(names.is_sorted() && names.iter().all(|name| *name == name.to_ascii_lowercase()), "{class:?}");
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_decoded_body_counts_however_it_was_packed() {
    let head = Head::new(*b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n");
    assert_eq!(response(&head, &gzip(b"[1]")), response(&head, &[gzip(b"[ "), gzip(b"1]")].concat()));
    assert!(response(&head, &gzip(b"[1]")).ends_with(b"json\n[1]"));
    assert_eq!(body(&head, &gzip(b"[1]")), CanonicalBody::Json(Value::Array(vec![Value::Number("1".to_owned())])));
}

#[test]
fn a_body_that_cannot_be_decoded_counts_as_sent() {
    let head = Head::new(*b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\n");
    assert!(response(&head, b"not gzip").ends_with(b"sent\nnot gzip"));
    assert_eq!(body(&head, b"not gzip"), CanonicalBody::AsSent(b"not gzip".to_vec()));
    let cut = &gzip(b"a text")[..15];
    assert_eq!(body(&head, cut), CanonicalBody::AsSent(cut.to_vec()));
    let CanonicalBody::Text(text) = body_cut_short(&head, cut) else { panic!() };
    assert!("a text".starts_with(&text));
}

#[test]
fn the_view_of_a_body_follows_its_content_type() {
    let view = |content_type: &str, bytes: &[u8]| {
        body(&Head::new(format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n")), bytes)
    };
    assert!(matches!(view("application/problem+json", b"{}"), CanonicalBody::Json(_)));
    assert!(matches!(view("application/json", b"{"), CanonicalBody::Text(_)));
    assert!(matches!(view("application/json", b"\xff"), CanonicalBody::Bytes(_)));
    assert!(matches!(view("text/plain", b"{}"), CanonicalBody::Text(_)));
    assert!(matches!(view("application/x-ndjson", b"{}\n{}\n"), CanonicalBody::Text(_)));
    assert!(matches!(view("application/octet-stream", b"{}"), CanonicalBody::Bytes(_)));
    assert!(matches!(view("text/event-stream", b"data: \xff\n\n"), CanonicalBody::Bytes(_)));
    assert!(
        matches!(view("text/event-stream", b"data: x\n\n"), CanonicalBody::Events(stream) if stream.events.len() == 1)
    );
}

#[test]
fn raw_streams_and_upgraded_ones_count_as_sent() {
    assert_eq!(request(&Head::default(), b"\x01\x02", Transport::Raw), b"sent\n\x01\x02");
    assert_eq!(response(&Head::default(), b"\x01\x02"), b"sent\n\x01\x02");
    let upgrade = Head::new(*b"HTTP/1.1 101 Switching Protocols\r\nContent-Type: application/json\r\n\r\n");
    assert!(response(&upgrade, b"{ }").ends_with(b"sent\n{ }"));
    let odd = Head::new(*b"hello\r\nA: 1\r\n\r\n");
    assert_eq!(request(&odd, b"", Transport::Http1), b"start 5\nhello\nfield 4\na: 1\ndecoded\n");
}

#[test]
fn a_body_longer_than_the_limit_counts_as_sent_and_the_limit_itself_does_not() {
    let head = Head::new(*b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
    let document = |len: usize| format!("\"{}\"", "x".repeat(len - 2)).into_bytes();
    for (len, label) in [(BODY_BYTES_MAX as usize, "json\n\"x"), (BODY_BYTES_MAX as usize + 1, "sent\n\"x")] {
        let long = document(len);
        let canonical = response(&head, &long);
        let at = canonical.len() - long.len() - 5;
        assert_eq!(&canonical[at..at + 7], label.as_bytes());
        let mut digester = Digester::response(&head);
        long.chunks(1 << 20).for_each(|piece| digester.feed(piece));
        assert_eq!(digester.finish(), Digest::of(&canonical));
    }
}

proptest! {
    #[test]
    fn a_digest_does_not_depend_on_the_pieces(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
        coded in any::<bool>(), raw in any::<bool>(), kind in proptest::sample::select(vec!["application/json", "text/event-stream", "text/plain", "x"]),
    ) {
        let coding = if coded { "Content-Encoding: gzip\r\n" } else { "" };
        let head = Head::new(format!("POST / HTTP/1.1\r\nContent-Type: {kind}\r\n{coding}\r\n"));
        let transport = if raw { Transport::Raw } else { Transport::Http1 };
        let mut digester = Digester::request(&head, transport);
        pieces.iter().for_each(|piece| digester.feed(piece));
        prop_assert_eq!(digester.finish(), request_digest(&head, &pieces.concat(), transport));
        let mut digester = Digester::response(&head);
        pieces.iter().for_each(|piece| digester.feed(piece));
        prop_assert_eq!(digester.finish(), response_digest(&head, &pieces.concat()));
    }

    /// Undoes the parts: what cannot be told apart after writing cannot be told apart at all.
    #[test]
    fn different_events_never_give_the_same_bytes(one in any_stream(), other in any_stream()) {
        let canonical = |stream: &crate::sse::Stream| { let mut out = Vec::new(); body::write_stream(stream, &mut out); out };
        prop_assert_eq!(canonical(&one) == canonical(&other), one == other);
    }
}

/// Streams of so few different texts that two of them are often alike, and texts that look like parts.
fn any_stream() -> impl Strategy<Value = crate::sse::Stream> {
    let text = || proptest::sample::select(vec!["", "data 1\nx\n", "[DONE]"]).prop_map(str::to_owned);
    let event = (text(), proptest::option::of(text()), proptest::option::of(text())).prop_map(|(name, data, id)| {
        let has_data = data.is_some();
        crate::sse::Event { event: Some(name), data: data.unwrap_or_default(), has_data, id, ..Default::default() }
    });
    let events = proptest::collection::vec(event.clone(), 0..3);
    (events, proptest::option::of(event)).prop_map(|(events, trailing)| crate::sse::Stream { events, trailing })
}
