//! Numbers that are near enough, where a rule says how near; and how far apart two lists of numbers are.
//!
//! In: numbers as they were written. Out: whether a tolerance covers their difference, and distances. Without a tolerance
//! numbers are compared as written and never come here.

use content::{
    base64,
    json::{Kind, Node},
};
use serde::{Deserialize, Serialize};

/// Numbers that make a list one vector. A choice: embeddings have hundreds, a list of counts a few.
pub(crate) const VECTOR_LEN_MIN: usize = 16;

/// Most differing numbers of a vector that are listed one by one. A choice.
pub(crate) const LISTED_MAX: usize = 8;

/// How far apart two lists of numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorChange {
    /// Numbers in each.
    pub len: u64,
    /// How many of them differ.
    pub differing: u64,
    /// The largest difference of two numbers at one position; absent where one is no finite double.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_abs: Option<Distance>,
    /// The cosine of the angle between them: 1 for one direction, 0 for no relation; absent where one has no length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<Distance>,
}

/// A finite double.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Distance(f64);

impl Eq for Distance {}

impl Distance {
    fn of(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// The distance of two lists of numbers of one length.
pub(crate) fn distance(one: &[Node<'_>], other: &[Node<'_>]) -> VectorChange {
    let read = |node: &Node<'_>| node.raw().parse().unwrap_or(f64::NAN);
    let differing = one.iter().zip(other).filter(|(one, other)| one.raw() != other.raw()).count();
    of_doubles(one.iter().map(read).zip(other.iter().map(read)), differing)
}

/// The distance of two vectors of little-endian 32-bit floats in base64, as providers send embeddings that were asked for so.
pub(crate) fn distance_base64(one: &str, other: &str) -> Option<VectorChange> {
    let read = |text: &str| -> Option<Vec<f32>> {
        let bytes = base64::decode(text).ok()?;
        let (floats, rest) = bytes.as_chunks::<4>();
        (rest.is_empty() && floats.len() >= VECTOR_LEN_MIN)
            .then(|| floats.iter().map(|it| f32::from_le_bytes(*it)).collect())
    };
    let (one, other) = (read(one)?, read(other)?);
    if one.len() != other.len() {
        return None;
    }
    let differing = one.iter().zip(&other).filter(|(one, other)| one.to_bits() != other.to_bits()).count();
    let doubles = |floats: Vec<f32>| floats.into_iter().map(f64::from);
    Some(of_doubles(doubles(one).zip(doubles(other)), differing))
}

/// The distance of two rows of numbers, which are compared as numbers.
pub(crate) fn distance_of(pairs: impl Iterator<Item = (f64, f64)>) -> VectorChange {
    let mut differing = 0;
    let counted = pairs.inspect(|(one, other)| differing += usize::from(one.to_bits() != other.to_bits()));
    let distance = of_doubles(counted, 0);
    VectorChange { differing: differing as u64, ..distance }
}

/// Cosine similarity is the dot product over the product of the lengths.
fn of_doubles(pairs: impl Iterator<Item = (f64, f64)>, differing: usize) -> VectorChange {
    let (mut len, mut max_abs, mut dot, mut one_square, mut other_square) = (0, 0.0_f64, 0.0, 0.0, 0.0);
    for (one, other) in pairs {
        len += 1;
        let difference = (one - other).abs();
        max_abs = if difference.is_nan() || max_abs.is_nan() { f64::NAN } else { max_abs.max(difference) };
        dot += one * other;
        one_square += one * one;
        other_square += other * other;
    }
    let cosine: f64 = dot / (one_square * other_square).sqrt();
    let cosine = Distance::of(cosine.clamp(-1.0, 1.0));
    VectorChange { len, differing: differing as u64, max_abs: Distance::of(max_abs), cosine }
}

/// How near two numbers have to be to count as equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tolerance {
    /// `abs:X`: their difference is at most X.
    Absolute(f64),
    /// `rel:X`: their difference is at most X times the larger of both.
    Relative(f64),
    /// `ulp:N`: as doubles, at most N steps lie between them.
    Ulp(u64),
    /// `cos:X`: of two vectors, the cosine is at least X.
    Cosine(f64),
}

impl Tolerance {
    /// Reads `abs:1e-6`, `rel:0.01`, `ulp:4` or `cos:0.999`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, size) = text.split_once(':')?;
        let number = || size.parse().ok().filter(|it: &f64| it.is_finite() && *it >= 0.0);
        match kind {
            "abs" => number().map(Self::Absolute),
            "rel" => number().map(Self::Relative),
            "ulp" => size.parse().ok().map(Self::Ulp),
            "cos" => number().filter(|it| *it <= 1.0).map(Self::Cosine),
            _ => None,
        }
    }

    /// True for numbers that are near enough. Those that no double can hold never are. Whole numbers are taken one from the other as
    /// they are written, since doubles round those beyond 2^53; all others as doubles.
    pub(crate) fn covers(self, one: &str, other: &str) -> bool {
        if let (Self::Absolute(most), Some(one), Some(other)) = (self, whole(one), whole(other)) {
            return one.abs_diff(other) <= most as u128;
        }
        let read = |text: &str| text.parse().ok().filter(|it: &f64| it.is_finite());
        let (Some(one), Some(other)) = (read(one), read(other)) else { return false };
        let difference = (one - other).abs();
        match self {
            Self::Absolute(most) => difference <= most,
            Self::Relative(most) => difference <= most * one.abs().max(other.abs()),
            Self::Ulp(most) => ordinal(one).abs_diff(ordinal(other)) <= most,
            Self::Cosine(_) => false,
        }
    }

    /// True for vectors that are near enough as a whole.
    pub(crate) fn covers_vector(self, distance: &VectorChange) -> bool {
        match self {
            Self::Absolute(most) => distance.max_abs.is_some_and(|it| it.get() <= most),
            Self::Cosine(least) => distance.cosine.is_some_and(|it| it.get() >= least),
            Self::Relative(_) | Self::Ulp(_) => false,
        }
    }
}

/// A whole number as it is written, of up to 38 digits.
fn whole(text: &str) -> Option<i128> {
    text.parse().ok()
}

/// A double's place among all doubles: that of the next one is one more.
fn ordinal(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits }
}

/// True for a number that is a whole one.
pub(crate) fn is_whole(node: Node<'_>) -> bool {
    node.kind() == Kind::Number && node.raw().bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(tolerance: &str, one: &str, other: &str) -> bool {
        Tolerance::parse(tolerance).unwrap().covers(one, other)
    }

    #[test]
    fn each_kind_of_tolerance_ends_where_it_says() {
        assert!(covers("abs:0.5", "1", "1.5") && !covers("abs:0.5", "1", "1.51"));
        assert!(covers("rel:0.1", "100", "90") && !covers("rel:0.1", "100", "89"));
        assert!(covers("ulp:1", "0.1", "0.10000000000000002") && !covers("ulp:1", "0.1", "0.10000000000000003"));
        assert!(covers("ulp:2", "5e-324", "-5e-324") && !covers("ulp:1", "5e-324", "-5e-324"));
        assert!(!covers("abs:1", "1e999", "1e999"), "no double holds them");
        let (long, longer) = ("123456789012345678901234567890", "123456789012345678901234567891");
        assert!(!covers("abs:0.5", "9007199254740993", "9007199254740992") && !covers("abs:0.5", long, longer));
        assert!(covers("abs:1.5", "-9007199254740993", "-9007199254740992") && covers("abs:1", long, longer));
        for text in ["abs", "abs:", "abs:-1", "abs:nan", "rel:inf", "ulp:1.5", "cos:2", "near:1", ""] {
            assert_eq!(Tolerance::parse(text), None, "{text}");
        }
    }

    #[test]
    fn vectors_have_a_cosine_and_a_largest_difference() {
        let apart = of_doubles([(1.0, 0.0), (0.0, 1.0)].into_iter(), 2);
        assert_eq!((apart.cosine.unwrap().get(), apart.max_abs.unwrap().get()), (0.0, 1.0));
        let same_way = of_doubles([(1.0, 2.0), (2.0, 4.0)].into_iter(), 2);
        assert!((same_way.cosine.unwrap().get() - 1.0).abs() < 1e-12);
        assert_eq!(of_doubles([(0.0, 1.0)].into_iter(), 1).cosine, None, "one has no length");
        assert_eq!(of_doubles([(f64::INFINITY, 1.0)].into_iter(), 1).max_abs, None);
    }
}
