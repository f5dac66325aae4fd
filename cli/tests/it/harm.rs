//! What a capture may never do to those who talk through it, and what it must have kept whatever happened: the real binary
//! between real sockets, killed, starved and lied to.

mod around;
mod bounded;
mod killed;
pub(crate) mod secret;
mod together;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{command, retake};

/// Longest wait for a byte, far above what loopback takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A capture that runs; killed when dropped.
pub(crate) struct Capture {
    child: Child,
    lines: BufReader<ChildStdout>,
    started: Value,
}

impl Capture {
    /// Records into `folder`'s own store.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(folder, arguments, &[])
    }

    fn start_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let listen: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let mut command = command(folder, &[&["capture", "--json"], listen, arguments].concat());
        command.envs(variables.iter().copied());
        let errors = std::fs::File::create(folder.join("errors.txt")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let errors = || std::fs::read_to_string(folder.join("errors.txt")).unwrap();
        let started = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}{}", errors()));
        Self { child, lines, started }
    }

    fn of(folder: &Path, upstream: SocketAddr, more: &[&str]) -> Self {
        Self::start(folder, &[&["--upstream", &format!("http://{upstream}")], more].concat())
    }

    pub(crate) fn address(&self, listener: usize) -> SocketAddr {
        self.started["listeners"][listener]["listen"].as_str().unwrap().parse().unwrap()
    }

    /// Most memory it has had in RAM, in bytes, without its program, which is mapped from its file and of another size in each build.
    fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
        };
        bytes("VmHWM:") - bytes("RssFile:")
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("/bin/kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Asks it to end; gives what it counted.
    pub(crate) fn stop(mut self) -> Value {
        self.signal("TERM");
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        serde_json::from_str::<Value>(rest.lines().last().unwrap()).unwrap()["counts"].take()
    }

    /// Ends it as the kernel does when memory is short.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Most have ended, and been waited for, before.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Serves each connection on a thread of its own.
fn serve(handle: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, handle) = (stream.unwrap(), handle.clone());
            thread::spawn(move || handle(stream));
        }
    });
    address
}

/// Reads until the blank line after a head; empty at the connection's end.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn target_of(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "these tests have no runtime whose threads could be blocked")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and gives back all that comes until the end, and whether that end was a clean one.
fn exchange(address: SocketAddr, sent: &str) -> (Vec<u8>, bool) {
    let mut stream = connect(address);
    stream.write_all(sent.as_bytes()).unwrap();
    read_rest(&mut stream)
}

pub(crate) fn read_rest(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut got = Vec::new();
    let clean = stream.read_to_end(&mut got).is_ok();
    (got, clean)
}

/// Sends a request and our end, and gives the whole answer.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    String::from_utf8_lossy(&read_rest(&mut stream).0).into_owned()
}

fn get(address: SocketAddr, target: &str) -> String {
    ask(address, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

/// A service that answers everything alike.
fn serve_ok() -> SocketAddr {
    serve(|mut stream| {
        while !read_head(&mut stream).is_empty() {
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    })
}

/// Everything that `retake ls --json` lists.
fn list(folder: &Path) -> Vec<Value> {
    let listed = retake(folder, &["ls", "--json"]).json();
    listed["exchanges"].as_array().unwrap().clone()
}

/// `retake show --json` of the exchange whose title is or begins with this.
fn show(folder: &Path, title: &str) -> Value {
    let found = list(folder).into_iter().find(|listed| listed["title"].as_str().unwrap().starts_with(title));
    let id = found.unwrap_or_else(|| panic!("{title} is not listed"))["id"].as_str().unwrap().to_owned();
    retake(folder, &["show", &id, "--json"]).json()
}
