//! Calls that were not recorded: what answers them, and how the calls of an exchange differ from production's.

use std::path::{Path, PathBuf};

use exchange::{Exchange, Head};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    otherwise::serve,
    paced::slow_service,
    retake,
    shipped::{Alter, altered},
    untrue::{first_tickets, replay_script},
};

/// A recording in which the model was called at another path than the service calls.
fn with_another_path(folder: &Path) -> PathBuf {
    let path = folder.join("other.retake");
    let moved = |mut exchange: Exchange| {
        if exchange.role.dependency() == Some("model") {
            let head = String::from_utf8(exchange.request.head.bytes.to_vec()).unwrap();
            exchange.request.head = Head::new(head.replacen("/chat/completions", "/chat/replies", 1));
        }
        Some(exchange)
    };
    altered(&path, &Alter { exchange: &moved, fingerprint: &|it| it, with_image: false });
    path
}

fn kinds(document: &Value) -> Vec<&str> {
    let steps = document["results"][0]["trajectory"]["steps"].as_array().unwrap();
    steps.iter().map(|step| step["step"].as_str().unwrap()).collect()
}

#[test]
fn a_miss_fails_or_takes_the_nearest_answer_or_a_real_one_and_is_a_divergence_each_time() {
    let folder = tempdir().unwrap();
    let source = with_another_path(folder.path());
    let replayed = |more: &[&str]| {
        let (ran, document) = replay_script(folder.path(), &source, 1, "exec \"$0\"", more);
        assert_eq!((ran.code, &document["results"][0]["verdict"]), (1, &"diverged".into()), "{}{}", ran.out, ran.err);
        document
    };
    let failed = replayed(&[]);
    assert_eq!(failed["receipt"].get("misses"), None);
    assert_eq!(failed["receipt"]["answers"]["missed"], 1);
    assert_ne!(failed["results"][0]["replayed_status"], 200);
    assert_eq!(kinds(&failed), ["changed", "missing"]);

    let nearest = replayed(&["--on-miss", "nearest"]);
    assert_eq!(nearest["receipt"]["misses"]["by_nearest"], 1);
    assert_eq!(nearest["results"][0]["replayed_status"], 200, "it went on: {}", nearest["results"]);
    assert_eq!(kinds(&nearest), ["changed", "same"]);
    let arguments = nearest["results"][0]["trajectory"]["steps"][0]["arguments"].to_string();
    assert!(arguments.contains("target: recorded") && arguments.contains("/chat/replies"), "{arguments}");

    let (_serving, model, _) = serve(folder.path());
    let live = replayed(&["--live", &format!("model=http://{model}")]);
    assert_eq!(live["receipt"]["misses"]["live"][0]["calls"], 1);
    assert_eq!(live["results"][0]["replayed_status"], 200, "{}", live["results"]);
    assert_eq!(live["receipt"]["determinism"].get("level"), None, "nothing is claimed");

    // The real answer is what the service got: this one is no model's.
    let other =
        replayed(&["--on-miss", "live", "--live", &format!("model={}", slow_service(std::time::Duration::ZERO))]);
    assert_ne!(other["results"][0]["replayed_status"], 200);
}

#[test]
fn the_page_of_an_exchange_of_a_run_shows_its_calls_against_productions() {
    let folder = tempdir().unwrap();
    let source = with_another_path(folder.path());
    let (_, document) = replay_script(folder.path(), &source, 1, "exec \"$0\"", &["--on-miss", "nearest"]);
    let run = document["run_path"].as_str().unwrap();
    let id = document["results"][0]["replayed_id"].as_str().unwrap();
    let page = retake(folder.path(), &["show", run, id]).out;
    assert!(page.contains("Calls (2 in production, 2 here)"), "{page}");
    assert!(page.contains("~ changed   1 →   1  model POST"), "{page}");
    assert!(page.contains("  same      2 →   2  store POST"), "{page}");
    let shown = retake(folder.path(), &["show", run, id, "--json"]).json();
    assert_eq!(shown["trajectory"], document["results"][0]["trajectory"]);
}

#[test]
fn a_live_dependency_is_said_loudly_and_a_wrong_one_is_refused() {
    let folder = tempdir().unwrap();
    let source = with_another_path(folder.path());
    let (only, process) = (first_tickets(1), crate::untrue::triage());
    let url = slow_service(std::time::Duration::ZERO);
    let base = ["replay", source.to_str().unwrap(), "--only", &only, "--process", &process];
    let ran = retake(folder.path(), &[&base[..], &["--live", &format!("model={url}")]].concat());
    assert!(
        ran.out.contains(&format!("NOT HERMETIC: calls that were not recorded went out, 1 to model at {url}")),
        "{}",
        ran.out
    );
    for (wrong, words) in [
        (&["--on-miss", "live"][..], "say which and where"),
        (&["--live", "model"], "it is not a dependency's name"),
        (&["--live", "modle=http://127.0.0.1:1"], "recorded are model, store"),
        (&["--live", "model=tcp://127.0.0.1:1"], "speaks no HTTP"),
    ] {
        let ran = retake(folder.path(), &[&base[..], wrong].concat());
        assert!(ran.code == 2 && ran.err.contains(words), "{wrong:?}: {}", ran.err);
    }
}
