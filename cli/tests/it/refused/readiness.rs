//! A service that never becomes ready.

use std::net::TcpListener;

use tempfile::tempdir;

use super::refusal;
use crate::{
    contained::Recorded,
    shipped::{docker, replay, shipped},
    untrue::{first_tickets, triage},
};

/// A replay of one ticket against a shell's line; `$0` is the fixture service.
fn of_script(script: &str, more: &[&str]) -> String {
    let folder = tempdir().unwrap();
    let process = format!("/bin/sh -c '{script}' {}", triage());
    let source = shipped();
    let only = first_tickets(1);
    let arguments =
        [&["replay", source.to_str().unwrap(), "--only", &only, "--process", &process, "--ready-timeout", "1s"], more]
            .concat();
    refusal(&crate::retake(folder.path(), &arguments), &[(source.to_str().unwrap(), "SOURCE"), (&triage(), "triage")])
}

#[test]
fn a_service_that_listens_nowhere_is_void_with_what_it_wrote_last() {
    insta::assert_snapshot!(of_script("exec >&2; printf %s\\\\n 1 2 3 4 5 6 7 8 9 10 11 12; echo no model to load; exec /bin/sleep 60", &[]), @r"
    exit code 3
    VOID     the service accepted no connection on port 18080 within 1 s
      wrote | 4
      wrote | 5
      wrote | 6
      wrote | 7
      wrote | 8
      wrote | 9
      wrote | 10
      wrote | 11
      wrote | 12
      wrote | no model to load
    next     say which port it listens on with `--port N`, or give it longer with `--ready-timeout 5m`
    ");
}

#[test]
fn a_service_that_listens_on_another_port_is_void_and_the_port_can_be_said() {
    insta::assert_snapshot!(of_script("exec \"$0\"", &["--port", "1"]), @r"
    exit code 3
    VOID     the service accepted no connection on port 1 within 1 s
      wrote | triage listens on 127.0.0.1:18080
      wrote | triage has stopped
    next     say which port it listens on with `--port N`, or give it longer with `--ready-timeout 5m`
    ");
}

#[test]
fn a_service_that_dies_at_once_is_void_with_how_it_ended() {
    insta::assert_snapshot!(of_script("echo missing settings: LICENSE >&2; exit 3", &[]), @r"
    exit code 3
    VOID     the service ended before it was ready, with status 3
      wrote | missing settings: LICENSE
    next     give it what it lacks here: a variable or secret with `--env NAME=VALUE`; what else it had, `retake inspect` lists
    ");
}

#[test]
fn a_path_that_never_answers_well_is_void_with_the_last_status() {
    let said = of_script("exec \"$0\"", &["--ready", "/nowhere"]);
    // How often it was asked depends on the machine.
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("| GET /nowhere")).collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    exit code 3
    VOID     `GET /nowhere` got no answer with a status below 400 within 1 s; the last try: status 404
      wrote | triage listens on 127.0.0.1:18080
      wrote | triage has stopped
    next     name a path that answers once the service is ready, or leave `--ready` out to wait for its port alone
    ");
}

#[test]
fn a_target_where_nothing_listens_is_void() {
    let folder = tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let source = shipped();
    let url = format!("http://{nobody}");
    let arguments = ["replay", source.to_str().unwrap(), "--target", &url, "--ready-timeout", "1s"];
    insta::assert_snapshot!(super::refused(folder.path(), &arguments, &[(&nobody, "TARGET")]), @r"
    exit code 3
    VOID     the service accepted no connection at TARGET within 1 s
    next     start the service there, or name another address with `--target URL`
    ");
}

#[test]
fn a_health_check_that_needs_what_is_not_there_is_void_with_what_it_said() {
    if !docker("a_health_check_that_needs_what_is_not_there_is_void_with_what_it_said") {
        return;
    }
    let health = "HEALTHCHECK CMD [\"/curl\", \"-f\", \"localhost:8000\"]";
    let recorded = Recorded::make("ailing", &["ENTRYPOINT [\"/triage\"]", health]);
    let arguments = ["replay", ".retake", "--ready-timeout", "2s"];
    insta::assert_snapshot!(super::refused(recorded.folder.path(), &arguments, &[]), @r#"
    exit code 3
    VOID     its HEALTHCHECK `/curl -f localhost:8000` did not pass within 2 s; the last try: it ended with status 126: OCI runtime exec failed: exec failed: unable to start container process: exec: "/curl": stat /curl: no such file or directory: unknown
      wrote | triage listens on 0.0.0.0:8000
      wrote | triage has stopped
    next     where the check needs what is not in here, wait with `--ready PATH` for a path that the service answers; where it only takes its time, `--ready-timeout 5m`
    "#);
    let (ran, _) = recorded.replay(&["--ready", "/healthz"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
}

#[test]
fn a_health_check_that_hangs_is_void_and_nothing_was_sent_beside_it() {
    if !docker("a_health_check_that_hangs_is_void_and_nothing_was_sent_beside_it") {
        return;
    }
    // A program that is there in a replay alone, and never ends by itself.
    let health = "HEALTHCHECK --timeout=1s CMD [\"/.retake/retake\", \"capture\", \"--store\", \"/store\", \"--upstream\", \"http://127.0.0.1:8000\"]";
    let recorded = Recorded::make("hanging", &["ENTRYPOINT [\"/triage\"]", health]);
    let arguments = ["replay", ".retake", "--ready-timeout", "3s"];
    insta::assert_snapshot!(super::refused(recorded.folder.path(), &arguments, &[]), @r"
    exit code 3
    VOID     its HEALTHCHECK `/.retake/retake capture --store /store --upstream http://127.0.0.1:8000` did not pass within 3 s; the last try: it has not ended
      wrote | triage listens on 0.0.0.0:8000
      wrote | triage has stopped
    next     where the check needs what is not in here, wait with `--ready PATH` for a path that the service answers; where it only takes its time, `--ready-timeout 5m`
    ");
}

#[test]
fn a_recorded_image_whose_port_is_said_wrong_is_void() {
    if !docker("a_recorded_image_whose_port_is_said_wrong_is_void") {
        return;
    }
    let folder = tempdir().unwrap();
    let only = first_tickets(1);
    let ran = replay(folder.path(), &shipped(), &["--only", &only, "--port", "1", "--ready-timeout", "1s"]);
    let void = &ran.json()["receipt"]["void"];
    assert_eq!(
        (ran.code, void["reason"].as_str()),
        (3, Some("the service accepted no connection on port 1 within 1 s"))
    );
}
