//! Two samples compared by ranks: nothing is assumed of how they are distributed.

use crate::{Confidence, Interval, special::normal_cdf};

/// Size of both samples, multiplied, up to which the distribution of U is counted out, where there are no ties. A choice.
const EXACT_PAIRS_MAX: usize = 2_500;

/// Values of a sample that go into the Hodges-Lehmann estimate; of more, so many at equal distances in order of size. A choice:
/// a million differences.
const SAMPLE_LEN_MAX: usize = 1_000;

/// How far one sample lies from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The estimate.
    pub estimate: f64,
    /// Its interval.
    pub interval: Interval,
}

/// What a rank-sum test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankSum {
    /// U of the first sample: in how many pairs the first sample's value is larger, equal ones as a half.
    pub u: f64,
    /// Two-sided probability under equal distributions: counted out where it can be, else as `asymptotic`.
    pub probability: f64,
    /// By the normal distribution, corrected for ties and for continuity.
    pub asymptotic: f64,
    /// How likely a value of the first sample is larger than one of the second: the common-language effect size (K. O. McGraw
    /// and S. P. Wong, Psychological Bulletin 111, 1992).
    pub larger: f64,
    /// How far the first lies above the second: the median of all differences (J. L. Hodges and E. L. Lehmann, Annals of
    /// Mathematical Statistics 34, 1963), with its interval.
    pub shift: Shift,
}

/// Mann and Whitney's test of two samples, two-sided (H. B. Mann and D. R. Whitney, Annals of Mathematical Statistics 18,
/// 1947). `None` where a sample is empty or has a value that is no number.
pub fn rank_sum(first: &[f64], second: &[f64], confidence: Confidence) -> Option<RankSum> {
    if first.is_empty() || second.is_empty() || first.iter().chain(second).any(|value| !value.is_finite()) {
        return None;
    }
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let (m, n) = (first.len() as f64, second.len() as f64);
    let rank_sum: f64 = midranks(&all)[..first.len()].iter().sum();
    let u = rank_sum - m * (m + 1.0) / 2.0;
    let ties = tie_term(&all);
    let asymptotic = asymptotic(u, m, n, ties, 0.5);
    let is_exact = ties == 0.0 && first.len().saturating_mul(second.len()) <= EXACT_PAIRS_MAX;
    Some(RankSum {
        u,
        probability: if is_exact { exact(u, first.len(), second.len()) } else { asymptotic },
        asymptotic,
        larger: u / (m * n),
        shift: shift(first, second, confidence)?,
    })
}

fn asymptotic(u: f64, m: f64, n: f64, ties: f64, continuity: f64) -> f64 {
    let all = m + n;
    let variance = m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    let off = (u - m * n / 2.0).abs() - continuity;
    if variance <= 0.0 || off <= 0.0 {
        return 1.0;
    }
    (2.0 * normal_cdf(-off / variance.sqrt())).min(1.0)
}

/// Twice the share of orders that give a U at least as far out. Counted by the recursion of Mann and Whitney.
fn exact(u: f64, m: usize, n: usize) -> f64 {
    let most = m * n;
    // ways[i][u] after j values of the second sample: orders of i first values with this U.
    let mut ways = vec![vec![0.0_f64; most + 1]; m + 1];
    ways.iter_mut().for_each(|of_len| of_len[0] = 1.0);
    for second in 1..=n {
        for len in 1..=m {
            for sum in (0..=most).rev() {
                // The largest value is one of the first sample, above all `second`, or one of the second.
                let with_first = if sum >= second { ways[len - 1][sum - second] } else { 0.0 };
                ways[len][sum] += with_first;
            }
        }
        // The row above was changed in place: with `len` rising, `ways[len - 1]` is this round's, as the recursion has it.
    }
    let all: f64 = ways[m].iter().sum();
    let far = u.max(most as f64 - u).ceil() as usize;
    let tail: f64 = ways[m][far.min(most)..].iter().sum();
    (2.0 * tail / all).min(1.0)
}

fn shift(first: &[f64], second: &[f64], confidence: Confidence) -> Option<Shift> {
    let sorted = |sample: &[f64]| {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        thinned(&sorted, SAMPLE_LEN_MAX)
    };
    let (first, second) = (sorted(first), sorted(second));
    let mut differences: Vec<f64> = first.iter().flat_map(|one| second.iter().map(move |other| one - other)).collect();
    differences.sort_by(f64::total_cmp);
    let (m, n) = (first.len() as f64, second.len() as f64);
    let from = (m * n / 2.0 - confidence.z() * (m * n * (m + n + 1.0) / 12.0).sqrt() - 0.5).floor();
    Some(Shift { estimate: median(&differences)?, interval: order_interval(&differences, from) })
}

/// The interval from the `from`th smallest to the `from`th largest value, counted from 0; all of it where there are too few.
pub(crate) fn order_interval(sorted: &[f64], from: f64) -> Interval {
    let at = if from >= 0.0 { from as usize } else { 0 };
    match (sorted.get(at), sorted.len().checked_sub(at + 1).and_then(|at| sorted.get(at))) {
        (Some(low), Some(high)) if from >= 0.0 && low <= high => Interval { low: *low, high: *high },
        _ => Interval { low: f64::NEG_INFINITY, high: f64::INFINITY },
    }
}

/// The middle value, or the mean of both; `None` of nothing.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted.get(middle).copied()
    } else {
        Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, *sorted.get(middle)?))
    }
}

/// At most `len_max` values at equal distances.
pub(crate) fn thinned(sorted: &[f64], len_max: usize) -> Vec<f64> {
    if sorted.len() <= len_max {
        return sorted.to_vec();
    }
    (0..len_max).map(|at| sorted[at * sorted.len() / len_max]).collect()
}

/// Ranks from 1, equal values sharing the mean of theirs.
pub(crate) fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&one, &other| values[one].total_cmp(&values[other]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    while at < order.len() {
        let end = order[at..].iter().take_while(|&&other| values[other] == values[order[at]]).count() + at;
        let rank = f64::midpoint(at as f64 + 1.0, end as f64);
        order[at..end].iter().for_each(|&of| ranks[of] = rank);
        at = end;
    }
    ranks
}

/// The sum of t³ − t over groups of t equal values.
pub(crate) fn tie_term(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let groups = sorted.chunk_by(|one, other| one == other).map(|group| group.len() as f64);
    groups.map(|len| len * len * len - len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALES: [f64; 5] = [19.0, 22.0, 16.0, 29.0, 24.0];
    const FEMALES: [f64; 4] = [20.0, 11.0, 17.0, 12.0];

    #[test]
    fn mann_and_whitneys_known_answers() {
        let found = rank_sum(&MALES, &FEMALES, Confidence::DEFAULT).unwrap();
        assert_eq!(found.u, 17.0);
        assert!((found.probability - 1.0 / 9.0).abs() < 1e-9, "{found:?}");
        assert!((found.asymptotic - 0.111_346_886_533).abs() < 1e-11, "{found:?}");
        assert!((asymptotic(17.0, 5.0, 4.0, 0.0, 0.0) - 0.086_410_733_0).abs() < 1e-9);
        assert!((found.larger - 0.85).abs() < 1e-12);
        let mirrored = rank_sum(&FEMALES, &MALES, Confidence::DEFAULT).unwrap();
        assert!((mirrored.probability - found.probability).abs() < 1e-12);
        assert!((mirrored.shift.estimate + found.shift.estimate).abs() < 1e-12);
    }

    #[test]
    fn the_shift_is_the_median_of_all_differences_and_lies_in_its_interval() {
        let first: Vec<f64> = (0..200).map(|at| f64::from(at * 37 % 100) + 5.0).collect();
        let second: Vec<f64> = (0..200).map(|at| f64::from(at * 37 % 100)).collect();
        let Shift { estimate, interval } = rank_sum(&first, &second, Confidence::DEFAULT).unwrap().shift;
        assert!((estimate - 5.0).abs() < 1e-9 && interval.low < 5.0 && interval.high > 5.0, "{estimate} {interval:?}");
        let few = rank_sum(&[1.0], &[2.0], Confidence::DEFAULT).unwrap().shift;
        assert!(few.interval.low.is_infinite() && few.interval.high.is_infinite());
    }

    #[test]
    fn all_equal_say_nothing_and_what_is_no_number_is_refused() {
        assert_eq!(rank_sum(&[1.0; 9], &[1.0; 9], Confidence::DEFAULT).unwrap().probability, 1.0);
        assert!(rank_sum(&[], &[1.0], Confidence::DEFAULT).is_none());
        assert!(rank_sum(&[f64::NAN], &[1.0], Confidence::DEFAULT).is_none());
        assert_eq!(midranks(&[3.0, 1.0, 3.0]), [2.5, 1.0, 2.5]);
        assert_eq!(tie_term(&[3.0, 1.0, 3.0]), 6.0);
    }
}
