//! Small recordings for tests.

use std::path::Path;

use exchange::{
    Body, Certainty, ClockPair, Digests, End, Event, Exchange, Fingerprint, Head, HostEnvironment, Id, Listener,
    LogLine, LogLines, Parent, Request, Response, Role, Session, SessionCounts, SessionEnd, Stream, Subject, Times,
    Transport,
};

use crate::{Record, Writer};

/// What the samples' ids are derived with.
pub(crate) const KEY: [u8; 32] = [7; 32];

/// The id of the `number`th thing of the samples.
pub(crate) fn id(number: u64) -> Id {
    Id::derive(&KEY, number)
}

/// The session of the samples, started at this second of the wall clock.
pub(crate) fn session(number: u64, wall_s: u64) -> Session {
    Session {
        id: id(number),
        tool_version: "0.0.0".to_owned(),
        started: ClockPair { monotonic_ns: 0, wall_unix_ns: wall_s * 1_000_000_000 },
        listeners: vec![Listener {
            dependency: None,
            listen: "127.0.0.1:1".to_owned(),
            upstream: "http://127.0.0.1:2".to_owned(),
            ..Listener::default()
        }],
        service_version: None,
        command: Vec::new(),
        conversation: None,
    }
}

/// How that session ended.
pub(crate) fn session_end(number: u64) -> SessionEnd {
    let clock = ClockPair { monotonic_ns: 90, wall_unix_ns: 90 };
    SessionEnd { session: id(number), clock, counts: SessionCounts::default() }
}

/// A body of these bytes, put into `writer`.
pub(crate) fn body(writer: &mut Writer, bytes: &[u8]) -> Body {
    let parts = writer.put_body_bytes(bytes).unwrap();
    Body { parts, len: bytes.len() as u64, ..Body::default() }
}

/// An exchange of a session, with bodies that `writer` has.
pub(crate) fn exchange(session: u64, sequence: u64, request: Body, response: Body) -> Exchange {
    Exchange {
        id: id(session * 1000 + sequence),
        session: id(session),
        sequence,
        role: Role::Ingress,
        transport: Transport::Http1,
        request: Request { head: Head::new(format!("POST /tickets/{sequence} HTTP/1.1\r\n\r\n")), body: request },
        interim: Vec::new(),
        response: Some(Response { head: Head::new(*b"HTTP/1.1 200 OK\r\n\r\n"), body: response }),
        end: End::Complete,
        times: Times { started_ns: sequence * 10, ended_ns: sequence * 10 + 5, ..Times::default() },
        trace: None,
        seeds: Vec::new(),
        fingerprint: None,
        context: exchange::Context::default(),
        digests: Digests::default(),
        redactions: Vec::new(),
        repeats: None,
    }
}

/// The same as a dependency call of another exchange of its session, or of one of several.
pub(crate) fn dependency_call(call: Exchange, parents: &[Id]) -> Exchange {
    let certainty = if parents.len() == 1 { Certainty::Recorded } else { Certainty::Ambiguous };
    let candidates = if parents.len() == 1 { Vec::new() } else { parents.to_vec() };
    let parent = parents.first().map(|&id| Parent { id, certainty, candidates });
    Exchange { role: Role::Dependency { name: "model".to_owned(), parent }, ..call }
}

/// An environment on this processor.
pub(crate) fn fingerprint(cpu: &str) -> Fingerprint {
    let host = HostEnvironment { cpu_model: cpu.to_owned(), ..HostEnvironment::default() };
    Fingerprint { subject: Subject::Unknown, host, packages: Vec::new() }
}

/// An event linked to these exchanges.
pub(crate) fn event(number: u64, links: &[Id]) -> Event {
    Event {
        id: id(900_000 + number),
        session: None,
        at_ns: number,
        kind: "label".to_owned(),
        actor: String::new(),
        subject: String::new(),
        links: links.to_vec(),
        data: serde_json::json!({"n": number}),
    }
}

/// Lines logged at these times.
pub(crate) fn log_lines(session: u64, times_ns: &[u64]) -> LogLines {
    let line = |&at_ns: &u64| LogLine { at_ns, stream: Stream::Stderr, text: format!("line at {at_ns}") };
    LogLines { session: id(session), subject: String::new(), lines: times_ns.iter().map(line).collect() }
}

/// Bytes that no compression shortens.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The bodies of the exchange of [`put_recording`] that has this sequence, a thousand more or less.
pub(crate) fn bodies_of(sequence: u64) -> (Vec<u8>, Vec<u8>) {
    let number = sequence % 1000;
    (format!("request {number}").into_bytes(), noise(number, 100))
}

/// Puts a whole session of three exchanges, each in a block of its own.
pub(crate) fn put_recording(writer: &mut Writer) {
    writer.derive_ids(id(1), KEY);
    writer.append(&Record::Session(session(1, 5))).unwrap();
    let fingerprint = writer.put_fingerprint(&fingerprint("cpu")).unwrap();
    for sequence in 1..=3 {
        let (request, response) = bodies_of(sequence);
        let (request, response) = (body(writer, &request), body(writer, &response));
        // The key leads to the last one's id.
        let numbered = if sequence == 3 { 1003 } else { sequence };
        let exchange =
            Exchange { fingerprint: Some(fingerprint), sequence: numbered, ..exchange(1, sequence, request, response) };
        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
        writer.flush().unwrap();
    }
    writer.append(&Record::Event(event(1, &[id(1001)]))).unwrap();
    writer.append(&Record::SessionEnd(session_end(1))).unwrap();
    writer.flush().unwrap();
}

/// A sealed bundle of that session.
pub(crate) fn bundle_at(path: &Path) -> crate::Sealed {
    let mut writer = Writer::create(path).unwrap();
    put_recording(&mut writer);
    writer.seal().unwrap()
}
