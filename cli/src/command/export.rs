//! `retake export`: a selection, sealed, or as another tool reads it.

mod har;
mod image;
mod wrap;

use std::path::{Path, PathBuf};

use bundle::{Entry, Extra, Sealed};
use exchange::Id;
use report::json;

use self::{
    image::Images,
    wrap::{Wrap, Wrapped},
};
use crate::{
    args::{ExportArgs, ExportFormat},
    bucket,
    clock::Clock,
    console::{Console, Unit},
    exit::Exit,
    export_log::{ExportLog, Exported},
    noise,
    select::Selection,
    source::Source,
    trouble::Trouble,
};

/// What to do about a file that is there.
const EXISTS: &str = "name another file, or replace it with --force";

/// Seals the chosen exchanges, and what they depend on, into a bundle file, encrypted and signed where that is wanted.
pub(crate) fn export(args: &ExportArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let selection = Selection::of(&args.select)?;
    let source = Source::open(Some(&args.source), &args.store.store, &args.keys)?;
    let exit = source.warn(console);
    let chosen = choose(&source, args, &selection)?;
    if args.format() == ExportFormat::Har {
        if let Some(address) = bucket::address(&args.output)? {
            return Err(Trouble::new(format!("`{address}` can be a bundle, and no HAR"))
                .help("write the HAR to a file, and send that"));
        }
        if !args.encrypt_to.is_empty() || args.sign.is_some() {
            return Err(Trouble::new("a HAR is written as it is")
                .help("encrypt it with `age`, sign it with `ssh-keygen -Y sign`"));
        }
        return har::export(&source, &chosen, args, as_json, console).map(|done| {
            log(args, &args.output, &chosen, console);
            done.or_worse(exit)
        });
    }
    if args.output == Path::new("-") {
        return Err(Trouble::new("a bundle is written to a file").help("name one with -o, or say --format har"));
    }
    let wrap = Wrap::of(args)?;
    let mut images = if args.with_image { Images::of(&source, &chosen)? } else { Images::none() };
    let around_ns = u64::try_from(args.around.as_nanos()).unwrap_or(u64::MAX);
    let noise = noise::carried(&source, &chosen, Path::new(&args.source), &args.store.store)?;
    let extra =
        Extra { images: images.sources(), keep_images: args.with_image, overwrite: args.force, around_ns, noise };
    let (sealed, wrapped) = wrap.around(|path| {
        let progress = console.progress("sealing", Unit::Exchanges);
        let sealed =
            bundle::export(&source.archive, &chosen, path, extra, &mut |done, total| progress.show(done, total));
        sealed.map_err(|error| match error {
            bundle::ExportError::Exists { .. } => Trouble::from(error).advise(EXISTS),
            other => other.into(),
        })
    })?;
    if let Some(signature) = wrap.left_behind() {
        console.warn(&format!("`{}` is no signature of the new file", signature.display()));
    }
    log(args, &wrapped.path, &chosen, console);
    let text = if as_json { document(&sealed, &wrapped) } else { line(&sealed, &wrapped) };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

/// Notes in the store what was exported from it, so that a scrub can say where else it is. What was exported of a bundle is
/// noted nowhere.
fn log(args: &ExportArgs, output: &Path, chosen: &[Id], console: &Console) {
    let source = Path::new(&args.source);
    let store = match source.exists() || matches!(bucket::address(source), Ok(Some(_))) {
        true if source.is_dir() => source,
        true => return,
        false => &args.store.store,
    };
    let log = ExportLog::of(store);
    let exported = Exported::new(Clock::start().started_unix_ns, output, &args.select, &args.ids, chosen);
    if let Err(error) = log.append(&exported) {
        console.warn(&format!(
            "`{}` cannot be written: a scrub will not know of this export: {error}",
            log.path().display()
        ));
    }
}

/// The exchanges that were named, or all, as far as the options choose them.
fn choose(source: &Source, args: &ExportArgs, selection: &Selection<'_>) -> Result<Vec<Id>, Trouble> {
    let named = match source.only {
        Some(only) => vec![only],
        None => source.resolve_all(&args.ids)?,
    };
    let is_named = |entry: &Entry| named.is_empty() || named.contains(&entry.id);
    let entries =
        source.archive.entries().iter().filter(|entry| is_named(entry) && selection.chooses(&source.archive, entry));
    let chosen: Vec<Id> = entries.map(|entry| entry.id).collect();
    if chosen.is_empty() {
        return Err(Trouble::new(format!("no exchange of `{}` was chosen", source.name))
            .help("`retake ls` with the same options shows what they choose"));
    }
    Ok(chosen)
}

fn line(sealed: &Sealed, wrapped: &Wrapped) -> String {
    let size = report::bytes(wrapped.len);
    let (path, count, digest) = (wrapped.path.display(), sealed.counts.exchanges, sealed.digest);
    let many = if count == 1 { "exchange" } else { "exchanges" };
    let encrypted = match wrapped.recipients {
        0 => String::new(),
        1 => ", encrypted to 1 recipient".to_owned(),
        count => format!(", encrypted to {count} recipients"),
    };
    let signed = |(path, key): &(PathBuf, String)| format!("`{}`: its signature by {key}\n", path.display());
    let signed = wrapped.signature.as_ref().map(signed).unwrap_or_default();
    format!("`{path}`: {count} {many}, {size}{encrypted}, digest {digest}\n{signed}")
}

fn document(sealed: &Sealed, wrapped: &Wrapped) -> String {
    let signature = wrapped.signature.as_ref();
    let fields = serde_json::json!({
        "path": wrapped.path.to_string_lossy(),
        "digest": sealed.digest,
        "bytes": wrapped.len,
        "exchanges": sealed.counts.exchanges,
        "recipients": wrapped.recipients,
        "signature": signature.map(|(path, key)| serde_json::json!({ "path": path.to_string_lossy(), "key": key })),
    });
    json::document("export", &fields)
}
