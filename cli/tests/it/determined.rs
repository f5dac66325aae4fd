//! A service that reads clock, random numbers and addresses gives the same at each replay, where that was asked for.

use std::{
    collections::hash_map::RandomState, fs, hash::BuildHasher as _, io::Read as _, path::Path, time::SystemTime,
};

use bundle::Archive;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::{
    Ran, command,
    contained::{Container, Image, answer_each, client},
    otherwise::{Capturing, free_port, post},
    retake,
    shipped::docker,
    untrue::eventually,
};

/// Exchanges recorded.
const COUNT: usize = 3;

/// The service beside these tests.
pub(crate) const SERVICE: &str = "determined::service";

/// Not a test: a service whose answers are never the same. Run as `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the tests beside it"]
#[expect(clippy::disallowed_methods, reason = "the service is one that reads the clock")]
fn service() {
    let Ok(port) = std::env::var("PORT") else { return };
    answer_each(("127.0.0.1", port.parse().unwrap()), |request| {
        let mut random = [0; 8];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seen = json!({
            "time_ns": u64::try_from(now.as_nanos()).unwrap(),
            "hash": RandomState::new().hash_one("retake"),
            "device": random,
            "address": request.as_ptr().addr(),
        });
        seen.to_string()
    });
}

/// The words of a service among these tests, in this executable at `path`.
pub(crate) fn words(path: &str, service: &str) -> Vec<String> {
    [path, "--exact", service, "--ignored", "--nocapture"].map(str::to_owned).to_vec()
}

/// Asks the service behind a capture some times, once it answers.
pub(crate) fn ask(capture: &Capturing) {
    eventually("the service", || post(&capture.address, "/", b"", "").contains("time_ns").then_some(()));
    for _ in 1..COUNT {
        assert!(post(&capture.address, "/", b"", "").contains("time_ns"));
    }
}

fn recorded_as_process() -> TempDir {
    let folder = tempdir().unwrap();
    let port = free_port();
    let upstream = format!("http://127.0.0.1:{port}");
    let executable = std::env::current_exe().unwrap();
    let mut arguments = vec!["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--"];
    let words = words(executable.to_str().unwrap(), SERVICE);
    arguments.extend(words.iter().map(String::as_str));
    let mut capture = command(folder.path(), &arguments);
    capture.env("PORT", port.to_string());
    let capture = Capturing::start(capture);
    ask(&capture);
    capture.stop();
    folder
}

/// A recording of what `ask` has of a service among these tests, in a container.
pub(crate) fn recorded_in_docker(image: &Image, service: &str, ask: impl Fn(&Capturing)) -> TempDir {
    let folder = tempdir().unwrap();
    let port = free_port();
    let (variable, upstream) = (format!("PORT={port}"), format!("http://127.0.0.1:{port}"));
    let words = words("/it", service);
    let options = ["--network", "host", "--env", &variable, &image.0];
    let options: Vec<&str> = options.into_iter().chain(words.iter().map(String::as_str)).collect();
    let container = Container::run(&service.replace("::", "-"), &options);
    let arguments =
        ["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--container", &container.0];
    let capture = Capturing::start(command(folder.path(), &arguments));
    ask(&capture);
    capture.stop();
    client(&["kill", &container.0]);
    folder
}

pub(crate) fn replayed(folder: &Path, more: &[&str]) -> (Ran, Value) {
    let ran = retake(folder, &[&["replay", ".retake", "--json"], more].concat());
    let document = ran.json();
    (ran, document)
}

pub(crate) fn outcome(document: &Value) -> &str {
    document["receipt"]["outcome_digest"].as_str().unwrap_or_else(|| panic!("{document}"))
}

/// The same each time at level 3 and another each time at level 0; what the clock showed is production's time.
fn is_the_same_at_level_3_alone(folder: &Path) {
    let at = |level: &str| replayed(folder, &["--determinism", level, "--order", "serial"]).1;
    let determined = [(); 3].map(|()| at("3"));
    for document in &determined {
        let determinism = &document["receipt"]["determinism"];
        assert_eq!((&determinism["level"], &determinism["order"]), (&json!(3), &json!("serial")), "{determinism}");
        assert_eq!(outcome(document), outcome(&determined[0]));
    }
    assert_ne!(outcome(&at("0")), outcome(&at("0")));
    let clock_alone = replayed(folder, &["--without", "entropy", "--order", "serial"]).1;
    assert_eq!(clock_alone["receipt"]["determinism"]["level"], 2);
    assert_ne!(outcome(&clock_alone), outcome(&determined[0]));

    let store = Archive::open(&folder.join(".retake")).unwrap();
    let run = Archive::open(&folder.join(determined[0]["run_path"].as_str().unwrap())).unwrap();
    let mut compared = 0;
    for entry in run.entries() {
        let again = run.exchange(&entry.id).unwrap();
        let original = store.exchange(&again.repeats.unwrap().original.unwrap()).unwrap();
        let began = store.sessions()[0].started.wall_unix_ns + original.times.started_ns;
        let body = run.body(&again.response.unwrap().body, 1 << 20).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["time_ns"], began);
        compared += 1;
    }
    assert_eq!(compared, COUNT);
}

#[test]
fn a_process_gives_the_same_at_each_replay() {
    let folder = recorded_as_process();
    let (_, document) = replayed(folder.path(), &[]);
    if document["receipt"]["injected"].to_string().contains("no name spaces") {
        return eprintln!("skipped: this machine gives a process no name spaces of its own");
    }
    is_the_same_at_level_3_alone(folder.path());
}

#[test]
fn docker_a_container_gives_the_same_at_each_replay() {
    if !docker("docker_a_container_gives_the_same_at_each_replay") {
        return;
    }
    let image = Image::of_these_tests("determined", &[]);
    let folder = recorded_in_docker(&image, SERVICE, ask);
    is_the_same_at_level_3_alone(folder.path());
}

#[test]
fn a_level_that_is_required_and_not_reached_is_void_and_one_that_cannot_be_had_is_refused() {
    let folder = recorded_as_process();
    let (ran, document) = replayed(folder.path(), &["--require-determinism", "--without", "clock"]);
    assert_eq!(ran.code, 3, "{document}");
    let reason = document["receipt"]["void"]["reason"].as_str().unwrap();
    assert!(reason.contains("--require-determinism 3") && reason.contains("--without clock"), "{reason}");
    assert_eq!(document["receipt"]["replayed"], 0);
    assert!(document["receipt"]["determinism"]["level"].is_null(), "nothing was sent: {document}");
    let ran = retake(folder.path(), &["replay", ".retake", "--determinism", "4"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("level 4"), "{}", ran.err);
    let ran = retake(folder.path(), &["replay", ".retake", "--determinism", "1", "--require-determinism", "2"]);
    assert_eq!(ran.code, 2);
}
