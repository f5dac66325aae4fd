//! Pairs: the same request answered twice. Which of two is worse, told from the pairs in which they differ.

use crate::{
    Confidence, Interval,
    ranks::{Shift, median, midranks, tie_term},
    special::{ln_choose, normal_cdf},
};

/// Pairs up to which the signed-rank distribution is counted out, where there are no ties. As R has it.
const EXACT_LEN_MAX: usize = 50;

/// Pairs that go into the Hodges-Lehmann estimate; of more, so many at equal distances in order of size. A choice: two million
/// averages.
const WALSH_LEN_MAX: usize = 2_000;

/// McNemar's exact test, two-sided: of pairs of yes and no, `first_only` were yes on the first side only, `second_only` on the
/// second only. The probability, under no difference, of a split at least as uneven (Q. McNemar, Psychometrika 12, 1947; exact
/// by the binomial distribution).
pub fn mcnemar_exact(first_only: u64, second_only: u64) -> f64 {
    let all = first_only + second_only;
    let fewer = first_only.min(second_only);
    let half = -(all as f64) * std::f64::consts::LN_2;
    let tail: f64 = (0..=fewer).map(|at| (ln_choose(all, at) + half).exp()).sum();
    (2.0 * tail).min(1.0)
}

/// The difference of two rates over the same `pairs`, second less first, with its interval: one half is added to each of the
/// four cells, then Wald's interval is taken (A. Agresti and Y. Min, Statistics in Medicine 24, 2005). `None` of no pairs.
pub fn paired_rate_difference(
    pairs: u64,
    first_only: u64,
    second_only: u64,
    confidence: Confidence,
) -> Option<(f64, Interval)> {
    if pairs == 0 {
        return None;
    }
    let seen = (second_only as f64 - first_only as f64) / pairs as f64;
    let (n, fewer, more) = (pairs as f64 + 2.0, first_only as f64 + 0.5, second_only as f64 + 0.5);
    let centre = (more - fewer) / n;
    let variance = ((fewer + more) - (more - fewer).powi(2) / n).max(0.0);
    let half_width = confidence.z() * variance.sqrt() / n;
    Some((seen, Interval { low: (centre - half_width).max(-1.0), high: (centre + half_width).min(1.0) }))
}

/// What a signed-rank test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// The sum of the ranks of positive differences.
    pub positive: f64,
    /// Two-sided probability under differences that are symmetric about 0.
    pub probability: f64,
    /// How far the differences are shifted: the median of all averages of two (Hodges and Lehmann), with its interval.
    pub shift: Shift,
}

/// Wilcoxon's signed-rank test of paired differences (F. Wilcoxon, Biometrics Bulletin 1, 1945). Zeroes are left out. Exact up to
/// 50 pairs without ties, else by the normal distribution with correction for ties and continuity. `None` where all are 0.
pub fn signed_rank(differences: &[f64], confidence: Confidence) -> Option<SignedRank> {
    let left: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    if left.is_empty() || left.iter().any(|difference| !difference.is_finite()) {
        return None;
    }
    let sizes: Vec<f64> = left.iter().map(|difference| difference.abs()).collect();
    let ranks = midranks(&sizes);
    let positive: f64 =
        ranks.iter().zip(&left).filter(|(_, difference)| **difference > 0.0).map(|(rank, _)| rank).sum();
    let n = left.len() as f64;
    let ties = tie_term(&sizes);
    let probability = if left.len() <= EXACT_LEN_MAX && ties == 0.0 {
        exact_probability(left.len(), positive)
    } else {
        let (mean, variance) = (n * (n + 1.0) / 4.0, n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0);
        let off = ((positive - mean).abs() - 0.5).max(0.0);
        (2.0 * normal_cdf(-off / variance.sqrt())).min(1.0)
    };
    Some(SignedRank { positive, probability, shift: walsh_shift(differences, confidence)? })
}

/// How many of the 2^n ways to give signs make the sum no larger, and no smaller: twice the smaller share.
fn exact_probability(len: usize, positive: f64) -> f64 {
    let most = len * (len + 1) / 2;
    let mut ways = vec![0.0_f64; most + 1];
    ways[0] = 1.0;
    for rank in 1..=len {
        for sum in (rank..=most).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let all = 2_f64.powi(i32::try_from(len).unwrap_or(i32::MAX));
    // Without ties the sum is a whole number.
    let sum = positive.round() as usize;
    let below: f64 = ways[..=sum.min(most)].iter().sum();
    let above: f64 = ways[sum.min(most)..].iter().sum();
    (2.0 * below.min(above) / all).min(1.0)
}

/// The median of all averages of two differences, one with itself too, and its interval by the signed-rank distribution.
fn walsh_shift(differences: &[f64], confidence: Confidence) -> Option<Shift> {
    let mut sorted = differences.to_vec();
    sorted.sort_by(f64::total_cmp);
    let taken = crate::ranks::thinned(&sorted, WALSH_LEN_MAX);
    let n = taken.len();
    let mut averages = Vec::with_capacity(n * (n + 1) / 2);
    for (at, one) in taken.iter().enumerate() {
        averages.extend(taken[at..].iter().map(|other| f64::midpoint(*one, *other)));
    }
    averages.sort_by(f64::total_cmp);
    let size = n as f64;
    let spread = (size * (size + 1.0) * (2.0 * size + 1.0) / 24.0).sqrt();
    let from = (size * (size + 1.0) / 4.0 - confidence.z() * spread - 0.5).floor();
    Some(Shift { estimate: median(&averages)?, interval: crate::ranks::order_interval(&averages, from) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemars_known_answers() {
        for (first, second, expected) in
            [(12, 3, 0.035_156_25), (5, 0, 0.062_5), (6, 0, 0.031_25), (10, 2, 0.038_574_22), (0, 0, 1.0), (4, 4, 1.0)]
        {
            assert!((mcnemar_exact(first, second) - expected).abs() < 1e-8, "{first} {second}");
            assert!((mcnemar_exact(second, first) - expected).abs() < 1e-8);
        }
    }

    #[test]
    fn a_difference_of_paired_rates_has_an_interval_that_mirrors() {
        let (seen, interval) = paired_rate_difference(100, 3, 12, Confidence::DEFAULT).unwrap();
        let (mirrored, other) = paired_rate_difference(100, 12, 3, Confidence::DEFAULT).unwrap();
        assert!((seen - 0.09).abs() < 1e-12 && (mirrored + 0.09).abs() < 1e-12);
        assert!((interval.low + other.high).abs() < 1e-12 && (interval.high + other.low).abs() < 1e-12);
        // ((12.5 - 3.5)/102) ± 1.96·√(16 - 81/102)/102.
        assert!((interval.low - 0.013_306).abs() < 2e-6 && (interval.high - 0.163_165).abs() < 1e-5, "{interval:?}");
        assert!(paired_rate_difference(0, 0, 0, Confidence::DEFAULT).is_none());
    }

    #[test]
    #[expect(clippy::approx_constant, reason = "3.14 was measured, on no circle")]
    fn wilcoxons_known_answers() {
        // Hollander and Wolfe's depression data, as in R's `wilcox.test`: V = 40, p = 0.03906.
        let before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        let after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let differences: Vec<f64> = before.iter().zip(after).map(|(before, after)| before - after).collect();
        let found = signed_rank(&differences, Confidence::DEFAULT).unwrap();
        assert_eq!(found.positive, 40.0);
        assert!((found.probability - 0.039_062_5).abs() < 1e-9, "{found:?}");
        assert!((found.shift.estimate - 0.46).abs() < 1e-9, "{found:?}");
        assert!(found.shift.interval.low < 0.46 && found.shift.interval.high > 0.46);
        assert!(signed_rank(&[0.0, 0.0], Confidence::DEFAULT).is_none());
        assert!(signed_rank(&[], Confidence::DEFAULT).is_none());
    }

    #[test]
    fn many_pairs_that_are_shifted_are_found_and_their_shift_is_within_the_interval() {
        let differences: Vec<f64> = (0..5_000).map(|at| f64::from((at * 7_919) % 1_000) / 1_000.0 - 0.4).collect();
        let found = signed_rank(&differences, Confidence::DEFAULT).unwrap();
        assert!(found.probability < 1e-6 && (found.shift.estimate - 0.1).abs() < 0.01, "{found:?}");
        assert!(found.shift.interval.low < 0.1 && found.shift.interval.high > 0.098, "{found:?}");
    }
}
