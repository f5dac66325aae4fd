//! What the replays of a case come to, by DESIGN's exit codes and by what its file expects.
//!
//! In: replays, the rate that is allowed, the verdict that is known. Out: an outcome, the gravest verdict, and why.

use diff::{ExchangeResult, Flaky, Tally, Verdict};
use report::{CaseReplay, CaseResult, Outcome};

use super::case::Case;

/// Exchanges whose reasons are told. A choice: the results have all.
const REASONS_MAX: usize = 3;

/// Judges a case that ran.
pub(super) fn judge(case: &Case, replays: Vec<CaseReplay>) -> CaseResult {
    let mut reasons = Vec::new();
    let mut notes = case.notes.clone();
    let codes = replays.iter().map(|replay| code_of(replay, case.flaky_max, &mut reasons, &mut notes));
    let code = codes.max_by_key(|code| weight(*code)).unwrap_or(3);
    let verdict = leading_word(&replays, code);
    reasons.extend(replays.iter().flat_map(why_open).take(REASONS_MAX));
    let outcome = match (code, &case.expect) {
        (0, Some(known)) => {
            notes.push(format!("it passes, and was expected to be {known}: take `expect` out of its file"));
            Outcome::Passed
        }
        (0, None) => Outcome::Passed,
        (1, Some(known)) if failing_words(&replays).all(|word| word == known) => Outcome::KnownFailure,
        (1, Some(known)) => {
            reasons.insert(0, format!("it was expected to be {known}"));
            Outcome::Failed
        }
        (1, None) => Outcome::Failed,
        (2, _) => Outcome::Trouble,
        _ => Outcome::Inconclusive,
    };
    CaseResult {
        digest: replays.first().and_then(|replay| replay.receipt.sources.first()?.digest),
        reasons,
        notes,
        replays,
        ..case.result(outcome, verdict)
    }
}

/// 2 beats 1 beats 3 beats 0.
fn weight(code: u8) -> u8 {
    match code {
        2 => 3,
        1 => 2,
        3 => 1,
        _ => 0,
    }
}

/// The replay's code, where exchanges that may be flaky count by their rate's interval: 0 where it is wholly at or below
/// what is allowed, 1 where it is wholly above, else 3. The interval is the exact one (Clopper–Pearson), which covers the
/// true rate at least as often as the confidence says.
fn code_of(replay: &CaseReplay, flaky_max: Option<f64>, reasons: &mut Vec<String>, notes: &mut Vec<String>) -> u8 {
    let flaky: Vec<_> = replay.results.iter().filter_map(flaky_of).collect();
    if replay.receipt.void.is_some() || flaky.is_empty() {
        return replay.exit_code;
    }
    let Some(flaky_max) = flaky_max else {
        let words = flaky.iter().take(REASONS_MAX).map(|(result, Flaky { failed, of }, (low, high))| {
            format!("{}: {failed} of {of} failed, {} to {}", result.title, percent(*low), percent(*high))
        });
        reasons.extend(words);
        return replay.exit_code;
    };
    let mut rates = 0;
    for (result, Flaky { failed, of }, (low, high)) in flaky {
        let (code, word) = if high <= flaky_max {
            (0, "at or below")
        } else if low > flaky_max {
            (1, "above")
        } else {
            (3, "not told apart from")
        };
        let words = format!(
            "{}: {failed} of {of} failed, {} to {}: {word} the {} that are allowed",
            result.title,
            percent(low),
            percent(high),
            percent(flaky_max)
        );
        if code == 0 {
            notes.push(words)
        } else {
            reasons.push(words)
        }
        rates = if weight(code) > weight(rates) { code } else { rates };
    }
    let others = Tally { flaky: 0, ..replay.receipt.tally };
    let repeats = replay.receipt.repeats.as_ref();
    let is_short = repeats.is_some_and(|repeats| repeats.done < repeats.asked) || !replay.receipt.skipped.is_empty();
    let others = if others.total() == 0 { 0 } else { others.exit_code() };
    let others = if others == 0 && is_short { 3 } else { others };
    if weight(others) > weight(rates) { others } else { rates }
}

fn flaky_of(result: &ExchangeResult) -> Option<(&ExchangeResult, Flaky, (f64, f64))> {
    let Verdict::Flaky(flaky) = &result.verdict else { return None };
    let failed = result.repeated.as_ref().map(|repeated| repeated.failed);
    Some((result, *flaky, failed.map_or((0.0, 1.0), |failed| (failed.exact_low, failed.exact_high))))
}

fn percent(rate: f64) -> String {
    let text = format!("{:.1}", rate * 100.0);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// One of the counts of a tally.
type CountOf = fn(&Tally) -> u64;

/// The gravest verdict, which is what the exit code rests on.
fn leading_word(replays: &[CaseReplay], code: u8) -> &'static str {
    let any = |is: CountOf| replays.iter().any(|replay| is(&replay.receipt.tally) > 0);
    let failing: [(CountOf, &str); 4] = [
        (|tally| tally.failed, "failed"),
        (|tally| tally.diverged, "diverged"),
        (|tally| tally.changed, "changed"),
        (|tally| tally.flaky, "flaky"),
    ];
    let leading = failing.into_iter().find(|(is, _)| any(*is)).map(|(_, word)| word);
    match (code, leading) {
        (0 | 1, Some(word)) => word,
        (3, Some("flaky")) => "flaky",
        (3, _) if replays.iter().any(|replay| replay.receipt.void.is_some()) => "void",
        (3, _) => "unjudged",
        // What was hidden is not called the same, however much beside it is.
        _ if any(|tally| tally.noise) => "noise",
        _ => "same",
    }
}

fn failing_words(replays: &[CaseReplay]) -> impl Iterator<Item = &'static str> {
    let results = replays.iter().flat_map(|replay| &replay.results);
    results.filter(|result| result.verdict.is_failing()).map(|result| result.verdict.word())
}

/// Why a replay, or an exchange of it, is open.
fn why_open(replay: &CaseReplay) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(void) = &replay.receipt.void {
        reasons.push(void.reason.clone());
        reasons.extend(Some(&void.help).filter(|help| !help.is_empty()).cloned());
        reasons.extend(void.last_lines.last().map(|line| format!("it wrote last: {line}")));
    }
    if replay.receipt.interrupted && replay.receipt.void.is_none() {
        reasons.push("it was stopped before all was sent".to_owned());
    }
    let unjudged = replay.results.iter().filter_map(|result| match &result.verdict {
        Verdict::Unjudged(unjudged) => Some(format!("{} unjudged: {}", result.title, unjudged.reason)),
        _ => None,
    });
    let skipped = replay.receipt.skipped.iter().map(|it| format!("{} skipped: {}", it.title, it.reason));
    reasons.extend(unjudged.chain(skipped));
    let mut told = std::collections::BTreeSet::new();
    reasons.retain(|reason| told.insert(reason.clone()));
    reasons
}
