//! What a capture says of addresses: which one the service has to call, and who else can.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStderr, Stdio},
};

use tempfile::tempdir;

use crate::{
    command,
    contained::{Container, Image, client, gateway},
    otherwise::free_port,
    shipped::docker,
    untrue::{eventually, send_signal},
};

/// A capture whose words on standard error are read as they come; ended when dropped.
struct Speaking {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Speaking {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, &[&["capture"], arguments].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    /// All that it says until, and with, the line that has this in it.
    fn says_until(&mut self, end: &str) -> String {
        let mut said = String::new();
        eventually(end, || {
            let from = said.len();
            assert!(self.lines.read_line(&mut said).unwrap() > 0, "it ended after: {said}");
            said[from..].contains(end).then_some(())
        });
        said
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        send_signal("-TERM", &self.child);
        self.child.wait().unwrap();
    }
}

/// Only what it warns of, with this machine's addresses and ports as words.
fn warnings(said: &str, words: &[(&str, &str)]) -> String {
    let lines: Vec<&str> =
        said.lines().filter(|line| line.starts_with("warning: ") || line.starts_with("container ")).collect();
    words.iter().fold(lines.join("\n"), |text, (from, to)| text.replace(from, to))
}

#[test]
fn an_upstream_where_nothing_accepts_is_a_warning_and_the_capture_goes_on() {
    let folder = tempdir().unwrap();
    let upstream = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{upstream}");
    let mut capture = Speaking::start(folder.path(), &["--listen", "127.0.0.1:0", "--upstream", &url]);
    let said = capture.says_until("does not accept");
    insta::assert_snapshot!(warnings(&said, &[(&upstream, "UPSTREAM")]), @r"
    warning: the service does not accept at `http://UPSTREAM`: Connection refused (os error 111). Until it does, requests are answered with 502; if it listens elsewhere, say so with `--upstream`
    ");
}

#[test]
fn a_listener_that_others_can_call_is_a_warning() {
    let folder = tempdir().unwrap();
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", service.local_addr().unwrap());
    let dependency = format!("llm={url},listen=0.0.0.0:0");
    let arguments = ["--listen", "[::]:0", "--upstream", &url, "--dependency", &dependency];
    let mut capture = Speaking::start(folder.path(), &arguments);
    let said = capture.says_until("can call `llm`");
    assert_eq!(said.matches("warning: ").count(), 2, "{said}");
    assert!(said.contains("can call the service through it: `--listen 127.0.0.1:"), "{said}");
}

#[test]
fn a_container_with_a_network_of_its_own_is_told_what_to_call_and_how_to_listen_there() {
    if !docker("a_container_with_a_network_of_its_own_is_told_what_to_call_and_how_to_listen_there") {
        return;
    }
    let folder = tempdir().unwrap();
    let image = Image::of_triage("advised", &["ENTRYPOINT [\"/triage\"]"]);
    let variables = ["--env", "LLM_BASE_URL=http://127.0.0.1:1", "--env", "STORE_BASE_URL=http://127.0.0.1:1"];
    let run = |name: &str, network: &[&str]| Container::run(name, &[network, &variables, &[&image.0]].concat());
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", service.local_addr().unwrap());
    let port = free_port().to_string();
    let gateway = gateway();
    let advice = |container: &Container, listen: &str, end: &str| {
        let dependency = format!("llm={url},listen={listen}:{port}");
        let arguments =
            ["--listen", "127.0.0.1:0", "--upstream", &url, "--container", &container.0, "--dependency", &dependency];
        let said = Speaking::start(folder.path(), &arguments).says_until(end);
        warnings(&said, &[(&container.0, "NAME"), (&gateway, "GATEWAY"), (&port, "PORT"), (&url, "URL")])
    };
    let bridged = run("advised", &["--add-host", "host.docker.internal:host-gateway"]);
    insta::assert_snapshot!(advice(&bridged, "127.0.0.1", "cannot call"), @r"
    warning: container `NAME` cannot call `llm` at 127.0.0.1:PORT, which is this machine's loopback and not its own: listen with `--dependency llm=URL,listen=GATEWAY:PORT`, and let the service call `http://GATEWAY:PORT` or `http://host.docker.internal:PORT`
    ");
    insta::assert_snapshot!(advice(&bridged, "0.0.0.0", "has to call"), @r"
    warning: whoever reaches 0.0.0.0:PORT can call `llm` through it: `listen=GATEWAY:PORT` in `--dependency` keeps it to this machine
    container `NAME` has to call `llm` at `http://GATEWAY:PORT` or `http://host.docker.internal:PORT`
    ");
    // Where it is reached nothing is said; the last line of what is printed at the start ends the wait.
    let reached = advice(&bridged, &gateway, "llm");
    assert_eq!(reached, "");
    let alone = run("advised-alone", &["--network", "none"]);
    insta::assert_snapshot!(advice(&alone, "127.0.0.1", "has no network"), @r"
    warning: container `NAME` has no network, so its service can call nothing that is recorded here: start it with one, as with `docker run --network bridge`
    ");
    // One that shares another's network is reached as that one is.
    let sharing = run("advised-sharing", &["--env", "PORT=8001", "--network", &format!("container:{}", bridged.0)]);
    assert!(advice(&sharing, "127.0.0.1", "cannot call").contains("let the service call `http://GATEWAY:PORT`"));
    client(&["stop", "--time", "0", &bridged.0]);
    assert!(advice(&bridged, "127.0.0.1", "cannot call").contains("listen=GATEWAY:PORT"));
}
