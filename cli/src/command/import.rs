//! `retake import`: what another tool recorded, as exchanges.

mod output;
mod survey;

use std::{
    fs::File,
    io::{self, Seek},
    path::Path,
};

use bundle::{Archive, Extra, Store};
use content::redact::{Extra as Secrets, Redactor};
use exchange::Session;
use interchange::{Fault, Har, Importer, Interchange, Limits, Next, Roles, session_id};
use report::{bytes, json};

use self::{
    output::Output,
    survey::{Surveyed, survey},
};
use crate::{
    args::ImportArgs,
    console::{Console, Unit},
    exit::Exit,
    source::check_exists,
    trouble::Trouble,
};

/// What came of an import.
struct Done {
    /// Exchanges that were added.
    added: u64,
    /// Exchanges that were there already.
    known: u64,
    /// Where the file is wrong; what stood before is kept.
    fault: Option<Fault>,
    importer: Importer,
    surveyed: Surveyed,
}

/// Imports a file into a store, or into a bundle of its own.
pub(crate) fn import(args: &ImportArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let mut file = open(&args.file)?;
    let folder = args.output.as_deref().map(folder_beside).transpose()?;
    let store = Store::open_or_create(folder.as_ref().map_or(&args.store.store, |folder| folder.path()))?;
    let done = import_into(&store, &mut file, args, console)?;
    if let (Some(out), true) = (&args.output, done.added > 0) {
        seal(&store, out, args.force)?;
    }
    let place = args.output.as_ref().unwrap_or(&args.store.store).display().to_string();
    tell(&done, console);
    let text = if as_json { document(&done, &place) } else { line(&done, &place) };
    let exit = if done.fault.is_some() { Exit::Trouble } else { Exit::Passed };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

/// A store that lasts until its exchanges are sealed, beside the bundle, where there is space for it.
fn folder_beside(out: &Path) -> Result<tempfile::TempDir, Trouble> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot =
        |error: io::Error| Trouble::of(&error).while_doing(format!("cannot write into `{}`", parent.display()));
    tempfile::Builder::new().prefix(".retake-import").tempdir_in(parent).map_err(cannot)
}

fn seal(store: &Store, out: &Path, overwrite: bool) -> Result<(), Trouble> {
    let archive = Archive::open(store.path())?;
    let ids: Vec<_> = archive.entries().iter().map(|entry| entry.id).collect();
    let sealed = bundle::export(&archive, &ids, out, Extra { overwrite, ..Extra::default() }, &mut |_, _| {});
    sealed.map(|_| ()).map_err(|error| match error {
        bundle::ExportError::Exists { .. } => {
            Trouble::from(error).advise("name another file, or replace it with --force")
        }
        other => other.into(),
    })
}

/// The file, or a copy of standard input: it is read twice, as ids derive from its digest.
fn open(path: &Path) -> Result<File, Trouble> {
    let cannot = |error: io::Error| Trouble::of(&error).while_doing(format!("cannot read `{}`", path.display()));
    if path != Path::new("-") {
        check_exists(path)?;
        return File::open(path).map_err(cannot);
    }
    let mut copy = tempfile::tempfile().map_err(cannot)?;
    io::copy(&mut io::stdin().lock(), &mut copy).map_err(cannot)?;
    copy.rewind().map_err(cannot)?;
    Ok(copy)
}

fn import_into(store: &Store, file: &mut File, args: &ImportArgs, console: &Console) -> Result<Done, Trouble> {
    let format = Har;
    let limits = Limits { item_bytes_max: args.entry_max };
    let roles = Roles { ingress: args.ingress.clone(), dependencies: args.dependencies.clone() };
    let surveyed = survey(&format, file, limits, &roles, &console.progress("reading", Unit::Bytes))?;
    file.rewind().map_err(|error| Trouble::of(&error).while_doing("cannot read the file a second time"))?;
    let secrets = Secrets { headers: args.redact_headers.clone(), query_keys: args.redact_queries.clone() };
    let redactor = Redactor::new(store.redaction_key()?, &secrets);
    let session = surveyed.session(session_id(&surveyed.digest));
    let known = Archive::open(store.path())?;
    let mut output = Output::new(store, session);
    let mut importer = Importer::new(format.name(), surveyed.digest, surveyed.started_unix_ns, roles, redactor);
    let (mut refused, mut known_count, mut count) = (None, 0, 0_u64);
    let progress = console.progress("importing", Unit::Exchanges);
    let read = format.read(file, limits, &mut |item| {
        let imported = importer.take(item);
        count += 1;
        progress.show(count, surveyed.items);
        if known.entry(&imported.exchange.id).is_some() {
            known_count += 1;
            return Next::GoOn;
        }
        match output.put(&imported) {
            Ok(()) => Next::GoOn,
            Err(error) => {
                refused = Some(error);
                Next::Stop
            }
        }
    });
    drop(progress);
    let added = output.finish()?;
    refused.map_or(Ok(()), Err)?;
    Ok(Done { added, known: known_count, fault: read.err(), importer, surveyed })
}

/// What is lacking, once for the file; and where it is wrong.
fn tell(done: &Done, console: &Console) {
    let all = done.added + done.known;
    for (lack, count) in done.importer.lacks() {
        let how_many = if *count == all { "all".to_owned() } else { format!("{count} of {all}") };
        console.note(&format!("without {}: {how_many}", lack.words()));
    }
    if done.surveyed.not_http > 0 {
        console.note(&format!("passed over, as they are no HTTP: {}", done.surveyed.not_http));
    }
    if let Some(fault) = &done.fault {
        console.warn(&format!("the file is wrong at {fault}; what came before is kept"));
    }
}

fn line(done: &Done, place: &str) -> String {
    let known = if done.known > 0 { format!(", {} were there already", done.known) } else { String::new() };
    let calls = done.surveyed.calls;
    let roles =
        if calls > 0 { format!(" ({calls} dependency calls)") } else { " (all as a client's requests)".to_owned() };
    let size = bytes(done.surveyed.len);
    let many = if done.added == 1 { "exchange" } else { "exchanges" };
    format!("`{place}`: {} {many} added{roles}{known}, from {size}\n", done.added)
}

fn document(done: &Done, place: &str) -> String {
    let fault = done
        .fault
        .as_ref()
        .map(|fault| serde_json::json!({ "byte": fault.place.offset, "line": fault.place.line, "what": fault.what }));
    let lacks: serde_json::Map<_, _> =
        done.importer.lacks().iter().map(|(lack, count)| (lack_name(*lack), (*count).into())).collect();
    json::document(
        "import",
        &serde_json::json!({
            "path": place,
            "source": done.surveyed.digest,
            "exchanges": done.added,
            "known": done.known,
            "dependency_calls": done.surveyed.calls,
            "not_http": done.surveyed.not_http,
            "lacks": lacks,
            "fault": fault,
        }),
    )
}

/// The word that the record has for it.
fn lack_name(lack: exchange::Lack) -> String {
    match serde_json::to_value(lack) {
        Ok(serde_json::Value::String(name)) => name,
        _ => lack.words().to_owned(),
    }
}

impl Surveyed {
    /// The session that the file's exchanges belong to.
    fn session(&self, id: exchange::Id) -> Session {
        Session {
            id,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            started: exchange::ClockPair { monotonic_ns: 0, wall_unix_ns: self.started_unix_ns },
            listeners: self.listeners.clone(),
            service_version: None,
            command: Vec::new(),
            conversation: None,
        }
    }
}
