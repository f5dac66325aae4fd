//! `retake replay --html FILE`: all replays of one command on one page.

use std::sync::Arc;

use bundle::Archive;
use diff::ExchangeResult;
use replayer::replay::Replayed;
use report::html::{Case, Of, Report};

use crate::{
    again::{quoted, replayed_again},
    args::ReplayArgs,
    exit::Exit,
    html::{HtmlFile, Looks},
    trouble::Trouble,
};

/// One replay that is to stand on the page.
pub(super) struct Shown {
    pub(super) source: String,
    pub(super) archive: Arc<Archive>,
    pub(super) replayed: Replayed,
    pub(super) exit: Exit,
}

/// Writes the page.
pub(super) fn write(file: HtmlFile, args: &ReplayArgs, shown: &[Shown], exit: Exit) -> Result<(), Trouble> {
    let runs = shown.iter().map(|it| Archive::open(&it.replayed.run_path)).collect::<Result<Vec<_>, _>>()?;
    let looks: Vec<_> =
        shown.iter().zip(&runs).map(|(it, run)| Looks::new(&it.archive, Some(run), &it.replayed.results)).collect();
    let look: Vec<_> = looks.iter().map(|looks| move |result: &ExchangeResult| looks.of(result)).collect();
    let names: Vec<_> =
        shown.iter().map(|it| (quoted(&it.source), quoted(&it.replayed.run_path.display().to_string()))).collect();
    let commands: Vec<_> = shown.iter().map(|it| replayed_again(&it.source, args)).collect();
    let case = |at: usize| Case {
        name: &shown[at].source,
        notes: &[],
        exit_code: shown[at].exit.code(),
        outcome: None,
        recorded: &names[at].0,
        replayed: &names[at].1,
        command: Some(&commands[at]),
        receipt: Some(&shown[at].replayed.receipt),
        results: &shown[at].replayed.results,
        rules_used: &shown[at].replayed.receipt.rules,
        standings: &[],
        look: &look[at],
    };
    let cases: Vec<_> = (0..shown.len()).map(case).collect();
    let title = format!("replay of {}", args.sources.join(", "));
    let report = Report {
        title: &title,
        tool_version: env!("CARGO_PKG_VERSION"),
        exit_code: exit.code(),
        of: Of::Exchanges,
        missing: &[],
        cases: &cases,
    };
    file.finish(&report)
}
