//! Clients and services that would make a careless proxy grow or wait: its memory stays under its setting and a fixed part,
//! and each exchange is recorded as what it was.

use super::*;

/// What a capture needs beside `--memory` and its program, in bytes: its threads, and the buffers of the connections made here.
/// Measured: an idle capture has 4 MiB; this test's 35 connections, 64 KiB a direction and their sockets' reads, reach 33 to 38 with
/// the 16 of the setting.
const FIXED: u64 = 32 << 20;

const MEBIBYTE: u64 = 1 << 20;

/// Bytes that zstd makes little of.
fn noise() -> Vec<u8> {
    (0..1 << 20).map(|at: u32| (at.wrapping_mul(at | 1).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Answers as hard to bear as its paths say.
fn answer_badly(mut stream: TcpStream) {
    loop {
        let head = read_head(&mut stream);
        let target = target_of(&head);
        let done = match target.get(..4) {
            Some("/fie") => {
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", fields()).as_bytes())
            }
            Some("/cut") => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n8\r\nhal").ok();
                return;
            }
            Some("/big") => send_big(&mut stream, target[5..].parse().unwrap()),
            Some("/han") => {
                read_rest(&mut stream);
                return;
            }
            _ => return,
        };
        if done.is_err() {
            return;
        }
    }
}

fn send_big(stream: &mut TcpStream, mebibytes: u64) -> std::io::Result<()> {
    let len = mebibytes * MEBIBYTE;
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").as_bytes())?;
    let noise = noise();
    (0..mebibytes).try_for_each(|_| stream.write_all(&noise))
}

fn fields() -> String {
    (0..10_000).map(|number| format!("X-Field-{}: value of field {number}\r\n", number % 7)).collect()
}

fn pass_big(capture: &Capture, mebibytes: u64) -> u64 {
    let mut stream = connect(capture.address(0));
    stream.write_all(format!("GET /big/{mebibytes} HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    read_head(&mut stream);
    let mut got = 0;
    let mut buffer = vec![0; 1 << 20];
    while got < mebibytes * MEBIBYTE {
        got += match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => count as u64,
        };
    }
    got
}

#[test]
fn nobody_makes_it_grow_and_everything_is_recorded_as_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let service = serve(answer_badly);
    let hanging = format!("slow=http://{service}");
    let capture = Capture::of(folder.path(), service, &["--memory", "16MiB", "--dependency", &hanging]);
    let address = capture.address(0);

    // 32 clients that never read, each asking for more than any buffer holds.
    let deaf: Vec<_> = (0..32)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET /big/40 HTTP/1.1\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let answer = get(address, "/fields/answered");
    assert_eq!(answer.matches("X-Field-").count(), 10_000);
    let request = format!("GET /fields/asked HTTP/1.1\r\n{}Connection: close\r\n\r\n", fields());
    assert_eq!(ask(address, &request).len(), answer.len());
    let (got, _) = exchange(address, "GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(got.ends_with(b"5\r\nhello\r\n8\r\nhal"), "no more, no less than what came");
    let mut impatient = connect(capture.address(1));
    impatient.write_all(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(pass_big(&capture, 96), 96 * MEBIBYTE);
    drop(impatient);
    let peak = capture.memory_peak();
    println!("memory at its peak: {} MiB", peak >> 20);
    assert!(peak < 16 * MEBIBYTE + FIXED, "{} MiB", peak >> 20);
    drop(deaf);
    let counts = capture.stop();
    assert_eq!((&counts["exchanges"], &counts["exchanges_missed"]), (&37.into(), &0.into()));

    let ends = |title: &str| show(folder.path(), title)["exchange"]["end"]["end"].as_str().unwrap().to_owned();
    assert_eq!(ends("GET /fields/asked"), "complete");
    let cut = show(folder.path(), "GET /cut");
    assert_eq!(cut["exchange"]["end"]["end"], "upstream-reset");
    assert_eq!(
        (&cut["response_body"]["text"], &cut["exchange"]["response"]["body"]["len"]),
        (&"hellohal".into(), &8.into())
    );
    assert_eq!(ends("GET /hang"), "client-gone");
    let big = show(folder.path(), "GET /big/96");
    assert_eq!(
        (&big["exchange"]["end"]["end"], &big["exchange"]["response"]["body"]["len"]),
        (&"complete".into(), &(96 * MEBIBYTE).into())
    );
    let deaf: Vec<_> = list(folder.path()).into_iter().filter(|one| one["title"] == "GET /big/40").collect();
    assert_eq!(deaf.len(), 32);
    assert_eq!(ends("GET /big/40"), "client-gone");
    let asked = show(folder.path(), "GET /fields/asked")["exchange"]["request"]["head"].as_str().unwrap().to_owned();
    assert!(asked.contains(&fields()), "every field, in order");
    assert_eq!(retake(folder.path(), &["verify"]).code, 0);
}

#[test]
fn slow_big_a_body_of_a_gibibyte_passes_whole_in_the_memory_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Capture::of(folder.path(), serve(answer_badly), &["--memory", "16MiB", "--body-max", "2GiB"]);
    assert_eq!(pass_big(&capture, 1024), 1024 * MEBIBYTE);
    let peak = capture.memory_peak();
    println!("memory at its peak: {} MiB", peak >> 20);
    assert!(peak < 16 * MEBIBYTE + FIXED, "{} MiB", peak >> 20);
    capture.stop();
    let shown = show(folder.path(), "GET /big/1024");
    let body = &shown["exchange"]["response"]["body"];
    assert_eq!((&shown["exchange"]["end"]["end"], &body["len"]), (&"complete".into(), &(1024 * MEBIBYTE).into()));
    assert_eq!(retake(folder.path(), &["verify"]).code, 0);
}

#[test]
fn small_exchanges_that_wait_for_a_store_that_takes_nothing_wait_in_bounded_memory_and_recording_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Capture::of(folder.path(), serve_ok(), &["--memory", "4MiB"]);
    let pid = rustix::process::Pid::from_raw(i32::try_from(capture.child.id()).unwrap());
    let limit = |bytes| rustix::process::Rlimit { current: bytes, maximum: None };
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit(Some(1))).unwrap();
    let before = capture.memory_peak();
    let mut stream = connect(capture.address(0));
    // 15,000 exchanges come to 30 MB of records.
    for number in 0..15_000 {
        stream.write_all(format!("GET /{number} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let mut answer = [0; 40];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.ends_with(b"\r\n\r\nok"), "the client is answered whatever the store does");
    }
    let grown = capture.memory_peak() - before;
    assert!(grown < 12 * MEBIBYTE, "{} KiB more than before", grown >> 10);
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit(None)).unwrap();
    pause(Duration::from_millis(2500));
    assert!(get(capture.address(0), "/afterwards").ends_with("ok"));
    let counts = capture.stop();
    let said = std::fs::read_to_string(folder.path().join("errors.txt")).unwrap();
    // What it says in between would lengthen a file too, and cannot.
    assert_eq!(said.matches("the store takes what is recorded again").count(), 1, "{said}");
    let (kept, missed) = (counts["exchanges"].as_u64().unwrap(), counts["exchanges_missed"].as_u64().unwrap());
    assert!(missed > 0 && kept + missed == 15_001, "{counts}");
    assert_eq!(list(folder.path()).len() as u64, kept);
    show(folder.path(), "GET /afterwards");
    assert_eq!(retake(folder.path(), &["verify"]).code, 0);
}
