//! The mean of each channel over its samples.
//!
//! Counterparts: shaders/global_average_pool/plain.wgsl with a workgroup per channel, and
//! shaders/global_average_pool/rows.wgsl with an invocation per channel. On lavapipe a barrier is a switch between
//! coroutines, so that `rows`, which has none, is faster there: docs/measurements/pooling-lavapipe.md.

use super::{
    Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Shader, Source, Variant, input_and_output,
    list::sizes,
    storage::{self, Elements},
};

/// Invocations of a workgroup of the variant `rows`.
const WORKGROUP: usize = 32;

/// Computes `y[b, c]`, the mean of `x[b, c, t]` over t.
///
/// Reads x `[batch, channels, samples]`; writes y `[batch, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalAveragePool {
    /// Records.
    pub(crate) batch: usize,
    /// Channels of x and y.
    pub(crate) channels: usize,
    /// Samples per channel.
    pub(crate) samples: usize,
}

impl Operation for GlobalAveragePool {
    sizes!(batch, channels, samples);

    fn extents(&self) -> Option<Extents> {
        let Self { batch, channels, samples } = *self;
        let [x, y] = [samples, 1].map(|samples| Extent::Activation([batch, channels, samples]));
        Some(Extents::new([x], y))
    }

    fn describe(&self) -> String {
        "global average pool".into()
    }

    fn floating_point_operations(&self) -> u64 {
        self.batch as u64 * self.channels as u64 * self.samples as u64
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives a pool one read") };
        for row in 0..self.batch * self.channels {
            let mut sum = 0.0;
            for t in 0..self.samples {
                sum += x[row * self.samples + t];
            }
            y[row] = sum / self.samples as f64;
        }
    }

    fn channels(&self) -> [usize; 2] {
        [self.channels; 2]
    }
}

impl GpuOperation for GlobalAveragePool {
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(layouts);
        // Mirrors of `struct GlobalAveragePool` in the shaders.
        let parameters =
            |x_base_offset| [self.channels, self.samples, x_base_offset, x.pitch, y.base_offset, y.pitch, y.offset, 0];
        let shader = |name, template: &'static str, elements| {
            let lines = move || [("storage", storage::lines(&[("x", x.storage, elements)], None, 0))];
            Shader::new(name, Source::filled(template, lines))
        };
        let template = include_str!("../../shaders/global_average_pool/plain.wgsl");
        let plain = shader("global_average_pool/plain", template, Elements::One);
        let plain = Variant::plain(plain, parameters(x.base_offset + x.offset), [self.channels, self.batch, 1]);
        // Rows that are not whole vec4s, because no other operation demands it, are left to the plain variant.
        if !x.pitch.is_multiple_of(4) {
            return vec![plain];
        }
        let template = include_str!("../../shaders/global_average_pool/rows.wgsl");
        let rows = shader("global_average_pool/rows", template, Elements::Four);
        let grid = [self.channels.div_ceil(WORKGROUP), self.batch, 1];
        let rows = Variant { name: "rows", ..Variant::plain(rows, parameters(x.base_offset), grid) };
        if accelerator.software { vec![rows, plain] } else { vec![plain, rows] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_the_mean_of_each_channel() {
        let mut y = [0.0; 2];
        GlobalAveragePool { batch: 1, channels: 2, samples: 3 }.reference(&[&[1., 2., 6., -1., 0., 1.]], &mut y);
        assert_eq!(y, [3., 0.]);
    }
}
