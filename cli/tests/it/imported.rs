//! `import`.

use std::{fs, path::Path};

use tempfile::tempdir;

use crate::{
    recordings::{Told, bundle},
    retake,
};

/// An archive of a request to the service and the call that it made meanwhile.
const HAR: &str = r#"{"log":{"version":"1.2","creator":{"name":"t","version":"1"},"entries":[
{"startedDateTime":"2026-11-26T02:17:00.000Z","time":100,"cache":{},"timings":{"send":1,"wait":90,"receive":9},
 "request":{"method":"POST","url":"https://app.example/tickets","httpVersion":"HTTP/1.1","cookies":[],"queryString":[],"headersSize":-1,"bodySize":2,
  "headers":[{"name":"Host","value":"app.example"},{"name":"Content-Type","value":"application/json"},{"name":"Authorization","value":"Bearer sk-verysecretverysecret"}],
  "postData":{"mimeType":"application/json","text":"{}"}},
 "response":{"status":200,"statusText":"OK","httpVersion":"HTTP/1.1","cookies":[],"redirectURL":"","headersSize":-1,"bodySize":-1,
  "headers":[{"name":"Content-Type","value":"application/json"}],"content":{"size":14,"mimeType":"application/json","text":"{\"answer\":\"a\"}"}}},
{"startedDateTime":"2026-11-26T02:17:00.010Z","time":50,"cache":{},"timings":{"send":1,"wait":40,"receive":9},
 "request":{"method":"GET","url":"https://llm.example/v1/models","httpVersion":"HTTP/1.1","cookies":[],"headers":[],"queryString":[],"headersSize":-1,"bodySize":0},
 "response":{"status":200,"statusText":"OK","httpVersion":"HTTP/1.1","cookies":[],"headers":[],"content":{"size":3,"mimeType":"","text":"AP/+","encoding":"base64"},"redirectURL":"","headersSize":-1,"bodySize":3}}
]}}
"#;

fn write_har(folder: &Path, text: &str) {
    fs::write(folder.join("a.har"), text).unwrap();
}

#[test]
fn an_archive_is_imported_with_its_calls_and_a_second_time_adds_nothing() {
    let folder = tempdir().unwrap();
    write_har(folder.path(), HAR);
    let import = ["import", "a.har", "--ingress", "app.example", "--dependency", "model=llm.example", "--json"];
    let ran = retake(folder.path(), &import);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    assert_eq!((&document["schema"], &document["exchanges"]), (&"retake.import/0".into(), &2.into()));
    assert_eq!((&document["lacks"]["chunk-times"], &document["dependency_calls"]), (&2.into(), &1.into()));
    assert!(ran.err.contains("without the times of chunks: all"), "{}", ran.err);
    let again = retake(folder.path(), &import).json();
    assert_eq!((&again["exchanges"], &again["known"]), (&0.into(), &2.into()));
    let listed = retake(folder.path(), &["ls", "--json"]).json();
    let exchanges = listed["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.len(), 2);
    assert_eq!((&exchanges[1]["dependency"], &exchanges[1]["parent"]), (&"model".into(), &exchanges[0]["id"]));
    let id = exchanges[0]["id"].as_str().unwrap();
    let shown = retake(folder.path(), &["show", id]).out;
    assert!(shown.contains("imported  from har, without") && !shown.contains("verysecret"), "{shown}");
    assert_eq!(retake(folder.path(), &["verify"]).code, 0);
}

#[test]
fn what_is_shown_as_an_archive_is_the_same_exchange_when_it_is_imported() {
    let folder = tempdir().unwrap();
    bundle(&folder.path().join("case.retake"), &[Told::default()]);
    let shown =
        |source: &str| retake(folder.path(), &["show", source, &first_id(folder.path(), source), "--json"]).json();
    let har = retake(folder.path(), &["show", "case.retake", "0101", "--as", "har"]).out;
    write_har(folder.path(), &har);
    assert_eq!(retake(folder.path(), &["import", "a.har", "-o", "again.retake"]).code, 0);
    let (recorded, imported) = (shown("case.retake"), shown("again.retake"));
    assert_eq!(recorded["response_body"], imported["response_body"]);
    assert_eq!(digests_of(folder.path(), "again.retake"), digests_of_har_twice(folder.path()));
}

fn first_id(folder: &Path, source: &str) -> String {
    retake(folder, &["ls", source, "--json"]).json()["exchanges"][0]["id"].as_str().unwrap().to_owned()
}

fn digests_of(folder: &Path, source: &str) -> serde_json::Value {
    retake(folder, &["ls", source, "--json"]).json()["exchanges"][0]["digests"].clone()
}

/// The digests after another way out and in again.
fn digests_of_har_twice(folder: &Path) -> serde_json::Value {
    let har = retake(folder, &["show", "again.retake", &first_id(folder, "again.retake"), "--as", "har"]).out;
    fs::write(folder.join("b.har"), har).unwrap();
    assert_eq!(retake(folder, &["import", "b.har", "-o", "twice.retake"]).code, 0);
    digests_of(folder, "twice.retake")
}

#[test]
fn a_wrong_archive_keeps_what_came_before_and_names_the_byte() {
    let folder = tempdir().unwrap();
    write_har(folder.path(), &HAR[..HAR.len() - 100]);
    let ran = retake(folder.path(), &["import", "a.har", "-o", "case.retake"]);
    assert_eq!(ran.code, 2);
    let place = format!("the file is wrong at byte {}, line", HAR.len() - 100);
    assert!(ran.err.contains(&place) && ran.out.contains("1 exchange added"), "{}{}", ran.err, ran.out);
    assert_eq!(retake(folder.path(), &["verify", "case.retake"]).code, 0);
    let again = retake(folder.path(), &["import", "a.har", "-o", "case.retake"]);
    assert!(again.code == 2 && again.err.contains("--force"), "{}", again.err);
    let leftovers = fs::read_dir(folder.path())
        .unwrap()
        .filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().starts_with(".retake"));
    assert_eq!(leftovers.count(), 0);
}
