use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use proptest::prelude::*;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex},
    net::{TcpListener, TcpStream, UnixStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use super::{
    frame::{self, HEADER_LEN, Header, Kind, PAYLOAD_LEN_MAX},
    inside::Ready,
    *,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Both ends of a bridge in one process, over a real socket.
struct Bridge {
    host: Host,
    stop: oneshot::Sender<()>,
    inside: JoinHandle<Result<(), BridgeError>>,
}

async fn bridge(listen: Vec<SocketAddr>) -> Bridge {
    bridge_with(Inside { listen, ..Inside::default() }).await
}

async fn bridge_with(settings: Inside) -> Bridge {
    let (outer, inner) = UnixStream::pair().unwrap();
    let (stop, stopped) = oneshot::channel();
    let inside = tokio::spawn(async move { inside(inner, &settings, || (), async { drop(stopped.await) }).await });
    Bridge { host: Host::over(outer, PATIENCE).await.unwrap(), stop, inside }
}

/// A service on a free port that answers every connection with `serve`.
async fn service<F, Fut>(serve: F) -> u16
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    port
}

/// A loopback address that no other test's process uses.
fn an_address_of_our_own() -> SocketAddr {
    let [high, low, ..] = (std::process::id() as u16).to_be_bytes();
    SocketAddr::from(([127, 77, high, low], 8000))
}

async fn echo(mut connection: TcpStream) {
    let (mut reader, mut writer) = connection.split();
    drop(tokio::io::copy(&mut reader, &mut writer).await);
    drop(writer.shutdown().await);
}

/// Bytes that differ from stream to stream and place to place.
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at / 7 + seed * 31 + at * at % 251) % 256) as u8).collect()
}

async fn send_and_read_all(stream: impl AsyncRead + AsyncWrite, sent: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut received = Vec::new();
    let write = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let read = async { reader.read_to_end(&mut received).await.unwrap() };
    tokio::join!(write, read);
    received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_of_all_sizes_come_back_byte_for_byte() {
    let port = service(echo).await;
    let Bridge { host, stop: _stop, .. } = bridge(vec![]).await;
    let mut echoes = JoinSet::new();
    for seed in 0..100 {
        let stream = host.open(port).await.unwrap();
        echoes.spawn(async move {
            let sent = pattern(seed, (seed * seed * 97) % 700_001);
            assert!(send_and_read_all(stream, sent.clone()).await == sent, "stream {seed}");
        });
    }
    while let Some(echoed) = echoes.join_next().await {
        echoed.unwrap();
    }
}

/// The inside's way to a tracer that says that the clock is given, and the tracer's end of it.
async fn tracer_that_gives_a_clock() -> (Tracer, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"held\tclock\ton\n").await.unwrap();
    (Tracer::over(ours), theirs)
}

async fn until_told(host: &Host) {
    let told = async {
        while host.observed().reached.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_shows_to_whatever_is_sent_after_it() {
    let shown = Arc::new(Mutex::new(None));
    let (read, set) = (Arc::clone(&shown), Arc::clone(&shown));
    let port = service(move |mut connection| {
        let read = Arc::clone(&read);
        async move {
            let mut byte = [0];
            connection.read_exact(&mut byte).await.unwrap();
            let text = format!("{:?}", *read.lock().unwrap());
            connection.write_all(text.as_bytes()).await.unwrap();
        }
    })
    .await;
    let (tracer, _tracer) = tracer_that_gives_a_clock().await;
    let clock = Some(SetsClock::by(move |wall| *set.lock().unwrap() = Some(wall)));
    let Bridge { host, stop: _stop, .. } = bridge_with(Inside { tracer, clock, ..Inside::default() }).await;
    until_told(&host).await;
    for at_ns in 0..200 {
        let before = host.open(port).await.unwrap();
        let wall = WallClock::Frozen { at_ns };
        host.set_clock(wall).unwrap();
        let after = host.open(port).await.unwrap();
        for stream in [before, after] {
            assert_eq!(send_and_read_all(stream, vec![1]).await, format!("{:?}", Some(wall)).into_bytes());
        }
    }
}

#[tokio::test]
async fn a_clock_that_nobody_can_set_inside_ends_the_bridge() {
    let (tracer, _tracer) = tracer_that_gives_a_clock().await;
    let Bridge { host, stop: _stop, inside } = bridge_with(Inside { tracer, ..Inside::default() }).await;
    until_told(&host).await;
    host.set_clock(WallClock::Frozen { at_ns: 1 }).unwrap();
    let ended = tokio::time::timeout(PATIENCE, inside).await.unwrap().unwrap();
    assert!(matches!(ended, Err(BridgeError::Malformed { kind: "clock" })), "{ended:?}");
}

#[tokio::test]
async fn a_service_is_at_rest_once_it_has_what_was_sent_and_waits_and_busy_until_then() {
    let got = Arc::new(Mutex::new(0));
    let reads = Arc::clone(&got);
    let port = service(move |mut connection| {
        let reads = Arc::clone(&reads);
        async move {
            let mut bytes = [0; 1 << 10];
            while let Ok(len @ 1..) = connection.read(&mut bytes).await {
                *reads.lock().unwrap() += len;
            }
        }
    })
    .await;
    let (waits, seen) = (Arc::new(Mutex::new(true)), Arc::clone(&got));
    let looks = Arc::clone(&waits);
    let sees_rest = SeesRest::by(move || Some(*looks.lock().unwrap() && *seen.lock().unwrap() % 1000 == 0));
    let Bridge { host, stop: _stop, .. } = bridge_with(Inside { sees_rest, ..Inside::default() }).await;
    let mut stream = host.open(port).await.unwrap();
    for round in 1..=50 {
        stream.write_all(&[0; 1000]).await.unwrap();
        assert_eq!(host.rest(PATIENCE).await, Rest::Reached);
        assert_eq!(*got.lock().unwrap(), round * 1000);
    }
    *waits.lock().unwrap() = false;
    assert_eq!(host.rest(Duration::from_millis(30)).await, Rest::Busy);
    // One that asks for longer is answered as soon as it is so, whoever asks beside it.
    let goes_on = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        *waits.lock().unwrap() = true;
    };
    let (long, short, ()) = tokio::join!(host.rest(PATIENCE), host.rest(Duration::from_millis(30)), goes_on);
    assert_eq!((long, short), (Rest::Reached, Rest::Busy));
}

#[tokio::test]
async fn a_rest_that_nobody_can_see_is_said_to_be_unseen_and_so_is_that_of_a_bridge_that_ends() {
    let Bridge { host, stop: _stop, .. } = bridge(Vec::new()).await;
    assert_eq!(host.rest(PATIENCE).await, Rest::Unseen);
    let sees_rest = SeesRest::by(|| Some(false));
    let Bridge { host, stop, .. } = bridge_with(Inside { sees_rest, ..Inside::default() }).await;
    let (rest, ()) = tokio::join!(host.rest(PATIENCE), async { stop.send(()).unwrap() });
    assert_eq!(rest, Rest::Unseen);
}

#[tokio::test]
async fn a_connection_made_inside_arrives_with_the_address_it_was_made_to() {
    let free = an_address_of_our_own();
    let Bridge { host, stop: _stop, .. } = bridge(vec![free]).await;
    assert_eq!(host.observed().listeners, [ListenerInside { address: free, error: None }]);
    let client = tokio::spawn(async move {
        let connection = TcpStream::connect(free).await.unwrap();
        send_and_read_all(connection, pattern(1, 300_000)).await
    });
    let (address, mut stream) = host.incoming().await.unwrap();
    assert_eq!(address, free);
    let mut asked = Vec::new();
    stream.read_to_end(&mut asked).await.unwrap();
    assert!(asked == pattern(1, 300_000));
    stream.write_all(b"answered after the end of the question").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(client.await.unwrap(), b"answered after the end of the question");
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_named_with_the_reason() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let Bridge { host, stop: _stop, .. } = bridge(vec![address]).await;
    let observed = host.observed();
    assert!(observed.listeners[0].error.as_deref().unwrap().contains("in use"), "{observed:?}");
    assert!(!observed.names_observed);
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_refused_as_the_kernel_refuses_it() {
    let Bridge { host, stop: _stop, .. } = bridge(vec![]).await;
    let error = host.open(1).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let port = service(|mut connection| async move {
        // Ends when the connection does; far more than any window.
        while connection.write_all(&[7; 65536]).await.is_ok() {}
    })
    .await;
    let echo_port = service(echo).await;
    let Bridge { host, stop: _stop, .. } = bridge(vec![]).await;
    let unread = host.open(port).await.unwrap();
    for seed in 0..20 {
        let sent = pattern(seed, 200_000);
        assert!(send_and_read_all(host.open(echo_port).await.unwrap(), sent.clone()).await == sent);
    }
    drop(unread);
}

#[tokio::test]
async fn what_came_before_a_reset_is_read_and_then_the_reset_is_seen() {
    let port = service(|mut connection| async move {
        connection.write_all(b"half an ans").await.unwrap();
        // Only when this has arrived: a reset overtakes what is under way.
        connection.read_exact(&mut [0; 2]).await.unwrap();
        connection.set_zero_linger().unwrap();
    })
    .await;
    let Bridge { host, stop: _stop, .. } = bridge(vec![]).await;
    let mut stream = host.open(port).await.unwrap();
    let mut start = [0; 11];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"half an ans");
    stream.write_all(b"ok").await.unwrap();
    let error = stream.read(&mut start).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stream_that_is_reset_outside_is_reset_for_the_service() {
    let (send_error, error) = oneshot::channel();
    let send_error = std::sync::Mutex::new(Some(send_error));
    let port = service(move |mut connection| {
        let send_error = send_error.lock().unwrap().take();
        async move {
            let error = connection.read(&mut [0; 16]).await.unwrap_err();
            send_error.unwrap().send(error.kind()).unwrap();
        }
    })
    .await;
    let Bridge { host, stop: _stop, .. } = bridge(vec![]).await;
    host.open(port).await.unwrap().reset();
    assert_eq!(error.await.unwrap(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stream_that_is_dropped_with_nothing_unread_ends_in_good_order() {
    let (send_end, end) = oneshot::channel();
    let send_end = std::sync::Mutex::new(Some(send_end));
    let port = service(move |mut connection| {
        let send_end = send_end.lock().unwrap().take();
        async move { send_end.unwrap().send(connection.read(&mut [0; 16]).await.unwrap()).unwrap() }
    })
    .await;
    let Bridge { host, stop: _stop, .. } = bridge(vec![]).await;
    drop(host.open(port).await.unwrap());
    assert_eq!(end.await.unwrap(), 0);
}

#[tokio::test]
async fn when_the_inside_is_stopped_it_says_its_last_word_and_streams_break() {
    let port = service(echo).await;
    let Bridge { host, stop, inside } = bridge(vec![]).await;
    let mut stream = host.open(port).await.unwrap();
    assert!(!host.observed().complete);
    stop.send(()).unwrap();
    inside.await.unwrap().unwrap();
    host.ended().await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    let observed = host.close().await;
    assert!(observed.complete);
    assert!(observed.no_route_count.is_some());
}

#[tokio::test]
async fn what_the_service_said_before_it_ended_gets_out_however_slowly_it_is_read() {
    let (answered, all_written) = oneshot::channel();
    let answered = std::sync::Mutex::new(Some(answered));
    let port = service(move |mut connection| {
        let answered = answered.lock().unwrap().take();
        async move {
            // More than the window, less than the kernel's buffers: the service is done while most is on its way.
            connection.write_all(&pattern(5, 200_000)).await.unwrap();
            answered.unwrap().send(()).unwrap();
        }
    })
    .await;
    let Bridge { host, stop, inside } = bridge(vec![]).await;
    let mut stream = host.open(port).await.unwrap();
    all_written.await.unwrap();
    stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert!(received == pattern(5, 200_000));
    inside.await.unwrap().unwrap();
}

#[tokio::test]
async fn closing_from_outside_collects_the_last_word_too() {
    let Bridge { host, inside, stop: _stop } = bridge(vec![]).await;
    assert!(host.close().await.complete);
    inside.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_inside_that_vanishes_is_an_error_and_its_counts_are_not_called_complete() {
    let Bridge { host, inside, stop: _stop } = bridge(vec![]).await;
    inside.abort();
    host.ended().await;
    assert!(matches!(host.error(), Some(BridgeError::Gone)));
    assert_eq!(host.open(1).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(host.incoming().await.is_none());
    assert!(!host.close().await.complete);
}

#[tokio::test]
async fn what_waits_is_let_go_once_and_what_does_not_is_not_let_go_at_all() {
    let (outer, inner) = UnixStream::pair().unwrap();
    let (started, mut start) = oneshot::channel();
    let settings = Inside { waits: true, ..Inside::default() };
    let go = move || started.send(()).unwrap();
    let waiting = tokio::spawn(async move { inside(inner, &settings, go, std::future::pending()).await });
    let host = Host::over(outer, PATIENCE).await.unwrap();
    assert!(start.try_recv().is_err(), "it listens, and nothing has started");
    host.let_go();
    tokio::time::timeout(PATIENCE, start).await.unwrap().unwrap();
    host.let_go();
    assert!(matches!(waiting.await.unwrap(), Err(BridgeError::Malformed { kind: "go" })));

    let Bridge { host, inside, .. } = bridge(vec![]).await;
    host.let_go();
    assert!(matches!(inside.await.unwrap(), Err(BridgeError::Malformed { kind: "go" })));
}

#[tokio::test]
async fn a_detour_leads_to_a_server_beside_it_and_the_host_sees_nothing_of_it() {
    let real = SocketAddr::from(([127, 0, 0, 1], service(echo).await));
    let (outer, inner) = UnixStream::pair().unwrap();
    let address = SocketAddr::new(an_address_of_our_own().ip(), 8001);
    let nobody = SocketAddr::new(address.ip(), 8002);
    let detours = vec![(address, real), (nobody, SocketAddr::new(address.ip(), 8003))];
    let settings = Inside { detours, ..Inside::default() };
    tokio::spawn(async move { inside(inner, &settings, || (), std::future::pending()).await });
    let host = Host::over(outer, PATIENCE).await.unwrap();
    assert!(host.observed().listeners.iter().all(|listener| listener.error.is_none()));
    let sent = pattern(3, 300_000);
    assert!(send_and_read_all(TcpStream::connect(address).await.unwrap(), sent.clone()).await == sent);
    let mut broken = TcpStream::connect(nobody).await.unwrap();
    assert!(broken.read(&mut [0]).await.is_err(), "where nobody listens it breaks off");
    assert!(tokio::time::timeout(Duration::from_millis(50), host.incoming()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_inside_that_never_speaks_is_given_up_on() {
    let (_inner, outer) = duplex(1024);
    assert!(matches!(Host::over(outer, PATIENCE).await, Err(BridgeError::Silent { seconds: 10 })));
}

/// A host whose other side is played by the test.
async fn host_and_raw_inside() -> (Host, DuplexStream) {
    let (mut inner, outer) = duplex(1 << 20);
    let mut greeting = BytesMut::new();
    frame::put(&mut greeting, Kind::Hello, 0, &frame::hello());
    frame::put(&mut greeting, Kind::Ready, 0, &Ready { listeners: vec![], resolver: true }.write());
    inner.write_all(&greeting).await.unwrap();
    (Host::over(outer, PATIENCE).await.unwrap(), inner)
}

/// What the bridge ends with when the inside sends `bytes`.
async fn error_after(bytes: &[u8]) -> BridgeError {
    let (host, mut inner) = host_and_raw_inside().await;
    inner.write_all(bytes).await.unwrap();
    tokio::time::timeout(PATIENCE, host.ended()).await.unwrap();
    host.error().unwrap()
}

fn raw(kind: u8, stream: u32, len: u32) -> Vec<u8> {
    [&[kind][..], &stream.to_be_bytes(), &len.to_be_bytes()].concat()
}

#[tokio::test]
async fn hostile_frames_end_the_bridge_with_an_error_that_names_them() {
    let data = Kind::Data as u8;
    assert!(matches!(error_after(&raw(99, 1, 0)).await, BridgeError::UnknownKind { kind: 99 }));
    assert!(matches!(error_after(&raw(data, 1, u32::MAX)).await, BridgeError::TooLong { .. }));
    assert!(matches!(error_after(&raw(data, 1, 65537)).await, BridgeError::TooLong { len: 65537, .. }));
    assert!(matches!(error_after(&raw(data, 1, 0)).await, BridgeError::UnknownStream { stream: 1, .. }));
    assert!(matches!(error_after(&raw(data, 0, 0)).await, BridgeError::UnknownStream { stream: 0, .. }));
    assert!(matches!(error_after(&raw(Kind::Hello as u8, 0, 0)).await, BridgeError::Malformed { .. }));
    assert!(matches!(error_after(&raw(Kind::Ready as u8, 0, 0)).await, BridgeError::Malformed { .. }));
    assert!(matches!(error_after(&raw(Kind::Open as u8, 2, 0)).await, BridgeError::Malformed { .. }));
    let open_an_odd_one = [raw(Kind::Open as u8, 3, 14), b"127.0.0.1:8000".to_vec()].concat();
    assert!(matches!(error_after(&open_an_odd_one).await, BridgeError::UnknownStream { stream: 3, .. }));
}

#[tokio::test]
async fn more_bytes_than_the_window_end_the_bridge() {
    let mut bytes = [raw(Kind::Open as u8, 2, 14), b"127.0.0.1:8000".to_vec()].concat();
    for _ in 0..3 {
        bytes.extend(raw(Kind::Data as u8, 2, PAYLOAD_LEN_MAX as u32));
        bytes.extend([0; PAYLOAD_LEN_MAX]);
    }
    assert!(matches!(error_after(&bytes).await, BridgeError::Overrun { stream: 2 }));
}

#[tokio::test]
async fn credit_that_was_never_used_is_not_taken() {
    let bytes = [
        raw(Kind::Open as u8, 2, 14),
        b"127.0.0.1:8000".to_vec(),
        raw(Kind::Window as u8, 2, 4),
        u32::MAX.to_be_bytes().to_vec(),
    ]
    .concat();
    assert!(matches!(error_after(&bytes).await, BridgeError::Overrun { stream: 2 }));
}

#[tokio::test]
async fn another_program_on_the_socket_is_told_apart() {
    let (mut inner, outer) = duplex(1024);
    inner.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(Host::over(outer, PATIENCE).await.is_err());
    let (mut inner, outer) = duplex(1024);
    let mut greeting = BytesMut::new();
    frame::put(&mut greeting, Kind::Hello, 0, b"retake-bridge\x00\x63");
    inner.write_all(&greeting).await.unwrap();
    let error = Host::over(outer, PATIENCE).await.err().unwrap();
    assert!(matches!(&error, BridgeError::Version { found } if found == "99"), "{error}");
}

#[tokio::test]
async fn names_asked_inside_are_told_sorted_and_with_their_count() {
    let (host, mut inner) = host_and_raw_inside().await;
    let mut bytes = BytesMut::new();
    frame::put(&mut bytes, Kind::Name, 0, &[&1_u64.to_be_bytes()[..], b"b.example"].concat());
    frame::put(&mut bytes, Kind::Name, 0, &[&2_u64.to_be_bytes()[..], b"a.example"].concat());
    frame::put(&mut bytes, Kind::Name, 0, &[&4_u64.to_be_bytes()[..], b"b.example"].concat());
    frame::put(&mut bytes, Kind::Counters, 0, &[&[1][..], &9_u64.to_be_bytes()].concat());
    frame::put(&mut bytes, Kind::Bye, 0, &[]);
    inner.write_all(&bytes).await.unwrap();
    let observed = host.close().await;
    let asked = |name: &str, question_count| NameAsked { name: name.to_owned(), question_count };
    assert_eq!(observed.names, [asked("a.example", 2), asked("b.example", 4)]);
    assert_eq!(observed.no_route_count, Some(9));
    assert!(observed.names_observed && observed.complete);
}

#[tokio::test]
async fn attempts_are_told_with_what_came_of_them_and_only_where_they_are_seen() {
    let (host, mut inner) = host_and_raw_inside().await;
    assert!(!host.observed().attempts_observed);
    let mut bytes = BytesMut::new();
    for line in ["watching", "2\tabsent\ttcp\t127.0.0.1:6379", "unread\t1", "3\tabsent\ttcp\t127.0.0.1:6379"] {
        frame::put(&mut bytes, Kind::Attempt, 0, line.as_bytes());
    }
    frame::put(&mut bytes, Kind::Bye, 0, &[]);
    inner.write_all(&bytes).await.unwrap();
    let observed = host.close().await;
    let destination = Destination::Tcp(([127, 0, 0, 1], 6379).into());
    assert_eq!(observed.attempts, [Attempt { destination, fate: Fate::Absent, count: 3 }]);
    assert!(observed.attempts_observed && !observed.attempts_cut && observed.complete);
    assert_eq!(observed.attempts_unread_count, 1);
    let nonsense = [raw(Kind::Attempt as u8, 0, 3), b"1\t2".to_vec()].concat();
    assert!(matches!(error_after(&nonsense).await, BridgeError::Malformed { kind: "attempt" }));
}

proptest! {
    #[test]
    fn a_frame_is_read_as_it_was_written(number in 1_u8..=16, stream: u32, payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let kind = Header::peek(&raw(number, 0, 0)).unwrap().unwrap().kind;
        let mut bytes = BytesMut::new();
        frame::put(&mut bytes, kind, stream, &payload);
        prop_assert_eq!(Header::peek(&bytes).unwrap(), Some(Header { kind, stream, len: payload.len() }));
        prop_assert_eq!(&bytes[HEADER_LEN..], &payload[..]);
        prop_assert_eq!(Header::peek(&bytes[..HEADER_LEN - 1]).unwrap(), None);
    }

    #[test]
    fn what_is_listened_on_is_read_as_it_was_written(ports in prop::collection::vec(any::<u16>(), 0..5), error in "[a-z ]{0,20}", resolver: bool) {
        let listener = |port| ListenerInside {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            error: (!error.is_empty()).then(|| error.clone()),
        };
        let ready = Ready { listeners: ports.into_iter().map(listener).collect(), resolver };
        prop_assert_eq!(Ready::read(&ready.write()).unwrap(), ready);
    }

    #[test]
    fn noise_from_inside_never_panics(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (host, mut inner) = host_and_raw_inside().await;
            inner.write_all(&noise).await.unwrap();
            drop(inner);
            host.ended().await;
        });
    }
}
