//! What the host has done to a traced service, over the bridge: its clock set, its start repeated; and what it is told.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use wire::bridge::{self, ControlError, Held, Host, Observed, Rest, WallClock};

use crate::{
    PATIENCE, Setup, isolation_is_missing, skipped,
    traced::{AT_NS, built, settings},
};

/// A traced service with a bridge.
pub(crate) struct Service {
    _setup: Setup,
    init: Child,
    host: Host,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Service {
    pub(crate) async fn start(options: &[&str], bridge: &str, more: &str, command: &[&str]) -> Self {
        Self::start_by(&[], options, bridge, more, command).await
    }

    /// By way of another program.
    async fn start_by(by: &[&str], options: &[&str], bridge: &str, more: &str, command: &[&str]) -> Self {
        let setup = Setup::of("");
        let socket = setup.folder.path().join(bridge::SOCKET_NAME);
        let text = settings(&format!(r#""socket": {socket:?},{bridge}"#), more);
        std::fs::write(&setup.config, text).unwrap();
        let listener = bridge::listen(setup.folder.path()).unwrap();
        let mut init = setup.command(options, command);
        if let [program, words @ ..] = by {
            let mut outer = Command::new(program);
            outer.args(words).arg(init.get_program()).args(init.get_args());
            init = outer;
        }
        let mut init = init.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let host = Host::accept(listener, PATIENCE).await.unwrap();
        let (input, output) = (init.stdin.take().unwrap(), init.stdout.take().unwrap());
        Self { _setup: setup, init, host, input, lines: BufReader::new(output).lines() }
    }

    /// Sets the clock, and waits until that has arrived: the tracer's answers come behind what it told before, and behind what
    /// was sent before they were asked for.
    async fn set_clock(&self, wall: WallClock) {
        self.host.say_ready().await.unwrap();
        self.host.set_clock(wall).unwrap();
        self.host.say_ready().await.unwrap();
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// What the service and its children say that the time is.
    fn times(&mut self) -> Vec<String> {
        writeln!(self.input).unwrap();
        (0..3).map(|_| self.line()).collect()
    }

    pub(crate) async fn ended(self) -> (Option<i32>, Observed) {
        let Self { mut init, host, input, _setup, .. } = self;
        drop(input);
        host.ended().await;
        let observed = host.close().await;
        (init.wait().unwrap().code(), observed)
    }
}

fn all(time: &str) -> Vec<String> {
    ["own", "first", "second"].map(|name| format!("{name} {time} {time}")).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_that_the_host_sets_is_shown_at_once_in_each_process_by_vdso_and_by_call() {
    let Some((_folder, program)) = built("tells_on_request", &[]) else { return };
    let mut service = Service::start(&[], "", "", &[&program]).await;
    assert_eq!(service.line(), "up");
    assert_eq!(service.times(), all("1700000000.123456789"));
    for step in 1..=200 {
        service.set_clock(WallClock::Frozen { at_ns: AT_NS + step * 1_000_000_007 }).await;
        let ns = AT_NS + step * 1_000_000_007;
        assert_eq!(service.times(), all(&format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)));
    }
    service.set_clock(WallClock::Running { from_ns: 2_000_000_000_000_000_000 }).await;
    let seconds = |line: &String| line.split(' ').nth(1).unwrap().parse::<f64>().unwrap();
    let first: Vec<_> = service.times().iter().map(seconds).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second: Vec<_> = service.times().iter().map(seconds).collect();
    for (first, second) in first.iter().zip(&second) {
        assert!((2e9..2e9 + 20.0).contains(first) && second - first >= 0.05, "{first} {second}");
    }
    let (status, observed) = service.ended().await;
    let reached = observed.reached.unwrap();
    assert_eq!((status, &reached.clock, &reached.entropy, &reached.tsc), (Some(0), &Held::On, &Held::On, &Held::Off));
    assert_eq!((reached.redirected_count, reached.stripped_count, reached.refused_count), (1, 0, 0));
    assert_eq!(reached.clock_count, 203 * 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_set_in_forked_children_of_static_programs_and_of_musl_also_once_they_are_started_anew() {
    for options in [&["-static"][..], &["-static-pie"], &["-musl"], &["-musl", "-static"]] {
        let Some((_folder, program)) = built("tells_on_request", options) else { continue };
        let mut service = Service::start(&[], "", "", &[&program]).await;
        for round in 0..3 {
            assert_eq!(service.line(), "up");
            assert_eq!(service.times(), all("1700000000.123456789"), "{options:?} {round}");
            service.set_clock(WallClock::Frozen { at_ns: 1_234_567_890_000_000_007 }).await;
            assert_eq!(service.times(), all("1234567890.000000007"), "{options:?} {round}");
            service.host.restart().await.unwrap();
        }
        service.host.close().await;
        service.init.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_run_later_shows_what_the_clock_was_set_to_by_then() {
    let mut service = Service::start(&[], "", "", &["sh", "-c", "while read line; do date +%s.%N; done"]).await;
    for step in 1..=20 {
        let ns = AT_NS + step * 1_000_000_007;
        service.set_clock(WallClock::Frozen { at_ns: ns }).await;
        writeln!(service.input).unwrap();
        assert_eq!(service.line(), format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000));
    }
    let (status, observed) = service.ended().await;
    assert_eq!((status, observed.reached.unwrap().redirected_count), (Some(0), 21));
}

/// Whether a program can be given a name space of its own for what is shared.
fn can_be_apart() -> bool {
    let unshare = Command::new(APART[0]).args(&APART[1..]).arg("true").output();
    let can = unshare.is_ok_and(|output| output.status.success());
    if !can {
        skipped("there is no unshare, or no right to it");
    }
    can
}

/// By which it is given one.
const APART: [&str; 3] = ["unshare", "--ipc", "--"];

/// Where what is shared has no number, the clock is asked for by calls.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_set_also_in_a_program_that_may_not_map_it() {
    let Some((_folder, program)) = built("tells_on_request", &[]) else { return };
    if !can_be_apart() {
        return;
    }
    let mut service = Service::start(&[], "", "", &[&APART[..], &[&program]].concat()).await;
    assert_eq!(service.line(), "up");
    for step in 1..=20 {
        let ns = AT_NS + step * 1_000_000_007;
        service.set_clock(WallClock::Frozen { at_ns: ns }).await;
        assert_eq!(service.times(), all(&format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)));
    }
    let (status, observed) = service.ended().await;
    let reached = observed.reached.unwrap();
    assert_eq!((status, reached.redirected_count, reached.stripped_count), (Some(0), 1, 1));
    assert_eq!(reached.troubles, Vec::<String>::new());
}

/// The first memory of each name space has the same number: what the service itself has there is not its clock.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_set_also_in_a_program_where_other_memory_has_its_number() {
    let Some((_folder, program)) = built("tells_on_request", &[]) else { return };
    if !can_be_apart() {
        return;
    }
    let number = "awk 'NR == 2 {print $2}' /proc/sysvipc/shm";
    let inner = format!("ipcmk --shmem 4096 >/dev/null; {number}; grep -c SYSV /proc/self/maps; exec {program}");
    let script = format!("{number}; exec {} sh -c \"$0\"", APART.join(" "));
    let mut service = Service::start_by(&APART, &[], "", "", &["sh", "-c", &script, &inner]).await;
    // The clock's, and that of what was made apart; none of that is left in a program.
    assert_eq!([(); 4].map(|()| service.line()), ["0", "0", "0", "up"]);
    for step in 1..=20 {
        let ns = AT_NS + step * 1_000_000_007;
        service.set_clock(WallClock::Frozen { at_ns: ns }).await;
        assert_eq!(service.times(), all(&format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)));
    }
    let (status, observed) = service.ended().await;
    let reached = observed.reached.unwrap();
    assert_eq!((status, reached.redirected_count, reached.stripped_count), (Some(0), 3, 5));
    assert_eq!((reached.refused_count, reached.troubles), (0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_while_it_starts_counts_as_ended_and_not_as_refused() {
    let script = "for n in `seq 800`; do /bin/true & for i in `seq $((n % 20 * 20))`; do :; done; kill -9 $! 2>/dev/null; done; wait";
    let service = Service::start(&[], "", "", &["bash", "-c", script]).await;
    let (status, observed) = service.ended().await;
    let reached = observed.reached.unwrap();
    assert_eq!((status, reached.refused_count, reached.troubles), (Some(0), 0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_memory_can_be_shared_the_clock_has_failed_and_cannot_be_set() {
    let planted = ["env", "RETAKE_INIT_PLANT=no-clock"];
    let mut service = Service::start_by(&planted, &[], "", r#", "fallback": true"#, &["cat"]).await;
    service.host.say_ready().await.unwrap();
    let refused = service.host.set_clock(WallClock::Frozen { at_ns: 1 });
    assert!(matches!(&refused, Err(ControlError::Failed { reason }) if reason.contains("memory")), "{refused:?}");
    writeln!(service.input, "still there").unwrap();
    assert_eq!(service.line(), "still there");
    let (status, observed) = service.ended().await;
    let reached = observed.reached.unwrap();
    assert!(matches!(&reached.clock, Held::Failed { reason } if reason.contains("memory")), "{reached:?}");
    assert_eq!((status, reached.entropy, reached.aslr_off), (Some(0), Held::On, Held::On));
}

/// Another user's memory is no file for us to open without a capability: what is put into a program goes word by word.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_set_also_in_a_service_that_has_become_another_user() {
    let Some((folder, program)) = built("tells_on_request", &[]) else { return };
    let tracer = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--"];
    if !Command::new(tracer[0]).args(&tracer[1..]).arg("true").output().is_ok_and(|output| output.status.success()) {
        return skipped("there is no setpriv, or no capability to give up");
    }
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let command = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--", &program];
    let mut service = Service::start_by(&tracer, &[], "", "", &command).await;
    assert_eq!(service.line(), "up");
    for step in 1..=20 {
        let ns = AT_NS + step * 1_000_000_007;
        service.set_clock(WallClock::Frozen { at_ns: ns }).await;
        assert_eq!(service.times(), all(&format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)));
    }
    let (status, observed) = service.ended().await;
    let reached = observed.reached.unwrap();
    assert_eq!((status, reached.redirected_count, reached.troubles), (Some(0), 2, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_started_anew_sees_what_it_saw_the_first_time() {
    let Some((_folder, program)) = built("looks", &[]) else { return };
    let script = format!("{program}; (sleep 60 &); read line; echo over");
    let mut service = Service::start(&[], "", "", &["sh", "-c", &script]).await;
    let seen = |service: &mut Service| {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "status 12") {
            lines.push(service.line());
        }
        lines
    };
    let first = seen(&mut service);
    for _ in 0..5 {
        service.set_clock(WallClock::Frozen { at_ns: 1 }).await;
        service.host.restart().await.unwrap();
        assert_eq!(seen(&mut service), first);
    }
    writeln!(service.input).unwrap();
    assert_eq!(service.line(), "over");
    let (status, observed) = service.ended().await;
    assert_eq!((status, observed.reached.unwrap().restart_count), (Some(0), 5));
}

/// Handles the signal it is stopped by, and leaves a child.
const GRACEFUL: &str = "trap 'echo bye; exit 3' TERM; (sleep 60 &); echo up; while :; do sleep 0.02; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_stopped_ends_in_its_own_way_and_stays_away_until_it_is_started_anew() {
    let mut service = Service::start(&[], "", "", &["sh", "-c", GRACEFUL]).await;
    for _ in 0..3 {
        assert_eq!(service.line(), "up");
        assert!(service.host.is_controlled());
        service.host.stop_service(libc::SIGTERM).await.unwrap();
        assert_eq!(service.line(), "bye");
        service.host.restart().await.unwrap();
    }
    assert_eq!(service.line(), "up");
    service.host.stop_service(libc::SIGTERM).await.unwrap();
    assert_eq!(service.line(), "bye");
    // Whoever is told to end while it is stopped has the status that it ended with.
    assert!(Command::new("kill").arg(service.init.id().to_string()).status().unwrap().success());
    let (status, observed) = service.ended().await;
    assert_eq!((status, observed.reached.unwrap().restart_count), (Some(3), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_service_leaves_in_memory_is_named_and_one_that_does_not_end_is_killed_by_another_start() {
    if !std::path::Path::new("/dev/shm").is_dir() {
        return skipped("there is no /dev/shm");
    }
    let left = format!("/dev/shm/retake-left-{}", std::process::id());
    let script = format!("trap '' INT; echo up; read line; echo >{left}; echo wrote; sleep 60");
    let mut service = Service::start(&[], "", "", &["sh", "-c", &script]).await;
    assert_eq!(service.line(), "up");
    let waits = tokio::time::timeout(Duration::from_millis(100), service.host.stop_service(libc::SIGINT)).await;
    assert!(waits.is_err(), "{waits:?}");
    service.host.restart().await.unwrap();
    assert_eq!(service.line(), "up");
    writeln!(service.input).unwrap();
    assert_eq!(service.line(), "wrote");
    let stopped = service.host.stop_service(libc::SIGKILL).await;
    std::fs::remove_file(&left).unwrap();
    assert!(matches!(&stopped, Err(ControlError::Failed { reason }) if reason.contains(&left)), "{stopped:?}");
    service.host.close().await;
    service.init.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_monotonic_clocks_go_on_once_the_service_is_said_to_be_ready() {
    let Some((_folder, program)) = built("looks", &[]) else { return };
    let script = format!("cat /proc/self/comm; read line; {program} | head -1; exec sleep 0.05");
    let more = r#", "monotonic": "frozen_until_ready""#;
    let mut service = Service::start(&[], "", more, &["sh", "-c", &script]).await;
    assert_eq!(service.line(), "cat");
    service.host.say_ready().await.unwrap();
    service.host.restart().await.unwrap();
    assert_eq!(service.line(), "cat");
    service.host.say_ready().await.unwrap();
    writeln!(service.input).unwrap();
    assert_eq!(service.line(), "realtime 0 1700000000.123456789");
    let (status, observed) = service.ended().await;
    assert_eq!((status, observed.reached.unwrap().monotonic), (Some(0), Held::On));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_traces_and_once_the_service_has_ended_orders_fail() {
    let setup = Setup::with_bridge(crate::own_address());
    let listener = bridge::listen(setup.folder.path()).unwrap();
    let mut init = setup.command(&[], &["sleep", "0.3"]).spawn().unwrap();
    let host = Host::accept(listener, PATIENCE).await.unwrap();
    host.ended().await;
    assert_eq!(host.set_clock(WallClock::Frozen { at_ns: 1 }), Err(ControlError::Gone));
    assert_eq!(host.close().await.reached, None);
    init.wait().unwrap();

    let service = Service::start(&[], "", r#", "clock": false"#, &["sleep", "0.3"]).await;
    service.host.say_ready().await.unwrap();
    let refused = service.host.set_clock(WallClock::Frozen { at_ns: 1 });
    assert!(matches!(&refused, Err(ControlError::Failed { reason }) if reason.contains("not given")), "{refused:?}");
    service.host.ended().await;
    assert_eq!(service.host.restart().await, Err(ControlError::Gone));
    service.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_at_rest_when_all_its_processes_wait_and_not_while_one_works() {
    if isolation_is_missing() {
        return;
    }
    // Two processes hand work to each other, so that mostly one of them waits.
    let folder = tempfile::tempdir().unwrap();
    let script = "cd $1; mkfifo there back; (while read line; do echo $line; done) < there > back & exec 3> there 4< back; \
                  while read count; do \
                      while [ $count -gt 0 ]; do echo $count >&3; read same <&4; count=$((count - 1)); done; echo done >> log; \
                  done";
    let path = folder.path().to_str().unwrap();
    let mut service = Service::start(&["--isolate"], "", "", &["bash", "-c", script, "-", path]).await;
    for round in 1..=20 {
        writeln!(service.input, "200").unwrap();
        assert_eq!(service.host.rest(PATIENCE).await, Rest::Reached);
        assert_eq!(std::fs::read_to_string(folder.path().join("log")).unwrap(), "done\n".repeat(round));
    }
    writeln!(service.input, "100000000").unwrap();
    for _ in 0..20 {
        assert_eq!(service.host.rest(Duration::from_millis(20)).await, Rest::Busy);
    }
    service.host.stop_service(libc::SIGKILL).await.unwrap();
    service.host.close().await;
    service.init.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_traced_service_tries_to_reach_is_still_seen() {
    if isolation_is_missing() {
        return;
    }
    let script = "(exec 3<>/dev/tcp/192.0.2.1/80) 2>/dev/null; date +%s; \
                  exec bash -c '(exec 3<>/dev/tcp/127.0.0.1/6379) 2>/dev/null; exit 4'";
    let mut service = Service::start(&["--isolate"], r#""resolver": true,"#, "", &["bash", "-c", script]).await;
    assert_eq!(service.line(), "1700000000");
    let (status, observed) = service.ended().await;
    assert_eq!(status, Some(4));
    let tried: Vec<_> = observed.attempts.iter().map(|attempt| attempt.destination.words().1).collect();
    assert!(observed.attempts_observed, "{observed:?}");
    for address in ["192.0.2.1:80", "127.0.0.1:6379"] {
        assert!(tried.iter().any(|tried| tried == address), "{tried:?}");
    }
    let reached = observed.reached.unwrap();
    assert!(reached.redirected_count >= 3 && reached.troubles.is_empty(), "{reached:?}");
}
