//! A service in a container that calls through the forward proxy and opens the authority's certificate by its path: recorded
//! and replayed with real TLS from end to end.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::ca::{CertificateAuthority, Validity};

use crate::{
    contained::{Container, Image, answer_each},
    otherwise::{Capturing, capture_of, free_port},
    proxied::{ask, await_listener, model},
    retake,
    shipped::docker,
};

/// Where the service in a container knows its certificate to be: no variable names it.
const CERTIFICATE: &str = "/opt/trusted.pem";

/// Not a test: a service that asks the model through HTTPS_PROXY, and trusts one file that it opens by its path. Run as
/// `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the tests beside it"]
fn service() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(port), Some(proxy), Some(model)) = (variable("PORT"), variable("HTTPS_PROXY"), variable("MODEL")) else {
        return;
    };
    if variable("SSL_CERT_FILE").as_deref() != Some(CERTIFICATE) {
        // What is trusted here is read from a variable, whatever the container's say.
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "trusting::service", "--ignored", "--nocapture"]);
        panic!("{}", again.env("SSL_CERT_FILE", CERTIFICATE).exec());
    }
    answer_each(("127.0.0.1", port.parse().unwrap()), |_| {
        let answer = ask_through(proxy.strip_prefix("http://").unwrap(), &model);
        answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body).to_owned()
    });
}

/// One question over TLS in a tunnel; the answer, or why there was none.
fn ask_through(proxy: &str, model: &str) -> String {
    let tunnel = TcpListener::bind("127.0.0.1:0").unwrap();
    let inner = tunnel.local_addr().unwrap().port();
    let (proxy, model) = (proxy.to_owned(), model.to_owned());
    thread::spawn(move || dig(&tunnel, &proxy, &model));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let upstream = format!("https://model.localhost:{inner}").parse().unwrap();
        let mut stream = match wire::Connector::new().connect(&upstream, Duration::from_secs(10)).await {
            Ok(stream) => stream,
            Err(error) => return format!("{error:?}"),
        };
        let request = "GET /greeting HTTP/1.1\r\nHost: model.localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // An end without TLS's own is one all the same.
        stream.read_to_end(&mut answer).await.ok();
        String::from_utf8_lossy(&answer).into_owned()
    })
}

/// Leads one connection to the model through the proxy.
fn dig(tunnel: &TcpListener, proxy: &str, model: &str) {
    let (mut near, _) = tunnel.accept().unwrap();
    let mut far = TcpStream::connect(proxy).unwrap();
    write!(far, "CONNECT {model} HTTP/1.1\r\nHost: {model}\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        far.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let (mut from_near, mut to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut from_near, &mut to_far));
    // Either side may end it.
    std::io::copy(&mut far, &mut near).ok();
}

#[test]
fn a_container_that_opens_its_certificate_by_path_finds_this_runs_own_there() {
    if !docker("a_container_that_opens_its_certificate_by_path_finds_this_runs_own_there") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(CertificateAuthority::make("a private authority", Validity::WHENEVER).unwrap());
    std::fs::write(folder.path().join("private.pem"), authority.certificate_pem()).unwrap();
    let model = format!("model.localhost:{}", model(authority));
    let made = retake(folder.path(), &["ca", "--dir", "ca", "--json"]);
    assert_eq!(made.code, 0, "{}", made.err);

    let (port, proxy) = (free_port(), format!("127.0.0.1:{}", free_port()));
    let image = Image::of_these_tests("trusting", &[]);
    let trusted = format!("{}:{CERTIFICATE}:ro", folder.path().join("ca/ca.pem").display());
    let variables = [format!("PORT={port}"), format!("HTTPS_PROXY=http://{proxy}"), format!("MODEL={model}")];
    let variables = variables.iter().flat_map(|variable| ["--env", variable]);
    let service = [&image.0, "/it", "--exact", "trusting::service", "--ignored", "--nocapture"];
    let settings = ["--network", "host", "--volume", &trusted];
    let arguments: Vec<&str> = settings.into_iter().chain(variables).chain(service).collect();
    let container = Container::run("trusting", &arguments);

    let upstream = format!("http://127.0.0.1:{port}");
    let forward = format!("--forward-proxy={proxy}");
    let more = ["--ca-dir", "ca", "--no-default-dependencies", &forward, "--container", &container.0];
    let mut capture = capture_of(folder.path(), &upstream, &more);
    capture.env("SSL_CERT_FILE", folder.path().join("private.pem"));
    let capture = Capturing::start(capture);
    await_listener(port);
    let answer = ask(&capture.address);
    assert!(answer.ends_with("hello"), "{answer}");
    capture.stop();
    drop(container);

    let ran = retake(folder.path(), &["replay", ".retake", "--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let injected = ran.json()["receipt"]["injected"].to_string();
    assert!(injected.contains("/opt/trusted.pem: the certificate made for this run"), "{injected}");
}
