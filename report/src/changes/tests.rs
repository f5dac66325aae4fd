use diff::{Hunk, MissedCall, Unjudged};
use exchange::Id;

use super::*;

fn shown(text: &str) -> Option<Shown> {
    Some(Shown { text: text.to_owned(), len: text.len() as u64, digest: None })
}

fn change(pointer: &str, kind: ChangeKind, recorded: Option<Shown>, replayed: Option<Shown>) -> Change {
    let pointer = pointer.to_owned();
    Change {
        pointer,
        replayed_pointer: None,
        event: None,
        replayed_event: None,
        kind,
        recorded,
        replayed,
        text: None,
        vector: None,
        format: None,
        numbered_key: false,
    }
}

fn result(number: u8, verdict: Verdict, changes: Vec<Change>) -> ExchangeResult {
    ExchangeResult {
        id: Id([number; 16]),
        replayed_id: None,
        title: "POST /tickets".to_owned(),
        route: "POST /tickets".to_owned(),
        recorded_status: Some(200),
        replayed_status: Some(200),
        verdict,
        calls_reordered: false,
        trajectory: None,
        comparison: Some(Comparison { changes, compared_as: ComparedAs::Json, ..Comparison::default() }),
        repeated: None,
    }
}

#[test]
fn each_difference_is_a_line_and_the_worst_is_counted_first() {
    let long = "a".repeat(150);
    let mut in_event = change("sse:/delta", ChangeKind::Changed, shown(&long), shown(&format!("{long}b")));
    in_event.event = Some(3);
    in_event.text = Some(TextChange {
        first_difference: 150,
        recorded_excerpt: "…aaa".to_owned(),
        replayed_excerpt: "…aaab".to_owned(),
        ..TextChange::default()
    });
    let changes = vec![
        change("/choices/0/message/content", ChangeKind::Changed, shown("\"yes\""), shown("\"n\x1bo\"")),
        change("/usage", ChangeKind::Added, None, shown("{\"n\":1}")),
        change("header:x-model", ChangeKind::Removed, shown("small"), None),
        in_event,
    ];
    let missed = vec![MissedCall {
        asked: "model POST /v1/chat".to_owned(),
        nearest: Some("3fa9c1 differs in /seed: 7, asked 8".to_owned()),
    }];
    let diverged = Divergence {
        missed,
        never_asked: vec!["store POST /answers (090909090909)".to_owned()],
        ..Divergence::default()
    };
    let mut failed = result(3, Verdict::Unjudged(Unjudged::because("it has no counterpart")), Vec::new());
    (failed.replayed_status, failed.comparison) = (None, None);
    let results = [
        result(1, Verdict::Changed, changes),
        result(2, Verdict::Diverged(diverged), Vec::new()),
        failed,
        result(4, Verdict::Same, Vec::new()),
    ];
    let rules = [RuleUse { rule: "/id".to_owned(), pointer: "/id".to_owned(), count: 4, reason: None }];
    let compared = Compared {
        recorded: "a.retake",
        replayed: "b.retake",
        again: Again::Replay("retake replay a.retake --only"),
        results: &results,
        rules_used: &rules,
        noise_used: &[],
        paces: &[],
        standings: &[],
    };
    insta::assert_snapshot!(comparison_page(&compared, Style::PLAIN), @r#"
    differs  1× POST /tickets /choices/*/message/content changed, word → text: "yes" → "n\x1bo"; also /usage, header:x-model, sse:/delta; retake replay a.retake --only 010101010101
    differs  1× POST /tickets model POST /v1/chat not recorded: 3fa9c1 differs in /seed: 7, asked 8; also store POST /answers never asked; retake replay a.retake --only 020202020202

    changed   010101010101  POST /tickets  200
      /choices/0/message/content  "yes" → "n\x1bo"
      /usage  + {"n":1}
      header:x-model  - small
      event 3 sse:/delta  “…aaa” → “…aaab”  (from byte 150)
    diverged  020202020202  POST /tickets  200
      asked, and not recorded: model POST /v1/chat
        nearest: 3fa9c1 differs in /seed: 7, asked 8
      recorded, and never asked: store POST /answers (090909090909)
    unjudged  030303030303  POST /tickets  200 → -
      it has no counterpart
    ignored: /id 4 times
    1 diverged, 1 changed, 1 unjudged, 1 same
    "#);
}

#[test]
fn causes_that_are_not_shown_are_counted_and_a_command_shows_what_was_compared() {
    let results: Vec<ExchangeResult> = (1..=10)
        .map(|at| {
            let changed = change(&format!("/f{at}"), ChangeKind::Changed, shown("1"), shown("2"));
            ExchangeResult { replayed_id: Some(Id([at + 100; 16])), ..result(at, Verdict::Changed, vec![changed]) }
        })
        .collect();
    let lines = cluster_words_and_commands(&results, Again::Show("retake show b.retake"), 8, usize::MAX);
    assert_eq!(lines.len(), 8);
    assert!(lines[0].ends_with("/f1 changed, integer: 1 → 2; retake show b.retake 656565656565"), "{}", lines[0]);
    assert!(lines[7].ends_with("; and 2 more, in `--json`"), "{}", lines[7]);
    let long = format!("retake replay a.retake --process='{}' --only", "a".repeat(300));
    let lines = cluster_words_and_commands(&results, Again::Replay(&long), 10, 100);
    assert!(lines[1].ends_with("' --only 0a0a0a0a0a0a") && lines[1].starts_with("1× POST /tickets /f10 changed"));
}

#[test]
fn lines_of_a_text_are_shown_as_diff_shows_them() {
    let mut whole = change("", ChangeKind::Changed, shown("one two"), shown("one three"));
    whole.text = Some(TextChange {
        hunks: vec![Hunk {
            recorded_line: 2,
            replayed_line: 2,
            removed: vec!["two".to_owned()],
            added: vec!["three".to_owned()],
            lines_more: 0,
        }],
        ..TextChange::default()
    });
    let comparison = Comparison { changes: vec![whole], coarse: true, ..Comparison::default() };
    insta::assert_snapshot!(document_page(&comparison, Style::PLAIN), @r"
    (the whole body)  one two → one three
      @@ line 2 → 2
      - two
      + three
    (too large or too unlike for a fine comparison: a difference may be shown larger than it is)
    1 change
    ");
}

#[test]
fn a_line_feed_that_only_one_text_ends_with_is_said() {
    let comparison = diff::compare_documents(b"one\ntwo", b"one\ntwo\n", &diff::Rules::strict());
    insta::assert_snapshot!(document_page(&comparison, Style::PLAIN), @r"
    (the whole body)  one\ntwo → one\ntwo\n  (from word 2)
      @@ line 2 → 2
      - two
      + two
      (on one side alone the last line ends with a line feed)
    1 change
    ");
}

#[test]
fn equal_documents_say_so_in_one_word() {
    assert_eq!(document_page(&Comparison::default(), Style::PLAIN), "same\n");
    assert_eq!(tally_line(&Tally::default(), Style::PLAIN), "nothing to compare");
}

#[test]
fn where_texts_and_bytes_part_is_said_and_in_colour_marked() {
    let page = |one: &[u8], other: &[u8], style| {
        document_page(&diff::compare_documents(one, other, &diff::Rules::strict()), style)
    };
    let (one, other) = (
        br#"{"said":"The cat sat, he was tired of it all <b>and said so</b>."}"#,
        br#"{"said":"The dog sat, she was tired of it all <b>and said so</b>."}"#,
    );
    insta::assert_snapshot!(page(one, other, Style::PLAIN), @r#"
    /said  "The cat sat, he was tired of it all <b>and said so</b>." → "The dog sat, she was tired of it all <b>and said so</b>."
    1 change
    "#);
    let coloured = |one, other| page(one, other, Style::COLOURED).replace("\x1b[0m", ">").replace("\x1b[", "<");
    insta::assert_snapshot!(coloured(one, other), @r#"
    <36m/said>  <31m"The ><7;31mcat><31m sat, ><7;31mhe><31m was tired of it all <b>and said so</b>."> → <32m"The ><7;32mdog><32m sat, ><7;32mshe><32m was tired of it all <b>and said so</b>.">
    1 change
    "#);
    insta::assert_snapshot!(page(b"\x00\x01\xff", b"\x00\x02\xff", Style::PLAIN), @r#"
    (the whole body)  3 bytes → 3 bytes  (0x01 at byte 1 → 0x02 at byte 1)
    1 change
    "#);
    insta::assert_snapshot!(page(b"\x00\x01\xff", b"\x00\xff", Style::PLAIN), @r#"
    (the whole body)  3 bytes → 2 bytes  (0x01 at byte 1 → 0xff at byte 1)
    1 change
    "#);
    insta::assert_snapshot!(coloured(b"one\ntwo words\n", b"one\nthree words\n"), @r#"
    <36m(the whole body)>  <31mone\n><7;31mtwo><31m words\n> → <32mone\n><7;32mthree><32m words\n><2m  (from word 2)>
      <2m@@ line 2 → 2>
      <31m- ><7;31mtwo><31m words>
      <32m+ ><7;32mthree><32m words>
    1 change
    "#);
    // Nothing is marked where all is another.
    insta::assert_snapshot!(coloured(b"\"yes\"", b"\"no\""), @r#"
    <36m(the whole body)>  <31m"yes"> → <32m"no">
    1 change
    "#);
}

#[test]
fn an_element_at_its_old_place_among_others_is_not_said_to_have_moved_there() {
    let page = |one: &[u8], other: &[u8]| {
        document_page(&diff::compare_documents(one, other, &diff::Rules::strict()), Style::PLAIN)
    };
    insta::assert_snapshot!(page(b"[1,2,3,4,5,6]", b"[4,5,3,1,2,6]"), @r#"
    /0  moved to /3  1
    /1  moved to /4  2
    /2  moved among the others  3
    3 changes
    "#);
}

#[test]
fn pictures_that_cannot_be_decoded_are_said_to_be_compared_by_their_digests() {
    let file = change("/file", ChangeKind::Changed, shown("\"8 bytes, 12ab\""), shown("\"9 bytes, 34cd\""));
    let comparison =
        Comparison { changes: vec![file], coarse: true, compared_as: ComparedAs::Image, ..Comparison::default() };
    insta::assert_snapshot!(document_page(&comparison, Style::PLAIN), @r#"
    /file  "8 bytes, 12ab" → "9 bytes, 34cd"
    (not decoded on both sides: compared by size and digest)
    1 change
    "#);
}
