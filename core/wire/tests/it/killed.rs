//! A proxy that is killed leaves its clients with an answer that is visibly cut, whatever it was.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use tokio::net::TcpStream;

use crate::support::{Proxy, read_all, read_until, send, service};

/// A proxy in front of `url` in a process of its own, and its address.
fn proxy_process(url: &str) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "killed::serves_until_killed", "--ignored", "--nocapture"]).env("PROXY_URL", url);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("listens on ").map(str::to_owned));
    (child, said.expect("the process says where it listens"))
}

#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn serves_until_killed() {
    let proxy = Proxy::start(&std::env::var("PROXY_URL").unwrap()).await;
    println!("\nlistens on {}", proxy.address);
    proxy.serving.await.unwrap();
}

#[tokio::test]
async fn no_answer_that_a_kill_cuts_looks_whole() {
    let url = service(|mut stream| async move {
        let head = read_until(&mut stream, b"\r\n\r\n").await;
        let fields = match &head[..6] {
            b"GET /c" => "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            b"GET /l" => "Content-Length: 8\r\n\r\nhalf",
            _ => "\r\nhalf",
        };
        send(&mut stream, format!("HTTP/1.1 200 OK\r\n{fields}")).await;
        std::future::pending::<()>().await;
    })
    .await;
    for (request, half) in [
        ("GET /chunks HTTP/1.1", "4\r\nhalf\r\n"),
        ("GET /length HTTP/1.1", "\r\n\r\nhalf"),
        ("GET /until-close HTTP/1.1", "4\r\nhalf\r\n"),
        ("GET /until-close HTTP/1.0", "\r\n\r\nhalf"),
        ("SPEAK raw", "\r\n\r\nhalf"),
    ] {
        let (mut child, address) = proxy_process(&url);
        let mut client = TcpStream::connect(&address).await.unwrap();
        send(&mut client, format!("{request}\r\n\r\n")).await;
        read_until(&mut client, half.as_bytes()).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let (rest, clean) = read_all(&mut client).await;
        let needs_reset = !request.ends_with("1.1");
        assert!(rest.is_empty() && !(clean && needs_reset), "{request}: {rest:?}, clean: {clean}");
    }
}
