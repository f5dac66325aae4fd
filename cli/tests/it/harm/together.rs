//! Several captures that write to one store, and readers beside them.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::*;

/// Captures at once, clients of each, and what each client asks.
const CAPTURES: usize = 3;
const CLIENTS: usize = 2;
const ASKED: usize = 150;

/// Reads a store again and again, with one command after another, until it is told to stop.
fn keep_reading(folder: &Path, stop: &AtomicBool, read: &AtomicUsize) {
    let (mut listed, mut verified) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let ls = retake(folder, &["ls", "store", "--json"]);
        assert_eq!(ls.code, 0, "{}", ls.err);
        let exchanges = ls.json()["exchanges"].as_array().unwrap().clone();
        assert!(exchanges.len() >= listed, "what was listed once stays: {} of {listed}", exchanges.len());
        listed = exchanges.len();
        let verify = retake(folder, &["verify", "store", "--json"]);
        assert_eq!(verify.code, 0, "{}{}", verify.out, verify.err);
        let count = verify.json()["exchanges"].as_u64().unwrap();
        assert!(count >= verified, "what was whole once stays: {count} of {verified}");
        verified = count;
        if let Some(last) = exchanges.last() {
            let show = retake(folder, &["show", "store", last["id"].as_str().unwrap(), "--json"]);
            assert_eq!(show.code, 0, "{}", show.err);
        }
        read.fetch_add(1, Ordering::Relaxed);
    }
}

fn capture_of(folder: &Path, upstream: SocketAddr, number: usize) -> Capture {
    let own = folder.join(number.to_string());
    std::fs::create_dir_all(&own).unwrap();
    Capture::of(&own, upstream, &["--store", "../store", "--sync-interval", "20ms"])
}

#[test]
fn several_captures_write_to_one_store_while_it_is_read_and_each_exchange_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = serve_ok();
    let captures: Vec<_> = (0..CAPTURES).map(|number| capture_of(folder.path(), upstream, number)).collect();
    let (stop, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let reader = {
        let (folder, stop, read) = (folder.path().to_owned(), Arc::clone(&stop), Arc::clone(&read));
        thread::spawn(move || keep_reading(&folder, &stop, &read))
    };
    let clients = captures.iter().enumerate().flat_map(|(number, capture)| {
        let address = capture.address(0);
        (0..CLIENTS).map(move |client| {
            thread::spawn(move || {
                for asked in 0..ASKED {
                    assert!(get(address, &format!("/{number}/{client}/{asked}")).ends_with("ok"));
                }
            })
        })
    });
    clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().unwrap());
    // One after another, so that some are sealed while others are written to.
    for capture in captures {
        assert_eq!(capture.stop()["exchanges"], CLIENTS * ASKED);
        let before = read.load(Ordering::Relaxed);
        while read.load(Ordering::Relaxed) < before + 2 && !reader.is_finished() {
            pause(Duration::from_millis(10));
        }
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    let listed = retake(folder.path(), &["ls", "store", "--json"]).json();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for exchange in listed["exchanges"].as_array().unwrap() {
        *counts.entry(exchange["title"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(counts.len(), CAPTURES * CLIENTS * ASKED);
    assert!(counts.values().all(|count| *count == 1));
    let report = retake(folder.path(), &["verify", "store", "--json"]).json();
    assert_eq!((report["files"].as_u64(), report["torn"].as_array().unwrap().len()), (Some(CAPTURES as u64), 0));
}

#[test]
fn what_a_killed_capture_left_half_is_cut_off_by_the_next_and_said_and_what_lives_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = serve_ok();
    let [living, killed] = [0, 1].map(|number| capture_of(folder.path(), upstream, number));
    get(living.address(0), "/living/1");
    get(killed.address(0), "/killed/1");
    let whole = |count: u64| {
        while retake(folder.path(), &["verify", "store", "--json"]).json()["exchanges"] != count {
            pause(Duration::from_millis(20));
        }
    };
    whole(2);
    let session = killed.started["session"].as_str().unwrap().to_owned();
    let left = folder.path().join(format!("store/segments/{session}-000.retake"));
    killed.kill();
    // As it is when it is killed in the middle of a write.
    OpenOptions::new().append(true).open(&left).unwrap().write_all(b"half of a block").unwrap();
    let torn = retake(folder.path(), &["ls", "store"]);
    assert!(torn.code == 0 && torn.err.contains("torn tail"), "{}", torn.err);
    let next = capture_of(folder.path(), upstream, 2);
    let said = std::fs::read_to_string(folder.path().join("2/errors.txt")).unwrap() + &next.started.to_string();
    assert!(said.contains(&session) && said.contains("15 bytes"), "{said}");
    get(next.address(0), "/next/1");
    get(living.address(0), "/living/2");
    assert_eq!(living.stop()["exchanges"], 2);
    assert_eq!(next.stop()["exchanges"], 1);
    whole(4);
    let ls = retake(folder.path(), &["ls", "store"]);
    assert!(ls.code == 0 && !ls.err.contains("torn tail"), "{}", ls.err);
}
