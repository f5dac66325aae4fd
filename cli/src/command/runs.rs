//! `retake runs`: the replays of a store.

use std::path::Path;

use bundle::{Archive, OpenError};
use exchange::{Id, Run};
use replayer::Resumable;
use report::{Cell, Paint, Table, instant, json};
use serde::Serialize;

use crate::{
    args::RunsArgs,
    console::Console,
    exit::Exit,
    source::{check_exists, run_files},
    trouble::Trouble,
};

/// A run that has come to nothing yet: it goes on, or was cut off.
#[derive(Serialize)]
struct Unfinished {
    id: Id,
    began_unix_ns: u64,
    source: String,
}

/// What the file of a run holds.
enum Found {
    Runs(Vec<Run>),
    Unfinished(Unfinished),
}

/// Lists the runs of a store, the oldest first.
pub(crate) fn runs(args: &RunsArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let store = &args.store.store;
    check_exists(store)?;
    // A folder that is no store must not look like one without runs.
    drop(Archive::open(store)?);
    let mut exit = Exit::Passed;
    let (mut runs, mut unfinished) = (Vec::new(), Vec::new());
    for path in run_files(store)? {
        match read(&path) {
            Ok(Found::Runs(found)) => runs.extend(found),
            Ok(Found::Unfinished(found)) => unfinished.push(found),
            Err(trouble) => exit = exit.or_worse(console.complain(&trouble)),
        }
    }
    runs.sort_by_key(|run| (run.started.wall_unix_ns, run.id));
    unfinished.sort_by_key(|run| (run.began_unix_ns, run.id));
    let text = if as_json {
        json::document("runs", &serde_json::json!({ "runs": runs, "unfinished": unfinished }))
    } else {
        table(&runs, &unfinished, console)
    };
    if runs.is_empty() && unfinished.is_empty() && !as_json {
        console.note(&format!("no runs in `{}`; `retake replay` makes them", store.display()));
    }
    if !as_json && (!unfinished.is_empty() || runs.iter().any(was_interrupted)) {
        console.note("what was interrupted or cut off can be gone on with: `retake replay --resume ID`");
    }
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

fn read(path: &Path) -> Result<Found, Trouble> {
    match Archive::open(path) {
        Err(OpenError::Unsealed { .. }) => {
            let run = Resumable::open(path)?;
            let (id, began) = (run.run(), run.began);
            Ok(Found::Unfinished(Unfinished { id, began_unix_ns: began.started_unix_ns, source: began.source.path }))
        }
        opened => Ok(Found::Runs(opened?.runs()?)),
    }
}

fn was_interrupted(run: &Run) -> bool {
    run.receipt["interrupted"] == true
}

fn table(runs: &[Run], unfinished: &[Unfinished], console: &Console) -> String {
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
    for run in unfinished {
        table.row([
            Cell::new(run.id.short(), Paint::Cyan),
            instant(run.began_unix_ns).into(),
            run.source.as_str().into(),
            Cell::new("goes on, or was cut off", Paint::Yellow),
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
        Ok(tally) => {
            let line = report::tally_line(&tally, report::Style::PLAIN);
            let interrupted = if was_interrupted(run) { ", interrupted" } else { "" };
            Cell::new(format!("{line}{interrupted}"), paint(&tally))
        }
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
