//! Two bodies of one content type compared: nothing panics, a body equals itself, swapping sides swaps the result, and what is listed as
//! different and what counts as the outcome agree; JSON that is read beside another document is what it is by itself.
#![no_main]

use std::sync::Arc;

use content::json;
use diff::{Output, Route, Rules, compare_documents, compare_responses, outcome_bytes};
use exchange::Head;
use fuzzed::parts_in;
use libfuzzer_sys::fuzz_target;

const TYPES: [&str; 12] = [
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=m",
    "text/html",
    "application/grpc",
    "application/x-protobuf",
    "image/png",
    "image/jpeg",
    "audio/wav",
];

fuzz_target!(|input: &[u8]| {
    let Some((which, rest)) = input.split_first() else { return };
    let parts = parts_in(rest);
    let [one, other, ..] = &parts[..] else { return };
    let content_type = TYPES[usize::from(*which) % TYPES.len()];
    let head = Head::new(format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n"));
    let (rules, route) = (Rules::strict(), Route::default());
    let output = |body| Output { head: &head, body, complete: true, whole: true };
    let comparison = compare_responses(&output(one), &output(other), &rules, &route);
    let mirrored = compare_responses(&output(other), &output(one), &rules, &route).mirrored();
    assert_eq!(comparison.changes, mirrored.changes);
    assert!(compare_responses(&output(one), &output(one), &rules, &route).is_equal());
    let outcome = |body| outcome_bytes(&output(body), &rules, &route);
    assert_eq!(comparison.is_equal(), outcome(one) == outcome(other));
    let part = Output { complete: false, ..output(one) };
    std::hint::black_box(compare_responses(&part, &output(other), &rules, &route));
    std::hint::black_box(compare_documents(one, other, &rules));
    if let Ok(like) = json::parse_tree(one, usize::MAX).map(Arc::new) {
        let read = json::parse_tree(other, usize::MAX).ok().map(|tree| (tree.len(), tree.root().to_value()));
        let alike = json::parse_tree_like(other, usize::MAX, &like);
        assert_eq!(alike.ok().map(|tree| (tree.len(), tree.root().to_value())), read);
    }
});
