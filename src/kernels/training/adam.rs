//! Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019) and clipping by the gradient's norm.
//!
//! m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², w ← w − η·λ·w − η·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε), as PyTorch does,
//! where g is scaled to the largest norm if it is longer. A parameter whose gradient is not finite does not change, so that
//! the state at which a run stops can be inspected.

use super::{Schedule, SquaredSums, WORKGROUP, first, line, shader};
use crate::kernels::{
    Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Shader, Source, Variant, numbers,
};

/// Numbers per invocation. With many, few workgroups have to add up the sums of squares again.
const NUMBERS: usize = 16;

/// Does one step of the optimiser.
///
/// Reads the gradient `[length]`, the schedule and, with `clip`, the sums of [`super::SquaredSums`]; changes the parameters,
/// m and v `[3, length]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Parameters.
    pub length: usize,
    /// The decay of the two moments, β₁ and β₂. PyTorch's defaults are 0.9 and 0.999.
    pub betas: [f32; 2],
    /// The ε that is added to the divisor. PyTorch's default is 1e-8.
    pub epsilon: f32,
    /// The weight decay λ, 0 for plain Adam.
    pub weight_decay: f32,
    /// The largest norm that the gradient may have.
    pub clip: Option<f32>,
}

impl Adam {
    fn shader(&self) -> Shader {
        let constants = [
            ("BETA_1", f64::from(self.betas[0])),
            ("BETA_2", f64::from(self.betas[1])),
            ("EPSILON", f64::from(self.epsilon)),
            ("WEIGHT_DECAY", f64::from(self.weight_decay)),
            ("LARGEST_NORM", f64::from(self.clip.unwrap_or(f32::MAX))),
            ("SUMS", self.clip.map_or(0.0, |_| SquaredSums::STRETCHES as f64)),
        ];
        let state = |binding| format!("@group(0) @binding({binding}) var<storage, read_write> state: array<f32>;");
        let bindings = match self.clip {
            None => vec![state(3), "fn squares(s: u32) -> f32 { return 0.0; }".into()],
            Some(_) => vec![
                "@group(0) @binding(3) var<storage, read> sums: array<f32>;".into(),
                state(4),
                "fn squares(s: u32) -> f32 { return sums[sizes.sums_first + s]; }".into(),
            ],
        };
        let shader = shader!("adam", constants);
        Shader { source: Source::filled(shader.source, move || [("bindings", bindings)]), ..shader }
    }
}

impl Operation for Adam {
    fn extents(&self) -> Option<Extents> {
        let length = Extent::Numbers(self.length);
        let mut reads = vec![length, Extent::Numbers(Schedule::LEN)];
        reads.extend(self.clip.map(|_| Extent::Numbers(SquaredSums::STRETCHES)));
        Some(Extents { reads, write: numbers([3, self.length])? })
    }

    fn describe(&self) -> String {
        "Adam".into()
    }

    fn floating_point_operations(&self) -> u64 {
        14 * self.length as u64
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

impl GpuOperation for Adam {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [gradient, schedule, sums @ .., state] = layouts else {
            unreachable!("the plan gives Adam two or three reads")
        };
        let sums_first = sums.first().map_or(0, |sums| first(*sums));
        // Mirror of `struct Adam` in the shader.
        let parameters = [self.length, first(*gradient), first(*schedule), sums_first, first(*state)];
        vec![Variant::plain(self.shader(), parameters, line(self.length.div_ceil(WORKGROUP * NUMBERS)))]
    }
}
