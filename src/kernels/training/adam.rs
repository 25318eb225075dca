//! Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019) and clipping by the gradient's norm.
//!
//! m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², w ← w − η·λ·w − η·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε), as PyTorch does,
//! where g is scaled to the largest norm if it is longer. A number whose gradient is not finite stays as it is, so that
//! what a run stops at can be looked into.

use super::Schedule;
use crate::kernels::Operation;

/// One step.
///
/// Reads the gradient `[length]`, the schedule, and with `clip` the sums of [`super::SquaredSums`]; changes parameters, m
/// and v `[3, length]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Parameters.
    pub length: usize,
    /// Decay of the two moments, β₁ and β₂; PyTorch's defaults are 0.9 and 0.999.
    pub betas: [f32; 2],
    /// ε, 1e-8 in PyTorch.
    pub epsilon: f32,
    /// λ: weight decay, 0 for plain Adam.
    pub weight_decay: f32,
    /// The largest norm that the gradient may have.
    pub clip: Option<f32>,
}

impl Operation for Adam {
    fn floating_point_operations(&self) -> usize {
        14 * self.length
    }

    fn describe(&self) -> String {
        "Adam".into()
    }

    fn reference(&self, reads: &[&[f64]], state: &mut [f64]) {
        let (gradient, schedule) = (reads[0], reads[1]);
        let rate = schedule[Schedule::LEARNING_RATE];
        let [first, second] = [0, 1].map(|moment| schedule[Schedule::CORRECTIONS + moment]);
        let [beta1, beta2] = self.betas.map(f64::from);
        let scale = self.clip.map_or(1.0, |largest| {
            // PyTorch's clip_grad_norm_ adds 1e-6.
            (f64::from(largest) / (reads[2].iter().sum::<f64>().sqrt() + 1e-6)).min(1.0)
        });
        let (parameters, moments) = state.split_at_mut(self.length);
        let (m, v) = moments.split_at_mut(self.length);
        if rate == 0.0 {
            return;
        }
        for i in 0..self.length {
            let g = gradient[i] * scale;
            if !g.is_finite() {
                continue;
            }
            m[i] = beta1 * m[i] + (1.0 - beta1) * g;
            v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
            let step = m[i] / first / ((v[i] / second).sqrt() + f64::from(self.epsilon));
            parameters[i] -= rate * (f64::from(self.weight_decay) * parameters[i] + step);
        }
    }
}
