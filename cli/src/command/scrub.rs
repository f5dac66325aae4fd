//! `retake scrub`: a person's data out of a store and out of bundles.

use std::path::Path;

use bundle::{
    Entry,
    scrub::{self, Action, FilePlan, Plan, Query, Remains, Why},
};
use content::search::Search;
use exchange::Id;
use report::{Cell, Paint, Table, bytes, json};

use crate::{
    args::ScrubArgs,
    clock::Clock,
    console::Console,
    exit::Exit,
    export_log::{ExportLog, Exported},
    sealed,
    select::Selection,
    source::check_exists,
    trouble::Trouble,
};

/// What came of it.
struct Outcome {
    plan: Plan,
    is_done: bool,
    remains: Vec<Remains>,
    /// What was exported elsewhere and has, or may have, some of it.
    exported: Vec<Exported>,
}

/// Plans, shows the plan, carries it out where that is wanted, and proves that nothing is left.
pub(crate) fn scrub(args: &ScrubArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let values = Search::of(args.values.iter().map(String::as_str));
    check(args, &values)?;
    let store = Some(args.store.store.as_path()).filter(|store| args.bundles.is_empty() || store.exists());
    store.map_or(Ok(()), check_exists)?;
    args.bundles.iter().try_for_each(|path| check_bundle(path, console))?;
    let selection = Selection::of(&args.select)?;
    let ids: Vec<String> = args.ids.iter().map(|id| id.to_ascii_lowercase()).collect();
    let is_named = |entry: &Entry| ids.is_empty() || ids.iter().any(|id| entry.id.to_string().starts_with(id));
    let query =
        Query { chooses: &|archive, entry| is_named(entry) && selection.chooses(archive, entry), values: &values };
    let plan = scrub::plan(store, &args.bundles, &query)?;
    for id in &ids {
        let count = plan.gone.iter().filter(|gone| gone.to_string().starts_with(id)).count();
        if count != 1 && args.values.is_empty() {
            return Err(Trouble::new(format!("{count} exchanges begin with `{id}`")).help("name one, by more digits"));
        }
    }
    let now_unix_ns = Clock::start().started_unix_ns;
    let log = store.map(ExportLog::of);
    let exported = log.as_ref().map(|log| exported(log, &plan)).transpose()?.unwrap_or_default();
    let mut outcome = Outcome { plan, is_done: args.yes && !args.dry_run, remains: Vec::new(), exported };
    if outcome.is_done {
        scrub::apply(&outcome.plan, &query, &Why { reason: &args.reason, now_unix_ns })?;
        outcome.remains = scrub::prove(&outcome.plan, &query)?;
        if let Some(log) = &log {
            let cannot = |error| Trouble::of(&error).while_doing(format!("cannot write `{}`", log.path().display()));
            log.scrub(&values).map_err(cannot)?;
            outcome.remains.extend(left_beside(log, &values));
        }
    }
    tell(args, &outcome, as_json, console)
}

fn check(args: &ScrubArgs, values: &Search) -> Result<(), Trouble> {
    if values.is_empty() && args.ids.is_empty() && !args.select.is_any() {
        return Err(Trouble::new("nothing says what is to be scrubbed")
            .help("name a value with --value, an exchange with --id, or choose as `retake ls` does"));
    }
    if values.is_in(args.reason.as_bytes()) {
        return Err(Trouble::new("the reason has a value that is to be scrubbed, and reasons are kept")
            .help("say it without: the number of the request, say"));
    }
    Ok(())
}

fn check_bundle(path: &Path, console: &Console) -> Result<(), Trouble> {
    check_exists(path)?;
    if path.is_dir() {
        return Err(Trouble::new(format!("`{}` is a folder", path.display())).help("name a store with --store"));
    }
    if sealed::open(path)?.is_some() {
        return Err(Trouble::new(format!("`{}` is encrypted, and is not written again", path.display()))
            .help("decrypt it with `age -d`, scrub that, and encrypt it anew; or remove it"));
    }
    let signature = sealed::signature_path(path);
    if signature.exists() {
        console.warn(&format!("`{}` is no signature of what is written again", signature.display()));
    }
    Ok(())
}

/// Files that were exported with some of what goes, and those of which no ids are kept.
fn exported(log: &ExportLog, plan: &Plan) -> Result<Vec<Exported>, Trouble> {
    let cannot = |error| Trouble::of(&error).while_doing(format!("cannot read `{}`", log.path().display()));
    let has = |exported: &Exported| exported.ids.is_empty() || exported.ids.iter().any(|id| plan.gone.contains(id));
    Ok(log.read().map_err(cannot)?.into_iter().filter(|it| !plan.gone.is_empty() && has(it)).collect())
}

/// The log itself.
fn left_beside(log: &ExportLog, values: &Search) -> Option<Remains> {
    let is_left = std::fs::read(log.path()).is_ok_and(|text| values.is_in_decoded(&text));
    is_left.then(|| Remains { path: log.path().to_owned(), what: "a value in the export log".to_owned() })
}

fn tell(args: &ScrubArgs, outcome: &Outcome, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    for file in &outcome.plan.files {
        if let Action::Held { why } = &file.action {
            console.warn(&format!("`{}` is not touched: {why}", file.path.display()));
        }
    }
    for it in &outcome.remains {
        console.warn(&format!("left in `{}`: {}", it.path.display(), it.what));
    }
    let is_planned_only = !outcome.is_done && !args.dry_run;
    if is_planned_only && !outcome.plan.is_empty() {
        console.complain(
            &Trouble::new("nothing was scrubbed: what goes cannot be had back")
                .help("say --yes, or --dry-run for the plan"),
        );
    }
    let exit = match (&outcome.remains[..], is_planned_only && !outcome.plan.is_empty()) {
        (_, true) => Exit::Trouble,
        ([], false) => Exit::Passed,
        (_, false) => Exit::Changed,
    };
    let text = if as_json { document(outcome) } else { page(args, outcome, console) };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

fn page(args: &ScrubArgs, outcome: &Outcome, console: &Console) -> String {
    let mut text = String::new();
    if outcome.plan.is_empty() {
        text += "nothing to scrub\n";
    } else {
        let mut table = Table::new(&["WHAT", "EXCHANGES", "NOTES", "SIZE", "FILE"]);
        for file in outcome.plan.files.iter().filter(|file| !matches!(file.action, Action::Keep)) {
            let exchanges = format!("{} of {}", gone_of(file, &outcome.plan), file.exchanges);
            let path = file.path.display().to_string();
            let what = Cell::new(word(file), Paint::Yellow);
            table.row([
                what,
                exchanges.into(),
                file.notes_gone.to_string().into(),
                bytes(file.bytes).into(),
                path.into(),
            ]);
        }
        text += &table.to_text(console.out);
        let verb = if outcome.is_done { "scrubbed" } else { "would be scrubbed" };
        text += &format!("{} exchanges {verb}\n", outcome.plan.gone.len());
    }
    if outcome.is_done && outcome.remains.is_empty() {
        text += if args.values.is_empty() {
            "their ids are in no file any more; no --value was given to look for\n"
        } else {
            "looked for in all that is kept, decoded: no value is left\n"
        };
    }
    for exported in &outcome.exported {
        let has = if exported.ids.is_empty() { "may have some of it" } else { "has some of it" };
        let at = report::instant(exported.at_unix_ns);
        text += &format!("exported elsewhere: `{}`, {at}, {has}\n", exported.file);
    }
    text
}

/// Exchanges of a file that go; its run's id is not one.
fn gone_of(file: &FilePlan, plan: &Plan) -> usize {
    match file.action {
        Action::Remove => usize::try_from(file.exchanges).unwrap_or(usize::MAX),
        _ => file.gone.intersection(&plan.gone).count(),
    }
}

fn word(file: &FilePlan) -> &'static str {
    match file.action {
        Action::Keep => "keep",
        Action::Held { .. } => "not touched",
        Action::Remove => "remove",
        Action::Rewrite => "rewrite",
    }
}

fn document(outcome: &Outcome) -> String {
    let files = outcome.plan.files.iter().map(|file| {
        let held = if let Action::Held { why } = &file.action { Some(why) } else { None };
        serde_json::json!({
            "path": file.path.to_string_lossy(),
            "action": word(file),
            "held": held,
            "exchanges": file.exchanges,
            "exchanges_gone": gone_of(file, &outcome.plan),
            "notes_gone": file.notes_gone,
        })
    });
    let left = |it: &Remains| serde_json::json!({ "path": it.path.to_string_lossy(), "what": it.what });
    let ids: Vec<&Id> = outcome.plan.gone.iter().collect();
    json::document(
        "scrub",
        &serde_json::json!({
            "done": outcome.is_done,
            "files": files.collect::<Vec<_>>(),
            "ids": ids,
            "remains": outcome.remains.iter().map(left).collect::<Vec<_>>(),
            "exported": outcome.exported,
        }),
    )
}
