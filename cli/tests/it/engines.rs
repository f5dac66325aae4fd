//! The same replay whichever way the engine is reached: over a socket in a shared folder, over an exec's streams, on an
//! engine behind a port, inside docker-in-docker, and from a container that has the engine's socket.

mod gone;
mod second;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use bundle::Archive;
use exchange::Fingerprint;
use serde_json::Value;
use tempfile::tempdir;

use self::second::{EngineImage, SecondEngine, is_root, work_folder};
use crate::{
    Ran,
    beside::store_image,
    contained::{Image, client},
    refused::refusal,
    shipped::{Alter, IGNORED, TICKETS, altered, docker, replay, shipped},
    untrue::triage,
};

/// What the receipt says of what an engine behind a port does not tell of its machine.
const NOT_SEEN: &str = "not seen";

/// What the receipt says where everything was copied in.
const COPIED: &str = "copied in through the engine";

#[test]
fn docker_over_an_execs_streams_it_is_the_same_replay_and_nothing_is_left() {
    if !docker("over an exec's streams") {
        return;
    }
    let folder = tempdir().unwrap();
    let over_socket = replay(folder.path(), &shipped(), &["--bridge", "socket"]);
    let over_exec = replay(folder.path(), &shipped(), &["--bridge", "exec"]);
    assert!(!says_copied(&over_socket));
    assert!(says_copied(&over_exec));
    assert_same(folder.path(), &over_socket, folder.path(), &over_exec);
    let run = over_exec.json()["receipt"]["run"].as_str().unwrap().to_owned();
    let label = format!("label=retake.run={run}");
    assert_eq!(client(&["volume", "ls", "--quiet", "--filter", &label]), "");
    assert_eq!(client(&["ps", "--all", "--quiet", "--filter", &label]), "");
}

#[test]
fn docker_over_an_execs_streams_a_read_only_root_another_user_and_a_signal_of_its_own_are_as_recorded() {
    if !docker("a read-only root over an exec's streams") {
        return;
    }
    let folder = tempdir().unwrap();
    let source = folder.path().join("strict.retake");
    let strict = |mut fingerprint: Fingerprint| {
        if let exchange::Subject::Container(container) = &mut fingerprint.subject {
            container.config.read_only = true;
            container.config.user = "54321:54321".to_owned();
            container.config.stop_signal = "SIGINT".to_owned();
        }
        fingerprint
    };
    altered(&source, &Alter { exchange: &Some, fingerprint: &strict, with_image: true });
    let ran = ["socket", "exec"].map(|way| replay(folder.path(), &source, &["--bridge", way]));
    assert_same(folder.path(), &ran[0], folder.path(), &ran[1]);
}

#[test]
fn docker_an_init_that_never_speaks_is_void_over_an_execs_streams_too_and_nothing_is_left() {
    if !docker("an init that never speaks") {
        return;
    }
    let image = Image::of_triage("engines-ends", &["ENTRYPOINT [\"/not-there\"]"]);
    let folder = tempdir().unwrap();
    let ran = replay(folder.path(), &shipped(), &["--bridge", "exec", "--image", &image.0]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("cannot start `/not-there`"), "{}{}", ran.out, ran.err);
}

#[test]
fn docker_folders_that_the_engine_does_not_see_are_copied_unless_the_socket_is_insisted_on() {
    let test = "folders that the engine does not see";
    if !docker(test) || !is_root(test) {
        return;
    }
    let folder = tempdir().unwrap();
    let hidden = folder.path().join("hidden");
    fs::create_dir(&hidden).unwrap();
    let hidden_from_engine = |more: &[&str]| {
        let source = shipped();
        let script = r#"mount -t tmpfs tmpfs "$TMPDIR" && exec "$0" "$@""#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", script, env!("CARGO_BIN_EXE_retake")]);
        command.args(["replay", source.to_str().unwrap(), "--json"]).args(IGNORED).args(more);
        Ran::of(&command.env("TMPDIR", &hidden).current_dir(folder.path()).output().unwrap())
    };
    let seen = replay(folder.path(), &shipped(), &[]);
    let copied = hidden_from_engine(&[]);
    assert!(!says_copied(&seen) && says_copied(&copied));
    assert_same(folder.path(), &seen, folder.path(), &copied);

    let refused = hidden_from_engine(&["--bridge", "socket"]);
    let random = refused.err.split("/retake-run-").nth(1).and_then(|rest| rest.get(..6)).unwrap().to_owned();
    insta::assert_snapshot!(refusal(&refused, &[(hidden.to_str().unwrap(), "TMPDIR"), (&random, "RANDOM")]), @r#"
    exit code 2
    error: no container can be started for the replay
      because: the container engine refused to create the container
      because: Docker responded with status code 400: invalid mount config for type "bind": bind source path does not exist: TMPDIR/retake-run-RANDOM/run
    help: the engine sees other files than this program: it runs on another machine, or this program in a container; leave `--bridge` out, or say `--bridge exec`
    "#);
}

#[test]
fn slow_engines_behind_a_port_it_is_the_same_replay() {
    let Some(engine) = docker("behind a port").then(|| SecondEngine::start("behind a port")).flatten() else { return };
    let folder = tempdir().unwrap();
    let here = replay(folder.path(), &shipped(), &[]);
    let there = |more: &[&str]| {
        let source = shipped();
        let arguments = [&["replay", source.to_str().unwrap(), "--json"], &IGNORED[..], more].concat();
        let mut retake = engine.command(env!("CARGO_BIN_EXE_retake"));
        Ran::of(&retake.args(arguments).current_dir(folder.path()).output().unwrap())
    };
    let by_itself = there(&[]);
    assert!(!says_copied(&here) && says_copied(&by_itself), "{}{}", by_itself.out, by_itself.err);
    assert_same(folder.path(), &here, folder.path(), &by_itself);
    let unseen = by_itself.json()["receipt"]["environment"][0].clone();
    assert_eq!((&unseen["what"], &unseen["here"]), (&"cpu model".into(), &NOT_SEEN.into()));
    assert_eq!(engine.client(&["ps", "--all", "--quiet"]), "");
    assert_eq!(engine.client(&["volume", "ls", "--quiet"]), "");

    let doctor =
        engine.command(env!("CARGO_BIN_EXE_retake")).arg("doctor").current_dir(folder.path()).output().unwrap();
    let doctor = Ran::of(&doctor);
    for words in ["so all was copied in", "the engine's machine is another one than this"] {
        assert!(doctor.out.contains(words), "{}{}", doctor.out, doctor.err);
    }

    // Told that it shares this machine's folders, which here it does.
    let shared = there(&["--bridge", "socket"]);
    assert!(!says_copied(&shared));
    assert_same(folder.path(), &here, folder.path(), &shared);
}

#[test]
fn slow_engines_behind_a_port_a_server_beside_runs_there_with_its_dump_copied_in() {
    let test = "a server beside it behind a port";
    let Some(engine) = docker(test).then(|| SecondEngine::start(test)).flatten() else { return };
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("seed")).unwrap();
    fs::copy(Path::new(&triage()).with_file_name("triage-load"), folder.path().join("seed/load")).unwrap();
    // Its check is a program that is there by the dump alone.
    let image = store_image("beside-elsewhere", 8090, &["HEALTHCHECK CMD [\"/seed/load\", \"--help\"]"]);
    let beside = format!("store={},dump=seed,at=/seed", image.0);
    let replay = |more: &[&str]| {
        let source = shipped();
        let arguments = ["replay", source.to_str().unwrap(), "--json", "--beside", &beside];
        let mut retake = engine.command(env!("CARGO_BIN_EXE_retake"));
        retake.args(arguments).args(IGNORED).args(more).current_dir(folder.path());
        Ran::of(&retake.output().unwrap())
    };
    let refused = replay(&[]);
    insta::assert_snapshot!(refusal(&refused, &[(&image.0, "IMAGE")]), @r"
    exit code 2
    error: there is no image `IMAGE` in the engine that DOCKER_HOST names to run beside the service as `store`
    help: take it there: `docker --host unix:///var/run/docker.sock save IMAGE | docker load`; or `docker pull IMAGE`, which that engine does; nothing is pulled without being asked
    ");

    let archive = folder.path().join("store.tar");
    client(&["save", "--output", archive.to_str().unwrap(), &image.0]);
    engine.client(&["load", "--input", archive.to_str().unwrap()]);
    let here = crate::shipped::replay(folder.path(), &shipped(), &["--beside", &beside]);
    let there = replay(&[]);
    assert!(!says_copied(&here) && says_copied(&there), "{}{}", there.out, there.err);
    let (here, there) = (here.json(), there.json());
    assert_eq!(there["receipt"]["tally"]["same"], TICKETS, "{there}");
    assert_eq!(receipt_of(&there)["beside"], receipt_of(&here)["beside"]);
    assert_eq!(verdicts_of(&there), verdicts_of(&here));
    let ready = there["receipt"]["beside"][0]["ready"].as_str().unwrap();
    assert!(ready.starts_with("its HEALTHCHECK passed after"), "{ready}");
    assert_eq!(engine.client(&["ps", "--all", "--quiet"]), "");
    assert_eq!(engine.client(&["volume", "ls", "--quiet"]), "");
}

#[test]
fn slow_engines_inside_docker_in_docker_it_is_the_same_replay() {
    let Some(image) = docker("inside docker-in-docker").then(|| EngineImage::make("docker-in-docker")).flatten() else {
        return;
    };
    let here_folder = tempdir().unwrap();
    let here = replay(here_folder.path(), &shipped(), &[]);
    let work = work_folder();
    let engine = image.run_with_an_engine_of_its_own(work.path());
    engine.wait_for_its_engine();
    // What is inside is one machine: both ways lead in.
    for (way, is_copied) in [("auto", false), ("exec", true)] {
        let ran = engine.replay(&[&["--bridge", way], &IGNORED[..]].concat());
        assert_eq!(says_copied(&ran), is_copied, "{}{}", ran.out, ran.err);
        assert_same(here_folder.path(), &here, work.path(), &ran);
    }
}

#[test]
fn slow_engines_from_a_container_that_has_the_engines_socket_it_is_the_same_replay() {
    let Some(image) = docker("with the engine's socket").then(|| EngineImage::make("socket")).flatten() else { return };
    let here_folder = tempdir().unwrap();
    let here = replay(here_folder.path(), &shipped(), &[]);
    let work = work_folder();
    let socket = "/var/run/docker.sock:/var/run/docker.sock";
    let inside = image.run(work.path(), &["--network", "none", "--volume", socket], &["containerd"]);
    inside.wait_for_its_engine();
    let ran = inside.replay(&IGNORED);
    assert!(says_copied(&ran), "{}{}", ran.out, ran.err);
    assert_same(here_folder.path(), &here, work.path(), &ran);

    let refused = inside.replay(&["--bridge", "socket"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("say `--bridge exec`"), "{}", refused.err);
}

fn says_copied(ran: &Ran) -> bool {
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    ran.json()["receipt"]["injected"].to_string().contains(COPIED)
}

/// Equal verdicts, equal receipts but for what was put into the container, equal canonical bytes.
fn assert_same(one_folder: &Path, one: &Ran, other_folder: &Path, other: &Ran) {
    assert_eq!((one.code, other.code), (0, 0), "{}{}{}{}", one.out, one.err, other.out, other.err);
    let (one, other) = (one.json(), other.json());
    assert_eq!(one["receipt"]["tally"]["same"], TICKETS);
    let mut receipts = [&one, &other].map(receipt_of);
    let sees_processor = |document: &Value| {
        let differences = document["receipt"]["environment"].as_array().unwrap();
        !differences.iter().any(|it| it["what"] == "cpu model" && it["here"] == NOT_SEEN)
    };
    if !(sees_processor(&one) && sees_processor(&other)) {
        // An engine on another machine tells neither model nor flags, so that only this machine's are known to differ.
        for receipt in &mut receipts {
            let is_of_processor = |it: &Value| it["what"] == "cpu model" || it["what"] == "cpu flags";
            receipt["environment"].as_array_mut().unwrap().retain(|it| !is_of_processor(it));
        }
    }
    assert_eq!(receipts[0], receipts[1]);
    assert_eq!(verdicts_of(&one), verdicts_of(&other));
    assert_eq!(canonical_of(one_folder, &one), canonical_of(other_folder, &other));
}

/// Without what names the run, its time, its place and the way in, and what is not seen of another machine. How many connections a service opens to its dependencies
/// is up to how the answers interleave.
pub(crate) fn receipt_of(document: &Value) -> Value {
    let mut receipt = document["receipt"].clone();
    assert!(receipt["outcome_digest"].is_string());
    for own in ["run", "injected", "ready", "sources"] {
        receipt.as_object_mut().unwrap().remove(own);
    }
    // When a server beside it was ready is a time, as `ready` is.
    for server in receipt["beside"].as_array_mut().into_iter().flatten() {
        server.as_object_mut().unwrap().remove("ready");
    }
    receipt["environment"].as_array_mut().unwrap().retain(|difference| difference["here"] != NOT_SEEN);
    for attempt in receipt["egress"]["attempts"].as_array_mut().into_iter().flatten() {
        attempt.as_object_mut().unwrap().remove("count");
    }
    receipt
}

pub(crate) fn verdicts_of(document: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let results = document["results"].as_array().unwrap().iter();
    results.map(|result| (text(&result["id"]), text(&result["verdict"]))).collect()
}

/// The digest of the canonical bytes of every call's request and answer. The service's own answers, which have an id and
/// a time anew, are compared by the outcome's digest, from which those are taken out.
fn canonical_of(folder: &Path, document: &Value) -> Vec<String> {
    let run = document["receipt"]["run"].as_str().unwrap();
    let path = folder.join(".retake/runs").join(format!("{run}.retake"));
    assert!(fs::exists(&path).unwrap());
    let archive = Archive::open_verified(&path).unwrap();
    let exchanges = archive.entries().iter().map(|entry| archive.exchange(&entry.id).unwrap());
    let calls = exchanges.filter(|exchange| exchange.role.dependency().is_some());
    let mut digests: Vec<_> =
        calls.map(|call| format!("{:?} {:?}", call.digests.request, call.digests.response)).collect();
    digests.sort();
    assert_eq!(digests.len() as u64, 2 * TICKETS);
    assert!(digests.iter().all(|digest| !digest.contains("None")));
    digests
}
