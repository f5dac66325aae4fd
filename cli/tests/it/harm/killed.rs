//! A capture that is killed in the middle of traffic.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::*;

/// Pieces that an answer comes in.
const PIECES: usize = 6;

/// What is between two pieces, so that a kill meets answers half way.
const PAUSE: Duration = Duration::from_millis(2);

/// An answer that ends in the way its path says.
fn answer_slowly(mut stream: TcpStream) {
    loop {
        let head = read_head(&mut stream);
        let target = target_of(&head).to_owned();
        let (fields, is_chunked) = match target.get(..2) {
            Some("/c") => ("Transfer-Encoding: chunked\r\n".to_owned(), true),
            Some("/l") => (format!("Content-Length: {}\r\n", body_of(&target).len()), false),
            Some("/e") => (String::new(), false),
            _ => return,
        };
        let mut sent = stream.write_all(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes());
        for _ in 0..PIECES {
            pause(PAUSE);
            let piece = target.repeat(100);
            let framed = if is_chunked { format!("{:x}\r\n{piece}\r\n", piece.len()) } else { piece };
            sent = sent.and_then(|()| stream.write_all(framed.as_bytes()));
        }
        if is_chunked {
            sent = sent.and_then(|()| stream.write_all(b"0\r\n\r\n"));
        }
        if sent.is_err() || target.starts_with("/e") {
            return;
        }
    }
}

fn body_of(target: &str) -> String {
    target.repeat(100 * PIECES)
}

/// What a client made of an answer.
#[derive(Debug)]
enum Got {
    Whole(String),
    /// The end came before the answer did, visibly; what there was of it.
    Cut(String),
}

/// Reads one answer the way a careful client does; a clean end is the end only where nothing else tells it.
fn read_answer(stream: &mut TcpStream) -> Got {
    let head = read_head(stream);
    if !head.ends_with("\r\n\r\n") {
        return Got::Cut(String::new());
    }
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    if let Some(len) = field("Content-Length: ") {
        return read_exactly(stream, len.parse().unwrap());
    }
    if field("Transfer-Encoding: ").is_some() {
        return read_chunks(stream);
    }
    let (got, clean) = read_rest(stream);
    let text = String::from_utf8(got).unwrap();
    if clean { Got::Whole(text) } else { Got::Cut(text) }
}

fn read_exactly(stream: &mut TcpStream, len: usize) -> Got {
    let mut got = Vec::new();
    stream.take(len as u64).read_to_end(&mut got).ok();
    let text = String::from_utf8(got).unwrap();
    if text.len() == len { Got::Whole(text) } else { Got::Cut(text) }
}

fn read_chunks(stream: &mut TcpStream) -> Got {
    let mut body = String::new();
    loop {
        let mut line = String::new();
        let mut byte = [0];
        while !line.ends_with("\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => line.push(char::from(byte[0])),
                _ => return Got::Cut(body),
            }
        }
        let len = usize::from_str_radix(line.trim(), 16).unwrap();
        match read_exactly(stream, len + 2) {
            Got::Whole(_) if len == 0 => return Got::Whole(body),
            Got::Whole(chunk) => body.push_str(&chunk[..len]),
            Got::Cut(part) => return Got::Cut(body + &part),
        }
    }
}

/// Asks again and again, each time something else, until a cut; tells each whole answer with the time it was whole.
fn keep_asking(address: SocketAddr, client: usize, asked: &AtomicUsize, whole: &Mutex<Vec<(String, Instant)>>) {
    let (kind, version) = [("c", "1.1"), ("l", "1.1"), ("e", "1.1"), ("e", "1.0")][client % 4];
    let mut stream = None;
    for number in 0.. {
        let target = format!("/{kind}/{client}/{number}");
        let open = match stream.take() {
            Some(open) => Ok(open),
            None => TcpStream::connect(address),
        };
        let Ok(mut open) = open else { return };
        open.set_read_timeout(Some(PATIENCE)).unwrap();
        asked.fetch_add(1, Ordering::Relaxed);
        if open.write_all(format!("GET {target} HTTP/{version}\r\nHost: x\r\n\r\n").as_bytes()).is_err() {
            return;
        }
        match read_answer(&mut open) {
            Got::Whole(body) => {
                assert!(body == body_of(&target), "{target} came whole and is another answer");
                whole.lock().unwrap().push((format!("GET {target}"), now()));
            }
            Got::Cut(part) => {
                let part = part.trim_end_matches(['\r', '\n']);
                assert!(body_of(&target).starts_with(part), "{target}: what came is not what was sent");
                return;
            }
        }
        if kind != "e" {
            stream = Some(open);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test measures how long something took")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn clients_of_a_killed_capture_see_a_closed_connection_and_nothing_worse_and_what_was_synced_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = serve(answer_slowly);
    let capture = Capture::of(folder.path(), upstream, &[]);
    let address = capture.address(0);
    let whole = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let (whole, asked) = (whole.clone(), asked.clone());
            thread::spawn(move || keep_asking(address, client, &asked, &whole))
        })
        .collect();
    pause(Duration::from_millis(2500));
    let killed = now();
    capture.kill();
    clients.into_iter().for_each(|client| client.join().unwrap());

    // A copy whose end is torn as a power cut would tear it.
    let torn = tempfile::tempdir().unwrap();
    copy(&folder.path().join(".retake"), &torn.path().join(".retake"));
    let segment = only_segment(torn.path());
    let len = segment.metadata().unwrap().len();
    std::fs::File::options().write(true).open(&segment).unwrap().set_len(len - 9).unwrap();

    let again = now();
    let listen = address.to_string();
    let capture = Capture::of(folder.path(), upstream, &["--listen", &listen]);
    assert!(get(address, "/l/again").ends_with(&body_of("/l/again")));
    let until_served = now() - again;
    assert!(until_served < Duration::from_secs(1), "{until_served:?}");
    capture.stop();

    let verified = retake(folder.path(), &["verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    let titles: std::collections::BTreeSet<_> =
        list(folder.path()).iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect();
    let whole = whole.lock().unwrap();
    // Twice the interval at which the store is synced, and the time that a busy machine takes to do so.
    let is_synced = |at: &Instant| *at + Duration::from_millis(800) < killed;
    let synced: Vec<_> = whole.iter().filter(|(_, at)| is_synced(at)).collect();
    assert!(synced.len() > 100, "{} of {}", synced.len(), whole.len());
    let missing: Vec<_> = synced.iter().filter(|(title, _)| !titles.contains(title)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let shown = show(folder.path(), &synced[0].0);
    assert_eq!(shown["exchange"]["end"]["end"], "complete");
    assert!(asked.load(Ordering::Relaxed) > whole.len(), "somebody was cut off");

    the_tail_is_cut_and_named(torn.path(), upstream, titles.len());
}

fn the_tail_is_cut_and_named(folder: &Path, upstream: SocketAddr, most: usize) {
    let segment = only_segment(folder);
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    let before = segment.metadata().unwrap().len();
    let verified = retake(folder, &["verify"]);
    assert!(verified.out.contains(&name) && (verified.out + &verified.err).contains("torn"), "the reader names it");
    let count = list(folder).len();
    assert!(count > 0 && count < most);
    Capture::of(folder, upstream, &[]).stop();
    let said = std::fs::read_to_string(folder.join("errors.txt")).unwrap();
    assert!(said.contains("torn tail") && said.contains(&name), "{said}");
    assert!(segment.metadata().unwrap().len() < before);
    assert_eq!(retake(folder, &["verify"]).code, 0);
    assert_eq!(list(folder).len(), count, "what could be read before is what is kept");
}

fn only_segment(folder: &Path) -> std::path::PathBuf {
    let mut segments: Vec<_> =
        std::fs::read_dir(folder.join(".retake/segments")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(segments.len(), 1);
    segments.remove(0)
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("/bin/cp").arg("-r").args([from, to]).status().unwrap().success());
}

#[test]
fn a_capture_killed_again_and_again_leaves_a_store_that_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = serve(answer_slowly);
    let mut seen = 0;
    for round in 0..6 {
        let capture = Capture::of(folder.path(), upstream, &["--sync-interval", "5ms"]);
        let address = capture.address(0);
        let stop = Arc::new(AtomicBool::new(false));
        let stops = stop.clone();
        let asks = thread::spawn(move || {
            for number in 0.. {
                let Ok(mut stream) = TcpStream::connect(address) else { return };
                if stops.load(Ordering::Relaxed) {
                    return;
                }
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(format!("GET /l/{round}/{number} HTTP/1.1\r\n\r\n").as_bytes()).ok();
                drop(read_answer(&mut stream));
            }
        });
        pause(Duration::from_millis(150 + 37 * round));
        stop.store(true, Ordering::Relaxed);
        capture.kill();
        asks.join().unwrap();
        let verified = retake(folder.path(), &["verify"]);
        assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
        let count = list(folder.path()).len();
        assert!(count > seen, "round {round}: {count}");
        seen = count;
    }
}
