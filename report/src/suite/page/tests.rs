use super::*;
use crate::suite::samples;

#[test]
fn a_case_is_a_line_in_capitals_where_somebody_has_to_look() {
    let suite = samples::suite();
    let lines: Vec<String> = suite.cases.iter().map(|case| case_line(case, 14, Style::PLAIN)).collect();
    assert_eq!(
        lines,
        [
            "CHANGED   bug-1234        1 of 2 exchanges  1.25 s",
            "CHANGED   checkout/total  1 of 1 exchange  1.25 s",
            "TROUBLE   damaged         -  block 3 does not verify",
            "changed   known           1 of 1 exchange  1.25 s",
            "NOT RUN   later           -",
            "skipped   off             -  needs a GPU",
            "same      steady          1 exchange  1.25 s",
            "VOID      void            0 exchanges  1.25 s  `/models` is not here",
        ]
    );
}

#[test]
fn a_reader_sees_what_failed_for_whom_why_and_what_to_type() {
    let text = suite_end(&samples::suite(), Style::PLAIN);
    let in_order = [
        "\nCHANGED bug-1234  BUG-1234, team-triage\n",
        "  why      an urgent ticket lost its priority\n",
        "  differs  1× POST /tickets /priority changed",
        "  run book https://wiki.example/triage\n",
        "  again    retake test cases --only bug-1234 --image triage:next\n",
    ];
    let mut at = 0;
    for wanted in in_order {
        let found = text[at..].find(wanted).unwrap_or_else(|| panic!("{wanted}\n{text}"));
        at += found + wanted.len();
    }
    for wanted in ["TROUBLE damaged\n  because  block 3 does not verify\n", "not run: later\n", "/priority changed"] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    let last = "1 could not be tested, 2 failed, 1 inconclusive, 1 not run, 1 known to fail, 1 skipped, 1 passed of 8 cases, --image triage:next\n";
    assert!(text.ends_with(last), "{text}");
}

#[test]
fn a_reader_sees_how_much_rules_and_noise_hid_in_cases_that_passed_too() {
    let suite = Suite { cases: vec![samples::noisy("noisy")], ..samples::suite() };
    let text = suite_end(&suite, Style::PLAIN);
    let wanted = "\nhidden by rules: /created 3×\nwithin measured noise: 3 differences in 2 exchanges: POST /tickets /id 2×, POST /tickets sse:/id 1×\n\n";
    assert!(text.contains(wanted), "{text}");
    assert!(case_line(&suite.cases[0], 5, Style::PLAIN).starts_with("noise     noisy  3 exchanges"));
    let failed = CaseResult { outcome: Outcome::Failed, verdict: "changed".to_owned(), ..samples::noisy("noisy") };
    let page = case_page(&failed, Style::PLAIN);
    assert!(page.contains("  noise    within measured noise: 3 differences in 2 exchanges: "), "{page}");
    assert!(!suite_end(&samples::suite(), Style::PLAIN).contains("noise"), "where there is none nothing is said");
}
