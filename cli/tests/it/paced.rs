//! Exchanges at production's times, and how late they were.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use bundle::Archive;
use exchange::{Conversation, ConversationSource, End, Exchange, Id, Times};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    Ran,
    otherwise::serve_of,
    recordings::{self, Told},
    retake,
    shipped::{Alter, altered, shipped},
    untrue::{first_tickets, replay_script, triage},
};

const MS: u64 = 1_000_000;

/// The shipped recording with other times: `times` has those of the first tickets, in milliseconds; their calls took no time.
/// `change` changes each exchange after that.
pub(crate) fn with_times(path: &Path, times: &[(u64, u64)], change: &dyn Fn(&mut Exchange)) {
    let ids = first_tickets(times.len());
    let ids: Vec<&str> = ids.split(',').collect();
    let exchange = |mut exchange: Exchange| {
        let owner = exchange.role.parent().map_or(exchange.id, |parent| parent.id).to_string();
        let (started, ended) = times[ids.iter().position(|id| *id == owner)?];
        if exchange.role.parent().is_none() {
            exchange.times = Times {
                started_ns: started * MS,
                request_ended_ns: Some(started * MS),
                response_started_ns: Some(ended * MS),
                ended_ns: ended * MS,
            };
        } else {
            answered_after(&mut exchange, [0, 0, 0]);
        }
        change(&mut exchange);
        Some(exchange)
    };
    altered(path, &Alter { exchange: &exchange, fingerprint: &|it| it, with_image: false });
}

/// Sets how long after it was asked an answer's head, its body and its end came, in milliseconds.
fn answered_after(call: &mut Exchange, [head, body, end]: [u64; 3]) {
    let started_ns = call.times.started_ns;
    call.times = Times {
        started_ns,
        request_ended_ns: Some(started_ns),
        response_started_ns: Some(started_ns + head * MS),
        ended_ns: started_ns + end * MS,
    };
    let chunks = call.response.iter_mut().flat_map(|response| &mut response.body.chunks);
    chunks.for_each(|chunk| chunk.at_ns = started_ns + body * MS);
}

/// When each exchange of a run was sent, in milliseconds after the first.
fn sent_ms(folder: &Path, document: &Value) -> Vec<u64> {
    let archive = Archive::open(&folder.join(document["run_path"].as_str().unwrap())).unwrap();
    let clients = archive.entries().iter().filter(|entry| entry.dependency.is_none());
    let mut sent: Vec<u64> = clients.map(|entry| entry.started_ns / MS).collect();
    sent.sort_unstable();
    sent.iter().map(|at| at - sent[0]).collect()
}

fn punctuality<'a>(document: &'a Value, field: &str) -> &'a Value {
    &document["receipt"]["punctuality"][field]
}

#[test]
fn exchanges_are_sent_at_production_s_times_at_the_speed_that_was_asked_for_and_never_before() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("spread.retake");
    with_times(&source, &[(1_000, 1_010), (1_200, 1_210), (2_000, 2_010)], &|_| ());
    let spread = |timing: &str| {
        let (ran, document) = replay_script(folder.path(), &source, 3, "exec \"$0\"", &["--timing", timing]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let sent = sent_ms(folder.path(), &document);
        (sent, document)
    };
    // The first may be late itself, by what a busy machine takes.
    let slack = 100;
    let (sent, document) = spread("recorded");
    assert!(sent[1] + slack >= 200 && sent[2] + slack >= 1_000, "{sent:?}");
    assert_eq!(document["receipt"]["determinism"]["timing"], "recorded, open loop");
    assert_eq!((punctuality(&document, "sent"), punctuality(&document, "factor")), (&3.into(), &1.0.into()));
    let late = ["late_by_client", "late_by_service"].map(|field| punctuality(&document, field).as_u64().unwrap());
    assert_eq!(punctuality(&document, "late_count").as_u64(), Some(late[0] + late[1]));
    let (sent, document) = spread("x2");
    assert!(sent[2] + slack >= 500, "{sent:?}");
    assert_eq!(document["receipt"]["determinism"]["timing"], "x2, open loop");
    let (sent, document) = spread("asap");
    assert!(sent[2] < 900, "nothing waits: {sent:?}");
    assert_eq!(document["receipt"].get("punctuality"), None);
}

/// A service that answers each request after a while, however many there are.
pub(crate) fn slow_service(time: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            thread::spawn(move || {
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|len| len > 0) {
                    pause(time);
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").ok();
                }
            });
        }
    });
    url
}

#[expect(clippy::disallowed_methods, reason = "no runtime runs in these tests")]
fn pause(time: Duration) {
    thread::sleep(time);
}

fn replay_slowly(folder: &Path, source: &Path, count: usize, more: &[&str]) -> (Ran, Value) {
    let (url, only) = (slow_service(Duration::from_millis(400)), first_tickets(count));
    let arguments = ["replay", source.to_str().unwrap(), "--json", "--target", &url, "--only", &only];
    let ran = retake(folder, &[&arguments[..], more].concat());
    let document = ran.json();
    (ran, document)
}

#[test]
fn a_slow_service_is_told_from_a_slow_client_and_an_open_loop_waits_for_no_other_conversation() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("talk.retake");
    let talks = first_tickets(3);
    let talks: Vec<String> = talks.split(',').map(str::to_owned).collect();
    // The first two are turns of one conversation, the third is of another.
    with_times(&source, &[(0, 10), (20, 30), (40, 50)], &|exchange: &mut Exchange| {
        let id = exchange.id.to_string();
        let name = if id == talks[2] { "other" } else { "one" };
        if talks.contains(&id) {
            exchange.context.conversation = Some(Conversation { id: name.to_owned(), how: ConversationSource::Given });
        }
    });
    let (ran, document) = replay_slowly(folder.path(), &source, 3, &["--timing", "recorded"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let sent = sent_ms(folder.path(), &document);
    assert!(sent[1] < 350 && sent[2] >= 380, "the other conversation waits for nobody: {sent:?}");
    assert!(punctuality(&document, "late_count").as_u64() >= Some(1), "{document}");
    let since_intended = punctuality(&document, "took_since_intended")["max_ms"].as_f64().unwrap();
    assert!(since_intended >= 750.0, "the second answer was 380 ms late before it was asked for: {since_intended}");

    let closed = ["--timing", "recorded", "--loop", "closed"];
    let (_, document) = replay_slowly(folder.path(), &source, 3, &closed);
    let sent = sent_ms(folder.path(), &document);
    assert!(sent[1] >= 400 && sent[2] >= 800, "each waits for all before it: {sent:?}");
    assert!(punctuality(&document, "late_count").as_u64() >= Some(2), "{document}");
    let (url, only) = (slow_service(Duration::from_millis(400)), talks.join(","));
    let arguments = ["replay", source.to_str().unwrap(), "--target", &url, "--only", &only];
    let text = retake(folder.path(), &[&arguments[..], &closed].concat()).out;
    assert!(text.contains("timing   NOT KEPT: "), "{text}");
}

#[test]
fn recorded_answers_take_as_long_as_they_did_where_that_is_asked_for() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("calls.retake");
    with_times(&source, &[(0, 700)], &|exchange| {
        if exchange.role.parent().is_some() {
            answered_after(exchange, [100, 200, 300]);
        }
    });
    let took = |timing: &str| {
        let (ran, document) = replay_script(folder.path(), &source, 1, "exec \"$0\"", &["--timing", timing]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        punctuality(&document, "took_since_sent")["max_ms"].as_f64().unwrap()
    };
    // The store's answer is whole with its last byte, after 200 ms; the model's stream only with its end, after 300 ms.
    let recorded = took("recorded");
    assert!(recorded >= 500.0, "an answer came before its time: {recorded}");
    // A busy machine may be late by nine tenths of that, but not always.
    let faster = (0..5).map(|_| took("x10")).find(|&took| took < 500.0).expect("a tenth of it");
    assert!(faster >= 50.0, "and not before: {faster}");
}

#[test]
fn an_answer_that_broke_off_breaks_off_again_and_one_that_was_given_up_never_ends() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("broken.retake");
    let ends = [End::UpstreamReset, End::ClientGone];
    let left = std::cell::Cell::new(0);
    with_times(&source, &[(0, 10), (20, 30)], &|exchange| {
        if exchange.role.dependency() == Some("model") {
            exchange.end = ends[left.replace(left.get() + 1)].clone();
        }
    });
    let archive = Archive::open(&source).unwrap();
    let calls: Vec<Exchange> = archive
        .entries()
        .iter()
        .filter(|entry| entry.dependency.as_deref() == Some("model"))
        .map(|entry| archive.exchange(&entry.id).unwrap())
        .collect();
    let (_serving, address, _) = serve_of(folder.path(), &source);
    for call in &calls {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        stream.write_all(&call.request.head.bytes).unwrap();
        stream.write_all(&archive.body(&call.request.body, 1 << 20).unwrap()).unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).map_err(|error| error.kind());
        let body = archive.body(&call.response.as_ref().unwrap().body, 1 << 20).unwrap();
        let said = |answer: &[u8]| answer.windows(20).any(|window| body.starts_with(window));
        assert!(answer.starts_with(b"HTTP/1.1 200") && said(&answer), "{}", String::from_utf8_lossy(&answer));
        assert!(!answer.ends_with(b"0\r\n\r\n"), "it never looks whole");
        match call.end {
            End::UpstreamReset => assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset)),
            _ => assert!(matches!(end, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)), "{end:?}"),
        }
    }
}

#[test]
fn copies_of_sessions_are_sent_at_once_each_with_exchanges_and_answers_of_its_own() {
    let folder = tempdir().unwrap();
    let more = ["--load", "x4", "--determinism", "1"];
    let (ran, document) = replay_script(folder.path(), &shipped(), 5, "exec \"$0\"", &more);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let (answers, repeats) = (&document["receipt"]["answers"], &document["receipt"]["repeats"]);
    let counts = ["served_by_parent", "missed", "never_asked"].map(|field| answers[field].as_u64().unwrap());
    assert_eq!(counts, [40, 0, 0], "{answers}");
    assert_eq!((&repeats["copies"], &repeats["asked"], &repeats["done"]), (&4.into(), &4.into(), &4.into()));
    assert!(repeats["here"]["in_flight_max"].as_u64() > Some(1), "{repeats}");
    assert!(repeats["here"]["requests_per_s"].as_f64() > Some(0.0), "{repeats}");
    assert_eq!(document["results"][0]["repeated"]["verdicts"], "....");
    let run: Id = document["receipt"]["run"].as_str().unwrap().parse().unwrap();
    let archive = Archive::open(&folder.path().join(document["run_path"].as_str().unwrap())).unwrap();
    let clients: Vec<_> = archive.entries().iter().filter(|entry| entry.dependency.is_none()).collect();
    assert_eq!(clients.len(), 20);
    let mut traces = std::collections::BTreeSet::new();
    for entry in clients {
        let (original, copy) = (entry.original.unwrap(), entry.repeat.unwrap());
        assert!(copy < 4 && entry.id == Id::of_repeat(run, original, copy));
        traces.insert(archive.exchange(&entry.id).unwrap().trace.unwrap().trace_id);
        let calls = archive.entries().iter().filter(|call| call.parent == Some(entry.id));
        assert!(calls.clone().count() == 2 && calls.clone().all(|call| call.repeat == Some(copy)));
    }
    assert_eq!(traces.len(), 20, "each copy has traces of its own");
    let (only, process, source) = (first_tickets(2), triage(), shipped());
    let arguments = ["replay", source.to_str().unwrap(), "--only", &only, "--process", &process];
    let arguments = [&arguments[..], &crate::shipped::IGNORED, &["--load", "x2", "--repeat", "2"]].concat();
    let text = retake(folder.path(), &arguments).out;
    assert!(text.contains("4 of 4, reset process") && text.contains("load     x2: most "), "{text}");
}

#[test]
fn a_service_that_passes_no_trace_on_is_answered_for_all_copies_all_the_same() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("traceless.retake");
    with_times(&source, &[(0, 10), (20, 30)], &|exchange| exchange.trace = None);
    let (ran, document) = replay_script(folder.path(), &source, 2, "exec \"$0\"", &["--load", "x3"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let answers = &document["receipt"]["answers"];
    assert_eq!((&answers["missed"], &answers["never_asked"]), (&0.into(), &0.into()), "{answers}");
    let served = ["served_by_parent", "served_by_inference", "served_by_conversation", "served_anywhere"];
    let served: u64 = served.iter().map(|field| answers[*field].as_u64().unwrap()).sum();
    assert_eq!(served, 12, "{answers}");
}

#[test]
fn a_seed_is_set_where_the_format_has_one_and_counted() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("case.retake");
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":1}"#;
    let told = [
        Told { number: 1, path: "/v1/chat/completions", asked: chat, answered: Some("{}"), ..Told::default() },
        Told { number: 2, path: "/tickets", answered: Some("{}"), ..Told::default() },
    ];
    recordings::bundle(&source, &told);
    let url = slow_service(Duration::ZERO);
    let arguments = ["replay", source.to_str().unwrap(), "--json", "--target", &url, "--seed", "7"];
    let document = retake(folder.path(), &arguments).json();
    let replacements = document["receipt"]["replacements"].to_string();
    assert!(replacements.contains("seed 7 in 1 of 2 requests, by `--seed`"), "{replacements}");
    let archive = Archive::open(&folder.path().join(document["run_path"].as_str().unwrap())).unwrap();
    let sent = |number: u8| {
        let entry = archive.entries().iter().find(|entry| entry.original == Some(recordings::id(number))).unwrap();
        archive.exchange(&entry.id).unwrap()
    };
    let body = |exchange: &Exchange| archive.body(&exchange.request.body, 1 << 20).unwrap();
    assert_eq!(String::from_utf8(body(&sent(1))).unwrap(), chat.replace("\"seed\":1", "\"seed\":7"));
    assert!(sent(1).repeats.unwrap().replacements.contains(&"body:/seed: 7, by `--seed`".to_owned()));
    assert!(sent(1).seeds.iter().any(|seed| seed.pointer == "/seed" && seed.value == "7"));
    assert_eq!(body(&sent(2)), Told::default().asked.as_bytes());
    for wrong in ["-1", "x", "4294967295"] {
        assert_eq!(retake(folder.path(), &["replay", "case.retake", "--seed", wrong]).code, 2);
    }
}

#[test]
fn times_that_contradict_each_other_or_are_none_are_refused() {
    let folder = tempdir().unwrap();
    let source = shipped();
    for (wrong, words) in [
        (&["--timing", "fast"][..], "a timing is asap, recorded, or x"),
        (&["--timing", "x0"], "a timing is asap, recorded, or x"),
        (&["--loop", "open"], "say `--timing recorded` too"),
        (&["--timing", "recorded", "--order", "serial", "--loop", "open"], "leave one of them out"),
        (&["--load", "x0"], "from x1 to x256"),
        (&["--load", "x2", "--order", "serial"], "leave one of them out"),
    ] {
        let ran = retake(folder.path(), &[&["replay", source.to_str().unwrap()], wrong].concat());
        assert!(ran.code == 2 && ran.err.contains(words), "{wrong:?}: {}", ran.err);
    }
}
