//! Containers and programs that one story starts, by the ordinary commands; all of them are gone when it ends.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    harm::{connect, pause},
    services::told,
};

/// Longest wait until something serves, in tries of a tenth of a second each. A model is loaded in a few seconds; two
/// cores under load make it ten times that.
const TRIES_MAX: u32 = 1200;

/// What a command wrote.
///
/// # Panics
/// Where it fails.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {words}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn docker<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    output(Command::new("docker").args(arguments))
}

/// The image of a folder in fixtures/services/real; why there is none where something of it cannot be had here.
pub(crate) fn image(name: &str) -> Result<String, String> {
    let output = Command::new(told::root().join("scripts/service-images")).arg(name).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A container; removed with its volumes when dropped.
pub(crate) struct Container {
    pub(crate) name: String,
}

impl Container {
    /// Makes it, as `docker run` does before it starts.
    pub(crate) fn create(name: &str, run: &[String], image: &str, command: &[String]) -> Self {
        let name = format!("retake-service-{name}-{}", std::process::id());
        let words = run.iter().map(String::as_str).chain([image]).chain(command.iter().map(String::as_str));
        docker(["create", "--name", &name].into_iter().chain(words));
        Self { name }
    }

    pub(crate) fn start(&self) {
        docker(["start", &self.name]);
    }

    /// Where a port of it is on this machine.
    pub(crate) fn address_of(&self, port: u16) -> String {
        let ports = docker(["port", &self.name, &port.to_string()]);
        ports.lines().next().unwrap_or_else(|| panic!("{}: port {port} is not published", self.name)).to_owned()
    }

    pub(crate) fn runs(&self) -> bool {
        docker(["inspect", "--format", "{{.State.Running}}", &self.name]) == "true"
    }

    pub(crate) fn logs(&self) -> String {
        let output = Command::new("docker").args(["logs", "--tail", "30", &self.name]).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// Stops it as its users would, then removes it.
    pub(crate) fn stop(self) {
        docker(["stop", "--time", "3", &self.name]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // One that could not be removed is seen by the next test that wants its port.
        Command::new("docker").args(["rm", "--force", "--volumes", &self.name]).output().ok();
    }
}

/// A program of ours; killed when dropped.
pub(crate) struct Program(Child);

impl Program {
    /// The real model behind fixtures/model; gives its address too.
    pub(crate) fn model(folder: &Path) -> (Self, String) {
        let fixture = told::root().join("fixtures/model");
        output(&mut Command::new(fixture.join("setup")));
        let log = folder.join("model.log");
        let child = Command::new("node")
            .arg(fixture.join("server.mjs"))
            .env("PORT", "0")
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(File::create(folder.join("model.err")).unwrap())
            .spawn()
            .unwrap();
        let program = Self(child);
        let address = until("the model listens", || {
            let text = std::fs::read_to_string(&log).unwrap();
            Some(text.split_once("listens on ")?.1.split_whitespace().next()?.to_owned())
        });
        (program, address.expect("the model starts"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Tries until there is something, at most [`TRIES_MAX`] times.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    for _ in 0..TRIES_MAX {
        if let Some(found) = look() {
            return Ok(found);
        }
        pause(std::time::Duration::from_millis(100));
    }
    Err(format!("waited in vain until {what}"))
}

/// Waits until a TCP port accepts.
pub(crate) fn accepts(address: &str) {
    let address = address.parse().unwrap();
    let tried = until(&format!("{address} accepts"), || std::net::TcpStream::connect(address).ok());
    drop((tried.unwrap(), connect(address)));
}
