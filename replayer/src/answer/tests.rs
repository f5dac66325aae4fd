use std::thread;

use bundle::{Record, Writer};
use diff::{NoiseLearner, places_of_calls_apart};
use exchange::{Body, Digests, End, Parent, Request, Response, Role, Times, Trace, Transport};

use super::*;

const INGRESS: Id = Id([0xaa; 16]);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER_INGRESS: Id = Id([0xab; 16]);
const OTHER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn id(number: u8) -> Id {
    Id([number; 16])
}

fn head(target: &str, kind: &str, trace_id: &str) -> Head {
    let traceparent = format!("traceparent: 00-{trace_id}-b7ad6b7169203331-01");
    Head::new(format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n{traceparent}\r\n\r\n"))
}

/// A call of the store: what is asked of it, and as what, and in which exchange.
#[derive(Clone)]
struct Asks {
    target: &'static str,
    kind: &'static str,
    body: String,
    trace_id: &'static str,
}

impl Asks {
    fn of_other(self) -> Self {
        Self { trace_id: OTHER_TRACE, ..self }
    }

    fn head(&self) -> Head {
        head(self.target, self.kind, self.trace_id)
    }
}

fn json(body: impl Into<String>) -> Asks {
    Asks { target: "/lookup", kind: "application/json", body: body.into(), trace_id: TRACE }
}

fn text(body: &str) -> Asks {
    Asks { target: "/lookup", kind: "text/plain", body: body.to_owned(), trace_id: TRACE }
}

/// An answerer of an exchange that made these calls, numbered from 1, and of another that made those which say so.
fn answerer(calls: &[Asks], noise: Noise) -> Arc<Answerer> {
    answerer_with(calls, noise, |parts| parts)
}

fn answerer_with(calls: &[Asks], noise: Noise, with: impl FnOnce(AnswererParts) -> AnswererParts) -> Arc<Answerer> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recorded.retake");
    let mut writer = Writer::create(&path).unwrap();
    let traced = |exchange: Exchange, trace_id: &str| {
        let trace = Trace { trace_id: trace_id.to_owned(), span_id: "b7ad6b7169203331".to_owned(), made: false };
        Record::Exchange(Box::new(Exchange { trace: Some(trace), ..exchange }))
    };
    for (ingress, asks) in [(INGRESS, json("{}")), (OTHER_INGRESS, json("{}").of_other())] {
        let exchange = exchange(&mut writer, (ingress, 0), Role::Ingress, &asks);
        writer.append(&traced(exchange, asks.trace_id)).unwrap();
    }
    for (number, asks) in (1..).zip(calls) {
        let ingress = if asks.trace_id == TRACE { INGRESS } else { OTHER_INGRESS };
        let parent = Parent { id: ingress, certainty: Certainty::Recorded, candidates: Vec::new() };
        let role = Role::Dependency { name: "store".to_owned(), parent: Some(parent) };
        let call = exchange(&mut writer, (id(number), u64::from(number)), role, asks);
        writer.append(&traced(call, asks.trace_id)).unwrap();
    }
    writer.seal().unwrap();
    let archive = Arc::new(Archive::open(&path).unwrap());
    let selection = Selection::of(&archive, &[]).unwrap();
    let parts = AnswererParts {
        archive,
        rules: Rules::strict(),
        noise: Arc::new(noise),
        reuse: false,
        secrets: Arc::default(),
        ledger: None,
        run: Id([0; 16]),
        target: String::new(),
        clock: Arc::new(|| 0),
        forward: None,
        in_order: false,
        speed: None,
        copies: 1,
        misses: None,
    };
    let answerer = Answerer::new(&selection, with(parts)).unwrap();
    answerer.began(0, INGRESS);
    Arc::new(answerer)
}

fn exchange(writer: &mut Writer, (id, sequence): (Id, u64), role: Role, asks: &Asks) -> Exchange {
    let body = |writer: &mut Writer, bytes: &[u8]| Body {
        parts: writer.put_body_bytes(bytes).unwrap(),
        len: bytes.len() as u64,
        ..Body::default()
    };
    let request = Request { head: asks.head(), body: body(writer, asks.body.as_bytes()) };
    let response = Response { head: Head::new("HTTP/1.1 200 OK\r\n\r\n"), body: body(writer, b"") };
    let times =
        Times { started_ns: sequence, request_ended_ns: Some(sequence), ended_ns: sequence, ..Times::default() };
    Exchange {
        id,
        session: Id([0xee; 16]),
        sequence,
        role,
        transport: Transport::Http1,
        request,
        interim: Vec::new(),
        response: Some(response),
        end: End::Complete,
        times,
        trace: None,
        seeds: Vec::new(),
        fingerprint: None,
        context: exchange::Context::default(),
        digests: Digests::default(),
        redactions: Vec::new(),
        repeats: None,
    }
}

fn ask(answerer: &Answerer, asks: &Asks) -> Note {
    answerer.look_up("store", &incoming(asks)).1
}

fn incoming(asks: &Asks) -> Incoming {
    Incoming {
        transport: Transport::Http1,
        head: asks.head(),
        body: asks.body.clone().into_bytes(),
        chunks: Vec::new(),
        trailers: Vec::new(),
        body_len: asks.body.len() as u64,
        is_whole: true,
        started_ns: 0,
        ended_ns: 0,
    }
}

/// The number of the recording that answered.
fn found(note: &Note) -> Option<u8> {
    note.outcome.as_ref().ok().map(|found| found.id.0[0])
}

/// What all calls are noted as having been answered by.
fn noted(answerer: &Answerer) -> Vec<Option<u8>> {
    answerer.notes(0).iter().map(found).collect()
}

fn uuid(number: usize) -> String {
    format!("{:08x}-4f7d-4a52-9c7e-1d2f3a4b5c6d", 0x9b9a_6c1e_usize + number * 7919)
}

fn with_ids(id: usize, session: usize) -> Asks {
    json(format!(r#"{{"word":"a","id":"{}","session":"{}"}}"#, uuid(id), uuid(session)))
}

/// Noise of calls that have another id and another session each time.
fn ids_are_noise() -> Noise {
    let mut learner = NoiseLearner::default();
    let head = head("/lookup", "application/json", TRACE);
    let call = |asks: &'static Asks| CallRequest { dependency: "store", head: &head, body: asks.body.as_bytes() };
    let leaked = |number: usize| &*Box::leak(Box::new(with_ids(1_000 + number, 2_000 + number)));
    let first = call(leaked(0));
    for other in 1..31 {
        let places = places_of_calls_apart(&first, &call(leaked(other)), &Rules::strict()).unwrap();
        learner.add(id(99), "store POST /lookup", &places);
    }
    Noise::of([learner.conclude("v1".to_owned(), vec![id(9)])])
}

#[test]
fn of_bodies_that_differ_as_a_whole_the_one_most_alike_is_the_nearest() {
    let recorded = ["where is my parcel", "my invoice is wrong", "cancel my order"].map(text);
    let note = ask(&answerer(&recorded, Noise::none()), &text("my invoice is right"));
    let miss = note.outcome.unwrap_err();
    assert_eq!(miss.nearest.as_ref().map(|nearest| nearest.id), Some(id(2)));
    let differences = &miss.nearest.unwrap().differences;
    assert_eq!(differences, &["body: recorded 19 bytes, asked 19 bytes"]);
    assert_eq!(miss.near.iter().map(|near| near.id).collect::<Vec<_>>(), [id(2), id(1), id(3)]);
}

#[test]
fn a_call_within_noise_is_not_missed_because_the_recording_it_is_most_like_is_taken() {
    let answerer = answerer(&[with_ids(1, 1), with_ids(2, 2)], ids_are_noise());
    assert_eq!(found(&ask(&answerer, &with_ids(11, 1))), Some(1));
    assert_eq!(found(&ask(&answerer, &with_ids(12, 1))), Some(2), "one place more differs");
    assert_eq!(found(&ask(&answerer, &with_ids(13, 1))), None, "it is one more than was recorded");
    assert!(answerer.never_asked(0).is_empty());
}

#[test]
fn an_unchanged_call_gets_its_recording_though_one_within_noise_came_before() {
    let answerer = answerer(&[with_ids(1, 1), with_ids(2, 2)], ids_are_noise());
    assert_eq!(found(&ask(&answerer, &with_ids(11, 12))), Some(1));
    assert_eq!(found(&ask(&answerer, &with_ids(1, 1))), Some(1));
    assert_eq!(noted(&answerer), [Some(2), Some(1)], "the first one is instead of the second recording");
    assert!(
        answerer.notes(0)[0].noise.iter().all(|noisy| noisy.change.recorded.as_ref().unwrap().text.contains(&uuid(2)))
    );
    assert_eq!(found(&ask(&answerer, &with_ids(2, 2))), Some(2));
    assert_eq!(noted(&answerer), [None, Some(1), Some(2)], "three calls, of which two were recorded");
}

#[test]
fn an_unchanged_call_that_equals_a_recording_which_is_used_up_gets_one_within_noise() {
    let answerer = answerer(&[with_ids(1, 1), with_ids(2, 2)], ids_are_noise());
    assert_eq!(found(&ask(&answerer, &with_ids(1, 1))), Some(1));
    assert_eq!(found(&ask(&answerer, &with_ids(1, 1))), Some(2), "another id is noise, and so is none");
    let miss = ask(&answerer, &with_ids(1, 1)).outcome.unwrap_err();
    assert_eq!((miss.exhausted, miss.nearest, miss.near), (1, None, Vec::new()), "it is one more than was recorded");
    assert!(answerer.never_asked(0).is_empty());
}

#[test]
fn a_call_that_equals_another_exchanges_is_a_mix_up_though_one_of_its_own_is_within_noise() {
    let recorded = [with_ids(1, 1), with_ids(2, 2).of_other()];
    let answerer = answerer(&recorded, ids_are_noise());
    let mixed_up = ask(&answerer, &with_ids(2, 2)).outcome.unwrap();
    assert_eq!((mixed_up.id, mixed_up.borrowed), (id(2), true));
    assert_eq!(answerer.never_asked(0), BTreeSet::from([id(1), id(2)]));
}

#[tokio::test]
async fn a_call_that_gave_way_is_written_as_what_it_stands_in_for_at_last() {
    let folder = tempfile::tempdir().unwrap();
    let redactor = content::redact::Redactor::new([0; 32], &content::redact::Extra::default());
    let ledger = Arc::new(Ledger::create(folder.path(), Id([0; 16]), redactor).unwrap());
    let recorded = [with_ids(1, 1), with_ids(2, 2)];
    let answerer =
        answerer_with(&recorded, ids_are_noise(), |parts| AnswererParts { ledger: Some(Arc::clone(&ledger)), ..parts });
    let store = answerer.of_dependency("store");
    for asks in [with_ids(11, 12), with_ids(1, 1)] {
        store.answer(incoming(&asks)).await;
    }
    assert_eq!(noted(&answerer), [Some(2), Some(1)]);
    answerer.ended(0, INGRESS);
    let written: Vec<Id> = answerer.notes(0).into_iter().filter_map(|note| note.written).collect();
    ledger.keep_all();
    let archive = Archive::open_growing(ledger.path()).unwrap();
    let originals: BTreeMap<Id, Option<Id>> =
        archive.entries().iter().map(|entry| (entry.id, entry.original)).collect();
    assert_eq!(originals.len(), 2);
    assert_eq!(written, [2, 1].map(|number| Id::of_repeat(Id([0; 16]), id(number), 0)));
    assert_eq!(written.iter().map(|written| originals[written]).collect::<Vec<_>>(), [Some(id(2)), Some(id(1))]);
}

#[tokio::test]
async fn a_call_that_was_kept_until_the_next_repeat_is_written_as_one_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let redactor = content::redact::Redactor::new([0; 32], &content::redact::Extra::default());
    let ledger = Arc::new(Ledger::create(folder.path(), Id([0; 16]), redactor).unwrap());
    let recorded = [with_ids(1, 1)];
    let answerer =
        answerer_with(&recorded, ids_are_noise(), |parts| AnswererParts { ledger: Some(Arc::clone(&ledger)), ..parts });
    answerer.of_dependency("store").answer(incoming(&with_ids(11, 12))).await;
    answerer.begin(1, None);
    ledger.keep_all();
    let written: Vec<Id> =
        Archive::open_growing(ledger.path()).unwrap().entries().iter().map(|entry| entry.id).collect();
    assert_eq!(written, [Id::of_repeat(Id([0; 16]), id(1), 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gave_way_after_it_was_answered_counts_as_given_in_its_new_place() {
    let recorded = [with_ids(1, 1), with_ids(2, 2)];
    let answerer = answerer_with(&recorded, ids_are_noise(), |parts| AnswererParts { in_order: true, ..parts });
    let gates = Arc::clone(&answerer.gates.as_ref().unwrap()[0]);
    let store = answerer.of_dependency("store");
    drop(store.answer(incoming(&with_ids(11, 12))).await);
    assert_eq!((gates.has_given(id(1)), gates.has_given(id(2))), (true, false));
    let _held = store.answer(incoming(&with_ids(1, 1))).await;
    assert!(gates.has_given(id(2)), "the first call is instead of the second recording now");
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_was_given_to_a_call_which_gave_way_is_given_again_when_its_own_call_has_it() {
    let recorded = [with_ids(1, 1), with_ids(2, 2)];
    let answerer = answerer_with(&recorded, ids_are_noise(), |parts| AnswererParts { in_order: true, ..parts });
    let gates = Arc::clone(&answerer.gates.as_ref().unwrap()[0]);
    let given = || [1, 2].map(|number| gates.has_given(id(number)));
    let store = answerer.of_dependency("store");
    let of_both = store.answer(incoming(&with_ids(11, 12))).await;
    let of_first = store.answer(incoming(&with_ids(1, 1))).await;
    drop(of_both);
    assert_eq!(given(), [false, true], "it gave way before its answer was handed over");
    let of_second = store.answer(incoming(&with_ids(2, 2))).await;
    assert_eq!(given(), [false, false], "it is one more than was recorded now");
    drop(of_second);
    assert_eq!(given(), [false, true]);
    drop(of_first);
    assert_eq!(given(), [true, true]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_handed_over_when_its_repeat_has_ended_is_none_of_the_next() {
    let answerer = answerer_with(&[with_ids(1, 1)], Noise::none(), |parts| AnswererParts { in_order: true, ..parts });
    let late = answerer.of_dependency("store").answer(incoming(&with_ids(1, 1))).await;
    answerer.begin(1, None);
    drop(late);
    assert!(!answerer.gates.as_ref().unwrap()[0].has_given(id(1)));
}

#[test]
fn calls_that_come_at_once_are_each_served_another_recording() {
    const COUNT: usize = 12;
    let recorded: Vec<Asks> = (0..COUNT).map(|at| with_ids(at, at)).collect();
    let answerer = answerer(&recorded, ids_are_noise());
    let served: Vec<Option<u8>> = thread::scope(|scope| {
        let ask = |at: usize| {
            let answerer = &answerer;
            scope.spawn(move || found(&ask(answerer, &with_ids(100 + at, 200 + at))))
        };
        let threads: Vec<_> = (0..=COUNT).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let different: BTreeSet<u8> = served.iter().copied().flatten().collect();
    assert_eq!((different.len(), served.iter().filter(|served| served.is_none()).count()), (COUNT, 1));
    assert_eq!((answerer.notes(0).len(), answerer.never_asked(0).len()), (COUNT + 1, 0));
}

#[test]
fn a_call_that_takes_long_to_compare_makes_no_other_wait_and_is_waited_for_by_who_judges() {
    let long = |word: &str| {
        let texts: Vec<String> = (0..2_000).map(|at| format!("\"{word} {at} of some length, and {word}\"")).collect();
        json(format!("[{}]", texts.join(",")))
    };
    let recorded: Vec<Asks> = (0..100).map(|at| long(&format!("word{at}"))).chain([json("{}")]).collect();
    let answerer = answerer(&recorded, Noise::none());
    let slow = {
        let (answerer, asks) = (Arc::clone(&answerer), long("another"));
        thread::spawn(move || ask(&answerer, &asks))
    };
    while answerer.state().looking.is_empty() {
        thread::yield_now();
    }
    assert_eq!(found(&ask(&answerer, &json("{}"))), Some(101));
    assert!(!slow.is_finished(), "the short call came later, and was answered first");
    assert_eq!(noted(&answerer), [None, Some(101)], "in the order they came");
    assert!(slow.join().unwrap().outcome.is_err());
}
