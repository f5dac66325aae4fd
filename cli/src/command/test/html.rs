//! `--html FILE`: all cases on one page for a browser.
//!
//! In: a suite. Out: the page. What is not there any more (a run of another machine, a bundle that moved) is left out; the
//! differences are in the results themselves.

use std::path::Path;

use bundle::Archive;
use diff::ExchangeResult;
use report::{
    CaseReplay, CaseResult, Suite,
    html::{Case, Look, Of, Report},
};

use crate::{
    again::quoted,
    html::{HtmlFile, Looks},
    trouble::Trouble,
};

/// One replay of a case; a case that did not run has none.
struct Shown<'a> {
    case: &'a CaseResult,
    replay: Option<&'a CaseReplay>,
    recorded: Option<Archive>,
    replayed: Option<Archive>,
    notes: Vec<(String, String)>,
    names: (String, String),
    command: String,
}

/// Writes the page.
pub(super) fn write(file: HtmlFile, suite: &Suite) -> Result<(), Trouble> {
    let shown: Vec<Shown<'_>> = suite.cases.iter().flat_map(shown_of).collect();
    let looks: Vec<_> =
        shown.iter().map(|it| Some(Looks::new(it.recorded.as_ref()?, it.replayed.as_ref(), results(it)))).collect();
    let look: Vec<_> = looks
        .iter()
        .map(|looks| move |result: &ExchangeResult| looks.as_ref().map_or_else(Look::default, |looks| looks.of(result)))
        .collect();
    let case = |at: usize| {
        let it = &shown[at];
        Case {
            name: &it.case.name,
            notes: &it.notes,
            exit_code: it.case.exit_code,
            outcome: Some(it.case.outcome),
            recorded: &it.names.0,
            replayed: &it.names.1,
            command: Some(&it.command),
            receipt: it.replay.map(|replay| &replay.receipt),
            results: results(it),
            rules_used: it.replay.map_or(&[][..], |replay| replay.receipt.rules.as_slice()),
            standings: &[],
            look: &look[at],
        }
    };
    let cases: Vec<Case<'_>> = (0..shown.len()).map(case).collect();
    let title = format!("test of {}, {}", suite.folder, suite.against);
    let report = Report {
        title: &title,
        tool_version: &suite.tool_version,
        exit_code: suite.exit_code,
        of: Of::Exchanges,
        missing: &suite.missing(),
        cases: &cases,
    };
    file.finish(&report)
}

fn results<'a>(shown: &Shown<'a>) -> &'a [ExchangeResult] {
    shown.replay.map_or(&[][..], |replay| replay.results.as_slice())
}

fn shown_of(case: &CaseResult) -> Vec<Shown<'_>> {
    let replays: Vec<Option<&CaseReplay>> =
        if case.replays.is_empty() { vec![None] } else { case.replays.iter().map(Some).collect() };
    replays
        .into_iter()
        .map(|replay| {
            let run = replay.map(|replay| replay.run_path.clone()).unwrap_or_default();
            Shown {
                case,
                replay,
                // A bundle that is encrypted or gone is shown by its results alone.
                recorded: replay.and_then(|_| Archive::open(Path::new(&case.bundle)).ok()),
                replayed: replay.and_then(|replay| Archive::open(Path::new(&replay.run_path)).ok()),
                notes: notes(case),
                names: (quoted(&case.bundle), quoted(&run)),
                command: command(case),
            }
        })
        .collect()
}

/// What its file says, then why it has its outcome.
fn notes(case: &CaseResult) -> Vec<(String, String)> {
    let about = &case.about;
    let tags = about.tags.join(" ");
    let said = [
        ("verdict", &case.verdict),
        ("ticket", &about.ticket),
        ("owner", &about.owner),
        ("why", &about.why),
        ("run book", &about.run_book),
        ("tags", &tags),
    ];
    let said = said.into_iter().filter(|(_, words)| !words.is_empty());
    let reasons = case.reasons.iter().map(|reason| ("because", reason));
    let noted = case.notes.iter().map(|note| ("note", note));
    said.chain(reasons).chain(noted).map(|(label, words)| (label.to_owned(), words.clone())).collect()
}

/// What does one exchange again, up to its id.
fn command(case: &CaseResult) -> String {
    let behind = if case.reproduce.contains(" -- ") { "" } else { " --" };
    format!("{}{behind} --only", case.reproduce)
}
