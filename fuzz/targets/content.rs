//! What bodies mean: encodings, events, JSON, and the canonical form, which stays as it is when it is read again.
#![no_main]

use content::{canonical, encoding, json, sse};
use exchange::{Head, Transport};
use fuzzed::parts_in;
use libfuzzer_sys::fuzz_target;

const DECODED_BYTES_MAX: u64 = 4 << 20;

fuzz_target!(|input: &[u8]| {
    let parts = parts_in(input);
    let [head, body, ..] = &parts[..] else { return };
    let head = Head::new(head.to_vec());
    if let Ok(decoded) = encoding::decode(&head, body, DECODED_BYTES_MAX) {
        assert!(decoded.len() as u64 <= DECODED_BYTES_MAX.max(body.len() as u64));
    }
    if let Ok(value) = json::parse(body) {
        let mut once = Vec::new();
        value.write_canonical(&mut once);
        let mut twice = Vec::new();
        json::parse(&once).expect("canonical JSON is JSON").write_canonical(&mut twice);
        assert_eq!(once, twice);
    }
    std::hint::black_box(sse::parse(body));
    std::hint::black_box(canonical::request(&head, body, Transport::Http1));
    std::hint::black_box(canonical::response(&head, body));
});
