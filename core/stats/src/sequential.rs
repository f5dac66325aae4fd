//! Tests that may be looked at after every observation, and still hold their rate of error.

use crate::special::ln_gamma;

/// The mixture sequential probability ratio of a mean difference: Λ = √(V/(V+nτ²))·exp(n²τ²θ̂²/(2V(V+nτ²))), for `count`
/// observations with mean `mean`, variance `variance` of one (of paired differences var(d), of two samples 2σ²) and mixing
/// variance `mixing` = τ², the square of the smallest effect that matters. Stop once it is 1/α or more (R. Johari et al.,
/// "Always valid inference", Operations Research 70, 2022).
pub fn mixture_ratio(mean: f64, count: u64, variance: f64, mixing: f64) -> f64 {
    let n = count as f64;
    let wide = variance + n * mixing;
    (variance / wide).sqrt() * (n * n * mixing * mean * mean / (2.0 * variance * wide)).exp()
}

/// The probability that holds at any time, from the largest ratio so far: min(1, 1/Λ).
pub fn always_valid_probability(ratio_max: f64) -> f64 {
    (1.0 / ratio_max).min(1.0)
}

/// The evidence against a rate of `rate`, after `events` of `of`, mixed over a Beta(½, ½): B(½+k, ½+n−k)/B(½, ½) over
/// p₀ᵏ(1−p₀)ⁿ⁻ᵏ. With probability 1−α it never reaches 1/α where the rate is what was said (J. Ville, 1939). `rate` lies
/// between 0 and 1, both left out.
pub fn beta_mixture_evidence(events: u64, of: u64, rate: f64) -> f64 {
    let (k, n) = (events.min(of) as f64, of as f64);
    let ln_beta = |a: f64, b: f64| ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    let ln_null = k * rate.ln() + (n - k) * (-rate).ln_1p();
    (ln_beta(0.5 + k, 0.5 + n - k) - ln_beta(0.5, 0.5) - ln_null).exp()
}

/// Wald's sequential probability ratio test between two rates (A. Wald, Annals of Mathematical Statistics 16, 1945).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatioTest {
    /// At or below it, the lower rate holds: ln(β/(1−α)).
    pub lower: f64,
    /// At or above it, the higher rate holds: ln((1−β)/α).
    pub upper: f64,
    /// What an event adds.
    pub event: f64,
    /// What no event adds, a number below 0.
    pub no_event: f64,
}

impl RatioTest {
    /// Between `low` and `high`, with at most `alpha` false alarms and `beta` missed ones; all between 0 and 1.
    pub fn new(low: f64, high: f64, alpha: f64, beta: f64) -> Self {
        Self {
            lower: (beta / (1.0 - alpha)).ln(),
            upper: ((1.0 - beta) / alpha).ln(),
            event: (high / low).ln(),
            no_event: ((1.0 - high) / (1.0 - low)).ln(),
        }
    }

    /// Where so many events of so many stand.
    pub fn standing(&self, events: u64, of: u64) -> f64 {
        events as f64 * self.event + of.saturating_sub(events) as f64 * self.no_event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_the_mixture_ratio() {
        for (mean, count, ratio, probability) in [
            (0.1, 100, 0.887_453_440_2, 1.0),
            (0.1, 1_000, 3.278_721_627_5, 0.304_996_920_6),
            (0.2, 500, 19.011_557_566_0, 0.052_599_583_0),
            (0.0, 1_000, 0.408_248_290_5, 1.0),
        ] {
            let found = mixture_ratio(mean, count, 2.0, 0.01);
            assert!((found - ratio).abs() < 1e-8, "{mean} {count}: {found}");
            assert!((always_valid_probability(found) - probability).abs() < 1e-8);
        }
    }

    #[test]
    fn known_answers_of_the_beta_mixture() {
        for (events, of, rate, evidence) in [
            (5, 20, 0.05, 15.838_487_5),
            (3, 50, 0.05, 0.116_652_918_0),
            (12, 15, 0.5, 3.627_441_4),
            (10, 100, 0.05, 0.625_993_627_0),
        ] {
            let found = beta_mixture_evidence(events, of, rate);
            assert!((found / evidence - 1.0).abs() < 1e-6, "{events}/{of}: {found}");
        }
    }

    #[test]
    fn known_answers_of_the_ratio_test() {
        let test = RatioTest::new(0.01, 0.05, 0.05, 0.10);
        for (found, expected) in [
            (test.lower, -2.251_291_8),
            (test.upper, 2.890_371_8),
            (test.event, 1.609_437_9),
            (test.no_event, -0.041_243_0),
        ] {
            assert!((found - expected).abs() < 1e-7, "{found}");
        }
        assert!((test.standing(2, 10) - (2.0 * test.event + 8.0 * test.no_event)).abs() < 1e-12);
    }

    /// A number between 0 and 1 from a counter (Vigna's splitmix64).
    fn chance(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[test]
    fn looked_at_after_every_observation_both_keep_their_rate_of_false_alarms() {
        let mut seed = 7;
        let (mut of_mean, mut of_rate, mut naive) = (0, 0, 0);
        const TRIALS: u32 = 400;
        for _ in 0..TRIALS {
            let (mut sum, mut events) = (0.0, 0);
            let (mut by_mean, mut by_rate, mut by_z) = (false, false, false);
            for at in 1..=500_u64 {
                // The sum of twelve is as good as normal, with variance 1.
                let value: f64 = (0..12).map(|_| chance(&mut seed)).sum::<f64>() - 6.0;
                sum += value;
                events += u64::from(chance(&mut seed) < 0.05);
                by_mean |= mixture_ratio(sum / at as f64, at, 1.0, 0.01) >= 20.0;
                by_rate |= beta_mixture_evidence(events, at, 0.05) >= 20.0;
                by_z |= at >= 10 && (sum / (at as f64).sqrt()).abs() > 1.96;
            }
            of_mean += u32::from(by_mean);
            of_rate += u32::from(by_rate);
            naive += u32::from(by_z);
        }
        assert!(of_mean <= TRIALS / 20 && of_rate <= TRIALS / 20, "{of_mean} {of_rate}");
        assert!(naive > TRIALS / 5, "{naive}");
    }
}
