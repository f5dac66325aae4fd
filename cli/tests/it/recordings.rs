//! Small recordings for these tests, written as a capture writes them.

use std::path::{Path, PathBuf};

use bundle::{Record, Store, Writer};
use exchange::{
    Body, Certainty, Chunk, ClockPair, Digests, End, Exchange, Head, Id, Listener, Parent, Repeats, Request, Response,
    Role, Session, Times, Transport,
};

/// The session of every recording here.
pub(crate) const SESSION: Id = Id([0xee; 16]);

/// What is told of one exchange.
pub(crate) struct Told<'a> {
    pub(crate) number: u8,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) asked: &'a str,
    pub(crate) answered: Option<&'a str>,
    /// How often that stands in the answer's body, one after the other, for answers that are longer than their files.
    pub(crate) answered_times: u64,
    pub(crate) status: u16,
    /// Name of the dependency and number of the parent.
    pub(crate) call: Option<(&'a str, u8)>,
    /// In a run: number of the exchange that it repeats.
    pub(crate) repeats: Option<u8>,
    /// True where the digest of what was answered is kept too.
    pub(crate) is_digested: bool,
}

impl Default for Told<'_> {
    fn default() -> Self {
        Self {
            number: 1,
            host: "here",
            path: "/tickets",
            asked: r#"{"text":"no light"}"#,
            answered: Some(r#"{"answer":"yes","id":1}"#),
            answered_times: 1,
            status: 200,
            call: None,
            repeats: None,
            is_digested: false,
        }
    }
}

/// Id of the exchange with this number.
pub(crate) fn id(number: u8) -> Id {
    Id([number; 16])
}

/// One sealed bundle.
pub(crate) fn bundle(path: &Path, told: &[Told<'_>]) {
    let mut writer = Writer::create(path).unwrap();
    write(&mut writer, told);
    writer.seal().unwrap();
}

/// A store with one segment.
pub(crate) fn store(path: &Path, told: &[Told<'_>]) -> PathBuf {
    let store = Store::open_or_create(path).unwrap();
    let mut writer = store.segment_writer(SESSION).unwrap();
    write(&mut writer, told);
    writer.seal().unwrap().path
}

fn write(writer: &mut Writer, told: &[Told<'_>]) {
    writer.append(&Record::Session(session())).unwrap();
    for one in told {
        let exchange = exchange(writer, one);
        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    }
}

fn session() -> Session {
    let listener = |dependency: Option<&str>, port: u16| Listener {
        dependency: dependency.map(str::to_owned),
        listen: format!("127.0.0.1:{}", port + 1000),
        upstream: format!("http://127.0.0.1:{port}"),
        ..Listener::default()
    };
    Session {
        id: SESSION,
        tool_version: "0.0.0".to_owned(),
        started: ClockPair { monotonic_ns: 0, wall_unix_ns: 1_795_460_651_000_000_000 },
        listeners: vec![listener(None, 9000), listener(Some("model"), 8000)],
        service_version: None,
        command: Vec::new(),
        conversation: None,
    }
}

fn exchange(writer: &mut Writer, told: &Told<'_>) -> Exchange {
    let started_ns = u64::from(told.number) * 1_000_000;
    let request_head =
        format!("POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\r\n", told.path, told.host);
    let request = Request { head: Head::new(request_head), body: body(writer, told.asked, started_ns) };
    let response = told.answered.map(|text| Response {
        head: Head::new(format!("HTTP/1.1 {} OK\r\nContent-Type: application/json\r\n\r\n", told.status)),
        body: times(body(writer, text, started_ns + 5_000_000), told.answered_times),
    });
    let parent = |number| Some(Parent { id: id(number), certainty: Certainty::Recorded, candidates: Vec::new() });
    let digest = content::canonical::request_digest(&request.head, told.asked.as_bytes(), Transport::Http1);
    let answered = response.as_ref().zip(told.answered).filter(|_| told.is_digested);
    let response_digest =
        answered.map(|(response, text)| content::canonical::response_digest(&response.head, text.as_bytes()));
    Exchange {
        id: id(told.number),
        session: SESSION,
        sequence: u64::from(told.number),
        role: match told.call {
            Some((name, number)) => Role::Dependency { name: name.to_owned(), parent: parent(number) },
            None => Role::Ingress,
        },
        transport: Transport::Http1,
        request,
        interim: Vec::new(),
        end: if response.is_some() { End::Complete } else { End::UpstreamReset },
        response,
        times: Times {
            started_ns,
            request_ended_ns: Some(started_ns + 100_000),
            response_started_ns: Some(started_ns + 5_000_000),
            ended_ns: started_ns + 6_000_000,
        },
        trace: None,
        seeds: Vec::new(),
        fingerprint: None,
        context: exchange::Context::default(),
        digests: Digests { request: Some(digest), response: response_digest },
        redactions: Vec::new(),
        repeats: told.repeats.map(|number| Repeats {
            original: Some(id(number)),
            repeat: 0,
            target: "an image".to_owned(),
            replacements: Vec::new(),
        }),
    }
}

fn body(writer: &mut Writer, text: &str, at_ns: u64) -> Body {
    let parts = writer.put_body_bytes(text.as_bytes()).unwrap();
    Body { parts, len: text.len() as u64, chunks: vec![Chunk { offset: 0, at_ns }], ..Body::default() }
}

/// The same body so often: its pieces are in the file once.
fn times(body: Body, count: u64) -> Body {
    let parts = (0..count).flat_map(|_| body.parts.clone()).collect();
    Body { parts, len: body.len * count, ..body }
}
