//! Variables and secrets that were given wrongly: nothing is started for them.

use std::fs;

use tempfile::{TempDir, tempdir};

use super::refused;
use crate::shipped::shipped;

/// A replay of the shipped recording with a file of this text.
fn with_file(flag: &str, text: &str) -> String {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("given.txt"), text).unwrap();
    in_folder(&folder, &[flag, "given.txt"])
}

fn in_folder(folder: &TempDir, more: &[&str]) -> String {
    let source = shipped();
    let arguments = [&["replay", source.to_str().unwrap()][..], more].concat();
    refused(folder.path(), &arguments, &[])
}

#[test]
fn a_line_of_variables_that_is_wrong_is_named_and_not_repeated() {
    insta::assert_snapshot!(with_file("--env-file", "A=1\n\nMY KEY=hunter2\n"), @r"
    exit code 2
    error: given.txt:3: a name with a blank in it
    help: write each variable on one line, as NAME=VALUE without blanks around `=`
    ");
    insta::assert_snapshot!(with_file("--env-file", "# of production\nexport NOT_SET_ANYWHERE\n"), @r"
    exit code 2
    error: given.txt:2: variable `NOT_SET_ANYWHERE` has no value here
    help: write `NOT_SET_ANYWHERE=VALUE`, set it here, or take the line out
    ");
    insta::assert_snapshot!(with_file("--env-file", "=hunter2\n"), @r"
    exit code 2
    error: given.txt:1: a value without a name
    help: write it as NAME=VALUE
    ");
}

#[test]
fn variables_that_cannot_be_had_are_named() {
    insta::assert_snapshot!(in_folder(&tempdir().unwrap(), &["--env-file", "nowhere.txt"]), @r"
    exit code 2
    error: cannot read `--env-file nowhere.txt`
      because: No such file or directory (os error 2)
    help: name a text file with lines `NAME=VALUE`; `retake inspect` lists the variables that were secrets
    ");
    insta::assert_snapshot!(in_folder(&tempdir().unwrap(), &["--env", "NOT_SET_ANYWHERE"]), @r"
    exit code 2
    error: variable `NOT_SET_ANYWHERE` is not set here
    help: say `--env NOT_SET_ANYWHERE=VALUE`; a secret that is left out gets a stand-in
    ");
}

#[test]
fn a_line_of_secrets_that_is_wrong_is_named_and_not_repeated() {
    insta::assert_snapshot!(with_file("--secrets", "# of production\nsk-another=hunter2hunter2\n"), @r"
    exit code 2
    error: cannot use `given.txt`
      because: line 2 begins with no pseudonym of this recording followed by `=`
    help: write lines `PSEUDONYM=VALUE`; `retake inspect` lists the recording's pseudonyms
    ");
    let pseudonym = recorded_pseudonym();
    insta::assert_snapshot!(with_file("--secrets", &format!("{pseudonym}=pin1\n")), @r"
    exit code 2
    error: cannot use `given.txt`
      because: line 1 has a value of 4 bytes; it needs 6 or more, or other text would be taken for it
    help: write lines `PSEUDONYM=VALUE`; `retake inspect` lists the recording's pseudonyms
    ");
}

#[test]
fn secrets_that_cannot_be_read_are_named() {
    insta::assert_snapshot!(in_folder(&tempdir().unwrap(), &["--secrets", "nowhere.txt"]), @r"
    exit code 2
    error: cannot read `--secrets nowhere.txt`
      because: No such file or directory (os error 2)
    help: name a file with lines `PSEUDONYM=VALUE`; `retake inspect` lists the recording's pseudonyms
    ");
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("given.txt"), b"\xff\xfe").unwrap();
    insta::assert_snapshot!(in_folder(&folder, &["--secrets", "given.txt"]), @r"
    exit code 2
    error: cannot read `--secrets given.txt`
      because: stream did not contain valid UTF-8
    help: name a file with lines `PSEUDONYM=VALUE`; `retake inspect` lists the recording's pseudonyms
    ");
    insta::assert_snapshot!(in_folder(&folder, &["--env-file", "given.txt"]), @r"
    exit code 2
    error: cannot read `--env-file given.txt`
      because: stream did not contain valid UTF-8
    help: name a text file with lines `NAME=VALUE`; `retake inspect` lists the variables that were secrets
    ");
    insta::assert_snapshot!(in_folder(&folder, &["--secrets", "."]), @r"
    exit code 2
    error: cannot read `--secrets .`
      because: Is a directory (os error 21)
    help: name a file with lines `PSEUDONYM=VALUE`; `retake inspect` lists the recording's pseudonyms
    ");
}

/// What stands for the shipped recording's credential.
fn recorded_pseudonym() -> String {
    let folder = tempdir().unwrap();
    let inspected = crate::retake(folder.path(), &["inspect", shipped().to_str().unwrap(), "--json"]).json();
    inspected["pseudonyms"][0]["text"].as_str().unwrap().to_owned()
}
