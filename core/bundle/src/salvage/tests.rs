use std::fs;

use super::*;
use crate::{layout::HEADER_LEN, sample, verify};

fn quietly(path: &Path, out: &Path) -> Result<Salvaged, SalvageError> {
    salvage(path, out, &mut |_, _| {})
}

/// What was salvaged verifies, has the recorded bodies, and whatever of the three exchanges is known and missing is named.
fn assert_whole(salvaged: &Salvaged, case: &str) -> usize {
    let Some(sealed) = &salvaged.sealed else { return 0 };
    let report = verify(&sealed.path, &mut |_, _| {}).unwrap();
    assert_eq!((report.damage, report.digest), (Vec::new(), Some(sealed.digest)), "{case}");
    let archive = Archive::open_verified(&sealed.path).unwrap();
    for entry in archive.entries() {
        let exchange = archive.exchange(&entry.id).unwrap();
        let (request, response) = sample::bodies_of(entry.sequence);
        assert_eq!(archive.body(&exchange.request.body, 1000).unwrap(), request, "{case}");
        assert_eq!(archive.body(&exchange.response.unwrap().body, 1000).unwrap(), response, "{case}");
        assert!(!salvaged.left_out.iter().any(|left| left.id == entry.id), "{case}");
    }
    archive.entries().len()
}

#[test]
fn a_whole_bundle_is_salvaged_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    let out = folder.path().join("out.retake");
    let salvaged = quietly(&sealed.path, &out).unwrap();
    assert_eq!((salvaged.left_out.len(), salvaged.records_left_out), (0, 0));
    assert_eq!(salvaged.sealed.as_ref().unwrap().counts, sealed.counts);
    assert_eq!(assert_whole(&salvaged, "whole"), 3);
    let again = quietly(&sealed.path, &out).unwrap_err();
    assert!(again.help().unwrap().contains("never replaces"), "{again}");
}

#[test]
fn damage_costs_the_exchange_that_it_hits_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    let (_, place) = Archive::open(&sealed.path).unwrap().place_of(&sample::id(1002)).unwrap();
    let mut bytes = fs::read(&sealed.path).unwrap();
    bytes[usize::try_from(place.block + HEADER_LEN).unwrap() + 30] ^= 0x40;
    fs::write(&sealed.path, bytes).unwrap();
    let salvaged = quietly(&sealed.path, &folder.path().join("out.retake")).unwrap();
    assert_eq!(salvaged.left_out.iter().map(|left| left.id).collect::<Vec<_>>(), [sample::id(1002)]);
    assert_eq!(assert_whole(&salvaged, "one hit"), 2);
}

/// Every `step`th byte flipped, and the file cut short there.
fn damage_everywhere(step: usize) {
    let folder = tempfile::tempdir().unwrap();
    let sealed = sample::bundle_at(&folder.path().join("a.retake"));
    let whole = fs::read(&sealed.path).unwrap();
    let out = folder.path().join("out.retake");
    let mut saved = 0;
    for at in (0..whole.len()).step_by(step) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        for (case, bytes) in [(format!("byte {at} flipped"), &flipped[..]), (format!("cut to {at}"), &whole[..at])] {
            fs::write(&sealed.path, bytes).unwrap();
            let Ok(salvaged) = quietly(&sealed.path, &out) else { continue };
            let kept = assert_whole(&salvaged, &case);
            // One flipped byte hits one block, and each exchange has one of its own.
            assert!(!case.ends_with("flipped") || kept >= 2 || at < crate::layout::OPENING_LEN as usize, "{case}");
            saved += kept;
            fs::remove_file(&out).ok();
        }
    }
    assert!(saved > 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside the bundle");
}

#[test]
fn wherever_a_byte_flips_or_the_file_ends_what_is_salvaged_is_whole() {
    damage_everywhere(17);
}

#[test]
fn slow_big_every_flipped_byte_and_every_length_is_salvaged() {
    damage_everywhere(1);
}

#[test]
fn a_store_is_salvaged_across_its_segments() {
    let folder = tempfile::tempdir().unwrap();
    let store = crate::Store::open_or_create(&folder.path().join("store")).unwrap();
    let mut writer = store.segment_writer(sample::id(1)).unwrap();
    sample::put_recording(&mut writer);
    let path = writer.path().to_owned();
    drop(writer);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let salvaged = quietly(store.path(), &folder.path().join("out.retake")).unwrap();
    assert_eq!(assert_whole(&salvaged, "torn"), 3);
}

#[test]
fn what_is_no_bundle_gives_nothing_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    fs::write(&path, b"hello").unwrap();
    assert!(matches!(quietly(&path, &folder.path().join("out.retake")), Err(SalvageError::Open(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
