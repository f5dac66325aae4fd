//! How sure a statement is to be.

use std::{fmt, str::FromStr};

use crate::special::normal_quantile;

/// A confidence level: the share of such statements that hold.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Confidence(f64);

/// Why something is no confidence level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no confidence between 0.5 and 1, such as 0.95")]
pub struct ConfidenceError {
    text: String,
}

impl Confidence {
    /// 95 %, the field's custom.
    pub const DEFAULT: Self = Self(0.95);

    /// Smallest and largest level taken. Beyond them, quantiles say nothing that anybody could measure. A choice.
    const RANGE: std::ops::RangeInclusive<f64> = 0.5..=0.999_999;

    /// This level.
    ///
    /// # Errors
    /// When it is not between one half and 0.999999.
    pub fn new(level: f64) -> Result<Self, ConfidenceError> {
        let refused = || ConfidenceError { text: level.to_string() };
        Self::RANGE.contains(&level).then_some(Self(level)).ok_or_else(refused)
    }

    /// The level as a number.
    pub fn level(self) -> f64 {
        self.0
    }

    /// The share of statements that do not hold: α.
    pub fn alpha(self) -> f64 {
        1.0 - self.0
    }

    /// The standard normal quantile that leaves α/2 on either side: 1.95996 for 0.95.
    pub fn z(self) -> f64 {
        normal_quantile(1.0 - self.alpha() / 2.0)
    }
}

impl Default for Confidence {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `95 %`.
impl fmt::Display for Confidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = format!("{:.4}", self.0 * 100.0);
        write!(formatter, "{} %", percent.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Confidence {
    type Err = ConfidenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ConfidenceError { text: text.chars().take(40).collect() };
        text.parse().ok().and_then(|level| Self::new(level).ok()).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_and_shown_and_what_is_none_is_refused() {
        assert_eq!("0.95".parse(), Ok(Confidence::DEFAULT));
        assert_eq!(Confidence::DEFAULT.to_string(), "95 %");
        assert_eq!(Confidence::new(0.999).unwrap().to_string(), "99.9 %");
        assert_eq!(
            "95".parse::<Confidence>().unwrap_err().to_string(),
            "`95` is no confidence between 0.5 and 1, such as 0.95"
        );
        assert!(["", "NaN", "1", "0", "-0.9", "inf"].iter().all(|text| text.parse::<Confidence>().is_err()));
    }

    #[test]
    fn the_quantiles_are_the_tables() {
        assert!((Confidence::DEFAULT.z() - 1.959_963_984_540_054).abs() < 1e-12);
        assert!((Confidence::new(0.99).unwrap().z() - 2.575_829_303_548_901).abs() < 1e-12);
    }
}
