//! Whether the second of two runs is no worse than the first: a row for each metric, with its interval drawn against the margin.

use diff::MetricStanding;

use super::{Case, Markup};
use crate::standings::StandingWords;

/// Half of the drawing's width, in its own units.
const HALF: f64 = 100.0;

/// The section, where two runs were held against each other.
pub(super) fn write(page: &mut Markup, case: &Case<'_>) {
    if case.standings.is_empty() {
        return;
    }
    page.raw(
        "<section id=\"standings\" aria-labelledby=\"standings-title\">\n<h2 id=\"standings-title\">No worse than before?</h2>\n\
         <div class=\"wide\"><table class=\"rows standings\">\n<thead><tr><th scope=\"col\">Metric</th>\
         <th scope=\"col\">Standing</th><th scope=\"col\">Recorded → replayed</th><th scope=\"col\">Difference</th>\
         <th scope=\"col\"><span class=\"unseen\">Interval</span></th><th scope=\"col\">Margin</th>\
         <th scope=\"col\">Sample</th></tr></thead>\n<tbody>\n",
    );
    case.standings.iter().for_each(|standing| row(page, standing));
    page.raw(
        "</tbody></table></div>\n<p class=\"note\">Equivalent: the whole interval lies within the margin, which is the band in the \
         drawing. Regressed and improved: beyond chance, and not within the margin. Inconclusive: neither; the sample says how many \
         pairs would decide it if the difference stays what it is.</p>\n</section>\n",
    );
}

fn row(page: &mut Markup, standing: &MetricStanding) {
    let words = StandingWords::of(standing);
    let (class, word) = match standing.verdict.as_str() {
        "equivalent" => ("same", "equivalent"),
        "improved" => ("same", "improved"),
        "regressed" => ("changed", "regressed"),
        _ => ("unjudged", "inconclusive"),
    };
    page.raw("<tr><th scope=\"row\">").text(&standing.metric).raw("</th><td><span class=\"badge v-").raw(class);
    page.raw("\"><span class=\"glyph\" aria-hidden=\"true\"></span>").raw(word).raw("</span></td>");
    page.cell(&words.sides).raw("<td>").text(&words.difference).raw("<div class=\"dim\">").text(&words.bounds);
    page.raw("</div></td><td class=\"interval\">");
    drawing(page, standing);
    page.raw("</td>").cell(&words.margin).cell(&words.pairs).raw("</tr>\n");
}

/// The interval on a line whose middle is no difference; the band is the margin.
fn drawing(page: &mut Markup, standing: &MetricStanding) {
    let values = [standing.low, standing.high, Some(standing.difference)].into_iter().flatten().map(f64::abs);
    let reach = values.fold(standing.margin * 2.0, f64::max).max(f64::MIN_POSITIVE);
    let at = |value: f64| format!("{:.1}", HALF + value / reach * HALF);
    let band = standing.margin / reach * HALF;
    page.raw("<svg viewBox=\"0 0 200 16\" aria-hidden=\"true\"><rect class=\"band\" y=\"0\" height=\"16\" x=\"");
    page.number(format!("{:.1}", HALF - band)).raw("\" width=\"").number(format!("{:.1}", band * 2.0));
    page.raw("\"/><line class=\"zero\" x1=\"100\" x2=\"100\" y1=\"0\" y2=\"16\"/>");
    if let (Some(low), Some(high)) = (standing.low, standing.high) {
        page.raw("<line class=\"span\" y1=\"8\" y2=\"8\" x1=\"").number(at(low));
        page.raw("\" x2=\"").number(at(high)).raw("\"/>");
    }
    page.raw("<circle class=\"dot\" cy=\"8\" r=\"3.5\" cx=\"").number(at(standing.difference)).raw("\"/></svg>");
}
