//! `capture`, with real sockets on loopback and a service of a few lines.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::tempdir;

use crate::{Ran, command, retake};

/// Longest wait for a byte. A choice, far above what loopback takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers `count` requests with this body, one a connection. A connection without a request does not count: a capture looks
/// whether the service is there.
fn serve(count: usize, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let asked = listener.incoming().filter_map(|stream| {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            read_head(&mut stream).then_some(stream)
        });
        for mut stream in asked.take(count) {
            let len = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}")
                .unwrap();
        }
    });
    address
}

/// False where the connection ended before one.
fn read_head(stream: &mut TcpStream) -> bool {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut count = 0;
    while reader.read_line(&mut line).unwrap() > 2 {
        line.clear();
        count += 1;
    }
    count > 0
}

/// Sends one GET and gives back all that comes.
fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer sk-secret123\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A capture that runs, and what it said when it began.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    started: serde_json::Value,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, &[&["capture", "--json", "--listen", "127.0.0.1:0"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let started = read_line(&mut lines);
        Self { child, lines, started }
    }

    fn address(&self, listener: usize) -> String {
        self.started["listeners"][listener]["listen"].as_str().unwrap().to_owned()
    }

    /// Asks it to end, as a service manager does, and gives back what it said last, and how it ended.
    fn stop(mut self) -> (serde_json::Value, Ran) {
        let pid = self.child.id().to_string();
        assert!(Command::new("/bin/kill").args(["-TERM", &pid]).status().unwrap().success());
        // News may come first: a service that answers twice and is gone is missed where the capture looks for it late.
        let is_notice = |line: &serde_json::Value| line["schema"] == "retake.capture-notice/0";
        let mut ended = read_line(&mut self.lines);
        while is_notice(&ended) {
            ended = read_line(&mut self.lines);
        }
        (ended, Ran::of(&self.child.wait_with_output().unwrap()))
    }
}

fn read_line(lines: &mut impl BufRead) -> serde_json::Value {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn what_passed_is_in_the_store_with_its_secrets_replaced() {
    let folder = tempdir().unwrap();
    let service = serve(2, r#"{"answer":"yes"}"#);
    let running = Running::start(folder.path(), &["--upstream", &format!("http://{service}")]);
    assert_eq!(running.started["schema"], "retake.capture-started/0");
    for path in ["/tickets/1", "/tickets/2?key=abcdef123"] {
        assert!(ask(&running.address(0), path).ends_with(r#"{"answer":"yes"}"#));
    }
    let (ended, ran) = running.stop();
    assert_eq!((ran.code, &ended["counts"]["exchanges"]), (0, &2.into()), "{}", ran.err);

    let listed = retake(folder.path(), &["ls", "--json"]).json();
    let exchanges = listed["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.len(), 2);
    assert_eq!((&exchanges[0]["title"], &exchanges[0]["status"]), (&"GET /tickets/1".into(), &200.into()));
    let shown = retake(folder.path(), &["show", exchanges[1]["id"].as_str().unwrap()]);
    assert!(shown.out.contains("Authorization: Bearer ") && shown.out.contains("redacted"), "{}", shown.out);
    assert!(!shown.out.contains("secret123") && !shown.out.contains("abcdef123"), "{}", shown.out);
    assert_eq!(retake(folder.path(), &["verify"]).code, 0);
}

#[test]
fn a_dependency_that_nobody_called_is_named_at_the_end() {
    let folder = tempdir().unwrap();
    let (service, model) = (serve(1, "{}"), serve(1, "{}"));
    let dependencies = [format!("llm=http://{model}"), format!("store=http://{model}")];
    let upstream = format!("http://{service}");
    let running = Running::start(
        folder.path(),
        &["--upstream", &upstream, "--dependency", &dependencies[0], "--dependency", &dependencies[1]],
    );
    ask(&running.address(0), "/tickets/1");
    ask(&running.address(1), "/chat");
    let (ended, ran) = running.stop();
    assert_eq!((ran.code, &ended["never_called"]), (0, &serde_json::json!(["store"])), "{}", ran.err);
}

#[test]
fn a_started_service_is_told_where_to_call_and_its_status_is_the_captures() {
    let folder = tempdir().unwrap();
    let service = "echo calls $OPENAI_BASE_URL; exit 7";
    let ran = retake(folder.path(), &["capture", "--", "/bin/sh", "-c", service]);
    assert_eq!(ran.code, 7, "{}", ran.err);
    assert!(ran.out.starts_with("calls http://127.0.0.1:"), "{}", ran.out);
    assert!(ran.err.contains("OPENAI_BASE_URL"), "{}", ran.err);
    let none = retake(folder.path(), &["capture", "--no-default-dependencies", "--", "/bin/true"]);
    assert_eq!(none.code, 2, "nothing is left to record: {}", none.err);
}

#[test]
fn a_capture_of_nothing_or_of_nonsense_is_refused_with_advice() {
    let folder = tempdir().unwrap();
    for arguments in [&["capture"][..], &["capture", "--upstream", "nonsense"], &["capture", "--dependency", "x"]] {
        let ran = retake(folder.path(), arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.err.contains("help: "), "{arguments:?}: {}", ran.err);
    }
    let both =
        retake(folder.path(), &["capture", "--container", "a", "--pid", "1", "--upstream", "http://127.0.0.1:1"]);
    assert_eq!(both.code, 2);
}
