//! A service that calls by HTTPS_PROXY, recorded through the forward proxy and replayed: real TLS from end to end.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::ca::{CertificateAuthority, Validity};

use crate::{
    Ran, command,
    contained::Image,
    otherwise::free_port,
    retake,
    shipped::{docker, skipped},
};

/// Asks `https://model.localhost:PORT/` for everything that it is asked, through the proxy that its environment names.
const SERVICE: &str = r#"
import http.server, os, sys, urllib.request
os.environ.pop("NO_PROXY", None); os.environ.pop("no_proxy", None)
class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            answer = urllib.request.urlopen(os.environ["MODEL"] + self.path, timeout=20).read()
        except urllib.error.HTTPError as error:
            answer = error.read()
        self.send_response(200); self.send_header("Content-Length", str(len(answer))); self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
"#;

/// A model behind TLS of an authority of its own, for as long as the test runs; its port.
pub(crate) fn model(authority: Arc<CertificateAuthority>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (mut stream, _) = authority.terminate(stream, "model.localhost").await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
                    .await
                    .unwrap();
                stream.shutdown().await.unwrap();
            }
        });
    });
    port
}

/// Waits until somebody listens there: what is asked before is answered by the capture, and recorded.
#[expect(clippy::disallowed_methods, reason = "a test without a runtime waits for another process")]
pub(crate) fn await_listener(port: u16) {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the service did not begin to listen");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn ask(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /greeting HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Records one question through the forward proxy into the folder's store.
fn record(folder: &Path, model_port: u16, trusted: &Path) {
    let port = free_port();
    let upstream = format!("http://127.0.0.1:{port}");
    std::fs::write(folder.join("service.py"), SERVICE).unwrap();
    let script = folder.join("service.py").display().to_string();
    let arguments = ["capture", "--json", "--listen", "127.0.0.1:0", "--no-default-dependencies", "--forward-proxy"];
    let rest = ["--upstream", &upstream, "--", "python3", &script, &port.to_string()];
    let mut capture = command(folder, &[&arguments[..], &rest[..]].concat());
    capture.env("SSL_CERT_FILE", trusted).env("XDG_DATA_HOME", folder.join("data"));
    capture.env("MODEL", format!("https://model.localhost:{model_port}"));
    let mut capture = capture.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(capture.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let started: serde_json::Value = serde_json::from_str(&line).unwrap();
    await_listener(port);
    let answer = ask(started["listeners"][0]["listen"].as_str().unwrap());
    assert!(answer.ends_with("hello"), "{answer}");
    let pid = capture.id().to_string();
    assert!(Command::new("/bin/kill").args(["-TERM", &pid]).status().unwrap().success());
    let ran = Ran::of(&capture.wait_with_output().unwrap());
    assert!(!ran.err.contains("not recorded"), "{}", ran.err);
}

#[test]
fn what_was_called_by_https_proxy_is_readable_replays_the_same_and_an_unknown_host_is_named() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped("what was called by https_proxy", "there is no python3 to be the service");
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(CertificateAuthority::make("a private authority", Validity::WHENEVER).unwrap());
    let trusted = folder.path().join("private.pem");
    std::fs::write(&trusted, authority.certificate_pem()).unwrap();
    let model_port = model(authority);
    record(folder.path(), model_port, &trusted);

    let listed = retake(folder.path(), &["ls"]);
    assert!(listed.out.contains(&format!("model.localhost:{model_port}: GET /greeting")), "{}", listed.out);

    let same = retake(folder.path(), &["replay", ".retake", "--json"]);
    assert_eq!(same.code, 0, "{}{}", same.out, same.err);
    assert!(same.out.contains("the certificate of an authority made for this run"), "{}", same.out);

    let other = retake(folder.path(), &["replay", ".retake", "--env", "MODEL=https://other.test"]);
    assert_eq!(other.code, 1, "{}{}", other.out, other.err);
    assert!(other.out.contains("other.test GET /greeting not recorded"), "{}", other.out);

    if docker("the certificate in a container") {
        a_container_finds_the_certificate_whichever_way_it_is_reached(folder.path());
    }
}

/// Not a test: a service that greets, for whom the certificate is where its variable says. Run as `EXECUTABLE --exact NAME
/// --ignored`.
#[test]
#[ignore = "the service of the tests beside it"]
fn service() {
    let Ok(path) = std::env::var("SSL_CERT_FILE") else { return };
    assert!(std::fs::read_to_string(path).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        if stream.read(&mut [0; 4096]).unwrap_or(0) > 0 {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"));
        }
    }
}

fn a_container_finds_the_certificate_whichever_way_it_is_reached(folder: &Path) {
    let entrypoint = r#"ENTRYPOINT ["/it", "--exact", "proxied::service", "--ignored", "--nocapture"]"#;
    let image = Image::of_these_tests("proxied", &[entrypoint]);
    for way in ["socket", "exec"] {
        let arguments = ["replay", ".retake", "--json", "--image", &image.0, "--port", "8080", "--bridge", way];
        let document = retake(folder, &arguments).json();
        // It does not ask the model, which is a difference of its own.
        assert_eq!(document["results"][0]["replayed_status"], 200, "{document:#}");
    }
}
