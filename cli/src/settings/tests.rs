use clap::CommandFactory;

use super::*;
use crate::settings::{file::Document, layer::of_environment};

fn plain() -> Command {
    with_off_switches(Cli::command())
}

/// Settles `line` with this file and these variables, and shows one flag with where it came from.
fn settle_with(line: &str, file: &str, variables: &[(&str, &str)]) -> Result<(ArgMatches, Layer), String> {
    let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let plain = plain();
    let (name, _) = peek(&plain, &arguments).expect("the line names a command");
    let text = |trouble: Trouble| trouble.to_string();
    let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let from_file = Document::new("retake.toml", file).layer(&plain, &name).map_err(text)?;
    let layer = from_file.under(of_environment(&plain, &name, lookup).map_err(text)?);
    let refused = |refusal| match refusal {
        Refusal::Clap(error) => error.to_string(),
        Refusal::Trouble(trouble) => trouble.to_string(),
    };
    let matches = parse(&plain, &layer, &arguments).map_err(refused)?;
    let layer = layer.clone().without(&overruled(&plain, &layer, &matches));
    let matches = parse(&plain, &layer, &arguments).map_err(refused)?;
    Ok((matches, layer))
}

fn value(matches: &ArgMatches, id: &str) -> String {
    let values = matches.subcommand().unwrap().1.get_raw(id).into_iter().flatten();
    values.map(|value| value.to_string_lossy().into_owned()).collect::<Vec<_>>().join("|")
}

#[test]
fn flags_beat_the_environment_and_it_beats_the_file_and_that_beats_the_defaults() {
    let file = "[capture]\nmemory = \"1MiB\"\nbody-max = \"2MiB\"\nlisten = \"127.0.0.1:3\"";
    let variables = [("RETAKE_CAPTURE_MEMORY", "4MiB"), ("RETAKE_CAPTURE_BODY_MAX", "5MiB")];
    let (matches, layer) = settle_with("retake capture --memory 6MiB", file, &variables).unwrap();
    assert_eq!(
        ["memory", "body_max", "listen", "sync_interval"].map(|id| value(&matches, id)),
        ["6MiB", "5MiB", "127.0.0.1:3", "200ms"]
    );
    assert_eq!(layer.of("body_max").unwrap().origin.to_string(), "variable RETAKE_CAPTURE_BODY_MAX");
    assert_eq!(layer.of("listen").unwrap().origin.to_string(), "`retake.toml`, line 4");
}

#[test]
fn a_list_in_the_file_is_a_repeated_flag_and_a_flag_replaces_the_whole_list() {
    let file = "[replay]\nignore = [\"/id\", \"/created\"]";
    let (matches, _) = settle_with("retake replay a.retake", file, &[]).unwrap();
    assert_eq!(value(&matches, "ignore"), "/id|/created");
    let (matches, _) = settle_with("retake replay a.retake --ignore /x", file, &[]).unwrap();
    assert_eq!(value(&matches, "ignore"), "/x");
    let (matches, _) = settle_with("retake replay a.retake", file, &[("RETAKE_REPLAY_IGNORE", "/a\n/b")]).unwrap();
    assert_eq!(value(&matches, "ignore"), "/a|/b");
}

#[test]
fn a_switch_that_the_file_turned_on_is_turned_off_by_its_negation() {
    let file = "[replay]\nstrict-env = true\n[capture]\nno-traceparent = true";
    let strict = |line: &str| {
        let (matches, _) = settle_with(line, file, &[]).unwrap();
        matches.subcommand().unwrap().1.get_flag("strict_env")
    };
    assert!(strict("retake replay a.retake"));
    assert!(!strict("retake replay a.retake --no-strict-env"));
    let (matches, _) = settle_with("retake capture --traceparent", file, &[]).unwrap();
    assert!(!matches.subcommand().unwrap().1.get_flag("no_traceparent"));
}

#[test]
fn a_flag_takes_back_what_the_file_says_when_the_two_exclude_each_other() {
    let file = "[replay]\nimage = \"triage:next\"";
    let (matches, layer) = settle_with("retake replay a.retake --target http://127.0.0.1:1", file, &[]).unwrap();
    assert_eq!((value(&matches, "image"), value(&matches, "target")), (String::new(), "http://127.0.0.1:1".to_owned()));
    assert_eq!(layer, Layer::default());
}

#[test]
fn a_shared_key_reaches_every_command_that_has_it_and_the_commands_own_table_wins() {
    let file = "store = \"/one\"\n[ls]\nstore = \"/two\"";
    let store = |line: &str| value(&settle_with(line, file, &[]).unwrap().0, "store");
    assert_eq!((store("retake runs"), store("retake ls")), ("/one".to_owned(), "/two".to_owned()));
}

#[test]
fn what_is_wrong_in_the_file_is_named_with_its_line_and_what_was_probably_meant() {
    let complaint = |file: &str| settle_with("retake capture", file, &[]).map(drop).unwrap_err();
    insta::assert_snapshot!(complaint("[capture]\nupstraem = \"http://x\""), @r"
    error: `retake.toml`, line 2: `capture` has no setting `upstraem`
    help: did you mean `upstream`?
    ");
    insta::assert_snapshot!(complaint("[captur]\n"), @r"
    error: `retake.toml`, line 1: there is no command `captur`
    help: did you mean `[capture]`?
    ");
    insta::assert_snapshot!(complaint("\nupstream = 1"), @r"
    error: `retake.toml`, line 2: there is no setting `upstream` above the tables
    help: `upstream` belongs into the table `[capture]`
    ");
    insta::assert_snapshot!(complaint("[replay]\nstrict-env = \"perhaps\""), @r"
    error: `retake.toml`, line 2: `strict-env` is a switch
    help: write true or false
    ");
    insta::assert_snapshot!(complaint("[capture]\nmemory = \"64 miles\""), @r"
    error: `retake.toml`, line 2: `64 miles` is no value for `memory`
    help: unit `miles` is none of KiB, MiB, GiB, KB, MB, GB
    ");
    insta::assert_snapshot!(complaint("[capture]\nmemory = [1, 2]"), @"error: `retake.toml`, line 2: `memory` takes one value, not 2");
    insta::assert_snapshot!(complaint("[capture]\nmemory = = 1"), @r"
    error: `retake.toml`, line 2: extra `=`, expected nothing
    help: the file is TOML: https://toml.io
    ");
}

#[test]
fn a_wrong_variable_is_named() {
    let variables = [("RETAKE_CAPTURE_LISTEN", "nowhere")];
    insta::assert_snapshot!(settle_with("retake capture", "", &variables).map(drop).unwrap_err(), @r"
    error: variable RETAKE_CAPTURE_LISTEN: `nowhere` is no value for `listen`
    help: write an IP address and a port, such as 127.0.0.1:8080, or a port alone
    ");
}

#[test]
fn the_settings_are_explained_with_the_place_that_won() {
    let file = "[runs]\nstore = \"/var/lib/retake\"";
    let (matches, layer) = settle_with("retake runs --color never", file, &[]).unwrap();
    insta::assert_snapshot!(explain::explain(&plain(), &matches, &layer, false), @r"
    SETTING  VALUE            FROM
    store    /var/lib/retake  `retake.toml`, line 2
    json     false            default
    color    never            flag
    ");
}
