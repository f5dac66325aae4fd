//! The receipt of a case: what the replay can prove about itself, in tables.

use diff::RuleUse;
use replayer::receipt::{Controlled, NoiseProof, Receipt, State};

use super::{Case, Markup, Report};
use crate::{
    changes::reason_words,
    noise::noise_words,
    pacing::pacing_lines,
    receipt::{answer_words, held_words, pinned_words, server_words},
    repeats::place_words,
};

/// Most rows of a table: exchanges that were skipped, places with noise. A choice.
const ROWS_LEN_MAX: usize = 200;

/// Longest receipt that is also given as JSON, in bytes. A choice.
const JSON_BYTES_MAX: usize = 256 << 10;

/// The section; of several cases it is folded.
pub(super) fn write(page: &mut Markup, report: &Report<'_>, number: usize, case: &Case<'_>) {
    let is_one_of_many = report.cases.len() > 1;
    page.raw("<section class=\"proof\" id=\"case-").number(number).raw("\" aria-labelledby=\"proof-").number(number);
    page.raw("\">\n<h2 id=\"proof-").number(number).raw("\">");
    page.raw(if case.receipt.is_some() { "Receipt" } else { "Rules" });
    if is_one_of_many {
        page.raw(" of ").text(case.name);
    }
    page.raw("</h2>\n");
    if is_one_of_many {
        page.raw("<details><summary>Show it</summary>\n");
    }
    match case.receipt {
        Some(receipt) => proof(page, receipt),
        None => rules(page, case.rules_used),
    }
    page.raw(if is_one_of_many { "</details>\n</section>\n" } else { "</section>\n" });
}

fn proof(page: &mut Markup, receipt: &Receipt) {
    page.raw("<table class=\"facts\"><caption class=\"unseen\">What the replay can prove</caption>\n");
    page.raw("<tr><th scope=\"row\">run</th>").code_cell(&receipt.run.to_string()).raw("</tr>\n");
    page.fact("pinned", &pinned_words(receipt));
    page.fact("answers", &answer_words(receipt));
    page.fact("held", &held_words(receipt));
    for (label, words) in pacing_lines(receipt) {
        page.fact(label, &words);
    }
    for server in &receipt.beside {
        page.fact("beside", &server_words(server));
    }
    for words in &receipt.replacements {
        page.fact("replaced", words);
    }
    for words in &receipt.injected {
        page.fact("put in", words);
    }
    for absent in &receipt.absent {
        page.fact("absent", &format!("{}: {}", absent.what, absent.help));
    }
    if let Some(digest) = &receipt.outcome_digest {
        page.raw("<tr><th scope=\"row\">outcome</th>").code_cell(&digest.to_string()).raw("</tr>\n");
    }
    page.fact("never compared", &receipt.headers_not_compared.join(", "));
    page.raw("</table>\n");
    if let Some(noise) = &receipt.noise {
        noise_proof(page, noise);
    }
    controls(page, &receipt.determinism.controls);
    for words in &receipt.determinism.exclusions {
        page.raw("<p class=\"note\">Not claimed: ").text(words).raw("</p>\n");
    }
    environment(page, receipt);
    rules(page, &receipt.rules);
    skipped(page, receipt);
    whole(page, receipt);
}

/// What measured noise set apart, and by what evidence.
fn noise_proof(page: &mut Markup, noise: &NoiseProof) {
    page.raw("<h3>What measured noise set apart</h3>\n");
    if let Some(words) = noise_words(noise) {
        page.raw("<p class=\"note\">").text(&words).raw("</p>\n");
    }
    for profile in &noise.profiles {
        let words = format!(
            "{} places of {}, learned from at least {} comparisons of an exchange, in {}",
            profile.places, profile.version, profile.compared_min, profile.from
        );
        page.raw("<p class=\"note\">Profile: ").text(&words).raw("</p>\n");
    }
    if noise.hidden.is_empty() {
        return;
    }
    page.raw(
        "<div class=\"wide\"><table class=\"rows\">\n<thead><tr><th scope=\"col\">Route</th><th scope=\"col\">Place</th>\
         <th scope=\"col\">Set apart</th><th scope=\"col\">Differed while it was measured</th></tr></thead>\n<tbody>\n",
    );
    for used in noise.hidden.iter().take(ROWS_LEN_MAX) {
        page.raw("<tr>")
            .cell(&used.route)
            .code_cell(place_words(&used.evidence.place))
            .raw("<td>")
            .number(used.count)
            .raw("</td>");
        page.cell(&used.evidence.differed.to_string()).raw("</tr>\n");
    }
    page.raw("</tbody></table></div>\n");
}

fn controls(page: &mut Markup, controls: &[Controlled]) {
    if controls.is_empty() {
        return;
    }
    page.raw(
        "<h3>What was held still</h3>\n<div class=\"wide\"><table class=\"rows\">\n<thead><tr><th scope=\"col\">Level</th>\
         <th scope=\"col\">Control</th><th scope=\"col\">State</th><th scope=\"col\">How</th></tr></thead>\n<tbody>\n",
    );
    for Controlled { control, state, words } in controls {
        let (class, state) = match state {
            State::On => ("same", "on"),
            State::Off => ("skipped", "off"),
            State::Failed => ("failed", "not held"),
        };
        page.raw("<tr><td>")
            .number(control.level())
            .raw("</td><th scope=\"row\">")
            .raw(control.word())
            .raw("<div class=\"dim\">");
        page.raw(control.what())
            .raw("</div></th><td><span class=\"badge v-")
            .raw(class)
            .raw("\"><span class=\"glyph\" aria-hidden=\"true\">");
        page.raw("</span>").raw(state).raw("</span></td>").cell(&words.join("; ")).raw("</tr>\n");
    }
    page.raw("</tbody></table></div>\n");
}

fn environment(page: &mut Markup, receipt: &Receipt) {
    if receipt.environment.is_empty() {
        return;
    }
    page.raw(
        "<h3>What is different here</h3>\n<div class=\"wide\"><table class=\"rows\">\n<thead><tr><th scope=\"col\">What</th>\
         <th scope=\"col\">Recorded</th><th scope=\"col\">Here</th></tr></thead>\n<tbody>\n",
    );
    for difference in &receipt.environment {
        page.raw("<tr><th scope=\"row\">").text(&difference.what).raw("</th>");
        page.cell(&difference.recorded).cell(&difference.here).raw("</tr>\n");
    }
    page.raw("</tbody></table></div>\n");
}

fn rules(page: &mut Markup, rules: &[RuleUse]) {
    if rules.is_empty() {
        page.raw("<p class=\"note\">No rule hid anything.</p>\n");
        return;
    }
    page.raw(
        "<h3>Rules that hid something</h3>\n<div class=\"wide\"><table class=\"rows\">\n<thead><tr><th scope=\"col\">Rule</th>\
         <th scope=\"col\">Times</th><th scope=\"col\">One place</th><th scope=\"col\">Why</th></tr></thead>\n<tbody>\n",
    );
    for used in rules {
        page.raw("<tr>").code_cell(&used.rule).raw("<td>").number(used.count).raw("</td>");
        let why = used.reason.as_ref().map(reason_words).unwrap_or_default();
        page.code_cell(place_words(&used.pointer)).cell(&why).raw("</tr>\n");
    }
    page.raw("</tbody></table></div>\n");
}

fn skipped(page: &mut Markup, receipt: &Receipt) {
    if receipt.skipped.is_empty() {
        return;
    }
    page.raw(
        "<h3>Not replayed</h3>\n<div class=\"wide\"><table class=\"rows\">\n<thead><tr><th scope=\"col\">Exchange</th>\
         <th scope=\"col\">Request</th><th scope=\"col\">Why</th></tr></thead>\n<tbody>\n",
    );
    for skipped in receipt.skipped.iter().take(ROWS_LEN_MAX) {
        page.raw("<tr>").code_cell(&skipped.id.short()).cell(&skipped.title).cell(&skipped.reason).raw("</tr>\n");
    }
    page.raw("</tbody></table></div>\n");
    if receipt.skipped.len() > ROWS_LEN_MAX {
        page.raw("<p class=\"note\">and ").number(receipt.skipped.len() - ROWS_LEN_MAX).raw(" more.</p>\n");
    }
}

/// All of the receipt, for what the tables above have no place for.
fn whole(page: &mut Markup, receipt: &Receipt) {
    let json = serde_json::to_string_pretty(receipt).expect("a receipt is an object with keys that are text");
    if json.len() > JSON_BYTES_MAX {
        return;
    }
    page.raw("<details class=\"json\"><summary>All of the receipt, as JSON</summary>\n<pre tabindex=\"0\">")
        .lines(&json);
    page.raw("</pre></details>\n");
}
