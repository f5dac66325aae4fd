//! A selection as an HTTP archive.
//!
//! One exchange is in memory at a time. The file is written beside its name and gets it when it is whole.

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, Write},
    path::Path,
};

use exchange::{Body, Id, Session};
use interchange::{Har, Interchange as _, Telling, Told};
use report::json;

use super::EXISTS;
use crate::{
    args::ExportArgs,
    console::{Console, Unit},
    exit::Exit,
    source::Source,
    trouble::Trouble,
};

/// Longest body that is told, in bytes. A choice, as `import` takes an entry of that size.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// What came of it.
#[derive(Debug, Default)]
struct Done {
    entries: u64,
    /// Exchanges that are no HTTP.
    not_http: u64,
    /// Bodies that are longer than is told.
    bodies_left_out: u64,
    bytes: u64,
}

/// Writes the chosen exchanges and the calls that belong to them.
pub(super) fn export(
    source: &Source,
    chosen: &[Id],
    args: &ExportArgs,
    as_json: bool,
    console: &Console,
) -> Result<Exit, Trouble> {
    if args.with_image {
        return Err(Trouble::new("a HAR has no place for an image").help("leave out --with-image, or write a bundle"));
    }
    let ids = with_calls(source, chosen);
    if args.output == Path::new("-") {
        let mut done = Ok(Done::default());
        let exit = console.write(Exit::Passed, |out| match write(source, &ids, out, console) {
            Err(Failed::Output(error)) => Err(error),
            other => {
                done = other;
                Ok(())
            }
        })?;
        tell(source, &done.map_err(|failed| failed.trouble(&args.output))?, console);
        return Ok(exit);
    }
    let done = to_file(source, &ids, args, console)?;
    tell(source, &done, console);
    let text = if as_json { document(&done, &args.output) } else { line(&done, &args.output) };
    console.write(Exit::Passed, |out| out.write_all(text.as_bytes()))
}

fn with_calls(source: &Source, chosen: &[Id]) -> Vec<Id> {
    let chosen: BTreeSet<&Id> = chosen.iter().collect();
    let belongs = |entry: &&bundle::Entry| {
        chosen.contains(&entry.id) || entry.parent.iter().chain(&entry.candidates).any(|parent| chosen.contains(parent))
    };
    source.archive.entries().iter().filter(belongs).map(|entry| entry.id).collect()
}

fn to_file(source: &Source, ids: &[Id], args: &ExportArgs, console: &Console) -> Result<Done, Trouble> {
    let path = &args.output;
    let exists = || Trouble::new(format!("`{}` exists", path.display())).help(EXISTS);
    if path.exists() && !args.force {
        return Err(exists());
    }
    let cannot = |error: io::Error| Trouble::of(&error).while_doing(format!("cannot write `{}`", path.display()));
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".retake-export").tempfile_in(parent).map_err(cannot)?;
    let mut out = BufWriter::new(file.as_file_mut());
    let done = write(source, ids, &mut out, console).map_err(|failed| failed.trouble(path))?;
    out.flush().map_err(cannot)?;
    drop(out);
    file.as_file().sync_all().map_err(cannot)?;
    let placed = if args.force { file.persist(path) } else { file.persist_noclobber(path) };
    placed.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => exists(),
        _ => cannot(error.error),
    })?;
    Ok(done)
}

/// Why it was not written.
enum Failed {
    Output(io::Error),
    Trouble(Trouble),
}

impl Failed {
    fn trouble(self, path: &Path) -> Trouble {
        match self {
            Self::Output(error) => Trouble::of(&error).while_doing(format!("cannot write `{}`", path.display())),
            Self::Trouble(trouble) => trouble,
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn write(source: &Source, ids: &[Id], out: &mut dyn Write, console: &Console) -> Result<Done, Failed> {
    let mut counting = Counting { out, bytes: 0 };
    let mut done = Done::default();
    let told_of: BTreeSet<Id> = ids.iter().filter_map(|id| source.archive.entry(id)).map(|it| it.session).collect();
    let sessions: Vec<&Session> = source.archive.sessions().iter().filter(|it| told_of.contains(&it.id)).collect();
    let mut har = Har.write(&mut counting, env!("CARGO_PKG_VERSION"), &sessions)?;
    let progress = console.progress("writing", Unit::Exchanges);
    for (count, id) in ids.iter().enumerate() {
        progress.show(count as u64, ids.len() as u64);
        let exchange = source.archive.exchange(id).map_err(|error| Failed::Trouble(error.into()))?;
        let request_body = told(source, &exchange.request.body, &mut done)?;
        let response_body = match &exchange.response {
            Some(response) => told(source, &response.body, &mut done)?,
            None => None,
        };
        let told = har.put(&Telling {
            exchange: &exchange,
            session: source.session(&exchange.session),
            upstream: &source.upstream(&exchange),
            request_body: request_body.as_deref(),
            response_body: response_body.as_deref(),
        })?;
        match told {
            Told::Entry => done.entries += 1,
            Told::NoHttp => done.not_http += 1,
        }
    }
    har.end()?;
    done.bytes = counting.bytes;
    Ok(done)
}

/// A body's bytes; `None` where they are too many.
fn told(source: &Source, body: &Body, done: &mut Done) -> Result<Option<Vec<u8>>, Failed> {
    if body.kept_len() > BODY_BYTES_MAX {
        done.bodies_left_out += 1;
        return Ok(None);
    }
    let bytes = source.archive.body(body, BODY_BYTES_MAX).map_err(|error| Failed::Trouble(error.into()))?;
    Ok(Some(bytes))
}

/// What is left out, once for the file.
fn tell(source: &Source, done: &Done, console: &Console) {
    if done.not_http > 0 {
        console.note(&format!("left out, as they are no HTTP: {}", done.not_http));
    }
    if done.bodies_left_out > 0 {
        let longest = report::bytes(BODY_BYTES_MAX);
        console
            .note(&format!("without their bytes, as they are longer than {longest}: {} bodies", done.bodies_left_out));
    }
    let has_fingerprints = source.archive.entries().iter().any(|entry| entry.fingerprint.is_some());
    if has_fingerprints || source.archive.log_lines().next().is_some() || source.archive.events().next().is_some() {
        console.note("a HAR has no place for fingerprints, log lines and events: a bundle keeps them");
    }
}

fn line(done: &Done, path: &Path) -> String {
    let many = if done.entries == 1 { "exchange" } else { "exchanges" };
    format!("`{}`: {} {many}, {}\n", path.display(), done.entries, report::bytes(done.bytes))
}

fn document(done: &Done, path: &Path) -> String {
    let fields = serde_json::json!({
        "path": path.to_string_lossy(),
        "format": "har",
        "bytes": done.bytes,
        "exchanges": done.entries,
        "left_out": { "not_http": done.not_http, "bodies": done.bodies_left_out },
    });
    json::document("export", &fields)
}

/// Counts what passes.
struct Counting<'a> {
    out: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
