//! `ls`, `show`, `export`, `verify`, `runs`.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use tempfile::tempdir;

use crate::{
    command,
    recordings::{Told, bundle, id, store},
    retake,
    shipped::shipped,
};

fn ticket_with_a_call() -> [Told<'static>; 3] {
    [
        Told::default(),
        Told { number: 2, path: "/v1/chat", call: Some(("model", 1)), ..Told::default() },
        Told { number: 3, path: "/tickets/7", answered: None, ..Told::default() },
    ]
}

#[test]
fn ls_lists_a_store_by_default_with_calls_under_their_parents() {
    let folder = tempdir().unwrap();
    store(&folder.path().join(".retake"), &ticket_with_a_call());
    let ran = retake(folder.path(), &["ls"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    insta::assert_snapshot!(ran.out, @r"
    ID            BEGAN (UTC)              REQUEST                   STATUS    TOOK  SENT   GOT  END
    010101010101  2026-11-23 19:04:11.001  POST /tickets             200     6.0 ms  19 B  23 B  complete
    020202020202    +1.0 ms                  └ model: POST /v1/chat  200     6.0 ms  19 B  23 B  complete
    030303030303  2026-11-23 19:04:11.003  POST /tickets/7           -       6.0 ms  19 B     -  upstream reset
    ");
}

#[test]
fn ls_chooses_by_its_options_and_counts_for_machines() {
    let folder = tempdir().unwrap();
    bundle(&folder.path().join("case.retake"), &ticket_with_a_call());
    let ids = |options: &[&str]| -> Vec<String> {
        let ran = retake(folder.path(), &[&["ls", "case.retake", "--json"], options].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let document = ran.json();
        assert_eq!(document["schema"], "retake.exchanges/0");
        document["exchanges"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()[..4].to_owned()).collect()
    };
    assert_eq!(ids(&[]), ["0101", "0202", "0303"]);
    assert_eq!(ids(&["--failed"]), ["0303"]);
    assert_eq!(ids(&["--dependency", "model"]), ["0202"]);
    assert_eq!(ids(&["--route", "POST /tickets/*"]), ["0303"]);
    assert_eq!(ids(&["--ingress", "--status", "2xx"]), ["0101"]);
    assert_eq!(ids(&["--since", "2026-11-23T19:04:11.002Z", "--until", "2026-11-23T20:04:11.003+01:00"]), ["0202"]);
    assert_eq!(ids(&["--since", "2026-11-23", "--slower-than", "6ms"]), ["0101", "0202", "0303"]);
    assert_eq!(ids(&["--since", "2026-11-23T19:05"]), [] as [&str; 0]);
    assert_eq!(ids(&["--until", "2026-11-23T19:05Z"]).len(), 3);
    assert_eq!(ids(&["--slower-than", "7ms"]), [] as [&str; 0]);
    assert_eq!(ids(&["--model", "gpt-4o"]), [] as [&str; 0]);
    for wrong in ["yesterday", "2026-13-01", "2026-11-23T19:04:11.", "3 parsecs", ""] {
        let ran = retake(folder.path(), &["ls", "case.retake", "--since", wrong]);
        assert!(ran.code == 2 && ran.err.contains("2h or 30d"), "{wrong}: {}", ran.err);
    }
}

#[test]
fn ls_chooses_by_the_model_where_no_capture_noted_it() {
    let folder = tempdir().unwrap();
    let shipped = shipped();
    let count = |model: &str| {
        let ran = retake(folder.path(), &["ls", shipped.to_str().unwrap(), "--model", model, "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.json()["exchanges"].as_array().unwrap().len()
    };
    assert_eq!((count("smollm2-135m-instruct"), count("another")), (200, 0));
}

#[test]
fn a_reader_that_leaves_early_is_no_trouble() {
    let folder = tempdir().unwrap();
    let many: Vec<Told<'_>> = (0..=255).map(|number| Told { number, ..Told::default() }).collect();
    bundle(&folder.path().join("case.retake"), &many);
    let mut child = command(folder.path(), &["ls", "case.retake", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn show_tells_everything_about_one_exchange_in_each_form() {
    let folder = tempdir().unwrap();
    bundle(&folder.path().join("case.retake"), &ticket_with_a_call());
    let show = |form: &str| {
        let ran = retake(folder.path(), &["show", "case.retake", "0101", "--as", form]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran
    };
    insta::assert_snapshot!(show("text").out, @r#"
    id        01010101010101010101010101010101
    what      POST /tickets: a client's request to the service
    began     2026-11-23 19:04:11.001 UTC, 1.0 ms into session eeeeeeeeeeee
    times     request in 100 µs, answer after 5.0 ms, ended after 6.0 ms (the proxy's)
    end       complete
    called    020202020202 model: POST /v1/chat → 200

    Request (19 B of body)
    POST /tickets HTTP/1.1
    Host: here
    Content-Type: application/json

    {
      "text": "no light"
    }

    Response (23 B of body)
    HTTP/1.1 200 OK
    Content-Type: application/json

    {
      "answer": "yes",
      "id": 1
    }
    "#);
    insta::assert_snapshot!(show("curl").out, @r#"
    curl --globoff --path-as-is --proto =http,https \
      --request 'POST' \
      --url 'http://127.0.0.1:9000/tickets' \
      --header 'Content-Type: application/json' \
      --header 'Accept:' \
      --header 'User-Agent:' \
      --header 'Expect:' \
      --data-raw '{"text":"no light"}'
    "#);
    assert_eq!(show("raw").out, r#"{"answer":"yes","id":1}"#);
    assert_eq!(show("har").json()["log"]["entries"][0]["request"]["url"], "http://127.0.0.1:9000/tickets");
    let json = show("json").json();
    assert_eq!((&json["schema"], &json["children"][0]), (&"retake.exchange/0".into(), &id(2).to_string().into()));
}

#[test]
fn show_looks_in_the_store_when_only_an_id_is_named_and_helps_when_there_is_none_such() {
    let folder = tempdir().unwrap();
    store(&folder.path().join(".retake"), &ticket_with_a_call());
    assert!(retake(folder.path(), &["show", "0303"]).out.contains("upstream reset"));
    let ran = retake(folder.path(), &["show", "abcd"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err, @r"
    error: no exchange's id begins with `abcd`
    help: `retake ls` lists the ids
    ");
}

#[test]
fn an_exported_selection_takes_its_calls_along_and_gives_the_same_bytes_twice() {
    let folder = tempdir().unwrap();
    store(&folder.path().join(".retake"), &ticket_with_a_call());
    let export = |name: &str| retake(folder.path(), &["export", ".retake", "0101", "-o", name, "--json"]);
    let (one, other) = (export("one.retake"), export("other.retake"));
    assert_eq!((one.code, other.code), (0, 0), "{}{}", one.err, other.err);
    assert_eq!(one.json()["exchanges"], 2);
    assert_eq!(one.json()["digest"], other.json()["digest"]);
    let again = export("one.retake");
    assert_eq!(again.code, 2);
    assert!(again.err.contains("--force"), "{}", again.err);
    assert_eq!(retake(folder.path(), &["export", ".retake", "0303", "-o", "one.retake", "--force"]).code, 0);
}

#[test]
fn an_export_of_nothing_is_trouble_and_writes_nothing() {
    let folder = tempdir().unwrap();
    store(&folder.path().join(".retake"), &ticket_with_a_call());
    let ran = retake(folder.path(), &["export", ".retake", "--status", "418", "-o", "none.retake"]);
    assert_eq!(ran.code, 2);
    assert!(!folder.path().join("none.retake").exists());
}

#[test]
fn verify_passes_a_whole_bundle_and_names_the_damage_of_another() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("case.retake");
    bundle(&path, &ticket_with_a_call());
    let whole = retake(folder.path(), &["verify", "case.retake"]);
    assert_eq!(whole.code, 0);
    assert!(whole.out.contains("3 exchanges"), "{}", whole.out);
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = retake(folder.path(), &["verify", "case.retake", "--json"]);
    assert_eq!(damaged.code, 2);
    let found = &damaged.json()["damage"][0];
    assert!(found["from"].as_u64().unwrap() <= 200 && 200 < found["to"].as_u64().unwrap(), "{}", damaged.out);
}

#[test]
fn a_store_that_is_not_there_is_trouble_for_every_command_that_reads_one() {
    let folder = tempdir().unwrap();
    for arguments in [&["ls"][..], &["runs"], &["verify"], &["show", "0101"], &["export", "0101", "-o", "x.retake"]] {
        let ran = retake(folder.path(), arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.err.starts_with("error: ") && ran.err.contains("help: "), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "reading commands leave nothing behind");
}

#[test]
fn what_is_whole_of_a_damaged_bundle_is_salvaged_and_the_rest_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("case.retake");
    bundle(&path, &[Told::default(), Told { number: 2, ..Told::default() }]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let salvage = ["verify", "case.retake", "--salvage", "saved.retake"];
    let ran = retake(folder.path(), &salvage);
    assert_eq!(ran.code, 2);
    assert!(ran.out.contains("salvaged `saved.retake`: 2 exchanges"), "{}{}", ran.out, ran.err);
    assert_eq!(retake(folder.path(), &["verify", "saved.retake"]).code, 0);
    let again = retake(folder.path(), &salvage);
    assert!(again.code == 2 && again.err.contains("never replaces"), "{}", again.err);
}
