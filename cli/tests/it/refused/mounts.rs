//! Mounts, variables and secrets of a recorded container that are missing here, or other ones.

use std::fs;

use super::refused;
use crate::{mounted::Recorded, retake, shipped::docker};

/// What a replay says that is given these; `FOLDER` for where the recording is.
fn given(recorded: &Recorded, more: &[&str]) -> String {
    let arguments = [&["replay", ".retake", "--store", "runs"], more].concat();
    refused(recorded.folder.path(), &arguments, &[(recorded.folder.path().to_str().unwrap(), "FOLDER")])
}

#[test]
fn each_way_to_give_a_mount_wrongly_says_what_to_type() {
    if !docker("each_way_to_give_a_mount_wrongly_says_what_to_type") {
        return;
    }
    let recorded = Recorded::make("mounts-refused");
    let said = |more: &[&str]| given(&recorded, more);
    let all = ["--mount", "/models=given/models", "--mount", "/etc/key=given/key", "--mount", "/state=given/state"];
    let but = |path: &str, here: &str| {
        let one = format!("{path}={here}");
        let others = all.iter().filter(|word| word.starts_with('/') && !word.starts_with(&format!("{path}=")));
        let words: Vec<String> = others.map(|word| (*word).to_owned()).chain([one]).collect();
        let flags: Vec<&str> = words.iter().flat_map(|word| ["--mount", word.as_str()]).collect();
        said(&flags)
    };

    insta::assert_snapshot!(said(&[]), @r"
    exit code 3
    VOID     the recorded container had /etc/key (1 file, 5 bytes), /models (1 file, 7 bytes), /state (1 file, 1 byte) mounted, which the recording does not hold
    next     say where it is on this machine: `--mount /etc/key=HERE --mount /models=HERE --mount /state=HERE`; its content is checked. `--mount PATH=none` leaves one out
    ");
    insta::assert_snapshot!(said(&all[..4]), @r"
    exit code 3
    VOID     the recorded container had /state (1 file, 1 byte) mounted, which the recording does not hold
    next     say where it is on this machine: `--mount /state=HERE`; its content is checked. `--mount PATH=none` leaves one out
    ");
    insta::assert_snapshot!(but("/models", "given/nowhere"), @r"
    exit code 3
    VOID     `given/nowhere`, given for the mount /models, cannot be read: No such file or directory (os error 2)
    next     `--mount /models=HERE` takes a file or folder of this machine
    ");
    insta::assert_snapshot!(but("/models", "given/key"), @r"
    exit code 3
    VOID     `given/key` is not what was mounted at /models: it is a file, and a folder was recorded (1 file, 5 bytes here, 1 file, 7 bytes recorded)
    next     give what was recorded: `--mount /models=HERE`; to see what other content does, run the service yourself and say `--target URL`
    ");
    insta::assert_snapshot!(but("/etc/key", "given/models"), @r"
    exit code 3
    VOID     `given/models` is not what was mounted at /etc/key: it is a folder, and a file was recorded (1 file, 7 bytes here, 1 file, 5 bytes recorded)
    next     give what was recorded: `--mount /etc/key=HERE`; to see what other content does, run the service yourself and say `--target URL`
    ");
    insta::assert_snapshot!(said(&["--mount", "/model=given/models"]), @r"
    exit code 2
    error: the recorded container had nothing mounted at `/model`; it had /etc/key, /models, /state
    help: `retake inspect` lists the mounts; with `--image REF` others may be given
    ");
    insta::assert_snapshot!(said(&["--mount", "/models"]), @r"
    exit code 2
    error: `--mount /models` is not `PATH=HERE`: a whole path in the container, `=`, and a path here
    help: write it as `--mount /models=./models`, the container's first; `--mount /models=none` leaves it out
    ");
    insta::assert_snapshot!(said(&["--mount", "models=given/models"]), @r"
    exit code 2
    error: `--mount models=given/models` is not `PATH=HERE`: a whole path in the container, `=`, and a path here
    help: write it as `--mount /models=./models`, the container's first; `--mount /models=none` leaves it out
    ");

    let folder = recorded.folder.path().join("given");
    fs::write(folder.join("models/deep/weights"), "0.1 0.3").unwrap();
    insta::assert_snapshot!(said(&all), @r"
    exit code 3
    VOID     `given/models` is not what was mounted at /models: `deep/weights` differs (1 file, 7 bytes, as recorded)
    next     give what was recorded: `--mount /models=HERE`; to see what other content does, run the service yourself and say `--target URL`
    ");
    fs::write(folder.join("models/extra"), "x").unwrap();
    fs::write(folder.join("models/deep/weights"), "0.1 0.2").unwrap();
    insta::assert_snapshot!(said(&all), @r"
    exit code 3
    VOID     `given/models` is not what was mounted at /models: `extra` was not there (2 files, 8 bytes here, 1 file, 7 bytes recorded)
    next     give what was recorded: `--mount /models=HERE`; to see what other content does, run the service yourself and say `--target URL`
    ");
    fs::remove_file(folder.join("models/extra")).unwrap();
    fs::write(folder.join("key"), "b key").unwrap();
    insta::assert_snapshot!(said(&all), @r"
    exit code 3
    VOID     `given/key` is not what was mounted at /etc/key: its content differs (1 file, 5 bytes, as recorded)
    next     give what was recorded: `--mount /etc/key=HERE`; to see what other content does, run the service yourself and say `--target URL`
    ");

    // Left out on purpose: it runs, and what it answers without is judged.
    let left_out = ["--mount", "/etc/key=none", "--mount", "/models=given/models", "--mount", "/state=given/state"];
    let ran =
        retake(recorded.folder.path(), &[&["replay", ".retake", "--store", "runs", "--json"][..], &left_out].concat());
    let document = ran.json();
    assert_eq!((ran.code, &document["receipt"]["tally"]["changed"]), (1, &1.into()), "{}{}", ran.out, ran.err);
    assert!(document["receipt"]["replacements"].to_string().contains("/etc/key: not mounted, as asked"), "{document}");
}
