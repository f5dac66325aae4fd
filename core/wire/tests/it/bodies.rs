//! Bodies pass byte for byte, as they come, in bounded memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use exchange::End;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use crate::support::{Proxy, answering, read_all, read_until, send, service, text, within};

#[tokio::test]
async fn an_event_reaches_the_client_before_the_next_one_is_made() {
    let first_was_read = Arc::new(Notify::new());
    let waits = first_was_read.clone();
    let url = service(move |mut stream| {
        let waits = waits.clone();
        async move {
            read_until(&mut stream, b"\r\n\r\n").await;
            send(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n").await;
            waits.notified().await;
            send(&mut stream, "9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET /events HTTP/1.1\r\n\r\n").await;
    read_until(&mut client, b"data: 1\n\n\r\n").await;
    first_was_read.notify_one();
    read_until(&mut client, b"0\r\n\r\n").await;
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!(seen.response_chunks, [b"data: 1\n\n", b"data: 2\n\n"]);
    assert_eq!((seen.response_trailers.as_deref(), seen.end), (Some(""), Some(End::Complete)));
}

#[tokio::test]
async fn chunk_sizes_extensions_and_trailers_pass_as_they_are_and_are_not_in_the_payload() {
    let url = answering(&[(
        "0\r\nSum: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0003;x=\"y\"\r\nabc\r\n2\r\nde\r\n0;z\r\nEnd: 1\r\nEnd: 2\r\n\r\n",
    )])
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 5\r\n\r\n").await;
    let got = text(&read_until(&mut client, b"End: 2\r\n\r\n").await);
    assert!(got.ends_with("\r\n\r\n0003;x=\"y\"\r\nabc\r\n2\r\nde\r\n0;z\r\nEnd: 1\r\nEnd: 2\r\n\r\n"), "{got}");
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!(
        (seen.request_body.as_slice(), seen.request_trailers.as_deref()),
        (&b"hello"[..], Some("Sum: 5\r\n\r\n"))
    );
    assert_eq!(
        (seen.response_body(), seen.response_trailers.unwrap()),
        (b"abcde".to_vec(), "End: 1\r\nEnd: 2\r\n\r\n".to_owned())
    );
}

#[tokio::test]
async fn an_answer_may_come_before_its_request_is_whole_and_the_connection_goes_on() {
    let url = answering(&[
        ("\r\n\r\nhal", "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"),
        ("f", ""),
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
    ])
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nhal").await;
    read_until(&mut client, b"\r\n\r\nno").await;
    send(&mut client, "f").await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    read_until(&mut client, b"204 No Content\r\n\r\n").await;
    let seen = proxy.seen(2).await;
    assert_eq!((seen[0].request_body.as_slice(), seen[0].end.clone()), (&b"half"[..], Some(End::Complete)));
}

#[tokio::test]
async fn an_answer_until_close_ends_in_a_way_that_cannot_be_mistaken() {
    let url = service(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        send(&mut stream, "HTTP/1.0 200 OK\r\nA: b\r\n\r\nall of it").await;
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    let (got, clean) = read_all(&mut client).await;
    let head = "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    assert!(clean && got.starts_with(head) && got.ends_with("\r\n0\r\n\r\n"), "{got}");
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!(seen.response_head.unwrap(), "HTTP/1.0 200 OK\r\nA: b\r\n\r\n");
    assert_eq!((seen.response_chunks.concat(), seen.end), (b"all of it".to_vec(), Some(End::Complete)));
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_an_answer_until_close_as_it_is() {
    let answer = "HTTP/1.0 200 OK\r\n\r\nall of it";
    let url = service(move |mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        send(&mut stream, answer).await;
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(read_all(&mut client).await, (answer.to_owned(), true));
    assert_eq!(proxy.seen(1).await[0].end, Some(End::Complete));
}

#[tokio::test]
async fn a_client_that_never_reads_holds_up_its_own_upstream_and_nobody_else() {
    let written = Arc::new(AtomicU64::new(0));
    let counts = written.clone();
    let url = service(move |mut stream| {
        let counts = counts.clone();
        async move {
            let head = text(&read_until(&mut stream, b"\r\n\r\n").await);
            if head.starts_with("GET /small") {
                return send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
            send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n").await;
            let block = vec![b'x'; 1 << 16];
            while stream.write_all(&block).await.is_ok() {
                counts.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
        }
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut silent = proxy.client().await;
    send(&mut silent, "GET /big HTTP/1.1\r\n\r\n").await;
    let stuck_at = until_it_stays(&written).await;
    assert!(stuck_at > 0 && stuck_at < 64 << 20, "{stuck_at} bytes were taken for a client that reads none");
    let mut other = proxy.client().await;
    send(&mut other, "GET /small HTTP/1.1\r\n\r\n").await;
    read_until(&mut other, b"\r\n\r\nok").await;
    drop(silent);
    assert_eq!(proxy.seen(1).await[0].end, Some(End::ClientGone));
}

/// The counter's value once it has not changed for a while.
async fn until_it_stays(counter: &AtomicU64) -> u64 {
    within(async {
        let mut last = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = counter.load(Ordering::Relaxed);
            if now == last && now > 0 {
                return now;
            }
            last = now;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_both_ways_at_once_unchanged() {
    const LEN: usize = 32 << 20;
    let url = service(|stream| async move {
        let (mut reader, mut writer) = stream.into_split();
        let mut head = [0; 1];
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            reader.read_exact(&mut head).await.unwrap();
            read.push(head[0]);
        }
        writer.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n").as_bytes()).await.unwrap();
        tokio::io::copy(&mut reader.take(LEN as u64), &mut writer).await.unwrap();
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let body: Vec<u8> = (0..LEN).map(|at| ((at * 31) >> 7) as u8).collect();
    let client: TcpStream = proxy.client().await;
    let (mut reader, mut writer) = client.into_split();
    let sent = body.clone();
    let sending = tokio::spawn(async move {
        writer.write_all(format!("POST / HTTP/1.1\r\nContent-Length: {LEN}\r\n\r\n").as_bytes()).await.unwrap();
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let mut got = Vec::new();
    within(reader.read_to_end(&mut got)).await.unwrap();
    drop(sending.await.unwrap());
    assert!(got.ends_with(&body), "the echo differs from what was sent");
    let seen = proxy.seen(1).await.remove(0);
    assert!(seen.request_body == body && seen.response_body() == body, "what was told differs from what passed");
}
