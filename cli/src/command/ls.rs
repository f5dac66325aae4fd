//! `retake ls`: what is in a source.

use bundle::Entry;
use report::{Listed, exchange_list};

use crate::{args::LsArgs, console::Console, exit::Exit, select::Selection, source::Source, trouble::Trouble};

/// Lists the exchanges of a source that the options choose.
pub(crate) fn ls(args: &LsArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let selection = Selection::of(&args.select)?;
    let source = Source::open_to_look(args.source.as_deref(), &args.store.store, &args.keys)?;
    let is_meant = |entry: &Entry| source.only.is_none_or(|id| entry.id == id || entry.may_belong_to(&id));
    let entries: Vec<&Entry> = source
        .archive
        .entries()
        .iter()
        .filter(|entry| is_meant(entry) && selection.chooses(&source.archive, entry))
        .collect();
    let listed = Listed { entries: &entries, sessions: source.archive.sessions() };
    let exit = source.warn(console);
    if entries.is_empty() && !as_json {
        console.note(&format!(
            "no exchanges in `{}`{}",
            source.name,
            if args.select.is_any() { " that the options choose" } else { "" }
        ));
    }
    console.write(exit, |out| if as_json { listed.write_json(out) } else { exchange_list(&listed, console.out, out) })
}
