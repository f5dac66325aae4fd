//! The suite as Markdown for a pull request: the count, the cases that need a look, what they have in common, and each of them
//! folded, with the command that does it again.
//!
//! In: a suite. Out: GitHub-flavoured Markdown (GitLab reads it as well), no longer than GitHub takes. Whatever comes from
//! responses, files or names stands in code or is escaped: it can neither format the page, nor mention anybody, nor link.

mod escape;

use self::escape::{code, fenced, link, plain};
use crate::{
    CaseResult, Outcome, Style, Suite, SuiteCluster,
    causes::cluster_words,
    clusters, span,
    suite::{Hidden, named},
};

/// Longest summary, in bytes. GitHub refuses a comment of more than 65,536 characters; a thousand are left for a heading and a
/// footer of whoever posts it.
const LEN_MAX: usize = 64_000;

/// Rows and lines shown. Choices: more are counted.
const ROWS_MAX: usize = 50;
const CLUSTERS_MAX: usize = 12;
const CASES_NAMED: usize = 5;

/// Longest list of what there is to know, in bytes: a choice, as above.
const NOTES_LEN_MAX: usize = 12_000;

/// Longest details of one case, in bytes: a choice, so that one case does not take the room of the others.
const DETAILS_LEN_MAX: usize = 4_000;

/// Longest text of a file or name, in bytes: a choice, since one long text would take the room of the others.
const TEXT_LEN_MAX: usize = 400;

/// The whole page.
pub fn summary(suite: &Suite) -> String {
    let mut page = Page { text: heading(suite) };
    let looked_at: Vec<_> = suite.cases.iter().filter(|case| case.outcome.needs_a_look()).collect();
    page.put_table(&looked_at);
    page.put_common(&clusters(&suite.cases));
    page.put_notes(suite);
    page.put_hidden(suite);
    page.put_details(&looked_at);
    page.text
}

fn heading(suite: &Suite) -> String {
    let total = suite.tally.total();
    let many = if total == 1 { "case" } else { "cases" };
    let verdict = match suite.exit_code {
        0 => "passed",
        1 => "failed",
        2 => "failed, and not everything could be tested",
        _ => "inconclusive",
    };
    let verdict =
        if suite.exit_code == 2 && suite.tally.failed == 0 { "not everything could be tested" } else { verdict };
    let words = suite.tally.words(Style::PLAIN);
    let took: u64 = suite.cases.iter().map(|case| case.took_ms).sum();
    let part = suite.shard.as_ref().map(|shard| format!(", part {}", plain(shard))).unwrap_or_default();
    let interrupted = if suite.interrupted { " It was ended before all cases had run." } else { "" };
    let missing: Vec<String> = suite.missing_parts.iter().map(|part| plain(part)).collect();
    let missing = match &missing[..] {
        [] => String::new(),
        parts => format!(" **There are no results of part {}: its cases were not tested.**", parts.join(", ")),
    };
    format!(
        "## retake test: {verdict}\n\n**{words}** of {total} {many} in {}{part}, {}; {} of replay.{interrupted}{missing}\n",
        code(&suite.folder),
        code(&suite.against),
        span(took.saturating_mul(1_000_000)),
    )
}

/// The page as it grows.
struct Page {
    text: String,
}

impl Page {
    /// Appends a section where there is room.
    fn put(&mut self, section: &str) {
        if self.text.len() + section.len() <= LEN_MAX {
            self.text += section;
        }
    }

    fn put_table(&mut self, cases: &[&CaseResult]) {
        if cases.is_empty() {
            return;
        }
        self.text += "\n| | case | what | ticket | owner |\n| --- | --- | --- | --- | --- |\n";
        for (shown, case) in cases.iter().enumerate() {
            let row = format!(
                "| **{}** | {} | {} | {} | {} |\n",
                plain(&case.verdict),
                in_table(&code(&cut(&case.name, TEXT_LEN_MAX))),
                in_table(&what(case)),
                in_table(&link(&cut(&case.about.ticket, TEXT_LEN_MAX))),
                in_table(&plain(&cut(&case.about.owner, TEXT_LEN_MAX))),
            );
            // Half of the page is for what comes after the table.
            if shown >= ROWS_MAX || self.text.len() + row.len() > LEN_MAX / 2 {
                self.text += &format!("\nand {} more\n", cases.len() - shown);
                return;
            }
            self.text += &row;
        }
    }

    fn put_common(&mut self, found: &[SuiteCluster<'_>]) {
        if found.is_empty() {
            return;
        }
        let kinds = if found.len() == 1 { "kind" } else { "kinds" };
        let mut section = format!("\n### {} {kinds} of difference\n\n", found.len());
        for it in found.iter().take(CLUSTERS_MAX) {
            let named: Vec<String> = it.cases.iter().take(CASES_NAMED).map(|name| code(name)).collect();
            let more = it.cases.len().saturating_sub(CASES_NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let many = if it.cases.len() == 1 { "case" } else { "cases" };
            section += &format!(
                "- {}<br>in {} {many}: {}{more}<br>again: {}\n",
                code(&cut(&cluster_words(&it.cluster), 300)),
                it.cases.len(),
                named.join(", "),
                code(&cut(it.reproduce, 500))
            );
        }
        if found.len() > CLUSTERS_MAX {
            section += &format!("- and {} more\n", found.len() - CLUSTERS_MAX);
        }
        self.put(&section);
    }

    /// What is known to fail, was skipped, or has something to say.
    fn put_notes(&mut self, suite: &Suite) {
        let mut lines: Vec<String> = Vec::new();
        for case in &suite.cases {
            let about = match case.outcome {
                Outcome::KnownFailure => Some("fails as its file says that it does".to_owned()),
                Outcome::Skipped => Some(format!(
                    "skipped: {}",
                    plain(&cut(case.reasons.first().map_or("", String::as_str), TEXT_LEN_MAX))
                )),
                _ => None,
            };
            let notes = case.notes.iter().map(|note| plain(&cut(note, TEXT_LEN_MAX)));
            lines.extend(about.into_iter().chain(notes).map(|words| format!("- {}: {words}\n", code(&case.name))));
        }
        if lines.is_empty() {
            return;
        }
        let mut section = "\n### To know\n\n".to_owned();
        for (shown, line) in lines.iter().enumerate() {
            if shown >= ROWS_MAX || section.len() + line.len() > NOTES_LEN_MAX {
                section += &format!("- and {} more\n", lines.len() - shown);
                break;
            }
            section += line;
        }
        self.put(&section);
    }

    /// Every rule that hid a difference, and what is within measured noise.
    fn put_hidden(&mut self, suite: &Suite) {
        let shown = |name: &str| code(&cut(name, TEXT_LEN_MAX));
        let hidden = Hidden::of(suite.cases.iter().flat_map(|case| &case.replays));
        if !hidden.rules.is_empty() {
            self.put(&format!("\nDifferences hidden by rules: {}.\n", named(&hidden.rules, shown)));
        }
        if hidden.has_noise() {
            // How much it is is told in any case: it takes a line.
            self.text += &format!("\nWithin measured noise: {}", hidden.noise_words());
            let noisy: Vec<_> = suite.cases.iter().filter(|case| case.hidden().has_noise()).collect();
            let named_cases: Vec<String> = noisy.iter().take(CASES_NAMED).map(|case| shown(&case.name)).collect();
            let more = noisy.len().saturating_sub(CASES_NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let many = if noisy.len() == 1 { "case" } else { "cases" };
            let cases = format!(" of {} {many}, {}{more}", noisy.len(), named_cases.join(", "));
            self.put(&format!("{cases}: {}", named(&hidden.places, shown)));
            self.text += ".\n";
        }
    }

    fn put_details(&mut self, cases: &[&CaseResult]) {
        for (shown, case) in cases.iter().enumerate() {
            let rest = format!("\nand the details of {} more, in the results file\n", cases.len() - shown);
            let details = details(case);
            if self.text.len() + details.len() + rest.len() > LEN_MAX {
                self.text += &rest;
                return;
            }
            self.text += &details;
        }
    }
}

/// Why, or what differs most.
fn what(case: &CaseResult) -> String {
    let differs = || case.clusters(1).first().map(|cluster| code(&cut(&cluster_words(cluster), 160)));
    let why = case.reasons.first().map(|reason| plain(&cut(reason, 200)));
    why.or_else(differs).unwrap_or_default()
}

fn details(case: &CaseResult) -> String {
    let mut text =
        format!("\n<details><summary><b>{}</b> {}</summary>\n\n", plain(&case.verdict), escape::html(&case.name));
    let about = &case.about;
    for (label, words) in [
        ("Why it exists", plain(&cut(&about.why, TEXT_LEN_MAX))),
        ("Ticket", link(&cut(&about.ticket, TEXT_LEN_MAX))),
        ("Owner", plain(&cut(&about.owner, TEXT_LEN_MAX))),
        ("Run book", link(&cut(&about.run_book, TEXT_LEN_MAX))),
    ] {
        if !words.is_empty() {
            text += &format!("- {label}: {words}\n");
        }
    }
    case.reasons.iter().for_each(|reason| text += &format!("- {}\n", plain(&cut(reason, 500))));
    let hidden = case.hidden();
    if hidden.has_noise() {
        text += &format!("- Within measured noise: {}\n", hidden.noise_words());
    }
    let differs: Vec<String> = case.clusters(8).iter().map(|cluster| cut(&cluster_words(cluster), 400)).collect();
    if !differs.is_empty() {
        text += &format!("\n{}", fenced(&cut(&differs.join("\n"), DETAILS_LEN_MAX)));
    }
    text + &format!("\nAgain:\n\n{}\n</details>\n", fenced(&cut(&case.reproduce, 2_000)))
}

fn cut(text: &str, len_max: usize) -> String {
    if text.len() <= len_max {
        return text.to_owned();
    }
    let mut end = len_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// A bar would end the cell, also in code (GFM, section 4.10).
fn in_table(markdown: &str) -> String {
    markdown.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::samples;

    #[test]
    fn a_reviewer_reads_what_happened() {
        let text = summary(&samples::suite());
        for wanted in [
            "## retake test: failed, and not everything could be tested\n",
            "**1 could not be tested, 2 failed, 1 inconclusive, 1 not run, 1 known to fail, 1 skipped, 1 passed** of 8 cases in `cases`, `--image triage:next`",
            "| **changed** | `bug-1234` | ``1× POST /tickets /priority changed",
            " | BUG-1234 | team-triage |\n",
            "| **trouble** | `damaged` | block 3 does not verify |  |  |\n",
            "| **void** | `void` | &#96;/models&#96; is not here |  |  |\n",
            "- `known`: fails as its file says that it does\n",
            "- `off`: skipped: needs a GPU\n",
            "- Run book: <https://wiki.example/triage>\n",
            "```text\nretake test cases --only bug-1234 --image triage:next\n```\n",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        // What came from the response is in code, on one line, and its bar ends no cell.
        let row = text.lines().find(|line| line.starts_with("| **changed** | `bug-1234`")).unwrap();
        let bars = row.match_indices('|').filter(|(at, _)| !row[..*at].ends_with('\\')).count();
        assert_eq!(bars, 6, "{row}");
    }

    #[test]
    fn what_measured_noise_hid_is_told_of_cases_that_passed_and_of_those_that_failed() {
        let failed = CaseResult { outcome: Outcome::Failed, ..samples::noisy("failed") };
        let suite = Suite { cases: vec![failed, samples::noisy("@passed")], ..samples::suite() };
        let text = summary(&suite);
        let wanted = "\nWithin measured noise: 6 differences in 4 exchanges of 2 cases, `failed`, `@passed`: `POST /tickets /id` 4×, `POST /tickets sse:/id` 2×.\n";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("\n- Within measured noise: 3 differences in 2 exchanges\n"), "{text}");
        assert!(!summary(&samples::suite()).contains("noise"), "where there is none nothing is said");
    }

    #[test]
    fn a_part_without_results_is_told() {
        let suite = Suite { missing_parts: vec!["3/4".to_owned()], ..samples::suite() };
        assert!(summary(&suite).contains("There are no results of part 3/4"), "{}", heading(&suite));
    }

    #[test]
    fn a_thousand_failures_with_long_texts_fit_into_a_comment() {
        let mut suite = samples::suite();
        suite.cases.push(samples::noisy("noisy"));
        let nasty = format!("{}\n```\n@everyone <img src=x onerror=alert(1)> | ", "`".repeat(50));
        let long = nasty.repeat(200);
        suite.cases = (0..1000)
            .map(|number| {
                let mut case = suite.cases[number % 9].clone();
                case.name = format!("{}{number}", &long[..150]);
                case.about.why.clone_from(&long);
                case.about.ticket.clone_from(&long);
                case.reasons.push(long.clone());
                case.notes.push(long.clone());
                case.reproduce.clone_from(&long);
                case
            })
            .collect();
        let text = summary(&suite);
        assert!(text.chars().count() <= 65_536 && text.len() <= LEN_MAX + 1_000, "{}", text.len());
        assert!(text.contains("more"), "what was left out is counted");
        assert!(text.contains("\nWithin measured noise: 333 differences in 222 exchanges"), "it is told in any case");
    }
}
