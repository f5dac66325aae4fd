//! What is not clearly HTTP/1.x passes as bytes, and is told as that.

use std::sync::{Arc, Mutex};

use exchange::{End, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Proxy, read_all, read_until, send, service, text, within};

/// A service that keeps what each of its connections sent until `end`, then answers and closes.
async fn keeping(ends: &'static [&'static str], answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let url = service(move |mut stream| {
        let keep = keep.clone();
        async move {
            let mut read = Vec::new();
            while !ends.iter().any(|end| read.ends_with(end.as_bytes())) {
                read.push(stream.read_u8().await.unwrap());
            }
            keep.lock().unwrap().push(text(&read));
            send(&mut stream, answer).await;
            if !answer.contains("close") {
                // Whatever else comes, until the other side's end.
                stream.read_to_end(&mut read).await.ok();
            }
        }
    })
    .await;
    (url, kept)
}

#[tokio::test]
async fn length_beside_encoding_passes_raw_over_a_connection_of_its_own() {
    let odd = "POST /odd HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let (url, kept) =
        keeping(&["0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    read_until(&mut client, b"\r\n\r\n").await;
    send(&mut client, odd).await;
    let answer = text(&read_until(&mut client, b"\r\n\r\n").await);
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, (String::new(), true));
    assert_eq!(*kept.lock().unwrap(), ["GET / HTTP/1.1\r\n\r\n", odd], "each came over its own connection");
    let seen = proxy.seen(2).await.remove(1);
    assert_eq!((seen.transport, seen.head.as_str(), text(&seen.request_body).as_str()), (Transport::Raw, "", odd));
    assert_eq!((text(&seen.response_body()), seen.end), (answer, Some(End::Complete)));
}

#[tokio::test]
async fn a_tls_hello_passes_before_any_line_feed() {
    let (url, _) = keeping(&["\u{16}\u{3}\u{1}hello"], "alert: close").await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "\u{16}\u{3}\u{1}hello").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, ("alert: close".to_owned(), true));
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!((seen.transport, seen.end), (Transport::Raw, Some(End::Complete)));
}

#[tokio::test]
async fn a_response_that_is_none_passes_as_it_is() {
    let (url, _) = keeping(&["\r\n\r\n"], "220 ready, and close\r\n").await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, ("220 ready, and close\r\n".to_owned(), true));
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!((seen.transport, seen.head.as_str()), (Transport::Raw, "GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(seen.response_body(), b"220 ready, and close\r\n");
}

#[tokio::test]
async fn a_broken_chunk_passes_as_it_is_and_the_connection_is_not_used_again() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz close";
    let (url, _) = keeping(&["\r\n\r\n"], answer).await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, (answer.to_owned(), true));
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!((seen.transport, text(&seen.response_body()).as_str()), (Transport::Raw, "abcxyz close"));
}

#[tokio::test]
async fn a_broken_chunk_in_a_request_reaches_the_service() {
    let (url, kept) =
        keeping(&["zz\r\n"], "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n").await;
    client.shutdown().await.unwrap();
    assert!(read_all(&mut client).await.0.starts_with("HTTP/1.1 400"));
    assert!(kept.lock().unwrap()[0].ends_with("1\r\na\r\nzz\r\n"));
    assert_eq!(proxy.seen(1).await[0].transport, Transport::Raw);
}

#[tokio::test]
async fn bytes_beyond_an_answer_are_not_swallowed() {
    let (url, _) = keeping(&["\r\n\r\n"], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more, close").await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    client.shutdown().await.unwrap();
    assert!(read_all(&mut client).await.0.ends_with("\r\n\r\nok and more, close"));
    assert_eq!(proxy.seen(1).await[0].transport, Transport::Raw);
}

#[tokio::test]
async fn a_request_line_that_never_ends_and_a_cut_head_pass_too() {
    let (url, kept) = keeping(&["Host: x\r\n"], "close").await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\nHost: x\r\n").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await.0, "close");
    assert_eq!(*kept.lock().unwrap(), ["GET / HTTP/1.1\r\nHost: x\r\n"]);
}

#[tokio::test]
async fn an_upgrade_and_a_tunnel_pass_bytes_both_ways_until_both_sides_end() {
    for (request, head) in [
        ("GET /chat HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        ("CONNECT host:1 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
    ] {
        let url = service(move |mut stream| async move {
            read_until(&mut stream, b"\r\n\r\n").await;
            send(&mut stream, format!("{head}hello ")).await;
            read_until(&mut stream, b"ping").await;
            send(&mut stream, "pong").await;
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
            send(&mut stream, " bye").await;
        })
        .await;
        let proxy = Proxy::start(&url).await;
        let mut client = proxy.client().await;
        send(&mut client, format!("{request}pi")).await;
        read_until(&mut client, b"hello ").await;
        send(&mut client, "ng").await;
        read_until(&mut client, b"pong").await;
        client.shutdown().await.unwrap();
        assert_eq!(within(read_all(&mut client)).await, (" bye".to_owned(), true));
        let seen = proxy.seen(1).await.remove(0);
        assert_eq!(
            (seen.transport, seen.end.clone(), seen.head.as_str()),
            (Transport::Upgraded, Some(End::Complete), request)
        );
        assert_eq!((seen.request_body.as_slice(), seen.response_body()), (&b"ping"[..], b"hello pong bye".to_vec()));
    }
}
