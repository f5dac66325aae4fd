//! What repeats of one run say together: how many it takes, how many kinds there were, how steady they were.

use std::collections::BTreeMap;

use crate::{Confidence, special::ln_choose};

/// Most factors that are multiplied one by one.
const FACTORS_MAX: u64 = 1_000;

/// The largest rate that `runs` runs without one event leave possible: 1 − α^(1/n). For 95 % about 3/n, the rule of three
/// (J. A. Hanley and A. Lippman-Hand, JAMA 249, 1983). Of no runs: 1.
pub fn smallest_rate_missed(runs: u64, confidence: Confidence) -> f64 {
    if runs == 0 { 1.0 } else { 1.0 - confidence.alpha().powf(1.0 / runs as f64) }
}

/// How many runs show an event of this rate at least once with this confidence: ⌈ln α / ln(1 − p)⌉. `None` for what never
/// happens.
pub fn runs_to_see(rate: f64, confidence: Confidence) -> Option<u64> {
    if rate >= 1.0 {
        return Some(1);
    }
    // A share below what doubles tell from 0 is 0.
    let runs = (confidence.alpha().ln() / (-rate).ln_1p()).ceil();
    (rate > 0.0 && runs.is_finite()).then_some(runs as u64)
}

/// pass^k: the chance that k runs all pass, estimated without bias from `passed` of `runs`: C(c,k)/C(n,k) (τ-bench,
/// arXiv 2406.12045, section 4). `None` where fewer than k ran.
pub fn pass_hat_k(runs: u64, passed: u64, k: u64) -> Option<f64> {
    let factor = |at: u64| passed.min(runs).saturating_sub(at) as f64 / (runs - at) as f64;
    // Factor by factor it is exact to the last digits; of many factors their logarithms are as good, and sooner done.
    let value = || match k {
        ..=FACTORS_MAX => (0..k).map(factor).product(),
        _ => (ln_choose(passed.min(runs), k) - ln_choose(runs, k)).exp(),
    };
    (k <= runs).then(value)
}

/// pass@k: the chance that at least one of k runs passes, estimated without bias: 1 − C(n−c,k)/C(n,k) (M. Chen et al.,
/// arXiv 2107.03374, section 2.1). `None` where fewer than k ran.
pub fn pass_at_k(runs: u64, passed: u64, k: u64) -> Option<f64> {
    Some(1.0 - pass_hat_k(runs, runs.saturating_sub(passed), k)?)
}

/// How often one outcome is followed by another one: transitions/(n − 1). `None` of fewer than two.
pub fn flip_rate<T: PartialEq>(outcomes: &[T]) -> Option<f64> {
    let flips = outcomes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    (outcomes.len() > 1).then(|| flips as f64 / (outcomes.len() - 1) as f64)
}

/// How many different outcomes there are.
pub fn distinct_count<T: Ord>(outcomes: &[T]) -> usize {
    counts(outcomes).len()
}

/// Shannon's entropy of the outcomes over the most that so many runs could have, ln n: 0 when all are equal, 1 when no two
/// are. `None` of fewer than two.
pub fn normalised_entropy<T: Ord>(outcomes: &[T]) -> Option<f64> {
    let n = outcomes.len() as f64;
    let entropy: f64 =
        counts(outcomes).into_values().map(|count| count as f64 / n).map(|share| -share * share.ln()).sum();
    // Of one outcome the sum is -0.
    (outcomes.len() > 1).then(|| (entropy / n.ln()).clamp(0.0, 1.0).abs())
}

/// The index of the first item that differs; the shorter one's length where one begins the other. `None` where they are equal.
pub fn first_divergence<T: PartialEq>(one: &[T], other: &[T]) -> Option<usize> {
    let differs = one.iter().zip(other).position(|(one, other)| one != other);
    differs.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))
}

fn counts<T: Ord>(outcomes: &[T]) -> BTreeMap<&T, u64> {
    let mut counts = BTreeMap::new();
    outcomes.iter().for_each(|outcome| *counts.entry(outcome).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_failure_in_so_many_runs_leaves_possible() {
        let missed = |runs| smallest_rate_missed(runs, Confidence::DEFAULT);
        for (runs, rate) in [(10, 0.258_9), (30, 0.095_0), (60, 0.048_7)] {
            assert!((missed(runs) - rate).abs() < 5e-5, "{runs}: {}", missed(runs));
        }
        assert!((missed(300) - 0.009_94).abs() < 5e-6);
        assert_eq!(missed(0), 1.0);
    }

    #[test]
    fn how_many_runs_show_a_failure_at_least_once() {
        let at_99 = Confidence::new(0.99).unwrap();
        for (rate, at_95_runs, at_99_runs) in
            [(0.5, 5, 7), (0.2, 14, 21), (0.1, 29, 44), (0.05, 59, 90), (0.01, 299, 459)]
        {
            assert_eq!(runs_to_see(rate, Confidence::DEFAULT), Some(at_95_runs), "{rate}");
            assert_eq!(runs_to_see(rate, at_99), Some(at_99_runs), "{rate}");
        }
        assert_eq!(runs_to_see(1.0, at_99), Some(1));
        assert_eq!(runs_to_see(0.0, at_99), None);
    }

    #[test]
    fn pass_hat_k_is_no_power_of_the_share() {
        let close = |one: Option<f64>, other: f64| (one.unwrap() - other).abs() < 1e-7;
        assert!(close(pass_hat_k(8, 6, 4), 0.214_285_7));
        assert!(close(pass_hat_k(10, 9, 10), 0.0));
        assert!(close(pass_hat_k(10, 10, 10), 1.0));
        assert_eq!(pass_hat_k(8, 6, 1), Some(0.75));
        assert!(close(pass_hat_k(5_000, 4_999, 2_000), 0.6));
        assert_eq!(pass_hat_k(3, 3, 4), None);
        // 1 - C(3,2)/C(5,2), and certain where fewer than k failed.
        assert!(close(pass_at_k(5, 2, 2), 0.7));
        assert!(close(pass_at_k(5, 4, 2), 1.0));
    }

    #[test]
    fn steady_outcomes_have_one_kind_and_alternating_ones_flip_each_time() {
        assert_eq!((flip_rate(&[1, 1, 1]), distinct_count(&[1, 1, 1])), (Some(0.0), 1));
        assert_eq!((flip_rate(&[1, 2, 1]), distinct_count(&[1, 2, 1])), (Some(1.0), 2));
        assert_eq!(flip_rate(&[1]), None);
        assert_eq!(normalised_entropy(&[1, 1, 1]), Some(0.0));
        assert!((normalised_entropy(&[1, 2, 3]).unwrap() - 1.0).abs() < 1e-12);
        assert!((normalised_entropy(&[1, 1, 2, 2]).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_first_divergence_is_where_one_differs_or_ends() {
        assert_eq!(first_divergence(b"abc", b"abd"), Some(2));
        assert_eq!(first_divergence(b"abc", b"ab"), Some(2));
        assert_eq!(first_divergence(b"abc", b"abc"), None);
        assert_eq!(first_divergence(b"", b"a"), Some(0));
    }
}
