//! `diff`.

use std::fs;

use tempfile::tempdir;

use serde_json::Value;

use crate::{
    recordings::{Told, bundle, store},
    retake,
    shipped::shipped,
};

#[test]
fn two_files_differ_by_pointer_and_a_rule_takes_a_field_out() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.json"), r#"{"id":1,"choices":[{"text":"yes"}]}"#).unwrap();
    fs::write(folder.path().join("b.json"), r#"{"choices":[{"text":"no"}],"id":2}"#).unwrap();
    let ran = retake(folder.path(), &["diff", "a.json", "b.json", "--ignore", "/id"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    insta::assert_snapshot!(ran.out, @r#"
    /choices/0/text  "yes" → "no"
    ignored: /id once
    1 change
    "#);
    let same = retake(folder.path(), &["diff", "a.json", "b.json", "--ignore", "/id", "--ignore", "/choices/*/text"]);
    assert_eq!(same.code, 0);
    assert_eq!(
        retake(folder.path(), &["diff", "a.json", "a.json", "--json"]).json()["schema"],
        "retake.document-comparison/0"
    );
}

#[test]
fn a_run_is_compared_with_what_it_repeats() {
    let folder = tempdir().unwrap();
    let production = [Told::default(), Told { number: 2, ..Told::default() }];
    let run = [
        Told { number: 11, repeats: Some(2), answered: Some(r#"{"answer":"no","id":9}"#), ..Told::default() },
        Told { number: 12, repeats: Some(1), answered: Some(r#"{"answer":"yes","id":9}"#), ..Told::default() },
    ];
    bundle(&folder.path().join("production.retake"), &production);
    bundle(&folder.path().join("run.retake"), &run);
    let ran = retake(folder.path(), &["diff", "production.retake", "run.retake", "--ignore", "/id"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    insta::assert_snapshot!(ran.out, @r#"
    changed   020202020202  POST /tickets  200
      /answer  "yes" → "no"
    ignored: /id 2 times
    1 changed, 1 same
    "#);
    let json = retake(folder.path(), &["diff", "production.retake", "run.retake", "--ignore", "/id", "--json"]).json();
    assert_eq!((&json["tally"]["same"], &json["tally"]["changed"]), (&1.into(), &1.into()));
}

/// An answer whose bytes are most of the file that it is written to.
fn long_answer(name: &str) -> String {
    let mut state = 1_u64;
    let mut digits = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    let text: String = (0..20_000).map(|_| digits()).collect();
    format!(r#"{{"name":"{name}","text":"{text}"}}"#)
}

#[test]
fn answers_whose_digests_are_equal_are_not_read() {
    let folder = tempdir().unwrap();
    let (answer, other) = (long_answer("a"), long_answer("b"));
    let laid_out = answer.replacen(',', ",\n  ", 1);
    let bundle = |name: &str, answered: &str, is_digested: bool| {
        let told = Told { answered: Some(answered), is_digested, ..Told::default() };
        bundle(&folder.path().join(name), &[told]);
    };
    bundle("damaged.retake", &answer, true);
    let path = folder.path().join("damaged.retake");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    bundle("same.retake", &answer, true);
    bundle("laid-out.retake", &laid_out, true);
    bundle("other.retake", &other, true);
    bundle("undigested.retake", &answer, false);
    let diff = |with: &str| retake(folder.path(), &["diff", "damaged.retake", with, "--json"]);
    for same in ["same.retake", "laid-out.retake"] {
        let ran = diff(same);
        assert_eq!(ran.code, 0, "{same}: {}", ran.err);
        assert_eq!(ran.json()["exchanges"][0]["comparison"], serde_json::json!({ "compared_as": "digest" }), "{same}");
    }
    // The damage lies in what is read where it has to be.
    for read in ["other.retake", "undigested.retake"] {
        let ran = diff(read);
        assert_eq!(ran.code, 2, "{read}: {}", ran.out);
        assert!(ran.err.contains("damaged"), "{read}: {}", ran.err);
    }
}

#[test]
fn files_that_are_longer_than_the_memory_they_may_take_are_refused_and_json_that_needs_more_is_compared_as_text() {
    let folder = tempdir().unwrap();
    let list = |last: &str| format!("[{}{last}]", "1,".repeat(1_000));
    fs::write(folder.path().join("a.json"), list("2")).unwrap();
    fs::write(folder.path().join("b.json"), list("3")).unwrap();
    let diff = |memory: &str| retake(folder.path(), &["diff", "a.json", "b.json", "--memory", memory, "--json"]);
    let ran = diff("3KiB");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    insta::assert_snapshot!(ran.err, @r"
    error: `a.json` and `b.json` have 3.9 KiB, more than the memory they may take
    help: give them more: `--memory 4GiB`
    ");
    let comparison = |memory: &str| diff(memory).json();
    let (text, json) = (comparison("100KiB"), comparison("1MiB"));
    assert_eq!((&text["compared_as"], &text["coarse"]), (&"text".into(), &true.into()), "{text}");
    assert_eq!((&json["compared_as"], &json["coarse"]), (&"json".into(), &serde_json::Value::Null), "{json}");
}

#[test]
fn a_page_for_a_browser_has_both_sides_and_is_the_same_each_time() {
    let folder = tempdir().unwrap();
    let production = [Told::default(), Told { number: 2, ..Told::default() }];
    let answered = Some(r#"{"answer":"<script>alert(1)</script>","id":9}"#);
    let run = [Told { number: 11, repeats: Some(2), answered, ..Told::default() }];
    bundle(&folder.path().join("production.retake"), &production);
    bundle(&folder.path().join("run.retake"), &run);
    let page = |name: &str| {
        let ran = retake(folder.path(), &["diff", "production.retake", "run.retake", "--html", name]);
        assert_eq!((ran.code, ran.err.as_str()), (1, ""));
        assert!(ran.out.contains("1 changed, 1 unjudged"), "{}", ran.out);
        fs::read_to_string(folder.path().join(name)).unwrap()
    };
    let one = page("one.html");
    assert!(one.starts_with("<!doctype html>") && one.ends_with("</html>\n"));
    assert!(one.contains("<title>changed: run.retake against production.retake · Retake</title>"));
    assert!(one.contains(r"\u003cscript\u003ealert(1)\u003c/script\u003e"), "the replayed body");
    assert!(one.contains(r#"\"answer\": \"yes\""#), "the recorded body");
    assert!(!one.contains("<script>alert"));
    assert_eq!(one, page("other.html"));
    assert_eq!(one, page("one.html"), "it takes the place of the one before");
}

#[test]
fn a_page_that_cannot_be_written_is_told_before_anything_is_compared() {
    let folder = tempdir().unwrap();
    bundle(&folder.path().join("a.retake"), &[Told::default()]);
    let ran = retake(folder.path(), &["diff", "a.retake", "a.retake", "--html", "nowhere/report.html"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.starts_with("error: cannot write `nowhere/report.html`\n"), "{}", ran.err);
    assert!(ran.err.ends_with("help: name a file in a folder that is there\n"), "{}", ran.err);
}

#[test]
fn two_files_have_a_page_too_that_speaks_of_files() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.json"), r#"{"text":"</script><script>alert(1)","score":0.1}"#).unwrap();
    fs::write(folder.path().join("b.json"), r#"{"score":0.2,"text":"no"}"#).unwrap();
    let ran =
        retake(folder.path(), &["diff", "a.json", "b.json", "--tolerance", "/score=abs:0.2", "--html", "page.html"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("<title>changed: b.json against a.json · Retake</title>"));
    assert!(page.contains("of 1 pair of files") && page.contains("tolerance /score=abs:0.2"));
    assert!(page.contains(r#"\"text\": \"no\""#) && !page.contains("<script>alert"));
    let ran = retake(folder.path(), &["diff", "a.json", "a.json", "--html", "page.html"]);
    assert_eq!(ran.code, 0);
    assert!(fs::read_to_string(folder.path().join("page.html")).unwrap().contains("<title>same: "));
}

#[test]
fn another_question_to_a_dependency_is_a_divergence_unless_a_rule_covers_it() {
    let folder = tempdir().unwrap();
    let call =
        |asked: &'static str| Told { number: 2, path: "/v1/chat", asked, call: Some(("model", 1)), ..Told::default() };
    bundle(&folder.path().join("a.retake"), &[Told::default(), call(r#"{"seed":7}"#)]);
    bundle(&folder.path().join("b.retake"), &[Told::default(), call(r#"{"seed":8}"#)]);
    let ran = retake(folder.path(), &["diff", "a.retake", "b.retake"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("1 diverged"), "{}", ran.out);
    assert_eq!(retake(folder.path(), &["diff", "a.retake", "b.retake", "--ignore", "dep:model:/seed"]).code, 0);
}

#[test]
fn two_captures_whose_listeners_had_other_ports_asked_the_same() {
    let folder = tempdir().unwrap();
    let capture = |port: &'static str| {
        let client = Told { number: port.len() as u8, host: port, ..Told::default() };
        let call =
            Told { number: 40 + client.number, path: "/v1/chat", call: Some(("model", client.number)), ..client };
        [client, call]
    };
    bundle(&folder.path().join("a.retake"), &capture("127.0.0.1:80"));
    bundle(&folder.path().join("b.retake"), &capture("127.0.0.1:35799"));
    let ran = retake(folder.path(), &["diff", "a.retake", "b.retake"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "1 same\n", ""));
}

#[test]
fn what_has_no_counterpart_is_inconclusive_and_never_a_pass() {
    let folder = tempdir().unwrap();
    bundle(&folder.path().join("a.retake"), &[Told::default()]);
    bundle(&folder.path().join("b.retake"), &[Told::default(), Told { number: 2, path: "/other", ..Told::default() }]);
    let ran = retake(folder.path(), &["diff", "a.retake", "b.retake"]);
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("no counterpart in `a.retake`"), "{}", ran.out);
}

#[test]
fn a_file_and_a_bundle_are_not_compared_and_a_bad_rule_is_named() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.json"), "{}").unwrap();
    bundle(&folder.path().join("b.retake"), &[Told::default()]);
    let ran = retake(folder.path(), &["diff", "a.json", "b.retake"]);
    assert_eq!(ran.code, 2);
    let ran = retake(folder.path(), &["diff", "a.json", "a.json", "--ignore", "id"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("`id`"), "{}", ran.err);
}

#[test]
fn two_exchanges_of_a_store_are_compared_by_their_ids() {
    let folder = tempdir().unwrap();
    let other = Told { number: 2, answered: Some(r#"{"answer":"no","id":1}"#), ..Told::default() };
    store(&folder.path().join(".retake"), &[Told::default(), other]);
    let ran = retake(folder.path(), &["diff", "0101", "0202"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains(r#"/answer  "yes" → "no""#), "{}", ran.out);
}

#[test]
fn what_only_runs_and_bundles_can_be_asked_is_refused_of_files_and_names_the_flag() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.json"), "{}").unwrap();
    bundle(&folder.path().join("b.retake"), &[Told::default()]);
    for (flags, named) in [
        (&["--margin", "0.05"][..], "--margin"),
        (&["--latency-margin", "0.5"], "--latency-margin"),
        (&["--learn"], "--learn"),
        (&["--noise", "profile.retake"], "--noise profile.retake"),
    ] {
        let ran = retake(folder.path(), &[&["diff", "a.json", "a.json"], flags].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{named}");
        let wanted =
            format!("error: `{named}` needs runs or bundles, and `a.json` and `a.json` are plain files\nhelp: ");
        assert!(ran.err.starts_with(&wanted), "{}", ran.err);
    }
    // What is said of all that is compared does not keep files from it.
    fs::write(folder.path().join("retake.toml"), "[diff]\nmargin = 0.05\nnoise = [\"profile.retake\"]\n").unwrap();
    let ran = retake(folder.path(), &["diff", "a.json", "a.json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    fs::remove_file(folder.path().join("retake.toml")).unwrap();
    // Of files no noise is known anyway.
    assert_eq!(retake(folder.path(), &["diff", "a.json", "a.json", "--noise", "none"]).code, 0);
    // Learning compares nothing, so neither a gate nor a page comes of it.
    for flags in [&["--margin", "0.05"][..], &["--html", "page.html"]] {
        let ran = retake(folder.path(), &[&["diff", "b.retake", "b.retake", "--learn"], flags].concat());
        assert!(ran.code == 2 && ran.err.contains("cannot be used with"), "{}", ran.err);
    }
}

/// Turns a bit of a file.
fn damage(path: &std::path::Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_damage_touches_is_unjudged_and_the_rest_is_judged() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("damaged.retake");
    fs::copy(shipped(), &path).unwrap();
    damage(&path, |len| len / 3);
    let (whole, damaged) = (shipped(), "damaged.retake");
    for names in [[whole.to_str().unwrap(), damaged], [damaged, whole.to_str().unwrap()]] {
        let ran = retake(folder.path(), &["diff", names[0], names[1], "--html", "page.html", "--json"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.starts_with("warning: `damaged.retake` cannot be read: damaged: "), "{}", ran.err);
        let document = ran.json();
        let exchanges = document["exchanges"].as_array().unwrap();
        let (unjudged, judged): (Vec<&Value>, Vec<&Value>) =
            exchanges.iter().partition(|exchange| exchange["verdict"] == "unjudged");
        assert!(!unjudged.is_empty() && !judged.is_empty(), "{}", document["tally"]);
        assert!(judged.iter().all(|exchange| exchange["verdict"] == "same"), "{}", document["tally"]);
        for exchange in unjudged {
            let reason = exchange["reason"].as_str().unwrap();
            assert!(reason.contains("damaged.retake` bytes "), "the place is told: {reason}");
            assert_eq!(exchange["replayed_id"], exchange["id"]);
        }
        assert!(fs::read_to_string(folder.path().join("page.html")).unwrap().ends_with("</html>\n"));
    }
    // Of a capture that is not whole nothing is learned.
    let ran = retake(folder.path(), &["diff", whole.to_str().unwrap(), damaged, "--learn"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.starts_with("error: damaged: "), "{}", ran.err);
}

#[test]
fn a_request_that_cannot_be_read_is_paired_with_nothing_and_its_exchange_says_why() {
    let folder = tempdir().unwrap();
    let asked = long_answer("asked");
    bundle(&folder.path().join("a.retake"), &[Told { asked: &asked, ..Told::default() }]);
    bundle(&folder.path().join("b.retake"), &[Told { number: 11, asked: &asked, ..Told::default() }]);
    let diff = |more: &[&str]| retake(folder.path(), &[&["diff", "a.retake", "b.retake"], more].concat());
    assert_eq!(diff(&[]).out, "1 same\n");
    damage(&folder.path().join("b.retake"), |len| len / 2);
    let ran = diff(&[]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    for wanted in [
        "\n  it has no counterpart in `b.retake` that can be read\n",
        "\n  `b.retake` cannot be read: damaged: `b.retake` bytes ",
        "\n2 unjudged\n",
    ] {
        assert!(ran.out.contains(wanted), "{wanted}{}", ran.out);
    }
    let ran = diff(&["--learn"]);
    assert!(ran.code == 2 && ran.err.contains("cannot be read"), "{}{}", ran.out, ran.err);
}

#[test]
fn an_answer_over_the_limit_is_unjudged_with_the_limit_and_the_rest_is_judged() {
    let folder = tempdir().unwrap();
    let answer = long_answer("long");
    let long = Told { answered: Some(&answer), answered_times: 900, ..Told::default() };
    bundle(&folder.path().join("long.retake"), &[long, Told { number: 2, ..Told::default() }]);
    let ran = retake(folder.path(), &["diff", "long.retake", "long.retake"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""), "{}", ran.out);
    insta::assert_snapshot!(ran.out, @r"
    unjudged  010101010101  POST /tickets  200
      a body of `long.retake` has 274.6 MiB, and at most 256.0 MiB of one are compared
    1 unjudged, 1 same
    ");
}
