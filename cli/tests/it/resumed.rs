//! Runs that were cut off, and gone on with.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bundle::{Archive, Writer};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::{
    Ran, command,
    otherwise::{Capturing, capture_of, free_port, post},
    paced::with_times,
    retake,
    shipped::{IGNORED, docker, shipped},
    untrue::{OfProcess, containers_of, eventually, first_tickets, send_signal, triage},
};

/// A replay of `source` under way, with `more` flags.
pub(crate) fn begin(folder: &Path, source: &Path, more: &[&str]) -> Child {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut replay = command(folder, &["replay", source.to_str().unwrap(), "--json"]);
    replay.args(IGNORED).args(more).env("TMPDIR", &temporary);
    replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn run_file(store: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(store.join("runs")).ok()?;
    let mut paths = files.map(|file| file.unwrap().path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == "retake"))
}

/// Waits until `count` events tell what was judged, and gives the run's file.
pub(crate) fn judged(folder: &Path, count: usize) -> PathBuf {
    judged_in(&folder.join(".retake"), count)
}

fn judged_in(store: &Path, count: usize) -> PathBuf {
    eventually("the replay", || {
        let path = run_file(store)?;
        let archive = Archive::open_growing(&path).ok()?;
        let judged = archive.events().filter(|event| event.as_ref().is_ok_and(|event| event.kind == "replay-judged"));
        (judged.count() >= count).then_some(path)
    })
}

pub(crate) fn resume(folder: &Path, run: &Path, more: &[&str]) -> (Ran, Value) {
    let ran = retake(folder, &[&["replay", "--json", "--resume", run.to_str().unwrap()], more].concat());
    let document = if ran.out.is_empty() { Value::Null } else { ran.json() };
    (ran, document)
}

/// The run has each exchange of each repeat once, and verifies.
pub(crate) fn is_whole(path: &Path, exchanges: usize) {
    let archive = Archive::open_verified(path).unwrap();
    let mut ids: Vec<_> = archive.entries().iter().map(|entry| entry.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each once");
    assert_eq!(archive.entries().iter().filter(|entry| entry.dependency.is_none()).count(), exchanges);
    assert_eq!(archive.runs().unwrap().len(), 1);
}

/// What counts of a result, but for how long things took.
fn told(document: &Value) -> Value {
    let receipt = &document["receipt"];
    let results = document["results"].as_array().unwrap().iter();
    let results =
        results.map(|it| json!([it["id"], it["verdict"], it["repeated"]["verdicts"], it["repeated"]["class"]]));
    let repeats = &receipt["repeats"];
    json!({
        "results": results.collect::<Vec<_>>(),
        "outcome": receipt["outcome_digest"],
        "tally": receipt["tally"],
        "answers": receipt["answers"],
        "replayed": receipt["replayed"],
        "pinned": receipt["pinned"],
        "repeats": [repeats["asked"], repeats["done"], repeats["failed"], repeats["reset"]],
    })
}

#[test]
fn repeats_that_were_judged_before_it_was_killed_count_and_only_the_others_are_done() {
    let folder = tempdir().unwrap();
    let (process, only) = (triage(), first_tickets(2));
    let flags = ["--process", &process, "--only", &only, "--repeat", "40", "--reset", "container"];
    let mut child = begin(folder.path(), &shipped(), &flags);
    let run = judged(folder.path(), 3);
    send_signal("-KILL", &child);
    child.wait().unwrap();
    assert_eq!(retake(folder.path(), &["gc"]).code, 0);
    let before = Archive::open_growing(&run).unwrap();
    assert!(before.entries().len() >= 3 && before.runs().unwrap().is_empty());

    let short = &run.file_stem().unwrap().to_str().unwrap()[..8];
    let judged = before.entries().iter().find(|entry| entry.dependency.is_none()).unwrap().id.to_string();
    let listed = retake(folder.path(), &["ls", short]);
    assert!(listed.code == 0 && listed.out.contains(&judged[..12]), "{}{}", listed.out, listed.err);
    assert!(listed.err.contains("goes on, or was cut off"), "{}", listed.err);
    let shown = retake(folder.path(), &["show", run.to_str().unwrap(), &judged]);
    assert!(shown.code == 0 && shown.out.contains("POST /tickets"), "{}{}", shown.out, shown.err);
    let ran = retake(folder.path(), &["replay", "--json", "--resume", short]);
    let document = ran.json();
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(document["run_path"], format!("./.retake/runs/{}", run.file_name().unwrap().to_str().unwrap()));
    assert_eq!((&document["receipt"]["resumed"], &document["receipt"]["interrupted"]), (&json!(1), &json!(false)));
    assert_eq!(document["results"][1]["repeated"]["verdicts"], ".".repeat(40));
    is_whole(&run, 80);

    let straight = tempdir().unwrap();
    let whole = begin(straight.path(), &shipped(), &flags).wait_with_output().unwrap();
    assert_eq!(told(&document), told(&Ran::of(&whole).json()));
    // What of the killed service was not seen is not claimed.
    assert!(document["receipt"]["egress"]["names"].is_null() || document["receipt"]["egress"]["prevented"] == true);
    let (ran, _) = resume(folder.path(), &run, &[]);
    assert!(ran.code == 2 && ran.err.contains("is complete"), "{}", ran.err);
}

/// Exchanges of the shipped recording, a while apart, sent at those times.
fn slowly(folder: &Path, count: u64, apart_ms: u64) -> PathBuf {
    let source = folder.join("slow.retake");
    let times: Vec<(u64, u64)> = (0..count).map(|at| (at * apart_ms, at * apart_ms + 10)).collect();
    with_times(&source, &times, &|_| ());
    source
}

#[test]
fn exchanges_that_were_judged_before_it_was_killed_are_not_sent_again() {
    let folder = tempdir().unwrap();
    let source = slowly(folder.path(), 5, 1_500);
    let (process, only) = (triage(), first_tickets(5));
    let flags = ["--process", &process, "--only", &only, "--timing", "recorded"];
    let mut child = begin(folder.path(), &source, &flags);
    let run = judged(folder.path(), 1);
    send_signal("-KILL", &child);
    child.wait().unwrap();
    let judged: Vec<(exchange::Id, u64)> = {
        let archive = Archive::open_growing(&run).unwrap();
        let events = archive.events().map(Result::unwrap).filter(|event| event.kind == "replay-judged");
        let exchanges = events.flat_map(|event| event.data["exchanges"].as_array().unwrap().clone());
        let ids = exchanges.map(|it| it["result"]["replayed_id"].as_str().unwrap().parse().unwrap());
        ids.map(|id| (id, archive.entry(&id).unwrap().started_ns)).collect()
    };
    assert!((1..5).contains(&judged.len()), "{judged:?}");
    let (ran, document) = resume(folder.path(), &run, &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    is_whole(&run, 5);
    let archive = Archive::open(&run).unwrap();
    for (id, started_ns) in judged {
        assert_eq!(archive.entry(&id).unwrap().started_ns, started_ns, "it was sent once");
    }
    let answers = &document["receipt"]["answers"];
    let counts = ["served_by_parent", "missed", "never_asked"].map(|field| answers[field].as_u64().unwrap());
    assert_eq!(counts, [10, 0, 0], "each call counts once");
    let asap = begin(folder.path(), &source, &flags[..4]).wait_with_output().unwrap();
    assert_eq!(told(&document), told(&Ran::of(&asap).json()));
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_has_in_the_end_what_an_uninterrupted_one_has() {
    let folder = tempdir().unwrap();
    let source = slowly(folder.path(), 4, 1_500);
    let (process, only) = (triage(), first_tickets(4));
    let flags = ["--process", &process, "--only", &only, "--timing", "recorded", "--load", "x2"];
    let child = begin(folder.path(), &source, &flags);
    let run = judged(folder.path(), 2);
    send_signal("-INT", &child);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    let short = &run.file_stem().unwrap().to_str().unwrap()[..8];
    assert!(ran.err.contains(&format!("retake replay --resume {short}")), "{}", ran.err);
    assert_eq!((ran.code, &ran.json()["receipt"]["interrupted"]), (3, &json!(true)));
    // Interrupted once more, and then not.
    let mut again = command(folder.path(), &["replay", "--json", "--resume", short]);
    let child = again.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let before = Archive::open(&run).unwrap().entries().len();
    eventually("another exchange", || (Archive::open_growing(&run).ok()?.runs().ok()?.is_empty()).then_some(()));
    send_signal("-INT", &child);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert!([2, 3].contains(&ran.code), "{}{}", ran.out, ran.err);
    let (ran, document) = resume(folder.path(), &run, &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(Archive::open(&run).unwrap().entries().len() > before);
    is_whole(&run, 8);
    let straight = tempdir().unwrap();
    let whole = begin(straight.path(), &source, &[&flags[..4], &flags[6..]].concat()).wait_with_output().unwrap();
    assert_eq!(told(&document), told(&Ran::of(&whole).json()));
}

#[test]
fn what_cannot_be_gone_on_with_is_refused_with_a_reason_and_stays_as_it_is() {
    let folder = tempdir().unwrap();
    let (process, only) = (triage(), first_tickets(1));
    let source = folder.path().join("own.retake");
    fs::copy(shipped(), &source).unwrap();
    let flags = ["--process", &process, "--only", &only, "--repeat", "200", "--reset", "container"];
    let mut child = begin(folder.path(), &source, &flags);
    let run = judged(folder.path(), 2);
    let refused = |run: &Path, more: &[&str], words: &str| {
        let bytes = fs::read(run).unwrap_or_default();
        let (ran, _) = resume(folder.path(), run, more);
        assert!(ran.code == 2 && ran.err.contains(words), "{words}: {} {}", ran.code, ran.err);
        if !words.contains("being written") {
            assert!(fs::read(run).unwrap_or_default() == bytes, "it stays as it is: {words}");
        }
    };
    refused(&run, &[], "is being written");
    send_signal("-KILL", &child);
    child.wait().unwrap();
    refused(&run, &["--image", "other"], "`--image` cannot be said with `--resume`");
    refused(&run, &["--repeat", "2"], "`--repeat` cannot be said with `--resume`");
    refused(&shipped(), &[], "is no run that says how it began");
    refused(Path::new("beefbeef"), &[], "no run in");
    // Another recording under the same name.
    with_times(&folder.path().join("other"), &[(0, 10)], &|_| ());
    fs::rename(&source, folder.path().join("aside")).unwrap();
    fs::rename(folder.path().join("other"), &source).unwrap();
    refused(&run, &[], "is another recording than the one that run");
    fs::rename(folder.path().join("aside"), &source).unwrap();
    // A byte in the middle that is another.
    let whole = fs::read(&run).unwrap();
    let mut damaged = whole.clone();
    let at = damaged.len() / 3;
    damaged[at] ^= 1;
    fs::write(&run, &damaged).unwrap();
    let (ran, _) = resume(folder.path(), &run, &[]);
    assert!(ran.code == 2 && ran.err.contains("damaged"), "{}", ran.err);
    // What it says of itself does not fit.
    let foreign = folder.path().join("foreign.retake");
    let mut writer = Writer::create(&foreign).unwrap();
    let archive = {
        fs::write(&run, &whole).unwrap();
        Archive::open_growing(&run).unwrap()
    };
    for event in archive.events() {
        let mut event = event.unwrap();
        if event.kind == "replay-judged" {
            event.data["repeat"] = json!(4_000_000);
        }
        writer.append(&bundle::Record::Event(event)).unwrap();
    }
    writer.seal().unwrap();
    refused(&foreign, &["--trust"], "is none of what it is to do");
    // And after all that it is gone on with.
    let (ran, document) = resume(folder.path(), &run, &[]);
    assert_eq!((ran.code, &document["receipt"]["repeats"]["done"]), (0, &json!(200)), "{}{}", ran.out, ran.err);
}

#[test]
fn a_run_that_is_gone_on_with_knows_no_noise_but_what_it_began_with() {
    let recording = OfProcess::make();
    let (folder, source, only) = (recording.folder.path(), recording.source.to_str().unwrap(), first_tickets(1));
    let flags =
        ["--only", &only, "--determinism", "0", "--repeat", "60", "--reset", "container", "--ignore", "/created"];
    let mut replay = command(folder, &[&["replay", source, "--json"][..], &flags].concat());
    let child = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // So many that they teach what differs.
    let run = judged(folder, 15);
    send_signal("-INT", &child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
    assert_eq!(Archive::open(&run).unwrap().noise_profiles().unwrap().len(), 1, "it taught something");
    let (ran, document) = resume(folder, &run, &[]);
    let result = &document["results"][0];
    assert_eq!((ran.code, &result["verdict"]), (1, &json!("changed")), "{}{}", ran.out, ran.err);
    assert_eq!(result["repeated"]["verdicts"], "c".repeat(60));
    assert!(document["receipt"]["noise"].is_null(), "{}", document["receipt"]["noise"]);
}

#[test]
fn docker_a_replay_in_containers_that_was_killed_leaves_nothing_and_is_gone_on_with() {
    if !docker("docker_a_replay_in_containers_that_was_killed_leaves_nothing_and_is_gone_on_with") {
        return;
    }
    let folder = tempdir().unwrap();
    let only = first_tickets(2);
    let flags = ["--only", &only, "--repeat", "150", "--order", "serial"];
    let mut child = begin(folder.path(), &shipped(), &flags);
    let run = judged(folder.path(), 2);
    send_signal("-KILL", &child);
    child.wait().unwrap();
    let id = run.file_stem().unwrap().to_str().unwrap().to_owned();
    let listed = retake(folder.path(), &["runs"]);
    let is_told = [&id[..12], "goes on, or was cut off"].iter().all(|words| listed.out.contains(words));
    assert!(listed.code == 0 && is_told && listed.err.contains("--resume ID"), "{}{}", listed.out, listed.err);
    let document = retake(folder.path(), &["runs", "--json"]).json();
    assert_eq!((&document["unfinished"][0]["id"], &document["runs"]), (&json!(id), &json!([])));
    let mut gc = command(folder.path(), &["gc"]);
    assert!(gc.env("TMPDIR", folder.path().join("tmp")).output().unwrap().status.success());
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0, "no temporary file");
    assert_eq!(containers_of(&id), "", "no container");
    let (ran, document) = resume(folder.path(), &run, &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(containers_of(&id), "", "no container");
    assert_eq!(document["results"][0]["repeated"]["verdicts"], ".".repeat(150));
    let determinism = &document["receipt"]["determinism"];
    assert_eq!(determinism["level"], 3);
    assert!(determinism["exclusions"].to_string().contains("the service that was cut off"), "{determinism}");
    is_whole(&run, 300);
}

/// What a service that counts was asked, several times and a while apart; and a program that does the same.
struct Counted {
    folder: TempDir,
    process: String,
}

impl Counted {
    /// Exchanges that were recorded: the last ones are still to come when a replay is interrupted, also on a slow machine.
    const COUNT: usize = 5;

    fn record() -> Self {
        let folder = tempdir().unwrap();
        let port = free_port();
        let executable = std::env::current_exe().unwrap();
        let service = format!("PORT={port} exec {} --exact anew::service --ignored --nocapture", executable.display());
        let mut running = Command::new("/bin/sh").args(["-c", &service]).stdout(Stdio::null()).spawn().unwrap();
        eventually("the service", || TcpStream::connect(("127.0.0.1", port)).ok());
        let capture = Capturing::start(capture_of(folder.path(), &format!("http://127.0.0.1:{port}"), &[]));
        for count in 1..=Self::COUNT {
            assert!(post(&capture.address, "/", b"", "").contains(&format!("\"count\":{count}")));
            pause();
        }
        capture.stop();
        running.kill().unwrap();
        running.wait().unwrap();
        let starts = folder.path().join("starts").display().to_string();
        Self { process: format!("/bin/sh -c 'echo >>{starts}; {service}'"), folder }
    }

    fn begin(&self, more: &[&str]) -> Child {
        let base =
            ["replay", ".retake", "--json", "--store", "runs", "--timing", "recorded", "--process", &self.process];
        let mut replay = command(self.folder.path(), &[&base[..], more].concat());
        replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Interrupts it, and goes on with it.
    fn gone_on_with(&self, child: Child) -> (Ran, Value) {
        send_signal("-INT", &child);
        let ran = Ran::of(&child.wait_with_output().unwrap());
        assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
        let run = ran.json()["receipt"]["run"].as_str().unwrap().to_owned();
        let ran = retake(self.folder.path(), &["replay", "--json", "--store", "runs", "--resume", &run]);
        let document = ran.json();
        (ran, document)
    }
}

/// Between two exchanges of [`Counted`]: long enough that those before are written down.
#[expect(clippy::disallowed_methods, reason = "no runtime runs in these tests")]
fn pause() {
    std::thread::sleep(Duration::from_millis(1_500));
}

#[test]
fn what_a_service_that_was_started_anew_does_not_remember_is_no_verdict_of_it() {
    let counted = Counted::record();
    let whole = Ran::of(&counted.begin(&[]).wait_with_output().unwrap());
    assert_eq!((whole.code, &whole.json()["receipt"]["tally"]["same"]), (0, &json!(Counted::COUNT)), "{}", whole.err);
    fs::remove_dir_all(counted.folder.path().join("runs")).unwrap();
    let child = counted.begin(&[]);
    judged_in(&counted.folder.path().join("runs"), 1);
    let (ran, document) = counted.gone_on_with(child);
    let results = document["results"].as_array().unwrap();
    let unjudged: Vec<&Value> = results.iter().filter(|result| result["verdict"] == "unjudged").collect();
    assert_eq!((ran.code, &results[0]["verdict"]), (3, &json!("same")), "{}{}", ran.out, ran.err);
    assert!(!unjudged.is_empty() && document["receipt"]["tally"].get("changed").is_none_or(|it| it == 0), "{document}");
    for result in &unjudged {
        let words = result["reason"].as_str().unwrap();
        let command = format!("`retake replay .retake --only {}`", &result["id"].as_str().unwrap()[..12]);
        assert!(words.contains("started anew") && words.contains(&command), "{words}");
        assert_eq!(result["comparison"]["changes"][0]["pointer"], "/count", "it is shown: {result}");
    }
    let told = document["receipt"]["environment"].to_string();
    assert!(
        told.contains(&format!("started anew after {} of {}", Counted::COUNT - unjudged.len(), Counted::COUNT)),
        "{told}"
    );
}

#[test]
fn a_repeat_that_was_cut_in_its_middle_is_done_again_by_one_service() {
    let counted = Counted::record();
    let child = counted.begin(&["--repeat", "3", "--reset", "container"]);
    let starts = counted.folder.path().join("starts");
    eventually("the second repeat", || (fs::read(&starts).ok()?.len() >= 2).then_some(()));
    // One exchange of it has an answer by then, or two.
    pause();
    let (ran, document) = counted.gone_on_with(child);
    assert_eq!(
        (ran.code, &document["receipt"]["tally"]["same"]),
        (0, &json!(Counted::COUNT)),
        "{}{}",
        ran.out,
        ran.err
    );
    for result in document["results"].as_array().unwrap() {
        assert_eq!(result["repeated"]["verdicts"], "...", "{result}");
    }
    let run = document["run_path"].as_str().unwrap();
    is_whole(&counted.folder.path().join(run), 3 * Counted::COUNT);
    assert_eq!(fs::read(&starts).unwrap().len(), 4, "two to begin with, and two for what was left");
}

#[test]
fn a_repeat_that_did_not_start_and_is_tried_again_stands_at_its_own_place() {
    let folder = tempdir().unwrap();
    let (starts, only) = (folder.path().join("starts"), first_tickets(1));
    let file = starts.display();
    fs::write(&starts, "").unwrap();
    // The fourth start is none, and of the others the last fails: that is the fourth repeat, tried again.
    let script = format!(
        "n=$(/usr/bin/wc -l <{file}); echo >>{file}; [ $n = 3 ] && exit 9; \
         [ $n = 12 ] && export LLM_BASE_URL=http://127.0.0.1:1/v1; exec \"$0\""
    );
    let process = format!("/bin/sh -c '{script}' {}", triage());
    let flags = ["--process", &process, "--only", &only, "--repeat", "12", "--reset", "container"];
    let ran = Ran::of(&begin(folder.path(), &shipped(), &flags).wait_with_output().unwrap());
    let document = ran.json();
    assert_eq!((ran.code, &document["receipt"]["repeats"]["done"]), (3, &json!(11)), "{}{}", ran.out, ran.err);
    assert_eq!(document["results"][0]["repeated"]["verdicts"], "...-........");
    let run = run_file(&folder.path().join(".retake")).unwrap();
    let (ran, document) = resume(folder.path(), &run, &[]);
    let result = &document["results"][0];
    assert_eq!((ran.code, &document["receipt"]["repeats"]["done"]), (1, &json!(12)), "{}{}", ran.out, ran.err);
    assert_eq!(result["repeated"]["verdicts"], "...d........");
    let flip_rate = result["repeated"]["flip_rate"].as_f64().unwrap();
    assert!((flip_rate - 2.0 / 11.0).abs() < 1e-12, "{flip_rate}");
    let diagnosed = retake(folder.path(), &["diagnose", "flakiness", "--json", run.to_str().unwrap()]);
    assert_eq!(diagnosed.code, 1, "{}{}", diagnosed.out, diagnosed.err);
}

#[test]
fn sources_that_an_interrupted_command_has_not_come_to_are_named_and_are_no_pass() {
    let folder = tempdir().unwrap();
    let other = folder.path().join("other.retake");
    fs::copy(shipped(), &other).unwrap();
    let (ending, only) = (folder.path().join("ending"), first_tickets(1));
    // All was sent by the time that it is asked to end, and it takes a while for that.
    let script = format!("trap \"echo >{}; kill \\$!; /bin/sleep 2; exit\" TERM; \"$0\" & wait", ending.display());
    let process = format!("/bin/sh -c '{script}' {}", triage());
    let child = begin(folder.path(), &shipped(), &[other.to_str().unwrap(), "--process", &process, "--only", &only]);
    eventually("the end of the first", || ending.exists().then_some(()));
    send_signal("-INT", &child);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    let document = ran.json();
    assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (3, &json!(1)), "{}{}", ran.out, ran.err);
    let words = format!("interrupted; not replayed: `{}`", other.display());
    assert!(ran.err.contains(&words), "{}", ran.err);
}

#[test]
fn a_run_of_somebody_else_shows_what_it_would_run_and_runs_nothing_of_it_until_it_is_trusted() {
    let folder = tempdir().unwrap();
    let (touched, only) = (folder.path().join("touched"), first_tickets(1));
    let process = format!("/bin/sh -c 'echo >>{}; exec \"$0\"' {}", touched.display(), triage());
    let flags = ["--process", &process, "--only", &only, "--repeat", "60", "--reset", "container"];
    let child = begin(folder.path(), &shipped(), &flags);
    let run = judged(folder.path(), 2);
    send_signal("-INT", &child);
    assert_eq!(Ran::of(&child.wait_with_output().unwrap()).code, 3);
    let elsewhere = tempdir().unwrap();
    let handed_on = elsewhere.path().join("run.retake");
    fs::copy(&run, &handed_on).unwrap();
    fs::remove_file(&touched).unwrap();
    for folder in [elsewhere.path(), folder.path()] {
        let (ran, _) = resume(folder, &handed_on, &[]);
        let told = ["is none that the store `./.retake` made", "retake replay /", "--process=", "exec", "--trust"];
        assert!(ran.code == 2 && told.iter().all(|words| ran.err.contains(words)), "{}{}", ran.code, ran.err);
    }
    assert!(!touched.exists(), "nothing of it ran");
    // Not by a link into the store either.
    fs::remove_file(&run).unwrap();
    std::os::unix::fs::symlink(&handed_on, &run).unwrap();
    assert_eq!(resume(folder.path(), &run, &[]).0.code, 2);
    let (ran, document) = resume(elsewhere.path(), &handed_on, &["--trust"]);
    assert_eq!((ran.code, &document["receipt"]["repeats"]["done"]), (0, &json!(60)), "{}{}", ran.out, ran.err);
    assert!(touched.exists());
}

#[test]
fn a_source_that_was_named_from_its_own_folder_is_found_from_another() {
    let folder = tempdir().unwrap();
    fs::copy(shipped(), folder.path().join("case.retake")).unwrap();
    let (process, only) = (triage(), first_tickets(1));
    let flags = ["--process", &process, "--only", &only, "--repeat", "60", "--reset", "container"];
    let child = begin(folder.path(), Path::new("case.retake"), &flags);
    let run = judged(folder.path(), 2);
    send_signal("-INT", &child);
    assert_eq!(Ran::of(&child.wait_with_output().unwrap()).code, 3);
    let (elsewhere, store) = (tempdir().unwrap(), folder.path().join(".retake"));
    let resumed = || {
        let words = ["replay", "--json", "--resume", run.to_str().unwrap(), "--store", store.to_str().unwrap()];
        retake(elsewhere.path(), &words)
    };
    fs::rename(folder.path().join("case.retake"), folder.path().join("aside")).unwrap();
    let ran = resumed();
    let looked_for =
        format!("is not at `{}` any more", folder.path().canonicalize().unwrap().join("case.retake").display());
    assert!(ran.code == 2 && ran.err.contains(&looked_for), "{} {}", ran.code, ran.err);
    fs::rename(folder.path().join("aside"), folder.path().join("case.retake")).unwrap();
    let ran = resumed();
    let receipt = &ran.json()["receipt"];
    assert_eq!((ran.code, &receipt["sources"][0]["path"]), (0, &json!("case.retake")), "{}{}", ran.out, ran.err);
}
