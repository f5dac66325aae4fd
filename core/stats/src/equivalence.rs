//! Is the second no worse than the first, within a margin? A lack of data is never a yes.

use crate::Interval;

/// Fewest pairs of which anything good is said. A choice, as ALGORITHMS C5 has it.
pub const PAIRS_MIN: u64 = 50;

/// What can be said of a metric for which less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The whole interval of the difference lies within the margin.
    Equivalent,
    /// Less than before, beyond chance.
    Improved,
    /// More than before, beyond chance and not proved to be within the margin.
    Regressed,
    /// Neither: so many pairs are needed, as far as these say.
    Inconclusive {
        /// Pairs in all.
        needed: u64,
    },
}

impl Standing {
    /// ALGORITHMS' word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Equivalent => "equivalent",
            Self::Improved => "improved",
            Self::Regressed => "regressed",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }

    /// Of a `difference` (second less first) over so many pairs. `interval` has the confidence 1 − 2α, so that equivalence is
    /// two one-sided tests of level α each (D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987).
    /// `is_beyond_chance` is the word of a test of level α, corrected where there are several metrics. From fewer than
    /// [`PAIRS_MIN`] pairs nothing good follows. An interval that ends at 0 is on one side of it: where many pairs are equal, it does,
    /// however surely the others lie on one side.
    pub fn of(pairs: u64, difference: f64, interval: Interval, margin: f64, is_beyond_chance: bool) -> Self {
        let is_within = interval.low > -margin && interval.high < margin;
        let is_enough = pairs >= PAIRS_MIN;
        if is_within && is_enough {
            return Self::Equivalent;
        }
        if interval.low >= 0.0 && interval.high > 0.0 && is_beyond_chance && !is_within {
            return Self::Regressed;
        }
        if interval.high <= 0.0 && interval.low < 0.0 && is_beyond_chance && is_enough {
            return Self::Improved;
        }
        Self::Inconclusive { needed: pairs_needed(pairs, difference, interval, margin) }
    }
}

/// How many pairs make the interval narrow enough, if the difference stays what it is: widths go with 1/√n. To lie within the
/// margin where the difference does, else to lie on one side of 0. At least [`PAIRS_MIN`]; at least one more than there are.
pub fn pairs_needed(pairs: u64, difference: f64, interval: Interval, margin: f64) -> u64 {
    let half_width = (interval.high - interval.low) / 2.0;
    let room = if difference.abs() < margin { margin - difference.abs() } else { difference.abs() };
    let factor = (half_width / room).powi(2);
    let needed = (pairs as f64 * factor).ceil();
    // Of an interval without end nothing can be said but that more is needed.
    let needed = if needed.is_finite() { needed as u64 } else { 0 };
    needed.max(PAIRS_MIN).max(pairs.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Confidence, paired_rate_difference};

    fn standing(pairs: u64, difference: f64, low: f64, high: f64) -> Standing {
        Standing::of(pairs, difference, Interval { low, high }, 0.05, low > 0.0 || high < 0.0)
    }

    #[test]
    fn the_whole_interval_has_to_lie_within_the_margin() {
        assert_eq!(standing(200, 0.0, -0.03, 0.03), Standing::Equivalent);
        assert_eq!(standing(200, 0.01, 0.001, 0.03), Standing::Equivalent);
        assert_eq!(standing(200, 0.08, 0.02, 0.14), Standing::Regressed);
        assert_eq!(standing(200, -0.08, -0.14, -0.02), Standing::Improved);
        assert!(matches!(standing(200, 0.02, -0.03, 0.07), Standing::Inconclusive { .. }));
    }

    #[test]
    fn a_lack_of_pairs_is_never_good_and_may_be_bad() {
        assert_eq!(standing(49, 0.0, -0.01, 0.01), Standing::Inconclusive { needed: 50 });
        assert_eq!(standing(0, 0.0, f64::NEG_INFINITY, f64::INFINITY), Standing::Inconclusive { needed: 50 });
        assert_eq!(standing(30, 0.5, 0.3, 0.7), Standing::Regressed);
    }

    #[test]
    fn so_many_pairs_as_are_said_to_be_needed_are_enough() {
        let interval = |pairs| paired_rate_difference(pairs, 0, 0, Confidence::new(0.9).unwrap()).unwrap();
        let (difference, found) = interval(20);
        let Standing::Inconclusive { needed } = Standing::of(20, difference, found, 0.05, false) else { panic!() };
        let (difference, found) = interval(needed);
        assert_eq!(Standing::of(needed, difference, found, 0.05, false), Standing::Equivalent, "{needed}");
        // An eighth of the requests is off, and half as many the other way.
        let split = |pairs: u64| paired_rate_difference(pairs, pairs / 16, pairs / 8, Confidence::new(0.9).unwrap());
        let (difference, found) = split(160).unwrap();
        let Standing::Inconclusive { needed } = Standing::of(160, difference, found, 0.05, false) else { panic!() };
        let (difference, found) = split(needed * 11 / 10).unwrap();
        assert!(found.low > 0.0, "{needed} {difference} {found:?}");
    }
}
