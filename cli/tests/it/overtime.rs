//! A container that changes while it is recorded: restarted, updated, replaced.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    contained::{Container, Image, client},
    otherwise::{Capturing, capture_of, free_port, post, wait_until_it_accepts},
    retake,
    shipped::docker,
};

/// Not a test: a service that answers with its variable `MODE`, at `/slow` after a while. Run as
/// `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the test beside it"]
fn service() {
    let Ok(port) = std::env::var("PORT") else { return };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        let len = stream.read(&mut request).unwrap_or(0);
        if len == 0 {
            continue;
        }
        if request[..len].starts_with(b"POST /slow ") {
            pause(Duration::from_secs(3));
        }
        let mode = std::env::var("MODE").unwrap();
        let len = mode.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{mode}");
        drop(stream.write_all(answer.as_bytes()));
    }
}

#[expect(clippy::disallowed_methods, reason = "no runtime runs in these tests")]
fn pause(time: Duration) {
    thread::sleep(time);
}

fn start(name: &str, image: &Image, port: u16, mode: &str) -> Container {
    let (port, mode) = (format!("PORT={port}"), format!("MODE={mode}"));
    let options = ["--network", "host", "--cpus", "1", "--env", &port, "--env", &mode, "--env", "API_KEY=kiln-7-key"];
    Container::run(name, &[&options[..], &[&image.0, "/it", "--exact", "overtime::service", "--ignored"]].concat())
}

fn listed<'a>(list: &'a Value, title: &str) -> &'a Value {
    let exchanges = list["exchanges"].as_array().unwrap();
    exchanges.iter().find(|it| it["title"] == title).unwrap_or_else(|| panic!("{title}: {list}"))
}

#[test]
fn each_exchange_has_the_environment_it_began_in_and_is_replayed_in_it() {
    if !docker("each_exchange_has_the_environment_it_began_in_and_is_replayed_in_it") {
        return;
    }
    let folder = tempdir().unwrap();
    let image = Image::of_these_tests("overtime", &[]);
    let port = free_port();
    let container = start("overtime", &image, port, "one");
    wait_until_it_accepts(port);
    let capture = Capturing::start(capture_of(
        folder.path(),
        &format!("http://127.0.0.1:{port}"),
        &["--container", &container.0],
    ));
    let ask = |path: &str| post(&capture.address, path, b"", "");
    assert!(ask("/first").ends_with("one"));
    client(&["restart", "--time", "0", &container.0]);
    wait_until_it_accepts(port);
    assert!(ask("/restarted").ends_with("one"));
    thread::scope(|scope| {
        let slow = scope.spawn(|| ask("/slow"));
        pause(Duration::from_millis(1_000));
        client(&["update", "--cpus", "1.5", &container.0]);
        assert!(slow.join().unwrap().ends_with("one"));
    });
    assert!(ask("/updated").ends_with("one"));
    drop(container);
    let _container = start("overtime", &image, port, "two");
    wait_until_it_accepts(port);
    assert!(ask("/replaced").ends_with("two"));
    capture.stop();

    let list = retake(folder.path(), &["ls", "--json"]).json();
    let fingerprint = |title: &str| listed(&list, title)["fingerprint"].as_str().unwrap().to_owned();
    let [first, updated, replaced] = ["POST /first", "POST /updated", "POST /replaced"].map(fingerprint);
    assert_eq!(fingerprint("POST /restarted"), first, "a restart alone makes no other environment: {list}");
    assert!(first != updated && updated != replaced && first != replaced, "{list}");
    let slow = listed(&list, "POST /slow");
    let doubt = serde_json::json!({ "kind": "uncertain", "environments": [first, updated] });
    assert_eq!((&slow["fingerprint"], &slow["context"]["doubt"]), (&first.clone().into(), &doubt));
    let doubted = list["exchanges"].as_array().unwrap().iter().filter(|it| !it["context"]["doubt"].is_null()).count();
    assert_eq!(doubted, 1, "{list}");
    assert!(retake(folder.path(), &["ls"]).out.contains("uncertain"));
    let shown = retake(folder.path(), &["show", slow["id"].as_str().unwrap()]).out;
    assert!(shown.contains("uncertain: the container changed while it was under way"), "{shown}");

    let inspected = retake(folder.path(), &["inspect", ".retake", "--json"]).json();
    let environments = inspected["environments"].as_array().unwrap();
    let rows: Vec<_> = environments.iter().map(|it| (&it["fingerprint"], &it["exchanges"], &it["uncertain"])).collect();
    let row = |name: &str| Value::from(name);
    let (first_row, updated_row, replaced_row) = (row(&first), row(&updated), row(&replaced));
    let (none, one, three) = (Value::from(0), Value::from(1), Value::from(3));
    assert_eq!(rows, [(&first_row, &three, &one), (&updated_row, &one, &none), (&replaced_row, &one, &none)]);
    let until: Vec<_> = environments.iter().map(|it| it["until_unix_ns"].as_u64()).collect();
    let from: Vec<_> = environments.iter().map(|it| it["from_unix_ns"].as_u64()).collect();
    assert!(from[0] < until[0] && until[0] <= from[1] && until[1] < from[2] && until[2].is_none(), "{inspected}");
    let page = retake(folder.path(), &["inspect", ".retake"]).out;
    assert!(page.contains("3 (1 uncertain)"), "{page}");

    let ran = retake(folder.path(), &["replay", ".retake", "--json", "--store", "runs"]);
    let documents = serde_json::Deserializer::from_str(&ran.out).into_iter::<Value>();
    let documents: Vec<Value> =
        documents.collect::<Result<_, _>>().unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    let tallies: Vec<_> = documents
        .iter()
        .map(|it| (it["receipt"]["tally"]["same"].as_u64(), it["receipt"]["uncertain"].as_u64()))
        .collect();
    let expected = [(Some(3), Some(1)), (Some(1), None), (Some(1), None)];
    assert_eq!((ran.code, &tallies[..]), (0, &expected[..]), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("environment 3 of 3"), "{}", ran.err);
    assert_eq!(documents[0]["receipt"]["recorded_in"], serde_json::json!([first]));

    let out = folder.path().join("slow.retake");
    let (out, id) = (out.to_str().unwrap(), slow["id"].as_str().unwrap());
    let exported = retake(folder.path(), &["export", ".retake", id, "-o", out]);
    assert_eq!(exported.code, 0, "{}", exported.err);
    let kept = retake(folder.path(), &["inspect", out, "--json"]).json();
    let kept: Vec<_> = kept["environments"].as_array().unwrap().iter().map(|it| &it["fingerprint"]).collect();
    assert_eq!(kept, [&first_row, &updated_row]);
}
