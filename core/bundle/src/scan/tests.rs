use std::{fs, fs::File};

use super::*;
use crate::{
    Writer,
    layout::{HEADER_LEN, OPENING_LEN},
    record::record_kind,
    sample,
};

/// The bytes of an unsealed recording, and where each of its blocks ends.
fn unsealed() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    sample::put_recording(&mut writer);
    drop(writer);
    let bytes = fs::read(&path).unwrap();
    let scanned = scan_file(&path);
    let ends = scanned.spans.iter().map(|span| span.range().end).collect();
    (folder, path, bytes, ends)
}

fn scan_file(path: &Path) -> Scanned {
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    scan(&file, path, OPENING_LEN..len, &mut ()).unwrap()
}

#[test]
fn scanning_makes_the_index_that_sealing_writes() {
    let (folder, path, _, _) = unsealed();
    let sealed = sample::bundle_at(&folder.path().join("b.retake"));
    let segment = crate::segment::Segment::open_sealed(&sealed.path).unwrap();
    let scanned = scan_file(&path);
    assert_eq!(scanned.index, segment.index);
    assert_eq!(scanned.counts, sealed.counts);
}

#[test]
fn a_tail_cut_anywhere_is_named_and_all_blocks_before_it_are_read() {
    let (_folder, path, bytes, ends) = unsealed();
    for len in usize::try_from(OPENING_LEN).unwrap()..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        let scanned = scan_file(&path);
        let whole_end = ends.iter().copied().filter(|&end| end <= len as u64).max().unwrap_or(OPENING_LEN);
        let torn = TornTail { path: path.clone(), offset: whole_end, len: len as u64 - whole_end };
        assert_eq!(scanned.torn, (torn.len > 0).then_some(torn), "{len} bytes");
        assert_eq!(scanned.damage, [], "{len} bytes");
        assert_eq!(scanned.spans.len(), ends.iter().filter(|&&end| end <= len as u64).count());
    }
}

#[test]
fn after_a_flipped_byte_anywhere_the_other_blocks_are_read() {
    let (_folder, path, whole, ends) = unsealed();
    for at in usize::try_from(OPENING_LEN).unwrap()..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        let scanned = scan_file(&path);
        let ranges = scanned.damage.iter().map(|damage| damage.range.clone());
        let torn = scanned.torn.iter().map(|torn| torn.offset..torn.offset + torn.len);
        let found: Vec<_> = ranges.chain(torn).collect();
        assert!(matches!(&found[..], [range] if range.contains(&(at as u64))), "byte {at}: {found:?}");
        assert_eq!(scanned.spans.len(), ends.len() - 1, "byte {at}");
    }
}

#[test]
fn a_complete_block_that_does_not_hold_is_damage_even_at_the_end() {
    let (_folder, path, mut bytes, _) = unsealed();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let scanned = scan_file(&path);
    assert_eq!((scanned.damage.len(), scanned.torn), (1, None));
}

#[test]
fn a_last_block_that_the_disk_lost_after_its_first_bytes_is_a_torn_tail() {
    let (_folder, path, mut bytes, ends) = unsealed();
    let last_start = ends[ends.len() - 2];
    for kept_len in [HEADER_LEN + 20, HEADER_LEN, HEADER_LEN / 2, 0] {
        bytes[usize::try_from(last_start + kept_len).unwrap()..].fill(0);
        fs::write(&path, &bytes).unwrap();
        let scanned = scan_file(&path);
        assert_eq!(scanned.damage, [], "{kept_len} bytes kept");
        assert_eq!(scanned.torn.unwrap().offset, last_start);
    }
}

#[test]
fn a_block_that_was_moved_is_not_taken_for_one() {
    let (_folder, path, bytes, ends) = unsealed();
    let first_end = usize::try_from(ends[0]).unwrap();
    let second_end = usize::try_from(ends[1]).unwrap();
    let swapped = [&bytes[..40], &bytes[first_end..second_end], &bytes[40..first_end], &bytes[second_end..]].concat();
    fs::write(&path, &swapped).unwrap();
    let scanned = scan_file(&path);
    assert_eq!(scanned.damage.len(), 1);
    assert_eq!(scanned.damage[0].range, 40..ends[1]);
    assert_eq!(scanned.spans.len(), ends.len() - 2);
}

#[test]
fn a_file_of_countless_wrong_records_gives_a_list_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    let mut writer = Writer::create(&path).unwrap();
    for _ in 0..3 * DAMAGE_LISTED_MAX {
        let wrong = RawRecord { offset: 0, kind: record_kind::SESSION, flags: 0, payload: b"" };
        writer.put_wrong(&wrong);
    }
    writer.flush().unwrap();
    let scanned = scan_file(&path);
    assert_eq!(scanned.damage.len(), DAMAGE_LISTED_MAX + 1);
    assert_eq!(scanned.damage[DAMAGE_LISTED_MAX].what, "there is more damage from here on");
}
