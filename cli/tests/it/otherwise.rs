//! Replays otherwise than in the recorded image: `--target` beside `serve`, and what was captured live from a process.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use bundle::Archive;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    Ran, command, retake,
    shipped::{IGNORED, ipv6, replay, shipped},
    untrue::{PATIENCE, eventually, first_tickets, send_signal, triage},
};

/// A program that is ended when the test is over.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Ports from which those are chosen that are told to a program beforehand: Linux gives none of them to whoever asks for any
/// (`ip_local_port_range` begins at 32768), so that nobody has it until the program listens.
const PORTS: std::ops::Range<u32> = 16_384..32_768;

/// A port that nobody has; each test's process begins to look elsewhere.
pub(crate) fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let port = |_| {
        let at = std::process::id().wrapping_mul(16).wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
        u16::try_from(PORTS.start + at % (PORTS.end - PORTS.start)).unwrap()
    };
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    PORTS.map(port).find(is_free).unwrap()
}

/// `retake serve` of the shipped recording; gives the addresses of model and store.
pub(crate) fn serve(folder: &Path) -> (Ended, String, String) {
    serve_of(folder, &shipped())
}

/// The same of another recording with its dependencies.
pub(crate) fn serve_of(folder: &Path, source: &Path) -> (Ended, String, String) {
    let arguments =
        ["serve", source.to_str().unwrap(), "--listen", "model=127.0.0.1:0", "--listen", "store=127.0.0.1:0"];
    let mut child = command(folder, &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut address = |name: &str| {
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix(&format!("{name} at http://")).unwrap_or_else(|| panic!("{line}"));
        address.to_owned()
    };
    let (model, store) = (address("model"), address("store"));
    (Ended(child), model, store)
}

fn variables(port: u16, model: &str, store: &str) -> Vec<(&'static str, String)> {
    vec![
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", port.to_string()),
        ("LLM_BASE_URL", format!("http://{model}/v1")),
        ("STORE_BASE_URL", format!("http://{store}")),
    ]
}

pub(crate) fn wait_until_it_accepts(port: u16) {
    eventually("the service", || TcpStream::connect(("127.0.0.1", port)).ok());
}

#[test]
fn a_service_that_runs_already_is_judged_by_its_answers_and_nothing_more_is_claimed() {
    let folder = tempdir().unwrap();
    let (_serving, model, store) = serve(folder.path());
    let port = free_port();
    let mut service = Command::new(triage());
    service.env_clear().envs(variables(port, &model, &store)).stdout(Stdio::null()).stderr(Stdio::null());
    let _service = Ended(service.spawn().unwrap());
    wait_until_it_accepts(port);
    let url = format!("http://127.0.0.1:{port}");
    for _ in 0..2 {
        let ran = replay(folder.path(), &shipped(), &["--target", &url, "--only", &first_tickets(5)]);
        let document = ran.json();
        let receipt = &document["receipt"];
        assert_eq!((ran.code, &receipt["tally"]["same"]), (0, &5.into()), "{}{}", ran.out, ran.err);
        assert_eq!(receipt["answers"]["observed"], false);
        assert_eq!(receipt["egress"], serde_json::json!({ "prevented": false }));
        assert_eq!(receipt["determinism"].get("level"), None);
        assert_eq!(
            (&receipt["pinned"]["relation"], receipt["pinned"]["used"].as_str()),
            (&"not-pinned".into(), Some(&url[7..]))
        );
        assert!(receipt["replacements"].to_string().contains("header:Host"), "{receipt}");
    }
}

/// Tickets of the shipped recording as they were sent: path and body.
pub(crate) fn recorded_tickets(count: usize) -> Vec<(String, Vec<u8>)> {
    let archive = Archive::open(&shipped()).unwrap();
    let ids: Vec<_> =
        archive.entries().iter().filter(|it| it.dependency.is_none()).map(|it| it.id).take(count).collect();
    let ticket = |id| {
        let exchange = archive.exchange(id).unwrap();
        let target = String::from_utf8(exchange.request.head.origin_target().unwrap().to_vec()).unwrap();
        (target, archive.body(&exchange.request.body, 1 << 20).unwrap())
    };
    ids.iter().map(ticket).collect()
}

pub(crate) fn post(address: &str, path: &str, body: &[u8], more: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let len = body.len();
    let fields =
        format!("Host: here\r\nContent-Type: application/json\r\nContent-Length: {len}\r\nConnection: close\r\n");
    write!(stream, "POST {path} HTTP/1.1\r\n{fields}{more}\r\n").unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// `retake capture --json` of a service at this URL, its clients' listener on a free port.
pub(crate) fn capture_of(folder: &Path, upstream: &str, more: &[&str]) -> Command {
    command(folder, &[&["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", upstream][..], more].concat())
}

/// The flags for a dependency: where it is, and where the service finds it.
pub(crate) fn dependency(name: &str, is_at: &str, listens: &str) -> [String; 2] {
    ["--dependency".to_owned(), format!("{name}=http://{is_at},listen={listens}")]
}

/// Replays the store in a folder, its runs kept beside it.
pub(crate) fn replay_store(folder: &Path, more: &[&str]) -> (Ran, Value) {
    let ran = retake(folder, &[&["replay", ".retake", "--json", "--store", "runs"][..], more].concat());
    let document = ran.json();
    (ran, document)
}

/// A capture that runs.
pub(crate) struct Capturing {
    child: Child,
    drain: thread::JoinHandle<u64>,
    /// Where clients call.
    pub(crate) address: String,
}

impl Capturing {
    /// Starts `retake capture --json …` and waits until it listens.
    pub(crate) fn start(mut capture: Command) -> Self {
        let mut child = capture.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let address = eventually("the capture's beginning", || {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the capture has ended");
            let said: Value = serde_json::from_str(&line).ok()?;
            Some(said["listeners"][0]["listen"].as_str()?.to_owned())
        });
        let drain = thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()).unwrap());
        Self { child, drain, address }
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) {
        send_signal("-TERM", &self.child);
        self.child.wait().unwrap();
        self.drain.join().unwrap();
    }
}

/// A store with what the fixture service did under a capture that started it, its trace context not passed on.
struct Captured {
    folder: TempDir,
}

impl Captured {
    fn record(in_flight: usize, more: &str) -> Self {
        Self::record_at("127.0.0.1", in_flight, more)
    }

    /// With the dependencies at this address of the loopback.
    fn record_at(loopback: &str, in_flight: usize, more: &str) -> Self {
        let folder = tempdir().unwrap();
        let (_serving, model, store) = serve(folder.path());
        let [port, model_port, store_port] = [(); 3].map(|()| free_port());
        let upstream = format!("http://127.0.0.1:{port}");
        let [model_flag, model] = dependency("model", &model, &format!("{loopback}:{model_port}"));
        let [store_flag, store] = dependency("store", &store, &format!("{loopback}:{store_port}"));
        let dependencies = ["--no-default-dependencies", &model_flag, &model, &store_flag, &store];
        let mut capture = capture_of(folder.path(), &upstream, &[&dependencies[..], &["--", &triage()]].concat());
        capture.envs(variables(port, &format!("{loopback}:{model_port}"), &format!("{loopback}:{store_port}")));
        capture.env("TRIAGE_TRACE", "off");
        let capture = Capturing::start(capture);
        let address = &capture.address;
        wait_until_it_accepts(port);
        let tickets = recorded_tickets(12);
        for together in tickets.chunks(in_flight) {
            thread::scope(|scope| {
                for (path, body) in together {
                    scope.spawn(|| assert!(post(address, path, body, more).contains(" 200 OK")));
                }
            });
        }
        capture.stop();
        Self { folder }
    }

    fn replay(&self) -> (Ran, Value) {
        let ran = replay(self.folder.path(), &self.folder.path().join(".retake"), &[]);
        let document = ran.json();
        (ran, document)
    }
}

#[test]
fn dependencies_on_the_other_familys_loopback_are_found_there_again() {
    if !ipv6("dependencies of ipv6") {
        return;
    }
    let (ran, document) = Captured::record_at("[::1]", 1, "").replay();
    assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (0, &12.into()), "{}{}", ran.out, ran.err);
    assert_eq!(document["receipt"]["answers"]["missed"], 0);
}

#[test]
fn one_at_a_time_without_a_trace_the_calls_are_found_by_inference_and_the_store_replays_itself() {
    let captured = Captured::record(1, "Expect: 100-continue\r\n");
    // A run in the store is not taken for a part of what was captured.
    for _ in 0..2 {
        let (ran, document) = captured.replay();
        let receipt = &document["receipt"];
        assert_eq!((ran.code, &receipt["tally"]["same"]), (0, &12.into()), "{}{}", ran.out, ran.err);
        assert_eq!(receipt["pinned"]["relation"], "same-executable");
        let answers = &receipt["answers"];
        assert_eq!(
            (&answers["served_by_inference"], &answers["served_by_parent"]),
            (&24.into(), &0.into()),
            "{answers}"
        );
        assert_eq!(receipt["sources"][0]["verified"], true);
    }
}

#[test]
fn many_at_a_time_without_a_trace_nobody_is_named_and_all_calls_are_still_found() {
    let captured = Captured::record(6, "");
    let (ran, document) = captured.replay();
    let receipt = &document["receipt"];
    assert_eq!((ran.code, &receipt["tally"]["same"]), (0, &12.into()), "{}{}", ran.out, ran.err);
    let answers = &receipt["answers"];
    assert_eq!((&answers["missed"], &answers["never_asked"]), (&0.into(), &0.into()), "{answers}");
    assert!(answers["served_anywhere"].as_u64() > Some(0), "weaker, and said so: {answers}");
}

#[test]
fn two_sources_are_replayed_one_after_the_other_and_the_worse_outcome_counts() {
    let folder = tempdir().unwrap();
    let (source, only, process) = (shipped(), first_tickets(1), triage());
    let source = source.to_str().unwrap();
    let mut arguments = vec!["replay", source, source, "--only", &only, "--process", &process];
    arguments.extend(IGNORED);
    let ran = crate::retake(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out.matches("SAME     1 same of 1 exchange").count(), 2, "{}", ran.out);
    let runs = crate::retake(folder.path(), &["runs", "--json"]).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_run_named_by_its_id_is_verified_too_and_where_nothing_can_be_reached_nothing_is_judged() {
    let folder = tempdir().unwrap();
    let (only, process) = (first_tickets(1), triage());
    let ran = replay(folder.path(), &shipped(), &["--only", &only, "--process", &process]);
    let run = ran.json()["receipt"]["run"].as_str().unwrap().to_owned();
    let (digits, port) = (&run[..12], free_port().to_string());
    let again = |port: &str| {
        let mut arguments =
            vec!["replay", digits, "--json", "--process", &process, "--env", "HOST=127.0.0.1", "--port", port];
        let listen = format!("PORT={port}");
        arguments.extend(["--env", &listen]);
        arguments.extend(IGNORED);
        crate::retake(folder.path(), &arguments)
    };
    let ran = again(&port);
    let document = ran.json();
    // A run does not tell where its dependencies listened: their calls went nowhere, and that is no divergence.
    assert_eq!((ran.code, &document["results"][0]["verdict"]), (3, &"unjudged".into()), "{}", ran.out);
    let reason = document["results"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("cannot be served here"), "{reason}");

    let path = folder.path().join(".retake/runs").join(format!("{run}.retake"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(again(&port).code, 2, "one bit of it is another");
}
