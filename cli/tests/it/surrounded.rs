//! What surrounds an exchange is recorded, and read on one timeline.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    command,
    contained::{Container, Image, client},
    otherwise::{Capturing, free_port, post},
    retake,
    shipped::docker,
    untrue::eventually,
};

/// Not a test: a service that says in its log what is wrong, computes in vain, and fails. Run as `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the test beside it"]
#[expect(clippy::disallowed_methods, reason = "the service measures how long it computes")]
fn service() {
    let Ok(port) = std::env::var("PORT") else { return };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        if stream.read(&mut [0; 4096]).unwrap_or(0) == 0 {
            continue;
        }
        eprintln!("the index of kiln-7 is empty, ghp_{}", "a1B2".repeat(9));
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            std::hint::black_box(began);
        }
        let answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        drop(stream.write_all(answer));
    }
}

fn moments<'a>(timeline: &'a Value, kind: &str) -> Vec<&'a Value> {
    timeline["moments"].as_array().unwrap().iter().filter(|moment| moment["kind"] == kind).collect()
}

#[test]
fn a_failure_reads_with_the_line_before_it_and_with_the_throttling_that_went_on() {
    if !docker("a_failure_reads_with_the_line_before_it_and_with_the_throttling_that_went_on") {
        return;
    }
    let folder = tempdir().unwrap();
    let root = tempdir().unwrap();
    fs::copy(std::env::current_exe().unwrap(), root.path().join("it")).unwrap();
    fs::create_dir(root.path().join("tmp")).unwrap();
    let image = Image::of_folder("surrounded", root.path(), &[]);
    let port = free_port();
    let variable = format!("PORT={port}");
    let options = ["--network", "host", "--cpus", "0.1", "--memory", "512m", "--env", &variable];
    let program = [&image.0, "/it", "--exact", "surrounded::service", "--ignored", "--nocapture"];
    let container = Container::run("surrounded", &[&options[..], &program].concat());
    let upstream = format!("http://127.0.0.1:{port}");
    let arguments =
        ["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--container", &container.0];
    let capture = Capturing::start(command(folder.path(), &arguments));
    let answer = eventually("the service", || {
        let answer = post(&capture.address, "/", b"", "");
        (!answer.contains("retake-error")).then_some(answer)
    });
    assert!(answer.contains(" 500 "), "{answer}");
    client(&["kill", &container.0]);
    wait_for_the_next_sample();
    capture.stop();

    let listed = retake(folder.path(), &["ls", "--status", "500", "--json"]).json();
    let id = listed["exchanges"][0]["id"].as_str().unwrap();
    let shown = retake(folder.path(), &["show", id, "--around", "--json"]);
    let timeline = shown.json();
    let line = moments(&timeline, "log").into_iter().find(|it| it["text"].to_string().contains("kiln-7"));
    let line = line.unwrap_or_else(|| panic!("no line in {timeline}"));
    assert!(!line["text"].to_string().contains("a1B2a1B2") && line["stream"] == "stderr", "{line}");
    let [end] = moments(&timeline, "end")[..] else { panic!("{timeline}") };
    assert!(line["at_ns"].as_u64() < end["at_ns"].as_u64(), "{line}, {end}");
    let died = moments(&timeline, "service").into_iter().any(|it| it["text"].to_string().contains("die"));
    assert!(died, "{timeline}");
    let used = moments(&timeline, "used");
    assert!(used.iter().any(|it| it["numbers"]["memory_bytes"].as_u64() > Some(0)), "{timeline}");
    let sees_throttling = !timeline["unseen"].to_string().contains("throttling");
    let throttled = used.iter().any(|it| it["numbers"]["throttled_us"].as_u64() > Some(100_000));
    assert!(throttled || !sees_throttling, "{timeline}");
    let page = retake(folder.path(), &["show", id, "--around", "20s"]);
    assert!(!sees_throttling || page.out.contains("throttled for "), "{}", page.out);

    let out = folder.path().join("case.retake");
    let exported = |around: &str| {
        let path = out.to_str().unwrap();
        let ran = retake(folder.path(), &["export", ".retake", id, "-o", path, "--force", "--around", around]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let timeline = retake(folder.path(), &["show", path, id, "--around", "--json"]).json();
        (moments(&timeline, "used").len(), moments(&timeline, "log").len())
    };
    assert_eq!(exported("30s"), (used.len(), moments(&timeline, "log").len()));
    assert!(exported("0").1 < exported("30s").1);
}

#[expect(clippy::disallowed_methods, reason = "no runtime runs in these tests")]
fn wait_for_the_next_sample() {
    thread::sleep(Duration::from_millis(1_500));
}
