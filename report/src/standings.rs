//! Whether the second of two runs is no worse than the first: words for each metric, and a line of them.

use diff::MetricStanding;

use crate::Style;

/// What is said of one metric.
pub(crate) struct StandingWords {
    /// `1 % → 1.5 %`
    pub(crate) sides: String,
    /// `+0.5 points`
    pub(crate) difference: String,
    /// `-0.6 to +1.7`
    pub(crate) bounds: String,
    /// `5 points`
    pub(crate) margin: String,
    /// `of 200 pairs`, and how many would decide it where these do not.
    pub(crate) pairs: String,
}

impl StandingWords {
    /// Of this metric.
    pub(crate) fn of(standing: &MetricStanding) -> Self {
        let MetricStanding { metric, pairs, before, after, difference, low, high, margin, needed, .. } = standing;
        let (unit, sides) = if metric == "latency" && *pairs == 0 {
            (" %", "no times are known of both sides".to_owned())
        } else if metric == "latency" {
            (" %", format!("{before:.1} ms → {after:.1} ms"))
        } else {
            (" points", format!("{} % → {} %", number(before * 100.0), number(after * 100.0)))
        };
        let bounds = match (low, high) {
            (Some(low), Some(high)) => format!("{} to {}", signed(low * 100.0), signed(high * 100.0)),
            _ => "no bounds yet".to_owned(),
        };
        let needed = needed.map(|needed| format!("; about {needed} pairs would decide it")).unwrap_or_default();
        Self {
            sides,
            difference: format!("{}{unit}", signed(difference * 100.0)),
            bounds,
            margin: format!("{}{unit}", number(margin * 100.0)),
            pairs: format!("of {pairs} pairs{needed}"),
        }
    }
}

/// `failing: equivalent: 1 % → 1.5 %, +0.5 points (-0.6 to +1.7), margin 5 points, of 200 pairs`.
pub(crate) fn standing_line(standing: &MetricStanding, style: Style) -> String {
    let StandingWords { sides, difference, bounds, margin, pairs } = StandingWords::of(standing);
    let verdict = &standing.verdict;
    let word = match verdict.as_str() {
        "equivalent" | "improved" => style.green(verdict),
        "regressed" => style.red(verdict),
        _ => style.yellow(verdict),
    };
    let metric = style.dim(&format!("{}:", standing.metric));
    format!("{metric} {word}: {sides}, {difference} ({bounds}), margin {margin}, {pairs}\n")
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}

/// With one decimal, and none where that is 0; never `-0`.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_a_line_with_its_interval_and_what_would_decide_it() {
        let standing = MetricStanding {
            metric: "failing".to_owned(),
            verdict: "inconclusive".to_owned(),
            pairs: 20,
            before: 0.05,
            after: 0.1,
            difference: 0.05,
            low: Some(-0.021),
            high: Some(0.19),
            margin: 0.05,
            probability: 1.0,
            needed: Some(180),
        };
        assert_eq!(
            standing_line(&standing, Style::PLAIN),
            "failing: inconclusive: 5 % → 10 %, +5 points (-2.1 to +19), margin 5 points, of 20 pairs; about 180 pairs would decide it\n"
        );
        let latency = MetricStanding { metric: "latency".to_owned(), low: None, needed: None, ..standing };
        let unknown = MetricStanding { pairs: 0, difference: 0.0, needed: Some(50), ..latency.clone() };
        assert!(
            standing_line(&unknown, Style::PLAIN)
                .starts_with("latency: inconclusive: no times are known of both sides, 0 %")
        );
        assert!(standing_line(&latency, Style::PLAIN).contains("0.1 ms → 0.1 ms, +5 % (no bounds yet)"));
    }
}
