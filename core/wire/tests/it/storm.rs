//! Many clients at once, some of which leave in the middle: every exchange comes to its end, and no answer is another's.

use exchange::End;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Proxy, read_until, send, service, text};

const CLIENTS: usize = 48;
const REQUESTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exchange_ends_and_every_client_gets_its_own_answer() {
    let url = service(|mut stream| async move {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let target = text(&head).split(' ').nth(1).unwrap().to_owned();
            let body = target.repeat(50);
            let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len());
            let sent = stream.write_all(answer.as_bytes()).await;
            tokio::task::yield_now().await;
            if sent.is_err() || stream.write_all(b"0\r\n\r\n").await.is_err() {
                return;
            }
        }
    })
    .await;
    let proxy = Proxy::start(&url).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let address = proxy.address;
            tokio::spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                for number in 0..REQUESTS {
                    let target = format!("/{client}/{number}");
                    send(&mut stream, format!("GET {target} HTTP/1.1\r\n\r\n")).await;
                    if client % 4 == 3 && number == client % REQUESTS {
                        return number + 1;
                    }
                    let got = text(&read_until(&mut stream, b"\r\n0\r\n\r\n").await);
                    assert!(got.contains(&format!("\r\n{}\r\n", target.repeat(50))), "{got}");
                }
                REQUESTS
            })
        })
        .collect();
    let mut sent = 0;
    for client in clients {
        sent += client.await.unwrap();
    }
    let seen = proxy.seen(sent).await;
    assert_eq!(seen.len(), sent);
    let complete = seen.iter().filter(|seen| seen.end == Some(End::Complete)).count();
    assert!(complete >= sent - CLIENTS / 4, "{complete} of {sent}");
}
