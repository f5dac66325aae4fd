//! What C++'s `std::random_device` gives comes from the seed as well.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::{
    command,
    contained::{Container, Image, client},
    determined::{outcome, replayed},
    otherwise::{Capturing, free_port, post},
    shipped::docker,
    untrue::eventually,
};

const SERVICE: &str = r#"
#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
int main() {
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<unsigned short>(atoi(getenv("PORT"))));
    if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) || listen(listener, 16)) return 1;
    for (;;) {
        int client = accept(listener, nullptr, nullptr);
        char request[4096];
        if (read(client, request, sizeof request) > 0) {
            std::random_device device;
            std::string body = "{\"random\":" + std::to_string(device()) + "}";
            dprintf(client, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", body.size(), body.c_str());
        }
        close(client);
    }
}
"#;

/// The service, built in a folder; nothing where there is no compiler.
fn built(folder: &Path) -> bool {
    let source = folder.join("service.cc");
    fs::write(&source, SERVICE).unwrap();
    let Ok(output) = Command::new("g++").arg("-o").args([&folder.join("service"), &source]).output() else {
        eprintln!("skipped: there is no g++");
        return false;
    };
    assert!(output.status.success(), "{output:?}");
    true
}

fn ask(capture: &Capturing) {
    eventually("the service", || post(&capture.address, "/", b"", "").contains("random").then_some(()));
    assert!(post(&capture.address, "/", b"", "").contains("random"));
}

fn is_the_same_with_it_alone(folder: &Path) {
    let at = |more: &[&str]| replayed(folder, &[&["--order", "serial"], more].concat()).1;
    let with = [(); 3].map(|()| at(&[]));
    for document in &with {
        let receipt = &document["receipt"];
        assert_eq!(receipt["determinism"]["level"], 3, "{receipt}");
        assert!(receipt["injected"].to_string().contains("shim.so: loaded before"), "{receipt}");
        assert_eq!(outcome(document), outcome(&with[0]));
    }
    let [one, other] = [(); 2].map(|()| at(&["--without", "random-device"]));
    assert_eq!(
        (&one["receipt"]["determinism"]["level"], one["receipt"]["injected"].to_string().contains("shim")),
        (&json!(2), false)
    );
    assert_ne!(outcome(&one), outcome(&other));
}

#[test]
fn a_process_gets_the_same_from_its_random_device() {
    let folder = tempdir().unwrap();
    if !built(folder.path()) {
        return;
    }
    let port = free_port();
    let (upstream, service) = (format!("http://127.0.0.1:{port}"), folder.path().join("service"));
    let arguments =
        ["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--", service.to_str().unwrap()];
    let mut capture = command(folder.path(), &arguments);
    capture.env("PORT", port.to_string());
    let capture = Capturing::start(capture);
    ask(&capture);
    capture.stop();
    let (_, document) = replayed(folder.path(), &[]);
    if document["receipt"]["injected"].to_string().contains("no name spaces") {
        return eprintln!("skipped: this machine gives a process no name spaces of its own");
    }
    is_the_same_with_it_alone(folder.path());
}

/// An image with the service and the libraries that it loads.
fn image() -> Option<Image> {
    let root: TempDir = tempdir().unwrap();
    if !built(root.path()) {
        return None;
    }
    let listed = Command::new("ldd").arg(root.path().join("service")).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = root.path().join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    }
    Some(Image::of_folder("random-device", root.path(), &["ENTRYPOINT [\"/service\"]"]))
}

#[test]
fn docker_a_container_gets_the_same_from_its_random_device_either_way_in() {
    if !docker("docker_a_container_gets_the_same_from_its_random_device_either_way_in") {
        return;
    }
    let Some(image) = image() else { return };
    let folder = tempdir().unwrap();
    let port = free_port();
    let (variable, upstream) = (format!("PORT={port}"), format!("http://127.0.0.1:{port}"));
    let container = Container::run("random-device", &["--network", "host", "--env", &variable, &image.0]);
    let arguments =
        ["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--container", &container.0];
    let capture = Capturing::start(command(folder.path(), &arguments));
    ask(&capture);
    capture.stop();
    client(&["kill", &container.0]);
    is_the_same_with_it_alone(folder.path());
    let [socket, exec] =
        ["socket", "exec"].map(|way| replayed(folder.path(), &["--order", "serial", "--bridge", way]).1);
    assert_eq!(outcome(&socket), outcome(&exec));
}
