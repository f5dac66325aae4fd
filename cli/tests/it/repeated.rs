//! Replays that are repeated: what is counted, what is called flaky, and what one service remembers.

use std::{fs, path::Path};

use bundle::Archive;
use exchange::Id;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    Ran, command, retake,
    shipped::{replay, shipped},
    untrue::{eventually, first_tickets, replay_script, send_signal, triage},
};

fn repeated(document: &Value, at: usize) -> &Value {
    &document["results"][at]["repeated"]
}

/// A script that counts its starts in a file, as `$n`, from 0.
fn counting(folder: &Path, then: &str) -> String {
    let file = folder.join("starts");
    fs::write(&file, "").unwrap();
    let file = file.display();
    format!("n=$(/usr/bin/wc -l <{file}); echo >>{file}; {then}")
}

#[test]
fn each_repeat_has_a_service_of_its_own_and_exchanges_of_its_own_in_one_run() {
    let folder = tempdir().unwrap();
    let script = counting(folder.path(), "exec \"$0\"");
    let more = ["--repeat", "3", "--determinism", "0"];
    let (ran, document) = replay_script(folder.path(), &shipped(), 2, &script, &more);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let repeats = &document["receipt"]["repeats"];
    assert_eq!((&repeats["asked"], &repeats["done"], &repeats["reset"]), (&3.into(), &3.into(), &"process".into()));
    assert_eq!(repeats["resets"], json!({ "processes": 2, "containers": 0 }));
    assert_eq!(fs::read_to_string(folder.path().join("starts")).unwrap().len(), 3);
    for at in 0..2 {
        let repeated = repeated(&document, at);
        assert_eq!((&repeated["verdicts"], &repeated["class"]), (&"...".into(), &"unconfirmed".into()));
        // Fresh ids are under a rule: the answers differ as they came, and not in what counts.
        assert_eq!((&repeated["distinct_exact"], &repeated["distinct_parsed"]), (&3.into(), &1.into()));
        assert!(repeated["first_divergence"].is_u64(), "{repeated}");
    }
    let missed = repeats["rate_missed_max"].as_f64().unwrap();
    assert!((missed - (1.0 - 0.05_f64.powf(1.0 / 3.0))).abs() < 1e-12, "{missed}");
    let noise = repeats["noise"].as_array().unwrap();
    let id = noise.iter().find(|place| place["pointer"] == "/id" || place["pointer"] == "sse:/id").unwrap();
    assert_eq!(id["differed"], id["compared"], "{noise:?}");

    let run: Id = document["receipt"]["run"].as_str().unwrap().parse().unwrap();
    let archive = Archive::open(&folder.path().join(document["run_path"].as_str().unwrap())).unwrap();
    let ingress: Vec<_> = archive.entries().iter().filter(|entry| entry.dependency.is_none()).collect();
    assert_eq!(ingress.len(), 6);
    for entry in ingress {
        let (original, repeat) = (entry.original.unwrap(), entry.repeat.unwrap());
        assert_eq!(entry.id, Id::of_repeat(run, original, repeat));
        let calls = archive.entries().iter().filter(|call| call.parent == Some(entry.id));
        assert!(calls.clone().count() == 2 && calls.clone().all(|call| call.repeat == Some(repeat)));
    }
    assert_eq!(retake(folder.path(), &["verify", document["run_path"].as_str().unwrap()]).code, 0);
}

#[test]
fn what_fails_in_some_repeats_is_flaky_with_its_rate_and_exits_with_one() {
    let folder = tempdir().unwrap();
    let script =
        counting(folder.path(), "[ $((n % 4)) = 1 ] && export LLM_BASE_URL=http://127.0.0.1:1/v1; exec \"$0\"");
    let (ran, document) = replay_script(folder.path(), &shipped(), 1, &script, &["--repeat", "8"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let result = &document["results"][0];
    assert_eq!((&result["verdict"], &result["failed"], &result["of"]), (&"flaky".into(), &2.into(), &8.into()));
    let repeated = repeated(&document, 0);
    assert_eq!((&repeated["class"], &repeated["verdicts"]), (&"flaky".into(), &".d...d..".into()));
    assert_eq!((&repeated["distinct_parsed"], &repeated["distinct_effects"]), (&2.into(), &2.into()));
    assert_eq!(repeated["pass_hat"][0], json!({ "k": 1, "value": 0.75 }));
    assert_eq!(document["receipt"]["tally"]["flaky"], 1);
    assert!(document["conclusions"][0].as_str().unwrap().contains("in one and the same environment"));
    // The one that is shown is the first that failed.
    let (run, original) = (&document["receipt"]["run"], &result["id"]);
    let parsed = |text: &Value| text.as_str().unwrap().parse::<Id>().unwrap();
    assert_eq!(parsed(&result["replayed_id"]), Id::of_repeat(parsed(run), parsed(original), 1));
}

#[test]
fn the_first_failure_ends_it_where_that_was_asked_for() {
    let folder = tempdir().unwrap();
    let script = counting(folder.path(), "[ $n = 2 ] && export LLM_BASE_URL=http://127.0.0.1:1/v1; exec \"$0\"");
    let more = ["--repeat", "50", "--until-failure"];
    let (ran, document) = replay_script(folder.path(), &shipped(), 1, &script, &more);
    assert_eq!((ran.code, &document["receipt"]["repeats"]["done"]), (1, &3.into()), "{}", ran.err);
    assert_eq!(repeated(&document, 0)["verdicts"], "..d");
    // Who stops at a failure finds too many: no rate follows.
    assert!(document["conclusions"].to_string().contains("not how often it comes"), "{}", document["conclusions"]);
}

#[test]
fn a_repeat_whose_service_does_not_start_is_counted_and_is_no_pass() {
    let folder = tempdir().unwrap();
    let script = counting(folder.path(), "[ $n = 1 ] && exit 7; exec \"$0\"");
    let (ran, document) = replay_script(folder.path(), &shipped(), 1, &script, &["--repeat", "4"]);
    let repeats = &document["receipt"]["repeats"];
    assert_eq!((ran.code, &repeats["done"], &repeats["not_started_count"]), (3, &3.into(), &1.into()), "{}", ran.err);
    assert_eq!(repeats["not_started"][0]["repeat"], 1);
    assert!(repeats["not_started"][0]["reason"].as_str().unwrap().contains('7'), "{repeats}");
}

#[test]
fn one_service_for_all_repeats_answers_each_and_is_never_called_deterministic() {
    let folder = tempdir().unwrap();
    let script = counting(folder.path(), "exec \"$0\"");
    let more = ["--repeat", "12", "--reset", "none", "--confidence", "0.99"];
    let (ran, document) = replay_script(folder.path(), &shipped(), 3, &script, &more);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(fs::read_to_string(folder.path().join("starts")).unwrap().len(), 1);
    let receipt = &document["receipt"];
    assert_eq!((&receipt["repeats"]["done"], &receipt["repeats"]["confidence"]), (&12.into(), &0.99.into()));
    assert_eq!((&receipt["answers"]["served_by_parent"], &receipt["answers"]["missed"]), (&72.into(), &0.into()));
    assert_eq!(repeated(&document, 0)["class"], "unconfirmed");
    assert!(document["conclusions"].to_string().contains("none is called deterministic"));
    // With a fresh one each time the same is deterministic.
    let (ran, document) = replay_script(folder.path(), &shipped(), 1, "exec \"$0\"", &["--repeat", "10"]);
    assert_eq!((ran.code, &repeated(&document, 0)["class"]), (0, &"deterministic".into()), "{}", ran.err);
}

#[test]
fn what_was_done_when_it_is_interrupted_is_kept() {
    let folder = tempdir().unwrap();
    let script = counting(folder.path(), "exec \"$0\"");
    let process = format!("/bin/sh -c '{script}' {}", triage());
    let (source, only) = (shipped(), first_tickets(1));
    let mut arguments = vec!["replay", source.to_str().unwrap(), "--json", "--process", &process, "--only", &only];
    arguments.extend(["--repeat", "100000"]);
    arguments.extend(crate::shipped::IGNORED);
    let mut asked = command(folder.path(), &arguments);
    asked.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = asked.spawn().unwrap();
    eventually("a few repeats", || {
        let starts = fs::read_to_string(folder.path().join("starts")).unwrap();
        (starts.len() > 3).then_some(())
    });
    send_signal("-INT", &child);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    let document = ran.json();
    let done = document["receipt"]["repeats"]["done"].as_u64().unwrap();
    assert_eq!((ran.code, &document["receipt"]["interrupted"]), (3, &true.into()), "{}", ran.err);
    assert!((3..1000).contains(&done), "{done}");
    assert!(repeated(&document, 0)["verdicts"].as_str().unwrap().starts_with("..."));
    assert_eq!(retake(folder.path(), &["verify", document["run_path"].as_str().unwrap()]).code, 0);
}

#[test]
fn repeats_are_told_in_words_and_wrong_numbers_are_refused() {
    let folder = tempdir().unwrap();
    let (source, only, process) = (shipped(), first_tickets(1), triage());
    let base = ["replay", source.to_str().unwrap(), "--only", &only, "--process", &process];
    let twice = ["--repeat", "2", "--determinism", "0"];
    let ran = retake(folder.path(), &[&base[..], &crate::shipped::IGNORED, &twice].concat());
    let line =
        |label: &str| ran.out.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("{}", ran.out));
    assert!(
        line("repeats").contains("2 of 2, reset process: none failed; what fails in 77.6 % or more"),
        "{}",
        ran.out
    );
    assert!(line("noise").contains(" 1 of 1"), "{}", ran.out);
    for wrong in [&["--repeat", "0"][..], &["--until-failure"], &["--repeat", "2", "--confidence", "95"]] {
        assert_eq!(retake(folder.path(), &[&base[..], wrong].concat()).code, 2, "{wrong:?}");
    }
    let text = replay(folder.path(), &shipped(), &["--repeat", "2", "--confidence", "95"]).err;
    assert!(text.contains("is no confidence between 0.5 and 1"), "{text}");
}

#[test]
fn flags_that_have_no_effect_without_repeats_are_named() {
    let folder = tempdir().unwrap();
    let (script, named) = ("exec \"$0\"", ["--reset", "container", "--confidence", "0.9"]);
    let (ran, _) = replay_script(folder.path(), &shipped(), 1, script, &named);
    let told = |ran: &Ran| ["`--reset` has no effect", "`--confidence` has no effect"].map(|it| ran.err.contains(it));
    assert_eq!((ran.code, told(&ran)), (0, [true; 2]), "{}", ran.err);
    let (ran, _) = replay_script(folder.path(), &shipped(), 1, script, &[&named[..], &["--repeat", "2"]].concat());
    assert_eq!((ran.code, told(&ran)), (0, [false; 2]), "{}", ran.err);
}
