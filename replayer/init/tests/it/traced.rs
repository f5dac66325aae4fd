//! A service whose time and chance are given: real programs, started again and again, see the same each time.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use crate::{Setup, skipped};

/// How often each program is started.
const START_COUNT: usize = 10;

pub(crate) const AT_NS: u64 = 1_700_000_000_123_456_789;

fn setup(more: &str) -> Setup {
    Setup::of(&settings("", more))
}

/// Settings with a frozen clock, and more of them.
pub(crate) fn settings(bridge: &str, more: &str) -> String {
    let seed = "5eed".repeat(16);
    format!(
        r#"{{{bridge}"determinism": {{"seed": "{seed}", "wall_clock": {{"frozen": {{"at_ns": {AT_NS}}}}}{more}}}}}"#
    )
}

/// A program of `programs`, built by the C compiler here; nothing, and said so, where there is none.
pub(crate) fn built(name: &str, options: &[&str]) -> Option<(tempfile::TempDir, String)> {
    let compiler = if options.contains(&"-musl") { "musl-gcc" } else { "gcc" };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/programs").join(name).with_extension("c");
    let options = options.iter().filter(|option| **option != "-musl");
    let mut compile = Command::new(compiler);
    compile.args(["-O1", "-w", "-pthread", "-o"]).arg(&program).arg(&source).args(options);
    match compile.output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => {
            skipped(&format!("there is no {compiler}"));
            return None;
        }
    }
    let program = program.to_str().unwrap().to_owned();
    Some((folder, program))
}

/// Runs it again and again; the one output that all have.
fn always_same(setup: &Setup, command: &[&str]) -> String {
    let first = setup.output(command);
    for _ in 1..START_COUNT {
        let again = setup.output(command);
        assert_eq!(String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&first.stdout));
        assert_eq!(again.status, first.status);
    }
    String::from_utf8(first.stdout).unwrap_or_else(|_| panic!("{:?}", first.stderr))
}

#[test]
fn a_c_program_sees_the_same_each_time_whichever_library_it_has_and_however_it_asks() {
    for options in [&[][..], &["-static"], &["-static-pie"], &["-musl"], &["-musl", "-static"]] {
        let Some((_folder, program)) = built("looks", options) else { continue };
        for more in ["", r#", "monotonic": "frozen_until_ready""#] {
            let setup = setup(more);
            let text = always_same(&setup, &[&program, "again"]);
            assert_what_is_seen(&text);
            assert_eq!(setup.output(&[&program]).status.code(), Some(3));
        }
    }
}

fn assert_what_is_seen(text: &str) {
    for line in [
        "realtime 0 1700000000.123456789",
        "coarse 0 1700000000.123456789",
        "tai 0 1700000000.123456789",
        "call 1700000000.123456789",
        "day 1700000000.123456",
        "day by call 1700000000.123456",
        "time 1700000000 1700000000",
        "monotonic goes on 1",
        "cpu 0",
        "no clock 1",
        "no address 1",
        "no flag 1",
        "none 0",
        "child 0 1700000000.123456789",
        "status 10",
        "status 12",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    // Each process and each program has bytes of its own.
    let random = |line: &&str| ["random ", "child ", "at random "].iter().any(|name| line.starts_with(name));
    let mut lines: Vec<_> = text.lines().filter(random).filter(|line| !line.contains('.')).collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!((lines.len(), count >= 6), (count, true), "{text}");
}

#[test]
fn another_seed_gives_other_bytes_and_each_control_is_switched_on_its_own() {
    let Some((_folder, program)) = built("looks", &[]) else { return };
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    };
    let seen = |more: &str| String::from_utf8(setup(more).output(&[&program]).stdout).unwrap();
    let all = seen("");
    let other = Setup::of(&settings("", "").replace("5eed5eed", "0ddb0ddb"));
    let other = String::from_utf8(other.output(&[&program]).stdout).unwrap();
    assert_eq!(value(&all, "realtime "), value(&other, "realtime "));
    assert_ne!(value(&all, "random "), value(&other, "random "));
    for (more, control) in [
        (r#", "clock": false"#, "realtime "),
        (r#", "entropy": false"#, "at random "),
        (r#", "aslr_off": false"#, "addresses "),
    ] {
        let without = seen(more);
        for name in ["realtime ", "at random ", "addresses "] {
            assert_eq!(value(&without, name) == value(&all, name), name != control, "{control} {name}");
        }
    }
}

#[test]
fn a_time_stamp_counter_that_is_given_is_the_same_each_time_and_clocks_go_on_beside_it() {
    let Some((_folder, program)) = built("stamps", &[]) else { return };
    let text = always_same(&setup(r#", "tsc": true"#), &[&program]);
    assert_eq!(text, "1000 1000 goes on 1 1700000000\nstatus 139\n");
}

#[test]
fn waits_until_a_time_of_day_take_as_long_as_they_would_by_a_clock_that_is_not_given() {
    let Some((_folder, program)) = built("waits", &[]) else { return };
    let expected = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
    assert!(!expected.contains(" 0"), "{expected}");
    let running = settings("", "").replace("frozen", "running").replace("at_ns", "from_ns");
    for settings in [settings("", ""), running] {
        let output = Setup::of(&settings).output(&[&program]);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

#[test]
fn a_clock_that_runs_never_goes_back_and_is_as_fast_as_the_machines_whatever_it_goes_by() {
    let Some((_folder, program)) = built("goes_on", &[]) else { return };
    let running = |more: &str| settings("", more).replace("frozen", "running").replace("at_ns", "from_ns");
    let expected = format!("0 back 0 astray {}\n", AT_NS / 60_000_000_000);
    for (plant, more) in [("none", ""), ("no-counter", ""), ("no-room", ""), ("none", r#", "tsc": true"#)] {
        let setup = Setup::of(&running(more));
        let output = setup.command(&[], &[&program]).env("RETAKE_INIT_PLANT", plant).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{plant} {more}");
    }
}

#[test]
fn a_program_whose_vdso_has_no_room_sees_the_same_by_calls() {
    let Some((_folder, program)) = built("looks", &[]) else { return };
    let setup = setup("");
    let seen = |plant: &str| setup.command(&[], &[&program]).env("RETAKE_INIT_PLANT", plant).output().unwrap();
    let (redirected, stripped) = (seen("none"), seen("no-room"));
    let mask = |output: &Output| {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        text.lines().filter(|line| !line.starts_with("addresses")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(mask(&redirected), mask(&stripped));
}

#[test]
fn python_node_and_java_see_the_same_each_time() {
    let python = "import multiprocessing as m, os, random, subprocess, sys, threading, time, uuid\n\
        def put(q): q.put((time.time_ns(), uuid.uuid4().hex, random.SystemRandom().random()))\n\
        if __name__ == '__main__':\n\
        \x20print(time.time_ns(), uuid.uuid4(), random.random(), id(object()), hash('a'), os.urandom(4).hex())\n\
        \x20c = m.get_context('fork'); q = c.SimpleQueue()\n\
        \x20for _ in range(2): p = c.Process(target=put, args=(q,)); p.start(); print(q.get()); p.join()\n\
        \x20run = [sys.executable, '-c', 'import time, uuid; print(time.time_ns(), uuid.uuid4())']\n\
        \x20print(subprocess.run(run, capture_output=True, text=True).stdout)\n\
        \x20t = threading.Thread(target=lambda: (time.sleep(0.01), print(uuid.uuid4()))); t.start(); t.join()\n";
    let node = "const c = require('crypto'), {execFileSync} = require('child_process'); \
        console.log(Date.now(), Math.random(), c.randomUUID(), c.randomBytes(4)); \
        const again = 'console.log(Date.now(), Math.random())'; \
        setTimeout(() => console.log(execFileSync(process.execPath, ['-e', again]).toString()), 20)";
    let java = "public class J { public static void main(String[] words) throws Exception { \
        Thread t = new Thread(() -> System.out.println(System.currentTimeMillis())); t.start(); t.join(); \
        Process p = new ProcessBuilder(\"date\", \"+%s.%N\").start(); \
        System.out.println(new String(p.getInputStream().readAllBytes()).trim() + p.waitFor()); } }";
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("J.java");
    fs::write(&source, java).unwrap();
    let setup = setup("");
    let programs: [(&str, &[&str]); 3] =
        [("python3", &["-c", python]), ("node", &["-e", node]), ("java", &[source.to_str().unwrap()])];
    for (program, words) in programs {
        let Some(path) = real_path(program) else {
            skipped(&format!("there is no {program}"));
            continue;
        };
        let command: Vec<_> = [path.as_str()].into_iter().chain(words.iter().copied()).collect();
        let text = if program == "java" {
            // It starts slowly.
            let outputs = [(); 3].map(|()| setup.output(&command).stdout);
            assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]), "{outputs:?}");
            String::from_utf8(outputs[0].clone()).unwrap()
        } else {
            always_same(&setup, &command)
        };
        assert!(text.contains("1700000000123"), "{program}: {text}");
    }
}

/// Where a program is, past whatever chooses between its versions.
fn real_path(program: &str) -> Option<String> {
    let script = match program {
        "python3" => "python3 -c 'import sys; print(sys.executable)'".to_owned(),
        program => format!("command -v {program}"),
    };
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let path = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    (output.status.success() && !path.is_empty()).then_some(path)
}

/// How long the self-check takes is no part of what the service is shown.
#[test]
fn a_clock_that_runs_begins_when_the_service_does() {
    let settings = settings("", "").replace(r#""frozen": {"at_ns""#, r#""running": {"from_ns""#);
    let setup = Setup::of(&settings);
    let began = tokio::time::Instant::now();
    let output = setup.command(&[], &["date", "+%s%N"]).env("RETAKE_INIT_PLANT", "slow-check").output().unwrap();
    let took = began.elapsed();
    let shown: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("{output:?}"));
    let later = Duration::from_nanos(shown.checked_sub(AT_NS).unwrap());
    assert!(later + Duration::from_millis(500) <= took, "{later:?} of {took:?}");
}

#[test]
fn statuses_and_signals_are_as_of_a_service_that_is_not_traced() {
    let setup = setup("");
    assert_eq!(setup.output(&["sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(setup.output(&["sh", "-c", "kill -9 $$"]).status.code(), Some(128 + 9));
    assert_eq!(setup.output(&["/no/such/program"]).status.code(), Some(127));
    assert_eq!(setup.output(&["/etc/passwd"]).status.code(), Some(126));
    let script = "trap 'exit 42' TERM; echo up; while :; do sleep 0.05; done";
    let (mut init, line) = crate::start_and_read_line(setup.command(&[], &["sh", "-c", script]));
    assert_eq!(line, "up\n");
    Command::new("kill").args(["-TERM", &init.id().to_string()]).status().unwrap();
    assert_eq!(init.wait().unwrap().code(), Some(42));
}

#[test]
fn a_group_that_is_stopped_stays_so_until_it_goes_on_and_orphans_are_reaped() {
    let setup = setup("");
    let script = "sleep 30 & kill -STOP $!; sleep 0.2; grep State /proc/$!/status; \
                  kill -CONT $!; sleep 0.2; grep State /proc/$!/status; kill $!; wait $!; echo $?; \
                  (sleep 0.05 & exit 3) & wait; sleep 0.2; exit 5";
    let output = setup.output(&["sh", "-c", script]);
    let text = String::from_utf8_lossy(&output.stdout);
    // Stopped by its tracer, which leaves it so.
    assert!(text.contains("t (tracing stop)") && text.contains("S (sleeping)") && text.contains("143"), "{text}");
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn a_program_that_is_stopped_while_it_starts_goes_on_when_it_is_told_to() {
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do for n in 1 2 3 4 5 6 7 8 9 10; do \
                  true & kill -STOP $!; kill -CONT $!; wait $! || echo $i $n $?; done; done; \
                  for i in 1 2 3 4 5; do sleep 60 & kill -STOP $!; n=0; \
                  for try in `seq 1000`; do if grep -q 'tracing stop' /proc/$!/status; then n=$((n + 1)); else n=0; fi; \
                  if [ $n = 5 ]; then echo stays; break; fi; sleep 0.01; done; kill -9 $!; done";
    let output = setup("").output(&["bash", "-c", script]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "stays\n".repeat(5), "{output:?}");
}

/// Whose own filter forbids the call by which a program gets its clock.
#[test]
fn a_program_that_is_killed_for_a_call_that_is_not_its_own_is_not_made_to_make_it() {
    let Some((_folder, program)) = built("confined", &[]) else { return };
    let output = setup("").output(&[&program, "/bin/date", "+%s.%N"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"1700000000.123456789\n"[..]), "{output:?}");
}

/// Where filters are not told, what is not let go on with a call that it is made to make ends in time.
#[test]
fn a_program_that_waits_for_leave_to_make_a_call_that_is_not_its_own_is_not_waited_for() {
    let Some((_folder, program)) = built("confined", &[]) else { return };
    for (plant, status) in [("", 0), ("untold-filters", 128 + 9)] {
        let setup = setup("");
        let mut init = setup.command(&[], &[&program, "waits", "/bin/date", "+%s.%N"]);
        let output = init.env("RETAKE_INIT_PLANT", plant).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(status), status != 0), "{output:?}");
        assert_eq!(said.contains("was killed: its vDSO: timed out"), status != 0, "{output:?}");
    }
}

/// Nor by one that runs as the user whose memory it is.
#[test]
fn the_clock_cannot_be_had_so_that_it_could_be_set_by_a_program_without_rights_of_its_own() {
    let Some((_folder, program)) = built("writes", &[]) else { return };
    let tracer = ["unshare", "--ipc", "--", "setpriv", "--bounding-set=-ipc_owner", "--inh-caps=-ipc_owner", "--"];
    if !Command::new(tracer[0]).args(&tracer[1..]).arg("true").output().is_ok_and(|output| output.status.success()) {
        return skipped("there is no unshare or setpriv, or no right to it");
    }
    let setup = setup("");
    let init = setup.command(&[], &[&program]);
    let output = Command::new(tracer[0]).args(&tracer[1..]).arg(init.get_program()).args(init.get_args()).output();
    let output = output.unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"1 0\n"[..]), "{output:?}");
}

#[test]
fn a_program_that_a_thread_runs_in_its_processs_place_sees_the_same() {
    let Some((_folder, program)) = built("runs_from_a_thread", &[]) else { return };
    let setup = setup("");
    let text = always_same(&setup, &[&program, "/bin/date", "+%s.%N"]);
    assert_eq!(text, "1700000000.123456789\n");
}

#[test]
fn what_asks_for_the_time_as_a_32_bit_program_is_killed_and_never_told_the_real_one() {
    let Some((_folder, program)) = built("calls_as_32_bit", &[]) else { return };
    let output = setup("").output(&[&program]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(128 + 31), 0), "{output:?}");
}

#[test]
fn a_false_claim_is_found_by_the_self_check_and_the_service_is_not_started() {
    for (plant, control) in [
        ("late-clock", "clock: read by call"),
        ("no-entropy", "entropy: the bytes of `getrandom`"),
        ("no-clock", "clock: no memory can be shared"),
    ] {
        let planted = |more: &str| {
            let setup = setup(more);
            let mut init = setup.command(&[], &["echo", "started"]);
            init.env("RETAKE_INIT_PLANT", plant).output().unwrap()
        };
        let output = planted("");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{said}");
        assert!(said.contains(control), "{said}");
        let output = planted(r#", "fallback": true"#);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && output.stdout == b"started\n" && said.contains(control), "{output:?}");
    }
}
