//! Another tool's archive of real providers' traffic: in, out, and in again.

#[path = "../../../exchange/tests/provider/mod.rs"]
mod recorded;

use content::{
    base64,
    redact::{Extra, Redactor},
};
use exchange::{Digest, Head, Session, text_of_bytes};
use interchange::{Har, Imported, Importer, Interchange, Limits, Next, Roles, Telling, session_id};
use serde_json::{Value, json};

/// The traffic as a tool would write it that knows heads and decoded bodies.
fn archive(all: &[recorded::Recorded]) -> String {
    let fields = |head: &Head| -> Vec<Value> {
        let pair =
            |it: exchange::Field<'_>| json!({ "name": text_of_bytes(it.name), "value": text_of_bytes(it.value) });
        head.fields().map(pair).collect()
    };
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "mimeType": "", "size": bytes.len(), "text": text }),
        Err(_) => json!({ "mimeType": "", "size": bytes.len(), "text": base64::encode(bytes), "encoding": "base64" }),
    };
    let entry = |it: &recorded::Recorded| {
        let line = it.request_head.request_line().unwrap();
        let host = it.request_head.text_of("host").unwrap();
        let url = format!("https://{host}{}", text_of_bytes(line.target));
        let status = it.response_head.status_line().unwrap().status;
        json!({
            "startedDateTime": "2026-11-26T02:17:00.123Z", "time": 12.5, "cache": {},
            "timings": { "send": 1.0, "wait": 5.0, "receive": 6.5 },
            "request": { "method": text_of_bytes(line.method), "url": url, "httpVersion": "HTTP/1.1", "cookies": [],
                "headers": fields(&it.request_head), "queryString": [], "headersSize": -1, "bodySize": it.request.len(),
                "postData": text(&it.request) },
            "response": { "status": status, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [],
                "headers": fields(&it.response_head), "content": text(&it.response), "redirectURL": "",
                "headersSize": -1, "bodySize": -1 },
        })
    };
    json!({ "log": { "version": "1.2", "entries": all.iter().map(entry).collect::<Vec<_>>() } }).to_string()
}

fn read(text: &str) -> Vec<Imported> {
    let redactor = Redactor::new([7; 32], &Extra::default());
    let digest = Digest::of(text.as_bytes());
    let mut importer = Importer::new("har", digest, 1_795_659_420_000_000_000, Roles::default(), redactor);
    let mut all = Vec::new();
    let passed = Har.read(&mut text.as_bytes(), Limits { item_bytes_max: 64 << 20 }, &mut |item| {
        all.push(importer.take(item));
        Next::GoOn
    });
    passed.unwrap();
    all
}

fn written(all: &[Imported]) -> String {
    let session = Session {
        id: all[0].session.as_ref().map_or(all[0].exchange.session, |session| session.id),
        tool_version: "0".to_owned(),
        started: exchange::ClockPair { monotonic_ns: 0, wall_unix_ns: 1_795_659_420_000_000_000 },
        listeners: Vec::new(),
        service_version: None,
        command: Vec::new(),
        conversation: None,
    };
    let mut out = Vec::new();
    let mut har = Har.write(&mut out, "0", &[&session]).unwrap();
    for it in all {
        let origin = it.exchange.context.imported.as_ref().unwrap().origin.as_deref().unwrap();
        let telling = Telling {
            exchange: &it.exchange,
            session: Some(&session),
            upstream: origin,
            request_body: Some(&it.request_body),
            response_body: Some(&it.response_body),
        };
        har.put(&telling).unwrap();
    }
    har.end().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn slow_provider_an_archive_that_went_through_says_the_same_and_comes_back_as_the_same_exchanges() {
    let test = "slow_provider_an_archive_that_went_through_says_the_same_and_comes_back_as_the_same_exchanges";
    let Some(all) = recorded::exchanges(test) else { return };
    let theirs = archive(&all);
    let imported = read(&theirs);
    assert_eq!(imported.len(), recorded::EXCHANGES);
    assert_eq!(imported[0].exchange.session, session_id(&Digest::of(theirs.as_bytes())));
    let ours = written(&imported);
    let (theirs, told): (Value, Value) = (serde_json::from_str(&theirs).unwrap(), serde_json::from_str(&ours).unwrap());
    let entries = |archive: &Value| archive["log"]["entries"].as_array().unwrap().clone();
    for (number, (one, other)) in entries(&theirs).iter().zip(entries(&told)).enumerate() {
        for pointer in
            ["/request/method", "/response/status", "/startedDateTime", "/time", "/timings", "/response/content/text"]
        {
            assert_eq!(one.pointer(pointer), other.pointer(pointer), "entry {number}: {pointer}");
        }
        // Secrets of a query are replaced, and a fragment is never sent.
        let path =
            |entry: &Value| entry["request"]["url"].as_str().unwrap().split(['?', '#']).next().unwrap().to_owned();
        assert_eq!(path(one), path(&other), "entry {number}");
        let asked = other.pointer("/request/postData/text").and_then(Value::as_str).unwrap_or_default();
        assert_eq!(one.pointer("/request/postData/text").unwrap(), asked, "entry {number}");
    }
    let back = read(&ours);
    for (one, other) in imported.iter().zip(&back) {
        assert_eq!(
            (&one.exchange, &one.request_body, &one.response_body),
            (&other.exchange, &other.request_body, &other.response_body)
        );
    }
    assert_eq!(back.len(), imported.len());
}
