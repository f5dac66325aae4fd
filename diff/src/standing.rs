//! Is the second of two runs no worse than the first? How often requests fail, and how long they take, pair by pair.
//!
//! In: for each request that both answered, whether it failed and how long it took on either side; margins. Out: one word for
//! each metric, with the numbers that it rests on. What a request answered is not looked at: that is the comparison's.

use serde::{Deserialize, Serialize};
use stats::{Confidence, Interval, Standing};

/// One request on both sides: the first, then the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairedOutcome {
    /// No whole answer, or a status of 500 or more.
    pub failed: [bool; 2],
    /// How long each took, in nanoseconds.
    pub took_ns: [u64; 2],
}

/// How much worse the second may be and still count as no worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margins {
    /// Of the rate of failing, as a difference of shares: 0.05 is five points.
    pub failing: f64,
    /// Of the time taken, as a share of it: 0.25 is a quarter longer.
    pub latency: f64,
}

impl Default for Margins {
    /// Five points, and Kayenta's tolerance for latency.
    fn default() -> Self {
        Self { failing: 0.05, latency: 0.25 }
    }
}

/// What can be said of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricStanding {
    /// `failing`: the share of requests that fail. `latency`: the time that one takes, of those that fail on neither side.
    pub metric: String,
    /// `equivalent`, `improved`, `regressed` or `inconclusive`.
    pub verdict: String,
    /// Pairs that it rests on.
    pub pairs: u64,
    /// On the first side: the share that failed, or the median time in milliseconds (0 where of no pair both times are known).
    pub before: f64,
    /// On the second.
    pub after: f64,
    /// The second less the first: in shares, or as a share of the first's time.
    pub difference: f64,
    /// Lower bound of its interval; absent where so few pairs leave it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// How much worse still counts as no worse.
    pub margin: f64,
    /// Two-sided probability of such a difference by chance, corrected after Holm for all metrics: McNemar's exact test, or
    /// Wilcoxon's signed-rank test of the ratios' logarithms.
    pub probability: f64,
    /// Pairs that would decide it, as far as these say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
}

/// A metric before its probability is corrected.
struct Measured {
    metric: &'static str,
    pairs: u64,
    before: f64,
    after: f64,
    /// On the scale on which it is judged.
    difference: f64,
    interval: Interval,
    margin: f64,
    probability: f64,
    /// From that scale to what is told.
    told: fn(f64) -> f64,
}

/// The standing of both metrics, each error held at 1 − `confidence`: intervals are of twice that, as two one-sided tests take.
pub fn standings(pairs: &[PairedOutcome], margins: Margins, confidence: Confidence) -> Vec<MetricStanding> {
    let alpha = confidence.alpha();
    let wide = Confidence::new(1.0 - 2.0 * alpha).unwrap_or(confidence);
    let measured: Vec<Measured> =
        [failing(pairs, margins.failing, wide), latency(pairs, margins.latency, wide)].into_iter().flatten().collect();
    let corrected = stats::holm(&measured.iter().map(|it| it.probability).collect::<Vec<_>>());
    let standing = |(it, probability): (Measured, f64)| {
        let standing = Standing::of(it.pairs, it.difference, it.interval, it.margin, probability <= alpha);
        let bound = |value: f64| value.is_finite().then(|| (it.told)(value));
        MetricStanding {
            metric: it.metric.to_owned(),
            verdict: standing.word().to_owned(),
            pairs: it.pairs,
            before: it.before,
            after: it.after,
            difference: (it.told)(it.difference),
            low: bound(it.interval.low),
            high: bound(it.interval.high),
            margin: (it.told)(it.margin),
            probability,
            needed: match standing {
                Standing::Inconclusive { needed } => Some(needed),
                _ => None,
            },
        }
    };
    measured.into_iter().zip(corrected).map(standing).collect()
}

fn failing(pairs: &[PairedOutcome], margin: f64, confidence: Confidence) -> Option<Measured> {
    let count = |which: fn(&PairedOutcome) -> bool| pairs.iter().filter(|pair| which(pair)).count() as u64;
    let (first_only, second_only) = (count(|it| it.failed == [true, false]), count(|it| it.failed == [false, true]));
    let all = pairs.len() as u64;
    let (difference, interval) = stats::paired_rate_difference(all, first_only, second_only, confidence)?;
    Some(Measured {
        metric: "failing",
        pairs: all,
        before: count(|it| it.failed[0]) as f64 / all as f64,
        after: count(|it| it.failed[1]) as f64 / all as f64,
        difference,
        interval,
        margin,
        probability: stats::mcnemar_exact(first_only, second_only),
        told: |value| value,
    })
}

/// Times are compared by their ratios: a service that takes a tenth longer does so for short and long requests. Pairs of which no
/// times are known leave it open: a question that could not be asked must not look answered.
fn latency(pairs: &[PairedOutcome], margin: f64, confidence: Confidence) -> Option<Measured> {
    let whole: Vec<&PairedOutcome> =
        pairs.iter().filter(|pair| pair.failed == [false; 2] && pair.took_ns.iter().all(|took| *took > 0)).collect();
    let ratio = |pair: &&PairedOutcome| (pair.took_ns[1] as f64 / pair.took_ns[0] as f64).ln();
    let logarithms: Vec<f64> = whole.iter().map(ratio).collect();
    if pairs.is_empty() {
        return None;
    }
    let found = stats::signed_rank(&logarithms, confidence);
    let everything = Interval { low: f64::NEG_INFINITY, high: f64::INFINITY };
    // Where no pair differs at all, there is nothing to rank, and no difference.
    let (difference, interval, probability) = match found {
        Some(found) => (found.shift.estimate, found.shift.interval, found.probability),
        None if !logarithms.is_empty() && logarithms.iter().all(|it| *it == 0.0) => {
            (0.0, Interval { low: 0.0, high: 0.0 }, 1.0)
        }
        None => (0.0, everything, 1.0),
    };
    let median_ms = |side: usize| {
        let mut took: Vec<u64> = whole.iter().map(|pair| pair.took_ns[side]).collect();
        took.sort_unstable();
        took.get(took.len() / 2).map_or(0.0, |took| *took as f64 / 1e6)
    };
    Some(Measured {
        metric: "latency",
        pairs: logarithms.len() as u64,
        before: median_ms(0),
        after: median_ms(1),
        difference,
        interval,
        margin: margin.ln_1p(),
        probability,
        told: f64::exp_m1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(pairs: &[PairedOutcome]) -> Vec<(String, String)> {
        let standings = standings(pairs, Margins::default(), Confidence::DEFAULT);
        standings.into_iter().map(|it| (it.metric, it.verdict)).collect()
    }

    /// So many pairs that take some milliseconds, the second `factor` as long, give or take.
    fn pairs(count: u64, factor: f64) -> Vec<PairedOutcome> {
        let took = |at: u64| 1_000_000 + at * 7_919 % 1_000_000;
        let pair = |at: u64| PairedOutcome {
            failed: [false; 2],
            took_ns: [took(at), (took(count - 1 - at) as f64 * factor) as u64],
        };
        (0..count).map(pair).collect()
    }

    fn named(failing: &str, latency: &str) -> Vec<(String, String)> {
        vec![("failing".to_owned(), failing.to_owned()), ("latency".to_owned(), latency.to_owned())]
    }

    #[test]
    fn two_alike_are_equivalent_where_there_are_enough_and_else_nothing_is_said() {
        assert_eq!(verdicts(&pairs(300, 1.0)), named("equivalent", "equivalent"));
        assert_eq!(verdicts(&pairs(20, 1.0)), named("inconclusive", "inconclusive"));
        let needed = standings(&pairs(20, 1.0), Margins::default(), Confidence::DEFAULT)[0].needed;
        assert!(needed >= Some(50), "{needed:?}");
        assert!(verdicts(&[]).is_empty());
    }

    #[test]
    fn one_that_is_slower_or_fails_more_often_has_regressed() {
        assert_eq!(verdicts(&pairs(300, 1.6))[1].1, "regressed");
        assert_eq!(verdicts(&pairs(300, 0.5))[1].1, "improved");
        let mut failing = pairs(300, 1.0);
        failing.iter_mut().step_by(10).for_each(|pair| pair.failed[1] = true);
        assert_eq!(verdicts(&failing)[0].1, "regressed");
        failing.iter_mut().for_each(|pair| pair.failed.reverse());
        assert_eq!(verdicts(&failing)[0].1, "improved");
        // What fails on both sides is no difference.
        failing.iter_mut().for_each(|pair| pair.failed = [true; 2]);
        assert_eq!(verdicts(&failing)[0].1, "equivalent");
    }

    #[test]
    fn where_most_times_are_equal_and_the_others_are_all_longer_it_has_regressed() {
        let pair = |at: u64, slower: u64| PairedOutcome {
            failed: [false; 2],
            took_ns: [4_000_000, if at.is_multiple_of(3) { slower } else { 4_000_000 }],
        };
        let pairs = |slower: u64| (0..200).map(|at| pair(at, slower)).collect::<Vec<_>>();
        assert_eq!(verdicts(&pairs(12_000_000)), named("equivalent", "regressed"));
        assert_eq!(verdicts(&pairs(1_000_000)), named("equivalent", "improved"));
        assert_eq!(verdicts(&pairs(4_100_000)), named("equivalent", "equivalent"));
    }

    #[test]
    fn times_that_nobody_knows_leave_the_latency_open() {
        let pair = PairedOutcome { failed: [false; 2], took_ns: [0, 5] };
        assert_eq!(verdicts(&[pair; 60]), named("equivalent", "inconclusive"));
        assert_eq!(standings(&[pair; 60], Margins::default(), Confidence::DEFAULT)[1].pairs, 0);
    }

    #[test]
    fn times_that_are_equal_to_the_nanosecond_are_equivalent() {
        let pair = PairedOutcome { failed: [false; 2], took_ns: [5, 5] };
        assert_eq!(verdicts(&[pair; 60]), named("equivalent", "equivalent"));
    }
}
