//! What a run's names led to when it began: images, programs and files that become others meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    Ran,
    beside::store_image,
    command,
    contained::{Image, Recorded, client},
    resumed::{begin, judged, resume},
    shipped::{IGNORED, docker, shipped},
    untrue::{first_tickets, send_signal, triage},
};

/// An image, and another that cannot start, each with a name that stays.
struct TwoImages {
    first: Image,
    other: Image,
    /// The name that is led from one to the other.
    name: Image,
}

impl TwoImages {
    fn of(name: &str, first: Image, other: Image) -> Self {
        let name = Image(format!("retake-test/{name}:{}", std::process::id()));
        let both = Self { first, other, name };
        both.lead_to(&both.first);
        both
    }

    fn of_triage(name: &str) -> Self {
        let image = |which: &str, entrypoint| Image::of_triage(&format!("{name}-{which}"), &[entrypoint]);
        Self::of(name, image("first", "ENTRYPOINT [\"/triage\"]"), image("other", "ENTRYPOINT [\"/gone\"]"))
    }

    fn lead_to(&self, image: &Image) {
        client(&["tag", &image.0, &self.name.0]);
    }
}

/// Interrupts a replay, once two of its repeats are written down.
fn interrupted(folder: &Path, child: Child) -> (PathBuf, Ran) {
    let run = judged(folder, 2);
    send_signal("-INT", &child);
    (run, Ran::of(&child.wait_with_output().unwrap()))
}

/// Resuming is refused with these words, and the run's file stays as it is.
fn refused(folder: &Path, run: &Path, words: &[&str]) {
    let before = fs::read(run).unwrap();
    let (ran, _) = resume(folder, run, &[]);
    assert!(ran.code == 2 && words.iter().all(|words| ran.err.contains(words)), "{words:?}: {} {}", ran.code, ran.err);
    assert!(fs::read(run).unwrap() == before, "nothing is lost");
}

fn done(document: &Value) -> [&Value; 2] {
    let repeats = &document["receipt"]["repeats"];
    [&repeats["done"], &repeats["not_started_count"]]
}

#[test]
fn docker_a_tag_that_leads_to_another_image_in_the_middle_changes_nothing_and_its_run_is_not_gone_on_with() {
    if !docker("a tag that leads to another image in the middle") {
        return;
    }
    let folder = tempdir().unwrap();
    let images = TwoImages::of_triage("held");
    let only = first_tickets(1);
    let flags = ["--image", &images.name.0, "--only", &only, "--repeat", "8", "--reset", "container"];
    let child = begin(folder.path(), &shipped(), &flags);
    let run = judged(folder.path(), 1);
    images.lead_to(&images.other);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    let document = ran.json();
    assert_eq!((ran.code, done(&document)), (0, [&json!(8), &json!(0)]), "{}{}", ran.out, ran.err);
    let used = client(&["image", "inspect", "--format", "{{.Id}}", &images.first.0]);
    assert_eq!(document["receipt"]["pinned"]["used"], used);
    fs::remove_file(run).unwrap();

    images.lead_to(&images.first);
    let (run, ran) = interrupted(folder.path(), begin(folder.path(), &shipped(), &flags));
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    images.lead_to(&images.other);
    let named = format!("`--image {}` is another than when run", images.name.0);
    refused(folder.path(), &run, &[&named, &used, "replay anew"]);
    images.lead_to(&images.first);
    let (ran, document) = resume(folder.path(), &run, &[]);
    assert_eq!((ran.code, done(&document)), (0, [&json!(8), &json!(0)]), "{}{}", ran.out, ran.err);
}

#[test]
fn docker_a_server_beside_that_is_another_image_by_now_is_named() {
    if !docker("a server beside that is another image by now") {
        return;
    }
    let recorded = Recorded::make("held-beside", &["ENTRYPOINT [\"/triage\"]"]);
    let store = |which: &str| store_image(&format!("held-store-{which}"), 8090, &[&format!("ENV WHICH={which}")]);
    let images = TwoImages::of("held-store", store("first"), store("other"));
    let folder = recorded.folder.path();
    let beside = format!("store={}", images.name.0);
    let mut replay = command(folder, &["replay", ".retake", "--json", "--beside", &beside, "--repeat", "5"]);
    let child = replay.args(IGNORED).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (run, ran) = interrupted(folder, child);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    images.lead_to(&images.other);
    refused(folder, &run, &[&format!("`--beside {beside}` is another than when run")]);
    images.lead_to(&images.first);
    let (ran, document) = resume(folder, &run, &[]);
    assert_eq!((ran.code, done(&document)), (0, [&json!(5), &json!(0)]), "{}{}", ran.out, ran.err);
}

#[test]
fn a_program_that_was_built_anew_in_the_middle_is_not_counted_with_what_it_was() {
    let folder = tempdir().unwrap();
    let service = folder.path().join("service");
    fs::copy(triage(), &service).unwrap();
    let (process, only) = (service.to_str().unwrap().to_owned(), first_tickets(1));
    let flags = ["--process", &process, "--only", &only, "--repeat", "60", "--reset", "container"];
    let (run, ran) = interrupted(folder.path(), begin(folder.path(), &shipped(), &flags));
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let built_anew = || {
        let aside = folder.path().join("aside");
        fs::copy(triage(), &aside).unwrap();
        let mut bytes = fs::read(&aside).unwrap();
        bytes.push(0);
        fs::write(&aside, bytes).unwrap();
        fs::rename(&aside, &service).unwrap();
    };
    built_anew();
    refused(folder.path(), &run, &[&format!("`--process {process}` is another than when run")]);
    // The same content, at another time.
    fs::remove_file(&service).unwrap();
    fs::copy(triage(), &service).unwrap();
    let mut going_on = command(folder.path(), &["replay", "--json", "--resume", run.to_str().unwrap()]);
    let child = going_on.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    judged(folder.path(), 10);
    built_anew();
    let ran = Ran::of(&child.wait_with_output().unwrap());
    let document = ran.json();
    let not_started = &document["receipt"]["repeats"]["not_started"][0]["reason"];
    assert!(not_started.as_str().unwrap().contains("is another than when run"), "{not_started}");
    assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (3, &json!(1)), "{}", ran.err);
}

#[test]
fn a_file_of_rules_that_says_something_else_by_now_is_named() {
    let folder = tempdir().unwrap();
    let (process, only) = (triage(), first_tickets(1));
    let rules = folder.path().join("rules.toml");
    let of = |pointer: &str| format!("[[ignore]]\npointer = '{pointer}'\nreason = 'it is anew'\nuntil = 2999-01-01\n");
    fs::write(&rules, of("/id")).unwrap();
    let flags = ["--process", &process, "--only", &only, "--repeat", "60", "--rules", "rules.toml"];
    let (run, ran) = interrupted(folder.path(), begin(folder.path(), &shipped(), &flags));
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    fs::write(&rules, of("/other")).unwrap();
    refused(folder.path(), &run, &["`--rules rules.toml` is another than when run", "replay anew"]);
    fs::write(&rules, of("/id")).unwrap();
    let (ran, document) = resume(folder.path(), &run, &[]);
    assert_eq!((ran.code, done(&document)), (0, [&json!(60), &json!(0)]), "{}{}", ran.out, ran.err);
}
