//! How often something happened, and between what bounds its rate may be.

use std::fmt;

use crate::{
    Confidence,
    special::{bisect, incomplete_beta},
};

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// How often it happened.
    pub events: u64,
    /// How often it could have.
    pub of: u64,
}

/// The bounds of a rate, both between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Interval {
    /// Nothing is known.
    pub const ALL: Self = Self { low: 0.0, high: 1.0 };

    /// True when some rate lies in both. Two intervals that do not overlap speak for two rates; two that do prove nothing.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// `2.1 % to 8.3 %`.
impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {}", percent(self.low), percent(self.high))
    }
}

/// With two significant digits below 1 %, else with one decimal.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.01 {
        return "below 0.01 %".to_owned();
    }
    let text = if percent < 1.0 { format!("{percent:.2}") } else { format!("{percent:.1}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

impl Rate {
    /// `events` of `of`; never more than all.
    pub fn new(events: u64, of: u64) -> Self {
        Self { events: events.min(of), of }
    }

    /// The share that was seen; `None` of nothing.
    pub fn share(&self) -> Option<f64> {
        (self.of > 0).then(|| self.events as f64 / self.of as f64)
    }

    /// The share as a person reads it: `2.3 %`.
    pub fn percent(&self) -> String {
        self.share().map_or_else(|| "unknown".to_owned(), percent)
    }

    /// Wilson's score interval: centre (p + z²/2n)/(1 + z²/n), half-width z/(1 + z²/n)·√(p(1−p)/n + z²/4n²)
    /// (E. B. Wilson, JASA 22, 1927). Of nothing: all rates.
    pub fn wilson(&self, confidence: Confidence) -> Interval {
        let Some(share) = self.share() else { return Interval::ALL };
        let (n, z) = (self.of as f64, confidence.z());
        let scale = 1.0 / (1.0 + z * z / n);
        let centre = scale * (share + z * z / (2.0 * n));
        let half_width = scale * z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        // At the ends the formula gives 0 and 1; rounding may not.
        let low = if self.events == 0 { 0.0 } else { (centre - half_width).max(0.0) };
        let high = if self.events == self.of { 1.0 } else { (centre + half_width).min(1.0) };
        Interval { low, high }
    }

    /// The exact interval: the rates under which neither so few nor so many would be rarer than α/2 (C. J. Clopper and
    /// E. S. Pearson, Biometrika 26, 1934). It covers at least what it promises, and is wider than Wilson's.
    pub fn clopper_pearson(&self, confidence: Confidence) -> Interval {
        let (k, n, half) = (self.events as f64, self.of as f64, confidence.alpha() / 2.0);
        // P(X >= k) = I_p(k, n-k+1) and P(X <= k) = 1 - I_p(k+1, n-k).
        let low = if self.events == 0 { 0.0 } else { bisect(0.0, 1.0, |p| incomplete_beta(k, n - k + 1.0, p) < half) };
        let high = if self.events == self.of {
            1.0
        } else {
            bisect(0.0, 1.0, |p| 1.0 - incomplete_beta(k + 1.0, n - k, p) > half)
        };
        Interval { low, high }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(interval: Interval, low: f64, high: f64, by: f64) -> bool {
        (interval.low - low).abs() < by && (interval.high - high).abs() < by
    }

    #[test]
    fn wilsons_known_answers() {
        let wilson = |events, of| Rate::new(events, of).wilson(Confidence::DEFAULT);
        assert!(close(wilson(0, 10), 0.0, 0.277_532_8, 1e-7));
        assert!(close(wilson(1, 10), 0.017_876_2, 0.404_150_0, 1e-7));
        assert!(close(wilson(9, 10), 0.595_850_0, 0.982_123_8, 1e-7));
        assert!(close(wilson(80, 1000), 0.064_748_0, 0.098_466_4, 1e-7));
        assert_eq!(wilson(0, 0), Interval::ALL);
    }

    #[test]
    fn clopper_and_pearsons_known_answers() {
        let exact = |events, of| Rate::new(events, of).clopper_pearson(Confidence::DEFAULT);
        assert!(close(exact(1, 10), 0.002_528_58, 0.445_016_12, 1e-8));
        assert!(close(exact(0, 10), 0.0, 0.308_497_11, 1e-8));
        assert!(close(exact(10, 10), 1.0 - 0.308_497_11, 1.0, 1e-8));
        assert_eq!(exact(0, 0), Interval::ALL);
    }

    #[test]
    fn intervals_that_touch_overlap_and_those_apart_do_not() {
        let interval = |low, high| Interval { low, high };
        assert!(interval(0.0, 0.2).overlaps(&interval(0.2, 0.5)));
        assert!(interval(0.1, 0.2).overlaps(&interval(0.0, 1.0)));
        assert!(!interval(0.0, 0.2).overlaps(&interval(0.21, 0.5)));
    }

    #[test]
    fn shares_are_shown_with_the_digits_that_matter() {
        assert_eq!(Rate::new(7, 300).percent(), "2.3 %");
        assert_eq!(Rate::new(1, 300).percent(), "0.33 %");
        assert_eq!(Rate::new(0, 300).percent(), "0 %");
        assert_eq!(Rate::new(300, 300).percent(), "100 %");
        assert_eq!(Rate::new(0, 0).percent(), "unknown");
        assert_eq!(Interval { low: 0.000_01, high: 0.05 }.to_string(), "below 0.01 % to 5 %");
    }

    proptest! {
        #[test]
        fn both_intervals_hold_the_share_and_mirror_when_failures_are_counted_as_passes(
            of in 1..100_000_u64, part in 0.0..=1.0_f64, level in 0.5..0.999_f64,
        ) {
            let events = (of as f64 * part) as u64;
            let confidence = Confidence::new(level).unwrap();
            let (rate, mirrored) = (Rate::new(events, of), Rate::new(of - events, of));
            let share = rate.share().unwrap();
            for (interval, other) in [
                (rate.wilson(confidence), mirrored.wilson(confidence)),
                (rate.clopper_pearson(confidence), mirrored.clopper_pearson(confidence)),
            ] {
                prop_assert!(interval.low <= share + 1e-9 && share <= interval.high + 1e-9);
                prop_assert!(close(interval, 1.0 - other.high, 1.0 - other.low, 1e-8));
            }
        }
    }
}
