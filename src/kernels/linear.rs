//! A linear layer with bias. Twins: shaders/linear/plain.wgsl, where an invocation takes an output, and
//! shaders/linear/slices.wgsl, where sixteen do.
//!
//! Reckoned, not yet measured on a real GPU: the last layer of network 542k has 5 outputs of 256 features. An invocation
//! that loads those one after another waits 10 to 40 µs, of the 100 that a whole forward pass of one record shall take; 16
//! loads and four barriers take 2. On lavapipe each barrier is a coroutine switch, and the plain variant the faster one.

use super::{
    Accelerator, Operation, RowLayout, Shader, Variant, fill, input_and_output,
    storage::{self, Elements},
};

/// Outputs of a workgroup of the variants `plain` and `slices`.
const PLAIN_OUTPUTS: usize = 64;
const SLICED_OUTPUTS: usize = 16;

/// `y[b, o] = bias[o] + Σ_i weight[o, i] · x[b, i]`.
///
/// Reads x `[batch, in_features]`, weight `[out_features, in_features]`, bias `[out_features]`; writes y
/// `[batch, out_features]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Records.
    pub batch: usize,
    /// Numbers of one record of x.
    pub in_features: usize,
    /// Numbers of one record of y.
    pub out_features: usize,
}

impl Operation for Linear {
    fn variants(&self, rows: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(rows);
        let reads = [("x", x.storage, Elements::One), ("weight", accelerator.storage, Elements::One)];
        // Mirror of `struct Linear` in the shaders.
        let parameters = [
            self.in_features,
            self.out_features,
            x.base_offset + x.offset,
            x.pitch,
            y.base_offset,
            y.pitch,
            y.offset,
            0,
        ];
        let variant = |shader, template, outputs| {
            let source = fill(template, &[("storage", storage::lines(&reads, None, 2))]).into();
            let shader = Shader { name: shader, source, notes_overflow: false, textures: &[], constants: Vec::new() };
            Variant::plain(shader, parameters, [self.out_features.div_ceil(outputs), self.batch, 1])
        };
        let plain = variant("linear/plain", include_str!("../../shaders/linear/plain.wgsl"), PLAIN_OUTPUTS);
        let slices = variant("linear/slices", include_str!("../../shaders/linear/slices.wgsl"), SLICED_OUTPUTS);
        let slices = Variant { name: "slices", ..slices };
        if accelerator.software { vec![plain, slices] } else { vec![slices, plain] }
    }

    fn floating_point_operations(&self) -> usize {
        2 * self.batch * self.in_features * self.out_features
    }

    fn describe(&self) -> String {
        format!("linear {}→{}", self.in_features, self.out_features)
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x, weight, bias] = reads else { unreachable!("the plan gives a linear layer three reads") };
        for b in 0..self.batch {
            for o in 0..self.out_features {
                let mut sum = bias[o];
                for i in 0..self.in_features {
                    sum += weight[o * self.in_features + i] * x[b * self.in_features + i];
                }
                y[b * self.out_features + o] = sum;
            }
        }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.out_features * self.in_features, self.out_features]
    }

    /// Weights as `[in_features, out_features]`, so that neighbouring invocations load neighbouring weights.
    fn packed(&self, _: &str, read: usize, values: &[f32]) -> Vec<f32> {
        if read != 1 {
            return values.to_vec();
        }
        let weight = |at: usize| values[(at % self.out_features) * self.in_features + at / self.out_features];
        (0..values.len()).map(weight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_layer_by_hand() {
        let linear = Linear { batch: 2, in_features: 2, out_features: 1 };
        let mut y = [0.0; 2];
        linear.reference(&[&[1., 2., 3., 4.], &[10., 100.], &[0.5]], &mut y);
        assert_eq!(y, [210.5, 430.5]);
    }

    #[test]
    fn packing_transposes_the_weights_alone() {
        let linear = Linear { batch: 1, in_features: 3, out_features: 2 };
        assert_eq!(linear.packed("plain", 1, &[1., 2., 3., 4., 5., 6.]), [1., 4., 2., 5., 3., 6.]);
        assert_eq!(linear.packed("plain", 2, &[1., 2.]), [1., 2.]);
    }
}
