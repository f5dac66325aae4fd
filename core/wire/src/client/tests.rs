use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::duplex;

use tokio::io::AsyncReadExt;

use super::*;

fn ticking_clock() -> Box<Clock> {
    let ticks = AtomicU64::new(0);
    Box::new(move || ticks.fetch_add(1, Ordering::Relaxed))
}

/// Sends `request` to a server that answers with `answer` and then does not close; what it was sent comes back too.
async fn exchange_with(request: Outgoing<'_>, answer: &[u8], closes: bool, limits: &Limits) -> (Reply, Vec<u8>) {
    let (mut ours, mut theirs) = duplex(1 << 20);
    theirs.write_all(answer).await.unwrap();
    if closes {
        theirs.shutdown().await.unwrap();
    }
    let reply = exchange(&mut ours, request, limits, &ticking_clock()).await;
    drop(ours);
    let mut sent = Vec::new();
    theirs.read_to_end(&mut sent).await.unwrap();
    (reply, sent)
}

const GET: Outgoing<'_> =
    Outgoing { head: b"GET / HTTP/1.1\r\nB: 1\r\na: 2\r\n\r\n", body: &[], trailers: b"", is_whole: true };

#[tokio::test]
async fn head_bytes_go_out_as_recorded_and_a_chunked_body_is_chunked_again() {
    let request = Outgoing {
        head: b"POST /a[b] HTTP/1.1\nTransfer-Encoding:chunked\n\n",
        body: &[b"hello", b"", b" world"],
        trailers: b"Sum: 1\r\n\r\n",
        is_whole: true,
    };
    let expected =
        b"POST /a[b] HTTP/1.1\nTransfer-Encoding:chunked\n\n5\r\nhello\r\n6\r\n world\r\n0\r\nSum: 1\r\n\r\n";
    let (mut ours, mut theirs) = duplex(1 << 16);
    let server = tokio::spawn(async move {
        let mut sent = vec![0; expected.len()];
        theirs.read_exact(&mut sent).await.unwrap();
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        sent
    });
    let reply = exchange(&mut ours, request, &Limits::default(), &ticking_clock()).await;
    let sent = server.await.unwrap();
    let expected =
        b"POST /a[b] HTTP/1.1\nTransfer-Encoding:chunked\n\n5\r\nhello\r\n6\r\n world\r\n0\r\nSum: 1\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&sent), String::from_utf8_lossy(expected));
    assert_eq!((reply.end, reply.body, reply.is_reusable), (ReplyEnd::Complete, b"ok".to_vec(), true));
    assert!(reply.request_ended_ns.is_some());
}

#[tokio::test]
async fn interim_responses_chunks_and_trailers_are_kept_apart() {
    let answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n";
    let (reply, _) = exchange_with(GET, answer, false, &Limits::default()).await;
    assert_eq!(reply.interim.len(), 1);
    assert_eq!((reply.body.as_slice(), reply.trailers.as_slice()), (&b"abc"[..], &b"T: 1\r\n\r\n"[..]));
    assert_eq!(reply.chunks.iter().map(|chunk| chunk.offset).collect::<Vec<_>>(), [0]);
    assert_eq!(reply.end, ReplyEnd::Complete);
}

#[tokio::test]
async fn an_answer_that_ends_inside_a_chunk_is_cut_and_what_came_is_kept() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc";
    let (reply, _) = exchange_with(GET, answer, true, &Limits::default()).await;
    assert_eq!((reply.end, reply.body, reply.is_reusable), (ReplyEnd::Cut, b"abc".to_vec(), false));
}

#[tokio::test]
async fn an_answer_until_close_is_complete_at_the_close_and_the_stream_is_used_up() {
    let (reply, _) = exchange_with(GET, b"HTTP/1.1 200 OK\r\n\r\nall", true, &Limits::default()).await;
    assert_eq!((reply.end, reply.body, reply.is_reusable), (ReplyEnd::Complete, b"all".to_vec(), false));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_wait_and_keeps_what_came() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    let (reply, _) = exchange_with(GET, answer, false, &Limits::default()).await;
    assert_eq!((reply.end, reply.body), (ReplyEnd::TimedOut, b"abc".to_vec()));
    assert!(reply.head.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_waits_for_100_continue_goes_after_a_second_of_silence() {
    let request = Outgoing {
        head: b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        body: &[b"hi"],
        ..GET
    };
    let limits = Limits { silence_max: Duration::from_secs(5), ..Limits::default() };
    let (reply, sent) = exchange_with(request, b"", false, &limits).await;
    assert_eq!(reply.end, ReplyEnd::TimedOut);
    assert!(sent.ends_with(b"\r\n\r\nhi"));
}

#[tokio::test]
async fn a_body_over_the_limit_and_an_answer_that_is_none_are_told() {
    let limits = Limits { body_bytes_max: 2, ..Limits::default() };
    let (reply, _) = exchange_with(GET, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, &limits).await;
    assert_eq!((reply.end, reply.body), (ReplyEnd::TooLong, b"ab".to_vec()));
    let (reply, _) = exchange_with(GET, b"SSH-2.0", false, &Limits::default()).await;
    assert_eq!((reply.end, reply.body), (ReplyEnd::Unclear(Unclear::NotHttp1), b"SSH-2.0".to_vec()));
}

#[tokio::test]
async fn bodies_that_share_a_room_have_it_between_them_for_as_long_as_they_are_held() {
    let limits = Limits { room: Some(Room::of(64)), ..Limits::default() };
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n012345678901234567890123456789";
    let (one, _) = exchange_with(GET, answer, false, &limits).await;
    let (other, _) = exchange_with(GET, answer, false, &limits).await;
    assert_eq!((&one.end, one.body.len()), (&ReplyEnd::Complete, 30));
    assert_eq!((&other.end, other.body.len()), (&ReplyEnd::TooLong, 0), "a body and its time have some 46 bytes");
    drop(one);
    let (third, _) = exchange_with(GET, answer, false, &limits).await;
    assert_eq!(third.end, ReplyEnd::Complete);
}

#[tokio::test]
async fn a_cut_request_ends_the_sending_side_without_its_last_chunk() {
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = Outgoing { head, body: &[b"abc"], is_whole: false, ..GET };
    let (mut ours, mut theirs) = duplex(1 << 16);
    let server = tokio::spawn(async move {
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        sent
    });
    let reply = exchange(&mut ours, request, &Limits::default(), &ticking_clock()).await;
    assert!(server.await.unwrap().ends_with(b"3\r\nabc\r\n"));
    assert_eq!(reply.end, ReplyEnd::Cut);
}

#[tokio::test]
async fn a_raw_exchange_sends_its_bytes_and_gathers_until_the_end() {
    let (mut ours, mut theirs) = duplex(1 << 16);
    theirs.write_all(b"SSH-2.0-x").await.unwrap();
    theirs.shutdown().await.unwrap();
    let reply = exchange_raw(&mut ours, b"\x16\x03", &Limits::default(), &ticking_clock()).await;
    assert_eq!((reply.end, reply.body), (ReplyEnd::Complete, b"SSH-2.0-x".to_vec()));
}
