//! Dependencies that are no HTTP: every byte both ways, whoever speaks first.

use std::time::Duration;

use capture::{Dependency, Notice, Settings};
use content::unrepeatable::Unrepeatable;
use exchange::{End, Gap, Role, Transport};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Running, exchanges, settings, within};

/// A server that greets, repeats every line, and hangs up on `QUIT`.
async fn greeter() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"220 ready\r\n").await.unwrap();
                let mut line = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut line).await {
                    if line.starts_with(b"QUIT") {
                        return;
                    }
                    stream.write_all(&line[..count]).await.unwrap();
                }
            });
        }
    });
    address
}

async fn say(stream: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    stream.write_all(text).await.unwrap();
    hear(stream).await
}

async fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = vec![0; 1024];
    let count = within(stream.read(&mut heard)).await.unwrap();
    heard.truncate(count);
    heard
}

#[tokio::test]
async fn a_connection_is_kept_with_its_turns_and_without_its_password_whoever_speaks_and_hangs_up_first() {
    let store = tempfile::tempdir().unwrap();
    let (server, nobody) = (greeter().await, TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let dependencies = vec![format!("mail=tcp://{server}").parse::<Dependency>().unwrap()];
    let running = Running::start(Settings { dependencies, ..settings(nobody, store.path()) }).await;
    assert!(running.started.listeners[1].url.starts_with("tcp://"));
    let mut left_open = TcpStream::connect(running.address(1)).await.unwrap();
    assert_eq!(hear(&mut left_open).await, b"220 ready\r\n");
    let mut ended = TcpStream::connect(running.address(1)).await.unwrap();
    assert_eq!(hear(&mut ended).await, b"220 ready\r\n");
    assert_eq!(say(&mut ended, b"AUTH PLAIN aHVudGVyMg==\r\n").await, b"AUTH PLAIN aHVudGVyMg==\r\n");
    assert_eq!(say(&mut ended, b"NOOP\r\n").await, b"NOOP\r\n");
    assert_eq!(say(&mut ended, b"QUIT\r\n").await, b"");
    drop(ended);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = tokio::time::Instant::now();
    let summary = running.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "a pooled connection does not hold the capture up");
    assert_eq!(summary.counts.exchanges, 2);
    let (archive, exchanges) = exchanges(store.path());
    assert!(exchanges.iter().all(|it| it.transport == Transport::Raw));
    assert!(exchanges.iter().all(|it| it.role == Role::Dependency { name: "mail".to_owned(), parent: None }));
    let (open, ended) = (&exchanges[0], &exchanges[1]);
    assert_eq!((open.end.clone(), ended.end.clone()), (End::CaptureStopped, End::Complete));
    assert_eq!(ended.times.request_ended_ns, None, "the server hung up first");
    let asked = String::from_utf8(archive.body(&ended.request.body, 1 << 20).unwrap()).unwrap();
    assert!(!asked.contains("aHVudGVyMg") && asked.ends_with("NOOP\r\nQUIT\r\n"), "{asked}");
    assert_eq!(ended.redactions[0].place, "request stream AUTH");
    let answered = archive.body(&ended.response.as_ref().unwrap().body, 1 << 20).unwrap();
    assert!(answered.starts_with(b"220 ready\r\nAUTH PLAIN "));
}

/// A capture with the greeter behind it as `mail`.
async fn with_greeter(store: &std::path::Path) -> Running {
    let (server, nobody) = (greeter().await, TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let dependencies = vec![format!("mail=tcp://{server}").parse::<Dependency>().unwrap()];
    Running::start(Settings { dependencies, ..settings(nobody, store) }).await
}

/// What was told of connections, in order.
fn told(running: &Running) -> Vec<Notice> {
    let is_of_connection =
        |notice: &&Notice| matches!(notice, Notice::Unrepeatable { .. } | Notice::ConnectionCut { .. });
    running.notices.lock().unwrap().iter().filter(is_of_connection).cloned().collect()
}

#[tokio::test]
async fn what_no_replay_can_answer_is_told_once_while_it_is_recorded() {
    let store = tempfile::tempdir().unwrap();
    let running = with_greeter(store.path()).await;
    for _ in 0..2 {
        let mut stream = TcpStream::connect(running.address(1)).await.unwrap();
        assert_eq!(hear(&mut stream).await, b"220 ready\r\n");
        assert_eq!(say(&mut stream, b"NOOP\r\n").await, b"NOOP\r\n");
        assert_eq!(say(&mut stream, b"STARTTLS\r\n").await, b"STARTTLS\r\n");
        say(&mut stream, &[0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]).await;
        // The greeter says again what it is told: here, a server's demand for a salted login.
        let mut stream = TcpStream::connect(running.address(1)).await.unwrap();
        assert_eq!(hear(&mut stream).await, b"220 ready\r\n");
        say(&mut stream, b"a1 AUTHENTICATE SCRAM-SHA-256\r\n").await;
    }
    let why = |why| Notice::Unrepeatable { dependency: "mail".to_owned(), why };
    assert_eq!(told(&running), [why(Unrepeatable::Encrypted), why(Unrepeatable::SaltedLogin)]);
    assert_eq!(running.stop().await.counts.exchanges, 4);
}

/// Most reads each way whose times are kept of one connection.
const READS_MAX: usize = 32_768;

#[tokio::test]
async fn of_a_connection_with_more_reads_than_are_kept_both_sides_are_kept_up_to_there_and_that_is_told() {
    let store = tempfile::tempdir().unwrap();
    let running = with_greeter(store.path()).await;
    let mut stream = TcpStream::connect(running.address(1)).await.unwrap();
    assert_eq!(hear(&mut stream).await, b"220 ready\r\n");
    let line = |number: usize| format!("NOOP {number:05}\r\n").into_bytes();
    for number in 0..READS_MAX + 100 {
        let line = line(number);
        assert_eq!(say(&mut stream, &line).await, line, "the connection itself goes on");
    }
    assert_eq!(told(&running), [Notice::ConnectionCut { dependency: "mail".to_owned() }]);
    drop(stream);
    let summary = running.stop().await;
    assert!(summary.counts.body_bytes_missed > 0, "{:?}", summary.counts);

    let (archive, exchanges) = exchanges(store.path());
    let (asked, answered) = (&exchanges[0].request.body, &exchanges[0].response.as_ref().unwrap().body);
    // The greeting is the first read of the answers: those reach the limit first.
    assert_eq!((asked.gap, answered.gap), (Some(Gap::OverLimit), Some(Gap::OverLimit)));
    assert!(asked.chunks.len() <= READS_MAX && answered.chunks.len() <= READS_MAX);
    let kept = archive.body(asked, 1 << 20).unwrap();
    let wanted: Vec<u8> = (0..READS_MAX).flat_map(line).collect();
    assert_eq!(kept.len(), wanted.len());
    assert!(kept == wanted, "what was said up to there is there");
    assert_eq!(answered.kept_len() as usize, wanted.len() - line(0).len() + b"220 ready\r\n".len());
    assert!(asked.len > asked.kept_len() && answered.len > answered.kept_len());
}
