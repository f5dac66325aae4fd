use std::fs;

use exchange::{Body, Part};
use proptest::prelude::*;

use super::*;
use crate::{Archive, ReadError, Writer, sample};

fn quietly(path: &Path) -> Result<VerifyReport, OpenError> {
    verify(path, &mut |_, _| {})
}

/// Every body that can be read is the recorded one, and says so in its own way where it cannot.
fn assert_no_wrong_body(path: &Path) {
    let Ok(archive) = Archive::open(path) else { return };
    for sequence in 1..=3 {
        let Ok(exchange) = archive.exchange(&sample::id(1000 + sequence)) else { continue };
        let (request, response) = sample::bodies_of(sequence);
        for (body, recorded) in [(exchange.request.body, request), (exchange.response.unwrap().body, response)] {
            match archive.body(&body, 1000) {
                Ok(bytes) => assert_eq!(bytes, recorded),
                Err(ReadError::Damaged(_) | ReadError::NoPiece { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_whole_bundle_verifies_and_progress_reaches_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    let mut last = (0, 0);
    let report = verify(&sealed.path, &mut |done, total| last = (done, total)).unwrap();
    assert_eq!(last, (sealed.len, sealed.len));
    assert_eq!((report.digest, report.files, report.exchanges, report.pieces), (Some(sealed.digest), 1, 3, 6));
    assert_eq!((report.bytes, report.damage, report.torn), (sealed.len, Vec::new(), Vec::new()));
    assert_no_wrong_body(&sealed.path);
}

#[test]
fn a_flipped_byte_anywhere_is_noticed_where_it_is_and_no_wrong_body_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    let whole = fs::read(&sealed.path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&sealed.path, &bytes).unwrap();
        let report = quietly(&sealed.path).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        let is_named = report.damage.iter().any(|damage| damage.range.contains(&(at as u64)));
        assert!(is_named, "byte {at} of {}: {:?}", whole.len(), report.damage);
        assert!(matches!(Archive::open_verified(&sealed.path), Err(OpenError::Damaged { .. })), "byte {at}");
        assert_no_wrong_body(&sealed.path);
    }
}

#[test]
fn a_bundle_cut_short_anywhere_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    let whole = fs::read(&sealed.path).unwrap();
    for len in 0..whole.len() {
        fs::write(&sealed.path, &whole[..len]).unwrap();
        assert!(quietly(&sealed.path).map_or(true, |report| !report.damage.is_empty()), "{len} bytes");
        assert!(Archive::open(&sealed.path).is_err(), "{len} bytes");
    }
    fs::write(&sealed.path, [&whole[..], b"more"].concat()).unwrap();
    assert!(!quietly(&sealed.path).unwrap().damage.is_empty());
}

#[test]
fn damage_names_the_exchanges_that_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    let archive = Archive::open(&sealed.path).unwrap();
    let (_, place) = archive.place_of(&sample::id(1002)).unwrap();
    let mut bytes = fs::read(&sealed.path).unwrap();
    bytes[usize::try_from(place.block + HEADER_LEN).unwrap() + 30] ^= 0x40;
    fs::write(&sealed.path, bytes).unwrap();
    let report = quietly(&sealed.path).unwrap();
    assert_eq!(report.damage.len(), 1, "{:?}", report.damage);
    assert_eq!(report.damage[0].costs, [sample::id(1002)]);
    assert_eq!(report.exchanges, 2);
}

#[test]
fn a_reference_to_a_piece_that_the_file_does_not_have_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    let parts = vec![Part::from((0, 4))];
    let exchange = sample::exchange(1, 1, Body { parts, len: 4, ..Body::default() }, Body::default());
    writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    writer.seal().unwrap();
    let report = quietly(&path).unwrap();
    assert!(report.damage[0].what.contains("which is not here"), "{:?}", report.damage);
    assert_eq!(report.damage[0].costs, [sample::id(1001)]);
}

#[test]
fn an_index_that_lists_something_else_is_noticed_although_every_digest_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    sample::put_recording(&mut writer);
    writer.lie_in_the_index(|index| index.exchanges[0].entry.id = sample::id(77));
    writer.seal().unwrap();
    let report = quietly(&path).unwrap();
    assert!(report.damage[0].what.contains("the index does not list"), "{:?}", report.damage);
    assert!(matches!(Archive::open(&path).unwrap().exchange(&sample::id(77)), Err(ReadError::Damaged(_))));
}

#[test]
fn a_body_that_gives_a_piece_another_length_is_damage() {
    let repeating = Body { parts: vec![Part::from((0, 5)), Part::from((0, 6))], ..Body::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    writer.put_piece(b"hello").unwrap();
    let exchange = sample::exchange(1, 1, repeating, Body::default());
    writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    writer.seal().unwrap();
    let damage = quietly(&path).unwrap().damage;
    assert!(damage.len() == 1 && damage[0].what.contains("as one of 6 bytes, and it has 5"), "{damage:?}");
}

#[test]
fn damage_costs_every_exchange_that_is_put_together_from_what_it_hits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    let message = |number: u64| format!("{{\"content\":\"{number} {}\"}}", "x".repeat(100));
    let history = |count: u64| format!("[{}]", (0..count).map(message).collect::<Vec<_>>().join(","));
    let mut blocks = Vec::new();
    for sequence in 1..=4 {
        blocks.push(writer.len());
        let request = sample::body(&mut writer, history(sequence * 2).as_bytes());
        let exchange = sample::exchange(1, sequence, request, Body::default());
        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
        writer.flush().unwrap();
    }
    let (_folder, growing) = (folder, path.with_extension("growing"));
    fs::copy(&path, &growing).unwrap();
    writer.seal().unwrap();
    let store = crate::Store::open_or_create(&growing.with_extension("store")).unwrap();
    let segment = store.segment_writer(sample::id(1)).unwrap().path().to_owned();
    for (hit, costs) in [(0, &[1, 2, 3, 4][..]), (1, &[2, 3, 4]), (2, &[3, 4]), (3, &[4])] {
        let ids = |sequences: &[u64]| sequences.iter().map(|it| sample::id(1000 + it)).collect::<BTreeSet<_>>();
        let at = usize::try_from(blocks[hit] + HEADER_LEN).unwrap() + 20;
        let damaged = |from: &Path| {
            let mut bytes = fs::read(from).unwrap();
            bytes[at] ^= 1;
            bytes
        };
        let sealed = path.with_extension("damaged");
        fs::write(&sealed, damaged(&path)).unwrap();
        let report = quietly(&sealed).unwrap();
        let costs_of = |report: &VerifyReport| report.damage[0].costs.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!((report.damage.len(), costs_of(&report)), (1, ids(costs)), "block {hit}");
        // A growing file has no index that knew what the block held: the records that need it do.
        fs::write(&segment, damaged(&growing)).unwrap();
        let report = quietly(store.path()).unwrap();
        assert_eq!((report.damage.len(), costs_of(&report)), (1, ids(costs)), "growing, block {hit}");
    }
}

#[test]
fn pieces_that_have_other_numbers_than_those_before_them_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    sample::put_recording(&mut writer);
    writer.lie_about_pieces(1);
    sample::body(&mut writer, b"another body");
    writer.seal().unwrap();
    let report = quietly(&path).unwrap();
    assert!(report.damage[0].what.contains("other numbers"), "{:?}", report.damage);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_bundle_changed_in_many_places_is_survived_and_never_serves_a_wrong_body(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let sealed = sample::bundle_at(&folder.path().join("a.retake"));
        let whole = fs::read(&sealed.path).unwrap();
        let mut bytes = whole.clone();
        for (from, to, byte) in &changes {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            match byte % 4 {
                0 => bytes[from] = *byte,
                1 => drop(bytes.drain(from.min(to)..from.max(to).min(from.min(to) + 100))),
                2 => bytes.splice(to..to, whole[from.min(to).min(whole.len())..from.max(to).min(whole.len())].to_vec()).for_each(drop),
                _ => bytes[from.min(to)..].iter_mut().take(20).for_each(|byte| *byte = 0),
            }
            if bytes.is_empty() {
                bytes.push(*byte);
            }
        }
        fs::write(&sealed.path, &bytes).unwrap();
        let is_noticed = quietly(&sealed.path).map_or(true, |report| !report.damage.is_empty());
        prop_assert!(is_noticed || bytes == whole);
        assert_no_wrong_body(&sealed.path);
    }
}
