use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{Archive, disk::noted, sample};

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_store_is_made_for_its_owner_alone_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er");
    let store = Store::open_or_create(&path).unwrap();
    let key = store.redaction_key().unwrap();
    assert_eq!((mode_of(&path), mode_of(&path.join(KEY)), mode_of(&store.runs_dir())), (0o700, 0o600, 0o700));
    assert_eq!(Store::open_or_create(&path).unwrap().redaction_key().unwrap(), key);
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_folder_with_other_things_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(Store::open_or_create(folder.path()), Err(StoreError::NotAStore { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_store_of_a_later_release_is_refused_and_a_short_key_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(STORE_MARKER), "retake store, format 7\n").unwrap();
    let error = Store::open_or_create(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("says `retake store, format 7`; this build knows `retake store, format 1`"),
        "{error}"
    );
    fs::write(folder.path().join(STORE_MARKER), STORE_MARKER_TEXT).unwrap();
    fs::write(folder.path().join(KEY), "short").unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    assert!(matches!(store.redaction_key(), Err(StoreError::BadKey { len: 5, .. })));
}

#[test]
fn whoever_races_for_a_new_store_gets_the_same_key() {
    for _ in 0..100 {
        let folder = tempfile::tempdir().unwrap();
        let barrier = std::sync::Barrier::new(8);
        let race = || {
            barrier.wait();
            Store::open_or_create(folder.path()).unwrap().redaction_key().unwrap()
        };
        let keys: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && *key != [0; 32]));
    }
}

/// What the disk may have of a file that is written, synced and then named: nothing or anything under the name that it is
/// made by, and under its own nothing or all of it.
fn states<'a>(temporary: &'a str, name: &'a str, content: &'a [u8]) -> Vec<Vec<(&'a str, Vec<u8>)>> {
    let zeros = vec![0; content.len()];
    let made = [None, Some(vec![]), Some(zeros), Some(content[..content.len() / 2].to_vec()), Some(content.to_vec())];
    let files = |made: Option<Vec<u8>>, named: Option<Vec<u8>>| {
        let made = made.map(|bytes| (temporary, bytes));
        made.into_iter().chain(named.map(|bytes| (name, bytes))).collect()
    };
    made.into_iter().flat_map(|made| [files(made.clone(), None), files(made, Some(content.to_vec()))]).collect()
}

#[test]
fn a_store_whose_making_was_cut_off_anywhere_is_made_to_its_end_and_its_key_is_never_half() {
    let markers = states("retake-store.0123.tmp", STORE_MARKER, STORE_MARKER_TEXT.as_bytes());
    let keys = states("retake-store.4567.tmp", KEY, &[7; KEY_LEN]);
    let mut disks = 0;
    for marker in &markers {
        let is_named = marker.iter().any(|(name, _)| *name == STORE_MARKER);
        // Rooms and key come after the marker has its name on the disk.
        let rooms: &[&[&str]] =
            if is_named { &[&[], &[STORE_SEGMENTS], &[RUNS], &[STORE_SEGMENTS, RUNS]] } else { &[&[]] };
        for (rooms, key) in rooms.iter().flat_map(|rooms| keys.iter().map(move |key| (rooms, key))) {
            if !key.is_empty() && rooms.len() < 2 {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            rooms.iter().for_each(|room| fs::create_dir(folder.path().join(room)).unwrap());
            marker.iter().chain(key).for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
            let store = Store::open_or_create(folder.path()).unwrap();
            let made = store.redaction_key().unwrap();
            assert!(made != [0; KEY_LEN], "{rooms:?} {marker:?} {key:?}");
            let had = key.iter().any(|(name, _)| *name == KEY);
            assert_eq!(had, made == [7; KEY_LEN], "a key that was there stays, one that was in the making does not");
            store.segment_writer(sample::id(1)).unwrap().seal().unwrap();
            assert_eq!(Store::open_or_create(folder.path()).unwrap().redaction_key().unwrap(), made);
            assert_eq!(segment_paths(folder.path()).unwrap().len(), 1);
            disks += 1;
        }
    }
    assert_eq!(disks, 5 + 5 * (3 + 10));
}

#[test]
fn each_writer_of_a_session_gets_a_segment_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let writers: Vec<_> = (0..3).map(|_| store.segment_writer(sample::id(1)).unwrap()).collect();
    let names: Vec<_> = writers.iter().map(|writer| writer.path().file_name().unwrap().to_owned()).collect();
    assert_eq!(names[2], format!("{}-002.retake", sample::id(1)).as_str());
    assert_eq!(segment_paths(folder.path()).unwrap().len(), 3);
}

#[test]
fn recovery_cuts_a_dead_writers_tail_off_and_leaves_a_living_writers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let mut dead = store.segment_writer(sample::id(1)).unwrap();
    sample::put_recording(&mut dead);
    let (path, whole_len) = (dead.path().to_owned(), dead.len());
    let mut alive = store.segment_writer(sample::id(2)).unwrap();
    alive.append(&crate::Record::Session(sample::session(2, 5))).unwrap();
    alive.sync().unwrap();
    fs::write(alive.path(), [&fs::read(alive.path()).unwrap()[..], b"half a block"].concat()).unwrap();
    drop(dead);
    let torn = [&fs::read(&path).unwrap()[..], &[0x51, 0x2a, 0x4d, 0x18, 76, 0]].concat();
    fs::write(&path, torn).unwrap();

    assert_eq!(Archive::open(folder.path()).unwrap().torn().len(), 2);
    assert_eq!(store.recover().unwrap(), [TornTail { path: path.clone(), offset: whole_len, len: 6 }]);
    assert_eq!(fs::metadata(&path).unwrap().len(), whole_len);
    assert_eq!(store.recover().unwrap(), []);
    assert_eq!(Archive::open(folder.path()).unwrap().entries().len(), 3);
}

#[test]
fn recovery_takes_an_unfinished_sealing_off_wherever_it_stopped_and_leaves_a_sealed_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let mut writer = store.run_writer(sample::id(1)).unwrap();
    sample::put_recording(&mut writer);
    let records_end = writer.len();
    let sealed = writer.seal().unwrap();
    let whole = fs::read(&sealed.path).unwrap();
    assert_eq!(store.recover().unwrap(), []);
    for len in usize::try_from(records_end).unwrap() + 1..whole.len() {
        fs::write(&sealed.path, &whole[..len]).unwrap();
        let cut = store.recover().unwrap();
        assert_eq!((cut.len(), fs::metadata(&sealed.path).unwrap().len()), (1, records_end), "{len} bytes");
    }
    let mut flipped = whole.clone();
    *flipped.iter_mut().nth_back(60).unwrap() ^= 1;
    fs::write(&sealed.path, &flipped).unwrap();
    assert_eq!(store.recover().unwrap(), [], "a damaged footer is evidence, not a torn tail");
    let report = crate::verify(folder.path(), &mut |_, _| {}).unwrap();
    assert_eq!((report.damage.len(), report.torn.len()), (1, 0), "{report:?}");
}

#[test]
fn whatever_a_disk_has_when_it_is_cut_off_a_new_store_is_opened_and_a_key_that_was_given_stays() {
    let folder = tempfile::tempdir().unwrap();
    let given = std::cell::Cell::new([0; KEY_LEN]);
    let make = || given.set(Store::open_or_create(folder.path()).unwrap().redaction_key().unwrap());
    let disks = noted::on_every_disk(folder.path(), make, &mut |case, is_done| {
        if !folder.path().join(STORE_MARKER).exists() {
            // Its rooms are made when the marker's name is on the disk.
            for room in [STORE_SEGMENTS, RUNS] {
                fs::remove_dir(folder.path().join(room)).ok();
            }
        }
        let store = Store::open_or_create(folder.path()).unwrap_or_else(|error| panic!("{case}: {error}"));
        let key = store.redaction_key().unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(!is_done || key == given.get(), "{case}");
        assert_ne!(key, [0; KEY_LEN], "{case}");
    });
    assert!(disks > 10, "{disks}");
}
