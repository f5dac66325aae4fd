//! An `https` upstream, trusted by the file that `SSL_CERT_FILE` names.

use std::{process::Command, sync::Arc};

use exchange::End;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{Proxy, read_all, send};

/// A service with TLS on loopback that speaks HTTP/1.1 only; its port, and its authority's certificate as PEM.
pub(crate) async fn tls_service() -> (u16, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust us ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nsafe").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (port, authority.pem())
}

/// What an ignored test prints in a process of its own that trusts these certificates: the variable is read by the process
/// that connects.
pub(crate) async fn in_a_process_that_trusts(certificates: &str, test: &str, port: u16) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, certificates).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--ignored", "--nocapture"]);
    child.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", &file).env("TLS_PORT", port.to_string());
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

async fn ask(url: &str) -> (String, Option<End>) {
    let proxy = Proxy::start(url).await;
    let mut client = proxy.client().await;
    send(&mut client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (answer, _) = read_all(&mut client).await;
    (answer, proxy.seen(1).await.remove(0).end)
}

#[tokio::test]
async fn an_https_upstream_is_reached_when_ssl_cert_file_names_its_authority_and_refused_otherwise() {
    let (port, authority) = tls_service().await;
    let trusted = in_a_process_that_trusts(&authority, "tls::asks_once", port).await;
    assert!(trusted.contains("HTTP/1.1 200 OK") && trusted.contains("safe"), "{trusted}");
    let another = in_a_process_that_trusts(&tls_service().await.1, "tls::asks_once", port).await;
    assert!(another.contains("HTTP/1.1 502") && another.contains("invalid peer certificate"), "{another}");
    let none = in_a_process_that_trusts("", "tls::asks_once", port).await;
    assert!(none.contains("HTTP/1.1 502") && none.contains("no trusted certificates"), "{none}");
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn asks_once() {
    let port = std::env::var("TLS_PORT").unwrap();
    println!("{:?}", ask(&format!("https://localhost:{port}")).await);
}
