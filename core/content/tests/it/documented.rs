//! `docs/format.md` says what canonical content is, so that others can make the same digests: it has to be true.

use content::canonical::{self, HEADERS_LEFT_OUT};
use exchange::{Head, Transport};

fn page() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_example_of_canonical_content_is_what_is_digested() {
    let head = "POST /v1/chat HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer x\r\n\r\n";
    let (head, body) = (Head::new(head), br#"{"b": 1.0, "a": 2}"#);
    let canonical = String::from_utf8(canonical::request(&head, body, Transport::Http1)).unwrap();
    assert!(page().contains(&format!("```text\n{canonical}\n```")), "{canonical}");
    let digest = canonical::request_digest(&head, body, Transport::Http1);
    assert!(page().contains(&format!("has the digest `{digest}`")), "{digest}");
}

#[test]
fn every_header_field_that_does_not_count_is_listed_and_no_other_is() {
    let page = page();
    let reasons = ["hop by hop, framing", "credentials", "trace context", "time", "names of one request"];
    for (reason, (class, names)) in reasons.into_iter().zip(HEADERS_LEFT_OUT) {
        let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        assert!(page.contains(&format!("| {reason} | {} |", listed.join(", "))), "{class:?}");
    }
}

#[test]
fn the_limits_are_those_of_the_page() {
    let page = page();
    let words: Vec<&str> = page.split_whitespace().collect();
    let page = words.join(" ");
    assert!(page.contains("at most 1,048,576 values") && canonical::VALUES_MAX == 1_048_576);
    assert!(page.contains("at most 262,144 events, comments and fields") && canonical::ITEMS_MAX == 262_144);
    assert!(page.contains("8 MiB as sent or decoded") && canonical::BODY_BYTES_MAX == 8 << 20);
    assert!(page.contains("at most 128 arrays and objects") && content::json::DEPTH_MAX == 128);
}
