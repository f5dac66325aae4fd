//! A forward proxy, as clients that honour HTTPS_PROXY use it.

use std::sync::Arc;

use exchange::{End, Transport};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wire::ca::{CertificateAuthority, TlsTrouble, Validity};

use crate::{
    support::{Proxy, answering, read_all, read_until, send, service, within},
    tls::{in_a_process_that_trusts, tls_service},
};

fn authority() -> Arc<CertificateAuthority> {
    Arc::new(CertificateAuthority::make("Retake CA", Validity::WHENEVER).unwrap())
}

/// TLS with what is behind a tunnel, trusting `certificate`.
async fn tls(
    stream: TcpStream,
    certificate: &str,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(pem::parse(certificate).unwrap().into_contents().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// A tunnel to `target`.
async fn tunnel(proxy: &Proxy, target: &str) -> TcpStream {
    let mut client = proxy.client().await;
    send(&mut client, format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).await;
    let answer = read_until(&mut client, b"\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    client
}

/// Two requests in one tunnel to `https://localhost:PORT`, and what the client and the observer saw.
async fn ask_in_a_tunnel(port: u16) -> String {
    let authority = authority();
    let proxy = Proxy::forwarding(authority.clone(), &[]).await;
    let stream = tunnel(&proxy, &format!("localhost:{port}")).await;
    let mut stream = tls(stream, &authority.certificate_pem(), "localhost", &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut answer = Vec::new();
    stream.write_all(format!("GET /a HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes()).await.unwrap();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    let seen = proxy.seen(1).await.remove(0);
    assert!(seen.head.starts_with("GET /a HTTP/1.1"), "{}", seen.head);
    assert_eq!(seen.destination, Some(format!("https://localhost:{port}")));
    format!("{:?} {:?} {}", seen.end, seen.transport, String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn what_is_said_in_a_tunnel_is_understood_and_its_host_is_verified() {
    let (port, trusted) = tls_service().await;
    let answer = in_a_process_that_trusts(&trusted, "forward::asks_in_a_tunnel", port).await;
    assert!(answer.contains("Some(Complete) Http1 HTTP/1.1 200 OK") && answer.contains("safe"), "{answer}");
    let (_, another) = tls_service().await;
    let answer = in_a_process_that_trusts(&another, "forward::asks_in_a_tunnel", port).await;
    assert!(answer.contains("HTTP/1.1 502") && answer.contains("invalid peer certificate"), "{answer}");
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn asks_in_a_tunnel() {
    println!("{}", ask_in_a_tunnel(std::env::var("TLS_PORT").unwrap().parse().unwrap()).await);
}

#[tokio::test]
async fn a_request_that_names_its_host_goes_there_and_the_next_one_elsewhere() {
    let one = answering(&[("\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")]).await;
    let two = service(|mut stream| async move {
        let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n").await).unwrap();
        send(
            &mut stream,
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{head}", head.len()),
        )
        .await;
    })
    .await;
    let proxy = Proxy::forwarding(authority(), &[]).await;
    let mut client = proxy.client().await;
    send(&mut client, format!("GET {one}/a HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    read_until(&mut client, b"one").await;
    send(&mut client, format!("GET {two}/b?c HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\n\r\n")).await;
    let (answer, _) = read_all(&mut client).await;
    let host = two.strip_prefix("http://").unwrap();
    assert!(answer.ends_with(&format!("GET /b?c HTTP/1.1\r\nHost: {host}\r\n\r\n")), "{answer}");
    let seen = proxy.seen(2).await;
    assert!(seen[1].head.starts_with(&format!("GET {two}/b?c HTTP/1.1\r\n")), "{}", seen[1].head);
    assert_eq!([seen[0].destination.clone(), seen[1].destination.clone()], [Some(one), Some(two)]);
}

#[tokio::test]
async fn in_a_tunnel_http_in_the_clear_is_understood_and_anything_else_passes_as_it_is() {
    let clear = answering(&[("\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]).await;
    let proxy = Proxy::forwarding(authority(), &[]).await;
    let mut client = tunnel(&proxy, clear.strip_prefix("http://").unwrap()).await;
    send(&mut client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut client, b"ok").await;
    let other = service(|mut stream| async move {
        read_until(&mut stream, b"\x01\x02\x03").await;
        send(&mut stream, b"\x04\x05").await;
    })
    .await;
    let mut client = tunnel(&proxy, other.strip_prefix("http://").unwrap()).await;
    send(&mut client, b"\x01\x02\x03").await;
    assert_eq!(read_all(&mut client).await, ("\u{4}\u{5}".to_owned(), true));
    client.shutdown().await.unwrap();
    let seen = proxy.seen(2).await;
    assert_eq!((seen[0].transport, seen[1].transport), (Transport::Http1, Transport::Raw));
    assert_eq!(
        (seen[1].request_body.as_slice(), seen[1].response_body().as_slice()),
        (&b"\x01\x02\x03"[..], &b"\x04\x05"[..])
    );
    assert_eq!(seen[1].destination, Some(other));
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    let greeter = service(|mut stream| async move {
        send(&mut stream, "220 ready\r\n").await;
        read_until(&mut stream, b"QUIT\r\n").await;
        send(&mut stream, "221 bye\r\n").await;
    })
    .await;
    let proxy = Proxy::forwarding(authority(), &[]).await;
    let mut client = tunnel(&proxy, greeter.strip_prefix("http://").unwrap()).await;
    read_until(&mut client, b"220 ready\r\n").await;
    send(&mut client, "QUIT\r\n").await;
    assert_eq!(read_all(&mut client).await.0, "221 bye\r\n");
    client.shutdown().await.unwrap();
    assert_eq!(proxy.seen(1).await[0].transport, Transport::Raw);
}

#[tokio::test]
async fn a_host_to_be_left_alone_keeps_its_own_tls() {
    let (port, its_authority) = tls_service().await;
    let proxy = Proxy::forwarding(authority(), &["localhost"]).await;
    let stream = tunnel(&proxy, &format!("localhost:{port}")).await;
    let mut stream = tls(stream, &its_authority, "localhost", &[]).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    drop(stream);
    assert!(answer.ends_with("safe"));
    let seen = proxy.seen(1).await.remove(0);
    assert_eq!((seen.transport, seen.destination.clone()), (Transport::Raw, Some(format!("https://localhost:{port}"))));
    assert!(!String::from_utf8_lossy(&seen.response_body()).contains("safe"));
}

#[tokio::test]
async fn a_client_that_does_not_trust_us_is_told_of_and_so_is_one_that_speaks_only_http2() {
    let ours = authority();
    let proxy = Proxy::forwarding(ours.clone(), &[]).await;
    let other = authority();
    let stream = tunnel(&proxy, "localhost:443").await;
    assert!(tls(stream, &other.certificate_pem(), "localhost", &[]).await.is_err());
    let stream = tunnel(&proxy, "localhost:443").await;
    assert!(tls(stream, &ours.certificate_pem(), "localhost", &["h2"]).await.is_err());
    let troubles = within(async {
        loop {
            let troubles = proxy.troubles.lock().unwrap().clone();
            if troubles.len() == 2 {
                return troubles;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(matches!(&troubles[0], (host, TlsTrouble::NotTrusted { .. }) if host == "https://localhost"));
    assert_eq!(troubles[1].1, TlsTrouble::OnlyHttp2);
}

#[tokio::test]
async fn what_names_no_destination_gets_an_answer_that_says_so() {
    let proxy = Proxy::forwarding(authority(), &[]).await;
    let mut too_long = b"CONNECT ".to_vec();
    too_long.resize(3 << 20, b'a');
    let wrong: [&[u8]; 8] = [
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\n\r\n",
        b"CONNECT host:99999 HTTP/1.1\r\n\r\n",
        b"CONNECT a@b:1 HTTP/1.1\r\n\r\n",
        b"GET ftp://host/ HTTP/1.1\r\n\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        &too_long,
    ];
    for bytes in wrong {
        let mut client = proxy.client().await;
        // What is too long may be refused before all of it was sent.
        client.write_all(bytes).await.ok();
        let (answer, _) = read_all(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("retake-error: no-destination"), "{answer}");
    }
}

#[tokio::test]
async fn a_tunnel_to_nowhere_and_garbage_in_one_end_and_the_proxy_goes_on() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::forwarding(authority(), &[]).await;
    let mut client = tunnel(&proxy, &free.to_string()).await;
    send(&mut client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(read_all(&mut client).await.0.starts_with("HTTP/1.1 502"));
    assert!(matches!(proxy.seen(1).await[0].end, Some(End::Unreachable { .. })));
    for garbage in [&b"\x16\x03\x01\xff\xff\xff"[..], b"\x16\x03\x01\x00\x04abcd", b"\x16"] {
        let mut client = tunnel(&proxy, &free.to_string()).await;
        send(&mut client, garbage).await;
        client.shutdown().await.unwrap();
        read_all(&mut client).await;
    }
    tunnel(&proxy, &free.to_string()).await;
}
