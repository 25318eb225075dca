//! The mean over the samples of every channel and a linear layer of the means, in one dispatch instead of two. Twin:
//! shaders/pooled_linear.wgsl.
//!
//! No plan has it from the start: a GPU puts it in the place of a [`super::GlobalAveragePool`] and the
//! [`super::Linear`] that reads it, see [`crate::plan::FusedPlan`].
//!
//! Reckoned, not yet measured on a real GPU: a dispatch and its gap less, 2 to 5 µs of a forward of one record, and one copy
//! of results. A record of 5000 samples brings 640 KB through one multiprocessor, which takes 6 µs, about what the two take.
//!
//! On lavapipe with four threads on two cores, network 542k, 800 to 2000 forwards in turns, predicted 2 % less: within 1 %
//! of the two dispatches at 12 × 1000 and 12 × 5000, as one thread then reads what two did; with 256 invocations 2 % more.
//! It is joined there too, so that what every real GPU runs is what software proves.

use super::{
    Accelerator, Operation, RowLayout, Shader, Variant, fill, input_and_output,
    storage::{self, Elements},
};

/// Who sums what in a workgroup of `slices · outputs` invocations.
struct Shares {
    name: &'static str,
    /// Invocations that sum a row.
    across: usize,
    /// Invocations that sum an output.
    slices: usize,
    /// Outputs at once.
    outputs: usize,
}

/// For real GPUs: as many loads at once as a workgroup may have invocations.
const WIDE: Shares = Shares { name: "joined 256", across: 8, slices: 16, outputs: 16 };
/// For the CPU: one subgroup, as whatever crosses a barrier is put aside there, and no sum in shares.
const NARROW: Shares = Shares { name: "joined 8", across: 1, slices: 1, outputs: 8 };

/// `y[b, c]` is the mean over t of `x[b, c, t]`, and `y[b, channels + o] = bias[o] + Σ_c weight[o, c] · y[b, c]`.
///
/// Reads x `[batch, channels, samples]`, weight `[out_features, channels]`, bias `[out_features]`; writes y
/// `[batch, channels + out_features]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PooledLinear {
    /// Records.
    pub batch: usize,
    /// Channels of x.
    pub channels: usize,
    /// Samples of each channel.
    pub samples: usize,
    /// Outputs of the linear layer.
    pub out_features: usize,
}

impl PooledLinear {
    /// None where x does not lie in whole vec4s, y in gaps, or where the means of a record do not fit into workgroup memory.
    fn variant(&self, shares: Shares, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Option<Variant> {
        let features = self.channels.next_multiple_of(4);
        let Shares { name, across, slices, outputs } = shares;
        let bytes = (features * across + features + slices * outputs) * size_of::<f32>();
        let whole = x.pitch.is_multiple_of(4) && x.base_offset.is_multiple_of(4) && y.pitch == 1;
        if !whole || bytes > accelerator.workgroup_memory() {
            return None;
        }
        let constants = [("CHANNELS", self.channels), ("ACROSS", across), ("SLICES", slices), ("OUTPUTS", outputs)];
        let reads = [("x", x.storage, Elements::Four), ("weight", accelerator.storage, Elements::Four)];
        let store = ["x", "y", "z", "w"].into_iter().enumerate();
        let store = store.map(|(at, component)| {
            format!("if 4 * i + {at} < CHANNELS {{ y[to + 4 * i + {at}] = four.{component}; }}")
        });
        let source = fill(
            include_str!("../../shaders/pooled_linear.wgsl"),
            &[
                ("storage", storage::lines(&reads, None, 2)),
                ("constants", constants.map(|(name, value)| format!("const {name}: u32 = {value};")).into()),
                ("store", store.collect()),
            ],
        );
        let shader = Shader {
            name: "pooled_linear",
            source: source.into(),
            notes_overflow: false,
            textures: &[],
            constants: Vec::new(),
        };
        // Mirror of `struct PooledLinear` in the shader.
        let parameters = [self.samples, self.out_features, x.base_offset, x.pitch, y.base_offset, 0, 0, 0];
        Some(Variant { name, ..Variant::plain(shader, parameters, [self.batch, 1, 1]) })
    }
}

impl Operation for PooledLinear {
    fn variants(&self, rows: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(rows);
        let narrow = accelerator.software.then_some(NARROW);
        let shares = narrow.into_iter().chain([WIDE]);
        shares.filter_map(|shares| self.variant(shares, x, y, accelerator)).collect()
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.out_features * self.channels, self.out_features]
    }

    /// Weights with each output's filled up with zeros to whole vec4s.
    fn packed(&self, _: &str, read: usize, values: &[f32]) -> Vec<f32> {
        if read != 1 {
            return values.to_vec();
        }
        let row = self.channels.next_multiple_of(4);
        let mut packed = vec![0.0; self.out_features * row];
        for (to, from) in packed.chunks_exact_mut(row).zip(values.chunks_exact(self.channels)) {
            to[..self.channels].copy_from_slice(from);
        }
        packed
    }

    fn floating_point_operations(&self) -> usize {
        self.batch * self.channels * (self.samples + 2 * self.out_features)
    }

    fn describe(&self) -> String {
        format!("global average pool + linear {}→{}", self.channels, self.out_features)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_what_a_linear_layer_makes_of_them() {
        let mut y = [0.0; 3];
        let pooled = PooledLinear { batch: 1, channels: 2, samples: 3, out_features: 1 };
        pooled.reference(&[&[1., 2., 6., -1., 0., 1.], &[10., 100.], &[0.5]], &mut y);
        assert_eq!(y, [3., 0., 30.5]);
        assert_eq!(pooled.packed(WIDE.name, 1, &[10., 100.]), [10., 100., 0., 0.]);
        assert_eq!(pooled.packed(WIDE.name, 2, &[0.5]), [0.5]);
    }
}
