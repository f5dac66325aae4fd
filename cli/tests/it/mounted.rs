//! What a recorded container had mounted, and what stands in for it in a replay.

use std::{fs, net::TcpListener, path::Path, thread, time::Duration};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    Ran,
    contained::{Container, Image, client},
    otherwise::{Capturing, capture_of, free_port, replay_store},
    retake,
    shipped::docker,
    untrue::eventually,
};

/// Not a test: a service that answers with the files it has been given, and writes to one of them. Run as
/// `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the tests beside it"]
fn service() {
    use std::io::{Read as _, Write as _};
    let Ok(port) = std::env::var("PORT") else { return };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        if stream.read(&mut request).unwrap_or(0) == 0 {
            continue;
        }
        let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string());
        let wrote = fs::write("/state/count", "written by the service").is_ok();
        let scratch = fs::write("/scratch/file", "x").is_ok();
        let body = format!(
            "{{\"model\":{:?},\"key\":{:?},\"state\":{:?},\"wrote\":{wrote},\"scratch\":{scratch}}}",
            read("/models/deep/weights"),
            read("/etc/key"),
            read("/state/seed")
        );
        drop(write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ));
    }
}

/// A volume; removed when dropped.
struct Volume(String);

impl Drop for Volume {
    fn drop(&mut self) {
        // It may be gone.
        std::process::Command::new("docker").args(["volume", "rm", "--force", &self.0]).output().unwrap();
    }
}

/// A recording of the service with a folder, a file and a volume mounted, all gone meanwhile.
pub(crate) struct Recorded {
    pub(crate) folder: TempDir,
    image: Image,
}

impl Recorded {
    pub(crate) fn make(name: &str) -> Self {
        let (recorded, volume) = Self::with_volume(name, "");
        client(&["volume", "rm", &volume.0]);
        recorded
    }

    /// With the volume mounted this way (`:ro`), which is still there.
    fn with_volume(name: &str, access: &str) -> (Self, Volume) {
        let folder = tempdir().unwrap();
        let image = Image::of_these_tests(name, &[]);
        Self::lay_out(&folder.path().join("given"));
        let production = folder.path().join("production");
        Self::lay_out(&production);
        let volume = format!("retake-test-{name}-{}", std::process::id());
        client(&["volume", "create", &volume]);
        fill(&volume, &image.0, &production.join("state"));
        let volume_at = |path: &str| format!("{volume}:{path}");
        let port = free_port();
        let bind = |name: &str, path: &str, more: &str| format!("{}:{path}{more}", production.join(name).display());
        let container = Container::run(
            name,
            &[
                "--network",
                "host",
                "--env",
                &format!("PORT={port}"),
                "--read-only",
                "--tmpfs",
                "/scratch:size=1m,mode=1777",
                "--volume",
                &bind("models", "/models", ":ro"),
                "--volume",
                &bind("key", "/etc/key", ":ro"),
                "--volume",
                &volume_at(&format!("/state{access}")),
                &image.0,
                "/it",
                "--exact",
                "mounted::service",
                "--ignored",
                "--nocapture",
            ],
        );
        let upstream = format!("http://127.0.0.1:{port}");
        let capture = Capturing::start(capture_of(folder.path(), &upstream, &["--container", &container.0]));
        // The environment is looked at while the state is still what it was.
        look_again_later();
        let answer = eventually("the service", || {
            let answer = crate::otherwise::post(&capture.address, "/", b"", "");
            answer.contains(" 200 OK").then_some(answer)
        });
        let wrote = access.is_empty();
        assert!(answer.contains(&format!("\"wrote\":{wrote},\"scratch\":true")), "{answer}");
        capture.stop();
        drop(container);
        fs::remove_dir_all(&production).unwrap();
        (Self { folder, image }, Volume(volume))
    }

    fn lay_out(folder: &Path) {
        fs::create_dir_all(folder.join("models/deep")).unwrap();
        fs::write(folder.join("models/deep/weights"), "0.1 0.2").unwrap();
        fs::write(folder.join("key"), "a key").unwrap();
        fs::create_dir(folder.join("state")).unwrap();
        fs::write(folder.join("state/seed"), "7").unwrap();
    }

    fn replay(&self, mounts: &[&str]) -> (Ran, Value) {
        self.replay_by("auto", mounts)
    }

    fn replay_by(&self, way: &str, mounts: &[&str]) -> (Ran, Value) {
        let flags = mounts.iter().flat_map(|mount| ["--mount", mount]);
        replay_store(self.folder.path(), &["--bridge", way].into_iter().chain(flags).collect::<Vec<_>>())
    }
}

/// Puts a folder's files into a volume.
fn fill(volume: &str, image: &str, from: &Path) {
    let filler = Container(format!("{volume}-filler"));
    client(&["create", "--name", &filler.0, "--volume", &format!("{volume}:/state"), image, "/it"]);
    client(&["cp", &format!("{}/.", from.display()), &format!("{}:/state", filler.0)]);
}

#[expect(clippy::disallowed_methods, reason = "no runtime runs in these tests")]
fn look_again_later() {
    thread::sleep(Duration::from_secs(2));
}

/// Containers and volumes of a run.
fn left_of(document: &Value) -> String {
    let label = format!("label=retake.run={}", document["receipt"]["run"].as_str().unwrap());
    let containers = client(&["ps", "--all", "--quiet", "--filter", &label]);
    containers + &client(&["volume", "ls", "--quiet", "--filter", &label])
}

#[test]
fn a_mount_is_asked_for_by_name_checked_by_content_and_never_written_to() {
    if !docker("a_mount_is_asked_for_by_name_checked_by_content_and_never_written_to") {
        return;
    }
    let recorded = Recorded::make("mounted");
    let (ran, document) = recorded.replay(&[]);
    let void = &document["receipt"]["void"];
    assert_eq!(ran.code, 3, "{}", ran.out);
    let (reason, help) = (void["reason"].as_str().unwrap(), void["help"].as_str().unwrap());
    assert!(reason.contains("/etc/key (1 file, 5 bytes)") && reason.contains("/models (1 file, 7 bytes"), "{reason}");
    assert!(help.contains("--mount /etc/key=HERE --mount /models=HERE --mount /state=HERE"), "{help}");

    let all = ["/models=given/models", "/etc/key=given/key", "/state=given/state"];
    for way in ["socket", "exec"] {
        let (ran, document) = recorded.replay_by(way, &all);
        assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (0, &1.into()), "{}{}", ran.out, ran.err);
        assert_eq!(left_of(&document), "");
    }
    let given = recorded.folder.path().join("given");
    assert!(!given.join("state/count").exists(), "what the service wrote went to a copy");

    fs::write(given.join("models/deep/weights"), "0.1 0.3").unwrap();
    let (ran, document) = recorded.replay(&all);
    let reason = document["receipt"]["void"]["reason"].as_str().unwrap();
    assert!(ran.code == 3 && reason.starts_with("`given/models` is not what was mounted at /models"), "{reason}");
    assert_eq!(left_of(&document), "");

    let ran = retake(recorded.folder.path(), &["replay", ".retake", "--mount", "/model=given/models"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err, @r"
    error: the recorded container had nothing mounted at `/model`; it had /etc/key, /models, /state
    help: `retake inspect` lists the mounts; with `--image REF` others may be given
    ");
}

#[test]
fn a_volume_that_is_still_here_is_copied_while_it_holds_what_was_recorded() {
    if !docker("a_volume_that_is_still_here_is_copied_while_it_holds_what_was_recorded") {
        return;
    }
    let (recorded, volume) = Recorded::with_volume("volume", ":ro");
    let given = ["/models=given/models", "/etc/key=given/key"];
    for way in ["socket", "exec"] {
        let (ran, document) = recorded.replay_by(way, &given);
        assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (0, &1.into()), "{}{}", ran.out, ran.err);
        let words = format!("/state: a copy of the volume `{}`, where it was recorded", volume.0);
        assert!(document["receipt"]["replacements"].to_string().contains(&words), "{document}");
        assert_eq!(left_of(&document), "");
    }

    // What is supplied and is what was recorded differs from nothing.
    let flags = given.iter().flat_map(|mount| ["--mount", mount]);
    let strict: Vec<&str> = ["replay", ".retake", "--store", "runs", "--strict-env"].into_iter().chain(flags).collect();
    let ran = retake(recorded.folder.path(), &strict);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);

    let other = tempdir().unwrap();
    fs::write(other.path().join("seed"), "8").unwrap();
    fill(&volume.0, &recorded.image.0, other.path());
    let (ran, document) = recorded.replay(&given);
    let reason = document["receipt"]["void"]["reason"].as_str().unwrap();
    assert!(ran.code == 3 && reason.starts_with("the recorded container had /state (1 file, 1 byte)"), "{reason}");
    assert_eq!(left_of(&document), "");
}
