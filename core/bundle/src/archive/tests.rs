use exchange::{ClockPair, Exchange, Id, Part};
use proptest::prelude::*;

use super::*;
use crate::{OpenError, ReadError, Record, Store, Writer, sample};

/// A sealed bundle of what `put` puts, opened.
fn sealed(put: impl FnOnce(&mut Writer)) -> Archive {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    put(&mut writer);
    writer.seal().unwrap();
    Archive::open(&path).unwrap()
}

#[test]
fn a_recording_is_read_back_whole() {
    let archive = sealed(sample::put_recording);
    let ids: Vec<_> = archive.entries().iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [sample::id(1001), sample::id(1002), sample::id(1003)]);
    for sequence in 1..=3 {
        let exchange = archive.exchange(&sample::id(1000 + sequence)).unwrap();
        let (request, response) = sample::bodies_of(sequence);
        assert_eq!(archive.body(&exchange.request.body, 1000).unwrap(), request);
        let mut copied = Vec::new();
        let copied_len = archive.copy_body(&exchange.response.as_ref().unwrap().body, &mut copied).unwrap();
        assert_eq!((copied_len, copied), (100, response));
        assert_eq!(archive.fingerprint(&exchange.fingerprint.unwrap()).unwrap(), Some(sample::fingerprint("cpu")));
        assert_eq!(archive.entry(&exchange.id), Some(&Entry::of(&exchange)));
    }
    assert_eq!(archive.sessions(), [sample::session(1, 5)]);
    assert_eq!(archive.session_ends(), [sample::session_end(1)]);
    assert_eq!(archive.events().collect::<Result<Vec<_>, _>>().unwrap(), [sample::event(1, &[sample::id(1001)])]);
    assert!(archive.digest().is_some());
}

#[test]
fn a_body_longer_than_the_caller_takes_is_refused_before_it_is_read() {
    let archive = sealed(|_| {});
    let part = Part::from((7, u64::MAX));
    let body = exchange::Body { parts: vec![part; 3], ..Default::default() };
    assert!(matches!(archive.body(&body, 1 << 40), Err(ReadError::TooLong { kept_len: u64::MAX, .. })));
    let missing = exchange::Body { parts: vec![Part::from((7, 1))], ..Default::default() };
    assert!(matches!(archive.body(&missing, 10), Err(ReadError::NoPiece { piece: 7 })));
}

#[test]
fn a_prefix_finds_the_one_exchange_it_begins_and_says_why_not_otherwise() {
    let put = |writer: &mut Writer, id: [u8; 16]| {
        let exchange = Exchange { id: Id(id), ..sample::exchange(1, 1, Default::default(), Default::default()) };
        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    };
    let archive = sealed(|writer| {
        put(writer, [0xab; 16]);
        put(writer, [0xab, 0xab, 0xac, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        put(writer, [0x12; 16]);
    });
    assert_eq!(archive.resolve("1212"), Ok(Id([0x12; 16])));
    assert_eq!(archive.resolve("ABABAB"), Ok(Id([0xab; 16])));
    assert_eq!(archive.resolve(&"ab".repeat(16)), Ok(Id([0xab; 16])));
    assert!(matches!(archive.resolve("abab"), Err(FindError::Ambiguous { count: 2, .. })));
    assert!(matches!(archive.resolve("1213"), Err(FindError::NotFound { .. })));
    for no_prefix in ["", "121", "121g", &"1".repeat(33), "é1é2"] {
        assert!(matches!(archive.resolve(no_prefix), Err(FindError::NoPrefix { .. })), "{no_prefix}");
    }
}

#[test]
fn sessions_come_in_the_order_they_began_and_exchanges_in_the_order_of_their_first_bytes() {
    let archive = sealed(|writer| {
        for (session, wall_s) in [(1, 20), (2, 10)] {
            writer.append(&Record::Session(sample::session(session, wall_s))).unwrap();
            for sequence in [2, 1] {
                let exchange = sample::exchange(session, sequence, Default::default(), Default::default());
                writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
            }
        }
    });
    let order: Vec<_> = archive.entries().iter().map(|entry| entry.id).collect();
    assert_eq!(order, [2001, 2002, 1001, 1002].map(sample::id));
    assert_eq!(archive.sessions()[0].id, sample::id(2));
}

#[test]
fn a_file_of_a_newer_major_format_is_refused_by_name_and_of_a_newer_minor_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let newer = crate::FormatVersion { major: 2, minor: 2 };
    std::fs::write(&path, crate::layout::opening(newer)).unwrap();
    let error = Archive::open(&path).err().unwrap();
    assert!(error.to_string().ends_with("has format 2.2; this build reads up to 1.0"), "{error}");
    let older = crate::FormatVersion { major: 0, minor: 0 };
    std::fs::write(&path, crate::layout::opening(older)).unwrap();
    let error = Archive::open(&path).err().unwrap();
    assert!(error.to_string().ends_with("has format 0.0, which was given up before format 1"), "{error}");
    let newer_minor = crate::FormatVersion { major: 1, minor: 9 };
    std::fs::write(&path, crate::layout::opening(newer_minor)).unwrap();
    assert!(matches!(Archive::open(&path), Err(OpenError::Unsealed { .. })));
}

#[test]
fn what_is_no_bundle_and_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    assert!(matches!(Archive::open(&path), Err(OpenError::Io { .. })));
    assert!(matches!(Archive::open(folder.path()), Err(OpenError::NotAStore { .. })));
    assert!(matches!(Archive::open(std::path::Path::new("/dev/zero")), Err(OpenError::NotAStore { .. })));
    for content in [&b""[..], b"{}", &[0; 4096]] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(Archive::open(&path), Err(OpenError::NotABundle { .. })));
    }
}

#[test]
fn a_store_is_read_while_it_is_written_and_a_damaged_segment_leaves_the_others_readable() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let mut sealed_segment = store.segment_writer(sample::id(1)).unwrap();
    sample::put_recording(&mut sealed_segment);
    let sealed_segment = sealed_segment.seal().unwrap();
    let mut growing = store.segment_writer(sample::id(2)).unwrap();
    growing.append(&Record::Session(sample::session(2, 9))).unwrap();
    let body = sample::body(&mut growing, b"still growing");
    growing.append(&Record::Exchange(Box::new(sample::exchange(2, 1, body, Default::default())))).unwrap();
    assert_eq!(Archive::open(folder.path()).unwrap().entries().len(), 3);
    growing.flush().unwrap();

    let archive = Archive::open(folder.path()).unwrap();
    assert_eq!(
        (archive.entries().len(), archive.torn(), archive.damage(), archive.digest()),
        (4, &[][..], &[][..], None)
    );

    let mut bytes = std::fs::read(&sealed_segment.path).unwrap();
    let in_the_index = bytes.len() - 1000;
    bytes[in_the_index] ^= 1;
    std::fs::write(&sealed_segment.path, bytes).unwrap();
    let archive = Archive::open(folder.path()).unwrap();
    assert!(!archive.damage().is_empty());
    let exchange = archive.exchange(&sample::id(2001)).unwrap();
    assert_eq!(archive.body(&exchange.request.body, 100).unwrap(), b"still growing");
    assert_eq!(archive.exchange(&sample::id(1002)).unwrap().sequence, 2);
}

#[test]
fn an_archive_is_shared_between_threads_and_a_writer_moves_to_one() {
    fn is_shared<T: Send + Sync>() {}
    fn is_moved<T: Send>() {}
    is_shared::<Archive>();
    is_moved::<Writer>();
}

#[test]
fn an_index_that_lists_one_record_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    sample::put_recording(&mut writer);
    writer.lie_in_the_index(|index| index.events = vec![index.events[0]; 1000]);
    writer.seal().unwrap();
    let error = Archive::open(&path).err().unwrap();
    assert!(error.to_string().contains("the index: it is not in the file's order"), "{error}");
}

#[test]
fn an_entry_that_points_anywhere_gives_an_error_and_nothing_worse() {
    let folder = tempfile::tempdir().unwrap();
    let mut places: Vec<Place> = [0, 39, 40, 41, 1000, u64::MAX - 1, u64::MAX]
        .into_iter()
        .flat_map(|block| [0, 1, 5, u32::MAX].map(|offset| Place { block, offset, len: 9 }))
        .collect();
    places.push(Place { block: 40, offset: 0, len: u32::MAX });
    for (number, place) in places.into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.retake"));
        let mut writer = Writer::create(&path).unwrap();
        sample::put_recording(&mut writer);
        writer.lie_in_the_index(|index| {
            index.exchanges.truncate(1);
            index.exchanges[0].at = place;
            index.fingerprints[0].1 = place;
            index.runs.push(crate::index::IndexedRun {
                id: sample::id(1),
                started: ClockPair { monotonic_ns: 0, wall_unix_ns: 0 },
                at: place,
            });
        });
        writer.seal().unwrap();
        let archive = Archive::open(&path).unwrap();
        assert!(archive.exchange(&sample::id(1001)).is_err(), "{place:?}");
        assert!(archive.fingerprints().is_err(), "{place:?}");
        assert!(archive.runs().is_err(), "{place:?}");
        assert!(Archive::open_verified(&path).is_err(), "{place:?}");
    }
}

/// What a property test puts into a file.
#[derive(Clone, Debug)]
enum Put {
    Body(Vec<u8>),
    Lines(u64, Vec<u64>),
    Event(u64),
    Clock(u64, u64),
    Unknown(u8, u8, Vec<u8>),
    Flush,
}

fn any_put() -> impl Strategy<Value = Put> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000).prop_map(Put::Body),
        (0..5_u64, prop::collection::vec(any::<u64>(), 0..9)).prop_map(|(session, times)| Put::Lines(session, times)),
        any::<u32>().prop_map(|number| Put::Event(number.into())),
        (0..5_u64, any::<u64>()).prop_map(|(session, at)| Put::Clock(session, at)),
        (13..=255_u8, any::<u8>(), prop::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(k, f, b)| Put::Unknown(k, f, b)),
        Just(Put::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_written_is_read_back_and_gives_the_same_bytes_again(puts in prop::collection::vec(any_put(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let mut writer = Writer::create(&folder.path().join(name)).unwrap();
            for (number, put) in puts.iter().enumerate() {
                match put.clone() {
                    Put::Body(bytes) => {
                        let body = sample::body(&mut writer, &bytes);
                        let exchange = sample::exchange(1, number as u64, body, Default::default());
                        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
                    }
                    Put::Lines(session, times) => {
                        writer.append(&Record::LogLines(sample::log_lines(session, &times))).unwrap();
                    }
                    Put::Event(number) => writer.append(&Record::Event(sample::event(number, &[]))).unwrap(),
                    Put::Clock(session, at) => {
                        let pair = ClockPair { monotonic_ns: at, wall_unix_ns: at };
                        writer.append(&Record::Clock { session: sample::id(session), pair }).unwrap();
                    }
                    Put::Unknown(kind, flags, bytes) => {
                        writer.append(&Record::Unknown { kind, flags, bytes }).unwrap();
                    }
                    Put::Flush => writer.flush().unwrap(),
                }
            }
            writer.seal().unwrap()
        };
        let (first, second) = (write("a.retake"), write("b.retake"));
        prop_assert_eq!(first.digest, second.digest);
        prop_assert!(std::fs::read(&first.path).unwrap() == std::fs::read(&second.path).unwrap());

        let archive = Archive::open_verified(&first.path).unwrap();
        let mut lines = archive.log_lines();
        let mut events = archive.events();
        for (number, put) in puts.iter().enumerate() {
            match put {
                Put::Body(bytes) => {
                    let exchange = archive.exchange(&sample::id(1000 + number as u64)).unwrap();
                    prop_assert_eq!(&archive.body(&exchange.request.body, 2000).unwrap(), bytes);
                }
                Put::Lines(session, times) => {
                    prop_assert_eq!(lines.next().unwrap().unwrap(), sample::log_lines(*session, times));
                }
                Put::Event(number) => prop_assert_eq!(events.next().unwrap().unwrap(), sample::event(*number, &[])),
                Put::Clock(session, at) => {
                    prop_assert!(archive.clocks(&sample::id(*session)).iter().any(|pair| pair.monotonic_ns == *at));
                }
                Put::Unknown(kind, flags, bytes) => {
                    let unknown = Record::Unknown { kind: *kind, flags: *flags, bytes: bytes.clone() };
                    let others = archive.segments()[0].index.others.iter();
                    let kept: Vec<_> = others.map(|(_, place)| archive.decoded(0, *place).unwrap()).collect();
                    prop_assert!(kept.contains(&unknown));
                }
                Put::Flush => {}
            }
        }
        prop_assert!(lines.next().is_none() && events.next().is_none());
    }
}
