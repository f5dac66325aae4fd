use std::{fs, os::unix::fs::MetadataExt};

use exchange::{Event, LogLine, LogLines, Stream};

use super::*;
use crate::{Record, Store, Writer, disk::noted, sample};

fn id(number: u8) -> Id {
    Id([number; 16])
}

const SECOND: u64 = 1_000_000_000;

/// Writes a segment whose session began then; its exchanges have these numbers and ended so many seconds later. An odd number
/// is a call of the one before it.
fn segment(store: &Store, session: u8, started_s: u64, exchanges: &[(u8, u64)]) -> PathBuf {
    let mut writer = store.segment_writer(id(session)).unwrap();
    write(&mut writer, session, started_s, exchanges);
    writer.seal().unwrap().path
}

fn write(writer: &mut Writer, session: u8, started_s: u64, exchanges: &[(u8, u64)]) {
    let mut record = sample::session(1, started_s);
    record.id = id(session);
    record.started = exchange::ClockPair { monotonic_ns: 0, wall_unix_ns: started_s * SECOND };
    writer.append(&Record::Session(record)).unwrap();
    for &(number, ended_s) in exchanges {
        let body = sample::body(writer, format!("secret of {number}").as_bytes());
        let mut exchange = sample::exchange(1, 1, body, exchange::Body::default());
        (exchange.id, exchange.session, exchange.sequence) = (id(number), id(session), u64::from(number));
        exchange.times.ended_ns = ended_s * SECOND;
        if number % 2 == 1 {
            let parent = exchange::Parent {
                id: id(number - 1),
                certainty: exchange::Certainty::Recorded,
                candidates: Vec::new(),
            };
            exchange.role = exchange::Role::Dependency { name: "model".to_owned(), parent: Some(parent) };
        }
        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
        let line = LogLine { at_ns: ended_s * SECOND, stream: Stream::Stdout, text: format!("line {number}") };
        writer
            .append(&Record::LogLines(LogLines { session: id(session), subject: String::new(), lines: vec![line] }))
            .unwrap();
        let event = Event {
            id: id(number + 100),
            session: Some(id(session)),
            at_ns: ended_s * SECOND,
            kind: "label".to_owned(),
            actor: String::new(),
            subject: String::new(),
            links: vec![id(number)],
            data: serde_json::Value::Null,
        };
        writer.append(&Record::Event(event)).unwrap();
    }
}

fn ids(store: &Store) -> Vec<Id> {
    let mut ids: Vec<Id> = Archive::open(store.path()).unwrap().entries().iter().map(|entry| entry.id).collect();
    ids.sort();
    ids
}

fn aged(seconds: u64) -> Limits {
    Limits { age_ns_max: Some(seconds * SECOND), bytes_max: None }
}

#[test]
fn what_is_old_goes_whole_or_in_part_and_a_call_goes_with_whoever_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let old = segment(&store, 1, 100, &[(2, 10), (3, 20)]);
    // Exchange 4 is old, and its call with it though that ended later; 6 is young.
    let part = segment(&store, 2, 1000, &[(4, 10), (5, 200), (6, 300)]);
    let young = segment(&store, 3, 5000, &[(8, 10)]);
    let before = ids(&store);
    let plan = plan(store.path(), aged(5000), 6150 * SECOND).unwrap();
    let actions: Vec<_> = plan.files.iter().map(|file| (file.path.clone(), file.exchanges_gone())).collect();
    assert_eq!(actions, [(old.clone(), 2), (part.clone(), 2), (young, 0)]);
    assert_eq!(ids(&store), before, "a plan changes nothing");
    apply(&plan).unwrap();
    assert!(!old.exists() && part.exists());
    assert_eq!(ids(&store), [6, 8].map(id));
    let archive = Archive::open(store.path()).unwrap();
    let body = archive.exchange(&id(6)).unwrap().request.body;
    assert_eq!(archive.body(&body, 100).unwrap(), b"secret of 6");
    let lines: Vec<String> = archive.log_lines().flat_map(|lines| lines.unwrap().lines).map(|line| line.text).collect();
    assert_eq!(lines, ["line 5", "line 6", "line 8"]);
    assert_eq!(archive.events().count(), 2);
    assert!(crate::verify(store.path(), &mut |_, _| {}).unwrap().damage.is_empty());
    // Done is done: there is nothing left to do.
    assert!(super::plan(store.path(), aged(5000), 6150 * SECOND).unwrap().is_empty());
}

#[test]
fn what_a_writer_holds_stays_and_says_so_and_what_a_dead_one_left_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let mut writer = store.segment_writer(id(1)).unwrap();
    write(&mut writer, 1, 100, &[(2, 10)]);
    writer.sync().unwrap();
    let half = folder.path().join("segments/.x.retake.0123.tmp");
    fs::write(&half, b"half").unwrap();
    let made = folder.path().join("segments/.y.retake.0123.tmp");
    let making = Writer::create(&made).unwrap();
    let plan = plan(store.path(), aged(1), 9000 * SECOND).unwrap();
    assert!(matches!(&plan.files[0].action, Action::Keep { held: Some(why) } if why.contains("writes")));
    assert_eq!(plan.leftovers, std::slice::from_ref(&half));
    apply(&plan).unwrap();
    assert!(!half.exists() && made.exists());
    drop((writer, making));
    // Not sealed and not held: its session was cut off, and what it had is old like anything else.
    apply(&super::plan(store.path(), aged(1), 9000 * SECOND).unwrap()).unwrap();
    assert!(ids(&store).is_empty());
}

#[test]
fn what_a_writer_took_between_plan_and_act_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let path = segment(&store, 1, 100, &[(2, 10)]);
    let plan = plan(store.path(), aged(1), 9000 * SECOND).unwrap();
    let held = Held::of(&path).unwrap();
    apply(&plan).unwrap();
    assert!(path.exists());
    drop(held);
    apply(&plan).unwrap();
    assert!(!path.exists());
}

#[test]
fn by_size_the_oldest_files_go_and_damaged_ones_stay_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let paths = [(1, 300), (2, 100), (3, 200)].map(|(session, at)| segment(&store, session, at, &[(2 * session, 1)]));
    let sizes: Vec<u64> = paths.iter().map(|path| fs::metadata(path).unwrap().size()).collect();
    let limits = |bytes| Limits { age_ns_max: None, bytes_max: Some(bytes) };
    let goes = |plan: &Plan| -> Vec<PathBuf> {
        plan.files.iter().filter(|file| file.action == Action::Remove).map(|file| file.path.clone()).collect()
    };
    assert!(plan(store.path(), limits(sizes.iter().sum()), 0).unwrap().is_empty());
    assert_eq!(goes(&plan(store.path(), limits(sizes[0] + sizes[2]), 0).unwrap()), [paths[1].clone()]);
    let mut bytes = fs::read(&paths[1]).unwrap();
    // In its first bytes, which are looked at whenever it is opened.
    bytes[10] ^= 1;
    fs::write(&paths[1], bytes).unwrap();
    let plan = plan(store.path(), limits(0), 0).unwrap();
    assert_eq!(goes(&plan), [paths[0].clone(), paths[2].clone()]);
    assert_eq!(plan.bytes_over, sizes[1]);
    assert!(
        plan.files.iter().any(|it| matches!(&it.action, Action::Keep { held: Some(why) } if why.contains("damaged")))
    );
}

#[test]
fn whatever_a_disk_has_when_it_is_cut_off_nothing_that_stays_is_lost_and_nothing_is_half() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    segment(&store, 1, 100, &[(2, 10), (3, 20)]);
    segment(&store, 2, 1000, &[(4, 10), (5, 200), (6, 300)]);
    fs::write(folder.path().join("segments/.x.retake.0123.tmp"), b"half").unwrap();
    let prune = || apply(&plan(store.path(), aged(5000), 6150 * SECOND).unwrap()).unwrap();
    let disks = noted::on_every_disk(folder.path(), prune, &mut |case, is_done| {
        // Whatever is there is whole, and each old exchange is there or gone together with its call.
        let report = crate::verify(store.path(), &mut |_, _| {}).unwrap();
        assert!(report.damage.is_empty() && report.torn.is_empty(), "{case}: {report:?}");
        let there = ids(&store);
        assert!(there.contains(&id(6)) && (!is_done || there == [id(6)]), "{case}: {there:?}");
        assert_eq!(there.contains(&id(2)), there.contains(&id(3)), "{case}");
        assert_eq!(there.contains(&id(4)), there.contains(&id(5)), "{case}");
        let archive = Archive::open(store.path()).unwrap();
        let body = archive.exchange(&id(6)).unwrap().request.body;
        assert_eq!(archive.body(&body, 100).unwrap(), b"secret of 6", "{case}");
        // The next one finishes what this one began, and leaves nothing of it.
        prune();
        assert_eq!(ids(&store), [id(6)], "{case}");
        assert!(store::temporary_paths(store.path()).unwrap().is_empty(), "{case}");
    });
    eprintln!("{disks} disks");
    assert!(disks > 30);
}

#[test]
fn what_has_noise_alone_is_as_old_as_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    fs::create_dir_all(store.runs_dir()).unwrap();
    let path = store.runs_dir().join("0f.retake");
    let mut writer = Writer::create(&path).unwrap();
    writer.append(&Record::Noise(exchange::NoiseProfile::default())).unwrap();
    writer.seal().unwrap();
    let written = u64::try_from(fs::metadata(&path).unwrap().mtime()).unwrap() * SECOND;
    let action = |now_unix_ns| {
        let limits = Limits { age_ns_max: Some(3_600 * SECOND), bytes_max: None };
        plan(folder.path(), limits, now_unix_ns).unwrap().files.remove(0).action
    };
    assert_eq!(action(written + 1_800 * SECOND), Action::Keep { held: None });
    assert_eq!(action(written + 7_200 * SECOND), Action::Remove);
}
