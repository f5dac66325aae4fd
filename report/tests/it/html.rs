//! What can be said of the page without a browser.

use std::collections::BTreeMap;

use diff::{ExchangeResult, Failure, Unjudged, Verdict};
use exchange::{Body, Head};
use report::{
    BodyView, Outcome,
    html::{Case, Content, Look, Of, Report, report},
};
use serde_json::Value;

use crate::pages::{ATTACKS, alike_pairs, attack_page, attacks, exchanges, look, page};

/// The data blocks of a page by their ids.
fn blocks(page: &str) -> BTreeMap<String, Value> {
    let parts = page.split("<script type=\"application/json\" id=\"").skip(1);
    let block = |part: &str| {
        let (id, rest) = part.split_once("\">").unwrap();
        (id.to_owned(), serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap())
    };
    parts.map(block).collect()
}

fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    page.split_once(from).unwrap().1.split_once(to).unwrap().0
}

#[test]
fn no_text_of_a_recording_becomes_markup() {
    let attacks = ATTACKS.map(str::to_owned);
    let harmless: Vec<String> = (0..attacks.len()).map(|number| format!("text {number}")).collect();
    let (page, harmless) = (attack_page(&attacks), attack_page(&harmless));
    let tags = |page: &str| -> Vec<String> {
        let name = |at: usize| page[at + 1..].chars().take_while(|it| !" >\n".contains(*it)).collect();
        let mut tags: Vec<_> = page.match_indices('<').map(|(at, _)| name(at)).collect();
        tags.sort();
        tags
    };
    assert!(tags(&page) == tags(&harmless), "the same tags, whatever the texts are");
    let quotes = |page: &str| page.split("<script").next().unwrap().matches('"').count();
    assert_eq!(quotes(&page), quotes(&harmless), "no text leaves its attribute");
    assert!(!page.contains(['\0', '\u{1b}', '\u{202e}', '\u{2028}', '\u{9b}', '\r']));
}

#[test]
fn the_script_reads_each_text_as_it_was() {
    let attacks = attacks();
    let blocks = blocks(&attack_page(&attacks));
    for (number, text) in attacks.iter().enumerate() {
        let row = &blocks["index"]["rows"][number];
        assert!(row[2].as_str().unwrap().starts_with(&format!("POST {}", text.chars().take(100).collect::<String>())));
        let detail = &blocks["block-0"][number];
        assert_eq!(detail["result"]["comparison"]["changes"][0]["pointer"], *text);
        assert_eq!(detail["look"]["recorded"]["calls"][1]["dependency"], *text);
    }
}

#[test]
fn the_policy_names_the_one_script_and_the_one_style_and_forbids_all_else() {
    let page = page(&[], 3, true);
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src &#39;none&#39;; "), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    assert_eq!((page.matches("<script>").count(), page.matches("<style>").count()), (1, 1));
    assert_eq!(page.matches("</script").count(), page.matches("<script").count());
    assert!(!page.contains(" style=\"") && !page.contains(" onclick=") && !page.contains(" src="));
    let (script, style) = (between(&page, "<script>", "</script>"), between(&page, "<style>", "</style>"));
    assert!(!script.contains("innerHTML") && !script.contains("insertAdjacent"), "text is written as text");
    assert!(!style.contains("url(") && !style.contains("@import"));
}

#[test]
fn the_same_values_give_the_same_bytes() {
    assert_eq!(attack_page(&attacks()), attack_page(&attacks()));
    assert_eq!(page(&exchanges(80), 1, true), page(&exchanges(80), 1, true));
}

#[test]
fn it_opens_with_the_verdict_and_the_tally_and_then_says_what_differs() {
    let page = page(&exchanges(80), 1, true);
    assert!(page.contains("<title>failed: replay of case.retake · Retake</title>"));
    let tally = between(&page, "<ul class=\"tally\">", "</ul>");
    assert!(
        tally.contains("<b>8</b> changed") && tally.contains("<b>58</b> same") && tally.contains("of 81 exchanges"),
        "{tally}"
    );
    let clusters = between(&page, "id=\"clusters\"", "</section>");
    let counts: Vec<u64> = clusters
        .split("<td class=\"count\"><b>")
        .skip(1)
        .map(|row| row.split_once('<').unwrap().0.parse().unwrap())
        .collect();
    assert!(counts.len() > 3 && counts.iter().all(|count| *count > 0), "{counts:?}");
    assert!(clusters.contains("<code class=\"place\">/priority</code>"), "{clusters}");
    assert!(clusters.contains("<code>retake replay case.retake --ignore /id --only "), "{clusters}");
    assert!(page.find("id=\"clusters\"").unwrap() < page.find("id=\"exchanges\"").unwrap());
}

#[test]
fn the_word_is_the_exit_codes() {
    let of = |verdict, exit_code| {
        let result = ExchangeResult { verdict, ..exchanges(12).remove(11) };
        between(&page(&[result], exit_code, false), "<title>", ":").to_owned()
    };
    assert_eq!(of(Verdict::Same, 0), "same");
    assert_eq!(of(Verdict::Failed(Failure { reason: "nothing came".to_owned() }), 1), "failed");
    assert_eq!(of(Verdict::Unjudged(Unjudged::because("it has no counterpart")), 3), "unjudged");
    assert_eq!(of(Verdict::Same, 2), "trouble");
}

#[test]
fn nothing_is_called_same_that_was_not_compared_or_is_known_to_fail() {
    let result = |verdict| vec![ExchangeResult { verdict, ..exchanges(12).remove(11) }];
    let of = |cases: &[(Outcome, Option<Verdict>)]| {
        let results: Vec<_> =
            cases.iter().map(|(_, verdict)| verdict.clone().map(result).unwrap_or_default()).collect();
        let cases: Vec<_> = cases
            .iter()
            .zip(&results)
            .map(|((outcome, _), results)| Case {
                name: "a",
                notes: &[],
                exit_code: outcome.exit_code(),
                outcome: Some(*outcome),
                recorded: "a",
                replayed: "b",
                command: None,
                receipt: None,
                results,
                rules_used: &[],
                standings: &[],
                look: &|_| Look::default(),
            })
            .collect();
        let exit_code = cases.iter().map(|case| case.exit_code).max().unwrap_or(0);
        let page = report(&Report {
            title: "a",
            tool_version: "0",
            exit_code,
            of: Of::Exchanges,
            missing: &[],
            cases: &cases,
        });
        let badges: Vec<_> = page.match_indices("<span class=\"badge v-").map(|(at, _)| &page[at..]).collect();
        let badges: Vec<_> =
            badges.iter().map(|text| between(text, "aria-hidden=\"true\"></span>", "</span>").to_owned()).collect();
        format!("{}: {}", between(&page, "<title>", ":"), badges.join(", "))
    };
    let (known, skipped) = ((Outcome::KnownFailure, Some(Verdict::Changed)), (Outcome::Skipped, None));
    let same = (Outcome::Passed, Some(Verdict::Same));
    assert_eq!(of(&[known.clone(), known.clone()]), "known failure: known failure, known failure");
    assert_eq!(of(&[skipped.clone(), skipped.clone()]), "skipped: skipped, skipped");
    assert_eq!(of(&[known.clone(), skipped.clone()]), "known failure: known failure, skipped");
    assert_eq!(of(&[same.clone(), known, skipped]), "passed: same, known failure, skipped");
    assert_eq!(of(&[same.clone(), (Outcome::Passed, Some(Verdict::Noise))]), "noise: same, noise");
    assert_eq!(of(&[same.clone(), same.clone()]), "same: same, same");
    assert_eq!(of(&[same, (Outcome::NotRun, None)]), "unjudged: same, not run");
    assert_eq!(
        of(&[(Outcome::Passed, None), (Outcome::Passed, None)]),
        "nothing compared: nothing compared, nothing compared"
    );
}

#[test]
fn what_is_long_is_cut_and_the_page_stays_within_bounds() {
    let long = "x".repeat(200_000);
    let head = Head::new("HTTP/1.1 200 OK\r\n\r\n");
    let content = |text: &str| {
        let body = Body { parts: vec![(0, text.len() as u64).into()], len: text.len() as u64, ..Body::default() };
        Content::of(&BodyView { head: &head, body: &body, bytes: text.as_bytes(), started_ns: 0 })
    };
    let cut = content(&long);
    assert!(cut.cut && cut.body.len() < 20_000 && cut.len == 200_000);
    assert!(!content("abcd").cut);
    // 1,500 exchanges with four messages of 16 KiB each are 96 MiB; the page has 16 of them.
    let look = look("a", &long, &long, 9);
    let results = vec![exchanges(4).remove(3); 1_500];
    let case = Case {
        name: "a",
        notes: &[],
        exit_code: 1,
        outcome: None,
        recorded: "a",
        replayed: "b",
        command: None,
        receipt: None,
        results: &results,
        rules_used: &[],
        standings: &[],
        look: &|_| look.clone(),
    };
    let page = report(&Report {
        title: "a",
        tool_version: "0",
        exit_code: 1,
        of: Of::Exchanges,
        missing: &[],
        cases: &[case],
    });
    assert!(page.contains("\"without_bodies\":true"));
    assert!(page.len() < 24 << 20, "{}", page.len());
}

#[test]
fn bytes_shown_in_part_are_cut_and_text_without_a_last_line_feed_says_so() {
    let content = |kind: &str, bytes: &[u8]| {
        let head = Head::new(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n"));
        let body = Body { parts: vec![(0, bytes.len() as u64).into()], len: bytes.len() as u64, ..Body::default() };
        Content::of(&BodyView { head: &head, body: &body, bytes, started_ns: 0 })
    };
    let of = |kind: &str, bytes: &[u8]| (content(kind, bytes).cut, content(kind, bytes).unended);
    assert_eq!(of("application/octet-stream", &[0xff; 256]), (false, false));
    assert_eq!(of("application/octet-stream", &[0xff; 257]), (true, false));
    assert_eq!(of("text/plain", b"a"), (false, true));
    assert_eq!(of("text/plain", b"a\n"), (false, false));
    assert_eq!(of("text/plain", "a".repeat(20_000).as_bytes()), (true, false), "what is cut has no end to show");
    assert_eq!(of("application/json", b"{}"), (false, false), "a document's end is no difference");
    assert_eq!(of("application/json", b"{"), (false, true));
    for (kind, one, other) in alike_pairs() {
        let (one, other) = (content(kind, &one), content(kind, &other));
        assert!(
            one.unended != other.unended || (one.cut && other.cut),
            "{kind}: the reader is told that it is not all"
        );
    }
}

#[test]
fn members_of_json_are_shown_in_the_order_of_their_names() {
    let head = Head::new("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
    let text = r#"{"b":[{"d":1,"c":1.0}],"a":null}"#;
    let body = Body { parts: vec![(0, text.len() as u64).into()], len: text.len() as u64, ..Body::default() };
    let content = Content::of(&BodyView { head: &head, body: &body, bytes: text.as_bytes(), started_ns: 0 });
    insta::assert_snapshot!(content.body, @r#"
    {
      "a": null,
      "b": [
        {
          "c": 1.0,
          "d": 1
        }
      ]
    }
    "#);
}
