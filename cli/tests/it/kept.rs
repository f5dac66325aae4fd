//! `gc` and `scrub`.

use std::{fs, path::Path, process::Command};

use tempfile::tempdir;

use crate::{
    Ran, command,
    recordings::{Told, id, store},
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
    // A hundred years.
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
    assert!(wrong.code == 2 && wrong.err.contains("`soon` is none of ms, s, m, h, d, w"), "{}", wrong.err);
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
    // Without a store as well, unless something is asked of one.
    fs::rename(folder.path().join(".retake"), folder.path().join("elsewhere")).unwrap();
    assert_eq!(gc(&["gc", "--older-than", "30d"]).0, Some(2));
    assert_eq!(gc(&["gc", "--store", "./nowhere"]).0, Some(2));
    assert_eq!(gc(&["gc"]).0, Some(0));
    assert!(!dead.exists() && living.exists());
}

const HISTORY: &str =
    "a history that both of them share, long enough to be kept once and to be referred to by each of the two";

fn asked(who: &str) -> String {
    format!(r#"{{"messages":[{{"role":"system","content":"{HISTORY}"}},{{"role":"user","content":"I am {who}"}}]}}"#)
}

/// All files of a folder and what is in them, as they are and decompressed.
fn raw(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(raw(&path));
            continue;
        }
        all.extend(fs::read(&path).unwrap());
        if path.extension().is_some_and(|extension| extension == "retake") {
            let output = Command::new("zstd").args(["-dc"]).arg(&path).output().unwrap();
            assert!(output.status.success());
            all.extend(output.stdout);
        }
    }
    all
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_persons_exchanges_are_scrubbed_and_the_others_stay_to_the_byte() {
    let folder = tempdir().unwrap();
    let home = folder.path().join(".retake");
    let (ann, bob) = (asked("ann@b.example"), asked("bob@c.example"));
    store(
        &home,
        &[
            Told { number: 0x11, asked: &ann, ..Told::default() },
            Told { number: 0x12, asked: &ann, call: Some(("model", 0x11)), ..Told::default() },
            Told { number: 0x21, asked: &bob, ..Told::default() },
            Told { number: 0x22, asked: &bob, call: Some(("model", 0x21)), ..Told::default() },
        ],
    );
    let run = |arguments: &[&str]| retake(folder.path(), arguments);
    assert_eq!(run(&["export", ".retake", "1111", "-o", "ann@b.example.retake"]).code, 0);
    assert_eq!(run(&["export", ".retake", "2121", "-o", "bob.retake"]).code, 0);
    let before = run(&["show", "2222", "--json"]).json();
    let value = ["scrub", "--value", "ann@b.example"];
    let planned = run(&[&value[..], &["--dry-run"]].concat());
    assert!(
        planned.code == 0 && planned.out.contains("2 exchanges would be scrubbed"),
        "{}{}",
        planned.out,
        planned.err
    );
    let unsure = run(&value);
    assert!(unsure.code == 2 && unsure.err.contains("--yes"), "{}", unsure.err);
    assert!(has(&raw(&home), "ann@b.example"), "a plan changes nothing");

    let done = run(&[&value[..], &["--reason", "request 17", "--yes"]].concat());
    assert!(done.code == 0 && done.out.contains("no value is left"), "{}{}", done.out, done.err);
    assert!(done.out.contains("exported elsewhere: `") && !done.out.contains("bob.retake"), "{}", done.out);
    let left = raw(&home);
    assert!(!has(&left, "ann@b.example") && has(&left, "bob@c.example") && has(&left, HISTORY));
    let after = run(&["show", "2222", "--json"]).json();
    for kept in ["/request_body", "/response_body", "/exchange/request/head", "/exchange/digests", "/exchange/times"] {
        assert!(before.pointer(kept).is_some() && before.pointer(kept) == after.pointer(kept), "{kept}: {after}");
    }
    for told in [run(&["show", "1111"]), run(&["ls", "1111"])] {
        assert!(
            told.code == 2 && told.err.contains("was scrubbed on") && told.err.contains("request 17"),
            "{}",
            told.err
        );
    }
    let verified = run(&["verify"]);
    assert!(verified.code == 0 && verified.err.contains("2 ids were scrubbed"), "{}{}", verified.out, verified.err);

    // What was exported is another file, and is scrubbed by its name.
    let document = run(&["scrub", "ann@b.example.retake", "--value", "ann@b.example", "--yes", "--json"]).json();
    assert_eq!((&document["schema"], &document["done"]), (&"retake.scrub/0".into(), &true.into()));
    assert_eq!(document["ids"], serde_json::json!([id(0x11), id(0x12)]));
    assert_eq!(run(&["ls", "ann@b.example.retake", "--json"]).json()["exchanges"], serde_json::json!([]));
}

#[test]
fn a_scrub_without_a_question_or_with_the_value_in_its_reason_is_refused() {
    let folder = tempdir().unwrap();
    store(&folder.path().join(".retake"), &[Told::default()]);
    let run = |arguments: &[&str]| retake(folder.path(), arguments);
    let all = run(&["scrub", "--yes"]);
    assert!(all.code == 2 && all.err.contains("--value"), "{}", all.err);
    let told = run(&["scrub", "--value", "ann", "--reason", "for ann", "--yes"]);
    assert!(told.code == 2 && told.err.contains("reasons are kept"), "{}", told.err);
    let unknown = run(&["scrub", "--id", "9999", "--yes"]);
    assert!(unknown.code == 2 && unknown.err.contains("0 exchanges"), "{}", unknown.err);
    assert_eq!(run(&["scrub", "--value", "nobody", "--yes"]).code, 0);
}
