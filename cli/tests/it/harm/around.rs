//! What a capture is told about the service: its container, its process, its child, its traces; and who may not meet whom.

use std::sync::{Arc, Mutex};

use super::*;
use crate::shipped::ipv6;

#[test]
fn an_address_of_ipv6_is_listened_on_and_called() {
    if !ipv6("a listener of ipv6") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    thread::spawn(move || {
        // The capture looks whether the service is there, and asks nothing then.
        let mut asked = listener.incoming().map(Result::unwrap).filter(|stream| stream.peek(&mut [0]).unwrap() > 0);
        let mut stream = asked.next().unwrap();
        let head = read_head(&mut stream);
        let host = head.lines().find(|line| line.starts_with("Host:")).unwrap().to_owned();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{host}", host.len()).unwrap();
    });
    let dependency = format!("db=http://{upstream},listen=[::1]:0");
    let capture = Capture::of(folder.path(), upstream, &["--listen", "[::1]:0", "--dependency", &dependency]);
    assert!(
        capture.address(0).is_ipv6()
            && capture.started["listeners"][0]["url"].as_str().unwrap().starts_with("http://[::1]:")
    );
    assert!(get(capture.address(1), "/x").ends_with(&format!("Host: {upstream}")));
    capture.stop();
    assert_eq!(list(folder.path()).len(), 1);
}

#[test]
fn a_call_is_ambiguous_where_two_clients_in_flight_brought_the_same_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, dependency) =
        (serve(|mut stream| drop((read_head(&mut stream), read_rest(&mut stream)))), serve_ok());
    let capture = Capture::of(folder.path(), upstream, &["--dependency", &format!("db=http://{dependency}")]);
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let ask = |listener: usize, target: &str| {
        let mut stream = connect(capture.address(listener));
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{trace}\r\n").as_bytes()).unwrap();
        stream
    };
    let first = ask(0, "/first");
    pause(Duration::from_millis(100));
    drop(read_head(&mut ask(1, "/one-in-flight")));
    let second = ask(0, "/second");
    pause(Duration::from_millis(100));
    drop(read_head(&mut ask(1, "/two-in-flight")));
    drop((first, second));
    capture.stop();
    let parent = |title: &str| show(folder.path(), title)["exchange"]["role"]["parent"].clone();
    assert_eq!(parent("GET /one-in-flight")["certainty"], "recorded");
    let ambiguous = parent("GET /two-in-flight");
    assert_eq!((&ambiguous["certainty"], ambiguous["candidates"].as_array().unwrap().len()), (&"ambiguous".into(), 2));
}

/// Heads that two servers read differently, each with the start of another request behind it.
const SMUGGLED: [&str; 6] = [
    "POST /a HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "GET /a HTTP/1.1\rTransfer-Encoding: chunked\r\n\r\n",
    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0;\rx\r\n\r\n",
];

#[test]
fn nothing_behind_an_unclear_request_reaches_another_clients_connection() {
    let folder = tempfile::tempdir().unwrap();
    let connections: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let keep = connections.clone();
    let upstream = serve(move |mut stream| {
        let number = {
            let mut kept = keep.lock().unwrap();
            kept.push(Vec::new());
            kept.len() - 1
        };
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            keep.lock().unwrap()[number].extend_from_slice(&bytes[..count]);
            // Answers whatever comes, as often as it comes.
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    });
    let capture = Capture::of(folder.path(), upstream, &[]);
    let mut good = connect(capture.address(0));
    let mut ask = |number: usize| {
        good.write_all(format!("GET /good/{number} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let mut answer = [0; 40];
        good.read_exact(&mut answer).unwrap();
        assert!(answer.ends_with(b"\r\n\r\nok"));
    };
    for (number, smuggled) in SMUGGLED.iter().enumerate() {
        ask(number);
        let mut bad = connect(capture.address(0));
        bad.write_all(format!("{smuggled}GET /smuggled HTTP/1.1\r\nX: ").as_bytes()).unwrap();
        pause(Duration::from_millis(50));
        ask(number);
        bad.shutdown(std::net::Shutdown::Write).unwrap();
        read_rest(&mut bad);
        ask(number);
    }
    drop(good);
    capture.stop();
    for bytes in &*connections.lock().unwrap() {
        let text = String::from_utf8_lossy(bytes);
        assert!(!(text.contains("/good") && text.contains("/smuggled")), "{text}");
    }
}

#[test]
fn a_started_services_output_is_its_own_and_signals_reach_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'echo got HUP' HUP; trap 'echo got USR1' USR1; trap 'echo got USR2; exit 9' USR2; \
        printf 'no line end \\001 yet'; echo; echo ready; while true; do sleep 0.05; done";
    let mut command = command(folder.path(), &["capture", "--", "/bin/sh", "-c", script]);
    command.env("PATH", "/bin:/usr/bin").env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9/former");
    let errors = std::fs::File::create(folder.path().join("errors.txt")).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut all = String::new();
    let mut wait_for = |text: &str| {
        while !all.contains(text) {
            assert!(lines.read_line(&mut all).unwrap() > 0, "{all}");
        }
        all.clone()
    };
    wait_for("ready\n");
    for signal in ["HUP", "USR1", "USR2"] {
        let pid = child.id().to_string();
        assert!(Command::new("/bin/kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        wait_for(&format!("got {signal}\n"));
    }
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert_eq!(wait_for("USR2\n"), "no line end \u{1} yet\nready\ngot HUP\ngot USR1\ngot USR2\n");
    let said = std::fs::read_to_string(folder.path().join("errors.txt")).unwrap();
    for expected in ["openai", "https://api.openai.com", "OPENAI_BASE_URL", "anthropic", "http://127.0.0.1:9"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_process_that_runs_already_is_known_by_its_executable() {
    let folder = tempfile::tempdir().unwrap();
    let mut sleeper = Command::new("/bin/sleep").arg("60").env("MY_API_KEY", "planted-variable").spawn().unwrap();
    let pid = sleeper.id().to_string();
    let capture = Capture::of(folder.path(), serve_ok(), &["--pid", &pid]);
    assert!(get(capture.address(0), "/x").ends_with("ok"));
    capture.stop();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let shown = show(folder.path(), "GET /x");
    let subject = &shown["fingerprint"]["subject"];
    assert_eq!(subject["subject"], "process", "{subject}");
    assert!(subject.to_string().contains("sleep") && !subject.to_string().contains("planted-variable"), "{subject}");
    assert!(!shown["fingerprint"]["host"]["kernel"].as_str().unwrap().is_empty());
}

/// A container that only waits, from an image with a list of packages; removed when dropped.
struct Waiting(String);

impl Waiting {
    fn start() -> Self {
        let name = format!("retake-test-harm-{}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("lib/apk/db");
        std::fs::create_dir_all(&list).unwrap();
        std::fs::write(list.join("installed"), "P:musl\nV:1.2.5-r0\n\nP:zlib\nV:1.3.1-r2\n").unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_retake"), folder.path().join("retake")).unwrap();
        let image = format!("retake-test/{name}:latest");
        let mut tar =
            Command::new("tar").arg("-cC").arg(folder.path()).arg(".").stdout(Stdio::piped()).spawn().unwrap();
        let imported =
            Command::new("docker").args(["import", "-", &image]).stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(tar.wait().unwrap().success() && imported.status.success(), "{imported:?}");
        let run = [
            "run",
            "-d",
            "--name",
            &name,
            "--network",
            "none",
            "--memory",
            "64m",
            "-e",
            "SOME_API_KEY=planted-container",
            "-e",
            "PLAIN=seen",
        ];
        let serves = ["/retake", "capture", "--upstream", "http://127.0.0.1:1", "--store", "/store"];
        let ran = Command::new("docker").args(run).arg(&image).args(serves).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        Self(name)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // What cannot be removed is not what is tested.
        Command::new("docker").args(["rm", "-f", &self.0]).output().ok();
        Command::new("docker").args(["rmi", &format!("retake-test/{}:latest", self.0)]).output().ok();
    }
}

#[test]
fn docker_a_containers_image_limits_secrets_and_packages_are_in_the_fingerprint() {
    if !crate::shipped::docker("a container's fingerprint") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let container = Waiting::start();
    let capture = Capture::of(folder.path(), serve_ok(), &["--container", &container.0]);
    assert!(get(capture.address(0), "/x").ends_with("ok"));
    capture.stop();
    let fingerprint = show(folder.path(), "GET /x")["fingerprint"].take();
    let (image, config) = (&fingerprint["subject"]["image"], &fingerprint["subject"]["config"]);
    assert!(image["config_digest"].as_str().unwrap().starts_with("sha256:"), "{fingerprint}");
    assert_eq!(image["layers"].as_array().unwrap().len(), 1);
    assert_eq!(config["limits"]["memory_bytes"], 64 << 20, "{config}");
    let variable = |name: &str| {
        config["variables"].as_array().unwrap().iter().find(|variable| variable["name"] == name).unwrap()["value"]
            .clone()
    };
    assert_eq!(variable("PLAIN")["plain"], "seen");
    assert!(variable("SOME_API_KEY")["secret"]["hash"].is_string());
    let packages: Vec<_> =
        fingerprint["packages"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(packages, ["musl", "zlib"]);
    assert!(!fingerprint["host"]["engine"].is_null() && !fingerprint["host"]["kernel"].is_null());
    assert!(!fingerprint.to_string().contains("planted-container"));
}

#[test]
fn a_container_that_no_engine_tells_of_is_said_and_recording_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = format!("http://{}", serve_ok());
    let arguments = ["--upstream", &upstream, "--container", "triage"];
    let nobody = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let capture = Capture::start_with(folder.path(), &arguments, &nobody);
    assert!(get(capture.address(0), "/x").ends_with("ok"));
    capture.stop();
    let said = std::fs::read_to_string(folder.path().join("errors.txt")).unwrap();
    assert!(said.contains("the service's environment is not recorded"), "{said}");
    assert_eq!(show(folder.path(), "GET /x")["fingerprint"]["subject"]["subject"], "unknown");
}
