//! `import`.

use std::{fs, path::Path};

use tempfile::tempdir;

use crate::{
    recordings::{Told, store},
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
fn what_is_given_out_as_an_archive_comes_back_as_the_same_exchanges_and_adds_nothing_to_where_it_came_from() {
    let folder = tempdir().unwrap();
    let call = Told { number: 2, path: "/v1/chat", call: Some(("model", 1)), ..Told::default() };
    let cut = Told { number: 3, answered: None, ..Told::default() };
    store(&folder.path().join(".retake"), &[Told::default(), call, cut]);
    let ran = retake(folder.path(), &["export", ".retake", "0101", "0303", "-o", "a.har", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    assert_eq!((&document["format"], &document["exchanges"]), (&"har".into(), &3.into()));
    let again = retake(folder.path(), &["import", "a.har", "--json"]).json();
    assert_eq!((&again["exchanges"], &again["known"]), (&0.into(), &3.into()));
    let ran = retake(folder.path(), &["import", "a.har", "-o", "again.retake"]);
    assert!(ran.code == 0 && ran.out.contains("3 exchanges added (1 dependency calls)"), "{}{}", ran.out, ran.err);
    let shown = |source: &str, id: &str| {
        let mut shown = retake(folder.path(), &["show", source, id, "--json"]).json();
        shown["exchange"].as_object_mut().unwrap().remove("context");
        // The recordings of these tests have no digest of the response; an import finds it.
        shown["exchange"]["digests"].as_object_mut().unwrap().remove("response");
        // A body's pieces have other numbers in another file; the bodies themselves are compared beside them.
        for pointer in ["/exchange/request/body", "/exchange/response/body"] {
            shown.pointer_mut(pointer).and_then(|body| body.as_object_mut()?.remove("parts"));
        }
        shown
    };
    for id in ["0101", "0202", "0303"] {
        assert_eq!(shown(".retake", id)["exchange"], shown("again.retake", id)["exchange"], "{id}");
        for part in ["session", "request_body", "response_body"] {
            assert_eq!(shown(".retake", id)[part], shown("again.retake", id)[part], "{id}");
        }
    }
    let out = retake(folder.path(), &["export", "again.retake", "-o", "-", "--format", "har"]);
    assert_eq!(out.json()["log"]["entries"].as_array().unwrap().len(), 3);
    let one = retake(folder.path(), &["show", "again.retake", "0101", "--as", "har"]).json();
    assert_eq!(one["log"]["entries"][0], out.json()["log"]["entries"][0]);
}

#[test]
fn an_archive_of_several_hosts_goes_out_as_it_came_in() {
    let folder = tempdir().unwrap();
    write_har(folder.path(), HAR);
    assert_eq!(retake(folder.path(), &["import", "a.har", "-o", "a.retake"]).code, 0);
    let ran = retake(folder.path(), &["export", "a.retake", "-o", "b.har"]);
    assert!(ran.code == 0 && ran.out.starts_with("`b.har`: 2 exchanges"), "{}{}", ran.out, ran.err);
    let entries = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["log"]["entries"].clone();
    let (theirs, ours) = (entries(HAR), entries(&fs::read_to_string(folder.path().join("b.har")).unwrap()));
    for number in 0..2 {
        for pointer in ["/request/url", "/response/content/text", "/startedDateTime", "/time", "/timings"] {
            let (one, other) = (theirs[number].pointer(pointer), ours[number].pointer(pointer));
            let same = |one: &serde_json::Value, other: &serde_json::Value| match (one.as_f64(), other.as_f64()) {
                (Some(one), Some(other)) => one == other,
                _ => one == other,
            };
            let is_same = match (one.and_then(|it| it.as_object()), other) {
                (Some(phases), Some(other)) => phases.iter().all(|(phase, ms)| same(ms, &other[phase])),
                _ => same(one.unwrap(), other.unwrap()),
            };
            assert!(is_same, "{number} {pointer}: {one:?} {other:?}");
        }
    }
    let there = retake(folder.path(), &["export", "a.retake", "-o", "b.har"]);
    assert!(there.code == 2 && there.err.contains("--force"), "{}", there.err);
    assert_eq!(retake(folder.path(), &["export", "a.retake", "-o", "b.har", "--force"]).code, 0);
    let image = retake(folder.path(), &["export", "a.retake", "-o", "c.har", "--with-image"]);
    assert!(image.code == 2 && image.err.contains("no place for an image"), "{}", image.err);
    let nowhere = retake(folder.path(), &["export", "a.retake", "-o", "-"]);
    assert!(nowhere.code == 2 && nowhere.err.contains("--format har"), "{}", nowhere.err);
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
