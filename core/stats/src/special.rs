//! The few special functions that intervals and exact tests stand on.
//!
//! Accurate to about 1e-12 where they are used; none is fast, since none is called in a loop over data.

/// Coefficients of Lanczos' approximation of Γ with g = 7 and nine terms (P. Godfrey, 2001): relative error below 1e-15.
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];
const LANCZOS_G: f64 = 7.0;

/// Terms after which a series or a continued fraction is taken as it is. Far more than any needs.
const TERMS_MAX: u32 = 100_000;
/// A bisection of the doubles between 0 and 1 is done after so many halvings.
const HALVINGS: u32 = 120;

/// ln Γ(x) for x > 0.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    let x = x - 1.0;
    let terms = (1_u32..).zip(&LANCZOS[1..]).map(|(at, coefficient)| coefficient / (x + f64::from(at)));
    let sum: f64 = LANCZOS[0] + terms.sum::<f64>();
    let t = x + LANCZOS_G + 0.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// ln C(n, k); minus infinity where there is no such choice.
pub(crate) fn ln_choose(n: u64, k: u64) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    let ln_factorial = |n: u64| ln_gamma(n as f64 + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// The standard normal distribution function Φ: by its Taylor series near 0 (Abramowitz & Stegun 26.2.10), by Laplace's
/// continued fraction in the tails (26.2.14).
pub(crate) fn normal_cdf(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    if x.abs() < 3.0 {
        let (mut term, mut sum, mut divisor) = (x, x, 1.0);
        while term.abs() > 1e-17 * sum.abs() {
            divisor += 2.0;
            term *= x * x / divisor;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let far = x.abs();
    let fraction = (1..=200).rev().fold(far, |below, at| far + f64::from(at) / below);
    let tail = density / fraction;
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The standard normal quantile: the x where Φ(x) is `p`, for 0 < p < 1. Found by bisection, so that it is as good as Φ.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    bisect(-40.0, 40.0, |x| normal_cdf(x) < p)
}

/// The regularised incomplete beta function I_x(a, b) for a, b > 0: by its continued fraction (DLMF 8.17.22) after Lentz.
pub(crate) fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let ln_front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    ln_front.exp() / a / beta_fraction(a, b, x)
}

/// The continued fraction 1 + d₁/(1 + d₂/(1 + …)).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut fraction, mut c, mut d) = (1.0, 1.0, 0.0);
    for at in 1..TERMS_MAX {
        let m = f64::from(at / 2);
        let coefficient = if at % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / away_from_zero(1.0 + coefficient * d);
        c = away_from_zero(1.0 + coefficient / c);
        let step: f64 = c * d;
        fraction *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// Where `is_below` turns from true to false between `low` and `high`.
pub(crate) fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        *if is_below(middle) { &mut low } else { &mut high } = middle;
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_is_the_factorial() {
        assert!((ln_gamma(5.0) - 24_f64.ln()).abs() < 1e-13);
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-13);
        assert!((ln_choose(60, 30).exp() / 118_264_581_564_861_424.0 - 1.0).abs() < 1e-11);
        assert_eq!(ln_choose(2, 3), f64::NEG_INFINITY);
    }

    #[test]
    fn the_normal_distribution_is_the_tables_on_both_branches() {
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_746_068_542_9), (-2.0, 0.022_750_131_948_179_2)] {
            assert!((normal_cdf(x) - p).abs() < 1e-14, "{x}");
        }
        assert!((normal_cdf(-4.0) / 3.167_124_183_311_992e-5 - 1.0).abs() < 1e-12);
        assert!((normal_cdf(2.999_999_9) - normal_cdf(3.000_000_1)).abs() < 1e-9);
    }

    #[test]
    fn the_incomplete_beta_function_is_a_binomial_tail() {
        // P(X >= 3) of 10 throws at 0.2: 1 - 0.6777995264.
        assert!((incomplete_beta(3.0, 8.0, 0.2) - 0.322_200_473_6).abs() < 1e-12);
        assert!((incomplete_beta(8.0, 3.0, 0.8) - 0.677_799_526_4).abs() < 1e-12);
    }
}
