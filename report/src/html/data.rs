//! What the page's script shows: JSON in `script` elements of a type that no browser runs.
//!
//! Out: first blocks of [`BLOCK_LEN`] exchanges with all that is shown of one (each is parsed when one of its exchanges is
//! unfolded, so that a page with ten thousand of them opens as fast as one with ten), then the list itself: one short row each.

use std::{collections::BTreeMap, io};

use diff::{Change, Comparison, ExchangeResult, Verdict};
use serde::Serialize;

use super::{
    Case, Report,
    look::{Look, Side},
    markup::json_for_script,
    summary::VERDICTS,
};
use crate::repeats::place_words;

/// Exchanges of one block. A choice: some hundred kilobytes to parse at a time.
const BLOCK_LEN: usize = 50;

/// Most changes of one exchange that the page has. A choice; all are in `--json`.
const CHANGES_LEN_MAX: usize = 100;

/// Most bytes of bodies that the whole page has. A choice: what a browser reads within a second, and people send around.
const BODIES_BYTES_MAX: usize = 16 << 20;

/// Longest text of a row, in characters.
const ROW_CHARS_MAX: usize = 160;

/// One exchange, whole.
#[derive(Serialize)]
struct Detail<'a> {
    result: &'a ExchangeResult,
    look: &'a Look,
    /// True where the bodies are left out since the page has too many of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    without_bodies: bool,
}

/// One line of the list. Written as an array, in this order.
#[derive(Serialize)]
struct Row(
    /// Number of the case.
    usize,
    /// Its id.
    String,
    /// Method and path.
    String,
    /// Number of the route.
    usize,
    /// Number of the verdict.
    usize,
    /// Recorded status, or 0.
    u16,
    /// Replayed status, or 0.
    u16,
    /// What differs, in a few words.
    String,
    /// How long it took in the recording, in microseconds; -1 where that is not known.
    i64,
    /// How long it took in the replay.
    i64,
);

#[derive(Serialize)]
struct CaseNames<'a> {
    name: &'a str,
    recorded: &'a str,
    replayed: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
}

#[derive(Serialize)]
struct Index<'a> {
    /// What one result is of, and several.
    nouns: [&'static str; 2],
    block: usize,
    verdicts: [&'static str; 7],
    cases: Vec<CaseNames<'a>>,
    routes: Vec<&'a str>,
    rows: Vec<Row>,
}

/// Writes the blocks and the list.
pub(super) fn write<'a>(report: &Report<'a>, out: &mut dyn io::Write) -> io::Result<()> {
    let mut routes = Routes::default();
    let mut rows = Vec::new();
    let mut budget = BODIES_BYTES_MAX;
    let mut block: Vec<String> = Vec::new();
    let mut blocks = 0;
    let results = report
        .cases
        .iter()
        .enumerate()
        .flat_map(|(number, case)| case.results.iter().map(move |it| (number, case, it)));
    for (number, case, result) in results {
        let mut look = (case.look)(result);
        let without_bodies = cut_to_budget(&mut look, &mut budget, result);
        let result = with_fewer_changes(result);
        block.push(json(&Detail { result: &result, look: &look, without_bodies }));
        rows.push(row(number, &result, &look, routes.number(&result.route)));
        if block.len() == BLOCK_LEN {
            write_block(out, &mut block, &mut blocks)?;
        }
    }
    if !block.is_empty() {
        write_block(out, &mut block, &mut blocks)?;
    }
    let names = |case: &Case<'a>| CaseNames {
        name: case.name,
        recorded: case.recorded,
        replayed: case.replayed,
        command: case.command,
    };
    let cases = report.cases.iter().map(names).collect();
    let routes = routes.names.iter().map(String::as_str).collect();
    let index = Index { nouns: report.of.words(), block: BLOCK_LEN, verdicts: VERDICTS, cases, routes, rows };
    write_script(out, "index", &json_for_script(&json(&index)))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is shown is made of objects, lists, numbers and texts")
}

fn write_block(out: &mut dyn io::Write, block: &mut Vec<String>, blocks: &mut usize) -> io::Result<()> {
    write_script(out, &format!("block-{blocks}"), &json_for_script(&format!("[{}]", block.join(","))))?;
    *blocks += 1;
    block.clear();
    Ok(())
}

fn write_script(out: &mut dyn io::Write, id: &str, json: &str) -> io::Result<()> {
    writeln!(out, "<script type=\"application/json\" id=\"{id}\">{json}</script>")
}

/// Leaves bodies out where the page has enough of them, and of what did not change. True where some are left out for lack of room.
fn cut_to_budget(look: &mut Look, budget: &mut usize, result: &ExchangeResult) -> bool {
    let mut sides: Vec<&mut Side> = look.recorded.iter_mut().chain(look.replayed.iter_mut()).collect();
    if matches!(result.verdict, Verdict::Same) && result.repeated.is_none() {
        // Of two equal answers one is enough.
        sides.iter_mut().skip(1).for_each(|side| side.response = None);
    }
    // The replayed request is the recorded one, but for what a replay has to replace.
    sides.iter_mut().skip(1).for_each(|side| side.request = None);
    let contents = sides.iter().flat_map(|side| [&side.request, &side.response]).flatten();
    let weight: usize = contents.map(|content| json_for_script(&json(content)).len()).sum();
    if let Some(left) = budget.checked_sub(weight) {
        *budget = left;
        return false;
    }
    for side in &mut sides {
        (side.request, side.response) = (None, None);
    }
    true
}

/// As many changes as are shown; the rest counted.
fn with_fewer_changes(result: &ExchangeResult) -> ExchangeResult {
    let mut result = result.clone();
    if let Some(comparison) = &mut result.comparison {
        let more = comparison.changes.len().saturating_sub(CHANGES_LEN_MAX);
        comparison.changes.truncate(CHANGES_LEN_MAX);
        comparison.changes_more += more as u64;
    }
    result
}

/// Each route once.
#[derive(Default)]
struct Routes {
    names: Vec<String>,
    numbers: BTreeMap<String, usize>,
}

impl Routes {
    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len();
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

fn row(case: usize, result: &ExchangeResult, look: &Look, route: usize) -> Row {
    let verdict = VERDICTS.iter().position(|word| *word == result.verdict.word()).unwrap_or(VERDICTS.len() - 1);
    let took_us = |side: &Option<Side>| {
        let took_ns = side.as_ref().and_then(|side| side.took_ns);
        took_ns.map_or(-1, |took_ns| i64::try_from(took_ns / 1_000).unwrap_or(-1))
    };
    Row(
        case,
        result.id.to_string(),
        cut(&result.title),
        route,
        verdict,
        result.recorded_status.unwrap_or_default(),
        result.replayed_status.unwrap_or_default(),
        cut(&what_differs(result)),
        took_us(&look.recorded),
        took_us(&look.replayed),
    )
}

/// `/priority "high" → "low", and 2 more`
fn what_differs(result: &ExchangeResult) -> String {
    match &result.verdict {
        Verdict::Unjudged(unjudged) => return unjudged.reason.clone(),
        Verdict::Failed(failure) => return failure.reason.clone(),
        Verdict::Diverged(divergence) => {
            let missed = divergence.missed.iter().map(|call| format!("not recorded: {}", call.asked));
            let extra = divergence.extra.iter().map(|title| format!("one more: {title}"));
            let never = divergence.never_asked.iter().map(|title| format!("never asked: {title}"));
            return missed.chain(extra).chain(never).collect::<Vec<_>>().join(", ");
        }
        _ => {}
    }
    let flaky = match &result.verdict {
        Verdict::Flaky(flaky) => format!("{} of {} failed; ", flaky.failed, flaky.of),
        _ => String::new(),
    };
    let changes = result.comparison.as_ref().map(change_words).unwrap_or_default();
    format!("{flaky}{changes}")
}

fn change_words(comparison: &Comparison) -> String {
    let Some(first) = comparison.changes.first() else { return String::new() };
    let more = match comparison.changes_count() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{} {}{more}", place_words(&first.pointer), sides(first))
}

fn sides(change: &Change) -> String {
    let short = |text: &str| {
        let cut: String = text.chars().take(40).collect();
        if cut.len() < text.len() { cut + "…" } else { cut }
    };
    match (&change.recorded, &change.replayed) {
        (Some(recorded), Some(replayed)) => format!("{} → {}", short(&recorded.text), short(&replayed.text)),
        (Some(only), None) => format!("− {}", short(&only.text)),
        (None, Some(only)) => format!("+ {}", short(&only.text)),
        (None, None) => String::new(),
    }
}

fn cut(text: &str) -> String {
    let mut characters = text.chars();
    let mut cut: String = characters.by_ref().take(ROW_CHARS_MAX).collect();
    if characters.next().is_some() {
        cut.push('…');
    }
    cut
}
