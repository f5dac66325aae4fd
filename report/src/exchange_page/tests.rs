use exchange::{
    Body, Chunk, ClockPair, Digests, HostEnvironment, Id, Parent, Part, Redaction, Request, Response, Role, Seed,
    Times, Trace,
};

use super::*;

fn body(len: usize, at_ns: u64) -> Body {
    let parts = vec![Part::from((0, len as u64))];
    Body { parts, len: len as u64, chunks: vec![Chunk { offset: 0, at_ns }], ..Body::default() }
}

const ASKED: &[u8] = br#"{"text":"no light","seed":7}"#;
const ANSWERED: &[u8] = b"data: {\"t\":\"a\"}\n\n";

fn call_of_a_service() -> Exchange {
    let head = "POST /v1/chat HTTP/1.1\r\nAuthorization: Bearer abc\r\nContent-Type: application/json\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-odd: \x1b]0;owned\x07\r\n\r\n";
    let parent =
        Parent { id: Id([3; 16]), certainty: Certainty::Ambiguous, candidates: vec![Id([3; 16]), Id([4; 16])] };
    Exchange {
        id: Id([1; 16]),
        session: Id([2; 16]),
        sequence: 0,
        role: Role::Dependency { name: "model".to_owned(), parent: Some(parent) },
        transport: Transport::Http1,
        request: Request { head: Head::new(head), body: body(ASKED.len(), 1_100_000) },
        interim: Vec::new(),
        response: Some(Response { head: Head::new(answer), body: body(ANSWERED.len(), 9_000_000) }),
        end: End::Complete,
        times: Times {
            started_ns: 1_000_000,
            request_ended_ns: Some(1_200_000),
            response_started_ns: Some(8_000_000),
            ended_ns: 9_500_000,
        },
        trace: Some(Trace { trace_id: "a".repeat(32), span_id: "b".repeat(16), made: true }),
        seeds: vec![Seed { place: SeedPlace::Request, pointer: "/seed".to_owned(), value: "7".to_owned() }],
        fingerprint: None,
        context: exchange::Context::default(),
        digests: Digests::default(),
        redactions: vec![Redaction { place: "request header:authorization".to_owned(), count: 1 }],
        repeats: None,
    }
}

#[test]
fn a_page_has_what_is_known_first_and_then_what_was_said() {
    let exchange = call_of_a_service();
    let started = ClockPair { monotonic_ns: 0, wall_unix_ns: 1_795_460_651_000_000_000 };
    let session = Session {
        id: Id([2; 16]),
        tool_version: String::new(),
        started,
        listeners: Vec::new(),
        service_version: None,
        command: Vec::new(),
        conversation: None,
    };
    let fingerprint = Fingerprint {
        subject: Subject::Unknown,
        host: HostEnvironment { architecture: "x86_64".to_owned(), cpu_count: 2, ..HostEnvironment::default() },
        packages: Vec::new(),
    };
    let page = ExchangePage {
        trajectory: None,
        exchange: &exchange,
        session: Some(&session),
        children: &[],
        fingerprint: Some(&fingerprint),
        request_body: ASKED,
        response_body: ANSWERED,
    };
    let text = exchange_page(&page, Style::PLAIN);
    insta::assert_snapshot!(text, @r#"
    id        01010101010101010101010101010101
    what      POST /v1/chat: a call of the service to `model`
    began     2026-11-23 19:04:11.001 UTC, 1.0 ms into session 020202020202
    times     request in 200 µs, answer after 7.0 ms, ended after 8.5 ms (the proxy's)
    stream    1 event in 1 read, first event after 8.0 ms
    end       complete
    parent    03030303030303030303030303030303 or another (ambiguous: 030303030303, 040404040404)
    trace     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa span bbbbbbbbbbbbbbbb (made by the proxy)
    seed      request /seed = 7
    redacted  1 × request header:authorization
    service   not known: the capture was not told container or process
    host      x86_64, 2 × CPU of unknown model

    Request (28 B of body)
    POST /v1/chat HTTP/1.1
    Authorization: Bearer abc
    Content-Type: application/json

    {
      "text": "no light",
      "seed": 7
    }

    Response (17 B of body)
    HTTP/1.1 200 OK
    content-type: text/event-stream
    x-odd: \x1b]0;owned\x07

    — 0 +8.0 ms
    {"t":"a"}
    "#);
    assert!(!text.contains('\x1b'));
}

#[test]
fn the_record_for_machines_has_both_bodies_as_sent() {
    let exchange = call_of_a_service();
    let page = ExchangePage {
        trajectory: None,
        exchange: &exchange,
        session: None,
        children: &[],
        fingerprint: None,
        request_body: ASKED,
        response_body: b"\xff\x00",
    };
    let read: Value = serde_json::from_str(&page.to_json()).unwrap();
    assert_eq!(read["schema"], "retake.exchange/0");
    assert_eq!(read["request_body"]["text"], std::str::from_utf8(ASKED).unwrap());
    assert_eq!(read["response_body"]["base64"], "/wA=");
    assert_eq!(serde_json::from_value::<Exchange>(read["exchange"].clone()).unwrap(), exchange);
}

#[test]
fn a_stream_says_when_its_first_token_came_and_how_long_it_paused() {
    let role = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let token = |text: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
        )
    };
    let events = [role.to_owned(), token("Hel"), token("lo"), token("!"), "data: [DONE]\n\n".to_owned()];
    let mut exchange = call_of_a_service();
    let body = &mut exchange.response.as_mut().unwrap().body;
    let at_ms = [5, 11, 14, 34, 34];
    let mut offset = 0;
    body.chunks.clear();
    for (event, at_ms) in events.iter().zip(at_ms) {
        body.chunks.push(Chunk { offset, at_ns: 1_000_000 + at_ms * 1_000_000 });
        offset += event.len() as u64;
    }
    let pace = StreamPace::of(&exchange, events.concat().as_bytes()).unwrap();
    assert_eq!(pace.words(), "5 events in 5 reads, first token after 11.0 ms, pauses of 3.0 ms (median) to 20.0 ms");
    exchange.response.as_mut().unwrap().head = Head::new("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
    assert_eq!(StreamPace::of(&exchange, b"{}"), None);
}
