use std::sync::Mutex;

use tokio::io::{DuplexStream, duplex};

use super::*;

/// Answers each request with the next of its answers and keeps what it was asked.
#[derive(Default)]
struct Recorded {
    answers: Mutex<Vec<Answer>>,
    asked: Mutex<Vec<Incoming>>,
}

impl Handler for Recorded {
    async fn answer(&self, incoming: Incoming) -> Answer {
        self.asked.lock().unwrap().push(incoming);
        self.answers.lock().unwrap().remove(0)
    }
}

fn answer(head: &str, pieces: &[&'static str]) -> Answer {
    let pieces = pieces.iter().map(|piece| (Duration::ZERO, Bytes::from_static(piece.as_bytes()))).collect();
    Answer { head: head.as_bytes().to_vec(), pieces, ..Answer::default() }
}

fn served(
    answers: Vec<Answer>,
) -> (DuplexStream, Arc<Recorded>, tokio::task::JoinHandle<io::Result<Served<DuplexStream>>>) {
    let (ours, theirs) = duplex(1 << 16);
    let handler = Arc::new(Recorded { answers: Mutex::new(answers), asked: Mutex::default() });
    let serving = tokio::spawn({
        let handler = handler.clone();
        async move { serve_stream(theirs, handler, 8, &|| 7).await }
    });
    (ours, handler, serving)
}

async fn read_all(mut stream: DuplexStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_with_the_recorded_bytes() {
    let (mut stream, handler, _serving) = served(vec![
        answer("HTTP/1.1 200 OK\nB:1\na:2\nTransfer-Encoding: chunked\n\n", &["ab", "c"]),
        answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n", &["ok"]),
    ]);
    stream.write_all(b"POST /1 HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789GET /2 HTTP/1.1\r\n\r\n").await.unwrap();
    let got = read_all(stream).await;
    let first = "HTTP/1.1 200 OK\nB:1\na:2\nTransfer-Encoding: chunked\n\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(got, format!("{first}HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"));
    let asked = handler.asked.lock().unwrap();
    assert_eq!((asked[0].body.as_slice(), asked[0].body_len, asked[0].is_whole), (&b"01234567"[..], 10, true));
    assert_eq!(asked[1].head.request_line().unwrap().target, b"/2");
}

#[tokio::test]
async fn an_answer_that_breaks_off_gives_the_stream_back_and_sends_no_end() {
    let cut =
        Answer { cut: Some(Cut::Reset), ..answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &["ab"]) };
    let (mut stream, _, serving) = served(vec![cut]);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(matches!(serving.await.unwrap().unwrap(), Served::ToBeReset(_)));
    assert!(read_all(stream).await.ends_with("2\r\nab\r\n"));
}

#[tokio::test]
async fn an_answer_shorter_than_its_length_is_never_ended_as_if_it_were_whole() {
    let (mut stream, _, serving) = served(vec![answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &["ab"])]);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(matches!(serving.await.unwrap().unwrap(), Served::ToBeReset(_)));
    drop(stream);
}

#[tokio::test]
async fn head_requests_get_no_body_and_the_stream_goes_on() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let (mut stream, _, _serving) = served(vec![answer(head, &["hello"]), answer(head, &["hello"])]);
    stream.write_all(b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(read_all(stream).await, format!("{head}{head}hello"));
}

#[tokio::test(start_paused = true)]
async fn pieces_come_no_earlier_than_their_time() {
    let mut late = answer("HTTP/1.1 200 OK\r\n\r\n", &["a", "b"]);
    late.pieces[1].0 = Duration::from_secs(3);
    let (mut stream, _, _serving) = served(vec![late]);
    let started = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut first = vec![0; 20];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!((first.last(), started.elapsed()), (Some(&b'a'), Duration::ZERO));
    assert_eq!(stream.read_u8().await.unwrap(), b'b');
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn head_and_end_come_no_earlier_than_their_times_and_neither_waits_for_the_other() {
    let mut late = answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &["a"]);
    (late.starts, late.pieces[0].0, late.ends) =
        (Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(9));
    late.cut = Some(Cut::Reset);
    let (mut stream, _, serving) = served(vec![late]);
    let started = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 47]).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(1));
    stream.read_exact(&mut [0; 6]).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(4));
    assert!(matches!(serving.await.unwrap().unwrap(), Served::ToBeReset(_)));
    assert_eq!(started.elapsed(), Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_last_byte_is_its_end_holds_up_no_other_and_one_that_closes_does_so_at_its_time() {
    let late = |head: &str| Answer { ends: Duration::from_secs(9), ..answer(head, &["ok"]) };
    let (mut stream, _, serving) = served(vec![
        late("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        late("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
    ]);
    let started = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 40 + 40]).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(9));
    drop(stream);
    assert!(matches!(serving.await.unwrap().unwrap(), Served::Clean));
}

#[tokio::test]
async fn a_body_that_waits_for_100_continue_is_called_for() {
    let (mut stream, handler, _serving) = served(vec![answer("HTTP/1.1 204 No Content\r\n\r\n", &[])]);
    stream.write_all(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await.unwrap();
    let mut interim = vec![0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_all(stream).await, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(handler.asked.lock().unwrap()[0].body, b"hi");
}

#[tokio::test]
async fn bytes_that_are_no_request_are_handed_over_raw_and_answered_raw() {
    let (mut stream, handler, _serving) = served(vec![answer("", &["bye"])]);
    stream.write_all(b"\x16\x03\x01").await.unwrap();
    assert_eq!(read_all(stream).await, "bye");
    let asked = handler.asked.lock().unwrap();
    assert_eq!((asked[0].transport, asked[0].body.as_slice()), (Transport::Raw, &b"\x16\x03\x01"[..]));
}
