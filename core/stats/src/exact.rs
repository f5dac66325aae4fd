//! Exact tests, and what becomes of their probabilities where there are several.

use crate::special::ln_choose;

/// How much more than the observed table's probability one may have and still count as no likelier, relatively: rounding.
const AS_LIKELY: f64 = 1e-9;

/// Fisher's exact test of a table of two rows and two columns, two-sided: the probability, margins given and rows alike, of a
/// table no likelier than this one (R. A. Fisher, JRSS 98, 1935; two-sided as R and scipy have it).
pub fn fisher_exact(table: [[u64; 2]; 2]) -> f64 {
    let [[a, b], [c, d]] = table;
    let (first_row, first_column, all) = (a + b, a + c, a + b + c + d);
    let ln_all = ln_choose(all, first_column);
    let probability = |x: u64| (ln_choose(first_row, x) + ln_choose(all - first_row, first_column - x) - ln_all).exp();
    let smallest = first_column.saturating_sub(all - first_row);
    let largest = first_row.min(first_column);
    let observed = probability(a) * (1.0 + AS_LIKELY);
    (smallest..=largest).map(probability).filter(|&one| one <= observed).sum::<f64>().min(1.0)
}

/// Holm's correction: probabilities of several tests made such that the chance of any false alarm stays that of one
/// (S. Holm, Scand. J. Stat. 6, 1979). In the order given.
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&one, &other| probabilities[one].total_cmp(&probabilities[other]));
    let mut corrected = vec![0.0; probabilities.len()];
    let mut largest: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        let left = probabilities.len() - rank;
        largest = largest.max(probabilities[at] * left as f64).min(1.0);
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fishers_known_answers() {
        assert!((fisher_exact([[8, 2], [1, 5]]) - 0.034_965_034_965).abs() < 1e-10);
        // The lady tasting tea, all right and one wrong, two-sided.
        assert!((fisher_exact([[4, 0], [0, 4]]) - 2.0 / 70.0).abs() < 1e-12);
        assert!((fisher_exact([[3, 1], [1, 3]]) - 34.0 / 70.0).abs() < 1e-12);
    }

    #[test]
    fn tables_that_say_nothing_have_probability_one() {
        for table in [[[0, 0], [0, 0]], [[5, 0], [0, 0]], [[5, 5], [0, 0]], [[5, 5], [5, 5]], [[0, 5], [0, 9]]] {
            assert!((fisher_exact(table) - 1.0).abs() < 1e-9, "{table:?}");
        }
    }

    #[test]
    fn holm_multiplies_the_smallest_by_all_and_never_turns_the_order_around() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(corrected.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-12), "{corrected:?}");
        assert!(holm(&[]).is_empty());
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
