//! What is kept of what passed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use capture::{Dependency, Settings};
use exchange::{Certainty, End, Gap, Role, SeedPlace};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Running, Service, exchanges, send, serve, settings, within};

const CHAT: &str = "POST /v1/chat?api_key=verysecretvalue HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-abcdefghijklmnop\r\n\
    Content-Type: application/json\r\nContent-Length: 36\r\n\r\n";
const CHAT_BODY: &[u8] = br#"{"model":"m","seed":7,"prompt":"hi"}"#;

/// A service with a dependency, and a capture around both.
async fn with_dependency(store: &std::path::Path) -> (Running, Arc<Service>) {
    let dependency = serve(Arc::new(Service { dependency: Mutex::default() })).await;
    let service = Arc::new(Service { dependency: Mutex::default() });
    let upstream = serve(service.clone()).await;
    let dependencies = vec![format!("db=http://{dependency}").parse::<Dependency>().unwrap()];
    let running = Running::start(Settings { dependencies, ..settings(upstream, store) }).await;
    *service.dependency.lock().unwrap() = Some(running.address(1));
    (running, service)
}

#[tokio::test]
async fn an_exchange_is_kept_with_its_bytes_seeds_digests_trace_and_environment_but_without_its_secrets() {
    let store = tempfile::tempdir().unwrap();
    let (running, _) = with_dependency(store.path()).await;
    let reply = send(running.address(0), CHAT, CHAT_BODY).await;
    let summary = running.stop().await;
    assert_eq!((summary.counts.exchanges, summary.counts.exchanges_missed, summary.is_sealed), (1, 0, true));
    let (archive, exchanges) = exchanges(store.path());
    let kept = &exchanges[0];
    assert_eq!((kept.role.clone(), kept.end.clone()), (Role::Ingress, End::Complete));
    assert_eq!(archive.body(&kept.request.body, 1 << 20).unwrap(), CHAT_BODY);
    let response = kept.response.as_ref().unwrap();
    assert_eq!(archive.body(&response.body, 1 << 20).unwrap(), reply.body);
    let head = String::from_utf8(kept.request.head.bytes.clone()).unwrap();
    assert!(!head.contains("verysecret") && !head.contains("abcdefghijkl"), "{head}");
    assert_eq!((head.len(), kept.redactions.len()), (CHAT.len(), 2));
    let seeds: Vec<_> = kept.seeds.iter().map(|seed| (seed.place, seed.pointer.as_str())).collect();
    assert!(seeds.contains(&(SeedPlace::Request, "/seed")), "{seeds:?}");
    assert!(seeds.contains(&(SeedPlace::Response, "/system_fingerprint")), "{seeds:?}");
    assert!(kept.digests.request.is_some() && kept.digests.response.is_some());
    let trace = kept.trace.as_ref().unwrap();
    assert!(trace.made && trace.trace_id == kept.id.to_string());
    let fingerprint = archive.fingerprint(&kept.fingerprint.unwrap()).unwrap().unwrap();
    assert!(!fingerprint.host.kernel.is_empty());
    let times = kept.times;
    assert!(
        times.started_ns <= times.request_ended_ns.unwrap() && times.response_started_ns.unwrap() <= times.ended_ns
    );
    assert_eq!(archive.session_ends().len(), 1);
    assert_eq!(archive.sessions()[0].listeners.len(), 2);
    assert_eq!(archive.sessions()[0].started.monotonic_ns, 0, "times since the start are added to its wall time");
}

#[tokio::test]
async fn a_dependency_call_knows_its_parent_by_trace_or_by_being_the_only_one() {
    let store = tempfile::tempdir().unwrap();
    let (running, _) = with_dependency(store.path()).await;
    for target in ["/ask", "/ask-with-trace"] {
        send(running.address(0), &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"), b"").await;
    }
    running.stop().await;
    let (_, exchanges) = exchanges(store.path());
    let calls: Vec<_> = exchanges.iter().filter(|exchange| exchange.role.dependency() == Some("db")).collect();
    let parents: Vec<_> = calls.iter().map(|call| call.role.parent().unwrap()).collect();
    assert_eq!(
        parents.iter().map(|parent| parent.certainty).collect::<Vec<_>>(),
        [Certainty::Inferred, Certainty::Recorded]
    );
    let titles: Vec<_> =
        parents.iter().map(|parent| exchanges.iter().find(|one| one.id == parent.id).unwrap().title()).collect();
    assert_eq!(titles, ["GET /ask", "GET /ask-with-trace"]);
    assert_eq!(calls[1].trace.as_ref().map(|trace| trace.made), Some(false));
}

#[tokio::test]
async fn two_requests_in_flight_make_an_untraced_call_ambiguous() {
    let store = tempfile::tempdir().unwrap();
    let (running, _) = with_dependency(store.path()).await;
    let mut hanging = TcpStream::connect(running.address(0)).await.unwrap();
    hanging.write_all(b"GET /hang HTTP/1.1\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    send(running.address(0), "GET /ask HTTP/1.1\r\nHost: x\r\n\r\n", b"").await;
    hanging.set_zero_linger().unwrap();
    drop(hanging);
    running.stop().await;
    let (_, exchanges) = exchanges(store.path());
    let call = exchanges.iter().find(|exchange| exchange.role.dependency().is_some()).unwrap();
    let parent = call.role.parent().unwrap();
    assert_eq!((parent.certainty, parent.candidates.len()), (Certainty::Ambiguous, 2));
    assert_eq!(exchanges[0].end, End::ClientGone);
}

#[tokio::test]
async fn what_was_in_flight_when_the_capture_stopped_is_kept_as_that() {
    let store = tempfile::tempdir().unwrap();
    let service = Arc::new(Service { dependency: Mutex::default() });
    let settings = settings(serve(service).await, store.path());
    let running = Running::start(Settings { grace: Duration::from_millis(20), ..settings }).await;
    let mut hanging = TcpStream::connect(running.address(0)).await.unwrap();
    hanging.write_all(b"POST /hang HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.stop().await;
    let (archive, exchanges) = exchanges(store.path());
    assert_eq!((exchanges[0].end.clone(), exchanges[0].response.is_none()), (End::CaptureStopped, true));
    assert_eq!(archive.body(&exchanges[0].request.body, 10).unwrap(), b"body");
}

#[tokio::test]
async fn a_body_over_the_limit_is_kept_up_to_it() {
    let store = tempfile::tempdir().unwrap();
    let service = Arc::new(Service { dependency: Mutex::default() });
    let settings = settings(serve(service).await, store.path());
    let running = Running::start(Settings { body_bytes_max: 10, ..settings }).await;
    let reply = send(running.address(0), CHAT, CHAT_BODY).await;
    assert_eq!(reply.body, br#"{"system_fingerprint":"fp_1","echo":true}"#);
    let summary = running.stop().await;
    assert_eq!(summary.counts.body_bytes_missed, (CHAT_BODY.len() - 10 + reply.body.len() - 10) as u64);
    let (archive, exchanges) = exchanges(store.path());
    let body = &exchanges[0].request.body;
    assert_eq!(
        (body.len, body.gap, archive.body(body, 100).unwrap()),
        (36, Some(Gap::OverLimit), CHAT_BODY[..10].to_vec())
    );
    assert_eq!(exchanges[0].digests.request, None);
}

#[tokio::test]
async fn segments_follow_one_another_and_each_verifies() {
    let store = tempfile::tempdir().unwrap();
    let service = Arc::new(Service { dependency: Mutex::default() });
    let settings = settings(serve(service).await, store.path());
    let running = Running::start(Settings { segment_bytes_max: 500, ..settings }).await;
    for number in 0..5 {
        send(running.address(0), &format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"), b"").await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let summary = running.stop().await;
    assert!(summary.segments.len() > 2, "{:?}", summary.segments);
    for segment in &summary.segments {
        let report = bundle::verify(segment, &mut |_, _| {}).unwrap();
        assert!(report.damage.is_empty() && report.torn.is_empty(), "{:?}", report.damage);
    }
    assert_eq!(exchanges(store.path()).1.len(), 5);
}

/// Memory of this process that is in RAM, in bytes.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_a_gigabyte_passes_whole_in_bounded_memory() {
    const LEN: u64 = 1 << 30;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // The capture looks whether the service is there, and asks nothing then.
        let mut stream = loop {
            let (stream, _) = listener.accept().await.unwrap();
            if stream.peek(&mut [0]).await.unwrap() > 0 {
                break stream;
            }
        };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n").as_bytes()).await.unwrap();
        let block: Vec<u8> = (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for _ in 0..LEN >> 20 {
            stream.write_all(&block).await.unwrap();
        }
    });
    let store = tempfile::tempdir().unwrap();
    let settings = settings(upstream, store.path());
    let running = Running::start(Settings { queue_bytes_max: 16 << 20, body_bytes_max: 128 << 20, ..settings }).await;
    let before = resident_bytes();
    let mut client = TcpStream::connect(running.address(0)).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let (mut got, mut peak, mut buffer) = (0, 0, vec![0; 1 << 18]);
    while let count @ 1.. = within(client.read(&mut buffer)).await.unwrap() {
        got += count as u64;
        peak = peak.max(resident_bytes());
    }
    assert!(got > LEN);
    assert!(peak - before < 48 << 20, "{} MiB more than before", (peak - before) >> 20);
    running.stop().await;
    let (archive, exchanges) = exchanges(store.path());
    let body = &exchanges[0].response.as_ref().unwrap().body;
    assert_eq!((body.len, exchanges[0].end.clone()), (LEN, End::Complete));
    assert!(body.gap.is_some() && body.kept_len() > 1 << 20 && body.chunks.len() <= 32_768);
    assert_eq!(archive.copy_body(body, &mut std::io::sink()).unwrap(), body.kept_len());
}
