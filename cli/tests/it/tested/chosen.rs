//! Which cases are tested, in parts and put together again.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::{Suite, outcomes};
use crate::{
    Ran, command, retake,
    untrue::{eventually, send_signal},
};

fn names(document: &Value) -> Vec<String> {
    document["cases"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap().to_owned()).collect()
}

fn listed(suite: &Suite, more: &[&str]) -> Vec<String> {
    names(&retake(suite.folder.path(), &[&["test", "cases", "--list", "--json"][..], more].concat()).json())
}

#[test]
fn cases_are_chosen_by_name_folder_ticket_tag_and_pattern_and_a_slip_is_told() {
    let suite = Suite::new();
    suite.case("a/one", &[1], "ticket = 'BUG-1'\ntags = ['slow']\n");
    suite.case("a/two", &[2], "");
    suite.case("b", &[3], "tags = ['slow', 'big']\n");
    for (patterns, wanted) in [
        (&["--only", "a"][..], &["a/one", "a/two"][..]),
        (&["--only", "BUG-1"], &["a/one"]),
        (&["--only", "tag:slow"], &["a/one", "b"]),
        (&["--only", "*o", "--only", "b"], &["a/two", "b"]),
    ] {
        assert_eq!(listed(&suite, patterns), wanted, "{patterns:?}");
    }
    let ran = retake(suite.folder.path(), &["test", "cases", "--only", "a/tow"]);
    assert!(ran.code == 2 && ran.err.contains("did you mean `a/two`?"), "{}", ran.err);
    let ran = retake(suite.folder.path(), &["test", "nowhere"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}

#[test]
fn what_failed_is_tested_again_until_it_passes() {
    let suite = Suite::new();
    suite.case("a", &[1], "");
    suite.case("b", &[3], "");
    suite.case("c", &[5], "");
    let before = suite.test("", &["--failed"]);
    assert!(before.code == 2 && before.err.contains("knows of no test"), "{}", before.err);
    assert_eq!(suite.test("summary,status", &[]).code, 1);
    let (code, document) = suite.document("status", &["--failed"]);
    assert_eq!((code, outcomes(&document)), (1, vec!["b: passed, same".to_owned(), "c: failed, changed".to_owned()]));
    let (code, document) = suite.document("", &["--failed"]);
    assert_eq!((code, names(&document)), (0, vec!["c".to_owned()]));
    let (code, document) = suite.document("", &["--failed"]);
    assert_eq!((code, names(&document)), (0, Vec::new()));
}

fn git(folder: &Path, words: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").arg("-C").arg(folder).args(identity).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_changed_since_a_commit_is_known_by_git_committed_or_not() {
    let suite = Suite::new();
    let folder = suite.folder.path();
    for (name, record) in [("a", 1), ("b", 2), ("deep/c", 3), ("d", 4)] {
        suite.case(name, &[record], "owner = 'me'\n");
    }
    // Named by files of cases, outside of their folder.
    let rules = |day: &str| format!("[[ignore]]\npointer = '/id'\nreason = 'fresh'\nuntil = '{day}'\n");
    fs::write(folder.join("shared.toml"), rules("2999-01-01")).unwrap();
    fs::create_dir(folder.join("models")).unwrap();
    fs::write(folder.join("models/one"), "1").unwrap();
    suite.case("e", &[1], "rules = '../shared.toml'\n");
    suite.case("f", &[2], "mount = '/models=../models'\n");
    git(folder, &["init", "--quiet", "--initial-branch=main"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "-m", "one"]);
    git(folder, &["switch", "--quiet", "-c", "mine"]);
    suite.write("a.toml", "owner = 'you'\n");
    git(folder, &["commit", "--quiet", "-am", "two"]);
    git(folder, &["switch", "--quiet", "main"]);
    suite.write("d.toml", "owner = 'they'\n");
    git(folder, &["commit", "--quiet", "-am", "of somebody else"]);
    git(folder, &["switch", "--quiet", "mine"]);
    suite.case("b", &[6], "");
    suite.case("new", &[7], "");
    let listed = |more: &[&str]| {
        let mut asked = command(folder, &[&["test", "cases", "--list", "--json"][..], more].concat());
        let ran = Ran::of(&asked.env("PATH", std::env::var_os("PATH").unwrap()).output().unwrap());
        (ran.code, if ran.code == 0 { names(&ran.json()) } else { vec![ran.err] })
    };
    // What main has on top is not this branch's.
    assert_eq!(listed(&["--changed-since", "main"]), (0, vec!["a".to_owned(), "b".to_owned(), "new".to_owned()]));
    suite.write("deep/retake-test.toml", "repeat = 2\n");
    assert_eq!(listed(&["--since", "HEAD"]).1, ["b", "deep/c", "new"]);
    fs::write(folder.join("shared.toml"), rules("2999-12-31")).unwrap();
    assert_eq!(listed(&["--since", "HEAD"]).1, ["b", "deep/c", "e", "new"]);
    fs::write(folder.join("models/two"), "2").unwrap();
    assert_eq!(listed(&["--since", "HEAD"]).1, ["b", "deep/c", "e", "f", "new"]);
    for wrong in ["nowhere", "--all", ""] {
        let (code, told) = listed(&[&format!("--changed-since={wrong}")]);
        assert!(code == 2 && told[0].contains("git knows no commit"), "{wrong}: {told:?}");
    }
}

/// Without what is measured anew each time: times, runs and their ids.
fn without_measures(mut document: Value) -> Value {
    document["started_unix_ns"] = 0.into();
    for case in document["cases"].as_array_mut().unwrap() {
        case["took_ms"] = 0.into();
        for replay in case["replays"].as_array_mut().into_iter().flatten() {
            replay["run_path"] = "".into();
            let receipt = replay["receipt"].as_object_mut().unwrap();
            for measured in ["run", "ready", "determinism", "egress", "injected"] {
                receipt.remove(measured);
            }
            for result in replay["results"].as_array_mut().unwrap() {
                result.as_object_mut().unwrap().remove("replayed_id");
            }
        }
    }
    document
}

#[test]
fn parts_put_together_are_the_whole_and_a_missing_one_is_no_pass() {
    let suite = Suite::new();
    for record in [1, 2, 3, 4, 6, 13] {
        suite.case(&format!("case-{record:02}"), &[record], "");
    }
    let (code, whole) = suite.document("summary", &["--results", "whole.json"]);
    assert_eq!(code, 1);
    let mut all = Vec::new();
    for part in 1..=3 {
        let (shard, file) = (format!("{part}/3"), format!("part-{part}.json"));
        let (_, document) = suite.document("summary", &["--shard", &shard, "--results", &file]);
        assert_eq!(document["shard"], shard);
        assert_eq!(listed(&suite, &["--shard", &shard]), names(&document));
        all.extend(names(&document));
    }
    all.sort();
    assert_eq!(all, names(&whole));
    let folder = suite.folder.path();
    let merge = |files: &[&str]| retake(folder, &[&["test", "--json", "--merge"][..], files].concat());
    let ran = merge(&["part-3.json", "part-1.json", "part-2.json", "part-1.json"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(without_measures(ran.json()), without_measures(whole.clone()));
    // Written by one, read by the other: the same bytes.
    let text = fs::read_to_string(folder.join("whole.json")).unwrap();
    assert_eq!(merge(&["whole.json"]).out, text);

    let (_, green) = suite.document("", &["--shard", "1/3", "--results", "green.json"]);
    assert_eq!(green["exit_code"], 0);
    let ran = merge(&["green.json"]);
    assert_eq!((ran.code, ran.json()["exit_code"].clone()), (3, 3.into()));
    assert!(ran.err.contains("no results of part 2/3, 3/3"), "{}", ran.err);
    let files = ["test", "--merge", "green.json", "--junit", "m.xml", "--html", "m.html", "--summary", "m.md"];
    let ran = retake(folder, &files);
    let written = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let junit = written("m.xml");
    assert!(junit.contains("errors=\"2\"") && junit.contains("name=\"part 3/3\""), "{junit}");
    for text in [&ran.out, &junit, &written("m.html"), &written("m.md")] {
        assert!(text.contains("There are no results of part 2/3"), "{text}");
    }

    // One more case moves none of the others.
    let before: Vec<_> = (1..=3).map(|part| listed(&suite, &["--shard", &format!("{part}/3")])).collect();
    suite.case("case-99", &[23], "");
    for (part, before) in (1..=3).zip(before) {
        for more in [&[][..], &["--balance", "whole.json"]] {
            let shard = format!("{part}/3");
            let after = listed(&suite, &[&["--shard", &shard][..], more].concat());
            assert!(!more.is_empty() || before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
        }
    }
    let balanced: Vec<String> = (1..=3)
        .flat_map(|part| listed(&suite, &["--balance", "whole.json", "--shard", &format!("{part}/3")]))
        .collect();
    assert_eq!(balanced.len(), 7, "each in one part: {balanced:?}");
}

#[test]
fn what_does_not_belong_together_is_not_put_together() {
    let suite = Suite::new();
    suite.case("a", &[1], "");
    assert_eq!(suite.test("", &["--results", "one.json"]).code, 0);
    assert_eq!(suite.test("status", &["--results", "other.json"]).code, 0);
    suite.case("a", &[2], "");
    assert_eq!(suite.test("", &["--results", "later.json"]).code, 0);
    let folder = suite.folder.path();
    fs::write(folder.join("none.json"), "{\"schema\":\"retake.replay/0\"}").unwrap();
    fs::write(folder.join("deep.json"), "[".repeat(100_000)).unwrap();
    for (files, words) in [
        (&["one.json", "other.json"][..], "in the same way"),
        (&["one.json", "later.json"], "another bundle"),
        (&["none.json"], "its schema is `retake.replay/0`"),
        (&["deep.json"], "no file of results"),
        (&["gone.json"], "cannot read `gone.json`"),
    ] {
        let ran = retake(folder, &[&["test", "--merge"][..], files].concat());
        assert!(ran.code == 2 && ran.err.contains(words), "{files:?}: {}", ran.err);
    }
}

#[test]
fn what_was_done_when_it_is_interrupted_is_kept_and_what_was_not_is_told() {
    let suite = Suite::new();
    suite.case("a", &[1], "");
    suite.case("b", &[2], "process = '/bin/sleep 600'\n");
    suite.case("c", &[4], "");
    let process = super::process("");
    suite.write("a.toml", &format!("process = '{process}'\n"));
    let arguments = ["test", "cases", "--jobs", "1", "--junit", "junit.xml", "--results", "results.json"];
    let mut asked = command(suite.folder.path(), &arguments);
    let child = asked.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    eventually("the run of the second case", || {
        let runs = fs::read_dir(suite.folder.path().join(".retake/runs")).ok()?;
        (runs.count() >= 2).then_some(())
    });
    send_signal("-INT", &child);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("not run: c"), "{}", ran.out);
    let results: Value = serde_json::from_slice(&fs::read(suite.folder.path().join("results.json")).unwrap()).unwrap();
    assert_eq!(outcomes(&results), ["a: passed, same", "b: inconclusive, void", "c: not-run, not run"]);
    assert_eq!(results["interrupted"], true);
    let junit = fs::read_to_string(suite.folder.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("errors=\"2\"") && junit.contains("<error message=\"not run\" type=\"not run\">"),
        "{junit}"
    );
}
