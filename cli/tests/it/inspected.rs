//! `retake inspect`.

use tempfile::tempdir;

use crate::{
    recordings::{Told, bundle},
    retake,
    shipped::shipped,
};

#[test]
fn a_recording_is_inspected_before_it_is_trusted_and_says_how_it_is_replayed() {
    let folder = tempdir().unwrap();
    let path = shipped().display().to_string();
    let ran = retake(folder.path(), &["inspect", &path, "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    assert_eq!(document["schema"], "retake.inspection/0");
    assert_eq!((&document["whole"], &document["image"]["inside"]), (&true.into(), &true.into()));
    let routes = document["routes"].as_array().unwrap();
    let tickets = routes.iter().find(|route| route.get("dependency").is_none()).unwrap();
    assert!(tickets["route"].as_str().unwrap().starts_with("POST /"), "{tickets}");
    let command = document["replay"].as_str().unwrap();
    assert!(command.starts_with(&format!("retake replay {path}")), "{command}");

    let ran = retake(folder.path(), &["inspect", &path]);
    assert!(ran.code == 0 && ran.out.contains("Container\n"), "{}{}", ran.out, ran.err);
    assert!(ran.out.ends_with(&format!(": {command}\n")), "{}", ran.out);
    assert!(folder.path().read_dir().unwrap().next().is_none(), "looking leaves nothing behind");
}

#[test]
fn a_recording_of_nobody_in_particular_is_replayed_against_an_address() {
    let folder = tempdir().unwrap();
    let told = [Told::default(), Told { number: 2, path: "/tickets/17", answered: None, ..Told::default() }];
    bundle(&folder.path().join("case.retake"), &told);
    let ran = retake(folder.path(), &["inspect", "case.retake"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for line in [
        "clients  POST /tickets        1  200 × 1",
        "POST /tickets/*      1",
        "no status × 1",
        "To replay it: retake replay case.retake",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    let ran = retake(folder.path(), &["inspect", "nothing.retake"]);
    assert_eq!(ran.code, 2);
}
