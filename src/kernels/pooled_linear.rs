//! The mean of each channel and a linear layer of the means, in one dispatch instead of two. Counterpart:
//! shaders/pooled_linear.wgsl.
//!
//! Only a [`FusedPlan`](crate::plan::FusedPlan) contains it, in the place of a [`super::GlobalAveragePool`] and the
//! [`super::Linear`] that reads it. It saves a dispatch on a real GPU (estimated). On lavapipe it saves nothing and is used
//! all the same, so that software proves what every real GPU runs. Numbers: docs/measurements/fused-plans.md.

use super::{
    Accelerator, Extent, Extents, FEW_CHANNELS, GpuOperation, Operation, Packing, RowLayout, Shader, Source, Variant,
    component, declarations, input_and_output,
    list::sizes,
    numbers,
    storage::{self, Elements},
};

/// How a workgroup of `slices · outputs` invocations divides the sums.
#[derive(Clone, Copy)]
struct Shares {
    name: &'static str,
    /// Invocations that sum one row of x.
    across: usize,
    /// Invocations that sum one output.
    slices: usize,
    /// Outputs that are computed at once.
    outputs: usize,
}

/// For real GPUs: as many loads at once as a workgroup may have invocations.
const WIDE: Shares = Shares { name: "fused 256", across: 8, slices: 16, outputs: 16 };
/// For the CPU: one subgroup and undivided sums, because what crosses a barrier is stored and loaded there.
const NARROW: Shares = Shares { name: "fused 8", across: 1, slices: 1, outputs: 8 };

/// Computes `y[b, c]`, the mean of `x[b, c, t]` over t, and
/// `y[b, channels + o] = bias[o] + Σ_c weight[o, c] · y[b, c]`.
///
/// Reads x `[batch, channels, samples]`, weight `[out_features, channels]` and bias `[out_features]`; writes y
/// `[batch, channels + out_features]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PooledLinear {
    /// Records.
    pub(crate) batch: usize,
    /// Channels of x.
    pub(crate) channels: usize,
    /// Samples per channel.
    pub(crate) samples: usize,
    /// Outputs of the linear layer.
    pub(crate) out_features: usize,
}

impl PooledLinear {
    /// None if the rows of x are not whole vec4s, if y has gaps, or if the means of a record do not fit into workgroup
    /// memory.
    fn variant(&self, shares: Shares, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Option<Variant> {
        let features = self.channels.next_multiple_of(4);
        let Shares { name, across, slices, outputs } = shares;
        let bytes = (features * across + features + slices * outputs) * size_of::<f32>();
        let whole = x.pitch.is_multiple_of(4) && x.base_offset.is_multiple_of(4) && y.pitch == 1;
        if !whole || bytes > accelerator.workgroup_memory() {
            return None;
        }
        let constants = [("CHANNELS", self.channels), ("ACROSS", across), ("SLICES", slices), ("OUTPUTS", outputs)];
        let weights = accelerator.storage;
        let source = Source::filled(include_str!("../../shaders/pooled_linear.wgsl"), move || {
            let reads = [("x", x.storage, Elements::Four), ("weight", weights, Elements::Four)];
            let store = (0..4)
                .map(|at| format!("if 4 * i + {at} < CHANNELS {{ y[to + 4 * i + {at}] = four.{}; }}", component(at)));
            [
                ("storage", storage::lines(&reads, None, 2)),
                ("constants", declarations(constants)),
                ("store", store.collect()),
            ]
        });
        // Mirror of `struct PooledLinear` in the shader.
        let parameters = [self.samples, self.out_features, x.base_offset, x.pitch, y.base_offset, 0, 0, 0];
        let shader = Shader::new("pooled_linear", source);
        let packing = Packing(|kernel, read, values| packed(kernel.of_type(), read, values));
        Some(Variant { name, packing, ..Variant::plain(shader, parameters, [self.batch, 1, 1]) })
    }
}

impl Operation for PooledLinear {
    sizes!(batch, channels, samples, out_features);

    fn extents(&self) -> Option<Extents> {
        let Self { batch, channels, samples, out_features } = *self;
        let x = Extent::Activation([batch, channels, samples]);
        let y = Extent::Activation([batch, channels.checked_add(out_features)?, 1]);
        Some(Extents::new([x, numbers([out_features, channels])?, Extent::Numbers(out_features)], y))
    }

    fn describe(&self) -> String {
        format!("global average pool + linear {}→{}", self.channels, self.out_features)
    }

    fn floating_point_operations(&self) -> u64 {
        self.batch as u64 * self.channels as u64 * (self.samples as u64 + 2 * self.out_features as u64)
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x, weight, bias] = reads else { unreachable!("the plan gives a pooled linear layer three reads") };
        let width = self.channels + self.out_features;
        for b in 0..self.batch {
            for c in 0..self.channels {
                let mut sum = 0.0;
                for t in 0..self.samples {
                    sum += x[(b * self.channels + c) * self.samples + t];
                }
                y[b * width + c] = sum / self.samples as f64;
            }
            for o in 0..self.out_features {
                let mut sum = bias[o];
                for c in 0..self.channels {
                    sum += weight[o * self.channels + c] * y[b * width + c];
                }
                y[b * width + self.channels + o] = sum;
            }
        }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.out_features * self.channels, self.out_features]
    }

    fn channels(&self) -> [usize; 2] {
        [self.channels, self.channels.saturating_add(self.out_features)]
    }

    fn with_few_channels(&self) -> Self {
        let [channels, out_features] = FEW_CHANNELS;
        Self { channels, out_features, ..self.clone() }
    }
}

impl GpuOperation for PooledLinear {
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(layouts);
        let narrow = accelerator.software.then_some(NARROW);
        let shares = narrow.into_iter().chain([WIDE]);
        shares.filter_map(|shares| self.variant(shares, x, y, accelerator)).collect()
    }
}

/// Packs weights with each output's padded with zeros to whole vec4s.
fn packed(pooled: &PooledLinear, read: usize, values: &[f32]) -> Vec<f32> {
    if read != 1 {
        return values.to_vec();
    }
    let row = pooled.channels.next_multiple_of(4);
    let mut packed = vec![0.0; pooled.out_features * row];
    for (to, from) in packed.chunks_exact_mut(row).zip(values.chunks_exact(pooled.channels)) {
        to[..pooled.channels].copy_from_slice(from);
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_the_means_and_a_linear_layer_of_them() {
        let mut y = [0.0; 3];
        let pooled = PooledLinear { batch: 1, channels: 2, samples: 3, out_features: 1 };
        pooled.reference(&[&[1., 2., 6., -1., 0., 1.], &[10., 100.], &[0.5]], &mut y);
        assert_eq!(y, [3., 0., 30.5]);
        assert_eq!(packed(&pooled, 1, &[10., 100.]), [10., 100., 0., 0.]);
        assert_eq!(packed(&pooled, 2, &[0.5]), [0.5]);
    }
}
