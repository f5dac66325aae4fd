//! Heads pass as they are, but for the listed edits.

use std::sync::{Arc, Mutex};

use exchange::End;
use tokio::io::AsyncWriteExt;
use wire::proxy::Settings;

use crate::support::{Proxy, Recorder, answering, read_all, read_until, send, service, text, within};

#[tokio::test]
async fn order_case_spacing_and_repetition_of_fields_pass_unchanged_both_ways() {
    let request = "POST /a[b]?x=<y>&z=\u{fc} HTTP/1.1\r\nb: 1\r\nA:2\r\nB:   3  \r\nhOsT: x\r\na: 4\r\nno colon\r\nContent-Length: 2\r\n\r\nhi";
    let answer = "HTTP/1.1 299 \r\nX: 1\r\nserver:\tx\r\nx: 2\r\nX:\r\nContent-Length: 3\r\n\r\nyes";
    let got = Arc::new(Mutex::new(String::new()));
    let keep = got.clone();
    let url = service(move |mut stream| {
        let keep = keep.clone();
        async move {
            *keep.lock().unwrap() = text(&read_until(&mut stream, b"\r\n\r\nhi").await);
            send(&mut stream, answer).await;
        }
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, request).await;
    assert_eq!(read_all(&mut client).await, (answer.to_owned(), true));
    assert_eq!(*got.lock().unwrap(), request);
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!(seen.head + "hi", request);
    assert_eq!(seen.response_head.unwrap() + "yes", answer);
    assert_eq!((seen.request_body, seen.end), (b"hi".to_vec(), Some(End::Complete)));
}

#[tokio::test]
async fn ten_thousand_fields_pass_both_ways() {
    let fields: String = (0..10_000).map(|number| format!("Field-{}: value {number}\r\n", number % 700)).collect();
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    let answered = answer.clone();
    let url = service(move |mut stream| {
        let answer = answered.clone();
        async move {
            read_until(&mut stream, b"\r\n\r\n").await;
            send(&mut stream, answer).await;
        }
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, format!("GET / HTTP/1.1\r\n{fields}\r\n")).await;
    assert_eq!(read_all(&mut client).await.0, answer);
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!((seen.head.lines().count(), seen.response_head), (10_002, Some(answer)));
}

#[tokio::test]
async fn a_dependency_gets_its_own_host_its_base_path_and_a_traceparent() {
    let head = "POST /v1/chat HTTP/1.1\r\nA: 1\r\nHost: HOST\r\ntraceparent: 00-aa-bb-01\r\n\r\n";
    let got = Arc::new(Mutex::new(String::new()));
    let keep = got.clone();
    let url = service(move |mut stream| {
        let keep = keep.clone();
        async move {
            *keep.lock().unwrap() = text(&read_until(&mut stream, b"\r\n\r\n").await);
            send(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    })
    .await;
    let recorder = Recorder { traceparent: Some("00-aa-bb-01".to_owned()), ..Recorder::default() };
    let proxy = Proxy::start_with(&format!("{url}/v1"), recorder, true, Settings::default()).await;
    let mut client = proxy.client().await;
    send(&mut client, "POST /chat HTTP/1.1\r\nA: 1\r\nHost: 127.0.0.1:9\r\n\r\n").await;
    read_until(&mut client, b"\r\n\r\n").await;
    let authority = url.strip_prefix("http://").unwrap();
    assert_eq!(*got.lock().unwrap(), head.replace("HOST", authority));
    assert_eq!(proxy.seen(1).await[0].head, "POST /chat HTTP/1.1\r\nA: 1\r\nHost: 127.0.0.1:9\r\n\r\n");
}

#[tokio::test]
async fn a_traceparent_that_is_there_stays_as_it_is() {
    let got = Arc::new(Mutex::new(String::new()));
    let keep = got.clone();
    let url = service(move |mut stream| {
        let keep = keep.clone();
        async move {
            *keep.lock().unwrap() = text(&read_until(&mut stream, b"\r\n\r\n").await);
            send(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    })
    .await;
    let recorder = Recorder { traceparent: Some("00-aa-bb-01".to_owned()), ..Recorder::default() };
    let proxy = Proxy::start_with(&url, recorder, false, Settings::default()).await;
    let mut client = proxy.client().await;
    let head = "GET / HTTP/1.1\r\nHost: x\r\nTraceParent: 00-cc-dd-00\r\n\r\n";
    send(&mut client, head).await;
    read_until(&mut client, b"\r\n\r\n").await;
    assert_eq!(*got.lock().unwrap(), head);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_over_one_upstream_connection() {
    let url = answering(&[
        ("GET /1 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"),
        ("POST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"),
        ("\r\nGET /3 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3"),
    ])
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(
        &mut client,
        "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\r\nGET /3 HTTP/1.1\r\n\r\n",
    )
    .await;
    client.shutdown().await.unwrap();
    let one = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(read_all(&mut client).await, (format!("{one}1{one}2{one}3"), true));
    let seen = proxy.seen(3).await;
    assert_eq!(seen[1].request_body, b"x");
    assert_eq!(seen[2].head, "GET /3 HTTP/1.1\r\n\r\n");
    assert!(seen.iter().all(|seen| seen.end == Some(End::Complete)));
}

#[tokio::test]
async fn answers_without_a_body_keep_the_connection() {
    let url = answering(&[
        ("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        ("GET /204 HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET /304 HTTP/1.1\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"),
    ])
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    for (method, target) in [("HEAD", "/"), ("GET", "/204"), ("GET", "/304")] {
        send(&mut client, format!("{method} {target} HTTP/1.1\r\n\r\n")).await;
        read_until(&mut client, b"\r\n\r\n").await;
    }
    let seen = proxy.seen(3).await;
    assert!(seen.iter().all(|seen| seen.end == Some(End::Complete) && seen.response_body().is_empty()));
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_the_services_own() {
    let url = service(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        send(&mut stream, "HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n").await;
        read_until(&mut stream, b"body").await;
        send(&mut stream, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let mut client = proxy.client().await;
    send(&mut client, "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    let interim = text(&read_until(&mut client, b"\r\n\r\n").await);
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n");
    send(&mut client, "body").await;
    assert!(read_all(&mut client).await.0.starts_with("HTTP/1.1 201"));
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!((seen.interim, seen.request_body), (vec![interim], b"body".to_vec()));
}

#[tokio::test]
async fn without_an_upstream_the_client_gets_our_502() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(&format!("http://{free}")).await;
    let mut client = proxy.client().await;
    send(&mut client, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo").await;
    let (answer, clean) = read_all(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n") && answer.contains("\r\nretake-error: "), "{answer}");
    assert!(clean && answer.contains(&free.to_string()));
    let seen = proxy.seen(1).await.remove(0);
    assert!(matches!(seen.end, Some(End::Unreachable { reason }) if reason.contains("refused")));
    assert_eq!(seen.response_head, None);
}

#[tokio::test]
async fn a_tap_that_panics_costs_a_record_and_no_request() {
    let url = answering(&[
        ("\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
    ])
    .await;
    let recorder = Recorder { panics: true, ..Recorder::default() };
    let proxy = Proxy::start_with(&url, recorder, false, Settings::default()).await;
    let mut client = proxy.client().await;
    send(&mut client, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi").await;
    assert!(text(&read_until(&mut client, b"ok").await).starts_with("HTTP/1.1 200"));
    send(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    assert!(text(&within(read_until(&mut client, b"\r\n\r\n")).await).starts_with("HTTP/1.1 204"));
}
