use std::fs;

use exchange::{LogLine, LogLines, Stream};

use super::*;
use crate::{Record, Store, disk::noted, sample};

const HISTORY: &str = "[{\"role\":\"system\",\"content\":\"You answer for the whole house, and to everybody alike.\"}]";

fn id(number: u8) -> Id {
    Id([number; 16])
}

/// Two people's turns over one history, each with a log line, and what a run made of the first's.
fn recording(folder: &Path) -> Store {
    let store = Store::open_or_create(folder).unwrap();
    let mut writer = store.segment_writer(id(100)).unwrap();
    let mut session = sample::session(1, 10);
    session.id = id(100);
    writer.append(&Record::Session(session)).unwrap();
    put(&mut writer, 100, 1, "ann@b.example", None);
    put(&mut writer, 100, 2, "bob@c.example", None);
    writer.seal().unwrap();
    let mut run = store.run_writer(id(200)).unwrap();
    put(&mut run, 200, 21, "no name", Some(1));
    run.seal().unwrap();
    store
}

fn put(writer: &mut Writer, session: u8, number: u8, who: &str, original: Option<u8>) {
    let body = sample::body(writer, asked(who).as_bytes());
    let mut exchange = sample::exchange(1, 1, body, exchange::Body::default());
    (exchange.id, exchange.session, exchange.sequence) = (id(number), id(session), u64::from(number));
    exchange.repeats = original.map(|number| exchange::Repeats {
        original: Some(id(number)),
        repeat: 0,
        target: "an image".to_owned(),
        replacements: Vec::new(),
    });
    writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    let line = LogLine { at_ns: 5, stream: Stream::Stdout, text: format!("asked by {who}") };
    writer
        .append(&Record::LogLines(LogLines { session: id(session), subject: String::new(), lines: vec![line] }))
        .unwrap();
}

fn asked(who: &str) -> String {
    format!(r#"{{"messages":{HISTORY},"user":"{who}"}}"#)
}

fn ann() -> Search {
    Search::of(["ann@b.example"])
}

fn query(values: &Search) -> Query<'_> {
    Query { chooses: &|_, _| true, values }
}

const WHY: Why<'_> = Why { reason: "request 17", now_unix_ns: 77 };

/// All that is whole in the store, and whether the value is in any of it.
fn is_left(store: &Store) -> bool {
    let values = ann();
    let plan = Plan { store: Some(store.path().to_owned()), ..Plan::default() };
    !prove(&plan, &query(&values)).unwrap().is_empty()
}

#[test]
fn one_persons_exchanges_go_with_their_runs_and_the_others_stay_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let store = recording(folder.path());
    let values = ann();
    assert!(is_left(&store));
    let planned = plan(Some(store.path()), &[], &query(&values)).unwrap();
    assert_eq!(planned.gone, [id(1), id(21)].into());
    let actions: Vec<_> = planned.files.iter().map(|file| (&file.action, file.notes_gone)).collect();
    assert_eq!(actions, [(&Action::Rewrite, 1), (&Action::Remove, 0)]);
    let before = Archive::open(store.path()).unwrap().digest().unwrap();
    apply(&planned, &query(&values), &WHY).unwrap();
    assert_eq!(prove(&planned, &query(&values)).unwrap(), []);
    let archive = Archive::open(store.path()).unwrap();
    assert_eq!(archive.entries().len(), 1);
    let body = archive.exchange(&id(2)).unwrap().request.body;
    assert_eq!(archive.body(&body, 1 << 20).unwrap(), asked("bob@c.example").as_bytes());
    let (gone, stone) = archive.scrubbed("0101").unwrap().unwrap();
    assert_eq!((gone, stone.reason.as_str(), stone.scrubbed_unix_ns), (id(1), "request 17", 77));
    assert_eq!(stone.replaces, Some(before));
    assert!(archive.scrubbed("1515").unwrap().is_some(), "the run's exchange is told of, though its file is gone");
    assert!(archive.scrubbed("0202").unwrap().is_none());
    assert!(crate::verify(store.path(), &mut |_, _| {}).unwrap().damage.is_empty());
    let limits = prune::Limits { age_ns_max: Some(10), bytes_max: None };
    let later = prune::plan(store.path(), limits, WHY.now_unix_ns + 5).unwrap();
    assert!(later.files.iter().all(|file| file.action != prune::Action::Remove), "a tombstone is as old as its scrub");
    // Scrubbed is scrubbed: there is nothing left to do, and what tells of it stays when another goes.
    assert!(plan(Some(store.path()), &[], &query(&values)).unwrap().gone.is_empty());
    let bob = Search::of(["bob@c.example"]);
    let planned = plan(Some(store.path()), &[], &query(&bob)).unwrap();
    apply(&planned, &query(&bob), &WHY).unwrap();
    let archive = Archive::open(store.path()).unwrap();
    assert!(archive.entries().is_empty());
    assert!(archive.scrubbed("0101").unwrap().is_some() && archive.scrubbed("0202").unwrap().is_some());
}

#[test]
fn a_growing_segment_and_a_damaged_one_are_not_touched_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = recording(folder.path());
    let sealed = store::segment_paths(store.path()).unwrap().remove(0);
    let mut growing = store.segment_writer(id(101)).unwrap();
    put(&mut growing, 101, 3, "ann@b.example", None);
    growing.sync().unwrap();
    let before = fs::read(growing.path()).unwrap();
    let values = ann();
    let planned = plan(Some(store.path()), &[], &query(&values)).unwrap();
    apply(&planned, &query(&values), &WHY).unwrap();
    assert_eq!(fs::read(growing.path()).unwrap(), before);
    let left = prove(&planned, &query(&values)).unwrap();
    assert!(!left.is_empty() && left.iter().all(|it| it.path == growing.path()), "{left:?}");
    assert!(left[0].what.contains("scrub again"));
    drop(growing);
    let mut bytes = fs::read(&sealed).unwrap();
    bytes[10] ^= 1;
    fs::write(&sealed, bytes).unwrap();
    let planned = plan(Some(store.path()), &[], &query(&values)).unwrap();
    let held =
        planned.files.iter().filter(|file| matches!(&file.action, Action::Held { why } if why.contains("damaged")));
    assert_eq!(held.count(), 1);
    apply(&planned, &query(&values), &WHY).unwrap();
    assert!(prove(&planned, &query(&values)).unwrap().iter().all(|it| it.path == sealed));
}

#[test]
fn a_bundle_is_written_again_and_names_the_one_it_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let store = recording(&folder.path().join("store"));
    let path = folder.path().join("case.retake");
    let archive = Archive::open(store.path()).unwrap();
    let sealed = crate::export(&archive, &[id(1), id(2)], &path, crate::Extra::default(), &mut |_, _| {}).unwrap();
    let values = ann();
    let planned = plan(None, std::slice::from_ref(&path), &query(&values)).unwrap();
    apply(&planned, &query(&values), &WHY).unwrap();
    assert_eq!(prove(&planned, &query(&values)).unwrap(), []);
    let archive = Archive::open_verified(&path).unwrap();
    assert_eq!(archive.entries().len(), 1);
    assert_eq!(archive.tombstones().unwrap()[0].replaces, Some(sealed.digest));
    assert!(is_left(&store), "the store was not meant");
}

#[test]
fn whatever_a_disk_has_when_it_is_cut_off_nothing_is_half_and_the_next_one_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let store = recording(folder.path());
    let values = ann();
    let scrub = || {
        let planned = plan(Some(store.path()), &[], &query(&values)).unwrap();
        apply(&planned, &query(&values), &WHY).unwrap();
    };
    let disks = noted::on_every_disk(folder.path(), scrub, &mut |case, is_done| {
        let report = crate::verify(store.path(), &mut |_, _| {}).unwrap();
        assert!(report.damage.is_empty() && report.torn.is_empty(), "{case}: {report:?}");
        let archive = Archive::open(store.path()).unwrap();
        let body = archive.exchange(&id(2)).unwrap().request.body;
        assert_eq!(archive.body(&body, 1 << 20).unwrap(), asked("bob@c.example").as_bytes(), "{case}");
        // What is not there is told of.
        if archive.entry(&id(1)).is_none() {
            assert!(archive.scrubbed("0101").unwrap().is_some(), "{case}");
        }
        if store.run_paths().unwrap().is_empty() {
            assert!(archive.scrubbed("1515").unwrap().is_some(), "{case}");
        }
        assert!(!is_done || !is_left(&store), "{case}: it was done, and is there again");
        scrub();
        assert!(!is_left(&store) && store.run_paths().unwrap().is_empty(), "{case}");
        assert_eq!(Archive::open(store.path()).unwrap().entries().len(), 1, "{case}");
        assert!(store::temporary_paths(store.path()).unwrap().is_empty(), "{case}");
    });
    eprintln!("{disks} disks");
    assert!(disks > 30);
}
