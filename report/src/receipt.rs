//! The receipt of a replay, in at most eight lines, and a few more over repeats: verdict first, then what proves it, the top differences, the command to
//! type next. The whole of it is in `--json`.

use diff::{ExchangeResult, Tally, Verdict};
use replayer::receipt::{Absent, Beside, Determinism, LeftOut, Receipt};
use serde::Serialize;

use crate::{
    Style,
    causes::{Again, ClusterLine, cluster_lines, cluster_words_and_commands, weight_words},
    escape_line, json,
    noise::noise_words,
    pacing::pacing_lines,
    repeats::{conclusions, repeat_lines},
};

/// Differences shown on the terminal. The page has eight lines: five are the verdict, its three proofs and the next command.
const TOP_DIFFERENCES: usize = 3;

/// How many of those lines may go to what the service did not find.
const TOP_ABSENT: usize = 2;

/// Longest line, in characters; what is longer ends in `…`, and stands whole in `--json`.
const LINE_CHARS_MAX: usize = 400;

/// What a line sets aside for saying how many more there are, in characters.
const MORE_CHARS: usize = 30;

/// All that the page shows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReceiptPage<'a> {
    /// What the replay can prove about itself.
    pub receipt: &'a Receipt,
    /// One entry for each exchange.
    pub results: &'a [ExchangeResult],
    /// The run as a SOURCE of other commands: a path.
    pub run_path: &'a str,
    /// The command that replays one exchange in the same way, up to its id.
    #[serde(skip)]
    pub command: &'a str,
    /// The exit code that follows.
    pub exit_code: u8,
}

impl ReceiptPage<'_> {
    /// The page for a machine: schema `retake.replay/0`, on one line, since a command may replay several times.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Page<'a> {
            #[serde(flatten)]
            page: &'a ReceiptPage<'a>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            conclusions: Vec<String>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            clusters: Vec<ClusterLine>,
        }
        let clusters = cluster_lines(self.results, Again::Replay(self.command));
        json::line("replay", &Page { page: self, conclusions: conclusions(self.receipt, self.results), clusters })
    }
}

/// The page for a person.
pub fn receipt_page(page: &ReceiptPage<'_>, style: Style) -> String {
    let mut lines = vec![verdict_line(page, style)];
    lines.extend(last_lines(page.receipt, style));
    lines.push(labelled("pinned", &pinned_words(page.receipt), style));
    lines.push(labelled("answers", &answer_words(page.receipt), style));
    lines.push(labelled("held", &held_words(page.receipt), style));
    let Determinism { level, exclusions, .. } = &page.receipt.determinism;
    let is_claim = level.is_some() && !exclusions.is_empty();
    lines.extend(is_claim.then(|| labelled("not held", &exclusions.join("; "), style)));
    let repeats = [pacing_lines(page.receipt), repeat_lines(page.receipt, page.results)].concat();
    lines.extend(repeats.iter().map(|(label, words)| labelled(label, words, style)));
    let noise = page.receipt.noise.as_deref().and_then(noise_words);
    lines.extend(noise.map(|words| labelled("hidden", &words, style)));
    let beside = beside_words(page.receipt).map(|words| labelled("beside", &words, style));
    let absent = absent_lines(page.receipt, style);
    let differences_max = TOP_DIFFERENCES.saturating_sub(absent.len() + beside.iter().len());
    lines.extend(beside);
    lines.extend(absent);
    lines.extend(top_differences(page, differences_max, style));
    lines.push(labelled("next", &next_command(page), style));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn labelled(label: &str, words: &str, style: Style) -> String {
    format!("{} {}", style.dim(&format!("{label:<8}")), cut_to_line(words))
}

/// On one line, without control characters, and no longer than a line may be.
pub(crate) fn cut_to_line(words: &str) -> String {
    let words = escape_line(words);
    let cut: String = words.chars().take(LINE_CHARS_MAX).collect();
    let more = if cut.len() < words.len() { "…" } else { "" };
    format!("{cut}{more}")
}

/// The word is the exit code's, so that the two cannot contradict each other.
fn verdict_line(page: &ReceiptPage<'_>, style: Style) -> String {
    let receipt = page.receipt;
    let tally = &receipt.tally;
    if let Some(void) = &receipt.void {
        return format!("{} {}", style.yellow("VOID    "), cut_to_line(&void.reason));
    }
    let word = match page.exit_code {
        0 => style.green("SAME    "),
        1 => style.red(&format!("{:<8}", leading_word(tally).to_uppercase())),
        _ => style.yellow("UNJUDGED"),
    };
    let skipped = receipt.skipped.len() as u64 + receipt.skipped_more;
    let mut counts = counted(tally);
    if skipped > 0 {
        counts.push(format!("{skipped} skipped"));
    }
    let counts = if counts.is_empty() { "0 same".to_owned() } else { counts.join(", ") };
    let mut more = String::new();
    if receipt.interrupted {
        more += "; the replay was interrupted";
    }
    match receipt.resumed {
        0 => {}
        1 => more += "; it was cut off once and gone on with",
        times => more += &format!("; it was cut off {times} times and gone on with"),
    }
    let left_out = receipt.left_out;
    if left_out.details + left_out.results > 0 {
        let LeftOut { details, results } = left_out;
        more += &format!("; its file has no room for {results} results, and for how {details} answers differ");
    }
    let total = tally.total() + skipped;
    format!("{word} {counts} of {total} {}{more}; run {}", plural(total, "exchange"), receipt.run.short())
}

/// What a service wrote before it was given up.
fn last_lines(receipt: &Receipt, style: Style) -> Vec<String> {
    let lines = receipt.void.iter().flat_map(|void| &void.last_lines);
    lines.map(|line| format!("{} {}", style.dim("  wrote |"), cut_to_line(line))).collect()
}

/// The word that the exit code rests on, the gravest that there is.
fn leading_word(tally: &Tally) -> &'static str {
    match tally {
        Tally { failed: 1.., .. } => "failed",
        Tally { diverged: 1.., .. } => "diverged",
        Tally { changed: 0, flaky: 1.., .. } => "flaky",
        _ => "changed",
    }
}

fn counted(tally: &Tally) -> Vec<String> {
    let counts = [
        (tally.failed, "failed"),
        (tally.diverged, "diverged"),
        (tally.changed, "changed"),
        (tally.flaky, "flaky"),
        (tally.unjudged, "unjudged"),
        (tally.noise, "noise"),
        (tally.same, "same"),
    ];
    let words = |(count, word): &(u64, &str)| match *word {
        "changed" => format!("{count} changed{}", weight_words(tally)),
        word => format!("{count} {word}"),
    };
    counts.iter().filter(|(count, _)| *count > 0).map(words).collect()
}

pub(crate) fn pinned_words(receipt: &Receipt) -> String {
    let sources: Vec<_> = receipt
        .sources
        .iter()
        .map(|source| {
            let digest = source.digest.map(|digest| format!(" {}", &digest.to_string()[..12])).unwrap_or_default();
            let verified = if source.verified { "verified" } else { "not verified" };
            format!("{}{digest} {verified}", source.path)
        })
        .collect();
    let pinned = &receipt.pinned;
    let ran = match (pinned.wanted.as_str(), pinned.used.as_str()) {
        ("", "") => String::new(),
        (wanted, "") => format!("wanted {}, ", short_digest(wanted)),
        ("", used) => format!("ran {}, ", short_digest(used)),
        (wanted, used) if wanted == used => format!("ran {}, ", short_digest(used)),
        (wanted, used) => format!("wanted {}, ran {}, ", short_digest(wanted), short_digest(used)),
    };
    let uncertain = match receipt.uncertain {
        0 => String::new(),
        count => format!("; {count} in doubt: which environment answered is not certain, replayed in the first"),
    };
    format!("{}; {ran}{}{uncertain}", sources.join(", "), pinned.relation.words())
}

/// `sha256:` and twelve digits; anything else as it is.
fn short_digest(identity: &str) -> String {
    match identity.split_once("sha256:") {
        Some((before, digits)) if digits.len() > 12 && digits.is_ascii() => format!("{before}sha256:{}", &digits[..12]),
        _ => identity.to_owned(),
    }
}

pub(crate) fn answer_words(receipt: &Receipt) -> String {
    let answers = &receipt.answers;
    let served = if answers.observed {
        let mut scopes = Vec::new();
        for (count, scope) in [
            (answers.served_by_parent, "by parent"),
            (answers.served_by_inference, "by inferred parent"),
            (answers.served_by_conversation, "by conversation"),
            (answers.served_by_connection, "by connection"),
            (answers.served_anywhere, "from elsewhere"),
        ] {
            if count > 0 {
                scopes.push(format!("{count} {scope}"));
            }
        }
        let scopes = if scopes.is_empty() { String::new() } else { format!(" ({})", scopes.join(", ")) };
        format!(
            "{} served{scopes}, {} missed, {} never asked for",
            answers.served(),
            answers.missed,
            answers.never_asked
        )
    } else {
        "dependency calls not observed".to_owned()
    };
    format!("{served}; egress: {}, {}", egress_words(receipt), absent_words(receipt))
}

fn egress_words(receipt: &Receipt) -> String {
    let egress = &receipt.egress;
    let prevented = match (egress.prevented, receipt.misses.live.is_empty()) {
        (true, true) => "no network",
        (true, false) => "no network but for the calls below that were let out",
        (false, _) => "not prevented",
    };
    let names = match &egress.names {
        None => "names not observed".to_owned(),
        Some(names) if names.is_empty() => "0 names asked of the resolver".to_owned(),
        Some(names) => format!("{} asked: {}", plural_count(names.len() as u64, "name"), names.join(" ")),
    };
    let addresses = match egress.without_route {
        None => "addresses not observed".to_owned(),
        Some(count) => format!("{} without a route", plural_count(count, "attempt")),
    };
    format!("{prevented}, {names}, {addresses}")
}

/// How many things were looked for and not found, where that can be known.
fn absent_words(receipt: &Receipt) -> String {
    let egress = &receipt.egress;
    if egress.attempts.is_none() {
        return "connects not observed".to_owned();
    }
    let at_least = if egress.attempts_cut { "at least " } else { "" };
    let unread = match egress.attempts_unread {
        0 => String::new(),
        count => format!(", {} to where could not be seen", plural_count(count, "connect")),
    };
    format!("{at_least}{} looked for in vain{unread}", plural_count(receipt.absent.len() as u64, "thing"))
}

pub(crate) fn held_words(receipt: &Receipt) -> String {
    let determinism = &receipt.determinism;
    let level = match determinism.level {
        Some(level) => match &determinism.short {
            Some(short) => format!("level {level} of {} ({short})", determinism.asked),
            None => format!("level {level}"),
        },
        None => "no level".to_owned(),
    };
    let driven = match receipt.replayed {
        0 => "nothing was sent".to_owned(),
        _ => format!("order {}, timing {}", determinism.order, determinism.timing),
    };
    let mut words = vec![format!("{level}, {driven}")];
    // Where the level says it there is no second word of it.
    let gates =
        determinism.gates.filter(|it| it.opened + it.unsettled > 0).map(|gates| format!("answers: {}", gates.words()));
    words.extend(gates.filter(|words| determinism.level.is_none() || determinism.short.as_ref() != Some(words)));
    words.extend(receipt.ready.as_ref().map(|how| format!("ready: {how}")));
    if let Some(ended) = &receipt.service_ended {
        words.push(format!("service ended: {ended}"));
    }
    if !receipt.environment.is_empty() {
        let names: Vec<_> = receipt.environment.iter().map(|difference| difference.what.as_str()).collect();
        words.push(format!("differs here: {}", names.join(", ")));
    }
    if !receipt.replacements.is_empty() {
        words.push(format!("replaced: {}", receipt.replacements.join(", ")));
    }
    let rules: Vec<_> = receipt.rules.iter().map(|rule| format!("{} {}×", rule.rule, rule.count)).collect();
    words.push(if rules.is_empty() { "no rule used".to_owned() } else { format!("rules used: {}", rules.join(", ")) });
    words.join("; ")
}

/// The servers that ran beside the service, and that nothing is known of what they were asked.
fn beside_words(receipt: &Receipt) -> Option<String> {
    let servers: Vec<_> = receipt.beside.iter().map(server_words).collect();
    if servers.is_empty() {
        return None;
    }
    let recorded: u64 = receipt.beside.iter().map(|server| server.calls_not_compared).sum();
    let recorded =
        if recorded > 0 { format!(", nor {} to it", plural_count(recorded, "recorded call")) } else { String::new() };
    Some(format!("{}; what was asked there was not compared{recorded}", servers.join("; ")))
}

/// `db is postgres:16 sha256:0123456789ab on port 5432, from shop.sql 0123456789ab, its port accepted after 1.2 s`.
pub(crate) fn server_words(server: &Beside) -> String {
    let dump = server.dump.iter().map(|dump| format!("from {} {}", dump.path, &dump.digest.to_string()[..12]));
    let place =
        format!("{} is {} {} on port {}", server.name, server.image, short_digest(&server.identity), server.port);
    [place].into_iter().chain(dump).chain(server.ready.clone()).collect::<Vec<_>>().join(", ")
}

/// What the service looked for in vain, but for what a void replay's reason has named already.
fn absent_lines(receipt: &Receipt, style: Style) -> Vec<String> {
    let is_named = |absent: &&Absent| receipt.void.as_ref().is_some_and(|void| void.reason.contains(&absent.what));
    let rest = receipt.absent.iter().filter(|absent| !is_named(absent));
    let lines = rest.map(|absent| labelled("absent", &format!("{}: {}", absent.what, absent.help), style));
    lines.take(TOP_ABSENT).collect()
}

/// The most common kinds of difference, each with an example; what is unjudged or was skipped where there are fewer.
fn top_differences(page: &ReceiptPage<'_>, count_max: usize, style: Style) -> Vec<String> {
    let clusters =
        cluster_words_and_commands(page.results, Again::Replay(page.command), count_max, LINE_CHARS_MAX - MORE_CHARS);
    let mut lines: Vec<_> =
        clusters.iter().map(|words| format!("{} {words}", style.dim(&format!("{:<8}", "differs")))).collect();
    let unjudged = page.results.iter().filter_map(|result| match &result.verdict {
        Verdict::Unjudged(unjudged) => Some(("unjudged", result.id, &result.title, &unjudged.reason)),
        _ => None,
    });
    let skipped = page.receipt.skipped.iter().map(|skipped| ("skipped", skipped.id, &skipped.title, &skipped.reason));
    for (label, id, title, reason) in unjudged.chain(skipped).take(count_max.saturating_sub(lines.len())) {
        lines.push(labelled(label, &format!("{} {title}: {reason}", id.short()), style));
    }
    lines
}

/// What was replayed, as it was named.
fn source_of<'a>(page: &ReceiptPage<'a>) -> &'a str {
    page.receipt.sources.first().map(|source| source.path.as_str()).unwrap_or_default()
}

fn next_command(page: &ReceiptPage<'_>) -> String {
    if let Some(void) = &page.receipt.void {
        return if void.help.is_empty() { "retake replay --help".to_owned() } else { void.help.clone() };
    }
    let first_not_same = page.results.iter().find(|result| !matches!(result.verdict, Verdict::Same | Verdict::Noise));
    let source = source_of(page);
    match first_not_same {
        Some(result) => match &result.replayed_id {
            Some(replayed) => format!(
                "retake show {} {}   (recorded: retake show {source} {})",
                page.run_path,
                replayed.short(),
                result.id.short()
            ),
            None => format!("retake show {source} {}", result.id.short()),
        },
        None => format!("retake ls {}", page.run_path),
    }
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn plural_count(count: u64, word: &str) -> String {
    format!("{count} {}", plural(count, word))
}

#[cfg(test)]
mod tests;
