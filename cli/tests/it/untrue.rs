//! Each line of a receipt made untrue, to see it say so.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use bundle::Archive;
use exchange::{Digest, Exchange, Fingerprint, Id, ProcessIdentity, Role, Subject};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    Ran, command,
    shipped::{Alter, IGNORED, altered, docker, replay, shipped},
};

/// Longest wait for something that another process does. A choice, far above what it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks. A choice.
const PAUSE: Duration = Duration::from_millis(5);

/// The fixture service, built beside the program under test.
pub(crate) fn triage() -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_retake")).with_file_name("triage");
    assert!(path.exists(), "`{}` is built with the workspace", path.display());
    path.to_str().unwrap().to_owned()
}

/// The first ingress exchanges of the shipped recording, as `--only` takes them.
pub(crate) fn first_tickets(count: usize) -> String {
    let archive = Archive::open(&shipped()).unwrap();
    let ingress = archive.entries().iter().filter(|entry| entry.dependency.is_none());
    ingress.take(count).map(|entry| entry.id.to_string()).collect::<Vec<_>>().join(",")
}

/// Replays the first tickets of a recording against a shell's script, with `$0` as the fixture service.
pub(crate) fn replay_script(folder: &Path, source: &Path, count: usize, script: &str, more: &[&str]) -> (Ran, Value) {
    let process = format!("/bin/sh -c '{script}' {}", triage());
    let only = first_tickets(count);
    let mut arguments = vec!["--process", process.as_str(), "--only", only.as_str()];
    arguments.extend(more);
    let ran = replay(folder, source, &arguments);
    let document = ran.json();
    (ran, document)
}

fn verdicts(document: &Value) -> Vec<&str> {
    document["results"].as_array().unwrap().iter().map(|result| result["verdict"].as_str().unwrap()).collect()
}

/// True where this machine gives a process name spaces of its own; the receipt itself says so, and what then is observed.
fn has_name_spaces(document: &Value) -> bool {
    let egress = &document["receipt"]["egress"];
    let prevented = egress["prevented"] == true;
    assert_eq!(egress["names"].is_array(), prevented, "observed only where it is prevented: {egress}");
    assert_eq!(egress["without_route"].is_u64(), prevented, "{egress}");
    let injected = document["receipt"]["injected"].to_string();
    assert_eq!(injected.contains("no name spaces ("), !prevented, "{injected}");
    prevented
}

/// Waits for something, looking again and again.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        pause();
    }
    panic!("{what} did not happen");
}

#[expect(clippy::disallowed_methods, reason = "no runtime runs in these tests")]
fn pause() {
    thread::sleep(PAUSE);
}

pub(crate) fn send_signal(signal: &str, child: &Child) {
    let status = Command::new("/bin/kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_name_and_an_address_that_a_process_looks_for_outside_are_told() {
    let folder = tempdir().unwrap();
    let script = "/usr/bin/getent hosts gone.invalid; (exec 3<>/dev/tcp/192.0.2.1/80); exec \"$0\"";
    let process = format!("/bin/bash -c '{script}' {}", triage());
    let ran = replay(folder.path(), &shipped(), &["--process", &process, "--only", &first_tickets(1)]);
    let document = ran.json();
    assert_eq!((ran.code, verdicts(&document)), (0, vec!["same"]), "{}", ran.err);
    assert_eq!(document["receipt"]["pinned"]["relation"], "not-pinned");
    assert!(document["receipt"]["pinned"]["wanted"].as_str().unwrap().starts_with("sha256:"));
    if has_name_spaces(&document) {
        let egress = &document["receipt"]["egress"];
        assert_eq!(egress["names"], serde_json::json!(["gone.invalid"]));
        assert!(egress["without_route"].as_u64() >= Some(1), "{egress}");
    }
}

#[test]
fn a_service_that_dies_in_the_middle_has_failed_and_the_receipt_says_that_it_ended() {
    let folder = tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, "").unwrap();
    let script = format!(
        "\"$0\" >{0} 2>&1 & service=$!; until [ $(/usr/bin/wc -l <{0}) -ge 4 ]; do /bin/sleep 0.005; done; kill -9 $service; exit 3",
        log.display()
    );
    let (ran, document) = replay_script(folder.path(), &shipped(), 200, &script, &[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let verdicts = verdicts(&document);
    let count = |verdict: &str| verdicts.iter().filter(|it| **it == verdict).count();
    assert_eq!(verdicts.len(), 200);
    assert!(count("failed") > 0, "{verdicts:?}");
    // Those that it had begun asked less than in production; nothing is called anything better than it was.
    assert_eq!(count("failed") + count("diverged") + count("same"), 200, "{verdicts:?}");
    let ended = document["receipt"]["service_ended"].as_str().unwrap();
    assert!(ended.starts_with("by itself") && ended.contains('3'), "{ended}");
}

#[test]
fn a_service_that_is_never_ready_makes_the_replay_void() {
    let folder = tempdir().unwrap();
    let script = "echo waiting for nothing; exec /bin/sleep 600";
    let (ran, document) = replay_script(folder.path(), &shipped(), 1, script, &["--ready-timeout", "500ms"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    let receipt = &document["receipt"];
    let reason = receipt["void"]["reason"].as_str().unwrap();
    assert!(reason.contains("accepted no connection"), "{reason}");
    assert_eq!(receipt["void"]["last_lines"], serde_json::json!(["waiting for nothing"]));
    assert_eq!((&receipt["replayed"], &receipt["determinism"]["order"]), (&0.into(), &"nothing was sent".into()));
    assert_eq!(document["results"], serde_json::json!([]));
    assert!(receipt.get("outcome_digest").is_none());
}

#[test]
fn a_service_that_ends_before_it_is_ready_is_not_waited_for() {
    let folder = tempdir().unwrap();
    let (ran, document) = replay_script(folder.path(), &shipped(), 1, "echo no port; exit 9", &[]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    let reason = document["receipt"]["void"]["reason"].as_str().unwrap();
    assert!(reason.contains("ended before it was ready") && reason.contains('9'), "{reason}");
}

/// The shipped recording as one of a process: a copy of the fixture service.
pub(crate) struct OfProcess {
    pub(crate) folder: TempDir,
    executable: PathBuf,
    pub(crate) source: PathBuf,
}

impl OfProcess {
    pub(crate) fn make() -> Self {
        let folder = tempdir().unwrap();
        let executable = folder.path().join("service");
        fs::copy(triage(), &executable).unwrap();
        let digest = Digest::of(&fs::read(&executable).unwrap());
        let source = folder.path().join("process.retake");
        let path = executable.to_str().unwrap().to_owned();
        let fingerprint = |mut fingerprint: Fingerprint| {
            let Subject::Container(container) = &fingerprint.subject else { panic!("no container") };
            fingerprint.subject = Subject::Process(Box::new(ProcessIdentity {
                executable: path.clone(),
                digest: Some(digest),
                arguments: vec!["triage".to_owned()],
                working_dir: "/".to_owned(),
                variables: container.config.variables.clone(),
                ..ProcessIdentity::default()
            }));
            fingerprint
        };
        altered(&source, &Alter { exchange: &Some, fingerprint: &fingerprint, with_image: false });
        Self { folder, executable, source }
    }

    fn replay(&self, more: &[&str]) -> (Ran, Value) {
        let only = first_tickets(2);
        let mut arguments = vec!["--only", only.as_str()];
        arguments.extend(more);
        let ran = replay(self.folder.path(), &self.source, &arguments);
        let document = ran.json();
        (ran, document)
    }
}

#[test]
fn a_pinned_process_runs_while_its_executable_is_what_it_was_and_not_after() {
    let recording = OfProcess::make();
    let (ran, document) = recording.replay(&[]);
    assert_eq!((ran.code, verdicts(&document)), (0, vec!["same"; 2]), "{}", ran.err);
    assert_eq!(document["receipt"]["pinned"]["relation"], "same-executable");

    let mut bytes = fs::read(&recording.executable).unwrap();
    bytes.push(0);
    fs::write(&recording.executable, bytes).unwrap();
    let (ran, document) = recording.replay(&[]);
    let receipt = &document["receipt"];
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(receipt["void"]["reason"].as_str().unwrap().contains("is not what it was"), "{receipt}");
    assert_eq!((&receipt["pinned"]["relation"], &receipt["replayed"]), (&"nothing-ran".into(), &0.into()));
    assert!(!receipt["pinned"]["wanted"].as_str().unwrap().is_empty());
    assert_eq!(receipt["egress"]["names"], Value::Null, "nothing ran, so nothing was observed");
}

#[test]
fn with_strict_env_a_stand_in_for_a_secret_makes_the_replay_void() {
    let recording = OfProcess::make();
    let given = recording.replay(&["--strict-env", "--env", "LLM_API_KEY=sk-fixture-not-a-secret"]).1;
    let (ran, document) = recording.replay(&["--strict-env"]);
    assert_eq!((ran.code, &document["receipt"]["replayed"]), (3, &0.into()), "{}", ran.err);
    let reason = document["receipt"]["void"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("`--strict-env`: "), "{reason}");
    // The recorded secret, given again, differs from nothing; the machine may.
    assert!(!given["receipt"]["void"].to_string().contains("LLM_API_KEY"), "{given}");
}

/// A recording where one call of the second ticket belongs to the first one.
fn with_a_call_moved(path: &Path) -> (Id, Id) {
    let archive = Archive::open(&shipped()).unwrap();
    let ids: Vec<Id> = archive.entries().iter().filter(|it| it.dependency.is_none()).map(|it| it.id).take(2).collect();
    let (one, other) = (ids[0], ids[1]);
    let moved = move |mut exchange: Exchange| {
        if let Role::Dependency { name, parent: Some(parent) } = &mut exchange.role
            && parent.id == other
            && name == "model"
        {
            parent.id = one;
        }
        Some(exchange)
    };
    altered(path, &Alter { exchange: &moved, fingerprint: &|it| it, with_image: false });
    (one, other)
}

#[test]
fn one_that_asks_less_and_one_that_asks_more_have_diverged_and_each_says_which() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("moved.retake");
    let (less, more) = with_a_call_moved(&source);
    let (ran, document) = replay_script(folder.path(), &source, 2, "exec \"$0\"", &[]);
    assert_eq!((ran.code, verdicts(&document)), (1, vec!["diverged"; 2]), "{}", ran.err);
    let result = |id: Id| {
        let results = document["results"].as_array().unwrap();
        results.iter().find(|result| result["id"] == id.to_string()).unwrap().clone()
    };
    assert_eq!(result(less)["never_asked"].as_array().unwrap().len(), 1);
    assert!(result(more)["extra"][0].as_str().unwrap().starts_with("model POST"), "{}", result(more));
    let answers = &document["receipt"]["answers"];
    assert_eq!((&answers["served_anywhere"], &answers["never_asked"]), (&1.into(), &1.into()), "{answers}");
}

#[test]
fn a_call_that_was_not_recorded_whole_leaves_its_caller_unjudged() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("torn.retake");
    let ids: BTreeSet<String> = first_tickets(2).split(',').map(str::to_owned).collect();
    let caller = ids.first().unwrap().clone();
    let torn = |mut exchange: Exchange| {
        if exchange.role.parent().is_some_and(|parent| parent.id.to_string() == caller) {
            exchange.request.body.gap = Some(exchange::Gap::OverLimit);
        }
        Some(exchange)
    };
    altered(&source, &Alter { exchange: &torn, fingerprint: &|it| it, with_image: false });
    let (ran, document) = replay_script(folder.path(), &source, 2, "exec \"$0\"", &[]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    for result in document["results"].as_array().unwrap() {
        let expected = if result["id"] == *caller { "unjudged" } else { "same" };
        assert_eq!(result["verdict"], expected, "{result}");
    }
}

#[test]
fn a_request_that_never_came_whole_is_skipped_and_the_rest_is_no_pass() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("skipped.retake");
    let first = first_tickets(1);
    let cut = |mut exchange: Exchange| {
        if exchange.id.to_string() == first {
            exchange.times.request_ended_ns = None;
        }
        Some(exchange)
    };
    altered(&source, &Alter { exchange: &cut, fingerprint: &|it| it, with_image: false });
    let (ran, document) = replay_script(folder.path(), &source, 2, "exec \"$0\"", &[]);
    assert_eq!((ran.code, verdicts(&document)), (3, vec!["same"]), "{}", ran.err);
    assert_eq!(document["receipt"]["skipped"][0]["id"], *first);
}

#[test]
fn an_exchange_that_ended_before_it_began_holds_nothing_up() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("backwards.retake");
    let backwards = |mut exchange: Exchange| {
        exchange.times.ended_ns = 0;
        Some(exchange)
    };
    altered(&source, &Alter { exchange: &backwards, fingerprint: &|it| it, with_image: false });
    let (ran, document) = replay_script(folder.path(), &source, 4, "exec \"$0\"", &[]);
    assert_eq!((ran.code, verdicts(&document)), (0, vec!["same"; 4]), "{}", ran.err);
}

#[test]
fn an_interrupted_replay_judges_nothing_that_had_no_answer() {
    let folder = tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let (source, only) = (shipped(), first_tickets(40));
    let mut replay =
        command(folder.path(), &["replay", source.to_str().unwrap(), "--json", "--target", &url, "--only", &only]);
    let child = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first connection shows that it is ready, the second carries a request.
    let kept: Vec<_> = (0..2).map(|_| silent.accept().unwrap()).collect();
    let mut request = [0; 1];
    std::io::Read::read_exact(&mut &kept[1].0, &mut request).unwrap();
    send_signal("-INT", &child);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    let document = ran.json();
    let receipt = &document["receipt"];
    assert_eq!((ran.code, verdicts(&document)), (3, vec!["unjudged"; 40]), "{}", ran.err);
    assert_eq!(receipt["interrupted"], true);
    let sent = document["results"].as_array().unwrap().iter().filter(|it| it.get("replayed_id").is_some()).count();
    assert!(sent > 0 && sent < 40, "some were in flight, and the others wait for them: {sent}");
    assert_eq!(receipt["replayed"], sent);
    assert_eq!((&receipt["answers"]["observed"], &receipt["egress"]["prevented"]), (&false.into(), &false.into()));
}

/// A replay of all tickets in a container that is under way, its run's id, and its folder of temporary files.
fn in_a_container(folder: &Path) -> (Child, String, PathBuf) {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let source = shipped();
    let mut replay = command(folder, &["replay", source.to_str().unwrap(), "--json"]);
    replay.args(IGNORED).env("TMPDIR", &temporary);
    let child = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let run = eventually("a container", || {
        let run = fs::read_dir(folder.join(".retake/runs")).ok()?.next()?.ok()?.path();
        let run = run.file_stem()?.to_str()?.to_owned();
        (!containers_of(&run).is_empty()).then_some(run)
    });
    (child, run, temporary)
}

pub(crate) fn containers_of(run: &str) -> String {
    let label = format!("label=retake.run={run}");
    let left = Command::new("docker").args(["ps", "-aq", "--filter", &label]).output().unwrap();
    String::from_utf8(left.stdout).unwrap()
}

#[test]
fn docker_interrupted_in_the_middle_it_leaves_no_container_and_no_file_behind() {
    if !docker("interrupted in the middle") {
        return;
    }
    let folder = tempdir().unwrap();
    let (child, run, temporary) = in_a_container(folder.path());
    send_signal("-INT", &child);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert_eq!(containers_of(&run), "");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn docker_what_a_killed_replay_left_is_removed_by_the_next_one() {
    if !docker("what a killed replay left") {
        return;
    }
    let folder = tempdir().unwrap();
    let (mut child, run, _) = in_a_container(folder.path());
    send_signal("-KILL", &child);
    child.wait().unwrap();
    let only = first_tickets(1);
    let ran = replay(folder.path(), &shipped(), &["--only", &only]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(containers_of(&run), "");
    assert_eq!(ran.json()["receipt"]["tally"]["same"], 1);
}
