//! A linear layer with bias.
//!
//! Counterparts: shaders/linear/plain.wgsl with an invocation per output, and shaders/linear/slices.wgsl with sixteen. On a
//! real GPU one invocation would wait for its loads one after another, so that `slices` is estimated to be faster; on
//! lavapipe a barrier is a switch between coroutines, and `plain` is faster. Numbers: docs/measurements/linear.md.

use super::{
    Accelerator, Extent, Extents, FEW_CHANNELS, GpuOperation, Operation, Packing, RowLayout, Shader, Source, Variant,
    input_and_output,
    list::sizes,
    numbers,
    storage::{self, Elements},
};

/// Outputs per workgroup of the variant `plain`.
const PLAIN_OUTPUTS: usize = 64;
/// Outputs per workgroup of the variant `slices`.
const SLICED_OUTPUTS: usize = 16;

/// Computes `y[b, o] = bias[o] + Σ_i weight[o, i] · x[b, i]`.
///
/// Reads x `[batch, in_features]`, weight `[out_features, in_features]` and bias `[out_features]`; writes y
/// `[batch, out_features]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Records.
    pub(crate) batch: usize,
    /// Numbers per record of x.
    pub(crate) in_features: usize,
    /// Numbers per record of y.
    pub(crate) out_features: usize,
}

impl Operation for Linear {
    sizes!(batch, in_features, out_features);

    fn extents(&self) -> Option<Extents> {
        let Self { batch, in_features, out_features } = *self;
        let [x, y] = [in_features, out_features].map(|features| Extent::Activation([batch, features, 1]));
        Some(Extents::new([x, numbers([out_features, in_features])?, Extent::Numbers(out_features)], y))
    }

    fn describe(&self) -> String {
        format!("linear {}→{}", self.in_features, self.out_features)
    }

    fn floating_point_operations(&self) -> u64 {
        2 * self.batch as u64 * self.in_features as u64 * self.out_features as u64
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

    fn channels(&self) -> [usize; 2] {
        [self.in_features, self.out_features]
    }

    fn with_few_channels(&self) -> Self {
        let [in_features, out_features] = FEW_CHANNELS;
        Self { in_features, out_features, ..self.clone() }
    }
}

impl GpuOperation for Linear {
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(layouts);
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
        let weights = accelerator.storage;
        let variant = |shader, template: &'static str, outputs| {
            let source = Source::filled(template, move || {
                let reads = [("x", x.storage, Elements::One), ("weight", weights, Elements::One)];
                [("storage", storage::lines(&reads, None, 2))]
            });
            let grid = [self.out_features.div_ceil(outputs), self.batch, 1];
            let packing = Packing(|kernel, read, values| packed(kernel.of_type(), read, values));
            Variant { packing, ..Variant::plain(Shader::new(shader, source), parameters, grid) }
        };
        let plain = variant("linear/plain", include_str!("../../shaders/linear/plain.wgsl"), PLAIN_OUTPUTS);
        let slices = variant("linear/slices", include_str!("../../shaders/linear/slices.wgsl"), SLICED_OUTPUTS);
        let slices = Variant { name: "slices", ..slices };
        if accelerator.software { vec![plain, slices] } else { vec![slices, plain] }
    }
}

/// Packs weights as `[in_features, out_features]`, so that neighbouring invocations load neighbouring weights.
fn packed(linear: &Linear, read: usize, values: &[f32]) -> Vec<f32> {
    if read != 1 {
        return values.to_vec();
    }
    let weight = |at: usize| values[(at % linear.out_features) * linear.in_features + at / linear.out_features];
    (0..values.len()).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_layer_equals_a_result_by_hand() {
        let linear = Linear { batch: 2, in_features: 2, out_features: 1 };
        let mut y = [0.0; 2];
        linear.reference(&[&[1., 2., 3., 4.], &[10., 100.], &[0.5]], &mut y);
        assert_eq!(y, [210.5, 430.5]);
    }

    #[test]
    fn packing_transposes_the_weights_alone() {
        let linear = Linear { batch: 1, in_features: 3, out_features: 2 };
        assert_eq!(packed(&linear, 1, &[1., 2., 3., 4., 5., 6.]), [1., 4., 2., 5., 3., 6.]);
        assert_eq!(packed(&linear, 2, &[1., 2.]), [1., 2.]);
    }
}
