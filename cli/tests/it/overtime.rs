//! A container that changes while it is recorded: restarted, updated, replaced; and several replicas behind one address.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    contained::{Container, Image, answer_each, client},
    otherwise::{Capturing, capture_of, free_port, post, wait_until_it_accepts},
    retake,
    shipped::docker,
    untrue::eventually,
};

/// Not a test: a service that answers with its variable `MODE`, at `/slow` after a while. Run as
/// `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the test beside it"]
fn service() {
    let Ok(port) = std::env::var("PORT") else { return };
    let host = std::env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    answer_each((host, port.parse().unwrap()), |request| {
        if request.starts_with(b"POST /slow ") {
            pause(Duration::from_secs(3));
        }
        let mode = std::env::var("MODE").unwrap();
        // A log, past what takes the output of a test.
        let asked = String::from_utf8_lossy(request).lines().next().unwrap_or_default().to_owned();
        writeln!(io::stderr(), "{mode} was asked {asked}").unwrap();
        mode
    });
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
    // One that is in the store was told its environment, whatever comes then.
    let ask_and_wait = |path: &str| {
        let answer = ask(path);
        eventually("the exchange was written", || {
            retake(folder.path(), &["ls", "--json"]).out.contains(&format!("POST {path}")).then_some(())
        });
        answer
    };
    assert!(ask_and_wait("/first").ends_with("one"));
    client(&["restart", "--time", "0", &container.0]);
    wait_until_it_accepts(port);
    assert!(ask_and_wait("/restarted").ends_with("one"));
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
    assert!(shown.contains("uncertain: it ran while the container was changing ("), "{shown}");

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
    // A line for each environment.
    let documents: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tallies: Vec<_> = documents
        .iter()
        .map(|it| (it["receipt"]["tally"]["same"].as_u64(), it["receipt"]["uncertain"].as_u64()))
        .collect();
    let expected = [(Some(3), Some(1)), (Some(1), None), (Some(1), None)];
    assert_eq!((ran.code, &tallies[..]), (0, &expected[..]), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("environment 3 of 3"), "{}", ran.err);
    let recorded_in: Vec<_> = documents.iter().map(|it| &it["receipt"]["recorded_in"][0]).collect();
    assert_eq!(recorded_in, [&row(&first), &row(&updated), &row(&replaced)]);

    let out = folder.path().join("slow.retake");
    let (out, id) = (out.to_str().unwrap(), slow["id"].as_str().unwrap());
    let exported = retake(folder.path(), &["export", ".retake", id, "-o", out]);
    assert_eq!(exported.code, 0, "{}", exported.err);
    let kept = retake(folder.path(), &["inspect", out, "--json"]).json();
    let kept: Vec<_> = kept["environments"].as_array().unwrap().iter().map(|it| &it["fingerprint"]).collect();
    assert_eq!(kept, [&first_row, &updated_row]);
}

#[test]
fn of_changes_in_quick_succession_no_exchange_is_told_for_certain_another_environment_than_it_had() {
    if !docker("of_changes_in_quick_succession_no_exchange_is_told_for_certain_another_environment_than_it_had") {
        return;
    }
    let folder = tempdir().unwrap();
    let image = Image::of_these_tests("succession", &[]);
    let port = free_port();
    let container = start("succession", &image, port, "one");
    wait_until_it_accepts(port);
    let upstream = format!("http://127.0.0.1:{port}");
    let capture = Capturing::start(capture_of(folder.path(), &upstream, &["--container", &container.0]));
    let ask = |tenths: u64| post(&capture.address, &format!("/{tenths}"), b"", "");
    ask(10);
    for tenths in 11..20 {
        let cpus = format!("{}.{}", tenths / 10, tenths % 10);
        client(&["update", "--cpus", &cpus, &container.0]);
        ask(tenths);
    }
    // Once all those are told, the last of them holds.
    let is_written = |tenths: u64| retake(folder.path(), &["ls", "--json"]).out.contains(&format!("POST /{tenths}\""));
    eventually("the last was written", || is_written(19).then_some(()));
    ask(19);
    capture.stop();

    let list = retake(folder.path(), &["ls", "--json"]).json();
    let exchanges = list["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.len(), 11, "{list}");
    let said: Vec<_> = exchanges
        .iter()
        .map(|exchange| {
            let tenths: u64 = exchange["title"].as_str().unwrap().trim_start_matches("POST /").parse().unwrap();
            let shown = retake(folder.path(), &["show", exchange["id"].as_str().unwrap(), "--json"]).json();
            let is_doubted = !exchange["context"]["doubt"].is_null();
            (tenths, shown["fingerprint"]["subject"]["config"]["limits"]["cpu_nanos"].as_u64(), is_doubted)
        })
        .collect();
    for &(tenths, cpu_nanos, is_doubted) in &said {
        assert!(is_doubted || cpu_nanos.is_none_or(|nanos| nanos == tenths * 100_000_000), "{tenths}: {said:?}");
    }
    assert_eq!(said.last(), Some(&(19, Some(1_900_000_000), false)), "{said:?}");
}

/// A replica with a network of its own; gives also where it is published, and its address.
fn replica(name: &str, image: &Image, mode: &str) -> (Container, String, String) {
    let mode_variable = format!("MODE={mode}");
    let options = ["--publish", "127.0.0.1::8000", "--env", "HOST=0.0.0.0", "--env", "PORT=8000", "--env"];
    let program = [&mode_variable, &image.0, "/it", "--exact", "overtime::service", "--ignored"];
    let container = Container::run(name, &[&options[..], &program].concat());
    let published = client(&["port", &container.0, "8000/tcp"]).lines().next().unwrap().to_owned();
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = client(&["inspect", "--format", format, &container.0]);
    // What publishes accepts before the service does.
    eventually("the replica", || {
        let mut stream = TcpStream::connect(&published).ok()?;
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.ends_with(mode).then_some(())
    });
    (container, published, address)
}

/// Leads one connection after the other to one of these addresses, in turn; gives its own.
fn balance(addresses: [String; 2]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        // The capture looks whether somebody is there, and asks nothing then.
        let asks = |stream: &TcpStream| stream.peek(&mut [0]).is_ok_and(|len| len > 0);
        let asked = listener.incoming().map(Result::unwrap).filter(asks);
        for (stream, address) in asked.zip(addresses.iter().cycle()) {
            let upstream = TcpStream::connect(address).unwrap();
            let (mut from, mut to) = (stream.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || {
                io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Write).ok();
            });
            let (mut from, mut to) = (upstream, stream);
            thread::spawn(move || {
                io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Both).ok();
            });
        }
    });
    own
}

/// Four exchanges through a capture of these containers; gives the list of them.
fn recorded(folder: &std::path::Path, upstream: &str, containers: [&Container; 2]) -> Value {
    let [one, other] = containers.map(|container| container.0.as_str());
    let upstream = format!("http://{upstream}");
    let capture = Capturing::start(capture_of(folder, &upstream, &["--container", one, "--container", other]));
    for number in 0..4 {
        let answer = post(&capture.address, &format!("/{number}"), b"", "");
        assert!(answer.contains(" 200 OK"), "{answer}");
    }
    capture.stop();
    retake(folder, &["ls", "--json"]).json()
}

#[test]
fn which_replica_answered_is_told_by_its_address_or_one_of_all_and_equal_ones_need_no_telling() {
    if !docker("which_replica_answered_is_told_by_its_address_or_one_of_all_and_equal_ones_need_no_telling") {
        return;
    }
    let image = Image::of_these_tests("replicas", &[]);
    let (first, first_published, first_address) = replica("replica-1", &image, "one");
    let (other, other_published, _) = replica("replica-2", &image, "two");
    let (equal, equal_published, _) = replica("replica-3", &image, "one");
    let doubts = |list: &Value| -> Vec<Value> {
        list["exchanges"].as_array().unwrap().iter().map(|it| it["context"]["doubt"].clone()).collect()
    };

    let folder = tempdir().unwrap();
    let list = recorded(folder.path(), &balance([first_published.clone(), other_published]), [&first, &other]);
    for doubt in doubts(&list) {
        assert_eq!((&doubt["kind"], doubt["environments"].as_array().unwrap().len()), (&"one-of".into(), 2), "{list}");
    }
    assert!(retake(folder.path(), &["ls"]).out.contains("one of"));
    let last = list["exchanges"][3]["id"].as_str().unwrap();
    let around = retake(folder.path(), &["show", last, "--around"]).out;
    for (container, mode) in [(&first, "one"), (&other, "two")] {
        let logged = format!("{} | {mode} was asked POST /", container.0);
        assert_eq!(around.matches(&logged).count(), 2, "{around}");
    }
    let ran = retake(folder.path(), &["replay", ".retake", "--json", "--store", "runs", "--port", "8000"]);
    let (document, code) = (ran.json(), ran.code);
    let (receipt, tally) = (&document["receipt"], &document["receipt"]["tally"]);
    assert_eq!((code, &tally["same"], &tally["unjudged"]), (3, &2.into(), &2.into()), "{}{}", ran.out, ran.err);
    assert_eq!(receipt["uncertain"], 4);
    assert!(document["results"].to_string().contains("one of several replicas"), "{document}");

    let folder = tempdir().unwrap();
    let list = recorded(folder.path(), &format!("{first_address}:8000"), [&other, &first]);
    assert_eq!(doubts(&list), vec![Value::Null; 4], "{list}");
    let id = list["exchanges"][0]["id"].as_str().unwrap().to_owned();
    let shown = retake(folder.path(), &["show", &id, "--json"]).json();
    let variables = shown["fingerprint"]["subject"]["config"]["variables"].to_string();
    assert!(variables.contains(r#""plain":"one""#), "{variables}");

    let folder = tempdir().unwrap();
    let list = recorded(folder.path(), &balance([first_published, equal_published]), [&first, &equal]);
    assert_eq!(doubts(&list), vec![Value::Null; 4], "{list}");
}
