//! `gc`.

use tempfile::tempdir;

use crate::{
    Ran, command,
    recordings::{Told, store},
    retake,
};

#[test]
fn what_is_old_is_planned_first_and_then_gone() {
    let folder = tempdir().unwrap();
    let call = Told { number: 2, call: Some(("model", 1)), ..Told::default() };
    let file = store(&folder.path().join(".retake"), &[Told::default(), call]);
    // Of its own: what others left, or have there, is not this test's.
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let gc =
        |arguments: &[&str]| Ran::of(&command(folder.path(), arguments).env("TMPDIR", &temporary).output().unwrap());
    // The recording is of November 2026; a year is longer ago than that for a while.
    let young = gc(&["gc", "--older-than", "5200w"]);
    assert_eq!((young.code, young.out.as_str()), (0, "nothing to remove\n"), "{}", young.err);
    let planned = gc(&["gc", "--max-size", "0", "--dry-run"]);
    assert!(planned.code == 0 && planned.out.contains("2 of 2 exchanges would go"), "{}{}", planned.out, planned.err);
    assert!(file.exists());
    let document = gc(&["gc", "--max-size", "0", "--json"]).json();
    assert_eq!((&document["schema"], &document["files"][0]["action"]), (&"retake.gc/0".into(), &"remove".into()));
    assert!(!file.exists());
    assert_eq!(retake(folder.path(), &["verify"]).code, 0);
    let wrong = gc(&["gc", "--older-than", "soon"]);
    assert!(wrong.code == 2 && wrong.err.contains("whole number"), "{}", wrong.err);
}

#[test]
fn what_a_killed_replay_left_where_temporary_files_go_is_removed() {
    let folder = tempdir().unwrap();
    store(&folder.path().join(".retake"), &[Told::default()]);
    let temporary = folder.path().join("tmp");
    let left = |name: &str| {
        let path = temporary.join(name);
        std::fs::create_dir_all(path.join("run")).unwrap();
        let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let open = std::fs::File::open(&path).unwrap();
        open.set_times(std::fs::FileTimes::new().set_modified(made)).unwrap();
        (path, open)
    };
    let (dead, _) = left("retake-run-dead");
    let (living, lock) = left("retake-run-living");
    lock.lock().unwrap();
    let gc = |arguments: &[&str]| {
        let output = command(folder.path(), arguments).env("TMPDIR", &temporary).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, out) = gc(&["gc", "--dry-run"]);
    assert!(code == Some(0) && out.contains("retake-run-dead") && !out.contains("living") && dead.exists(), "{out}");
    assert_eq!(gc(&["gc"]).0, Some(0));
    assert!(!dead.exists() && living.exists());
}
