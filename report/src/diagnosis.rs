//! What `retake diagnose` found: the checklist, what failures share, and what follows.

use diagnose::flakiness::{Diagnosis, Item, Source, State};
use diff::Class;

use crate::{Style, escape_line, json};

/// Exchanges listed, the gravest first. The rest is in the JSON.
const EXCHANGES_SHOWN_MAX: usize = 10;
/// Clusters listed.
const CLUSTERS_SHOWN_MAX: usize = 10;
/// The longest label of the checklist.
const HASHES_OR_THREADS: &str = "hash order or threads";
const LABEL_LEN: usize = HASHES_OR_THREADS.len();

/// The diagnosis for a person.
pub fn diagnosis_page(diagnosis: &Diagnosis, style: Style) -> String {
    let mut text = format!(
        "{} trials of {} exchanges, {} failed; {} pairs of answers compared\n\n",
        diagnosis.trials,
        diagnosis.exchanges.len(),
        diagnosis.failed,
        diagnosis.pairs
    );
    for item in diagnosis.checklist.iter().filter(|item| !is_said_before(item)) {
        let mark = match item.state {
            State::Seen | State::Unclear => style.red("[x]"),
            State::NotSeen => style.green("[ ]"),
            _ => style.yellow("[?]"),
        };
        let mut evidence = item.evidence.iter();
        let first = evidence.next().map(|words| escape_line(words).into_owned()).unwrap_or_default();
        text += &format!("{mark} {:<LABEL_LEN$}  {first}\n", label(item));
        evidence.for_each(|words| text += &format!("{:4}{:LABEL_LEN$}  {}\n", "", "", escape_line(words)));
    }
    if !diagnosis.clusters.is_empty() {
        text += "\nWhat unusual answers share:\n";
        for cluster in diagnosis.clusters.iter().take(CLUSTERS_SHOWN_MAX) {
            text += &format!("  {}\n", escape_line(&cluster.words()));
        }
    }
    text += &exchange_lines(diagnosis, style);
    if !diagnosis.conclusions.is_empty() {
        text += "\n";
    }
    for sentence in &diagnosis.conclusions {
        text += &format!("{} {}\n", style.dim("so"), escape_line(sentence));
    }
    text
}

/// What it is that was seen.
fn label(item: &Item) -> &'static str {
    match (item.source, item.state) {
        (Source::HashOrder, State::Unclear) => HASHES_OR_THREADS,
        (source, _) => source.words(),
    }
}

/// True of threads that have one line with hash tables, since it is not known which of the two it was.
fn is_said_before(item: &Item) -> bool {
    item.source == Source::ThreadOrder && item.state == State::Unclear
}

/// The exchanges that are not deterministic, by class.
fn exchange_lines(diagnosis: &Diagnosis, style: Style) -> String {
    let mut told: Vec<_> = diagnosis.exchanges.iter().filter(|it| it.class != Class::Deterministic).collect();
    told.sort_by_key(|it| (it.class, std::cmp::Reverse(it.failed)));
    let mut text = if told.is_empty() { String::new() } else { "\nExchanges:\n".to_owned() };
    for it in told.iter().take(EXCHANGES_SHOWN_MAX) {
        let (class, id) = (it.class.word(), style.cyan(&it.id.short()));
        let why = it.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        text += &format!("  {class:<21}  {id}  {}  failed {} of {}{why}\n", escape_line(&it.title), it.failed, it.of);
    }
    let more = told.len().saturating_sub(EXCHANGES_SHOWN_MAX);
    if more > 0 {
        text += &format!("  {}\n", style.dim(&format!("… and {more} more")));
    }
    text
}

/// The same as a document of schema `retake.diagnosis`.
pub fn diagnosis_json(diagnosis: &Diagnosis) -> String {
    json::document("diagnosis", diagnosis)
}
