//! A service that the capture starts itself.

use std::time::Duration;

use capture::{CaptureError, Clock, Service, Settings, default_dependencies};
use exchange::{Stream, Subject};

use crate::support::{Running, exchanges};

fn of_command(store: &std::path::Path, script: &str) -> Settings {
    Settings {
        upstream: None,
        dependencies: default_dependencies(&[], |_| None).unwrap(),
        service: Service::Command(["sh", "-c", script].map(Into::into).to_vec()),
        grace: Duration::from_millis(300),
        ..crate::support::settings("127.0.0.1:1".parse().unwrap(), store)
    }
}

#[tokio::test]
async fn its_lines_are_recorded_its_variables_set_and_its_status_returned() {
    let store = tempfile::tempdir().unwrap();
    let script =
        "echo $OPENAI_BASE_URL; echo $ANTHROPIC_BASE_URL; echo key sk-abcdefghijklmnopqrstuvwx >&2; sleep 0.3; exit 3";
    let running = Running::start(of_command(store.path(), script)).await;
    let urls: Vec<_> = running.started.listeners.iter().map(|bound| bound.url.clone()).collect();
    let summary = running.end().await;
    assert_eq!(summary.child.unwrap().code(), Some(3));
    let (archive, _) = exchanges(store.path());
    let lines: Vec<_> = archive.log_lines().flat_map(|lines| lines.unwrap().lines).collect();
    let of =
        |stream| lines.iter().filter(|line| line.stream == stream).map(|line| line.text.clone()).collect::<Vec<_>>();
    assert_eq!(of(Stream::Stdout), urls);
    assert!(urls[0].ends_with("/v1"));
    assert!(of(Stream::Stderr)[0].starts_with("key sk-") && !of(Stream::Stderr)[0].contains("abcdefgh"));
    assert_eq!(archive.sessions()[0].command[0], "sh");
    let subjects: Vec<_> =
        archive.fingerprints().unwrap().into_iter().map(|(_, fingerprint)| fingerprint.subject).collect();
    assert!(matches!(&subjects[..], [Subject::Process(process)] if process.digest.is_some()), "{subjects:?}");
}

#[tokio::test]
async fn one_that_does_not_end_is_ended() {
    let store = tempfile::tempdir().unwrap();
    let running = Running::start(of_command(store.path(), "trap '' TERM; while true; do sleep 0.05; done")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let summary = running.stop().await;
    assert_eq!(summary.child.unwrap().code(), None, "it was killed");
}

#[tokio::test]
async fn one_that_cannot_be_started_is_said_and_leaves_a_readable_store() {
    let store = tempfile::tempdir().unwrap();
    let command = Service::Command(vec!["/no/such/program".into()]);
    let settings = Settings { service: command, ..of_command(store.path(), "") };
    let error = capture::run(settings, Clock::start(), std::future::pending(), |_| {}, |_| {}).await.unwrap_err();
    assert!(matches!(&error, CaptureError::Command { program, .. } if program == "/no/such/program"));
    assert_eq!(exchanges(store.path()).0.session_ends().len(), 1);
}
