//! `--update`: the answers of a run become the expected ones.

use std::{
    collections::BTreeMap,
    io::{BufRead, IsTerminal, Write},
    path::Path,
};

use bundle::{Archive, NewAnswers, accept_answers};
use diff::Verdict;
use exchange::Id;
use report::{CaseReplay, CaseResult, Outcome, Suite, SuiteTally};

use crate::{console::Console, sealed, trouble::Trouble};

/// What the person says to one case.
enum Said {
    Yes,
    No,
    /// No to this one and to all that follow.
    Enough,
}

/// Before anything runs: somebody has to be there to be asked.
///
/// # Errors
/// Where nobody is, and `--yes` was not said.
pub(super) fn check(yes: bool) -> Result<(), Trouble> {
    if yes || std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Trouble::new("`--update` asks before it writes, and nobody is here to answer").help("say --yes"))
}

/// Shows what changed in each case, asks, and writes the bundles for which the answer is yes.
pub(super) fn update(suite: Suite, yes: bool, now_unix_ns: u64, console: &Console) -> Suite {
    let mut enough = false;
    let mut cases = Vec::new();
    for case in suite.cases {
        if case.outcome != Outcome::Failed || enough {
            cases.push(case);
            continue;
        }
        if !case.replays.iter().any(|replay| changed(replay).next().is_some()) {
            console.note(&format!("`{}` is not updated: {}", case.name, why_not(&case)));
            cases.push(case);
            continue;
        }
        console.note(&format!("\n{}", report::case_differences(&case, report::Style::PLAIN)));
        match if yes { Said::Yes } else { ask(&case.name) } {
            Said::Yes => cases.push(accept(case, now_unix_ns, console)),
            Said::No => cases.push(case),
            Said::Enough => {
                enough = true;
                cases.push(case);
            }
        }
    }
    let tally = SuiteTally::of(cases.iter().map(|case| case.outcome));
    Suite { exit_code: tally.exit_code(), tally, cases, ..suite }
}

/// Exchanges whose answer can be the expected one: it came whole, and the service asked what it asked before.
fn changed(replay: &CaseReplay) -> impl Iterator<Item = (Id, Id)> + '_ {
    let is_changed = replay.results.iter().filter(|result| matches!(result.verdict, Verdict::Changed));
    is_changed.filter_map(|result| Some((result.id, result.replayed_id?)))
}

fn why_not(case: &CaseResult) -> &'static str {
    match case.verdict.as_str() {
        "diverged" => {
            "it asked its dependencies something else, and what they would say is not recorded; record it anew"
        }
        "flaky" => "its answers are not the same from one repeat to the next",
        _ => "there is no whole answer to take",
    }
}

/// Asks on stderr, so that the result can go elsewhere.
fn ask(name: &str) -> Said {
    let mut err = std::io::stderr().lock();
    // Where nobody can be asked, nobody answers.
    let asked = write!(err, "make these the expected answers of `{name}`? [y/N/q] ").and_then(|()| err.flush());
    let mut answer = String::new();
    if asked.is_err() || std::io::stdin().lock().read_line(&mut answer).is_err() {
        return Said::Enough;
    }
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Said::Yes,
        "q" | "quit" => Said::Enough,
        _ if answer.is_empty() => Said::Enough,
        _ => Said::No,
    }
}

fn accept(case: CaseResult, now_unix_ns: u64, console: &Console) -> CaseResult {
    match write(&case, now_unix_ns) {
        Err(trouble) => {
            console.complain(&trouble);
            CaseResult { outcome: Outcome::Trouble, exit_code: 2, reasons: trouble.lines(), ..case }
        }
        Ok(left) => {
            let signature = sealed::signature_path(Path::new(&case.bundle));
            if signature.exists() {
                console.warn(&format!("`{}` is no signature of what is written again", signature.display()));
            }
            let mut notes = case.notes.clone();
            if let Some(replay) = case.replays.iter().find(|replay| !replay.receipt.pinned.relation.is_same()) {
                let ran = if replay.receipt.pinned.used.is_empty() {
                    "another service"
                } else {
                    replay.receipt.pinned.used.as_str()
                };
                notes.push(format!("the answers are those of {ran}; what the bundle has recorded as its service stays, and gives others"));
            }
            if left > 0 {
                notes.push(format!("{left} of its exchanges fail as before: no whole answer, or other calls"));
                return CaseResult { notes, ..case };
            }
            let (outcome, verdict) = (Outcome::Passed, "updated".to_owned());
            CaseResult { outcome, exit_code: outcome.exit_code(), verdict, notes, ..case }
        }
    }
}

/// Writes the bundle with the answers of each of its runs, one after the other; gives how many exchanges still fail.
fn write(case: &CaseResult, now_unix_ns: u64) -> Result<usize, Trouble> {
    let path = Path::new(&case.bundle);
    let cannot = |trouble: Trouble| trouble.while_doing(format!("`{}` is not updated", path.display()));
    if sealed::open(path)?.is_some() {
        return Err(Trouble::new(format!("`{}` is encrypted, and is not written again", path.display()))
            .help("decrypt it with `age -d`, update that, and encrypt it anew"));
    }
    for replay in &case.replays {
        let answers: BTreeMap<Id, Id> = changed(replay).collect();
        if answers.is_empty() {
            continue;
        }
        let archive = Archive::open_verified(path).map_err(|error| cannot(error.into()))?;
        let run = Archive::open_verified(Path::new(&replay.run_path)).map_err(|error| cannot(error.into()))?;
        let new = NewAnswers { run: &run, run_id: replay.receipt.run, answers: &answers, now_unix_ns };
        accept_answers(&archive, path, &new).map_err(|error| cannot(error.into()))?;
    }
    let still = |replay: &CaseReplay| {
        replay
            .results
            .iter()
            .filter(|result| result.verdict.is_failing() && !matches!(result.verdict, Verdict::Changed))
            .count()
    };
    Ok(case.replays.iter().map(still).sum())
}
