//! A real server beside the replayed service: the fixture's store, once recorded and then run for real.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Stdio},
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    Ran, command,
    contained::{Image, Recorded, client},
    shipped::{IGNORED, docker, replay, shipped},
    untrue::{eventually, first_tickets, send_signal, triage},
};

/// An image with the fixture's store and nothing else, which listens at this port.
pub(crate) fn store_image(name: &str, port: u16, changes: &[&str]) -> Image {
    store_image_of(name, "triage-records", port, changes)
}

/// The same with another name for its program.
fn store_image_of(name: &str, program: &str, port: u16, changes: &[&str]) -> Image {
    let folder = tempdir().unwrap();
    let server = folder.path().join(program);
    fs::copy(Path::new(&triage()).with_file_name("triage-records"), &server).unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    let (port, expose) = (format!("ENV PORT={port}"), format!("EXPOSE {port}"));
    let entrypoint = format!("ENTRYPOINT [\"/{program}\"]");
    let all = [&[entrypoint.as_str(), "ENV HOST=0.0.0.0", &port, &expose], changes].concat();
    Image::of_folder(name, folder.path(), &all)
}

/// Containers and volumes of a run.
fn left_of(run: &str) -> String {
    let label = format!("label=retake.run={run}");
    let containers = client(&["ps", "--all", "--quiet", "--filter", &label]);
    containers + &client(&["volume", "ls", "--quiet", "--filter", &label])
}

#[test]
fn docker_a_recorded_dependency_that_runs_beside_is_asked_for_real_and_the_receipt_says_so() {
    if !docker("a recorded dependency that runs beside") {
        return;
    }
    let recorded = Recorded::make("beside", &["ENTRYPOINT [\"/triage\"]"]);
    let store = store_image("beside-store", 8090, &[]);
    let beside = format!("store={}", store.0);
    for _ in 0..2 {
        let (ran, document) = recorded.replay(&["--beside", &beside]);
        let receipt = &document["receipt"];
        assert_eq!((ran.code, &receipt["tally"]["same"]), (0, &6.into()), "{}{}", ran.out, ran.err);
        let server = &receipt["beside"][0];
        assert_eq!(
            (&server["name"], &server["image"], &server["port"]),
            (&"store".into(), &store.0.clone().into(), &8090.into())
        );
        assert!(server["identity"].as_str().unwrap().starts_with("sha256:"), "{server}");
        assert!(server["ready"].as_str().unwrap().starts_with("its port accepted after "), "{server}");
        assert_eq!(server["calls_not_compared"], 6, "{server}");
        assert_eq!(receipt["answers"]["served_by_parent"].as_u64(), Some(6), "the model alone: {}", receipt["answers"]);
        assert_eq!(receipt["answers"]["never_asked"], 0);
        assert!(receipt["determinism"].get("level").is_none(), "{}", receipt["determinism"]);
        let replacements = receipt["replacements"].to_string();
        assert!(replacements.contains("led to `store`, which listens on port 8090"), "{replacements}");
        assert_eq!(left_of(receipt["run"].as_str().unwrap()), "");
        let logged = logged(&recorded, document["run_path"].as_str().unwrap());
        // A fresh one each time: it has as many as were stored in this run.
        assert_eq!(logged.iter().filter(|line| *line == "store | POST /records 201").count(), 6, "{logged:?}");
    }
    let source = recorded.folder.path().join(".retake");
    let mut arguments = vec!["replay", source.to_str().unwrap(), "--beside", &beside];
    arguments.extend(IGNORED);
    let page = crate::retake(recorded.folder.path(), &arguments).out;
    let line = page.lines().find(|line| line.starts_with("beside   store is retake-test/beside-store:"));
    assert!(
        line.is_some_and(|line| line.ends_with("; what was asked there was not compared, nor 6 recorded calls to it")),
        "{page}"
    );
}

/// What the run's file has of what was logged.
fn logged(recorded: &Recorded, run: &str) -> Vec<String> {
    let archive = bundle::Archive::open(&recorded.folder.path().join(run)).unwrap();
    archive.log_lines().flat_map(|record| record.unwrap().lines).map(|line| line.text).collect()
}

#[test]
fn docker_a_server_with_a_health_check_is_ready_when_that_passes_and_one_with_a_dump_has_it() {
    if !docker("a server with a health check") {
        return;
    }
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("seed")).unwrap();
    fs::write(folder.path().join("seed/shop.sql"), "SELECT 1;").unwrap();
    // The check looks for what is to be there: the program can be asked for nothing else.
    fs::copy(Path::new(&triage()).with_file_name("triage-load"), folder.path().join("seed/load")).unwrap();
    let only = first_tickets(1);
    // Programs that are there by the dump alone.
    let image = store_image("beside-healthy", 8090, &["HEALTHCHECK CMD [\"/seed/load\", \"--help\"]"]);
    let beside = format!("other={},dump=seed,at=/seed", image.0);
    let ran = replay(folder.path(), &shipped(), &["--only", &only, "--beside", &beside]);
    let ready = ran.json()["receipt"]["beside"][0]["ready"].as_str().unwrap_or_default().to_owned();
    assert!(ran.code == 0 && ready.starts_with("its HEALTHCHECK passed after"), "{ready}{}{}", ran.out, ran.err);
    let image = store_image("beside-ailing", 8090, &["HEALTHCHECK CMD [\"/seed/load\", \"--nonsense\"]"]);
    let beside = format!("other={},dump=seed,at=/seed", image.0);
    let ran = replay(folder.path(), &shipped(), &["--only", &only, "--beside", &beside, "--ready-timeout", "3s"]);
    let document = ran.json();
    let reason = document["receipt"]["void"]["reason"].as_str().unwrap_or_default();
    assert!(ran.code == 3 && reason.contains("its HEALTHCHECK ended with status 2: "), "{}{}", ran.out, ran.err);
    let server = &document["receipt"]["beside"][0];
    assert_eq!((&server["dump"]["path"], &server["dump"]["at"]), (&"seed".into(), &"/seed".into()));
    assert_eq!(server["dump"]["digest"].as_str().map(str::len), Some(64), "{server}");
    assert_eq!(left_of(document["receipt"]["run"].as_str().unwrap()), "");
}

/// A replay that waits for a server which never listens where it is said to, in full swing; and its run's id.
fn waiting(folder: &Path, image: &Image) -> (Child, String) {
    let (beside, only, source) = (format!("slow={},port=1", image.0), first_tickets(1), shipped());
    let arguments = ["replay", source.to_str().unwrap(), "--json", "--only", &only, "--beside", &beside];
    let mut replay = command(folder, &arguments);
    let child = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let run = eventually("its run", || {
        let mut files = fs::read_dir(folder.join(".retake/runs")).ok()?.filter_map(Result::ok);
        files.find_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()))
    });
    let running = format!("label=retake.run={run}");
    eventually("service and server", || {
        (client(&["ps", "--quiet", "--filter", &running]).lines().count() == 2).then_some(())
    });
    (child, run)
}

#[test]
fn docker_a_replay_that_is_interrupted_while_it_waits_for_a_server_leaves_nothing() {
    if !docker("an interrupted replay with a server beside it") {
        return;
    }
    let folder = tempdir().unwrap();
    let image = store_image("beside-interrupted", 8090, &[]);
    let (child, run) = waiting(folder.path(), &image);
    send_signal("-INT", &child);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    let document: Value = ran.json();
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(document["receipt"]["void"]["reason"].as_str().unwrap().contains("interrupted"), "{document}");
    assert_eq!(left_of(&run), "");
}

#[test]
fn docker_what_a_killed_replay_left_of_its_servers_is_removed_by_the_next_one() {
    if !docker("a killed replay with a server beside it") {
        return;
    }
    let folder = tempdir().unwrap();
    let image = store_image("beside-killed", 8090, &[]);
    let (mut child, run) = waiting(folder.path(), &image);
    send_signal("-KILL", &child);
    child.wait().unwrap();
    let only = first_tickets(1);
    let ran = replay(folder.path(), &shipped(), &["--only", &only]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(left_of(&run), "");
}

#[test]
fn docker_a_mongodb_that_its_entrypoint_still_fills_is_not_ready_though_its_port_accepts() {
    if !docker("a mongodb that is being filled") {
        return;
    }
    let folder = tempdir().unwrap();
    let only = first_tickets(1);
    // The fixture's store under the name of the shell that an entrypoint is, and of the server that it becomes.
    for (program, code, said) in [
        ("bash", 3, "port 8090 accepts, and the entrypoint has not done with filling it"),
        ("mongod", 0, "its port accepted after"),
    ] {
        let image = store_image_of(&format!("beside-mongo-{program}"), program, 8090, &["ENV MONGO_VERSION=7.0.0"]);
        let beside = format!("other={}", image.0);
        let ran = replay(folder.path(), &shipped(), &["--only", &only, "--beside", &beside, "--ready-timeout", "3s"]);
        assert!(ran.code == code && ran.out.contains(said), "{program}: {}{}", ran.out, ran.err);
    }
}
