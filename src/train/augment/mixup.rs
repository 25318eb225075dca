//! The distribution of the shares of mixup.

use std::sync::Arc;

use crate::kernels::training::augment::Draw;

/// Computes quantiles of min(λ, 1 − λ) for λ from Beta(α, α), at [`Draw::QUANTILES`] equally spaced probabilities.
///
/// Substituting w = sᵅ turns the density s^(α−1)·(1 − s)^(α−1) of s into the density (1 − s)^(α−1) of w, which has no pole
/// at 0. It is integrated by the midpoint rule.
pub(super) fn shares(alpha: f64) -> Arc<[f32]> {
    const STEPS: usize = 1 << 14;
    let width = 0.5f64.powf(alpha) / STEPS as f64;
    let share = |w: f64| w.powf(1.0 / alpha).min(0.5);
    let mut sums = vec![0.0];
    for step in 0..STEPS {
        let density = (1.0 - share((step as f64 + 0.5) * width)).powf(alpha - 1.0);
        sums.push(sums[step] + density);
    }
    let quantile = |at: usize| {
        let wanted = sums[STEPS] * at as f64 / (Draw::QUANTILES - 1) as f64;
        let step = sums.partition_point(|&sum| sum <= wanted).clamp(1, STEPS) - 1;
        let part = (wanted - sums[step]) / (sums[step + 1] - sums[step]);
        share((step as f64 + part) * width) as f32
    };
    (0..Draw::QUANTILES).map(quantile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For two values of α the quantiles of min(λ, 1 − λ) have a closed form.
    #[test]
    fn shares_of_mixup_follow_the_beta_distribution() {
        let uniform = |p: f64| p / 2.0;
        let arcsine = |p: f64| (std::f64::consts::FRAC_PI_4 * p).sin().powi(2);
        for (alpha, quantile) in [(1.0, &uniform as &dyn Fn(f64) -> f64), (0.5, &arcsine)] {
            for (at, &share) in shares(alpha).iter().enumerate() {
                let expected = quantile(at as f64 / (Draw::QUANTILES - 1) as f64);
                assert!((f64::from(share) - expected).abs() < 1e-6, "α {alpha}, {at}: {share} instead of {expected}");
            }
        }
    }
}
