//! What cannot be recorded costs records, and no request.

use std::{
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use capture::{CaptureError, Clock, Notice, Settings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wire::client::ReplyEnd;

use crate::support::{Running, Service, exchanges, send, serve, settings, within};

/// A request whose body is like no other.
pub(crate) async fn send_noise(address: std::net::SocketAddr, number: u32) {
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        // Marsaglia's xorshift: bytes that zstd makes nothing of.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    let body: Vec<u8> = (0..8192).map(|_| next()).collect();
    let head = format!("POST /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let reply = send(address, &head, &body).await;
    assert_eq!((reply.end, reply.head.unwrap().status_line().unwrap().status), (ReplyEnd::Complete, 200));
}

#[test]
fn a_full_disk_costs_records_and_no_request_and_ends_when_there_is_room() {
    // A limit on the size of files stands in for the disk; the signal that comes with it is ignored as a shell can.
    let script = "trap '' XFSZ; ulimit -S -f 100; exec \"$0\" --exact lost::under_a_limit --ignored --nocapture";
    let output = Command::new("sh").args(["-c", script]).arg(std::env::current_exe().unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own under a limit"]
async fn under_a_limit() {
    let store = tempfile::tempdir().unwrap();
    let service = Arc::new(Service { dependency: Mutex::default() });
    let settings = settings(serve(service).await, store.path());
    let running = Running::start(Settings { queue_bytes_max: 100 << 10, ..settings }).await;
    for number in 0..60 {
        send_noise(running.address(0), number).await;
    }
    let notices = running.notices.clone();
    within(async {
        while notices.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(matches!(notices.lock().unwrap().as_slice(), [Notice::StoreFails { .. }]), "{:?}", notices.lock().unwrap());
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    within(async {
        while notices.lock().unwrap().last() != Some(&Notice::StoreWorks) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    send_noise(running.address(0), 999).await;
    let summary = running.stop().await;
    let (_, exchanges) = exchanges(store.path());
    let losses = summary.counts;
    assert!(losses.exchanges_missed > 0 || losses.body_bytes_missed > 0, "{losses:?}");
    assert_eq!(exchanges.len() as u64, losses.exchanges);
    assert_eq!(losses.exchanges + losses.exchanges_missed, 61);
    assert!(exchanges.last().unwrap().request.body.is_whole(), "recording goes on");
    let report = bundle::verify(store.path(), &mut |_, _| {}).unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
}

#[tokio::test]
async fn a_queue_that_is_full_costs_bodies_and_says_how_much() {
    let store = tempfile::tempdir().unwrap();
    let service = Arc::new(Service { dependency: Mutex::default() });
    let settings = settings(serve(service).await, store.path());
    let running = Running::start(Settings { queue_bytes_max: 6 << 10, ..settings }).await;
    for number in 0..5 {
        send_noise(running.address(0), number).await;
    }
    let summary = running.stop().await;
    let (_, exchanges) = exchanges(store.path());
    assert!(summary.counts.body_bytes_missed >= 8192, "{:?}", summary.counts);
    assert!(exchanges.iter().any(|exchange| exchange.request.body.gap == Some(exchange::Gap::QueueFull)));
}

#[tokio::test]
async fn a_store_that_is_none_is_refused_before_anything_listens() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("something"), "else").unwrap();
    let settings = settings("127.0.0.1:1".parse().unwrap(), folder.path());
    let error = capture::run(settings, Clock::start(), std::future::pending(), |_| {}, |_| {}).await.unwrap_err();
    assert!(matches!(error, CaptureError::Store(_)) && error.help().is_some(), "{error:?}");
}

/// Seconds that the wall's clock of the test below was set back by.
static SET_BACK_S: AtomicU64 = AtomicU64::new(0);

#[expect(clippy::disallowed_methods, reason = "this is a clock")]
fn wall() -> SystemTime {
    SystemTime::now() - Duration::from_secs(SET_BACK_S.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_clock_that_goes_back_is_said_and_order_and_durations_stay_right() {
    let store = tempfile::tempdir().unwrap();
    let service = Arc::new(Service { dependency: Mutex::default() });
    let settings = settings(serve(service).await, store.path());
    let running = Running::start_at(settings, Clock::beside(wall)).await;
    send_noise(running.address(0), 1).await;
    SET_BACK_S.store(3600, Ordering::Relaxed);
    send_noise(running.address(0), 2).await;
    let notices = running.notices.clone();
    within(async {
        while notices.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let said = notices.lock().unwrap().clone();
    assert!(matches!(said[..], [Notice::ClockSet { by_ns: ..-3_599_000_000_000 }]), "{said:?}");
    assert_eq!(running.stop().await.counts.exchanges, 2);
    let (archive, exchanges) = exchanges(store.path());
    let [first, second] = &exchanges[..] else { panic!("{exchanges:?}") };
    assert!(first.times.ended_ns <= second.times.started_ns && second.times.started_ns <= second.times.ended_ns);
    let pairs = archive.clocks(&first.session);
    assert!(pairs.iter().any(|pair| pair.wall_unix_ns < archive.sessions()[0].started.wall_unix_ns), "{pairs:?}");
}
