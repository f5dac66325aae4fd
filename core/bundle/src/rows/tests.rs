use exchange::{
    Annotation, Body, Chunk, Context, Conversation, ConversationSource, Gap, Head, Interim, Parent, Part, Redaction,
    Repeats, Seed, SeedPlace,
};
use proptest::prelude::*;

use super::*;

const KEY: SessionKey = [7; 32];

fn keys(session: Id) -> Keys {
    Keys::from([(session, KEY)])
}

/// What `exchanges` are when they were written and read.
fn read_back(exchanges: &[Exchange], keys: &Keys) -> Vec<RowRead> {
    let mut maker = RowsMaker::default();
    for exchange in exchanges {
        maker.put(exchange, None, keys).unwrap();
    }
    let (raw, _) = maker.raw();
    let rows = Rows::of(&raw, maker.rows()).unwrap();
    (0..rows.len()).map(|row| rows.get(&raw, row).unwrap()).collect()
}

fn minimal(id: Id, sequence: u64) -> Exchange {
    crate::sample::exchange(1, sequence, Body::default(), Body::default()).with_id(id)
}

trait WithId {
    fn with_id(self, id: Id) -> Self;
}

impl WithId for Exchange {
    fn with_id(self, id: Id) -> Self {
        Self { id, ..self }
    }
}

fn ids() -> impl Strategy<Value = Id> {
    // Ids that the key leads to, and others.
    prop_oneof![(0_u64..100).prop_map(|number| Id::derive(&KEY, number)), any::<[u8; 16]>().prop_map(Id)]
}

fn bodies() -> impl Strategy<Value = Body> {
    let parts = prop::collection::vec((any::<u32>(), any::<u64>()), 0..3);
    let parts = parts.prop_map(|parts| parts.into_iter().map(Part::from).collect::<Vec<_>>());
    let chunks =
        prop::collection::vec((any::<u64>(), prop_oneof![any::<u64>(), (0_u64..9).prop_map(|n| n * 10_000)]), 0..4);
    let chunks = chunks.prop_map(|chunks| chunks.into_iter().map(Chunk::from).collect::<Vec<_>>());
    let gap = prop::option::of(prop_oneof![Just(Gap::OverLimit), Just(Gap::StoreFailed)]);
    (parts, chunks, prop::option::of(any::<u64>()), prop::collection::vec(any::<u8>(), 0..4), gap).prop_map(
        |(parts, chunks, len, trailers, gap)| {
            let mut body = Body { parts, chunks, trailers, gap, len: 0 };
            body.len = len.unwrap_or_else(|| body.kept_len());
            body
        },
    )
}

fn heads() -> impl Strategy<Value = Head> {
    let traced = Just(Head::new(
        *b"GET / HTTP/1.1\r\ntraceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n\r\n",
    ));
    prop_oneof![traced, prop::collection::vec(any::<u8>(), 0..40).prop_map(Head::new)]
}

fn roles() -> impl Strategy<Value = Role> {
    let certainty = prop_oneof![Just(Certainty::Recorded), Just(Certainty::Inferred), Just(Certainty::Ambiguous)];
    let parent = (ids(), certainty, prop::collection::vec(ids(), 0..3));
    let parent = parent.prop_map(|(id, certainty, candidates)| Parent { id, certainty, candidates });
    let dependency = (prop_oneof![Just(""), Just("model")], prop::option::of(parent));
    let dependency = dependency.prop_map(|(name, parent)| Role::Dependency { name: name.to_owned(), parent });
    prop_oneof![Just(Role::Ingress), dependency]
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Complete),
        Just(End::ClientGone),
        Just(End::UpstreamReset),
        "[a-z]{0,5}".prop_map(|reason| End::Unreachable { reason }),
        Just(End::TimedOut),
        Just(End::CaptureStopped),
    ]
}

fn traces() -> impl Strategy<Value = Option<Trace>> {
    let trace = |trace_id: &str, span_id: &str, made| {
        Some(Trace { trace_id: trace_id.to_owned(), span_id: span_id.to_owned(), made })
    };
    prop_oneof![
        Just(None),
        Just(trace("0123456789abcdef0123456789abcdef", "0123456789abcdef", false)),
        Just(trace("0123456789abcdef0123456789abcdef", "0123456789abcdef", true)),
        Just(trace("é", "", true)),
    ]
}

fn contexts() -> impl Strategy<Value = Context> {
    let annotations = vec![Annotation { name: "tokens".to_owned(), value: Some("7".to_owned()) }];
    let conversation = Some(Conversation { id: "c".to_owned(), how: ConversationSource::Given });
    let context = Context { annotations, conversation, imported: None, doubt: None };
    prop_oneof![Just(Context::default()), Just(context)]
}

prop_compose! {
    fn exchanges()(
        id in ids(),
        session in 0_u8..2,
        sequence in prop_oneof![0_u64..100, any::<u64>()],
        role in roles(),
        transport in prop_oneof![Just(Transport::Http1), Just(Transport::Upgraded), Just(Transport::Raw)],
        request in (heads(), bodies()),
        response in prop::option::of((heads(), bodies())),
        end in ends(),
        times in any::<(u64, Option<u64>, Option<u64>, u64)>(),
        (trace, has_trace_of_capture) in (traces(), any::<bool>()),
        context in contexts(),
        digests in any::<(Option<[u8; 32]>, Option<[u8; 32]>, Option<[u8; 32]>)>(),
        lists in any::<(bool, bool, bool, bool)>(),
    ) -> Exchange {
        let (started_ns, request_ended_ns, response_started_ns, ended_ns) = times;
        let (has_interim, has_seed, has_redaction, is_repeat) = lists;
        let (request_digest, response_digest, fingerprint) = digests;
        let seed = Seed { place: SeedPlace::Request, pointer: "/seed".to_owned(), value: "7".to_owned() };
        let redaction = Redaction { place: "request header:authorization".to_owned(), count: 1 };
        Exchange {
            id,
            session: Id([session; 16]),
            sequence,
            role,
            transport,
            request: Request { head: request.0, body: request.1 },
            interim: Vec::from_iter(has_interim.then(|| Interim { at_ns: 7, head: Head::new(vec![0xff, b'\n']) })),
            response: response.map(|(head, body)| Response { head, body }),
            end,
            times: Times { started_ns, request_ended_ns, response_started_ns, ended_ns },
            trace: if has_trace_of_capture { Some(derived_trace(id, sequence, &KEY)) } else { trace },
            seeds: Vec::from_iter(has_seed.then_some(seed)),
            fingerprint: fingerprint.map(Digest),
            context,
            digests: Digests { request: request_digest.map(Digest), response: response_digest.map(Digest) },
            redactions: Vec::from_iter(has_redaction.then_some(redaction)),
            repeats: is_repeat.then(|| Repeats {
                original: Some(id),
                repeat: 3,
                target: "image".to_owned(),
                replacements: vec!["host: another port".to_owned()],
            }),
        }
    }
}

proptest! {
    #[test]
    fn exchanges_come_back_as_they_were_with_a_key_and_without(written in prop::collection::vec(exchanges(), 0..8)) {
        for keys in [Keys::new(), keys(Id([0; 16]))] {
            let read = read_back(&written, &keys);
            for (read, written) in read.iter().zip(&written) {
                prop_assert_eq!(&read.exchange, written);
                prop_assert_eq!(read.key, keys.get(&written.session).copied());
            }
        }
    }

    #[test]
    fn damage_is_an_error_or_another_exchange_and_never_a_panic(
        written in prop::collection::vec(exchanges(), 1..4),
        (at, byte) in any::<(prop::sample::Index, u8)>(),
        count in 0_u32..6,
    ) {
        let mut maker = RowsMaker::default();
        for exchange in &written {
            maker.put(exchange, None, &keys(Id([0; 16]))).unwrap();
        }
        let (mut raw, _) = maker.raw();
        let at = at.index(raw.len());
        raw[at] ^= byte;
        if let Ok(rows) = Rows::of(&raw, count) {
            (0..rows.len()).for_each(|row| drop(rows.get(&raw, row)));
        }
        raw.truncate(at);
        if let Ok(rows) = Rows::of(&raw, count) {
            (0..rows.len()).for_each(|row| drop(rows.get(&raw, row)));
        }
    }
}

#[test]
fn what_the_key_leads_to_takes_no_space() {
    let session = crate::sample::id(1);
    let exchange = |sequence: u64| {
        let id = Id::derive(&KEY, sequence);
        let trace = Some(derived_trace(id, sequence, &KEY));
        let parent =
            Parent { id: Id::derive(&KEY, sequence - 3), certainty: Certainty::Inferred, candidates: Vec::new() };
        let role = Role::Dependency { name: "model".to_owned(), parent: Some(parent) };
        Exchange { role, trace, request: Request::default(), response: None, ..minimal(id, sequence) }
    };
    let exchanges: Vec<_> = (100..1100).map(exchange).collect();
    let mut maker = RowsMaker::default();
    for exchange in &exchanges {
        maker.put(exchange, None, &keys(session)).unwrap();
    }
    assert!(maker.raw().0.len() < 25 * 1000, "{}", maker.raw().0.len());
    let read = read_back(&exchanges, &keys(session));
    assert!(read.iter().map(|read| &read.exchange).eq(&exchanges));
}

#[test]
fn fields_of_the_rest_that_are_not_known_stay() {
    let exchange = minimal(crate::sample::id(1), 1);
    let mut maker = RowsMaker::default();
    maker.put(&exchange, Some(r#"{"later":[1]}"#), &Keys::new()).unwrap();
    let (raw, _) = maker.raw();
    let read = Rows::of(&raw, 1).unwrap().get(&raw, 0).unwrap();
    assert_eq!((read.rest.as_str(), read.exchange), (r#"{"later":[1]}"#, exchange));
}

#[test]
fn one_text_for_thousands_of_rows_is_refused_before_it_is_read_for_each() {
    let long = format!(r#"{{"later":"{}"}}"#, "x".repeat(1 << 20));
    let mut maker = RowsMaker::default();
    for row in 0..70 {
        maker.put(&minimal(crate::sample::id(1), row), Some(&long), &Keys::new()).unwrap();
        // A writer closes the block long before.
        assert!(maker.is_full());
    }
    let error = Rows::of(&maker.raw().0, maker.rows()).map(|_| ()).unwrap_err();
    assert!(error.contains("come to more than"), "{error}");
}

#[test]
fn an_exchange_that_is_too_long_is_refused_and_nothing_of_it_stays() {
    let mut maker = RowsMaker::default();
    let chunks = (0..300_000).map(|at| Chunk { offset: at, at_ns: at }).collect();
    let body = Body { chunks, ..Body::default() };
    let long = Exchange { request: Request { body, ..Request::default() }, ..minimal(crate::sample::id(1), 1) };
    assert!(matches!(maker.put(&long, None, &Keys::new()), Err(WriteError::TooLong { kind: "exchange", .. })));
    assert_eq!((maker.rows(), maker.raw().0.len()), (0, 0));
}
