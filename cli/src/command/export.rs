//! `retake export`: a selection, sealed, or as another tool reads it.

mod har;
mod image;

use std::path::Path;

use bundle::{Entry, Extra, Sealed};
use exchange::Id;
use report::json;

use self::image::Images;
use crate::{
    args::{ExportArgs, ExportFormat},
    console::{Console, Unit},
    exit::Exit,
    select::Selection,
    source::Source,
    trouble::Trouble,
};

/// What to do about a file that is there.
const EXISTS: &str = "name another file, or replace it with --force";

/// Seals the chosen exchanges, and what they depend on, into a bundle file.
pub(crate) fn export(args: &ExportArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let selection = Selection::of(&args.select)?;
    let source = Source::open(Some(&args.source), &args.store.store)?;
    let exit = source.warn(console);
    let chosen = choose(&source, args, &selection)?;
    if args.format() == ExportFormat::Har {
        return har::export(&source, &chosen, args, as_json, console).map(|done| done.or_worse(exit));
    }
    if args.output == Path::new("-") {
        return Err(Trouble::new("a bundle is written to a file").help("name one with -o, or say --format har"));
    }
    let mut images = if args.with_image { Images::of(&source, &chosen)? } else { Images::none() };
    let around_ns = u64::try_from(args.around.as_nanos()).unwrap_or(u64::MAX);
    let extra = Extra { images: images.sources(), keep_images: args.with_image, overwrite: args.force, around_ns };
    let progress = console.progress("sealing", Unit::Exchanges);
    let sealed =
        bundle::export(&source.archive, &chosen, &args.output, extra, &mut |done, total| progress.show(done, total));
    drop(progress);
    let sealed = sealed.map_err(|error| match error {
        bundle::ExportError::Exists { .. } => Trouble::from(error).advise(EXISTS),
        other => other.into(),
    })?;
    let text = if as_json { document(&sealed) } else { line(&sealed) };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

/// The exchanges that were named, or all, as far as the options choose them.
fn choose(source: &Source, args: &ExportArgs, selection: &Selection<'_>) -> Result<Vec<Id>, Trouble> {
    let named = match source.only {
        Some(only) => vec![only],
        None => source.resolve_all(&args.ids)?,
    };
    let is_named = |entry: &Entry| named.is_empty() || named.contains(&entry.id);
    let entries = source.archive.entries().iter().filter(|entry| is_named(entry) && selection.chooses(entry));
    let chosen: Vec<Id> = entries.map(|entry| entry.id).collect();
    if chosen.is_empty() {
        return Err(Trouble::new(format!("no exchange of `{}` was chosen", source.name))
            .help("`retake ls` with the same options shows what they choose"));
    }
    Ok(chosen)
}

fn line(sealed: &Sealed) -> String {
    let size = report::bytes(sealed.len);
    let (path, count, digest) = (sealed.path.display(), sealed.counts.exchanges, sealed.digest);
    let many = if count == 1 { "exchange" } else { "exchanges" };
    format!("`{path}`: {count} {many}, {size}, digest {digest}\n")
}

fn document(sealed: &Sealed) -> String {
    let path = sealed.path.to_string_lossy();
    let fields = serde_json::json!({
        "path": path, "digest": sealed.digest, "bytes": sealed.len, "exchanges": sealed.counts.exchanges,
    });
    json::document("export", &fields)
}
