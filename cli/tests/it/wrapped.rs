//! A service that a script runs in its own place is recorded as what it is, and not as the script.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use bundle::Archive;
use exchange::Subject;
use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::{
    command,
    determined::{SERVICE, ask, replayed},
    otherwise::{Capturing, free_port},
};

/// A capture of a script that runs the service in its place after so many seconds.
fn recorded(seconds: &str) -> TempDir {
    let folder = tempdir().unwrap();
    let script = folder.path().join("wrapper");
    let text = format!("#!/bin/bash\nsleep {seconds}\nexec \"$SERVICE\" \"$@\"\n");
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let port = free_port();
    let upstream = format!("http://127.0.0.1:{port}");
    let words = [script.to_str().unwrap(), "--exact", SERVICE, "--ignored", "--nocapture"];
    let arguments = [&["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--"][..], &words];
    let mut capture = command(folder.path(), &arguments.concat());
    capture.envs([("PORT", port.to_string()), ("PATH", "/usr/bin:/bin".to_owned())]);
    capture.env("SERVICE", std::env::current_exe().unwrap());
    let capture = Capturing::start(capture);
    ask(&capture);
    capture.stop();
    folder
}

/// The programs that answered, by their files.
fn programs(folder: &Path) -> Vec<String> {
    let archive = Archive::open(&folder.join(".retake")).unwrap();
    let mut programs = Vec::new();
    for entry in archive.entries() {
        let exchange = archive.exchange(&entry.id).unwrap();
        if exchange.response.is_none() {
            continue;
        }
        assert_eq!(exchange.context.doubt, None);
        match archive.fingerprint(&exchange.fingerprint.unwrap()).unwrap().unwrap().subject {
            Subject::Process(process) => programs.push(process.executable.clone()),
            other => panic!("{other:?}"),
        }
    }
    programs
}

#[test]
fn a_program_that_a_script_runs_in_its_place_is_what_was_recorded() {
    let own = std::env::current_exe().unwrap().display().to_string();
    // Sooner and later than the capture waits for such a script.
    for seconds in ["0.05", "1"] {
        let folder = recorded(seconds);
        let programs = programs(folder.path());
        assert!(programs.len() >= 3 && programs.iter().all(|program| *program == own), "{programs:?}");
        let (ran, document) = replayed(folder.path(), &["--order", "serial"]);
        assert_ne!(ran.code, 3, "{document}");
        assert_eq!(document["receipt"]["void"], json!(null), "{document}");
    }
}
