//! Services in containers as people run them: with a network of their own, published ports, names and health checks.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, ToSocketAddrs},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    Ran,
    otherwise::{Capturing, capture_of, dependency, free_port, post, recorded_tickets, serve},
    shipped::{docker, replay},
    untrue::{eventually, triage},
};

/// Runs the engine's own client.
pub(crate) fn client(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Answers each request with 200 and what `body` makes of its beginning, for ever. A probe that connects and says nothing is no
/// client.
pub(crate) fn answer_each(address: impl ToSocketAddrs, mut body: impl FnMut(&[u8]) -> String) {
    let listener = TcpListener::bind(address).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        let mut len = 0;
        while !is_whole(&request[..len]) {
            match stream.read(&mut request[len..]) {
                Ok(more @ 1..) => len += more,
                _ => break,
            }
        }
        if len == 0 {
            continue;
        }
        let body = body(&request[..len]);
        let len = body.len();
        drop(write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"));
    }
}

/// True where all of a request is there.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    request.len() >= end + 4 + len.unwrap_or(0)
}

/// An image with the fixture service and nothing else; removed when dropped.
pub(crate) struct Image(pub(crate) String);

impl Image {
    /// `changes` are lines of a Dockerfile.
    pub(crate) fn of_triage(name: &str, changes: &[&str]) -> Self {
        let folder = tempdir().unwrap();
        let service = folder.path().join("triage");
        fs::copy(triage(), &service).unwrap();
        fs::set_permissions(&service, fs::Permissions::from_mode(0o755)).unwrap();
        Self::of_folder(name, folder.path(), changes)
    }

    /// These tests' own program as `/it`, for services among them.
    pub(crate) fn of_these_tests(name: &str, changes: &[&str]) -> Self {
        let root = tempdir().unwrap();
        fs::copy(std::env::current_exe().unwrap(), root.path().join("it")).unwrap();
        fs::create_dir(root.path().join("tmp")).unwrap();
        Self::of_folder(name, root.path(), changes)
    }

    /// All files of a folder as the image's root.
    pub(crate) fn of_folder(name: &str, folder: &Path, changes: &[&str]) -> Self {
        let name = format!("retake-test/{name}:{}", std::process::id());
        let mut tar = Command::new("tar").arg("-cC").arg(folder).arg(".").stdout(Stdio::piped()).spawn().unwrap();
        let mut import = Command::new("docker");
        import.arg("import");
        import.args(changes.iter().flat_map(|change| ["--change", change]));
        let import = import.args(["-", &name]).stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(tar.wait().unwrap().success() && import.status.success(), "{import:?}");
        Self(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        Command::new("docker").args(["rmi", "-f", &self.0]).output().unwrap();
    }
}

/// A container; removed when dropped.
pub(crate) struct Container(pub(crate) String);

impl Container {
    pub(crate) fn run(name: &str, arguments: &[&str]) -> Self {
        let name = format!("retake-test-{name}-{}", std::process::id());
        client(&[&["run", "--detach", "--name", &name], arguments].concat());
        Self(name)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        Command::new("docker").args(["rm", "-f", "-v", &self.0]).output().unwrap();
    }
}

/// The address of this machine in the engine's default network.
pub(crate) fn gateway() -> String {
    let subnet = client(&["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"]);
    let network: std::net::Ipv4Addr = subnet.split_once('/').unwrap().0.parse().unwrap();
    std::net::Ipv4Addr::from_bits(network.to_bits() + 1).to_string()
}

/// Tickets that the fixture service answered in a container on the default network: its dependencies at the gateway's
/// address, which has a name there, and its own port published as another one.
pub(crate) struct Recorded {
    pub(crate) folder: TempDir,
    _image: Image,
}

impl Recorded {
    pub(crate) fn make(name: &str, changes: &[&str]) -> Self {
        Self::with_port(name, changes, 8000, free_port())
    }

    /// With the service's own port in its container, and the one that it calls the model at.
    fn with_port(name: &str, changes: &[&str], own_port: u16, model_port: u16) -> Self {
        let folder = tempdir().unwrap();
        let (_serving, model, store) = serve(folder.path());
        let [port, store_port] = [(); 2].map(|()| free_port());
        let gateway = gateway();
        let image = Image::of_triage(name, changes);
        let (publish, model_url) =
            (format!("127.0.0.1:{port}:{own_port}"), format!("LLM_BASE_URL=http://{gateway}:{model_port}/v1"));
        let (store_host, store_url) =
            (format!("store.internal:{gateway}"), format!("STORE_BASE_URL=http://{gateway}:{store_port}"));
        let own_port = format!("PORT={own_port}");
        let variables = ["--env", &model_url, "--env", &store_url, "--env", "HOST=0.0.0.0", "--env", &own_port];
        let network = ["--publish", &publish, "--add-host", &store_host];
        let container = Container::run(name, &[&network[..], &variables, &[&image.0]].concat());
        let [model_flag, model] = dependency("model", &model, &format!("{gateway}:{model_port}"));
        let [store_flag, store] = dependency("store", &store, &format!("{gateway}:{store_port}"));
        let of = ["--container", &container.0, &model_flag, &model, &store_flag, &store];
        let capture = Capturing::start(capture_of(folder.path(), &format!("http://127.0.0.1:{port}"), &of));
        for (path, body) in recorded_tickets(6) {
            let answer = eventually("the service", || {
                let answer = post(&capture.address, &path, &body, "");
                (!answer.contains("retake-error")).then_some(answer)
            });
            assert!(answer.contains(" 200 OK"), "{answer}");
        }
        capture.stop();
        Self { folder, _image: image }
    }

    pub(crate) fn replay(&self, more: &[&str]) -> (Ran, Value) {
        let ran = replay(self.folder.path(), &self.folder.path().join(".retake"), more);
        let document = ran.json();
        (ran, document)
    }
}

#[test]
fn a_service_with_a_network_of_its_own_finds_its_dependencies_in_a_container_without_one() {
    if !docker("a_service_with_a_network_of_its_own_finds_its_dependencies_in_a_container_without_one") {
        return;
    }
    let recorded = Recorded::make("bridged", &["ENTRYPOINT [\"/triage\"]"]);
    let (ran, document) = recorded.replay(&[]);
    let receipt = &document["receipt"];
    assert_eq!((ran.code, &receipt["tally"]["same"]), (0, &6.into()), "{}{}", ran.out, ran.err);
    let replacements = receipt["replacements"].to_string();
    assert!(replacements.contains("LLM_BASE_URL: ") && replacements.contains("→ 127.0.0.1:"), "{replacements}");
    assert!(replacements.contains("store.internal: 127.0.0.1 by its hosts file"), "{replacements}");
    assert!(receipt["ready"].as_str().unwrap().starts_with("its port accepted"), "{receipt}");
    assert_eq!(receipt["egress"]["prevented"], true);
    // The variable with the address has another value here.
    let reason = recorded.replay(&["--strict-env"]).1["receipt"]["void"]["reason"].to_string();
    assert!(reason.contains("`--strict-env`: LLM_BASE_URL: "), "{reason}");
}

#[test]
fn a_dependency_with_the_services_own_port_is_found_at_another_one() {
    if !docker("a_dependency_with_the_services_own_port_is_found_at_another_one") {
        return;
    }
    let port = free_port();
    let recorded = Recorded::with_port("same-port", &["ENTRYPOINT [\"/triage\"]"], port, port);
    let (ran, document) = recorded.replay(&[]);
    let receipt = &document["receipt"];
    assert_eq!((ran.code, &receipt["tally"]["same"]), (0, &6.into()), "{}{}", ran.out, ran.err);
    let replacements = receipt["replacements"].to_string();
    assert!(replacements.contains("→ 127.0.0.1:20001, because the service has that port itself"), "{replacements}");
}

#[test]
fn a_health_check_or_a_path_that_answers_says_when_a_service_is_ready() {
    if !docker("a_health_check_or_a_path_that_answers_says_when_a_service_is_ready") {
        return;
    }
    let entrypoint = "ENTRYPOINT [\"/triage\"]";
    let passing = Recorded::make("healthy", &[entrypoint, "HEALTHCHECK CMD [\"/.retake/retake\", \"--version\"]"]);
    // A program that is there in a replay alone, and ends well.
    let (ran, document) = passing.replay(&[]);
    let ready = document["receipt"]["ready"].as_str().unwrap_or_default();
    assert!(ran.code == 0 && ready.starts_with("its HEALTHCHECK passed"), "{}{}", ran.out, ran.err);
    let (ran, document) = passing.replay(&["--ready", "/healthz"]);
    let ready = document["receipt"]["ready"].as_str().unwrap_or_default();
    assert!(ran.code == 0 && ready.starts_with("`GET /healthz` was answered"), "{}{}", ran.out, ran.err);
}
