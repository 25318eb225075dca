//! Schedules: the learning rate of each step, and the momentum of BYOL's target network.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// The course of the learning rate from the first step to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScheduleShape {
    /// Rises from 1/25 of the peak and falls to 1/250,000 of it, both along a cosine (Smith and Topin 2018), like PyTorch's
    /// `OneCycleLR` with its defaults.
    OneCycle,
    /// Falls to zero along a cosine, like PyTorch's `CosineAnnealingLR`.
    Cosine,
    /// Stays at the peak.
    Constant,
}

/// The divisors of PyTorch's `OneCycleLR`: from the peak to the first rate, and from the first rate to the last.
const ONE_CYCLE_DIVISORS: [f64; 2] = [25.0, 1e4];

/// The learning rate as a function of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    /// The highest rate.
    pub peak: f64,
    /// The course of the rate.
    pub shape: ScheduleShape,
    /// The share of all steps in which the rate rises: along a cosine for [`ScheduleShape::OneCycle`], linearly for the
    /// others, like PyTorch's `LinearLR` from 1/w over w − 1 steps.
    pub warm_up: f64,
}

impl LearningRate {
    /// Checks the values.
    ///
    /// # Errors
    /// The peak is not above 0, or the warm-up is not a share of the steps.
    pub(super) fn check(&self) -> Result<()> {
        let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
        if !(self.peak.is_finite() && self.peak > 0.0) {
            return usage(format!("a learning rate of {}", self.peak), "use a number above 0, such as 0.001");
        }
        if !(0.0..1.0).contains(&self.warm_up) {
            return usage(format!("a warm-up of {}", self.warm_up), "use a share of all steps from 0 to below 1");
        }
        Ok(())
    }

    /// Returns the rate of step `step`, counted from 0, of `steps` steps.
    pub(crate) fn at(&self, step: usize, steps: usize) -> f64 {
        let (at, steps) = (step as f64, steps as f64);
        let warm_up = self.warm_up * steps;
        if self.shape == ScheduleShape::OneCycle {
            let [first, last] = ONE_CYCLE_DIVISORS;
            // PyTorch counts the peak as the last step of the rise.
            let (top, end) = ((warm_up - 1.0).max(0.0), steps - 1.0);
            return match at <= top && top > 0.0 {
                true => along_cosine(self.peak / first, self.peak, at / top),
                false => along_cosine(self.peak, self.peak / first / last, (at - top) / (end - top).max(1.0)),
            };
        }
        let warm_up = warm_up.floor();
        match self.shape {
            _ if at < warm_up => self.peak * (at + 1.0) / warm_up,
            ScheduleShape::Cosine => along_cosine(self.peak, 0.0, (at - warm_up) / (steps - warm_up)),
            ScheduleShape::Constant | ScheduleShape::OneCycle => self.peak,
        }
    }
}

/// Returns the momentum of BYOL's target network at step `step` of `steps`. It rises from `first` to 1 along a cosine
/// (Grill et al. 2020).
pub(super) fn target_momentum(first: f64, step: usize, steps: usize) -> f64 {
    along_cosine(first, 1.0, step as f64 / steps as f64)
}

/// Interpolates along a cosine, from `start` at 0 to `end` at 1.
fn along_cosine(start: f64, end: f64, part: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (PI * part).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(shape: ScheduleShape, warm_up: f64, steps: usize) -> Vec<f64> {
        let rate = LearningRate { peak: 0.01, shape, warm_up };
        (0..steps).map(|step| rate.at(step, steps)).collect()
    }

    fn agree(rates: &[f64], pytorch: &[f64]) {
        assert_eq!(rates.len(), pytorch.len());
        for (step, (rate, expected)) in rates.iter().zip(pytorch).enumerate() {
            assert!((rate - expected).abs() <= 1e-12, "step {step}: {rate} instead of {expected}");
        }
    }

    #[test]
    fn one_cycle_equals_that_of_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=10), get_last_lr() before each step.
        agree(&rates(ScheduleShape::OneCycle, 0.3, 10), &ONE_CYCLE);
    }

    #[test]
    fn cosine_with_warm_up_equals_that_of_pytorch() {
        // SequentialLR of LinearLR(start_factor=0.5, total_iters=1) and CosineAnnealingLR(T_max=6), milestone 2.
        agree(&rates(ScheduleShape::Cosine, 0.25, 8), &COSINE);
    }

    #[test]
    fn a_constant_schedule_stays_at_the_peak_after_its_warm_up() {
        agree(&rates(ScheduleShape::Constant, 0.5, 4), &[0.005, 0.01, 0.01, 0.01]);
        agree(&rates(ScheduleShape::Constant, 0.0, 2), &[0.01, 0.01]);
    }

    #[test]
    fn runs_of_every_length_have_positive_rates_up_to_the_peak() {
        for shape in [ScheduleShape::OneCycle, ScheduleShape::Cosine, ScheduleShape::Constant] {
            for steps in 1..40 {
                for warm_up in [0.0, 0.01, 0.3, 0.99] {
                    let rates = rates(shape, warm_up, steps);
                    assert!(rates.iter().all(|rate| *rate > 0.0 && *rate <= 0.01), "{shape:?} {steps} {warm_up}");
                }
            }
        }
    }

    #[test]
    fn the_momentum_of_the_target_rises_to_one() {
        assert_eq!(target_momentum(0.996, 0, 10), 0.996);
        assert!((target_momentum(0.996, 5, 10) - 0.998).abs() < 1e-12);
        assert_eq!(target_momentum(0.996, 10, 10), 1.0);
    }

    #[test]
    fn invalid_learning_rates_are_refused() {
        let rate = |peak, warm_up| LearningRate { peak, shape: ScheduleShape::Cosine, warm_up }.check();
        assert!(rate(1e-3, 0.0).is_ok());
        for (peak, warm_up) in
            [(0.0, 0.0), (-1.0, 0.0), (f64::NAN, 0.0), (f64::INFINITY, 0.0), (1e-3, 1.0), (1e-3, -0.1)]
        {
            assert_eq!(rate(peak, warm_up).unwrap_err().kind(), ErrorKind::Usage);
        }
    }

    const ONE_CYCLE: [f64; 10] = [
        0.0003999999999999993,
        0.0052,
        0.01,
        0.009504846320134737,
        0.008117456539497631,
        0.0061126202193628925,
        0.003887419780637108,
        0.00188258346050237,
        0.0004951936798652628,
        4e-08,
    ];
    const COSINE: [f64; 8] = [
        0.005,
        0.01,
        0.01,
        0.009330127018922194,
        0.007500000000000001,
        0.005,
        0.0025000000000000014,
        0.0006698729810778065,
    ];
}
