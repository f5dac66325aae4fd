//! Noise: what repeats teach, what is set apart by it, and what is not.

use std::path::Path;

use exchange::MediaKind;
use serde_json::Value;
use stats::{Confidence, Rate};
use tempfile::tempdir;

use crate::{
    Ran, command, retake,
    shipped::{docker, shipped},
    untrue::{OfProcess, first_tickets},
};

/// Replays three tickets of a recorded process, whose answers have fresh ids.
fn replay(recording: &OfProcess, more: &[&str]) -> Ran {
    let (source, only) = (recording.source.to_str().unwrap(), first_tickets(3));
    let base =
        ["replay", source, "--only", &only, "--determinism", "0", "--ignore", "/created", "--ignore", "sse:/created"];
    retake(recording.folder.path(), &[&base[..], more].concat())
}

fn verdicts(document: &Value) -> Vec<&str> {
    document["results"].as_array().unwrap().iter().map(|result| result["verdict"].as_str().unwrap()).collect()
}

#[test]
fn repeats_teach_the_noise_and_the_next_replay_sets_it_apart_with_its_evidence() {
    let recording = OfProcess::make();
    assert_eq!(verdicts(&replay(&recording, &["--json"]).json()), ["changed"; 3]);
    let learned = replay(&recording, &["--repeat", "11", "--json"]);
    let learned = learned.json();
    assert!(learned["receipt"]["noise"].is_null(), "{}", learned["receipt"]["noise"]);

    let ran = replay(&recording, &["--json"]);
    let document = ran.json();
    assert_eq!((ran.code, verdicts(&document)), (0, vec!["noise"; 3]), "{}{}", ran.out, ran.err);
    let noise = &document["receipt"]["noise"];
    assert_eq!(noise["profiles"][0]["runs"][0], learned["receipt"]["run"]);
    for used in noise["hidden"].as_array().unwrap() {
        assert!(used["evidence"]["differed"]["events"].as_u64() >= Some(10), "{used}");
        assert_eq!(used["evidence"]["runs"][0], learned["receipt"]["run"]);
    }
    let hidden = &document["results"][0]["comparison"]["noise"][0];
    assert!(hidden["pointer"].as_str().unwrap().ends_with("/id"), "{hidden}");
    let page = replay(&recording, &[]).out;
    assert!(page.lines().any(|line| line.starts_with("hidden") && line.contains("within noise at")), "{page}");

    let run = learned["run_path"].as_str().unwrap();
    assert_eq!(replay(&recording, &["--noise", run]).code, 0);
    assert_eq!(replay(&recording, &["--noise", "none"]).code, 1);
    let without = replay(&recording, &["--noise", recording.source.to_str().unwrap()]);
    assert_eq!(without.code, 2);
    assert!(without.err.contains("there is no noise profile in it"), "{}", without.err);

    // A bundle carries the profiles of the versions in it.
    let (folder, source) = (recording.folder.path(), recording.source.to_str().unwrap());
    let exported = retake(folder, &["export", source, "-o", "case.retake"]);
    assert_eq!(exported.code, 0, "{}", exported.err);
    let elsewhere = ["--store", "another", "--determinism", "0", "--ignore", "/created", "--ignore", "sse:/created"];
    let only = first_tickets(3);
    let ran = retake(folder, &[&["replay", "case.retake", "--json", "--only", &only][..], &elsewhere].concat());
    assert_eq!((ran.code, verdicts(&ran.json())), (0, vec!["noise"; 3]), "{}", ran.err);
    assert_eq!(ran.json()["receipt"]["noise"]["profiles"][0]["from"], "the recording");
}

/// The first ticket of the shipped recording that was answered as JSON, and the first that was streamed.
fn one_of_each_kind() -> String {
    let archive = bundle::Archive::open(&shipped()).unwrap();
    let first = |is_streamed: bool| {
        let is_meant = |entry: &&bundle::Entry| {
            let response = archive.exchange(&entry.id).unwrap().response.unwrap();
            entry.dependency.is_none() && is_streamed == (MediaKind::of(&response.head) == MediaKind::EventStream)
        };
        archive.entries().iter().find(is_meant).unwrap().id.to_string()
    };
    [first(false), first(true)].join(",")
}

#[test]
fn a_case_in_which_anything_is_noise_is_called_so_and_every_report_says_how_much_was_hidden() {
    let recording = OfProcess::make();
    let (folder, source, only) = (recording.folder.path(), recording.source.to_str().unwrap(), one_of_each_kind());
    let times = ["--ignore", "/created", "--ignore", "sse:/created"];
    let base = ["replay", source, "--only", &only, "--determinism", "0", "--repeat", "11"];
    assert_eq!(retake(folder, &[&base[..], &times].concat()).code, 1);
    std::fs::create_dir(folder.join("cases")).unwrap();
    assert_eq!(retake(folder, &["export", source, "-o", "cases/noisy.retake"]).code, 0);
    // Of one answer the id is left out by hand, in the other it is noise.
    let only: Vec<String> = only.split(',').map(|id| format!("'{id}'")).collect();
    let file =
        format!("only = [{}]\ndeterminism = 0\nignore = ['/created', 'sse:/created', 'sse:/id']\n", only.join(", "));
    std::fs::write(folder.join("cases/noisy.toml"), file).unwrap();
    let words = ["test", "cases", "--summary", "summary.md", "--junit", "junit.xml", "--results", "results.json"];
    let ran = retake(folder, &words);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let results: Value = serde_json::from_slice(&std::fs::read(folder.join("results.json")).unwrap()).unwrap();
    let case = &results["cases"][0];
    assert_eq!((&case["outcome"], &case["verdict"]), (&"passed".into(), &"noise".into()));
    let tally = &case["replays"][0]["receipt"]["tally"];
    assert_eq!((&tally["same"], &tally["noise"]), (&1.into(), &1.into()), "{tally}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    for (page, wanted) in [
        (ran.out, "\nwithin measured noise: 1 difference in 1 exchange: POST /tickets /id 1×\n"),
        (
            read("summary.md"),
            "\nWithin measured noise: 1 difference in 1 exchange of 1 case, `noisy`: `POST /tickets /id` 1×.\n",
        ),
        (read("junit.xml"), "\nnoisy: within measured noise: 1 difference in 1 exchange</system-out>"),
    ] {
        assert!(page.contains(wanted), "{wanted}\n{page}");
    }
    // Not one word of it where noise counts as any other difference.
    let ran = retake(folder, &["test", "cases", "--", "--noise", "none"]);
    assert!(ran.code == 1 && !ran.out.contains("within measured noise"), "{}", ran.out);
}

#[test]
fn runs_are_held_against_each_other_where_the_same_was_a_difference_in_both() {
    let recording = OfProcess::make();
    let folder = recording.folder.path();
    let run = |more: &[&str]| {
        let document = replay(&recording, &[&["--repeat", "11", "--json"][..], more].concat()).json();
        document["run_path"].as_str().unwrap().to_owned()
    };
    let is_otherwise = |one: &str, other: &str| {
        let ran = retake(folder, &["diagnose", "flakiness", one, other, "--json"]);
        let words = ran.json()["exchanges"].to_string();
        words.contains("other rules or other noise")
    };
    // The first knows no noise, the second what the first taught, the third what both did, which comes to the same.
    let [first, second, third] = [run(&[]), run(&[]), run(&[])];
    assert!(is_otherwise(&first, &second) && !is_otherwise(&second, &third));
    // A file of rules is known by what it says.
    let rule = |pointer: &str| format!("[[ignore]]\npointer = '{pointer}'\nreason = 'fresh'\nuntil = 2999-12-31\n");
    let with_rules = |pointers: &[&str]| {
        let text: String = pointers.iter().map(|pointer| rule(pointer)).collect();
        std::fs::write(folder.join("rules.toml"), text).unwrap();
        run(&["--noise", "none", "--rules", "rules.toml"])
    };
    let [one, all, again] = [&["/other"][..], &["/id", "sse:/id"], &["/id", "sse:/id"]].map(with_rules);
    assert!(is_otherwise(&one, &all) && !is_otherwise(&all, &again));
    // One and the same run is looked at once.
    let twice = retake(folder, &["diagnose", "flakiness", &all, &all, "--json"]);
    assert!(twice.err.contains("given more than once") && twice.json()["trials"] == 33, "{}{}", twice.out, twice.err);
}

/// How often exchanges failed over the repeats of a run, of how many answers.
fn failed(document: &Value) -> (u64, u64) {
    let of = |result: &Value, what: &str| result["repeated"]["failed"][what].as_u64().unwrap();
    let results = document["results"].as_array().unwrap();
    (results.iter().map(|it| of(it, "events")).sum(), results.iter().map(|it| of(it, "of")).sum())
}

#[test]
fn slow_repeats_of_an_unchanged_service_raise_no_more_alarms_than_its_profile_says() {
    let recording = OfProcess::make();
    let (source, only) = (recording.source.to_str().unwrap(), first_tickets(2));
    let run = |more: &[&str]| {
        let base = ["replay", source, "--only", &only, "--determinism", "0", "--json"];
        retake(recording.folder.path(), &[&base[..], more].concat()).json()
    };
    // Noisy: fresh ids and times in every answer, nothing left out by hand, each answer from a fresh process.
    run(&["--repeat", "31"]);
    let noisy = run(&["--repeat", "500"]);
    let (alarms, of) = failed(&noisy);
    let seen = Rate::new(alarms, of).clopper_pearson(Confidence::DEFAULT);
    let stated = noisy["receipt"]["noise"]["alarms"].as_array().unwrap();
    eprintln!("noisy: {alarms} of {of} ({seen}); stated {stated:?}");
    let bound = stated.iter().map(|rate| rate["rate"]["exact_high"].as_f64().unwrap()).fold(0.0, f64::max);
    assert!(of == 1_000 && seen.low <= bound, "{seen} {bound}");
    // Steady: what differs in every answer is left out by hand.
    let ignored = ["--ignore", "/id", "--ignore", "/created", "--ignore", "sse:/id", "--ignore", "sse:/created"];
    let steady = run(&[&["--repeat", "500", "--reset", "none", "--noise", "none"][..], &ignored].concat());
    let (alarms, of) = failed(&steady);
    let seen = Rate::new(alarms, of).clopper_pearson(Confidence::DEFAULT);
    eprintln!("steady: {alarms} of {of} ({seen})");
    assert_eq!((alarms, of), (0, 1_000));
}

#[test]
fn slow_repeats_of_the_recorded_image_against_itself_raise_no_more_alarms_than_its_profile_says() {
    if !docker("slow_repeats_of_the_recorded_image_against_itself_raise_no_more_alarms_than_its_profile_says") {
        return;
    }
    // Of two tickets in flight together it is chance which gets which of the two ids that level 3 gives; one alone has the same always.
    for (name, count, is_noisy) in [("steady", 1, false), ("noisy", 2, true)] {
        let (folder, source, only) = (tempdir().unwrap(), shipped(), first_tickets(count));
        let run = || {
            let words = ["replay", source.to_str().unwrap(), "--only", &only, "--repeat", "500", "--json"];
            retake(folder.path(), &words).json()
        };
        let runs = [run(), run()];
        let paths = runs.each_ref().map(|run| run["run_path"].as_str().unwrap());
        let compared = retake(folder.path(), &["diff", paths[0], paths[1], "--json"]).json();
        let count_of = |verdict: &str| compared["tally"][verdict].as_u64().unwrap();
        let (same, noise) = (count_of("same"), count_of("noise"));
        let of = compared["exchanges"].as_array().unwrap().len() as u64;
        let alarms = Rate::new(of - same - noise, of);
        let seen = alarms.clopper_pearson(Confidence::DEFAULT);
        let stated = runs[1]["receipt"]["noise"]["alarms"][0]["rate"]["exact_high"].as_f64();
        eprintln!("{name}: {} alarms of {of} ({seen}), {noise} within noise; stated {stated:?}", of - same - noise);
        assert!(of == 500 * count as u64 && seen.low <= stated.unwrap_or(0.0), "{}", compared["tally"]);
        assert_eq!(noise > 0, is_noisy, "{}", compared["tally"]);
    }
}

#[test]
fn a_rule_of_a_file_is_shown_before_it_is_written_and_applied_until_its_last_day() {
    let recording = OfProcess::make();
    let folder = recording.folder.path();
    let all = ["--ignore", "sse:/id"];
    assert_eq!(replay(&recording, &all).code, 1);
    let base = ["diff", "--accept", "/id", "--reason", "fresh each time"];
    let shown = retake(folder, &[&base[..], &["--until", "2999-12-31"]].concat());
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(
        shown.out.contains("`/id` would have hidden") && shown.out.contains("in 1 of the last 1 runs"),
        "{}",
        shown.out
    );
    assert!(shown.err.contains("nothing was written") && !folder.join("rules.toml").exists(), "{}", shown.err);
    assert_eq!(retake(folder, &[&base[..], &["--until", "soon"]].concat()).code, 2);
    assert_eq!(retake(folder, &["diff", "--accept", "/id", "--until", "2999-12-31"]).code, 2);
    let over = retake(folder, &[&base[..], &["--until", "2020-01-01", "--yes"]].concat());
    assert!(over.code == 2 && over.err.contains("`--until 2020-01-01` is over"), "{}", over.err);
    let for_nothing = ["diff", "--accept", "/id", "--reason", "", "--until", "2999-12-31", "--yes"];
    assert_eq!(retake(folder, &for_nothing).code, 2);
    assert!(!folder.join("rules.toml").exists() && !folder.join("rules.toml.new").exists());

    let written = retake(folder, &[&base[..], &["--until", "2999-12-31", "--owner", "ann", "--yes"]].concat());
    assert_eq!(written.code, 0, "{}", written.err);
    let ran = replay(&recording, &[&all[..], &["--rules", "rules.toml", "--json"]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let rules = ran.json()["receipt"]["rules"].as_array().unwrap().clone();
    let id = rules.iter().find(|rule| rule["rule"] == "/id").unwrap();
    assert_eq!((&id["reason"], &id["until"]), (&"fresh each time".into(), &"2999-12-31".into()));

    let text = std::fs::read_to_string(folder.join("rules.toml")).unwrap().replace("2999", "1999");
    std::fs::write(folder.join("old.toml"), &text).unwrap();
    let ran = replay(&recording, &[&all[..], &["--rules", "old.toml"]].concat());
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("`old.toml`, line 1: the rule for `/id` ended on 1999-12-31"), "{}", ran.err);
    std::fs::write(folder.join("bad.toml"), text.replace("reason", "raeson")).unwrap();
    let ran = replay(&recording, &[&all[..], &["--rules", "bad.toml"]].concat());
    assert!(ran.code == 2 && ran.err.contains("line 3: there is no `raeson`"), "{}", ran.err);
}

#[test]
fn two_runs_of_one_version_teach_noise_and_say_whether_the_second_is_no_worse() {
    let recording = OfProcess::make();
    let folder = recording.folder.path();
    let run = || replay(&recording, &["--repeat", "12", "--reset", "none", "--json"]).json()["run_path"].clone();
    let (one, other) = (run(), run());
    let names = [one.as_str().unwrap(), other.as_str().unwrap()];
    let before = retake(folder, &["diff", names[0], names[1], "--noise", "none", "--json"]);
    assert_eq!(before.code, 1);
    let document = before.json();
    assert!(
        document["clusters"][0]["reproduce"].as_str().unwrap().starts_with("retake replay"),
        "{}",
        document["clusters"]
    );
    // It replays what the second run replayed, as that was asked for.
    let words = shlex::split(document["clusters"][0]["reproduce"].as_str().unwrap()).unwrap();
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    assert!(words.contains(&"--repeat=12") && words.contains(&"--reset=none"), "{words:?}");
    let again = retake(folder, &[&words[..], &["--json"]].concat());
    assert!(again.code < 2 && again.json()["receipt"]["replayed"] != 0, "{}{}", again.out, again.err);
    std::fs::remove_file(folder.join(again.json()["run_path"].as_str().unwrap())).unwrap();
    assert_eq!(document["standings"][0]["metric"], "failing");
    assert_eq!(
        (&document["standings"][0]["pairs"], &document["standings"][0]["verdict"]),
        (&36.into(), &"inconclusive".into())
    );
    let gate = retake(folder, &["diff", names[0], names[0], "--margin", "0.05"]);
    assert!(gate.code == 3 && gate.out.contains("about 50 pairs would decide it"), "{}", gate.out);

    let learned = retake(folder, &["diff", names[0], names[1], "--learn", "--json"]);
    assert_eq!(learned.code, 0, "{}", learned.err);
    let learned = learned.json();
    let path = learned["path"].as_str().unwrap();
    assert_eq!(
        retake(
            folder,
            &["diff", names[0], names[1], "--noise", path, "--ignore", "/created", "--ignore", "sse:/created"]
        )
        .code,
        0
    );
    // It is listed, and stays as long as anything of its version does.
    let listed = retake(folder, &["inspect", "--json"]).json()["noise"].as_array().unwrap().clone();
    let of_file = listed.iter().find(|profile| profile["alone"] == true).unwrap();
    assert_eq!((&of_file["stale"], &of_file["version"]), (&false.into(), &learned["profile"]["version"]));
    assert!(Path::new(of_file["from"].as_str().unwrap()).ends_with(Path::new(path).file_name().unwrap()));
    let page = retake(folder, &["inspect"]).out;
    assert!(page.contains("Measured noise") && !page.contains("nothing else of it is here"), "{page}");
    // Of its own: what replays of other tests left there is not this test's.
    let temporary = folder.join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let gc = |arguments: &[&str]| {
        let arguments = [&["gc", "--stale-noise"], arguments].concat();
        Ran::of(&command(folder, &arguments).env("TMPDIR", &temporary).output().unwrap())
    };
    assert_eq!(gc(&[]).out, "nothing to remove\n");
    for run in names {
        std::fs::remove_file(folder.join(run)).unwrap();
    }
    assert!(retake(folder, &["inspect"]).out.contains("nothing else of it is here"));
    let planned = gc(&["--dry-run", "--json"]).json();
    assert_eq!(planned["files"][0]["action"], "remove", "{planned}");
    assert!(folder.join(path).exists());
    // What cannot be read may be of that version.
    let damaged = folder.join(".retake/runs/00000000000000000000000000000001.retake");
    std::fs::write(&damaged, "no bundle").unwrap();
    let kept = gc(&[]);
    assert!(kept.err.contains("all noise stays") && folder.join(path).exists(), "{}{}", kept.out, kept.err);
    std::fs::remove_file(damaged).unwrap();
    assert_eq!(gc(&[]).code, 0);
    assert!(!folder.join(path).exists());

    let other = retake(folder, &["diff", recording.source.to_str().unwrap(), "a.json", "--learn"]);
    assert_eq!(other.code, 2);
}
