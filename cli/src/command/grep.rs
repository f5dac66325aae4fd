//! `retake grep`: text in heads and bodies, or in the value at a place.

mod found;
mod looking;

use bundle::Entry;

use self::{found::Found, looking::Looking};
use crate::{
    args::GrepArgs,
    console::{Console, Unit},
    exit::Exit,
    select::Selection,
    source::Source,
    trouble::Trouble,
};

/// Exchanges after which progress is shown again.
const SHOWN_EVERY: usize = 64;

/// Looks through the exchanges of a source that the options choose, and prints what it finds at once.
pub(crate) fn grep(args: &GrepArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let mut looking = Looking::of(args)?;
    let selection = Selection::of(&args.select)?;
    let source = Source::open_to_look(args.source.as_deref(), &args.store.store, &args.keys)?;
    let is_meant = |entry: &&Entry| source.only.is_none_or(|id| entry.id == id || entry.may_belong_to(&id));
    let entries =
        source.archive.entries().iter().filter(is_meant).filter(|entry| selection.chooses(&source.archive, entry));
    let entries: Vec<&Entry> = entries.collect();
    let mut exit = source.warn(console);
    let mut all: Vec<Found<'_>> = Vec::new();
    let mut count = 0_usize;
    let progress = console.progress("searching", Unit::Exchanges);
    console.write(Exit::Passed, |out| {
        for (done, &entry) in entries.iter().enumerate() {
            if done.is_multiple_of(SHOWN_EVERY) {
                progress.show(done as u64, entries.len() as u64);
            }
            let found = match looking.at(&source.archive, entry) {
                Ok(found) => found,
                Err(trouble) => {
                    progress.aside(|| console.warn(&format!("{} was not searched: {trouble}", entry.id)));
                    exit = Exit::Trouble;
                    continue;
                }
            };
            let Some(found) = found else { continue };
            count += 1;
            if as_json {
                all.push(found);
                continue;
            }
            progress.aside(|| {
                let text = if args.list { format!("{}\n", entry.id) } else { found.to_text(console.out) };
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            })?;
        }
        if as_json {
            out.write_all(found::to_json(&all, entries.len()).as_bytes())?;
        }
        Ok(())
    })?;
    drop(progress);
    looking.say_what_was_left_out(console);
    Ok(match (exit, count) {
        (Exit::Passed, 0) => {
            if !as_json && !args.list {
                console.note(&format!(
                    "nothing in the {} exchanges of `{}` that were searched",
                    entries.len(),
                    source.name
                ));
            }
            Exit::Changed
        }
        (exit, _) => exit,
    })
}
