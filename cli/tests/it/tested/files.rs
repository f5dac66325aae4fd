//! What the files beside bundles say.

use super::{Suite, case, outcomes};
use crate::retake;

#[test]
fn every_bundle_of_a_folder_is_a_case_with_its_files_and_what_differs_is_a_failure() {
    let suite = Suite::new();
    let about = "ticket = 'BUG-3'\nowner = 'team-triage'\nwhy = 'the summary was cut'\nrun-book = 'https://wiki.example/3'\ntags = ['summary']\n";
    suite.case("steady", &[1, 2], "");
    suite.case("summaries/three", &[3], about);
    suite.case("summaries/known", &[13], "expect = 'changed'\n");
    suite.case("off", &[4], "skip = 'needs a GPU'\n");
    suite.case("repaired", &[6], "expect = 'failed'");
    let (code, document) = suite.document("summary", &[]);
    assert_eq!(
        outcomes(&document),
        [
            "off: skipped, skipped",
            "repaired: passed, same",
            "steady: passed, same",
            "summaries/known: known-failure, changed",
            "summaries/three: failed, changed",
        ]
    );
    assert_eq!((code, &document["exit_code"]), (1, &1.into()));
    assert_eq!(document["tally"]["failed"], 1);
    let three = case(&document, "summaries/three");
    assert_eq!((&three["ticket"], &three["run_book"]), (&"BUG-3".into(), &"https://wiki.example/3".into()));
    let change = &three["replays"][0]["results"][0]["comparison"]["changes"][0];
    assert_eq!((&change["pointer"], &change["kind"]), (&"/summary".into(), &"changed".into()));
    assert!(case(&document, "repaired")["notes"][0].as_str().unwrap().contains("take `expect` out"));
    // The command that is told does the same again.
    let told = three["reproduce"].as_str().unwrap();
    let words: Vec<String> = shlex::split(told).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(words[0], "retake");
    let again = retake(suite.folder.path(), &words[1..]);
    assert_eq!(again.code, 1, "{told}: {}{}", again.out, again.err);
    assert!(again.out.contains("1 failed of 1 case"), "{}", again.out);
}

#[test]
fn a_terminal_reads_a_line_for_each_case_then_what_failed_and_what_to_type() {
    let suite = Suite::new();
    suite.case("a", &[1], "");
    suite.case("b", &[3], "ticket = 'BUG-3'\nwhy = 'the summary was cut'\n");
    suite.case("c", &[13, 23], "");
    let ran = suite.test("summary", &["--jobs", "3"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let starts: Vec<String> =
        ran.out.lines().take(3).map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(starts, ["same a", "CHANGED b", "CHANGED c"], "{}", ran.out);
    for wanted in [
        "BUG-3",
        "the summary was cut",
        "/summary changed",
        "retake test cases --only b",
        "2 cases: b, c",
        "2 failed, 1 passed of 3 cases",
    ] {
        assert!(ran.out.contains(wanted), "{wanted}: {}", ran.out);
    }
}

#[test]
fn a_wrong_file_is_told_with_its_line_and_the_other_cases_are_still_tested() {
    let suite = Suite::new();
    suite.case("a", &[1], "owner = 'me'\nrepaet = 3\n");
    suite.case("b", &[2], "");
    suite.write("lost.toml", "ticket = 'BUG-9'\n");
    let ran = suite.test("", &[]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    for wanted in
        ["a.toml`, line 2", "did you mean `repeat`?", "same      b", "`cases/lost.toml` has no bundle beside it"]
    {
        assert!(ran.out.contains(wanted), "{wanted}: {}", ran.out);
    }
    for (text, wanted) in [
        ("expect = 'blue'", "pass, changed, failed, diverged, flaky"),
        ("flaky-max = 1.5\nrepeat = 5", "a rate from 0 to below 1"),
        ("flaky-max = 0.1", "needs `repeat`"),
        ("timeout = 'soon'", "unit `soon`"),
        ("ignore = [{ pointer = '/a', untill = 2027-01-01 }]", "there is no `untill`"),
        ("ignore = [{ pointer = '/a', reason = 'r', until = 'soon' }]", "is no day"),
        ("ignore = [{ pointer = '/a' }]", "the rule has no `reason`"),
        ("tolerance = ['/a=near']", "a.toml"),
        ("ignore = ['a']", "no rule"),
        ("cpus = 0", "1 or more"),
    ] {
        suite.write("a.toml", text);
        let told = retake(suite.folder.path(), &["test", "cases", "--list", "--only", "a"]);
        assert!(told.code == 2 && told.out.contains("a.toml"), "{text}: {}{}", told.out, told.err);
        assert!(
            told.out.contains(wanted) || suite.document("", &["--list", "--only", "a"]).1.to_string().contains(wanted),
            "{text}: {}",
            told.out
        );
    }
}

#[test]
fn a_rule_counts_until_its_last_day_and_then_it_is_said_that_it_does_not() {
    let suite = Suite::new();
    let rule = |until: &str| {
        format!("ignore = [{{ pointer = '/summary', reason = 'it is being rewritten', until = {until} }}]\n")
    };
    suite.case("held", &[3], &rule("2999-12-31"));
    suite.case("over", &[13], &rule("2020-01-31"));
    let (code, document) = suite.document("summary", &[]);
    assert_eq!(
        (code, outcomes(&document)),
        (1, vec!["held: passed, same".to_owned(), "over: failed, changed".to_owned()])
    );
    assert!(case(&document, "over")["notes"][0].as_str().unwrap().contains("ended on 2020-01-31"));
    let used = case(&document, "held")["replays"][0]["receipt"]["rules"].as_array().unwrap();
    let summary = used.iter().find(|used| used["rule"] == "/summary").unwrap();
    assert_eq!((&summary["reason"], &summary["until"]), (&"it is being rewritten".into(), &"2999-12-31".into()));
}

#[test]
fn a_case_may_be_as_flaky_as_its_file_allows_and_the_interval_decides() {
    let suite = Suite::new();
    let coins = suite.tickets.ending_in(7, |answer| answer["category"] != "other");
    let coin = *coins.first().expect("a ticket with a category of its own");
    let file = |allowed: &str, repeat: &str| format!("repeat = {repeat}\ndeterminism = 0\nflaky-max = {allowed}\n");
    // The defect hits 10 of 16; 95 % intervals of 20 repeats are about 40 points wide.
    suite.case("allowed", &[coin], &file("0.99", "20"));
    suite.case("above", &[coin], &file("0.01", "20"));
    suite.case("open", &[coin], &file("0.6", "20"));
    suite.case("strict", &[coin], "repeat = 20\ndeterminism = 0\n");
    suite.case("steady", &[1], &file("0.01", "2"));
    let (code, document) = suite.document("coin", &[]);
    let found = outcomes(&document);
    assert_eq!(found[0], "above: failed, flaky", "{found:?}");
    assert_eq!(found[1], "allowed: passed, flaky", "{found:?}");
    assert_eq!(found[3..], ["steady: passed, same", "strict: failed, flaky"], "{found:?}");
    // By chance, the third is most often in between.
    assert!(found[2].ends_with("flaky"), "{found:?}");
    assert_eq!(code, 1);
    assert!(case(&document, "allowed")["notes"].to_string().contains("at or below the 99 % that are allowed"));
}

#[test]
fn a_case_that_takes_too_long_is_stopped_and_was_not_judged() {
    let suite = Suite::new();
    suite.case("slow", &[1], "timeout = '1s'\nprocess = '/bin/sleep 600'\nready-timeout = '60s'\n");
    suite.case("quick", &[2], "");
    let ran = retake(suite.folder.path(), &["test", "cases", "--only", "slow"]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("within its timeout of 1 s"), "{}", ran.out);
}
