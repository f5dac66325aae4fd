//! However an exchange ends, each side sees what it would have seen without the proxy, and never an end that was none.

use std::{sync::Arc, time::Duration};

use exchange::End;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};
use wire::proxy::Settings;

use crate::support::{Proxy, Recorder, answering, read_all, read_until, send, service, within};

#[tokio::test]
async fn an_answer_that_ends_inside_a_chunk_ends_there_for_the_client_too() {
    let url = service(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        send(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc").await;
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    assert!(read_all(&mut client).await.0.ends_with("5\r\nabc"));
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!(
        (seen.response_body(), seen.response_trailers, seen.end),
        (b"abc".to_vec(), None, Some(End::UpstreamReset))
    );
}

#[tokio::test]
async fn an_answer_until_close_that_is_reset_is_never_ended_as_if_it_were_whole() {
    let url = service(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        send(&mut stream, "HTTP/1.1 200 OK\r\n\r\nhalf").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let proxy = Proxy::start(&url).await;
    for version in ["1.1", "1.0"] {
        let mut client = proxy.client().await;
        send(&mut client, format!("GET / HTTP/{version}\r\n\r\n")).await;
        let (got, clean) = read_all(&mut client).await;
        assert!(got.contains("half") && !got.contains("0\r\n\r\n") && !clean, "{version}: {got:?}, {clean}");
    }
    assert!(proxy.seen(2).await.iter().all(|seen| seen.end == Some(End::UpstreamReset)));
}

#[tokio::test]
async fn a_service_that_closes_without_a_word_closes_the_client() {
    let url = service(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(read_all(&mut client).await.0, "");
    assert_eq!(proxy.seen(1).await[0].end, Some(End::UpstreamReset));
}

#[tokio::test]
async fn an_idle_connection_ends_when_the_service_ends_it_and_the_other_way_round() {
    let upstream_ended = Arc::new(Notify::new());
    let tells = upstream_ended.clone();
    let url = service(move |mut stream| {
        let tells = tells.clone();
        async move {
            let head = read_until(&mut stream, b"\r\n\r\n").await;
            send(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n").await;
            if head.starts_with(b"GET /stay") {
                assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
                tells.notify_one();
            }
        }
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET /close HTTP/1.1\r\n\r\n").await;
    assert!(read_all(&mut client).await.1);
    let mut client = proxy.client().await;
    send(&mut client, "GET /stay HTTP/1.1\r\n\r\n").await;
    read_until(&mut client, b"\r\n\r\n").await;
    drop(client);
    within(upstream_ended.notified()).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_hanging_service_is_seen_by_the_service() {
    let client_left = Arc::new(Notify::new());
    let tells = client_left.clone();
    let url = service(move |mut stream| {
        let tells = tells.clone();
        async move {
            read_until(&mut stream, b"\r\n\r\n").await;
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
            tells.notify_one();
        }
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    drop(client);
    within(client_left.notified()).await;
    assert_eq!(proxy.seen(1).await[0].end, Some(End::ClientGone));
}

#[tokio::test]
async fn a_client_that_resets_is_gone_at_once_even_when_the_service_hangs() {
    let url = service(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = Proxy::start(&url).await;
    for half_closes_first in [false, true] {
        let mut client = proxy.client().await;
        send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
        if half_closes_first {
            client.shutdown().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.set_zero_linger().unwrap();
    }
    assert!(proxy.seen(2).await.iter().all(|seen| seen.end == Some(End::ClientGone)));
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_its_answer() {
    let url = service(|mut stream| async move {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await.unwrap();
        send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    client.shutdown().await.unwrap();
    assert!(read_all(&mut client).await.0.ends_with("\r\n\r\nok"));
    assert_eq!(proxy.seen(1).await[0].end, Some(End::Complete));
}

#[tokio::test]
async fn a_request_that_is_cut_reaches_the_service_cut() {
    let url = service(|mut stream| async move {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await.unwrap();
        assert!(request.ends_with(b"\r\n\r\nhal"));
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nhal").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await.0, "");
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!((seen.request_trailers, seen.end), (None, Some(End::ClientGone)));
}

#[tokio::test]
async fn on_stop_idle_connections_close_and_exchanges_end_in_their_own_time() {
    let may_answer = Arc::new(Notify::new());
    let waits = may_answer.clone();
    let url = service(move |mut stream| {
        let waits = waits.clone();
        async move {
            read_until(&mut stream, b"\r\n\r\n").await;
            waits.notified().await;
            send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            // The proxy's end is the end of the script.
            stream.read_u8().await.ok();
        }
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut idle = proxy.client().await;
    let mut busy = proxy.client().await;
    send(&mut busy, "GET / HTTP/1.1\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    proxy.stop();
    assert_eq!(read_all(&mut idle).await, (String::new(), true));
    may_answer.notify_one();
    assert!(read_all(&mut busy).await.0.ends_with("ok"));
    within(proxy.serving).await.unwrap();
    assert!(TcpStream::connect(proxy.address).await.is_err());
}

#[tokio::test]
async fn what_lasts_longer_than_the_grace_is_cut_and_does_not_look_whole() {
    let url = service(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        send(&mut stream, "HTTP/1.1 200 OK\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    })
    .await;
    let settings = Settings { grace: Duration::from_millis(20), ..Settings::default() };
    let proxy = Proxy::start_with(&url, Recorder::default(), false, settings).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.0\r\n\r\n").await;
    read_until(&mut client, b"half").await;
    proxy.stop();
    assert_eq!(read_all(&mut client).await, (String::new(), false), "the client must see a reset");
    within(proxy.serving).await.unwrap();
}

#[tokio::test]
async fn one_client_connection_keeps_to_one_upstream_connection() {
    let url = answering(&[
        ("GET /1 HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET /2 HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
    ])
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    for target in ["/1", "/2"] {
        send(&mut client, format!("GET {target} HTTP/1.1\r\n\r\n")).await;
        read_until(&mut client, b"\r\n\r\n").await;
    }
    client.shutdown().await.unwrap();
    assert_eq!(proxy.seen(2).await.len(), 2);
}
