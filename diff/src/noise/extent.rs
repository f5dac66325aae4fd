//! From where to where values were seen, and how far outside one may lie.

/// The smallest and the largest value that was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extent {
    low: f64,
    high: f64,
}

impl Extent {
    /// From `low` to `high`.
    pub(super) fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// True for what lies at most as far outside as the extent is wide. Of n values from any one distribution the next leaves the bare
    /// extent in 2 of n + 1 cases, so that this would be too narrow. Where nothing below 0 was seen, nothing below 0 is within.
    pub(super) fn has(&self, value: f64) -> bool {
        let wide = self.high - self.low;
        let is_below = value < self.low - wide || (self.low >= 0.0 && value < 0.0);
        !is_below && value <= self.high + wide
    }
}

/// The two smallest and the two largest values, so that it can be said whether the others would cover the outermost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    ends: Option<([f64; 2], [f64; 2])>,
}

impl Ends {
    /// Adds a value that was seen `count` times.
    pub(super) fn add(&mut self, value: f64, count: u64) {
        let (low, high) = self.ends.get_or_insert(([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]));
        for _ in 0..count.min(2) {
            if value < low[0] {
                *low = [value, low[0]];
            } else if value < low[1] {
                low[1] = value;
            }
            if value > high[0] {
                *high = [value, high[0]];
            } else if value > high[1] {
                high[1] = value;
            }
        }
    }

    /// From where to where.
    pub(super) fn extent(&self) -> Option<(f64, f64)> {
        self.ends.map(|(low, high)| (low[0], high[0]))
    }

    /// How many of the two outermost values the others would not cover.
    pub(super) fn alone(&self) -> u64 {
        let Some((low, high)) = self.ends.filter(|(low, _)| low[1].is_finite()) else { return 0 };
        let low_alone = !Extent::new(low[1], high[0]).has(low[0]);
        let high_alone = !Extent::new(low[0], high[1]).has(high[0]);
        u64::from(low_alone) + u64::from(high_alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_lie_as_far_outside_as_what_was_seen_is_wide() {
        let extent = Extent::new(10.0, 30.0);
        assert!([10.0, 0.0, 50.0].iter().all(|&value| extent.has(value)));
        assert!([-1.0, 50.1].iter().all(|&value| !extent.has(value)));
        assert!(Extent::new(36.0, 36.0).has(36.0) && !Extent::new(36.0, 36.0).has(35.0));
        assert!(!Extent::new(0.0, 100.0).has(-1.0) && Extent::new(-1.0, 100.0).has(-50.0));
    }

    #[test]
    fn the_outermost_value_is_alone_where_the_others_do_not_reach_as_far() {
        let alone = |values: &[(f64, u64)]| {
            let mut ends = Ends::default();
            values.iter().for_each(|&(value, count)| ends.add(value, count));
            (ends.extent().unwrap(), ends.alone())
        };
        assert_eq!(alone(&[(1.0, 1), (2.0, 1), (3.0, 1)]), ((1.0, 3.0), 0));
        assert_eq!(alone(&[(1.0, 1), (2.0, 1), (9.0, 1)]), ((1.0, 9.0), 1));
        assert_eq!(alone(&[(1.0, 1), (2.0, 1), (9.0, 2)]), ((1.0, 9.0), 0));
        assert_eq!(alone(&[(5.0, 3)]), ((5.0, 5.0), 0));
    }
}
