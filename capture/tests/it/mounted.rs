//! A real file system that fills, and one that becomes read-only, under a capture that runs.

use std::{
    env, fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use capture::{CaptureError, Clock, Notice, Settings};

use crate::{
    lost::send_noise,
    support::{PATIENCE, Running, Service, exchanges, serve, settings},
};

/// Names the folder that is mounted for the test below.
const DISK: &str = "RETAKE_TEST_DISK";

/// Requests with 8 KiB each, at most, until a disk of 512 KiB is full: of many that come while the writer does not, most
/// are missed and take no room.
const SENT_UNTIL_FULL_MAX: u32 = 10_000;
/// Requests that are sent to the full disk: more than the queue holds.
const SENT_TO_FULL: u32 = 20;
/// Requests that are sent to a disk that is read-only.
const SENT_TO_READ_ONLY: u32 = 5;

#[test]
fn a_disk_that_fills_and_one_that_becomes_read_only_cost_records_and_no_request_and_recording_resumes() {
    const TEST: &str = "a_disk_that_fills_and_one_that_becomes_read_only";
    let unshare = ["--map-root-user", "--mount", "--"];
    let mut mount = Command::new("unshare");
    mount.args(unshare).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        return skipped(TEST, "nothing may be mounted here");
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=512k tmpfs \"$RETAKE_TEST_DISK\" && exec \"$0\" --exact mounted::on_a_disk_of_its_own --ignored --nocapture";
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", "-c", script]).arg(env::current_exe().unwrap()).env(DISK, folder.path());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own on a file system of its own"]
async fn on_a_disk_of_its_own() {
    let disk = env::var_os(DISK).unwrap();
    let disk = Path::new(&disk);
    let store = disk.join("store");
    let service = Arc::new(Service { dependency: Mutex::default() });
    let settings = settings(serve(service).await, &store);
    // Segments that end soon: a file system becomes read-only where no file is open for writing.
    let settings = Settings { queue_bytes_max: 64 << 10, segment_bytes_max: 32 << 10, ..settings };
    let running = Running::start(settings.clone()).await;
    let mut sent = 0;
    while !fails_for(&running.notices.lock().unwrap(), "No space left") {
        assert!(sent < SENT_UNTIL_FULL_MAX, "{:?}", running.notices.lock().unwrap());
        send_noise(running.address(0), sent).await;
        sent += 1;
    }
    for number in 0..SENT_TO_FULL {
        send_noise(running.address(0), sent + number).await;
    }
    sent += SENT_TO_FULL;
    remount(disk, "rw,size=64m").unwrap();
    until(&running, |said| said.last() == Some(&Notice::StoreWorks)).await;

    loop {
        send_noise(running.address(0), sent).await;
        sent += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        match remount(disk, "ro") {
            Ok(()) => break,
            Err(busy) => assert!(sent < 1000, "{busy}"),
        }
    }
    for number in 0..SENT_TO_READ_ONLY {
        send_noise(running.address(0), sent + number).await;
    }
    sent += SENT_TO_READ_ONLY;
    until(&running, |said| fails_for(said, "Read-only file system")).await;
    let refused = capture::run(settings, Clock::start(), std::future::pending(), |_| {}, |_| {}).await.unwrap_err();
    assert!(matches!(refused, CaptureError::Store(_)), "one that cannot record does not begin: {refused:?}");
    remount(disk, "rw").unwrap();
    until(&running, |said| said.last() == Some(&Notice::StoreWorks)).await;
    send_noise(running.address(0), sent).await;
    sent += 1;

    let counts = running.stop().await.counts;
    let (_, exchanges) = exchanges(&store);
    assert!(counts.exchanges_missed + counts.body_bytes_missed > 0, "{counts:?}");
    assert_eq!((exchanges.len() as u64, counts.exchanges + counts.exchanges_missed), (counts.exchanges, sent.into()));
    assert!(exchanges.last().unwrap().request.body.is_whole(), "recording goes on");
    let report = bundle::verify(&store, &mut |_, _| {}).unwrap();
    assert!(report.damage.is_empty() && report.torn.is_empty(), "{report:?}");
}

/// Waits until it is said.
async fn until(running: &Running, is_said: impl Fn(&[Notice]) -> bool) {
    let waited = async {
        while !is_said(&running.notices.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waited).await;
    assert!(waited.is_ok(), "{:?}", running.notices.lock().unwrap());
}

/// A segment that cannot be sealed may still be followed by one that has room for its beginning: then it is said again.
fn fails_for(said: &[Notice], why: &str) -> bool {
    said.iter().any(|notice| matches!(notice, Notice::StoreFails { reason } if reason.contains(why)))
}

/// Changes how the disk is mounted, for this process alone.
fn remount(disk: &Path, options: &str) -> Result<(), String> {
    let output = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(disk).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn skipped(test: &str, why: &str) {
    eprintln!("skipped: {why}");
    if let Some(path) = env::var_os("RETAKE_SKIPS") {
        let mut skips = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(skips, "{test}: {why}").unwrap();
    }
}
