//! A service that writes over its arguments: nginx shows what it is about instead.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use bundle::Archive;
use exchange::{ProcessIdentity, Subject};
use tempfile::{TempDir, tempdir};

use crate::{
    command,
    otherwise::{Capturing, free_port, post},
    shipped::skipped,
    untrue::eventually,
};

const NGINX: &str = "/usr/sbin/nginx";

/// A folder for nginx with its configuration; the port that it listens on.
fn set_up(test: &str) -> Option<(TempDir, u16, Vec<String>)> {
    if !Path::new(NGINX).exists() {
        skipped(test, "there is no nginx");
        return None;
    }
    let (folder, port) = (tempdir().unwrap(), free_port());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};", at(name)))
        .join("\n");
    let configuration = format!(
        "worker_processes 1;\npid {};\nerror_log stderr;\nevents {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{temporary}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 'hello'; }} }}\n}}\n",
        at("pid")
    );
    fs::write(at("nginx.conf"), configuration).unwrap();
    let words = [NGINX, "-c", &at("nginx.conf"), "-g", "daemon off;"].map(str::to_owned).to_vec();
    Some((folder, port, words))
}

/// What a capture, told of the service by these words, has of it.
fn recorded(folder: &Path, port: u16, service: &[&str]) -> ProcessIdentity {
    let upstream = format!("http://127.0.0.1:{port}");
    let arguments = [&["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", &upstream], service].concat();
    let capture = Capturing::start(command(folder, &arguments));
    eventually("nginx", || post(&capture.address, "/", b"", "").contains("hello").then_some(()));
    capture.stop();
    let archive = Archive::open(&folder.join(".retake")).unwrap();
    let (_, fingerprint) = archive.fingerprints().unwrap().pop().unwrap();
    match fingerprint.subject {
        Subject::Process(process) => *process,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_service_was_started_with_is_recorded_whatever_it_shows() {
    let Some((folder, port, words)) = set_up("what_a_service_was_started_with") else { return };
    let service: Vec<&str> = std::iter::once("--").chain(words.iter().map(String::as_str)).collect();
    let process = recorded(folder.path(), port, &service);
    assert_eq!(process.arguments, words);
    assert!(process.files.iter().any(|(path, _)| path.ends_with("nginx.conf")), "{:?}", process.files);
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        Command::new("/bin/kill").arg(self.0.id().to_string()).status().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn arguments_that_are_not_known_are_not_taken_for_what_is_shown() {
    let Some((folder, port, words)) = set_up("arguments_that_are_not_known") else { return };
    let nginx = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let nginx = Killed(nginx);
    eventually("nginx", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let pid = nginx.0.id().to_string();
    let process = recorded(folder.path(), port, &["--pid", &pid]);
    assert!(process.executable.ends_with("nginx") && process.arguments.is_empty(), "{:?}", process.arguments);
}
