//! What a run is held to: what its names led to when it began, whatever they lead to later.
//!
//! In: what a name leads to, each time that something is to be started or read by it. Out: an error that says what is another
//! now. A name of an image is looked up once, and containers are started by what it was. All of it is written down with the
//! run, so that one that is gone on with is held to it too.

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use exchange::{Digest, ImageIdentity};
use host::{Docker, ServerImage};

use crate::{container::name_of, error::ReplayError, job::Job, receipt::Beside};

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// What was named, and what that was.
    things: BTreeMap<String, String>,
    /// The image of `--image`, and what the engine calls it.
    image: Option<(String, ImageIdentity)>,
    /// Those of `--beside`, by their names.
    servers: BTreeMap<String, ServerImage>,
    /// Files that were read, as long as nobody touches them.
    files: BTreeMap<PathBuf, (Mark, Digest)>,
}

/// What of a file changes when its content does: where it is, its length, and when it was touched.
type Mark = ([u64; 3], [i64; 4]);

fn mark_of(path: &Path) -> std::io::Result<Mark> {
    let found = std::fs::metadata(path)?;
    let touched = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    Ok(([found.dev(), found.ino(), found.len()], touched))
}

impl Held {
    /// Held to these things from the beginning.
    pub(crate) fn to(things: BTreeMap<String, String>) -> Self {
        Self(Mutex::new(Known { things, ..Known::default() }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// BLAKE3 of a file that is looked at before each start: read again only where it was touched.
    fn digest_of(&self, path: &Path) -> std::io::Result<Digest> {
        let mark = mark_of(path)?;
        let known = self.known().files.get(path).copied();
        if let Some((_, digest)) = known.filter(|(before, _)| *before == mark) {
            return Ok(digest);
        }
        let digest = host::file_digest(path)?;
        self.known().files.insert(path.to_owned(), (mark, digest));
        Ok(digest)
    }
}

impl Job<'_> {
    /// Holds the run to what `what` names: the first time it is written down, and after that it has to be the same.
    pub(crate) fn hold(&self, what: String, is: String) -> Result<(), ReplayError> {
        let known = self.held.known().things.get(&what).cloned();
        match known {
            Some(was) if was == is => Ok(()),
            Some(was) => Err(ReplayError::Otherwise { run: self.run, what, was, is }),
            None => {
                self.holds(&what, &is);
                self.held.known().things.insert(what, is);
                Ok(())
            }
        }
    }

    /// Holds the run to what was read of files before it began.
    pub(crate) fn hold_files(&self) -> Result<(), ReplayError> {
        self.settings.files.iter().try_for_each(|(what, is)| self.hold(what.clone(), is.clone()))
    }

    /// The image that `--image` named at first, and what the engine calls it.
    pub(crate) async fn image_named(
        &self,
        docker: &Docker,
        reference: &str,
    ) -> Result<(String, ImageIdentity), ReplayError> {
        if let Some(known) = self.held.known().image.clone() {
            return Ok(known);
        }
        let found = docker.image_identity(reference).await?;
        self.hold(format!("--image {reference}"), name_of(&found.1))?;
        self.held.known().image = Some(found.clone());
        Ok(found)
    }

    /// The image that `--beside` named at first.
    pub(crate) async fn server_named(
        &self,
        docker: &Docker,
        (name, reference): (&str, &str),
    ) -> Result<ServerImage, ReplayError> {
        if let Some(known) = self.held.known().servers.get(name).cloned() {
            return Ok(known);
        }
        let found = docker.server_image(reference).await?;
        self.hold(format!("--beside {name}={reference}"), name_of(&found.identity))?;
        self.held.known().servers.insert(name.to_owned(), found.clone());
        Ok(found)
    }

    /// Holds the run to what the servers beside the service begin with.
    pub(crate) fn hold_dumps(&self, servers: &[Beside]) -> Result<(), ReplayError> {
        for server in servers {
            let Some(dump) = &server.dump else { continue };
            self.hold(format!("--beside {}=…,dump={}", server.name, dump.path), format!("blake3:{}", dump.digest))?;
        }
        Ok(())
    }

    /// Holds the run to the program of `--process` at this path, and to programs among its arguments. Other files are the service's
    /// own matter: it may well write to them.
    pub(crate) fn hold_program(&self, program: &Path, arguments: &[String]) -> Result<(), ReplayError> {
        let arguments = arguments.iter().map(Path::new).filter(|path| is_program(path));
        for path in std::iter::once(program).chain(arguments) {
            let Ok(digest) = self.held.digest_of(path) else { continue };
            let path = self.ledger.redactor().text(&path.display().to_string()).0;
            self.hold(format!("--process {path}"), format!("blake3:{digest}"))?;
        }
        Ok(())
    }
}

/// True for a file that this machine runs.
pub(crate) fn may_be_executed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// True for a file that may be executed and begins like what can be: some file systems let everything be executed.
fn is_program(path: &Path) -> bool {
    let mut first = Vec::new();
    let mut read = || std::fs::File::open(path)?.take(4).read_to_end(&mut first);
    may_be_executed(path) && read().is_ok() && (first.starts_with(b"\x7fELF") || first.starts_with(b"#!"))
}
