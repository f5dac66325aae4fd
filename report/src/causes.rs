//! Differences by cause, each on a line with the command that makes its example happen again.

use diff::{Cluster, ExchangeResult, Tally, Weight};
use serde::Serialize;

use crate::{escape_line, repeats::place_words};

/// Clusters in a document for machines. A choice: behind so many, nothing is clustered.
const CLUSTERS_LEN_MAX: usize = 1_000;

/// Other places that are named on a line. A choice.
const PLACES_SHOWN_MAX: usize = 3;

/// Characters of a cluster's words that are shown however long its command is. A choice: route and place.
const WORDS_CHARS_MIN: usize = 120;

/// How a difference is seen again: a command that lacks the exchange's id alone, which comes last.
#[derive(Clone, Copy, Debug)]
pub enum Again<'a> {
    /// It replays the recorded exchange.
    Replay(&'a str),
    /// It shows the exchange that was compared with it.
    Show(&'a str),
}

/// A cluster, and how its example is seen again.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClusterLine {
    #[serde(flatten)]
    cluster: Cluster,
    /// The command to type.
    reproduce: String,
}

/// All clusters, for a machine.
pub(crate) fn cluster_lines(results: &[ExchangeResult], again: Again<'_>) -> Vec<ClusterLine> {
    let line = |cluster: Cluster| ClusterLine { reproduce: command(&cluster, results, again), cluster };
    diff::top_changes(results, CLUSTERS_LEN_MAX).into_iter().map(line).collect()
}

/// The `len_max` first clusters, each with its words and the command, and at the end how many there are beside them:
/// `…; retake replay case.retake --only 3fa9c1d20011`. Words are cut so that a line has `chars_max` characters, commands never.
pub(crate) fn cluster_words_and_commands(
    results: &[ExchangeResult],
    again: Again<'_>,
    len_max: usize,
    chars_max: usize,
) -> Vec<String> {
    let clusters = diff::top_changes(results, usize::MAX);
    let line = |cluster: &Cluster| {
        let command = command(cluster, results, again);
        let room = chars_max.saturating_sub(command.chars().count() + 2).max(WORDS_CHARS_MIN);
        format!("{}; {}", cut(&escape_line(&cluster_words(cluster)), room), escape_line(&command))
    };
    let mut lines: Vec<String> = clusters.iter().take(len_max).map(line).collect();
    let more = clusters.len().saturating_sub(len_max);
    if let Some(last) = lines.last_mut().filter(|_| more > 0) {
        *last += &format!("; and {more} more, in `--json`");
    }
    lines
}

fn cut(words: &str, chars_max: usize) -> String {
    match words.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words.to_owned(),
    }
}

/// `6× POST /tickets /priority changed, word: "high" → "low"; also /severity`.
pub(crate) fn cluster_words(cluster: &Cluster) -> String {
    let sides = match (&cluster.recorded, &cluster.replayed) {
        (Some(recorded), Some(replayed)) => format!(": {recorded} → {replayed}"),
        (Some(only), None) | (None, Some(only)) => format!(": {only}"),
        (None, None) => String::new(),
    };
    let place = if cluster.pointer.is_empty() { String::new() } else { format!(" {}", cluster.pointer) };
    let weight = match cluster.weight {
        Weight::Changed => String::new(),
        weight => format!(" ({})", weight.word()),
    };
    format!(
        "{}× {}{place} {}{weight}{}{sides}{}",
        cluster.count,
        cluster.route,
        cluster.what,
        form_words(cluster),
        also_words(cluster)
    )
}

/// `, integer → text`, or one form where both are alike; none where a side is absent, since the kind says so.
fn form_words(cluster: &Cluster) -> String {
    match (cluster.recorded_form.as_deref(), cluster.replayed_form.as_deref()) {
        (Some("absent"), _) | (_, Some("absent") | None) | (None, _) => String::new(),
        (Some(recorded), Some(replayed)) if recorded == replayed => format!(", {recorded}"),
        (Some(recorded), Some(replayed)) => format!(", {recorded} → {replayed}"),
    }
}

fn also_words(cluster: &Cluster) -> String {
    if cluster.with.is_empty() {
        return String::new();
    }
    let shown: Vec<&str> = cluster.with.iter().take(PLACES_SHOWN_MAX).map(|place| place_words(place)).collect();
    let more = (cluster.with.len() - shown.len()) as u64 + cluster.with_more;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; also {}{more}", shown.join(", "))
}

/// The command that makes the example happen again, or shows it.
fn command(cluster: &Cluster, results: &[ExchangeResult], again: Again<'_>) -> String {
    match again {
        Again::Replay(command) => format!("{command} {}", cluster.example.short()),
        Again::Show(command) => {
            let example = results.iter().find(|result| result.id == cluster.example);
            let shown = example.and_then(|result| result.replayed_id).unwrap_or(cluster.example);
            format!("{command} {}", shown.short())
        }
    }
}

/// ` (2 breaking, 1 additive only)`, where there are any.
pub(crate) fn weight_words(tally: &Tally) -> String {
    let words = [(tally.breaking, "breaking"), (tally.additive, "additive only")];
    let words: Vec<_> =
        words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}
