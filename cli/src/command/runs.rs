//! `retake runs`: the replays of a store.

use std::path::Path;

use bundle::Archive;
use exchange::Run;
use report::{Cell, Paint, Table, instant, json};

use crate::{
    args::RunsArgs,
    console::Console,
    exit::Exit,
    source::{check_exists, run_files},
    trouble::Trouble,
};

/// Lists the runs of a store, the oldest first.
pub(crate) fn runs(args: &RunsArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let store = &args.store.store;
    check_exists(store)?;
    // A folder that is no store must not look like one without runs.
    drop(Archive::open(store)?);
    let mut exit = Exit::Passed;
    let mut runs = Vec::new();
    for path in run_files(store)? {
        match read(&path) {
            Ok(found) => runs.extend(found),
            Err(trouble) => exit = exit.or_worse(console.complain(&trouble)),
        }
    }
    runs.sort_by_key(|run| (run.started.wall_unix_ns, run.id));
    let text =
        if as_json { json::document("runs", &serde_json::json!({ "runs": runs })) } else { table(&runs, console) };
    if runs.is_empty() && !as_json {
        console.note(&format!("no runs in `{}`; `retake replay` makes them", store.display()));
    }
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

fn read(path: &Path) -> Result<Vec<Run>, Trouble> {
    Ok(Archive::open(path)?.runs()?)
}

fn table(runs: &[Run], console: &Console) -> String {
    let mut table = Table::new(&["ID", "BEGAN (UTC)", "OF", "OUTCOME"]);
    for run in runs {
        let sources: Vec<String> = run.receipt["sources"].as_array().into_iter().flatten().map(source_name).collect();
        table.row([
            Cell::new(run.id.short(), Paint::Cyan),
            instant(run.started.wall_unix_ns).into(),
            sources.join(", ").into(),
            outcome(run),
        ]);
    }
    table.to_text(console.out)
}

fn source_name(source: &serde_json::Value) -> String {
    source["path"].as_str().unwrap_or("?").to_owned()
}

/// The verdict of the whole, as the receipt has it: void, or the count.
fn outcome(run: &Run) -> Cell {
    if let Some(reason) = run.receipt["void"]["reason"].as_str() {
        return Cell::new(format!("void: {reason}"), Paint::Yellow);
    }
    match serde_json::from_value::<diff::Tally>(run.receipt["tally"].clone()) {
        Ok(tally) => Cell::new(report::tally_line(&tally, report::Style::PLAIN), paint(&tally)),
        Err(_) => Cell::new("not known: the receipt has no count", Paint::Dim),
    }
}

fn paint(tally: &diff::Tally) -> Paint {
    match tally.exit_code() {
        0 => Paint::Green,
        1 => Paint::Red,
        _ => Paint::Yellow,
    }
}
