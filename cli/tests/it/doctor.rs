//! What the doctor says of this machine, and of one that lacks something.

use serde_json::Value;
use tempfile::tempdir;

use crate::{command, retake, shipped::docker};

fn states(document: &Value) -> Vec<(&str, &str)> {
    let checks = document["checks"].as_array().unwrap();
    checks.iter().map(|check| (check["name"].as_str().unwrap(), check["state"].as_str().unwrap())).collect()
}

#[test]
fn a_container_without_network_is_really_started_and_nothing_of_it_is_left() {
    if !docker("a_container_without_network_is_really_started_and_nothing_of_it_is_left") {
        return;
    }
    let folder = tempdir().unwrap();
    let ran = retake(folder.path(), &["doctor", "--json"]);
    let document = ran.json();
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(states(&document).contains(&("container without network", "fine")), "{document:#}");
    let images = std::process::Command::new("docker").args(["images", "-q", "retake-doctor"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&images.stdout), "");
}

#[test]
fn without_an_engine_it_says_what_cannot_be_done_and_how_to_get_one() {
    let folder = tempdir().unwrap();
    let output = command(folder.path(), &["doctor"]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stdout);
    let engine: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("missing")).take(3).collect();
    insta::assert_snapshot!(engine.join("\n"), @r"
    missing  container engine            no container engine answers at `unix:///nonexistent/docker.sock`: Socket not found: /nonexistent/docker.sock
                                         recording and replaying containers; processes (`-- CMD`, `--process`) need none
                                         help: start Docker (on Debian: `apt-get install docker.io`, then `dockerd`), or set DOCKER_HOST; without it, replay against `--process CMD` or `--target URL`
    ");
    assert!(text.ends_with("recorded containers cannot be replayed here yet; missing: container engine\n"), "{text}");
}
