use proptest::prelude::*;

use super::*;

fn request(text: &str) -> Result<RequestFacts, Unclear> {
    read_request(&Head::new(text.as_bytes()))
}

fn response_to(method: &str, text: &str) -> Result<ResponseFacts, Unclear> {
    let asked = request(&format!("{method} / HTTP/1.1\r\n\r\n")).unwrap();
    read_response(&Head::new(text.as_bytes()), &asked)
}

#[test]
fn a_head_ends_at_its_blank_line_whichever_line_ends_it_uses() {
    fn found(text: &str) -> Option<&str> {
        match find_head_end(text.as_bytes(), 0) {
            HeadEnd::Found { start, end } => Some(&text[start..end]),
            HeadEnd::Partial { .. } => None,
        }
    }
    assert_eq!(found("GET / HTTP/1.1\r\nA: b\r\n\r\nbody"), Some("GET / HTTP/1.1\r\nA: b\r\n\r\n"));
    assert_eq!(found("GET / HTTP/1.1\nA: b\n\nbody"), Some("GET / HTTP/1.1\nA: b\n\n"));
    assert_eq!(found("\r\n\nGET / HTTP/1.1\r\n\r\n"), Some("GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(found("GET / HTTP/1.1\r\nA: b\r\n"), None);
    assert_eq!(found("\r\n\r\n"), None);
}

proptest! {
    #[test]
    fn a_head_that_comes_in_pieces_ends_where_it_ends_in_one(text in "(\r\n){0,2}G[a\r\n:]{0,40}", cut in 0usize..40) {
        let bytes = text.as_bytes();
        let cut = cut.min(bytes.len());
        let whole = find_head_end(bytes, 0);
        let pieced = match find_head_end(&bytes[..cut], 0) {
            HeadEnd::Partial { resume_at } => find_head_end(bytes, resume_at),
            found => found,
        };
        prop_assert_eq!(whole, pieced);
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_ends_where_its_first_blank_line_does(text in "[\r\n]{0,3}[Ga\r\n: ]{0,40}") {
        let bytes = text.as_bytes();
        let mut resume_at = 0;
        let mut found = None;
        for len in 0..=bytes.len() {
            match find_head_end(&bytes[..len], resume_at) {
                HeadEnd::Partial { resume_at: next } => resume_at = next,
                HeadEnd::Found { start, end } => {
                    found = Some((start, end));
                    break;
                }
            }
        }
        // Slow and obvious: the first line end after which a blank line follows, blank lines at the beginning left out.
        let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let ends = (start..=bytes.len()).find(|&end| [&b"\n\n"[..], b"\n\r\n"].iter().any(|blank| bytes[start..end].ends_with(blank)));
        prop_assert_eq!(found, ends.map(|end| (start, end)));
    }

    #[test]
    fn no_bytes_make_reading_a_head_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let head = Head::new(bytes.clone());
        let facts = RequestFacts { is_head: false, is_connect: false, is_http10: false, expects_continue: false, wants_close: false, framing: Framing::None };
        prop_assert!(read_request(&head).is_err() || may_become_request(&bytes));
        prop_assert!(read_response(&head, &facts).is_err() || may_become_response(&bytes));
        find_head_end(&bytes, bytes.len() / 2);
    }
}

#[test]
fn a_request_without_length_has_no_body_and_a_response_without_one_lasts_until_close() {
    assert_eq!(request("GET / HTTP/1.1\r\n\r\n").unwrap().framing, Framing::None);
    assert_eq!(response_to("GET", "HTTP/1.1 200 OK\r\n\r\n").unwrap().framing, Framing::UntilClose);
}

#[test]
fn lengths_and_chunks_are_told_whatever_the_case() {
    assert_eq!(request("POST / HTTP/1.1\r\ncOnTeNt-LeNgTh:  12 \r\n\r\n").unwrap().framing, Framing::Length(12));
    assert_eq!(
        request("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n").unwrap().framing,
        Framing::Length(5)
    );
    assert_eq!(
        request("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n").unwrap().framing,
        Framing::Chunked
    );
}

#[test]
fn what_two_servers_could_read_differently_is_unclear() {
    let unclear = |fields: &str| request(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n")).unwrap_err();
    assert_eq!(unclear("Content-Length: 5\r\nTransfer-Encoding: chunked"), Unclear::LengthAndEncoding);
    assert_eq!(unclear("Content-Length: 5\r\nContent-Length: 6"), Unclear::BadLength);
    assert_eq!(unclear("Content-Length: 5, 5"), Unclear::BadLength);
    assert_eq!(unclear("Content-Length: +5"), Unclear::BadLength);
    assert_eq!(unclear("Content-Length: 99999999999999999999"), Unclear::BadLength);
    assert_eq!(unclear("Content-Length:"), Unclear::BadLength);
    assert_eq!(unclear("Transfer-Encoding: xchunked"), Unclear::BadEncoding);
    assert_eq!(unclear("Transfer-Encoding: chunked, identity"), Unclear::BadEncoding);
    assert_eq!(unclear("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), Unclear::BadEncoding);
    assert_eq!(unclear("Content-Length : 5"), Unclear::OddField);
    assert_eq!(unclear("Transfer-Encoding:\r\n chunked"), Unclear::OddField);
    assert_eq!(unclear(" Content-Length: 5"), Unclear::OddField);
    assert_eq!(unclear("A: b\rContent-Length: 5"), Unclear::LoneCarriageReturn);
    assert_eq!(request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(Unclear::BadEncoding));
}

#[test]
fn a_folded_line_elsewhere_changes_nothing() {
    let facts = request("POST / HTTP/1.1\r\nA: b\r\n Content-Length: 7\r\nContent-Length: 5\r\n\r\n").unwrap();
    assert_eq!(facts.framing, Framing::Length(5));
}

#[test]
fn answers_that_never_have_a_body_have_none_whatever_their_head_says() {
    assert_eq!(response_to("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").unwrap().framing, Framing::None);
    assert_eq!(
        response_to("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n").unwrap().framing,
        Framing::None
    );
    assert_eq!(response_to("GET", "HTTP/1.1 204 No Content\r\n\r\n").unwrap().framing, Framing::None);
    assert!(response_to("GET", "HTTP/1.1 103 Early Hints\r\n\r\n").unwrap().is_interim);
    assert!(response_to("GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap().is_upgrade);
    assert!(response_to("CONNECT", "HTTP/1.1 200 OK\r\n\r\n").unwrap().is_upgrade);
}

#[test]
fn what_is_not_http1_is_told_from_its_first_bytes() {
    assert!(may_become_request(b""));
    assert!(may_become_request(b"\r\nPO"));
    assert!(may_become_request(b"GET /a[b]?x=<y>\xc3\xa4 HTTP/1.1\r\n"));
    assert!(!may_become_request(b"\x16\x03\x01"));
    assert!(!may_become_request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    assert!(!may_become_request(b"GET /\r\n"));
    assert!(!may_become_request(b"get:up"));
    assert!(!may_become_request(b"AB\0"));
    assert!(may_become_response(b"HT"));
    assert!(!may_become_response(b"SSH-2.0"));
}

#[test]
fn the_connection_ends_where_the_head_says_so() {
    assert!(request("GET / HTTP/1.1\r\nConnection: TE, Close\r\n\r\n").unwrap().wants_close);
    assert!(!request("GET / HTTP/1.1\r\n\r\n").unwrap().wants_close);
    assert!(request("GET / HTTP/1.0\r\n\r\n").unwrap().wants_close);
    assert!(!request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().wants_close);
}
