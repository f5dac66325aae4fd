//! The suite on a terminal: one line for each case as it ends, then what needs a look, with the command for each.

use diff::Tally;

use super::{About, CaseResult, Outcome, Suite, clusters, hidden_lines, missing_part, named};
use crate::{
    Cell, Paint, Style, Table, causes::cluster_words, changes::result_paragraph, escape_line, receipt::cut_to_line,
    span,
};

/// Differences shown of one case, and of all together. Choices: the whole is in `--json`.
const CASE_CLUSTERS: usize = 3;
const SUITE_CLUSTERS: usize = 8;

/// Names shown of the cases that share a difference. A choice.
const CASES_NAMED: usize = 4;

/// One line of a case: verdict, name, what was counted, how long it took. `name_len` is the longest name's, in characters.
pub fn case_line(case: &CaseResult, name_len: usize, style: Style) -> String {
    let word = paint(case.outcome, style, &format!("{:<9}", shown_word(case)));
    let name = escape_line(&case.name);
    let padding = " ".repeat(name_len.saturating_sub(name.chars().count()));
    let took = if case.replays.is_empty() { String::new() } else { format!("  {}", span(case.took_ms * 1_000_000)) };
    let why = why(case);
    let why = if why.is_empty() { String::new() } else { format!("  {}", cut_to_line(&why)) };
    format!("{word} {}{padding}  {}{took}{why}", style.cyan(&name), counts(case))
}

/// In capitals where somebody has to look.
fn shown_word(case: &CaseResult) -> String {
    if case.outcome.needs_a_look() { case.verdict.to_uppercase() } else { case.verdict.clone() }
}

fn paint(outcome: Outcome, style: Style, text: &str) -> String {
    match outcome {
        Outcome::Passed => style.green(text),
        Outcome::KnownFailure | Outcome::Skipped => style.dim(text),
        Outcome::NotRun | Outcome::Inconclusive => style.yellow(text),
        Outcome::Failed | Outcome::Trouble => style.red(text),
    }
}

/// `3 of 12`, or `12` where all are the same.
fn counts(case: &CaseResult) -> String {
    let tally = case.tally();
    let total = tally.total();
    let many = if total == 1 { "exchange" } else { "exchanges" };
    let Tally { same, noise, .. } = tally;
    match total - same - noise {
        _ if case.replays.is_empty() => "-".to_owned(),
        0 => format!("{total} {many}"),
        other => format!("{other} of {total} {many}"),
    }
}

/// A reason in a few words, where the verdict is none.
fn why(case: &CaseResult) -> String {
    let first = case.reasons.first().or(case.notes.first());
    first.cloned().unwrap_or_default()
}

/// What follows the lines of the cases: what needs a look, what all failures have in common, what was hidden, and the count.
pub fn suite_end(suite: &Suite, style: Style) -> String {
    let mut text = String::new();
    let looked_at: Vec<_> =
        suite.cases.iter().filter(|case| case.outcome.needs_a_look() && case.outcome != Outcome::NotRun).collect();
    for case in &looked_at {
        text += &format!("\n{}", case_page(case, style));
    }
    text += &common_lines(suite, style);
    let not_run: Vec<&str> =
        suite.cases.iter().filter(|case| case.outcome == Outcome::NotRun).map(|case| case.name.as_str()).collect();
    if !not_run.is_empty() {
        text += &format!("\n{} {}\n", style.yellow("not run:"), cut_to_line(&not_run.join(", ")));
    }
    for part in &suite.missing_parts {
        text += &format!("\n{}\n", style.yellow(&escape_line(&missing_part(part))));
    }
    let hidden = hidden_lines(&suite.cases);
    if !hidden.is_empty() {
        text.push('\n');
        hidden.iter().for_each(|words| text += &format!("{}\n", style.dim(&escape_line(words))));
    }
    let against = escape_line(&suite.against);
    let total = suite.tally.total();
    let many = if total == 1 { "case" } else { "cases" };
    text += &format!("\n{} of {total} {many}, {against}\n", suite.tally.words(style));
    text
}

/// A case that needs a look: who, why, what differs, and the command.
pub(crate) fn case_page(case: &CaseResult, style: Style) -> String {
    let word = paint(case.outcome, style, &case.verdict.to_uppercase());
    let about = [&case.about.ticket, &case.about.owner].into_iter().filter(|text| !text.is_empty());
    let about: Vec<_> = about.map(|text| escape_line(text).into_owned()).collect();
    let about = if about.is_empty() { String::new() } else { format!("  {}", about.join(", ")) };
    let mut text = format!("{word} {}{about}\n", style.cyan(&escape_line(&case.name)));
    let mut line = |label: &str, words: &str| {
        if !words.is_empty() {
            text += &format!("  {} {}\n", style.dim(&format!("{label:<8}")), cut_to_line(words));
        }
    };
    line("why", &case.about.why);
    case.reasons.iter().for_each(|reason| line("because", reason));
    case.clusters(CASE_CLUSTERS).iter().for_each(|cluster| line("differs", &cluster_words(cluster)));
    let hidden = case.hidden();
    if hidden.has_noise() {
        let places = named(&hidden.places, str::to_owned);
        line("noise", &format!("within measured noise: {}: {places}", hidden.noise_words()));
    }
    case.notes.iter().for_each(|note| line("note", note));
    case.replays.iter().for_each(|replay| line("run", &replay.run_path));
    line("run book", &case.about.run_book);
    line("again", &case.reproduce);
    text
}

/// All that differs in a case, exchange by exchange.
pub fn case_differences(case: &CaseResult, style: Style) -> String {
    let differing = case.results().filter(|result| result.verdict.is_failing());
    let paragraphs: String = differing.map(|result| result_paragraph(result, style)).collect();
    format!("{}\n{paragraphs}", style.bold(&escape_line(&case.name)))
}

/// Differences that more than one case has.
fn common_lines(suite: &Suite, style: Style) -> String {
    let shared: Vec<_> = clusters(&suite.cases).into_iter().filter(|it| it.cases.len() > 1).collect();
    if shared.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", style.bold("in several cases"));
    for it in shared.iter().take(SUITE_CLUSTERS) {
        let named = it.cases.iter().take(CASES_NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = it.cases.len().saturating_sub(CASES_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &format!("  {}\n", cut_to_line(&cluster_words(&it.cluster)));
        text += &format!("    {} cases: {}{more}\n", it.cases.len(), cut_to_line(&named));
        text += &format!("    again: {}\n", escape_line(it.reproduce));
    }
    let more = shared.len().saturating_sub(SUITE_CLUSTERS);
    if more > 0 {
        text += &format!("  and {more} more kinds of difference\n");
    }
    text
}

/// The cases as `--list` shows them, one line each.
pub fn case_list(cases: &[CaseResult], style: Style) -> String {
    let mut table = Table::new(&["CASE", "EXPECT", "TICKET", "OWNER", "TAGS", "WHY"]);
    for case in cases {
        let About { ticket, owner, why, tags, .. } = &case.about;
        let why = case.reasons.first().unwrap_or(why);
        table.row([
            Cell::new(case.name.clone(), Paint::Cyan),
            case.expect.clone().into(),
            ticket.clone().into(),
            owner.clone().into(),
            tags.join(" ").into(),
            why.clone().into(),
        ]);
    }
    table.to_text(style)
}

#[cfg(test)]
mod tests;
