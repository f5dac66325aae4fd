use exchange::{Body, Digests, End, Id, Redaction, Request, Role, Times, Transport};

use super::*;

fn asked(head: &[u8], body: &[u8]) -> Exchange {
    Exchange {
        id: Id([1; 16]),
        session: Id([2; 16]),
        sequence: 0,
        role: Role::Ingress,
        transport: Transport::Http1,
        request: Request {
            head: Head::new(head),
            body: Body {
                len: body.len() as u64,
                parts: vec![exchange::Part::from((0, body.len() as u64))],
                ..Body::default()
            },
        },
        interim: Vec::new(),
        response: None,
        end: End::Complete,
        times: Times::default(),
        trace: None,
        seeds: Vec::new(),
        fingerprint: None,
        context: exchange::Context::default(),
        digests: Digests::default(),
        redactions: Vec::new(),
        repeats: None,
    }
}

#[test]
fn a_request_becomes_a_command_that_says_which_values_are_pseudonyms() {
    let body = br#"{"text": "it's"}"#;
    let head = b"POST /tickets[1]?a=b HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nAuthorization: Bearer xyz\r\nX-Empty:\r\nContent-Length: 16\r\n\r\n";
    let mut exchange = asked(head, body);
    exchange.redactions = vec![Redaction { place: "request header:authorization".to_owned(), count: 1 }];
    insta::assert_snapshot!(curl_command(&exchange, "http://127.0.0.1:9000/", body), @r#"
    # header:authorization is a pseudonym: put the real value there
    curl --globoff --path-as-is --proto =http,https \
      --request 'POST' \
      --url 'http://127.0.0.1:9000/tickets[1]?a=b' \
      --header 'Content-Type: application/json' \
      --header 'Authorization: Bearer xyz' \
      --header 'X-Empty;' \
      --header 'Accept:' \
      --header 'User-Agent:' \
      --header 'Expect:' \
      --data-raw '{"text": "it'\''s"}'
    "#);
}

#[test]
fn nothing_recorded_gets_out_of_its_quotes_names_a_file_or_reaches_the_terminal() {
    let head = b"GET /';touch${IFS}x;' HTTP/1.1\r\n@/etc/passwd: 1\r\nX: a\x1b[2J'\xff\r\n-K: evil\r\n\r\n";
    let command = curl_command(&asked(head, b""), "file:///etc", b"\x00\x1b@file");
    insta::assert_snapshot!(command, @r"
    # left out, for its name: @/etc/passwd
    printf %s 'ABtAZmlsZQ==' | base64 -d |
    curl --globoff --path-as-is --proto =http,https \
      --request 'GET' \
      --url 'file:///etc/'\'';touch${IFS}x;'\''' \
      --header $'X: a\x1b[2J\'\xff' \
      --header '-K: evil' \
      --header 'Accept:' \
      --header 'User-Agent:' \
      --header 'Content-Type:' \
      --header 'Expect:' \
      --data-binary @-
    ");
    assert!(!command.contains('\x1b'));
}

#[test]
fn a_raw_stream_is_no_command() {
    assert!(curl_command(&asked(b"", b"\x16\x03"), "http://127.0.0.1:1", b"\x16\x03").starts_with('#'));
}
