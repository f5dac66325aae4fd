//! What repeats of a case say together, and which places were measured to be noise.

use exchange::NoisyPlace;
use replayer::receipt::RepeatsProof;

use super::{Case, Markup, Report};
use crate::repeats::{conclusions, held_still_words, percent, place_words};

/// Most noisy places that are listed. A choice.
const NOISE_LEN_MAX: usize = 200;

/// The section, where the case was repeated.
pub(super) fn write(page: &mut Markup, report: &Report<'_>, number: usize, case: &Case<'_>) {
    let Some((receipt, repeats)) = case.receipt.and_then(|receipt| Some((receipt, receipt.repeats.as_deref()?))) else {
        return;
    };
    page.raw("<section class=\"repeats\" aria-labelledby=\"repeats-")
        .number(number)
        .raw("\">\n<h2 id=\"repeats-")
        .number(number);
    page.raw("\">Repeats");
    if report.cases.len() > 1 {
        page.raw(" of ").text(case.name);
    }
    page.raw("</h2>\n");
    for sentence in conclusions(receipt, case.results) {
        page.raw("<p>").text(&sentence).raw(".</p>\n");
    }
    rates(page, repeats);
    noise(page, &repeats.noise);
    if let Some(held) = &repeats.held_still {
        page.raw("<p class=\"note\">Not measured: ").text(&held_still_words(held)).raw(".</p>\n");
    }
    page.raw("</section>\n");
}

fn rates(page: &mut Markup, repeats: &RepeatsProof) {
    page.raw("<table class=\"facts\"><caption class=\"unseen\">Rates over all repeats</caption>\n");
    let done = format!("{} of {} judged, reset {}", repeats.done, repeats.asked, repeats.reset.word());
    page.fact("repeats", &done);
    if repeats.stopped_at_failure() {
        page.fact("failed", "the last one, at which they stopped");
        return not_judged(page, repeats);
    }
    let failed = match repeats.rate_missed_max {
        Some(rate) => format!("none; what fails in {} or more would have shown", percent(rate)),
        None => repeats.failed.to_string(),
    };
    page.fact("failed", &format!("{failed}, at {} confidence", percent(repeats.confidence)));
    page.fact("unusual answers in production", &repeats.unusual_in_production.to_string());
    page.fact("unusual answers here", &repeats.unusual_here.to_string());
    page.fact(
        "intervals",
        if repeats.intervals_overlap { "they overlap" } else { "they do not overlap: two different things" },
    );
    for otherwise in &repeats.otherwise {
        page.fact("otherwise than in production", otherwise);
    }
    not_judged(page, repeats);
}

/// The last rows of the table.
fn not_judged(page: &mut Markup, repeats: &RepeatsProof) {
    for not_started in &repeats.not_started {
        page.fact("not judged", &format!("repeat {}: {}", not_started.repeat + 1, not_started.reason));
    }
    page.raw("</table>\n");
}

fn noise(page: &mut Markup, noise: &[NoisyPlace]) {
    if noise.is_empty() {
        return;
    }
    let mut most: Vec<_> = noise.iter().collect();
    most.sort_by_key(|place| std::cmp::Reverse(place.differed));
    page.raw(
        "<h3>Noise</h3>\n<p class=\"note\">Places at which answers of one version to the same request, or what it asked of dependencies, differed from the first.</p>\n\
         <div class=\"wide\"><table class=\"rows\">\n<thead><tr><th scope=\"col\">Route</th><th scope=\"col\">Place</th>\
         <th scope=\"col\">Differed</th><th scope=\"col\"><span class=\"unseen\">Share</span></th></tr></thead>\n<tbody>\n",
    );
    for place in most.iter().take(NOISE_LEN_MAX) {
        page.raw("<tr>").cell(&place.route).code_cell(place_words(&place.pointer));
        page.cell(&format!("{} of {}", place.differed, place.compared));
        let share = place.differed.min(place.compared).saturating_mul(100) / place.compared.max(1);
        page.raw(
            "<td class=\"share\"><svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
                  <rect class=\"track\" width=\"100\" height=\"8\"/><rect class=\"f-noise\" height=\"8\" width=\"",
        );
        page.number(share).raw("\"/></svg></td></tr>\n");
    }
    page.raw("</tbody></table></div>\n");
    if most.len() > NOISE_LEN_MAX {
        page.raw("<p class=\"note\">and ")
            .number(most.len() - NOISE_LEN_MAX)
            .raw(" places more, in <code>--json</code>.</p>\n");
    }
}
