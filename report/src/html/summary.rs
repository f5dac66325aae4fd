//! What the page opens with: the verdict, the tally, the cases where there are several, and what differs in a few lines.

use diff::{Cluster, ExchangeResult, Tally, Verdict, Weight};

use super::{Case, Markup, Report, standings};
use crate::{Outcome, pacing::pacing_lines};

/// Most clusters that are listed, over all cases. A choice: nobody reads more; the exchanges are all there.
const CLUSTERS_LEN_MAX: usize = 50;

/// How many of them are not folded. A choice: they leave the list of exchanges in sight.
const CLUSTERS_FIRST: usize = 8;

/// The words for counts, the gravest first.
pub(super) const VERDICTS: [&str; 7] = ["failed", "diverged", "changed", "flaky", "unjudged", "noise", "same"];

/// How many have each of [`VERDICTS`].
pub(super) fn counts(tally: &Tally) -> [u64; 7] {
    [tally.failed, tally.diverged, tally.changed, tally.flaky, tally.unjudged, tally.noise, tally.same]
}

/// The word for all of it: that of the exit code, and where this is 0 that of the cases if they agree; never `same` where a
/// case is something else.
pub(super) fn word(report: &Report<'_>) -> &'static str {
    let is_void = report.cases.iter().any(|case| case.receipt.is_some_and(|receipt| receipt.void.is_some()));
    if report.exit_code != 0 {
        let is_worse = || report.cases.iter().any(|case| !case.standings.is_empty());
        return word_of(report.exit_code, &total(report), is_void, is_worse);
    }
    let words: Vec<&'static str> = report.cases.iter().map(case_word).collect();
    let first = words.first().copied().unwrap_or(NOTHING);
    match words.iter().any(|word| ["same", "noise", "flaky"].contains(word)) {
        _ if words.iter().all(|word| *word == first) => first,
        true if words.iter().all(|word| ["same", "noise"].contains(word)) => "noise",
        true => "passed",
        false if words.contains(&KNOWN_FAILURE) => KNOWN_FAILURE,
        false => SKIPPED,
    }
}

/// The word for one of them: as a case of a suite it may be something that no verdict says.
fn case_word(case: &Case<'_>) -> &'static str {
    match case.outcome {
        Some(Outcome::KnownFailure) => KNOWN_FAILURE,
        Some(Outcome::Skipped) => SKIPPED,
        Some(Outcome::NotRun) => "not run",
        _ => {
            let is_void = case.receipt.is_some_and(|receipt| receipt.void.is_some());
            word_of(case.exit_code, &case.tally(), is_void, || !case.standings.is_empty())
        }
    }
}

const KNOWN_FAILURE: &str = "known failure";
const SKIPPED: &str = "skipped";
const NOTHING: &str = "nothing compared";

fn word_of(exit_code: u8, tally: &Tally, is_void: bool, is_worse: impl Fn() -> bool) -> &'static str {
    let gravest = VERDICTS.iter().zip(counts(tally)).find(|(_, count)| *count > 0).map_or(NOTHING, |(word, _)| *word);
    match (exit_code, gravest) {
        (1, "same" | "noise") if is_worse() => "regressed",
        (0 | 1, _) => gravest,
        (2, _) => "trouble",
        _ if is_void => "void",
        _ => "unjudged",
    }
}

/// The class that gives a word its sign and colour: that of a verdict.
fn class_of(word: &'static str) -> &'static str {
    match word {
        "passed" => "same",
        "not run" => "unjudged",
        "regressed" => "failed",
        KNOWN_FAILURE | NOTHING => "skipped",
        word => word,
    }
}

fn total(report: &Report<'_>) -> Tally {
    Tally::of(report.cases.iter().flat_map(|case| case.results))
}

/// From the beginning of the page's content to the clusters.
pub(super) fn write(page: &mut Markup, report: &Report<'_>) {
    let word = word(report);
    page.raw(
        "<header class=\"top\">\n<div class=\"name\"><span class=\"mark\" aria-hidden=\"true\"></span>Retake</div>\n",
    );
    page.raw("<div id=\"tools\"></div>\n</header>\n<main>\n");
    page.raw("<section class=\"verdict v-").raw(class_of(word)).raw("\" aria-labelledby=\"title\">\n<h1 id=\"title\">");
    page.raw("<span class=\"word\"><span class=\"glyph\" aria-hidden=\"true\"></span>").raw(word).raw("</span> ");
    page.raw("<span class=\"what\">").text(report.title).raw("</span></h1>\n");
    tally(page, report);
    for words in report.missing {
        page.raw("<p class=\"why\">").text(words).raw("</p>\n");
    }
    if let [case] = report.cases {
        facts_of_one(page, case);
    }
    page.raw("</section>\n");
    match report.cases {
        [case] => standings::write(page, case),
        _ => cases(page, report),
    }
    clusters(page, report);
}

/// The counts in words, and as a bar that says the same.
fn tally(page: &mut Markup, report: &Report<'_>) {
    let tally = total(report);
    let skipped: u64 = report.cases.iter().map(Case::skipped).sum();
    let all = tally.total() + skipped;
    let mut parts: Vec<(&'static str, u64)> = VERDICTS.into_iter().zip(counts(&tally)).collect();
    parts.push(("skipped", skipped));
    parts.retain(|(_, count)| *count > 0);
    page.raw("<svg class=\"bar\" viewBox=\"0 0 1000 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    let mut at = 0;
    for (word, count) in &parts {
        let width = count.saturating_mul(1000) / all.max(1);
        page.raw("<rect class=\"f-").raw(word).raw("\" x=\"").number(at).raw("\" y=\"0\" height=\"8\" width=\"");
        page.number(width.max(2)).raw("\"/>");
        at += width;
    }
    page.raw("</svg>\n<ul class=\"tally\">");
    for (word, count) in &parts {
        page.raw("<li class=\"v-").raw(word).raw("\"><span class=\"glyph\" aria-hidden=\"true\"></span><b>");
        page.number(count).raw("</b> ").raw(word).raw("</li>");
    }
    for (word, count) in [(" breaking", tally.breaking), (" additive only", tally.additive)] {
        if count > 0 {
            page.raw("<li class=\"of\">").number(count).raw(word).raw("</li>");
        }
    }
    page.raw("<li class=\"of\">of ").number(all).raw(" ").raw(report.of.words()[usize::from(all != 1)]);
    page.raw("</li><li class=\"of\">exit code ").number(report.exit_code).raw("</li></ul>\n");
}

fn facts_of_one(page: &mut Markup, case: &Case<'_>) {
    if let Some(void) = case.receipt.and_then(|receipt| receipt.void.as_ref()) {
        page.raw("<p class=\"why\">").text(&void.reason).raw("</p>\n");
        if !void.help.is_empty() {
            page.raw("<p class=\"note\">").text(&void.help).raw("</p>\n");
        }
        if !void.last_lines.is_empty() {
            page.raw("<p class=\"note\">The service's last lines:</p>\n<pre>")
                .lines(&void.last_lines.join("\n"))
                .raw("</pre>\n");
        }
    }
    page.raw("<table class=\"facts\"><caption class=\"unseen\">What was compared</caption>\n");
    page.raw("<tr><th scope=\"row\">recorded</th>").code_cell(case.recorded).raw("</tr>\n");
    page.raw("<tr><th scope=\"row\">replayed</th>").code_cell(case.replayed).raw("</tr>\n");
    if let Some(receipt) = case.receipt {
        page.fact("ran", &crate::receipt::pinned_words(receipt));
        page.fact("held still", &crate::receipt::held_words(receipt));
        page.fact("answers", &crate::receipt::answer_words(receipt));
        for (label, words) in pacing_lines(receipt) {
            page.fact(label, &words);
        }
    }
    notes(page, case);
    page.raw("</table>\n");
}

fn notes(page: &mut Markup, case: &Case<'_>) {
    for (label, words) in case.notes {
        page.raw("<tr><th scope=\"row\">").text(label).raw("</th>").cell(words).raw("</tr>\n");
    }
}

fn cases(page: &mut Markup, report: &Report<'_>) {
    page.raw(
        "<section id=\"cases\" aria-labelledby=\"cases-title\">\n<h2 id=\"cases-title\">Cases</h2>\n<div class=\"wide\"><table class=\"rows cases\">\n\
         <thead><tr><th scope=\"col\">Verdict</th><th scope=\"col\">Case</th><th scope=\"col\">Exchanges</th>\
         <th scope=\"col\">Notes</th></tr></thead>\n<tbody>\n",
    );
    for (number, case) in report.cases.iter().enumerate() {
        page.raw("<tr><td>");
        let word = case_word(case);
        badge(page, word);
        page.raw("</td><th scope=\"row\"><a href=\"#case-").number(number).raw("\">").text(case.name).raw("</a></th>");
        page.cell(&tally_words(case)).raw("<td>");
        // What the badge says need not be said again.
        for (label, words) in case.notes.iter().filter(|(label, words)| label != "verdict" || words != word) {
            page.raw("<div><span class=\"dim\">").text(label).raw("</span> ").text(words).raw("</div>");
        }
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}

fn tally_words(case: &Case<'_>) -> String {
    let counts = VERDICTS.into_iter().zip(counts(&case.tally())).chain([("skipped", case.skipped())]);
    let words: Vec<_> = counts.filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    if words.is_empty() { "nothing was compared".to_owned() } else { words.join(", ") }
}

/// A verdict as a word with its sign.
pub(super) fn badge(page: &mut Markup, word: &'static str) {
    page.raw("<span class=\"badge v-")
        .raw(class_of(word))
        .raw("\"><span class=\"glyph\" aria-hidden=\"true\"></span>")
        .raw(word)
        .raw("</span>");
}

fn clusters(page: &mut Markup, report: &Report<'_>) {
    let of_case = |(number, case): (usize, &Case<'_>)| {
        let clusters = diff::top_changes(case.results, CLUSTERS_LEN_MAX + 1);
        clusters.into_iter().map(move |cluster| (number, cluster)).collect::<Vec<_>>()
    };
    let mut clusters: Vec<_> = report.cases.iter().enumerate().flat_map(of_case).collect();
    if report.cases.len() > 1 {
        clusters.sort_by(|(_, one), (_, other)| other.surprise.total_cmp(&one.surprise));
    }
    page.raw(
        "<section id=\"clusters\" aria-labelledby=\"clusters-title\">\n<h2 id=\"clusters-title\">What differs</h2>\n",
    );
    if clusters.is_empty() {
        page.raw("<p class=\"note\">").raw(nothing_differs(report)).raw("</p>\n</section>\n");
        return;
    }
    let is_more = clusters.len() > CLUSTERS_LEN_MAX;
    clusters.truncate(CLUSTERS_LEN_MAX);
    let (first, rest) = clusters.split_at(clusters.len().min(CLUSTERS_FIRST));
    cluster_table(page, report, first);
    if !rest.is_empty() {
        page.raw("<details><summary>").number(rest.len()).raw(" more</summary>\n");
        cluster_table(page, report, rest);
        page.raw("</details>\n");
    }
    if is_more {
        page.raw("<p class=\"note\">Rarer ones are not listed here; the exchanges below are all there.</p>\n");
    }
    page.raw("</section>\n");
}

fn cluster_table(page: &mut Markup, report: &Report<'_>, clusters: &[(usize, Cluster)]) {
    page.raw("<div class=\"wide\"><table class=\"rows clusters\">\n<thead><tr><th scope=\"col\" class=\"count\">");
    page.raw(report.of.title()).raw(
        "</th>\
         <th scope=\"col\">Where</th><th scope=\"col\">What</th><th scope=\"col\">Values</th>\
         <th scope=\"col\">Example</th></tr></thead>\n<tbody>\n",
    );
    for (number, cluster) in clusters {
        cluster_row(page, report, *number, cluster);
    }
    page.raw("</tbody></table></div>\n");
}

fn nothing_differs(report: &Report<'_>) -> &'static str {
    let is_unjudged = |result: &ExchangeResult| matches!(result.verdict, Verdict::Unjudged(_));
    if report.cases.iter().flat_map(|case| case.results).any(is_unjudged) {
        "Nothing that was compared differs; some of it was not compared."
    } else if total(report).total() == 0 {
        "Nothing was compared."
    } else {
        "Nothing."
    }
}

fn cluster_row(page: &mut Markup, report: &Report<'_>, number: usize, cluster: &Cluster) {
    let case = &report.cases[number];
    page.raw("<tr><td class=\"count\"><b>").number(cluster.count).raw("</b></td><td>");
    if report.cases.len() > 1 {
        page.raw("<div class=\"dim\">").text(case.name).raw("</div>");
    }
    page.raw("<div class=\"route\"><bdi>").text(&cluster.route).raw("</bdi></div>");
    if !cluster.pointer.is_empty() {
        page.raw("<code class=\"place\">").text(&cluster.pointer).raw("</code>");
    }
    also(page, cluster);
    page.raw("</td><td><div class=\"kind\">").text(&cluster.what).raw("</div>");
    match cluster.weight {
        Weight::Changed => {}
        weight => {
            page.raw("<div class=\"weight\">").raw(weight.word()).raw("</div>");
        }
    }
    if let Some(words) = form_words(cluster) {
        page.raw("<div class=\"dim\">").text(&words).raw("</div>");
    }
    page.raw("</td><td class=\"sides\">");
    for (class, shown) in [("old", &cluster.recorded), ("new", &cluster.replayed)] {
        if let Some(shown) = shown {
            page.raw("<div class=\"").raw(class).raw("\"><code>").text(&shown.text).raw("</code></div>");
        }
    }
    page.raw("</td><td><a class=\"id\" href=\"#x-")
        .number(number)
        .raw("-")
        .text(&cluster.example.to_string())
        .raw("\">");
    page.text(&cluster.example.short()).raw("</a>");
    if let Some(command) = case.command {
        page.command(&format!("{command} {}", cluster.example.short()));
    }
    page.raw("</td></tr>\n");
}

/// Other places that differ in just the same exchanges.
fn also(page: &mut Markup, cluster: &Cluster) {
    if cluster.with.is_empty() {
        return;
    }
    page.raw("<details><summary>and ")
        .number(cluster.with.len() as u64 + cluster.with_more)
        .raw(" places with it</summary>");
    for place in &cluster.with {
        page.raw("<div><code class=\"place\">").text(place).raw("</code></div>");
    }
    if cluster.with_more > 0 {
        page.raw("<div class=\"dim\">and ").number(cluster.with_more).raw(" more</div>");
    }
    page.raw("</details>");
}

/// `integer → text`, or one form where both are alike; none where a side is absent, since the kind says so.
fn form_words(cluster: &Cluster) -> Option<String> {
    let forms = cluster.recorded_form.as_deref().zip(cluster.replayed_form.as_deref())?;
    match forms {
        ("absent", _) | (_, "absent") => None,
        (recorded, replayed) if recorded == replayed => Some(recorded.to_owned()),
        (recorded, replayed) => Some(format!("{recorded} → {replayed}")),
    }
}
