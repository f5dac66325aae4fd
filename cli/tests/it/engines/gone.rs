//! An engine that goes away under a replay.

use std::{fs, process::Stdio};

use serde_json::json;
use tempfile::tempdir;

use super::second::SecondEngine;
use crate::{
    Ran,
    resumed::{is_whole, judged},
    shipped::{IGNORED, docker, shipped},
    untrue::first_tickets,
};

const REPEATS: usize = 40;

#[test]
fn slow_engines_that_are_stopped_in_mid_repeat_cost_no_verdict_and_the_run_goes_on_with_the_next() {
    goes_away("-TERM", "container");
}

#[test]
fn slow_engines_that_are_killed_in_mid_repeat_cost_no_verdict_and_the_run_goes_on_with_the_next() {
    goes_away("-KILL", "process");
}

fn goes_away(signal: &str, reset: &str) {
    let test = "an engine that goes away";
    let Some(mut engine) = docker(test).then(|| SecondEngine::start(test)).flatten() else { return };
    let folder = tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let retake = |engine: &SecondEngine, words: &[&str]| {
        let mut retake = engine.command(env!("CARGO_BIN_EXE_retake"));
        retake.args(words).current_dir(folder.path()).env("TMPDIR", &temporary);
        retake.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (source, only, repeats) = (shipped(), first_tickets(2), REPEATS.to_string());
    let words = ["replay", source.to_str().unwrap(), "--json", "--only", &only];
    let flags = ["--repeat", &repeats, "--reset", reset];
    let replay = retake(&engine, &[&words, &IGNORED[..], &flags].concat());
    let run = judged(folder.path(), 3);
    engine.end(signal);
    let cut_off = Ran::of(&replay.wait_with_output().unwrap());
    assert_eq!(cut_off.code, 2, "{}{}", cut_off.out, cut_off.err);
    // Where it went away between two containers, it is the next one that does not find it.
    let says_why =
        ["the container engine went away under", "no container engine answers", "the container engine refused"];
    let says_why = says_why.iter().any(|words| cut_off.err.contains(words));
    assert!(says_why && cut_off.err.contains("go on with it: `retake replay --resume"), "{}", cut_off.err);

    engine.start_again();
    let resumed = retake(&engine, &["replay", "--json", "--resume", run.to_str().unwrap()]);
    let ran = Ran::of(&resumed.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let document = ran.json();
    for result in document["results"].as_array().unwrap() {
        assert_eq!(result["repeated"]["verdicts"], ".".repeat(REPEATS), "what broke off is no verdict");
    }
    let receipt = &document["receipt"];
    assert_eq!((&receipt["resumed"], &receipt["repeats"]["done"]), (&json!(1), &json!(REPEATS)));
    is_whole(&run, 2 * REPEATS);
    for listed in [
        &["ps", "--all", "--quiet"],
        &["volume", "ls", "--quiet"],
        &["network", "ls", "--quiet", "--filter", "type=custom"][..],
    ] {
        assert_eq!(engine.client(listed), "", "{listed:?}");
    }
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
