//! The main job on the shipped recording, in real containers: what was recorded with a real model happens again.

use std::{collections::BTreeSet, fs};

use bundle::Archive;
use exchange::{Exchange, Id, Subject};
use serde_json::Value;
use tempfile::TempDir;
use triage::{Rules, Ticket, normalise, priority};

use crate::{
    retake,
    shipped::{Alter, TICKETS, altered, docker, replay, shipped},
};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Ids of the results with this verdict.
fn with_verdict(document: &Value, verdict: &str) -> BTreeSet<String> {
    let results = document["results"].as_array().unwrap().iter().filter(|result| result["verdict"] == verdict);
    results.map(|result| result["id"].as_str().unwrap().to_owned()).collect()
}

fn count(document: &Value, verdict: &str) -> u64 {
    document["receipt"]["tally"][verdict].as_u64().unwrap()
}

#[test]
fn docker_two_hundred_tickets_are_the_same_twice_in_a_row_and_come_to_one_outcome() {
    if !docker("two hundred tickets") {
        return;
    }
    let folder = folder();
    let runs = [(); 2].map(|()| replay(folder.path(), &shipped(), &[]));
    let documents = runs.each_ref().map(|ran| ran.json());
    for (ran, document) in runs.iter().zip(&documents) {
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(count(document, "same"), TICKETS);
        let receipt = &document["receipt"];
        assert_eq!(receipt["replayed"], TICKETS);
        assert_eq!(receipt["answers"]["served_by_parent"], 2 * TICKETS);
        assert_eq!(receipt["answers"]["missed"], 0);
        assert_eq!(receipt["answers"]["never_asked"], 0);
        assert_eq!(receipt["egress"]["prevented"], true);
        assert_eq!(receipt["egress"]["names"], serde_json::json!([]));
        assert_eq!(receipt["egress"]["without_route"], 0);
        assert_eq!(receipt["determinism"]["level"], 3, "{}", receipt["determinism"]);
        assert_eq!(receipt["pinned"]["relation"], "same-config-digest");
        assert_eq!(receipt["sources"][0]["verified"], true);
        // Every rule that hid something is counted: each plain answer has a fresh id.
        let rules = receipt["rules"].as_array().unwrap();
        assert!(rules.iter().any(|rule| rule["rule"] == "/id" && rule["count"].as_u64() > Some(0)));
    }
    let outcome = |document: &Value| document["receipt"]["outcome_digest"].as_str().unwrap().to_owned();
    assert_eq!(outcome(&documents[0]), outcome(&documents[1]));
    // The run is a bundle that verifies and that can be looked at and compared like any other.
    let run = |document: &Value| document["run_path"].as_str().unwrap().to_owned();
    let (one, other) = (run(&documents[0]), run(&documents[1]));
    assert_eq!(retake(folder.path(), &["verify", &one]).code, 0);
    let mut compare = vec!["diff", &one, &other];
    compare.extend(crate::shipped::IGNORED);
    let compared = retake(folder.path(), &compare);
    assert_eq!(compared.code, 0, "{}{}", compared.out, compared.err);
}

#[test]
fn docker_without_a_rule_a_fresh_id_is_a_change_and_the_receipt_shows_no_rule() {
    if !docker("without a rule") {
        return;
    }
    let folder = folder();
    let first = first_ticket().to_string();
    let ran = retake(folder.path(), &["replay", shipped().to_str().unwrap(), "--only", &first, "--json"]);
    let document = ran.json();
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(document["receipt"]["rules"], serde_json::json!([]));
    assert_eq!(count(&document, "changed"), 1);
}

#[test]
fn docker_another_image_changes_exactly_the_tickets_that_its_rule_touches() {
    if !docker("another image") {
        return;
    }
    let folder = folder();
    let image = ChangedImage::make();
    let ran = replay(folder.path(), &shipped(), &["--image", &image.tag]);
    let document = ran.json();
    let expected = touched_by_the_second_rules();
    assert!(!expected.is_empty() && (expected.len() as u64) < TICKETS);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(with_verdict(&document, "changed"), expected);
    assert_eq!(count(&document, "same"), TICKETS - expected.len() as u64);
    assert_eq!(document["receipt"]["pinned"]["relation"], "other-image");
    let pointers: BTreeSet<_> = document["results"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|result| result["comparison"]["changes"].as_array().cloned().unwrap_or_default())
        .map(|change| change["pointer"].as_str().unwrap().to_owned())
        .collect();
    assert!(pointers.iter().all(|pointer| pointer.ends_with("/priority")), "{pointers:?}");
}

#[test]
fn docker_an_image_that_is_nowhere_makes_the_replay_void_before_the_first_request() {
    if !docker("an image that is nowhere") {
        return;
    }
    let folder = folder();
    let path = folder.path().join("nowhere.retake");
    altered(
        &path,
        &Alter {
            exchange: &Some,
            fingerprint: &|mut fingerprint| {
                let Subject::Container(container) = &mut fingerprint.subject else { panic!("no container") };
                container.image.config_digest = Some(format!("sha256:{}", "0".repeat(64)));
                container.image.layers = vec![format!("sha256:{}", "1".repeat(64))];
                fingerprint
            },
            with_image: false,
        },
    );
    let ran = replay(folder.path(), &path, &[]);
    let document = ran.json();
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert_eq!(document["receipt"]["replayed"], 0);
    assert_eq!(document["receipt"]["pinned"]["relation"], "nothing-ran");
    let reason = document["receipt"]["void"]["reason"].as_str().unwrap();
    assert!(reason.contains("sha256:000000"), "{reason}");
    assert!(document["receipt"].get("outcome_digest").is_none());
}

#[test]
fn docker_a_lost_dependency_recording_makes_exactly_its_caller_diverge() {
    if !docker("a lost dependency recording") {
        return;
    }
    let folder = folder();
    let (lost, parent) = a_call_to_the_model();
    let path = folder.path().join("lost.retake");
    let without = |exchange: Exchange| (exchange.id != lost).then_some(exchange);
    altered(&path, &Alter { exchange: &without, fingerprint: &|it| it, with_image: true });
    let ran = replay(folder.path(), &path, &[]);
    let document = ran.json();
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(with_verdict(&document, "diverged"), BTreeSet::from([parent.to_string()]));
    assert_eq!(count(&document, "same"), TICKETS - 1);
    assert_eq!(document["receipt"]["answers"]["missed"], 1);
    let result = document["results"].as_array().unwrap().iter().find(|it| it["verdict"] == "diverged").unwrap();
    let missed = &result["missed"][0];
    assert!(missed["asked"].as_str().unwrap().starts_with("model POST /v1/chat/completions"), "{missed}");
    assert!(missed["nearest"].as_str().unwrap().contains("/messages"), "{missed}");
}

#[test]
fn docker_a_service_that_looks_outside_is_told_on_and_reaches_nothing() {
    if !docker("a service that looks outside") {
        return;
    }
    let folder = folder();
    let only = first_ticket().to_string();
    // An address for documentation (RFC 5737): nobody is there, and the container has no way to it.
    let outside = "LLM_BASE_URL=http://192.0.2.1:80/v1";
    let ran = replay(folder.path(), &shipped(), &["--only", &only, "--env", outside]);
    let document = ran.json();
    assert_eq!(ran.code, 1, "{}", ran.err);
    let receipt = &document["receipt"];
    assert!(receipt["egress"]["without_route"].as_u64() > Some(0), "{}", receipt["egress"]);
    assert_eq!(receipt["answers"]["served_by_parent"], 0);
    assert_eq!(receipt["answers"]["never_asked"], 2);
    let replacements = receipt["replacements"].as_array().unwrap();
    assert!(replacements.iter().any(|line| line == "LLM_BASE_URL: given, not the recorded value"), "{replacements:?}");
    assert_eq!(with_verdict(&document, "diverged").len(), 1);
}

#[test]
fn docker_a_secret_is_stood_in_for_until_it_is_given_and_then_recognised() {
    if !docker("a secret is stood in for") {
        return;
    }
    let folder = folder();
    let only = first_ticket().to_string();
    let replacements = |more: &[&str]| {
        let mut arguments = vec!["--only", only.as_str()];
        arguments.extend(more);
        replay(folder.path(), &shipped(), &arguments).json()["receipt"]["replacements"].to_string()
    };
    assert!(replacements(&[]).contains("LLM_API_KEY: a stand-in"));
    assert!(
        replacements(&["--env", "LLM_API_KEY=sk-fixture-not-a-secret"])
            .contains("LLM_API_KEY: given, and the recorded")
    );
    assert!(
        replacements(&["--env", "LLM_API_KEY=sk-another-one"]).contains("LLM_API_KEY: given, and not the recorded")
    );
}

#[test]
fn docker_nothing_is_left_behind_by_a_replay() {
    if !docker("nothing is left behind") {
        return;
    }
    let folder = folder();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let source = shipped();
    let mut command = crate::command(folder.path(), &["replay", source.to_str().unwrap(), "--only"]);
    command.arg(first_ticket().to_string()).args(crate::shipped::IGNORED).arg("--json").env("TMPDIR", &temporary);
    let ran = crate::Ran::of(&command.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    let run = ran.json()["receipt"]["run"].as_str().unwrap().to_owned();
    let label = format!("label=retake.run={run}");
    let left = std::process::Command::new("docker").args(["ps", "-aq", "--filter", &label]).output().unwrap();
    assert!(left.stdout.is_empty());
}

#[test]
fn a_flipped_byte_anywhere_is_named_and_nothing_is_replayed() {
    let folder = folder();
    let original = fs::read(shipped()).unwrap();
    let path = folder.path().join("flipped.retake");
    let positions = (0..200).map(|step| step * (original.len() - 1) / 199);
    for at in positions {
        let mut bytes = original.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        for command in [&["verify", "flipped.retake"][..], &["replay", "flipped.retake"]] {
            let ran = retake(folder.path(), command);
            assert_eq!(ran.code, 2, "{command:?} with byte {at} flipped: {}{}", ran.out, ran.err);
            assert!(format!("{}{}", ran.out, ran.err).contains("flipped.retake"), "byte {at}: {}", ran.err);
        }
    }
    assert!(!folder.path().join(".retake/runs").exists(), "nothing was replayed, so there is no run");
}

/// Ids of the tickets for which the second rules give another priority than the first.
fn touched_by_the_second_rules() -> BTreeSet<String> {
    let archive = Archive::open(&shipped()).unwrap();
    let ingress = archive.entries().iter().filter(|entry| entry.dependency.is_none());
    let touched = ingress.filter(|entry| {
        let exchange = archive.exchange(&entry.id).unwrap();
        let ticket = Ticket::parse(&archive.body(&exchange.request.body, 1 << 20).unwrap()).unwrap();
        let text = normalise(&ticket);
        priority(&text, Rules::First) != priority(&text, Rules::Second)
    });
    touched.map(|entry| entry.id.to_string()).collect()
}

fn first_ticket() -> Id {
    let archive = Archive::open(&shipped()).unwrap();
    archive.entries().iter().find(|entry| entry.dependency.is_none()).unwrap().id
}

/// A call that no other ticket made, and the ticket that made it.
fn a_call_to_the_model() -> (Id, Id) {
    let archive = Archive::open(&shipped()).unwrap();
    let calls = || archive.entries().iter().filter(|entry| entry.dependency.as_deref() == Some("model"));
    let digest = |entry: &bundle::Entry| archive.exchange(&entry.id).unwrap().digests.request;
    let alone = calls().find(|one| calls().filter(|other| digest(one) == digest(other)).count() == 1).unwrap();
    (alone.id, alone.parent.unwrap())
}

/// The recorded image with one variable changed, as another image; taken away again at the end.
struct ChangedImage {
    tag: String,
}

impl ChangedImage {
    fn make() -> Self {
        let tag = format!("retake-test-rules:{}", std::process::id());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let docker = host::Docker::connect().await.unwrap();
            let archive = Archive::open(&shipped()).unwrap();
            let image = archive.images().unwrap().remove(0);
            if docker.find_image(&image.identity).await.unwrap().is_none() {
                let mut tar = Vec::new();
                archive.copy_body(&image.archive, &mut tar).unwrap();
                let pieces = futures_util::stream::iter([Ok(bytes::Bytes::from(tar))]);
                docker.load_image(pieces).await.unwrap();
            }
            let base = docker.find_image(&image.identity).await.unwrap().unwrap().engine_id;
            let variables = [("TRIAGE_RULES".to_owned(), "2".to_owned())].into();
            docker.derive_image(&base, &variables, &tag).await.unwrap();
        });
        Self { tag }
    }
}

impl Drop for ChangedImage {
    fn drop(&mut self) {
        let status = std::process::Command::new("docker").args(["rmi", &self.tag]).output().unwrap().status;
        assert!(status.success() || std::thread::panicking());
    }
}
