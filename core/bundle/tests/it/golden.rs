//! Committed bundles of format 1, which are never made again: they open, verify, have the digest they have, and hold what they hold. Whoever changes
//! the format finds out here.
//!
//! `every-kind.retake` holds one record of each kind with every field filled. A later minor version has a folder of its own
//! beside these; its bundle is made by:
//!
//! ```text
//! cargo test -p retake-bundle --test it -- --ignored write_the_bundle_of_every_kind
//! ```

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use bundle::{Archive, Counts, Record, Writer, verify};
use exchange::{
    Body, Certainty, Chunk, ClockPair, ContainerConfig, ContainerIdentity, Digest, Digests, End, Event, Exchange,
    Fingerprint, Gap, Gpu, Head, HostEnvironment, Id, ImageIdentity, ImageRecord, Interim, Limits, Listener, LogLine,
    LogLines, Mount, Package, Parent, ProcessIdentity, Redaction, Repeats, Request, Response, Role, Run, RuntimeConfig,
    Seed, SeedPlace, Session, SessionCounts, SessionEnd, Stream, Subject, Times, Trace, Transport, Variable,
    VariableValue, text_of_bytes,
};

/// The shipped recording's digest. It changes only when the recording is made anew (`scripts/record-triage`).
const TRIAGE_DIGEST: &str = "9592da41413dd23a0ebe96db056832c9b4585a33586fa7f9017ba8d673ed5fc6";
/// The digest of the bundle of every kind. It changes only when that is made anew, see above.
const EVERY_KIND_DIGEST: &str = "9ae6789d02bdba93993eabd59e5ed821c047a143fa04c8d4e6dd1e555fd0fb2f";
/// Far more than the bundle of every kind has in it.
const CONTENT_BYTES_MAX: u64 = 16 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/bundles/v1").join(name)
}

#[test]
fn the_shipped_recording_reads_as_it_was_written() {
    let path = fixture("triage.retake");
    let report = verify(&path, &mut |_, _| {}).unwrap();
    assert_eq!((report.damage.len(), report.torn.len()), (0, 0));
    assert_eq!(report.digest.unwrap().to_string(), TRIAGE_DIGEST);

    let archive = Archive::open_verified(&path).unwrap();
    assert_eq!(archive.digest(), report.digest);
    let named = |name| archive.entries().iter().filter(|entry| entry.dependency.as_deref() == name).count();
    assert_eq!((named(None), named(Some("model")), named(Some("store"))), (200, 200, 200));
    assert_eq!((archive.entries().len(), archive.images().unwrap().len(), archive.sessions().len()), (600, 1, 1));
    assert_eq!(archive.fingerprints().unwrap().len(), 1);
    assert!(archive.entries().iter().all(|entry| entry.whole && entry.end == "complete"));
    for entry in archive.entries() {
        let exchange = archive.exchange(&entry.id).unwrap();
        let response = exchange.response.unwrap().body;
        assert_eq!(archive.body(&response, response.len).unwrap().len() as u64, response.len);
    }
}

#[test]
fn every_kind_of_record_reads_as_it_was_written() {
    let archive = Archive::open_verified(&fixture("every-kind.retake")).unwrap();
    assert_eq!(archive.digest().unwrap().to_string(), EVERY_KIND_DIGEST);
    assert_eq!(archive.sessions(), [session()]);
    assert_eq!(archive.session_ends(), [session_end()]);
    assert_eq!(archive.clocks(&id(1)), [pair(60_000_000_000)]);
    assert_eq!(archive.runs().unwrap(), [run()]);
    assert_eq!(archive.events().collect::<Result<Vec<_>, _>>().unwrap(), [event()]);
    assert_eq!(archive.log_lines().collect::<Result<Vec<_>, _>>().unwrap(), [log_lines()]);
    let fingerprints: Vec<_> =
        archive.fingerprints().unwrap().into_iter().map(|(_, fingerprint)| fingerprint).collect();
    assert_eq!(fingerprints, [container(), process()]);
    let images = archive.images().unwrap();
    assert_eq!((images.len(), &images[0].identity), (1, &image_identity()));
    assert_eq!(archive.body(&images[0].archive, 100).unwrap(), IMAGE_ARCHIVE);

    assert_eq!(archive.entries().len(), 3);
    for expected in exchanges() {
        let found = archive.exchange(&expected.exchange.id).unwrap();
        let bodies = [Some(&found.request.body), found.response.as_ref().map(|response| &response.body)];
        let read = bodies.map(|body| body.map(|body| archive.body(body, 100).unwrap()));
        assert_eq!(read, [Some(expected.request.to_vec()), expected.response.map(<[u8]>::to_vec)]);
        let parts = bodies.map(|body| body.map(|body| body.parts.clone()).unwrap_or_default());
        assert_eq!(found, with_parts(expected, parts, archive.fingerprints().unwrap()[0].0));
    }
}

/// The same records are written with the same bytes: a key renamed, or left out where it was written, is another format.
#[test]
fn every_kind_of_record_is_written_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.retake");
    write_every_kind(&path);
    let text_of = |path: &Path| {
        let mut content = Vec::new();
        let decoder = zstd::Decoder::new(fs::File::open(path).unwrap()).unwrap();
        decoder.take(CONTENT_BYTES_MAX).read_to_end(&mut content).unwrap();
        let index_at = content.windows(13).position(|window| window == b"{\"sessions\":[").unwrap();
        String::from_utf8_lossy(&content[..index_at]).into_owned()
    };
    assert_eq!(text_of(&path), text_of(&fixture("every-kind.retake")));
}

/// `docs/reader.py` was made from `docs/format.md` alone, and reads the same.
#[test]
fn a_second_reader_made_from_the_description_reads_the_same() {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reader.py");
    let lines = fs::read_to_string(&reader).unwrap().lines().count();
    assert!(lines <= 300, "a reader that is made from the description has at most 300 lines, this one has {lines}");
    for tool in [["python3", "--version"], ["zstd", "--version"]] {
        if Command::new(tool[0]).arg(tool[1]).output().is_err() {
            return println!("skipped: there is no `{}` on PATH", tool[0]);
        }
    }
    for name in ["every-kind.retake", "triage.retake"] {
        let output = Command::new("python3").arg(&reader).arg(fixture(name)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut read: Vec<serde_json::Value> =
            String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let archive = Archive::open_verified(&fixture(name)).unwrap();
        assert_eq!(read.pop().unwrap()["digest"], archive.digest().unwrap().to_string());
        assert_eq!(read.len(), archive.entries().len());
        for read in read {
            let exchange = archive.exchange(&read["id"].as_str().unwrap().parse().unwrap()).unwrap();
            let text = |body: &Body| text_of_bytes(&archive.body(body, u64::MAX).unwrap());
            let times = &exchange.times;
            assert_eq!(read["session"], exchange.session.to_string());
            assert_eq!(read["sequence"], exchange.sequence);
            assert_eq!(read["parent"].as_str(), exchange.role.parent().map(|it| it.id.to_string()).as_deref());
            assert_eq!(read["request"]["head"], text_of_bytes(&exchange.request.head.bytes));
            assert_eq!(read["request"]["body"], text(&exchange.request.body));
            assert_eq!(read["request"]["chunks"], serde_json::to_value(&exchange.request.body.chunks).unwrap());
            let body = exchange.response.as_ref().map(|response| text(&response.body));
            assert_eq!(read["response"]["body"].as_str(), body.as_deref());
            let ends = (times.request_ended_ns, times.response_started_ns);
            assert_eq!(read["times"], serde_json::json!([times.started_ns, ends.0, ends.1, times.ended_ns]));
            let digests = [exchange.digests.request, exchange.digests.response];
            assert_eq!(read["digests"], serde_json::to_value(digests).unwrap());
            assert_eq!(read["fingerprint"], serde_json::to_value(exchange.fingerprint).unwrap());
        }
    }
}

#[test]
#[ignore = "writes a committed file anew"]
fn write_the_bundle_of_every_kind() {
    let path = fixture("every-kind.retake");
    fs::remove_file(&path).ok();
    write_every_kind(&path);
}

const IMAGE_ARCHIVE: &[u8] = b"not really a tar";

fn write_every_kind(path: &Path) {
    let mut writer = Writer::create(path).unwrap();
    writer.derive_ids(id(1), KEY);
    writer.append(&Record::Session(session())).unwrap();
    let fingerprint = writer.put_fingerprint(&container()).unwrap();
    writer.put_fingerprint(&process()).unwrap();
    writer.flush().unwrap();
    for known in exchanges() {
        let parts = [known.request, known.response.unwrap_or_default()].map(|it| writer.put_body_bytes(it).unwrap());
        let exchange = with_parts(known, parts, fingerprint);
        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    }
    writer.append(&Record::Clock { session: id(1), pair: pair(60_000_000_000) }).unwrap();
    writer.append(&Record::Event(event())).unwrap();
    writer.append(&Record::LogLines(log_lines())).unwrap();
    writer.append(&Record::Unknown { kind: 200, flags: 0, bytes: b"of a later release".to_vec() }).unwrap();
    writer.append(&Record::Unknown { kind: 5, flags: 1, bytes: b"an exchange of a later release".to_vec() }).unwrap();
    writer.flush().unwrap();
    writer.append(&Record::SessionEnd(session_end())).unwrap();
    writer.append(&Record::Run(Box::new(run()))).unwrap();
    let archive = Body { parts: writer.put_body_bytes(IMAGE_ARCHIVE).unwrap(), len: 16, ..Body::default() };
    writer.append(&Record::Image(Box::new(ImageRecord { identity: image_identity(), archive }))).unwrap();
    let sealed = writer.seal().unwrap();
    assert_eq!(sealed.counts, Counts { exchanges: 3, pieces: 6, records: 20, piece_bytes: 86 });
}

fn with_parts(known: Known, [request, response]: [Vec<exchange::Part>; 2], fingerprint: Digest) -> Exchange {
    let mut exchange = known.exchange;
    exchange.fingerprint = Some(fingerprint);
    exchange.request.body.parts = request;
    if let Some(of_exchange) = &mut exchange.response {
        of_exchange.body.parts = response;
    }
    exchange
}

/// What ids are derived with.
const KEY: [u8; 32] = [7; 32];

/// The `number`th id of the file.
fn id(number: u64) -> Id {
    Id::derive(&KEY, number)
}

fn pair(monotonic_ns: u64) -> ClockPair {
    ClockPair { monotonic_ns, wall_unix_ns: 1_790_000_000_000_000_000 + monotonic_ns }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn session() -> Session {
    Session {
        id: id(1),
        tool_version: text("0.0.0"),
        started: pair(0),
        listeners: vec![
            Listener { listen: text("127.0.0.1:8080"), upstream: text("http://127.0.0.1:8000"), ..Listener::default() },
            Listener {
                dependency: Some(text("model")),
                listen: text("127.0.0.1:9101"),
                upstream: text("https://api.example.com/v1"),
                ..Listener::default()
            },
        ],
        service_version: Some(text("7")),
        command: vec![text("python"), text("app.py")],
        conversation: None,
    }
}

fn session_end() -> SessionEnd {
    let counts = SessionCounts { exchanges: 3, exchanges_missed: 1, body_bytes_missed: 5, ..SessionCounts::default() };
    SessionEnd { session: id(1), clock: pair(61_000_000_000), counts }
}

fn event() -> Event {
    Event {
        id: id(900),
        session: None,
        at_ns: 30,
        kind: text("label"),
        actor: text("anna"),
        subject: text("ticket 1"),
        links: vec![id(11), id(12)],
        data: serde_json::json!({"b": [1.50, null], "a": "ü"}),
    }
}

fn log_lines() -> LogLines {
    let line = |at_ns, stream, words: &str| LogLine { at_ns, stream, text: text(words) };
    let lines = vec![line(5, Stream::Stdout, "ready"), line(6, Stream::Stderr, "warning: ü")];
    LogLines { session: id(1), subject: String::new(), lines }
}

fn run() -> Run {
    Run {
        id: id(2),
        tool_version: text("0.0.0"),
        started: pair(0),
        sources: vec![Digest::of(b"a bundle")],
        receipt: serde_json::json!({"schema": "some receipt"}),
        comparison: serde_json::json!({"schema": "some comparison"}),
        comparison_more: 0,
    }
}

fn variables() -> Vec<Variable> {
    let secret = VariableValue::Secret { salt: "00".repeat(16), hash: "11".repeat(32), stand_in: text("sk-abcdef") };
    vec![
        Variable { name: text("API_KEY"), value: secret },
        Variable { name: text("LANG"), value: VariableValue::Plain(text("C.UTF-8")) },
    ]
}

fn image_identity() -> ImageIdentity {
    let sha256 = |digit: &str| format!("sha256:{}", digit.repeat(64));
    ImageIdentity {
        config_digest: Some(sha256("1")),
        repository_digests: vec![format!("example.com/app@{}", sha256("2"))],
        tags: vec![text("example.com/app:1")],
        layers: vec![sha256("3"), sha256("4")],
        runtime: RuntimeConfig {
            entrypoint: vec![text("/serve")],
            command: vec![text("--fast")],
            variables: variables(),
            user: text("1000"),
            working_dir: text("/srv"),
            stop_signal: text("SIGINT"),
        },
        platform: text("linux/amd64"),
    }
}

fn host() -> HostEnvironment {
    HostEnvironment {
        architecture: text("x86_64"),
        cpu_model: text("some model"),
        cpu_flags: vec![text("avx2"), text("sse4_2")],
        cpu_count: 2,
        kernel: text("6.1.0"),
        memory_bytes: 8 << 30,
        gpus: vec![Gpu { model: text("some GPU"), driver: text("550") }],
        engine: Some(text("20.10.24")),
    }
}

fn container() -> Fingerprint {
    let config = ContainerConfig {
        entrypoint: vec![text("/serve")],
        command: vec![text("--slow")],
        variables: variables(),
        user: text("1000:1000"),
        working_dir: text("/srv"),
        hostname: text("box"),
        network: text("host"),
        read_only: true,
        mounts: vec![Mount {
            path: text("/data"),
            kind: text("bind"),
            source: text("/srv/data"),
            read_only: true,
            ..Mount::default()
        }],
        limits: Limits {
            memory_bytes: Some(1 << 30),
            cpu_nanos: Some(1_500_000_000),
            cpu_set: Some(text("0-1")),
            pids: Some(100),
            ulimits: vec![text("nofile=1024:2048")],
        },
        ..ContainerConfig::default()
    };
    let packages = [("dpkg", "libc6", "2.36-9"), ("python", "torch", "2.4.0")].map(|(ecosystem, name, version)| {
        Package { ecosystem: text(ecosystem), name: text(name), version: text(version) }
    });
    let identity = ContainerIdentity { image: image_identity(), config };
    Fingerprint { subject: Subject::Container(Box::new(identity)), host: host(), packages: packages.into() }
}

fn process() -> Fingerprint {
    let identity = ProcessIdentity {
        executable: text("/usr/bin/python3"),
        digest: Some(Digest::of(b"python")),
        arguments: vec![text("python"), text("app.py")],
        files: vec![(text("/srv/app.py"), Digest::of(b"app"))],
        working_dir: text("/srv"),
        variables: variables(),
        ..ProcessIdentity::default()
    };
    Fingerprint { subject: Subject::Process(Box::new(identity)), host: host(), packages: Vec::new() }
}

/// An exchange without its parts, and the bytes of its bodies.
struct Known {
    exchange: Exchange,
    request: &'static [u8],
    response: Option<&'static [u8]>,
}

fn exchanges() -> [Known; 3] {
    [answered(), called(), never_answered()]
}

/// An ingress exchange with all that an exchange may have, its response cut.
fn answered() -> Known {
    let request = br#"{"seed":7}"#;
    let request_body = Body {
        len: 10,
        chunks: vec![Chunk { offset: 0, at_ns: 101 }, Chunk { offset: 4, at_ns: 102 }],
        trailers: b"X-Sum: \xff\r\n\r\n".to_vec(),
        ..Body::default()
    };
    let response_body = Body { len: 40, gap: Some(Gap::OverLimit), ..Body::default() };
    let seed = Seed { place: SeedPlace::Request, pointer: text("/seed"), value: text("7") };
    let exchange = Exchange {
        id: id(11),
        session: id(1),
        sequence: 11,
        role: Role::Ingress,
        transport: Transport::Http1,
        request: Request { head: Head::new(*b"POST /t\xe9 HTTP/1.1\r\nB: 1\r\na: 2\r\n\r\n"), body: request_body },
        interim: vec![Interim { at_ns: 103, head: Head::new(*b"HTTP/1.1 100 Continue\r\n\r\n") }],
        response: Some(Response { head: Head::new(*b"HTTP/1.1 200 OK\r\n\r\n"), body: response_body }),
        end: End::ClientGone,
        times: Times { started_ns: 100, request_ended_ns: Some(102), response_started_ns: Some(104), ended_ns: 110 },
        trace: Some(Trace { trace_id: "ab".repeat(16), span_id: "cd".repeat(8), made: true }),
        seeds: vec![seed],
        fingerprint: None,
        context: exchange::Context::default(),
        digests: Digests { request: Some(Digest::of(b"canonical")), response: None },
        redactions: vec![Redaction { place: text("request header:authorization"), count: 1 }],
        repeats: None,
    };
    Known { exchange, request, response: Some(b"a part of the answer") }
}

/// A dependency call of a run.
fn called() -> Known {
    let parent = Parent { id: id(11), certainty: Certainty::Ambiguous, candidates: vec![id(11), id(99)] };
    let repeats = Repeats {
        original: Some(id(98)),
        repeat: 2,
        target: text("http://127.0.0.1:8000"),
        replacements: vec![text("host: another address")],
    };
    let body = |len| Body { len, ..Body::default() };
    let exchange = Exchange {
        id: id(12),
        session: id(2),
        sequence: 1,
        role: Role::Dependency { name: text("model"), parent: Some(parent) },
        transport: Transport::Upgraded,
        request: Request { head: Head::new(*b"GET /ws HTTP/1.1\r\n\r\n"), body: body(15) },
        interim: Vec::new(),
        response: Some(Response { head: Head::new(*b"HTTP/1.1 101 Switching\r\n\r\n"), body: body(15) }),
        end: End::Complete,
        times: Times { started_ns: 105, ended_ns: 108, ..Times::default() },
        trace: None,
        seeds: Vec::new(),
        fingerprint: None,
        context: exchange::Context::default(),
        digests: Digests::default(),
        redactions: Vec::new(),
        repeats: Some(repeats),
    };
    Known { exchange, request: b"bytes one way\r\n", response: Some(b"and the other\r\n") }
}

/// A raw stream to a dependency that could not be reached.
fn never_answered() -> Known {
    let exchange = Exchange {
        id: id(13),
        session: id(1),
        sequence: 13,
        role: Role::Dependency { name: text("store"), parent: None },
        transport: Transport::Raw,
        request: Request { head: Head::default(), body: Body { len: 10, ..Body::default() } },
        interim: Vec::new(),
        response: None,
        end: End::Unreachable { reason: text("connection refused") },
        times: Times { started_ns: 106, ended_ns: 107, ..Times::default() },
        // As a capture makes it.
        trace: Some(Trace {
            trace_id: id(13).to_string(),
            span_id: id(13 | 1 << 63).to_string()[..16].into(),
            made: true,
        }),
        seeds: Vec::new(),
        fingerprint: None,
        context: exchange::Context::default(),
        digests: Digests::default(),
        redactions: Vec::new(),
        repeats: None,
    };
    Known { exchange, request: b"\x16\x03\x01 is TLS", response: None }
}
