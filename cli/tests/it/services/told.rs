//! How a service is described: `service.toml` in its folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A service, how its users run it, what they ask it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// Name of its folder.
    #[serde(skip)]
    pub(crate) name: String,
    /// The table: what it is.
    pub(crate) what: String,
    /// The table: what kind of image, and how it runs.
    pub(crate) image: String,
    /// The folder whose image it is, where that is not its own.
    #[serde(default)]
    pub(crate) image_of: Option<String>,
    /// The table: what had to be said to record and replay it.
    pub(crate) needed: String,
    /// Built and replayed in a few seconds: belongs to every run of the tests.
    #[serde(default)]
    pub(crate) quick: bool,
    /// Arguments of `docker run` before the image. `{folder}` is the test's own, `{here}` the service's.
    #[serde(default)]
    pub(crate) run: Vec<String>,
    /// Arguments behind the image.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// Where it is reached on this machine's loopback.
    pub(crate) port: u16,
    /// A path that answers 200 once it is ready.
    pub(crate) ready: String,
    /// It calls its dependencies while it starts, so the recording is there before it.
    #[serde(default)]
    pub(crate) calls_at_start: bool,
    /// More flags of `retake capture`.
    #[serde(default)]
    pub(crate) capture: Vec<String>,
    /// More flags of `retake replay`; `{folder}` as in `run`, `{image:NAME}` is the image of that folder.
    #[serde(default)]
    pub(crate) replay: Vec<String>,
    /// What the recording knows by pseudonym and the service has to be given for its answers.
    #[serde(default, rename = "secret")]
    pub(crate) secrets: Vec<Secret>,
    /// What is mounted into it from this machine; in the replay it is somewhere else, and given by `--mount`.
    #[serde(default, rename = "mount")]
    pub(crate) mounts: Vec<Mounted>,
    #[serde(default, rename = "dependency")]
    pub(crate) dependencies: Vec<Dependency>,
    /// What is left out of the comparison.
    #[serde(default, rename = "ignore")]
    pub(crate) ignored: Vec<Ignored>,
    #[serde(rename = "request")]
    pub(crate) requests: Vec<Request>,
}

/// A file that is mounted read-only.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mounted {
    /// Where, in the container.
    pub(crate) at: String,
    /// A file beside `service.toml`.
    pub(crate) file: Option<String>,
    /// A file of the image, which stands for what a job left on the host.
    pub(crate) from_image: Option<String>,
}

impl Mounted {
    /// Its name, wherever it is.
    pub(crate) fn name(&self) -> &str {
        self.at.rsplit('/').next().unwrap()
    }
}

/// A credential that callers send, given to the replay with `--secrets`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// What stands before it in its header field: `Authorization: Bearer `.
    pub(crate) behind: String,
    pub(crate) value: String,
}

/// Something that the service calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `model` for the real model of fixtures/model, else a folder of fixtures/services/real whose image runs.
    pub(crate) is: String,
    /// Where that image listens, in its container.
    pub(crate) port: Option<u16>,
    /// Arguments of `docker run` for that image, filled as the service's own.
    #[serde(default)]
    pub(crate) run: Vec<String>,
    /// `http` or `tcp`; `none` where it is called past the recording.
    pub(crate) scheme: String,
    /// Where the service calls it: where the recording listens, or it itself.
    pub(crate) listen: String,
}

/// A field that differs by nature.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ignored {
    pub(crate) rule: String,
    /// Why no two answers have the same.
    pub(crate) reason: String,
}

/// One request and what its answer has to be like.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// `POST /path`.
    pub(crate) send: String,
    #[serde(default)]
    pub(crate) headers: Vec<String>,
    pub(crate) body: Option<String>,
    /// A file beside `service.toml`.
    pub(crate) body_file: Option<String>,
    #[serde(default = "ok")]
    pub(crate) status: u16,
    /// Something that the recorded answer says, so that equal failures are not taken for success.
    pub(crate) says: Option<String>,
}

fn ok() -> u16 {
    200
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The folder of a service.
pub(crate) fn folder_of(name: &str) -> PathBuf {
    root().join("fixtures/services/real").join(name)
}

/// Every folder with a `service.toml`, sorted; the others hold images of dependencies.
pub(crate) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder_of("")).unwrap().map(|entry| entry.unwrap().path());
    let services = entries.filter(|path| path.join("service.toml").is_file());
    let mut names: Vec<_> = services.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

impl Service {
    pub(crate) fn read(name: &str) -> Self {
        let path = folder_of(name).join("service.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let service: Self = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let unexplained = service.ignored.iter().find(|ignored| ignored.reason.trim().is_empty());
        assert!(unexplained.is_none(), "{name}: {unexplained:?} has no reason");
        Self { name: name.to_owned(), ..service }
    }

    /// Its line in `docs/services.md`.
    pub(crate) fn table_line(&self) -> String {
        let quick = if self.quick { "quick" } else { "" };
        format!(
            "| [`{0}`](../fixtures/services/real/{0}) | {1} | {2} | {3} | {quick} |",
            self.name, self.what, self.image, self.needed
        )
    }
}

impl Request {
    /// All bytes of the request; the connection is closed behind it.
    pub(crate) fn bytes(&self, service: &str, host: &str) -> Vec<u8> {
        let body = match (&self.body, &self.body_file) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(name)) => std::fs::read(folder_of(service).join(name)).unwrap(),
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => panic!("{service}: {} has two bodies", self.send),
        };
        let mut head = format!("{} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n", self.send);
        for field in &self.headers {
            head.push_str(field);
            head.push_str("\r\n");
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        [head.into_bytes(), body].concat()
    }
}
