//! Whether a replay kept production's times, and what answered in the place of recordings, in a line or two under the receipt.
//!
//! In: the receipt. Out: lines for a person.

use replayer::receipt::{MissesAnswered, Punctuality, Quantiles, Receipt};

/// Labelled lines.
pub(crate) fn pacing_lines(receipt: &Receipt) -> Vec<(&'static str, String)> {
    let mut lines = misses_lines(&receipt.misses);
    lines.extend(receipt.punctuality.iter().map(|it| ("timing", punctuality_words(it))));
    lines
}

/// `NOT HERMETIC: 3 calls that were not recorded went to llm at https://api.example.com`.
fn misses_lines(misses: &MissesAnswered) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if !misses.live.is_empty() {
        let calls: Vec<_> = misses.live.iter().map(|it| format!("{} to {} at {}", it.calls, it.name, it.url)).collect();
        lines.push(("live", format!("NOT HERMETIC: calls that were not recorded went out, {}", calls.join(", "))));
    }
    if misses.by_nearest > 0 {
        lines.push(("misses", format!("{} answered with the nearest recording", misses.by_nearest)));
    }
    lines
}

/// `kept: 200 sent late by 0.4 ms, 99 % by at most 1.2 ms, all by at most 3 ms; took …`.
fn punctuality_words(it: &Punctuality) -> String {
    let kept = match it.late_count {
        0 => "kept".to_owned(),
        late => format!(
            "NOT KEPT: {late} of {} were late by more than {} ms ({} for this machine, {} for the service's answers)",
            it.sent, it.late_bound_ms, it.late_by_client, it.late_by_service
        ),
    };
    format!(
        "{kept}; late by {}; took {} in production, {} here, {} since they should have been sent",
        quantile_words(&it.late),
        quantile_words(&it.took_in_production),
        quantile_words(&it.took_since_sent),
        quantile_words(&it.took_since_intended)
    )
}

/// `0.4/1.2/3.0 ms`: half, 99 of 100, all.
fn quantile_words(it: &Quantiles) -> String {
    format!("{:.1}/{:.1}/{:.1} ms", it.p50_ms, it.p99_ms, it.max_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn punctuality(late_count: u64) -> Punctuality {
        let quantiles = |p50_ms| Quantiles { p50_ms, p99_ms: p50_ms * 2.0, max_ms: p50_ms * 3.0 };
        Punctuality {
            factor: 1.0,
            waits: "open".to_owned(),
            sent: 200,
            late: quantiles(0.5),
            late_bound_ms: 10.0,
            late_count,
            late_by_service: late_count / 3,
            late_by_client: late_count - late_count / 3,
            took_in_production: quantiles(20.0),
            took_since_sent: quantiles(30.0),
            took_since_intended: quantiles(40.0),
        }
    }

    #[test]
    fn times_that_were_not_kept_say_so_first_and_whose_fault_it_was() {
        insta::assert_snapshot!(punctuality_words(&punctuality(0)), @"kept; late by 0.5/1.0/1.5 ms; took 20.0/40.0/60.0 ms in production, 30.0/60.0/90.0 ms here, 40.0/80.0/120.0 ms since they should have been sent");
        insta::assert_snapshot!(punctuality_words(&punctuality(9)), @"NOT KEPT: 9 of 200 were late by more than 10 ms (6 for this machine, 3 for the service's answers); late by 0.5/1.0/1.5 ms; took 20.0/40.0/60.0 ms in production, 30.0/60.0/90.0 ms here, 40.0/80.0/120.0 ms since they should have been sent");
    }
}
