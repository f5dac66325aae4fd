//! The suite as JUnit XML, which CI servers read.
//!
//! In: a suite. Out: one `testsuites` with one `testsuite`, and one `testcase` for each case: `failure` where something
//! differs, `error` where it could not be judged (no server has a word for inconclusive, and it must not look like a pass) or was
//! not run, `skipped` where it is known to fail or is not to run. A part without results is one more, an `error`: which cases
//! it has is not known. How much rules and measured noise hid stands in `system-out`. The elements are those that Ant's and Jenkins' schemas have in common; of Ant's,
//! `skipped` is in later editions alone.

use crate::{
    CaseResult, Outcome, Style, Suite,
    suite::{case_page, hidden_lines, missing_part},
};

/// Longest text of one element, in bytes: a choice; servers keep it in memory, and the whole is in the results file.
const TEXT_LEN_MAX: usize = 64 << 10;

/// The whole document.
pub fn junit(suite: &Suite) -> String {
    let counts = Counts::of(suite);
    let time = seconds(suite.cases.iter().map(|case| case.took_ms).sum());
    let totals = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{time}\"",
        suite.cases.len() + suite.missing_parts.len(),
        counts.failures,
        counts.errors
    );
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    let name = attribute(&suite.folder);
    let began = crate::human::second(suite.started_unix_ns);
    // Ant's schema has no word for it.
    let skipped = if counts.skipped > 0 { format!(" skipped=\"{}\"", counts.skipped) } else { String::new() };
    text += &format!(
        "  <testsuite id=\"0\" package=\"retake\" name=\"{name}\" hostname=\"localhost\" timestamp=\"{began}\" {totals}{skipped}>\n"
    );
    let against = attribute(&suite.against);
    text += &format!("    <properties>\n      <property name=\"against\" value=\"{against}\"/>\n    </properties>\n");
    suite.cases.iter().for_each(|case| text += &testcase(case, suite));
    suite.missing_parts.iter().for_each(|part| text += &part_testcase(part, suite));
    text += &system_out(suite);
    text += "    <system-err/>\n  </testsuite>\n</testsuites>\n";
    text
}

/// What was hidden in all cases, then of each how much noise it has, and where it passed what a reader should know: neither schema has
/// a place for it in such a case.
fn system_out(suite: &Suite) -> String {
    let mut lines = hidden_lines(&suite.cases);
    for case in &suite.cases {
        let hidden = case.hidden();
        if hidden.has_noise() {
            lines.push(format!("{}: within measured noise: {}", case.name, hidden.noise_words()));
        }
        let notes = case.notes.iter().filter(|_| element(case.outcome).is_none());
        lines.extend(notes.map(|note| format!("{}: {note}", case.name)));
    }
    if lines.is_empty() {
        return "    <system-out/>\n".to_owned();
    }
    let lines: Vec<_> = lines.iter().map(|line| crate::escape_line(line)).collect();
    format!("    <system-out>{}</system-out>\n", content(&lines.join("\n")))
}

#[derive(Default)]
struct Counts {
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Counts {
    fn of(suite: &Suite) -> Self {
        let mut counts = Self { errors: suite.missing_parts.len(), ..Self::default() };
        for case in &suite.cases {
            match element(case.outcome) {
                Some("failure") => counts.failures += 1,
                Some("error") => counts.errors += 1,
                Some(_) => counts.skipped += 1,
                None => {}
            }
        }
        counts
    }
}

/// The element that an outcome is told by.
fn element(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Passed => None,
        Outcome::Failed => Some("failure"),
        Outcome::Inconclusive | Outcome::Trouble | Outcome::NotRun => Some("error"),
        Outcome::KnownFailure | Outcome::Skipped => Some("skipped"),
    }
}

fn testcase(case: &CaseResult, suite: &Suite) -> String {
    let (folder, stem) = case.name.rsplit_once('/').unwrap_or(("", &case.name));
    let class = match folder {
        "" => suite.folder.clone(),
        folder => format!("{}/{folder}", suite.folder.trim_end_matches('/')),
    };
    let open = opening(&class, stem, case.took_ms);
    let Some(element) = element(case.outcome) else { return format!("{open}/>\n") };
    let message = attribute(&message(case));
    if element == "skipped" {
        return format!("{open}>\n      <skipped message=\"{message}\"/>\n    </testcase>\n");
    }
    let details = content(&case_page(case, Style::PLAIN));
    let kind = attribute(&case.verdict);
    format!("{open}>\n      <{element} message=\"{message}\" type=\"{kind}\">{details}</{element}>\n    </testcase>\n")
}

/// A part of which there are no results.
fn part_testcase(part: &str, suite: &Suite) -> String {
    let open = opening(&suite.folder, &format!("part {part}"), 0);
    let message = attribute(&missing_part(part));
    format!("{open}>\n      <error message=\"{message}\" type=\"no results\"/>\n    </testcase>\n")
}

fn opening(class: &str, name: &str, took_ms: u64) -> String {
    format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        attribute(&class.replace('.', "_").replace('/', ".")),
        attribute(name),
        seconds(took_ms)
    )
}

/// One line: the verdict and why.
fn message(case: &CaseResult) -> String {
    let differs = case.clusters(1).first().map(crate::causes::cluster_words);
    let why = case.reasons.first().cloned().or(differs);
    why.map_or_else(|| case.verdict.clone(), |why| format!("{}: {why}", case.verdict))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// A value between quotes, on one line.
fn attribute(text: &str) -> String {
    escaped(text, |character| matches!(character, '\n' | '\t' | '\r'))
}

/// Text of an element.
fn content(text: &str) -> String {
    escaped(text, |_| false)
}

/// What XML 1.0 lets stand for `text` (section 2.2): characters that it has no way to write become U+FFFD. `numbered` are
/// written by their numbers, so that they stay in an attribute. What turns text around is shown as an escape.
fn escaped(text: &str, numbered: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if escaped.len() >= TEXT_LEN_MAX {
            escaped.push('…');
            break;
        }
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other if numbered(other) => escaped += &format!("&#{};", u32::from(other)),
            other if crate::escape::is_dangerous(other) && !other.is_control() => {
                escaped += &crate::escape_line(&other.to_string())
            }
            '\t' | '\n' => escaped.push(character),
            '\u{0}'..' ' | '\u{FFFE}' | '\u{FFFF}' => escaped.push('\u{FFFD}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::samples;

    #[test]
    fn what_did_not_run_and_a_part_without_results_are_errors() {
        let green = samples::case("steady", Outcome::Passed, "same", &[], Vec::new());
        let later = samples::case("later", Outcome::NotRun, "not run", &[], Vec::new());
        let parts = vec!["1/3".to_owned(), "3/3".to_owned()];
        let text = junit(&Suite { cases: vec![green, later], missing_parts: parts, ..samples::suite() });
        assert!(text.contains("tests=\"4\" failures=\"0\" errors=\"3\"") && !text.contains("skipped"), "{text}");
        for wanted in [
            "name=\"later\" time=\"0.000\">\n      <error message=\"not run\" type=\"not run\">",
            "<testcase classname=\"cases\" name=\"part 1/3\" time=\"0.000\">\n      <error message=\"There are no results of part 1/3",
            "name=\"part 3/3\"",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert_eq!(text.matches("<testcase").count(), 4);
    }

    #[test]
    fn what_rules_and_noise_hid_is_told_and_where_nothing_was_hidden_nothing_is() {
        let text = junit(&Suite { cases: vec![samples::noisy("a<b>")], ..samples::suite() });
        let told = "    <system-out>hidden by rules: /created 3×\nwithin measured noise: 3 differences in 2 exchanges: \
                    POST /tickets /id 2×, POST /tickets sse:/id 1×\n\
                    a&lt;b&gt;: within measured noise: 3 differences in 2 exchanges</system-out>\n    <system-err/>";
        assert!(text.contains(told), "{text}");
        let mut passed = samples::case("a", Outcome::Passed, "same", &[], Vec::new());
        passed.notes.push("`rules.toml`, line 8: the rule for `/id` ended".to_owned());
        let text = junit(&Suite { cases: vec![passed], ..samples::suite() });
        assert!(text.contains("<system-out>a: `rules.toml`, line 8: the rule for `/id` ended</system-out>"), "{text}");
        assert!(junit(&samples::suite()).contains("    <system-out/>\n    <system-err/>\n"));
    }

    #[test]
    fn no_text_can_leave_its_place_and_none_is_no_xml() {
        assert_eq!(attribute("a\"b<c>&\n"), "a&quot;b&lt;c&gt;&amp;&#10;");
        assert_eq!(content("]]>\u{1b}[2J\u{ffff}\n"), "]]&gt;\u{FFFD}[2J\u{FFFD}\n");
        assert_eq!(attribute("a\u{202e}b"), "a\\u{202e}b");
        assert!(content(&"x".repeat(1 << 20)).len() <= TEXT_LEN_MAX + 3);
    }
}
