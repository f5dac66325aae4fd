//! Secrets that the recording knows by pseudonym, given again for a replay.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
};

use bundle::Archive;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    Ran,
    contained::{Container, Image},
    harm::secret::files_unpacked,
    otherwise::{Capturing, capture_of, free_port, replay_store},
    retake,
    shipped::docker,
    untrue::{PATIENCE, eventually},
};

const TOKEN: &str = "tok-0123456789-really";

/// Not a test: a service that answers who knows its token, and repeats it. Run as `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the tests beside it"]
fn service() {
    let Ok(port) = std::env::var("PORT") else { return };
    let token = std::env::var("SERVICE_TOKEN").ok().or_else(token_in_arguments).unwrap_or_default();
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    for stream in listener.incoming() {
        // A probe that connects and says nothing is no client.
        drop(serve(stream.unwrap(), &token));
    }
}

/// Not a test: a health check that only the real token passes. Run likewise.
#[test]
#[ignore = "the health check of the tests beside it"]
fn healthy() {
    assert!(std::env::var("PORT").is_err() || token_in_arguments().as_deref() == Some(TOKEN));
}

/// From an argument, which these tests take for one more name.
fn token_in_arguments() -> Option<String> {
    std::env::args().find_map(|argument| argument.strip_prefix("SERVICE_TOKEN=").map(str::to_owned))
}

fn serve(mut stream: TcpStream, token: &str) -> std::io::Result<()> {
    let mut authorization = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Authorization: Bearer ") {
            authorization = value.to_owned();
        }
    }
    eprintln!("asked with {authorization}");
    let known = !token.is_empty() && authorization == token;
    let (status, body) = if known {
        let you = if token_in_arguments().is_some() { "known" } else { &authorization };
        ("200 OK", format!("{{\"you\":\"{you}\"}}"))
    } else {
        ("401 Unauthorized", "{}".to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

struct Recorded {
    folder: TempDir,
}

impl Recorded {
    fn make() -> Self {
        let folder = tempdir().unwrap();
        let port = free_port();
        let upstream = format!("http://127.0.0.1:{port}");
        let own = std::env::current_exe().unwrap().display().to_string();
        let service =
            ["--no-default-dependencies", "--", &own, "--exact", "secret::service", "--ignored", "--nocapture"];
        let mut capture = capture_of(folder.path(), &upstream, &service);
        capture.env("PORT", port.to_string()).env("SERVICE_TOKEN", TOKEN);
        let capture = Capturing::start(capture);
        Self::ask(port, capture);
        Self { folder }
    }

    /// In a container that has the token in its command and in its health check.
    fn make_contained(name: &str) -> (Self, Image) {
        let folder = tempdir().unwrap();
        let port = free_port();
        let token = format!("SERVICE_TOKEN={TOKEN}");
        let check = format!("HEALTHCHECK CMD [\"/it\", \"--exact\", \"secret::healthy\", \"--ignored\", \"{token}\"]");
        let image = Image::of_these_tests(name, &[&check]);
        let command_line = ["/it", "--exact", "secret::service", "--ignored", "--nocapture", &token];
        let settings = ["--network", "host", "--env", &format!("PORT={port}"), &image.0];
        let container = Container::run(name, &[&settings[..], &command_line].concat());
        let upstream = format!("http://127.0.0.1:{port}");
        let capture = Capturing::start(capture_of(folder.path(), &upstream, &["--container", &container.0]));
        Self::ask(port, capture);
        (Self { folder }, image)
    }

    fn ask(port: u16, capture: Capturing) {
        eventually("the service", || TcpStream::connect(("127.0.0.1", port)).ok());
        let mut stream = TcpStream::connect(&capture.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /me HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 OK"), "{answer}");
        capture.stop();
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join(".retake")
    }

    /// What stands for the token in the recorded head.
    fn pseudonym(&self) -> String {
        let archive = Archive::open(&self.store()).unwrap();
        let head = archive.exchange(&archive.entries()[0].id).unwrap().request.head;
        head.text_of("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned()
    }

    fn replay(&self, more: &[&str]) -> (Ran, Value) {
        replay_store(self.folder.path(), more)
    }
}

fn holds(folder: &Path, text: &str) -> bool {
    let unpacked = |path: PathBuf| {
        let archive = Archive::open(&path).unwrap();
        let bodies = archive.entries().iter().flat_map(|entry| {
            let exchange = archive.exchange(&entry.id).unwrap();
            let response = exchange.response.clone().unwrap();
            let body = archive.body(&response.body, 1 << 20).unwrap();
            [exchange.request.head.bytes, response.head.bytes, body].concat()
        });
        let runs = serde_json::to_string(&archive.runs().unwrap()).unwrap();
        let logs = format!("{:?}", archive.log_lines().collect::<Vec<_>>());
        [bodies.collect::<Vec<u8>>(), runs.into_bytes(), logs.into_bytes()].concat()
    };
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(unpacked).any(|bytes| memchr_find(&bytes, text.as_bytes()))
}

fn memchr_find(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn a_request_that_lacks_its_secret_is_unjudged_and_one_that_was_given_it_is_the_same_and_nothing_of_it_is_kept() {
    let recorded = Recorded::make();
    let pseudonym = recorded.pseudonym();
    assert!(pseudonym != TOKEN && pseudonym.len() == TOKEN.len());
    let variable = format!("SERVICE_TOKEN={TOKEN}");

    let (ran, document) = recorded.replay(&["--env", &variable]);
    assert_eq!((ran.code, &document["results"][0]["verdict"]), (3, &"unjudged".into()), "{}{}", ran.out, ran.err);
    let reason = document["results"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("give them with `--secrets FILE`"), "{reason}");

    let inspected = retake(recorded.folder.path(), &["inspect"]);
    let line = format!("\n{pseudonym}=VALUE\n");
    assert!(inspected.out.contains(&line) && inspected.out.contains("--secrets FILE"), "{}", inspected.out);
    assert!(inspected.out.contains("--env SERVICE_TOKEN"), "{}", inspected.out);

    let file = recorded.folder.path().join("secrets.txt");
    fs::write(&file, format!("# of production\n{pseudonym}={TOKEN}\n")).unwrap();
    let (ran, document) = recorded.replay(&["--env", &variable, "--secrets", "secrets.txt"]);
    assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (0, &1.into()), "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN));
    let runs = recorded.folder.path().join("runs/runs");
    assert!(!holds(&runs, TOKEN), "a run holds the secret");
    assert!(holds(&runs, &pseudonym) && holds(&runs, "asked with"), "what was looked through is there");

    fs::write(&file, "nonsense=1234567890\n").unwrap();
    let store = recorded.store();
    let ran = retake(recorded.folder.path(), &["replay", store.to_str().unwrap(), "--secrets", "secrets.txt"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err, @r"
    error: cannot use `secrets.txt`
      because: line 1 begins with no pseudonym of this recording followed by `=`
    help: write lines `PSEUDONYM=VALUE`; `retake inspect` lists the recording's pseudonyms
    ");
}

#[test]
fn a_secret_in_a_command_and_a_health_check_is_kept_by_pseudonym_and_can_be_given_again() {
    if !docker("a_secret_in_a_command_and_a_health_check_is_kept_by_pseudonym_and_can_be_given_again") {
        return;
    }
    let (recorded, _image) = Recorded::make_contained("argued");
    let holds_token = |bytes: &[u8]| memchr_find(bytes, TOKEN.as_bytes());
    for (name, bytes) in files_unpacked(&recorded.store()) {
        assert!(!holds_token(&bytes), "{name} holds the secret");
    }
    let pseudonym = recorded.pseudonym();
    let inspected = retake(recorded.folder.path(), &["inspect"]);
    let line = format!("1 × request header:authorization, argument\n{pseudonym}=VALUE\n");
    assert!(inspected.out.contains(&line), "{}", inspected.out);

    // Without it neither the health check passes, nor is what the service answers judged.
    let (ran, document) = recorded.replay(&["--ready-timeout", "3s"]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let replacements = document["receipt"]["replacements"].to_string();
    assert!(replacements.contains("an argument: a stand-in of the same form"), "{replacements}");

    fs::write(recorded.folder.path().join("secrets.txt"), format!("{pseudonym}={TOKEN}\n")).unwrap();
    let (ran, document) = recorded.replay(&["--secrets", "secrets.txt"]);
    assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (0, &1.into()), "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN));
    for (name, bytes) in files_unpacked(&recorded.folder.path().join("runs")) {
        assert!(!holds_token(&bytes), "{name} holds the secret");
    }
}
