use std::io::Write as _;

use content::redact::{Extra, Redactor};
use exchange::{
    Chunk, ClockPair, Context, Digest, Digests, End, Exchange, Gap, Id, Imported as Origins, Interim, Lack, Listener,
    Redaction, Request, Response, Role, Seed, SeedPlace, Times, Trace, Transport,
};

use super::*;
use crate::{Har, Imported, Importer, Interchange, Limits, Next, Roles};

const UPSTREAM: &str = "http://127.0.0.1:9000";

fn session() -> Session {
    Session {
        id: Id([0xee; 16]),
        tool_version: "0.0.0".to_owned(),
        started: ClockPair { monotonic_ns: 0, wall_unix_ns: 1_795_460_651_000_000_000 },
        listeners: vec![Listener { upstream: UPSTREAM.to_owned(), ..Listener::default() }],
        service_version: None,
        command: vec!["serve".to_owned()],
        conversation: None,
    }
}

/// An exchange and its bodies.
type Recorded = (Exchange, Vec<u8>, Vec<u8>);

fn recorded(number: u8, request: &str, asked: &[u8], response: Option<(&str, &[u8])>) -> Recorded {
    let head = |text: &str| Head::new(text.replace('\n', "\r\n"));
    let started_ns = u64::from(number) * 1_234_567_891;
    let body = |bytes: &[u8], at_ns| Body {
        len: bytes.len() as u64,
        chunks: if bytes.is_empty() { Vec::new() } else { vec![Chunk { offset: 0, at_ns }] },
        ..Body::default()
    };
    let mut exchange = Exchange {
        id: Id([number; 16]),
        session: session().id,
        sequence: u64::from(number),
        role: Role::Ingress,
        transport: Transport::Http1,
        request: Request { head: head(request), body: body(asked, started_ns + 7) },
        interim: Vec::new(),
        response: response.map(|(text, bytes)| Response { head: head(text), body: body(bytes, started_ns + 99) }),
        end: End::Complete,
        times: Times {
            started_ns,
            request_ended_ns: Some(started_ns + 1_000_001),
            response_started_ns: response.map(|_| started_ns + 2_000_003),
            ended_ns: started_ns + 3_000_007,
        },
        trace: None,
        seeds: Vec::new(),
        fingerprint: None,
        context: Context::default(),
        digests: Digests::default(),
        redactions: Vec::new(),
        repeats: None,
    };
    exchange.digests.request =
        Some(content::canonical::request_digest(&exchange.request.head, asked, Transport::Http1));
    if let (Some(response), Some((_, bytes))) = (&exchange.response, response) {
        exchange.digests.response = Some(content::canonical::response_digest(&response.head, bytes));
    }
    (exchange, asked.to_vec(), response.map(|(_, bytes)| bytes.to_vec()).unwrap_or_default())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One of each kind that a capture records.
fn all_kinds() -> Vec<Recorded> {
    const POST: &str =
        "POST /tickets?a=b%20c&d HTTP/1.1\nHost: here\nContent-Type: application/json\nContent-Length: 10\n\n";
    const OK: &str = "HTTP/1.1 200 OK\nContent-Type: application/json\n\n";
    let mut plain = recorded(1, POST, br#"{"seed":7}"#, Some((OK, "{\"ok\":\"ja \u{e4}\u{20ac}\"}".as_bytes())));
    let seed = Seed { place: SeedPlace::Request, pointer: "/seed".to_owned(), value: "7".to_owned() };
    plain.0.seeds.push(seed);
    plain.0.trace = Some(Trace { trace_id: "a".repeat(32), span_id: "b".repeat(16), made: true });
    plain.0.response.as_mut().unwrap().body.chunks.push(Chunk { offset: 4, at_ns: 1_234_999_999 });
    let coded = gzip(&b"{\"long\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}".repeat(3));
    let coded_head = "HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Type: application/json\nTransfer-Encoding: chunked\nSet-Cookie: a=1; Path=/\nSet-Cookie: b=2\n\n";
    let mut gzipped = recorded(2, "GET / HTTP/1.1\nHost: here\nCookie: x=1; y=2\n\n", b"", Some((coded_head, &coded)));
    gzipped.0.response.as_mut().unwrap().body.trailers = b"X-Sum: 1\r\n\r\n".to_vec();
    gzipped.0.redactions = [("request header:cookie", 2), ("response header:set-cookie", 2)]
        .map(|(place, count)| Redaction { place: place.to_owned(), count })
        .to_vec();
    gzipped.0.interim.push(Interim { at_ns: 5, head: Head::new(*b"HTTP/1.1 103 Early Hints\r\n\r\n") });
    let binary = recorded(3, POST, &[0, 0xff, 1, 2, 3, 4, 5, 6, 7, 8], Some((OK, &[0xff, 0xfe])));
    let odd = recorded(
        4,
        "GET http://h:1/a#b?q HTTP/1.0\nHost:here\nX-Tab:\t a \nx-tab: 2\nX-High: \u{e9}\n\n",
        b"",
        Some(("HTTP/1.0 404\nNo-Space:1\n folded\n\n", b"gone")),
    );
    let mut cut = recorded(5, POST, b"{}", Some((OK, b"{\"begun\":")));
    cut.0.end = End::UpstreamReset;
    cut.0.digests.response = None;
    let mut gapped = recorded(6, POST, b"{}", Some((OK, b"0123")));
    gapped.0.digests.response = None;
    let body = &mut gapped.0.response.as_mut().unwrap().body;
    (body.len, body.gap) = (1_000, Some(Gap::OverLimit));
    body.chunks.push(Chunk { offset: 900, at_ns: 7_500_000_000 });
    let mut unreachable = recorded(7, "OPTIONS * HTTP/1.1\nHost: here\n\n", b"", None);
    unreachable.0.end = End::Unreachable { reason: "connection refused".to_owned() };
    let mut call = recorded(8, POST, b"[]", Some((OK, b"")));
    let parent = exchange::Parent { id: Id([1; 16]), certainty: exchange::Certainty::Recorded, candidates: Vec::new() };
    call.0.role = Role::Dependency { name: "model".to_owned(), parent: Some(parent) };
    vec![plain, gzipped, binary, odd, cut, gapped, unreachable, call]
}

fn written(all: &[Recorded]) -> String {
    let session = session();
    let mut out = Vec::new();
    let mut har = Har.write(&mut out, "1.2.3", &[&session]).unwrap();
    for (exchange, request_body, response_body) in all {
        let telling = Telling {
            exchange,
            session: Some(&session),
            upstream: UPSTREAM,
            request_body: Some(request_body),
            response_body: Some(response_body),
        };
        assert_eq!(har.put(&telling).unwrap(), Told::Entry);
    }
    har.end().unwrap();
    String::from_utf8(out).unwrap()
}

fn read(text: &str, key: [u8; 32]) -> Vec<Imported> {
    let redactor = Redactor::new(key, &Extra::default());
    let mut importer = Importer::new("har", Digest::of(text.as_bytes()), 0, Roles::default(), redactor);
    let mut all = Vec::new();
    let read = Har.read(&mut text.as_bytes(), Limits { item_bytes_max: 1 << 20 }, &mut |item| {
        all.push(importer.take(item));
        Next::GoOn
    });
    read.unwrap();
    all
}

#[test]
fn what_was_written_comes_back_as_it_was_and_says_that_it_was_away() {
    let all = all_kinds();
    let text = written(&all);
    let back = read(&text, [7; 32]);
    assert_eq!(back.len(), all.len());
    for (imported, (exchange, request_body, response_body)) in back.iter().zip(&all) {
        let origins = imported.exchange.context.imported.clone().unwrap();
        assert_eq!((origins.format.as_str(), origins.lacks), ("har", Vec::new()));
        let mut same = imported.exchange.clone();
        same.context.imported = None;
        assert_eq!(same, *exchange);
        assert_eq!((&imported.request_body, &imported.response_body), (request_body, response_body));
        assert_eq!(imported.session.as_deref(), Some(&session()));
    }
}

#[test]
fn out_and_in_and_out_again_gives_the_same_file_but_for_where_it_was() {
    let all = all_kinds();
    let again = |text: &str| {
        let back = read(text, [7; 32]).into_iter();
        written(&back.map(|it| (it.exchange, it.request_body, it.response_body)).collect::<Vec<_>>())
    };
    let once = again(&written(&all));
    assert_eq!(again(&once), once);
}

#[test]
fn pseudonyms_stay_as_they_are_and_what_was_added_by_hand_is_replaced() {
    let secret = "POST / HTTP/1.1\nHost: here\nAuthorization: Bearer abcdefghijklmnop\n\n";
    let mut redacted = recorded(1, secret, b"", Some(("HTTP/1.1 204 No Content\n\n", b"")));
    redacted.0.redactions = vec![Redaction { place: "request header:authorization".to_owned(), count: 1 }];
    let text = written(&[redacted.clone()]);
    let back = read(&text, [7; 32]).remove(0).exchange;
    assert_eq!((&back.request.head, &back.redactions), (&redacted.0.request.head, &redacted.0.redactions));
    redacted.0.redactions.clear();
    let back = read(&written(&[redacted]), [7; 32]).remove(0).exchange;
    assert!(!String::from_utf8_lossy(&back.request.head.bytes).contains("abcdefghijklmnop"));
    assert_eq!(back.redactions.len(), 1);
}

#[test]
fn an_entry_that_was_changed_counts_as_it_now_reads_and_says_what_it_lost() {
    let all = all_kinds();
    let text = written(&all[..1]);
    let other_body = text.replace(r#"{\"seed\":7}"#, r#"{\"seed\":77}"#);
    assert_ne!(other_body, text);
    let back = read(&other_body, [7; 32]).remove(0);
    assert_eq!(back.request_body, br#"{"seed":77}"#);
    assert_eq!((back.exchange.request.body.len, back.exchange.request.body.chunks.len()), (11, 0));
    assert_eq!(back.exchange.context.imported.unwrap().lacks, [Lack::ChunkTimes]);
    let other_path = text.replace("127.0.0.1:9000/tickets", "127.0.0.1:9000/other");
    let back = read(&other_path, [7; 32]).remove(0).exchange;
    assert_eq!(back.title(), "POST /other?a=b%20c&d");
    // A field that is told and a head that is carried beside it: the told one counts.
    let odd = written(&all[3..4]);
    let back = read(&odd.replace(r#"{"name":"x-tab","value":"2"}"#, r#"{"name":"x-tab","value":"3"}"#), [7; 32]);
    assert_eq!(back[0].exchange.request.head.fields().filter(|it| it.is("x-tab")).last().unwrap().value, b"3");
    assert!(back[0].exchange.context.imported.as_ref().unwrap().lacks.contains(&Lack::RawHeads));
}

#[test]
fn what_another_tool_told_keeps_its_origin_and_what_it_lacked() {
    let (mut exchange, asked, answered) = all_kinds().remove(0);
    let origins = Origins {
        format: "har".to_owned(),
        source: Digest::of(b"another"),
        origin: Some("https://api.example".to_owned()),
        lacks: vec![Lack::ChunkTimes, Lack::RawHeads],
    };
    exchange.context.imported = Some(origins.clone());
    exchange.fingerprint = Some(Digest::of(b"environment"));
    let back = read(&written(&[(exchange, asked, answered)]), [7; 32]).remove(0).exchange;
    assert_eq!(back.fingerprint, None);
    let lacks = vec![Lack::ChunkTimes, Lack::Fingerprint, Lack::RawHeads];
    assert_eq!(back.context.imported, Some(Origins { lacks, ..origins }));
}

#[test]
fn what_a_newer_release_wrote_is_refused_by_name_and_what_has_no_session_is_read_as_a_strangers() {
    let text = written(&all_kinds()[..1]);
    let newer = text.replace(r#""_retake":{"version":0"#, r#""_retake":{"version":1"#);
    let fault = Har.read(&mut newer.as_bytes(), Limits { item_bytes_max: 1 << 20 }, &mut |_| Next::GoOn).unwrap_err();
    assert!(fault.what.contains("version 1; this build reads up to 0"), "{fault}");
    let without = text.replacen("_retake", "_other", 1);
    let back = read(&without, [7; 32]).remove(0);
    assert_eq!(back.session, None);
    assert_ne!(back.exchange.id, Id([1; 16]));
    assert!(back.exchange.context.imported.unwrap().lacks.contains(&Lack::ChunkTimes));
}

#[test]
fn raw_streams_are_no_entries() {
    let (mut exchange, asked, answered) = all_kinds().remove(0);
    exchange.request.head = Head::default();
    let mut out = Vec::new();
    let mut har = Har.write(&mut out, "1", &[]).unwrap();
    let telling = Telling {
        exchange: &exchange,
        session: None,
        upstream: UPSTREAM,
        request_body: Some(&asked),
        response_body: Some(&answered),
    };
    assert_eq!(har.put(&telling).unwrap(), Told::NoHttp);
    har.end().unwrap();
    schema::check(&serde_json::from_slice(&out).unwrap());
}

#[test]
fn every_entry_is_as_the_schema_of_har_1_2_has_it_and_a_coded_body_is_told_decoded() {
    let text = written(&all_kinds());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema::check(&document), all_kinds().len());
    let content = &document["log"]["entries"][1]["response"]["content"];
    assert!(content["text"].as_str().unwrap().starts_with("{\"long\":"), "{content}");
    assert_eq!(content["size"].as_i64().unwrap(), content["text"].as_str().unwrap().len() as i64);
    assert_eq!(document["log"]["entries"][1]["request"]["cookies"][1], json!({ "name": "y", "value": "2" }));
    assert_eq!(document["log"]["entries"][1]["response"]["cookies"][0], json!({ "name": "a", "value": "1" }));
    assert_eq!(document["log"]["entries"][0]["request"]["queryString"][0], json!({ "name": "a", "value": "b%20c" }));
    // One entry is one line: a file of any length can be looked through with line tools.
    assert_eq!(text.lines().count(), all_kinds().len() + 2);
}

/// What the JSON schema of HAR 1.2 (the package `har-schema`) demands: members, their types, instants and URLs; and that
/// custom members begin with an underscore, as the specification has it.
mod schema {
    use serde_json::Value;

    /// Members that each object has to have, and others that it may have; `name:type`.
    const LOG: [&[&str]; 2] = [&["version:s", "creator:o", "entries:a"], &["browser:o", "pages:a", "comment:s"]];
    const ENTRY: [&[&str]; 2] = [
        &["startedDateTime:s", "time:n", "request:o", "response:o", "cache:o", "timings:o"],
        &["pageref:s", "serverIPAddress:s", "connection:s", "comment:s"],
    ];
    const REQUEST: [&[&str]; 2] = [
        &[
            "method:s",
            "url:s",
            "httpVersion:s",
            "cookies:a",
            "headers:a",
            "queryString:a",
            "headersSize:i",
            "bodySize:i",
        ],
        &["postData:o", "comment:s"],
    ];
    const RESPONSE: [&[&str]; 2] = [
        &[
            "status:i",
            "statusText:s",
            "httpVersion:s",
            "cookies:a",
            "headers:a",
            "content:o",
            "redirectURL:s",
            "headersSize:i",
            "bodySize:i",
        ],
        &["comment:s"],
    ];
    const CONTENT: [&[&str]; 2] = [&["size:i", "mimeType:s"], &["compression:i", "text:s", "encoding:s", "comment:s"]];
    // `encoding` of what was posted is no member of the specification; every tool that has binary requests writes it.
    const POST_DATA: [&[&str]; 2] = [&["mimeType:s"], &["text:s", "params:a", "encoding:s", "comment:s"]];
    const PAIR: [&[&str]; 2] = [&["name:s", "value:s"], &["comment:s"]];
    const TIMINGS: [&[&str]; 2] = [&["send:n", "wait:n", "receive:n"], &["blocked:n", "dns:n", "connect:n", "ssl:n"]];

    /// Says how many entries hold.
    pub(super) fn check(document: &Value) -> usize {
        let log = &document["log"];
        members(log, LOG);
        members(&log["creator"], [&["name:s", "version:s"], &["comment:s"]]);
        let entries = log["entries"].as_array().unwrap();
        for entry in entries {
            members(entry, ENTRY);
            assert!(content::instant::unix_ns(entry["startedDateTime"].as_str().unwrap()).is_some());
            members(&entry["request"], REQUEST);
            members(&entry["response"], RESPONSE);
            members(&entry["response"]["content"], CONTENT);
            members(&entry["timings"], TIMINGS);
            let url = entry["request"]["url"].as_str().unwrap();
            assert!(url.starts_with("http://127.0.0.1:9000/") && !url.contains(' '), "{url}");
            if let Some(data) = entry["request"].get("postData") {
                members(data, POST_DATA);
            }
            let lists =
                [("request", "headers"), ("request", "cookies"), ("request", "queryString"), ("response", "headers")];
            for (side, list) in lists.into_iter().chain([("response", "cookies")]) {
                entry[side][list].as_array().unwrap().iter().for_each(|pair| members(pair, PAIR));
            }
            let phases = ["send", "wait", "receive"].map(|phase| entry["timings"][phase].as_f64().unwrap());
            assert!((phases.iter().sum::<f64>() - entry["time"].as_f64().unwrap()).abs() < 1e-6, "{phases:?}");
        }
        entries.len()
    }

    fn members(object: &Value, [required, allowed]: [&[&str]; 2]) {
        let object = object.as_object().unwrap();
        for (name, value) in object {
            let of_name = |member: &&&str| member.split(':').next() == Some(name);
            let Some(member) = required.iter().chain(allowed).find(of_name) else {
                assert!(name.starts_with('_'), "`{name}` is no member");
                continue;
            };
            let is_right = match member.split(':').next_back() {
                Some("s") => value.is_string(),
                Some("n") => value.is_number(),
                Some("i") => value.is_i64(),
                Some("a") => value.is_array(),
                _ => value.is_object(),
            };
            assert!(is_right, "{member} is {value}");
        }
        for member in required {
            assert!(object.contains_key(member.split(':').next().unwrap()), "no {member}");
        }
    }
}
