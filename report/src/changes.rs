//! What differs, for a person: a line for each change, a paragraph for each exchange, the count at the end.

use std::ops::Range;

use diff::{
    Change, ChangeKind, ComparedAs, Comparison, Divergence, ExchangeResult, Hunk, MetricStanding, NoiseUse, Reason,
    RuleUse, Shown, Streamed, Tally, TextChange, Verdict, own_words,
};
use serde_json::json;

use crate::{
    StreamPace, Style,
    causes::{Again, cluster_lines, cluster_words_and_commands, weight_words},
    escape_line, json as document,
    noise::{hidden_words, noise_line},
    standings::standing_line,
};

/// Longest value shown in a line, in characters. A choice: two of them and a pointer fit on a wide terminal.
const VALUE_CHARS_MAX: usize = 80;

/// Causes that a comparison opens with. A choice: what fits on a screen beside the rest.
const CLUSTERS_SHOWN_MAX: usize = 8;

/// Changes shown of one exchange. All are in the JSON.
const CHANGES_SHOWN_MAX: usize = 20;

/// Two runs or bundles, compared.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// The first one, as it was named.
    pub recorded: &'a str,
    /// The second one, as it was named.
    pub replayed: &'a str,
    /// How what differs is seen again.
    pub again: Again<'a>,
    /// One entry for each pair, and for each exchange without counterpart.
    pub results: &'a [ExchangeResult],
    /// Rules that hid a difference, over all pairs.
    pub rules_used: &'a [RuleUse],
    /// What was set apart as noise, over all pairs.
    pub noise_used: &'a [NoiseUse],
    /// How the answers came where they are event streams, one entry for each of `results`: recorded and replayed.
    pub paces: &'a [[Option<StreamPace>; 2]],
    /// Whether the second is no worse than the first, for each metric; none where that was not asked.
    pub standings: &'a [MetricStanding],
}

/// The page of a comparison: what is not the same, each with its changes, then the count.
pub fn comparison_page(compared: &Compared<'_>, style: Style) -> String {
    let mut text = String::new();
    // What is said of one exchange follows below.
    if compared.results.iter().filter(|result| result.verdict.is_failing()).count() > 1 {
        for words in cluster_words_and_commands(compared.results, compared.again, CLUSTERS_SHOWN_MAX, usize::MAX) {
            text += &format!("{}  {words}\n", style.dim("differs"));
        }
        text.push('\n');
    }
    for (at, result) in compared.results.iter().enumerate() {
        if !matches!(result.verdict, Verdict::Same) {
            text += &result_paragraph(result, style);
            text += &pace_lines(compared.paces.get(at), style);
        }
    }
    text += &rule_lines(compared.rules_used, style);
    if !compared.noise_used.is_empty() {
        text += &format!("{} {}\n", style.dim("hidden:"), escape_line(&hidden_words(compared.noise_used)));
    }
    for standing in compared.standings {
        text += &standing_line(standing, style);
    }
    text + &format!("{}\n", tally_line(&Tally::of(compared.results), style))
}

impl Compared<'_> {
    /// How the answers came that are event streams.
    fn streams(&self) -> Vec<serde_json::Value> {
        let is_stream = |(_, sides): &(&ExchangeResult, &[Option<StreamPace>; 2])| sides.iter().any(Option::is_some);
        let of = |(result, [recorded, replayed]): (&ExchangeResult, &[Option<StreamPace>; 2])| json!({ "id": result.id, "recorded": recorded, "replayed": replayed });
        self.results.iter().zip(self.paces).filter(is_stream).map(of).collect()
    }

    /// The same as a document of schema `retake.comparison`.
    pub fn to_json(&self) -> String {
        document::document(
            "comparison",
            &json!({
                "recorded": self.recorded,
                "replayed": self.replayed,
                "tally": Tally::of(self.results),
                "clusters": cluster_lines(self.results, self.again),
                "exchanges": self.results,
                "streams": self.streams(),
                "rules_used": self.rules_used,
                "noise_used": self.noise_used,
                "standings": self.standings,
            }),
        )
    }
}

/// How both streams came.
fn pace_lines(paces: Option<&[Option<StreamPace>; 2]>, style: Style) -> String {
    let sides = paces.into_iter().flatten().zip(["recorded", "replayed"]);
    let line = |(pace, side): (&Option<StreamPace>, &str)| {
        let words = pace.as_ref()?.words();
        Some(format!("  {} {words}\n", style.dim(&format!("{side} stream:"))))
    };
    sides.filter_map(line).collect()
}

/// Two files, compared: the changes, or that there are none.
pub fn document_page(comparison: &Comparison, style: Style) -> String {
    let mut text = change_lines(comparison, usize::MAX, "", style);
    text += &rule_lines(&comparison.rules_used, style);
    match comparison.changes_count() {
        0 => text + &format!("{}\n", style.green("same")),
        1 => text + "1 change\n",
        count => text + &format!("{count} changes\n"),
    }
}

/// Two files, compared, as a document of schema `retake.document-comparison`.
pub fn document_json(comparison: &Comparison) -> String {
    document::document("document-comparison", comparison)
}

/// One exchange: verdict, id and request, then what differs.
pub(crate) fn result_paragraph(result: &ExchangeResult, style: Style) -> String {
    let status = match (result.recorded_status, result.replayed_status) {
        (Some(recorded), Some(replayed)) if recorded == replayed => recorded.to_string(),
        (recorded, replayed) => format!("{} → {}", or_dash(recorded), or_dash(replayed)),
    };
    let mut text = format!(
        "{}  {}  {}  {}\n",
        verdict_word(&result.verdict, style),
        style.cyan(&result.id.short()),
        escape_line(&result.title),
        style.dim(&status),
    );
    match &result.verdict {
        Verdict::Unjudged(unjudged) => text += &format!("  {}\n", escape_line(&unjudged.reason)),
        Verdict::Failed(failure) => text += &format!("  {}\n", escape_line(&failure.reason)),
        Verdict::Diverged(divergence) => text += &divergence_lines(divergence, style),
        _ => {}
    }
    if let Some(comparison) = &result.comparison {
        text += &change_lines(comparison, CHANGES_SHOWN_MAX, "  ", style);
        let noise = noise_line(&comparison.noise).map(|line| format!("  {}\n", style.dim(&escape_line(&line))));
        text += &noise.unwrap_or_default();
    }
    text
}

fn or_dash(status: Option<u16>) -> String {
    status.map_or_else(|| "-".to_owned(), |status| status.to_string())
}

pub(crate) fn verdict_word(verdict: &Verdict, style: Style) -> String {
    let word = format!("{:<8}", verdict.word());
    match verdict {
        Verdict::Same => style.green(&word),
        Verdict::Noise => style.dim(&word),
        Verdict::Unjudged(_) => style.yellow(&word),
        _ => style.red(&word),
    }
}

fn divergence_lines(divergence: &Divergence, style: Style) -> String {
    let mut text = String::new();
    for missed in &divergence.missed {
        text += &format!("  {} {}\n", style.red("asked, and not recorded:"), escape_line(&missed.asked));
        if let Some(nearest) = &missed.nearest {
            text += &format!("    {} {}\n", style.dim("nearest:"), escape_line(nearest));
        }
    }
    for extra in &divergence.extra {
        text += &format!("  {} {}\n", style.red("asked once more than recorded:"), escape_line(extra));
    }
    for never in &divergence.never_asked {
        text += &format!("  {} {}\n", style.red("recorded, and never asked:"), escape_line(never));
    }
    text
}

fn change_lines(comparison: &Comparison, shown_max: usize, indent: &str, style: Style) -> String {
    let mut text = String::new();
    for change in comparison.changes.iter().take(shown_max) {
        text += &format!("{indent}{}\n", change_line(change, style));
        text += &hunk_lines(change.text.as_ref(), indent, style);
    }
    let hidden = comparison.changes_count().saturating_sub(comparison.changes.len().min(shown_max) as u64);
    if hidden > 0 {
        text += &format!("{indent}{}\n", style.dim(&format!("… and {hidden} more")));
    }
    let is_media = matches!(comparison.compared_as, ComparedAs::Image | ComparedAs::Audio);
    let remarks = [
        (comparison.recorded_part_only, "only a part was recorded, and that part was compared"),
        (comparison.replayed_part_only, "only a part was kept of the second, and that part was compared"),
        (comparison.coarse && is_media, "not decoded on both sides: compared by size and digest"),
        (
            comparison.coarse && !is_media,
            "too large or too unlike for a fine comparison: a difference may be shown larger than it is",
        ),
    ];
    let sides = [("recorded", &comparison.recorded_not_json), ("replayed", &comparison.replayed_not_json)];
    for (side, not_json) in sides {
        if let Some(not_json) = not_json {
            let words = format!("({side}: {not_json}; rules for places in it do not apply)");
            text += &format!("{indent}{}\n", style.yellow(&escape_line(&words)));
        }
    }
    if let Some(streams) = comparison.streams.as_ref().filter(|streams| streams.recorded != streams.replayed) {
        let words = format!("the message came in {}; now {}", streamed(&streams.recorded), streamed(&streams.replayed));
        text += &format!("{indent}{}\n", style.dim(&escape_line(&words)));
    }
    for (_, remark) in remarks.into_iter().filter(|(holds, _)| *holds) {
        text += &format!("{indent}{}\n", style.yellow(&format!("({remark})")));
    }
    text
}

/// `14 events, 12 with a piece of it, ended by [DONE]`.
fn streamed(side: &Option<Streamed>) -> String {
    let Some(Streamed { events, pieces, end }) = side else { return "one piece".to_owned() };
    let end = end.as_deref().map_or_else(|| "without an end".to_owned(), |end| format!("ended by {end}"));
    format!("{events} event{}, {pieces} with a piece of it, {end}", if *events == 1 { "" } else { "s" })
}

/// `/choices/0/message/content  "yes" → "no"`
pub(crate) fn change_line(change: &Change, style: Style) -> String {
    let pointer = if change.pointer.is_empty() { "(the whole body)" } else { change.pointer.as_str() };
    let event = change.event.map(|number| format!("event {number} ")).unwrap_or_default();
    let place = format!("{event}{}", style.cyan(&escape_line(pointer)));
    let (recorded, replayed) = sides(change);
    let [old, new] = [&recorded, &replayed].map(|value| escape_line(value));
    match change.kind {
        ChangeKind::Added => format!("{place}  {} {}", style.green("+"), style.green(&new)),
        ChangeKind::Removed => format!("{place}  {} {}", style.red("-"), style.red(&old)),
        ChangeKind::Moved => match change.replayed_pointer.as_deref() {
            Some(to) => format!("{place}  moved to {}  {old}", style.cyan(&escape_line(to))),
            // As many as before stand before it, and not the same ones.
            None => format!("{place}  moved among the others  {old}"),
        },
        _ => {
            let notes = about(change).into_iter().chain(parting(change));
            let notes: String = notes.map(|note| style.dim(&format!("  ({})", escape_line(&note)))).collect();
            let [recorded, replayed] = marked(&recorded, &replayed, style);
            format!("{place}  {recorded} → {replayed}{notes}")
        }
    }
}

/// Both sides of a difference, escaped, in their colours; in colour, the words that make it are marked where something else is
/// shared.
fn marked(recorded: &str, replayed: &str, style: Style) -> [String; 2] {
    let [own, others] = if style.is_coloured() { own_words(recorded, replayed) } else { Default::default() };
    let shares_words = rest(recorded, &own).any(|text| text.contains(char::is_alphanumeric));
    if !shares_words {
        return [style.red(&escape_line(recorded)), style.green(&escape_line(replayed))];
    }
    let paint =
        |text: &str, own: &[Range<usize>], plain: fn(Style, &str) -> String, mark: fn(Style, &str) -> String| {
            let pieces = rest(text, own).map(|text| plain(style, &escape_line(text)));
            let marks = own.iter().map(|it| mark(style, &escape_line(&text[it.clone()]))).chain([String::new()]);
            pieces.zip(marks).map(|(piece, mark)| piece + &mark).collect()
        };
    [paint(recorded, &own, Style::red, Style::red_mark), paint(replayed, &others, Style::green, Style::green_mark)]
}

/// What lies before, between and behind these ranges of a text.
fn rest<'t>(text: &'t str, ranges: &'t [Range<usize>]) -> impl Iterator<Item = &'t str> {
    let begins = [0].into_iter().chain(ranges.iter().map(|it| it.end));
    let ends = ranges.iter().map(|it| it.start).chain([text.len()]);
    begins.zip(ends).map(|(begin, end)| &text[begin..end])
}

/// What the values look like, or how far apart two vectors are.
fn about(change: &Change) -> Option<String> {
    let Some(vector) = &change.vector else { return change.format.map(|format| format.word().to_owned()) };
    let cosine = vector.cosine.map(|it| format!(", cosine {:.6}", it.get())).unwrap_or_default();
    let max_abs = vector.max_abs.map(|it| format!(", at most {:.3e} apart", it.get())).unwrap_or_default();
    Some(format!("{} of {} numbers{cosine}{max_abs}", vector.differing, vector.len))
}

/// Where two texts or byte strings part: of texts where that is not their first word.
fn parting(change: &Change) -> Option<String> {
    if let Some(at) = far_at(change) {
        return Some(format!("from byte {at}"));
    }
    let text = change.text.as_ref()?;
    if is_of_bytes(change) {
        return Some(format!("{} → {}", text.recorded_excerpt, text.replayed_excerpt));
    }
    let before = text.first_word.filter(|before| *before > 0)?;
    Some(format!("from word {}", before + 1))
}

/// True where two byte strings stand for a difference: of them only their length is shown.
fn is_of_bytes(change: &Change) -> bool {
    let is = |shown: &Shown| shown.digest.is_some() && shown.text == format!("{} bytes", shown.len);
    change.recorded.as_ref().is_some_and(is) && change.replayed.as_ref().is_some_and(is)
}

/// Both values; of long texts the part around their first difference.
fn sides(change: &Change) -> (String, String) {
    match (&change.text, far_at(change)) {
        (Some(text), Some(_)) => (excerpt(&text.recorded_excerpt), excerpt(&text.replayed_excerpt)),
        _ => (value(change.recorded.as_ref()), value(change.replayed.as_ref())),
    }
}

/// Where two texts part, when that is beyond what a line would show of them.
fn far_at(change: &Change) -> Option<u64> {
    let is_long =
        |shown: &Option<Shown>| shown.as_ref().is_some_and(|shown| shown.text.chars().count() > VALUE_CHARS_MAX);
    let text = change.text.as_ref().filter(|_| is_long(&change.recorded) || is_long(&change.replayed))?;
    Some(text.first_difference)
}

fn value(shown: Option<&Shown>) -> String {
    shown.map_or_else(|| "nothing".to_owned(), |shown| cut(&shown.text))
}

fn excerpt(text: &str) -> String {
    format!("“{}”", cut(text))
}

fn cut(text: &str) -> String {
    let mut characters = text.chars();
    let mut cut: String = characters.by_ref().take(VALUE_CHARS_MAX).collect();
    if characters.next().is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}

/// Lines are listed without their ends: where the last ones look alike, it is their ends that differ.
fn is_end_alone(hunk: &Hunk) -> bool {
    let last = hunk.removed.last().filter(|last| !last.ends_with('…'));
    last.is_some() && last == hunk.added.last()
}

/// The lines that differ between two texts of several lines, as `diff -u` has them.
fn hunk_lines(text: Option<&TextChange>, indent: &str, style: Style) -> String {
    let Some(text) = text else { return String::new() };
    let mut lines = String::new();
    for hunk in &text.hunks {
        let place = format!("@@ line {} → {}", hunk.recorded_line, hunk.replayed_line);
        lines += &format!("{indent}  {}\n", style.dim(&place));
        let (removed, added) = hunk_sides(hunk, style);
        removed.iter().chain(&added).for_each(|line| lines += &format!("{indent}  {line}\n"));
        if hunk.lines_more > 0 {
            lines += &format!("{indent}  … {} more lines\n", hunk.lines_more);
        } else if is_end_alone(hunk) {
            lines += &format!("{indent}  {}\n", style.dim("(on one side alone the last line ends with a line feed)"));
        }
    }
    if text.hunks_more > 0 {
        lines += &format!("{indent}  … {} more places\n", text.hunks_more);
    }
    lines
}

/// The lines of a group, in their colours: where as many are new as are gone, with the words marked that make the difference.
fn hunk_sides(hunk: &Hunk, style: Style) -> (Vec<String>, Vec<String>) {
    let Hunk { removed, added, .. } = hunk;
    let (minus, plus) = (style.red("- "), style.green("+ "));
    if removed.len() == added.len() {
        let pairs = removed.iter().zip(added).map(|(old, new)| marked(old, new, style));
        return pairs.map(|[old, new]| (format!("{minus}{old}"), format!("{plus}{new}"))).unzip();
    }
    let removed = removed.iter().map(|line| format!("{minus}{}", style.red(&escape_line(line))));
    let added = added.iter().map(|line| format!("{plus}{}", style.green(&escape_line(line))));
    (removed.collect(), added.collect())
}

/// `known bug, until 2027-03-31, ann`.
pub(crate) fn reason_words(reason: &Reason) -> String {
    let until = reason.until.iter().map(|until| format!("until {until}"));
    let words: Vec<String> = [reason.reason.clone()].into_iter().chain(until).chain(reason.owner.clone()).collect();
    words.join(", ")
}

fn rule_lines(rules: &[RuleUse], style: Style) -> String {
    let line = |used: &RuleUse| {
        let times = if used.count == 1 { "once".to_owned() } else { format!("{} times", used.count) };
        let reason = used.reason.as_ref().map(|reason| format!(" ({})", reason_words(reason))).unwrap_or_default();
        format!("{} {} {times}{}\n", style.dim("ignored:"), escape_line(&used.rule), escape_line(&reason))
    };
    rules.iter().map(line).collect()
}

/// `2 changed, 198 same`, worst first; what did not happen is left out.
pub fn tally_line(tally: &Tally, style: Style) -> String {
    let counts = [
        (tally.diverged, "diverged", Style::red as fn(Style, &str) -> String),
        (tally.failed, "failed", Style::red),
        (tally.changed, "changed", Style::red),
        (tally.flaky, "flaky", Style::red),
        (tally.unjudged, "unjudged", Style::yellow),
        (tally.noise, "noise", Style::dim),
        (tally.same, "same", Style::green),
    ];
    let counted = counts.iter().filter(|(count, ..)| *count > 0);
    let weight = |word: &str| if word == "changed" { weight_words(tally) } else { String::new() };
    let words: Vec<String> =
        counted.map(|(count, word, paint)| paint(style, &format!("{count} {word}")) + &weight(word)).collect();

    if words.is_empty() { "nothing to compare".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests;
