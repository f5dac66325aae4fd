//! Differences by cause, each on a line with the command that makes its example happen again.

use diff::{Cluster, ExchangeResult, Tally, Weight};
use serde::Serialize;

/// Clusters in a document for machines. A choice: behind so many, nothing is clustered.
const CLUSTERS_LEN_MAX: usize = 1_000;

/// Other places that are named on a line. A choice.
const PLACES_SHOWN_MAX: usize = 3;

/// A cluster, and how its example is replayed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClusterLine {
    #[serde(flatten)]
    cluster: Cluster,
    /// The command to type.
    reproduce: String,
}

/// All clusters, for a machine. `source` is what was replayed or compared first.
pub(crate) fn cluster_lines(results: &[ExchangeResult], source: &str) -> Vec<ClusterLine> {
    let line = |cluster: Cluster| ClusterLine { reproduce: command(&cluster, source), cluster };
    diff::top_changes(results, CLUSTERS_LEN_MAX).into_iter().map(line).collect()
}

/// A cluster's words and the command: `…; retake replay case.retake --only 3fa9c1d20011`.
pub(crate) fn cluster_line(cluster: &Cluster, source: &str) -> String {
    format!("{}; {}", cluster_words(cluster), command(cluster, source))
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
    let shown: Vec<&str> = cluster.with.iter().take(PLACES_SHOWN_MAX).map(String::as_str).collect();
    let more = (cluster.with.len() - shown.len()) as u64 + cluster.with_more;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; also {}{more}", shown.join(", "))
}

/// The command that makes the example happen again.
fn command(cluster: &Cluster, source: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let source = match source {
        plain if !plain.is_empty() && plain.bytes().all(is_plain) => plain.to_owned(),
        other => format!("'{}'", other.replace('\'', "'\\''")),
    };
    format!("retake replay {source} --only {}", cluster.example.short())
}

/// ` (2 breaking, 1 additive only)`, where there are any.
pub(crate) fn weight_words(tally: &Tally) -> String {
    let words = [(tally.breaking, "breaking"), (tally.additive, "additive only")];
    let words: Vec<_> =
        words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}
