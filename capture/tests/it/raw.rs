//! Dependencies that are no HTTP: every byte both ways, whoever speaks first.

use std::time::Duration;

use capture::{Dependency, Settings};
use exchange::{End, Role, Transport};
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
