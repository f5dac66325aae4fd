//! Init as a process of its own, as a container engine or the `process` runtime starts it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod controlled;
mod docker;
mod preloaded;
mod recorded;
mod traced;
mod traced_docker;
mod watched;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wire::bridge::{self, Host};

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with a configuration in it.
struct Setup {
    folder: TempDir,
    config: PathBuf,
}

impl Setup {
    fn without_bridge() -> Self {
        Self::of("{}")
    }

    fn with_bridge(listen: SocketAddr) -> Self {
        let setup = Self::of("");
        let socket = setup.folder.path().join(bridge::SOCKET_NAME);
        let text = format!(r#"{{"socket": {socket:?}, "listen": ["{listen}"], "resolver": true}}"#);
        fs::write(&setup.config, text).unwrap();
        setup
    }

    fn of(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("init.json");
        fs::write(&config, text).unwrap();
        Self { folder, config }
    }

    fn command(&self, options: &[&str], command: &[&str]) -> Command {
        let mut init = Command::new(env!("CARGO_BIN_EXE_retake-init"));
        init.arg("__init").args(options).arg(&self.config).arg("--").args(command);
        init
    }

    fn output(&self, command: &[&str]) -> Output {
        self.command(&[], command).output().unwrap()
    }
}

/// Starts it and waits for the first line that the service writes.
fn start_and_read_line(mut command: Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

#[test]
fn the_exit_status_is_the_services_own() {
    let setup = Setup::without_bridge();
    assert_eq!(setup.output(&["sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(setup.output(&["sh", "-c", "kill -9 $$"]).status.code(), Some(128 + 9));
}

#[test]
fn a_program_that_is_not_there_is_127_and_one_that_cannot_be_run_126() {
    let setup = Setup::without_bridge();
    let missing = setup.output(&["/no/such/program"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot start `/no/such/program`"), "{missing:?}");
    assert_eq!(setup.output(&["/etc/passwd"]).status.code(), Some(126));
}

#[test]
fn the_programs_file_and_its_name_may_differ() {
    let setup = Setup::of(r#"{"program": "/bin/sh"}"#);
    let output = setup.output(&["/venv/bin/python", "-c", "echo $0; cat /proc/$$/cmdline | tr '\\0' ' '"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("\n/venv/bin/python -c"), "{output:?}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_125_and_named() {
    let setup = Setup::of(r#"{"listen": [], "speed": 3}"#);
    let output = setup.output(&["true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown field `speed`"), "{output:?}");
}

#[test]
fn signals_reach_the_service_which_starts_with_none_blocked_or_ignored() {
    let setup = Setup::without_bridge();
    let script = "trap 'exit 42' TERM; grep -E 'SigBlk|SigIgn' /proc/self/status | cut -f 2 | tr '\\n' ' '; echo; \
                  while :; do sleep 0.05; done";
    let (mut init, line) = start_and_read_line(setup.command(&[], &["sh", "-c", script]));
    let masks: Vec<_> = line.split_whitespace().map(|mask| u64::from_str_radix(mask, 16).unwrap()).collect();
    assert_eq!(masks[0], 0, "blocked");
    assert_eq!(masks[1] & 1 << 12, 0, "SIGPIPE ignored");
    Command::new("kill").args(["-TERM", &init.id().to_string()]).status().unwrap();
    assert_eq!(init.wait().unwrap().code(), Some(42));
}

#[test]
fn orphans_are_reaped_and_do_not_end_it() {
    let setup = Setup::without_bridge();
    let script = "(sleep 0.05 & exit 3) & wait; sleep 0.2; ps -o stat= --ppid $PPID | grep -c Z; exit 5";
    let output = setup.output(&["sh", "-c", script]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0");
    assert_eq!(output.status.code(), Some(5));
}

/// An address of the loopback that belongs to this test's process alone.
fn own_address() -> SocketAddr {
    let [high, low] = u16::try_from(std::process::id() % 65536).unwrap().to_be_bytes();
    SocketAddr::from(([127, 78, high, low], 8000))
}

#[tokio::test]
async fn the_service_starts_when_the_bridge_listens_and_its_connections_arrive() {
    let setup = Setup::with_bridge(own_address());
    let listener = bridge::listen(setup.folder.path()).unwrap();
    let script = format!("exec 3<>/dev/tcp/{}/8000; echo hello >&3; cat <&3", own_address().ip());
    let mut init = setup.command(&[], &["bash", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let host = Host::accept(listener, PATIENCE).await.unwrap();
    let (address, mut stream) = host.incoming().await.unwrap();
    assert_eq!(address, own_address());
    let mut hello = [0; 6];
    stream.read_exact(&mut hello).await.unwrap();
    stream.write_all(b"and back").await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    host.ended().await;
    assert!(host.close().await.complete);
    let mut answer = String::new();
    BufReader::new(init.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    assert_eq!(answer, "and back");
    assert_eq!(init.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_service_that_waits_starts_when_it_is_let_go_and_never_when_whoever_replays_is_gone() {
    let setup = Setup::of("");
    let socket = setup.folder.path().join(bridge::SOCKET_NAME);
    fs::write(&setup.config, format!(r#"{{"socket": {socket:?}, "waits": true}}"#)).unwrap();
    let started = setup.folder.path().join("started");
    let start = || setup.command(&[], &["touch", started.to_str().unwrap()]).stderr(Stdio::piped()).spawn().unwrap();

    let listener = bridge::listen(setup.folder.path()).unwrap();
    let init = start();
    drop(Host::accept(listener, PATIENCE).await.unwrap());
    let output = tokio::task::spawn_blocking(|| init.wait_with_output().unwrap()).await.unwrap();
    assert_eq!((output.status.code(), started.exists()), (Some(125), false), "{output:?}");

    fs::remove_file(&socket).unwrap();
    let listener = bridge::listen(setup.folder.path()).unwrap();
    let init = start();
    let host = Host::accept(listener, PATIENCE).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!started.exists());
    host.let_go();
    host.ended().await;
    assert_eq!((init.wait_with_output().unwrap().status.code(), started.exists()), (Some(0), true));
}

#[tokio::test]
async fn a_service_whose_replayer_is_gone_is_asked_to_end() {
    let setup = Setup::with_bridge(own_address());
    let listener = bridge::listen(setup.folder.path()).unwrap();
    let init = setup.command(&[], &["sleep", "60"]).spawn().unwrap();
    drop(Host::accept(listener, PATIENCE).await.unwrap());
    let status = tokio::task::spawn_blocking(move || ({ init }).wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(128 + 15));
}

/// True, and said on standard error, where the machine has no name spaces for us.
fn isolation_is_missing() -> bool {
    let probe = Command::new(env!("CARGO_BIN_EXE_retake-init")).args(["__init", "--probe"]).output().unwrap();
    if !probe.status.success() {
        skipped(String::from_utf8_lossy(&probe.stdout).trim());
    }
    !probe.status.success()
}

/// Says that the running test is skipped, and why: to the reader, and in the file that `RETAKE_SKIPS` names.
fn skipped(why: &str) {
    let line = format!("{}: {why}", std::thread::current().name().unwrap_or("init"));
    eprintln!("skipped: {line}");
    if let Some(path) = std::env::var_os("RETAKE_SKIPS") {
        let mut skips = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut skips, format!("{line}\n").as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn an_isolated_process_reaches_nothing_and_each_attempt_is_seen() {
    if isolation_is_missing() {
        return;
    }
    let setup = Setup::with_bridge(SocketAddr::from(([127, 0, 0, 1], 8101)));
    let listener = bridge::listen(setup.folder.path()).unwrap();
    let script = "cat /etc/resolv.conf; getent ahosts api.retake.example; \
                  (exec 3<>/dev/tcp/192.0.2.1/80) 2>/dev/null; (exec 3<>/dev/tcp/192.0.2.2/80) 2>/dev/null; \
                  echo pid $PPID; exit 9";
    let init = setup.command(&["--isolate"], &["bash", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let host = Host::accept(listener, PATIENCE).await.unwrap();
    host.ended().await;
    let observed = host.close().await;
    let output = init.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(9), "{text}");
    assert_eq!(text, "nameserver 127.0.0.1\npid 1\n");
    assert!(observed.complete && observed.names_observed, "{observed:?}");
    assert!(observed.names.iter().any(|asked| asked.name == "api.retake.example"), "{observed:?}");
    assert_eq!(observed.no_route_count, Some(2), "{observed:?}");
}

#[test]
fn an_isolated_process_has_shared_memory_and_queues_of_its_own() {
    if isolation_is_missing() {
        return;
    }
    let setup = Setup::without_bridge();
    let output = setup.command(&["--isolate"], &["readlink", "/proc/self/ns/ipc"]).output().unwrap();
    let (inside, outside) = (String::from_utf8(output.stdout).unwrap(), fs::read_link("/proc/self/ns/ipc").unwrap());
    assert!(inside.starts_with("ipc:[") && inside.trim() != outside.to_str().unwrap(), "{inside} {outside:?}");
}

#[test]
fn when_the_outer_process_is_killed_the_isolated_one_goes_too() {
    if isolation_is_missing() {
        return;
    }
    let setup = Setup::without_bridge();
    let mark = format!("6{}", std::process::id());
    let (mut init, _) =
        start_and_read_line(setup.command(&["--isolate"], &["sh", "-c", &format!("echo up; sleep {mark}; true")]));
    init.kill().unwrap();
    assert_eq!(init.wait().unwrap().signal(), Some(9));
    let gone = (0..100).any(|_| {
        let left = Command::new("pgrep").args(["-f", &format!("sleep {mark}")]).status().unwrap();
        Command::new("sleep").arg("0.02").status().unwrap();
        !left.success()
    });
    assert!(gone);
    std::io::stderr().flush().unwrap();
}
