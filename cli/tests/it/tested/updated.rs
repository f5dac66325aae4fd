//! `--update`: answers that are right from now on.

use std::fs;

use bundle::{ANSWERS_ACCEPTED, Archive};

use super::{Suite, outcomes};
use crate::retake;

#[test]
fn the_answers_of_a_run_become_the_expected_ones_and_the_bundle_says_what_it_replaces() {
    let suite = Suite::new();
    suite.case("three", &[3, 4], "ticket = 'BUG-3'\n");
    suite.case("five", &[1, 5], "");
    let path = suite.path("three.retake");
    let before = Archive::open_verified(&path).unwrap();
    let (digest, count) = (before.digest(), before.entries().len());
    let refused = suite.test("summary", &["--update"]);
    assert!(refused.code == 2 && refused.err.contains("say --yes"), "{}", refused.err);
    assert_eq!(Archive::open_verified(&path).unwrap().digest(), digest);

    let ran = suite.test("summary", &["--update", "--yes", "--only", "three"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("/summary") && ran.out.contains("1 passed of 1 case"), "{}{}", ran.out, ran.err);
    let after = Archive::open_verified(&path).unwrap();
    assert_eq!(after.entries().len(), count, "requests and calls are what they were");
    let event = after.events().map(Result::unwrap).find(|event| event.kind == ANSWERS_ACCEPTED).unwrap();
    assert_eq!(event.data["replaces"], serde_json::to_value(digest).unwrap());
    assert_eq!(event.links.len(), 1, "the answer that was the same stays production's");
    let inspected = retake(suite.folder.path(), &["inspect", "cases/three.retake"]).out;
    let told = format!(", in place of those of the bundle {}", digest.unwrap());
    assert!(inspected.contains("accepted     1 answer of run ") && inspected.contains(&told), "{inspected}");
    assert_eq!(retake(suite.folder.path(), &["verify", "cases/three.retake"]).code, 0);
    assert_eq!(fs::read_dir(suite.path("")).unwrap().count(), 4, "nothing is left beside it");

    let (code, document) = suite.document("summary", &["--only", "three"]);
    assert_eq!((code, outcomes(&document)), (0, vec!["three: passed, same".to_owned()]));
    let (code, _) = suite.document("", &["--only", "three"]);
    assert_eq!(code, 1, "what was right before is wrong now");
    // A status is an answer too.
    assert_eq!(suite.test("status", &["--update", "--yes", "--only", "five"]).code, 0);
    assert_eq!(suite.test("status", &["--only", "five"]).code, 0);
}

#[test]
fn what_asked_something_else_is_not_taken_over() {
    let suite = Suite::new();
    suite.case("a", &[1], "");
    let bytes = fs::read(suite.path("a.retake")).unwrap();
    let process = format!("/usr/bin/env LLM_MODEL=other {}", super::process(""));
    let ran = retake(suite.folder.path(), &["test", "cases", "--process", &process, "--update", "--yes"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("record it anew"), "{}", ran.err);
    assert_eq!(fs::read(suite.path("a.retake")).unwrap(), bytes);
}
