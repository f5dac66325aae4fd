//! Usage, settings and what scripts rely on.

use std::fs;

use tempfile::tempdir;

use crate::{command, retake};

#[test]
fn help_and_version_go_to_stdout_and_a_usage_error_to_stderr_with_code_2() {
    let folder = tempdir().unwrap();
    let help = retake(folder.path(), &["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(retake(folder.path(), &["--version"]).out.starts_with("retake "));
    let wrong = retake(folder.path(), &["ls", "--no-such-flag"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    assert_eq!(retake(folder.path(), &["no-such-command"]).code, 2);
}

#[test]
fn a_file_that_is_wrong_stops_every_command_and_says_where() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("retake.toml"), "[capture]\nlisten = \"127.0.0.1:1\"\n[ls]\nrote = \"/x\"\n").unwrap();
    let ran = retake(folder.path(), &["runs"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err, @r"
    error: `retake.toml`, line 4: `ls` has no setting `rote`
    help: did you mean `route`?
    ");
}

#[test]
fn print_settings_says_which_place_won_and_does_nothing_else() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("my.toml"), "store = \"/from/file\"\n[diff]\nignore = [\"/id\", \"/created\"]\n")
        .unwrap();
    let arguments = ["diff", "no-such-file", "nor-this", "--config", "my.toml", "--print-settings"];
    let ran = retake(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    insta::assert_snapshot!(ran.out, @r"
    SETTING         VALUE          FROM
    store           /from/file     `my.toml`, line 1
    identity                       not set
    ignore          /id, /created  `my.toml`, line 3
    tolerance                      not set
    rules                          not set
    descriptors                    not set
    message                        not set
    html                           not set
    noise                          not set
    learn           false          default
    margin                         not set
    latency-margin  0.25           default
    memory          4GiB           default
    accept                         not set
    reason                         not set
    until                          not set
    owner                          not set
    yes             false          default
    json            false          default
    color           auto           default
    ");
    let output = command(folder.path(), &arguments).env("RETAKE_STORE", "/from/environment").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("/from/environment  variable RETAKE_STORE"));
}

#[test]
fn colours_are_for_terminals_unless_they_are_asked_for() {
    let folder = tempdir().unwrap();
    let plain = retake(folder.path(), &["ls"]);
    assert!(!plain.err.contains('\x1b'));
    assert!(retake(folder.path(), &["ls", "--color", "always"]).err.contains("\x1b[31m"));
    let output = command(folder.path(), &["ls"]).env("NO_COLOR", "1").output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains('\x1b'));
}

#[test]
fn completions_and_manual_pages_are_there_for_every_command() {
    let folder = tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ran = retake(folder.path(), &["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("replay"), "{shell}");
    }
    assert!(retake(folder.path(), &["man"]).out.contains(".TH"));
    assert_eq!(retake(folder.path(), &["man", "--out", "pages"]).code, 0);
    let pages = fs::read_dir(folder.path().join("pages")).unwrap().count();
    assert!(pages >= 12, "{pages} pages");
}
