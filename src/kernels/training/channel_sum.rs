//! The sum of each channel: the gradient with respect to a bias.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{NO_CONSTANTS, WORKGROUP, first, line, shader};

/// Samples below which one channel is too little work for a workgroup.
const FEW_SAMPLES: usize = 16;
/// Records from which one invocation's loads, one after another, take too long on a real GPU (estimated:
/// docs/measurements/training-operations.md).
const MANY_RECORDS: usize = 16;
/// Channels per workgroup of the variant `slices`.
const SLICED_CHANNELS: usize = 16;

/// Computes `y[c] = Σ_b Σ_t x[b, c, t]`.
///
/// Reads x `[batch, channels, samples]`; writes y `[channels]`, a state.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSum {
    /// Records.
    pub batch: usize,
    /// Channels of x.
    pub channels: usize,
    /// Samples per channel.
    pub samples: usize,
}

impl Operation for ChannelSum {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Activation([self.batch, self.channels, self.samples]);
        Some(Extents::new([x], Extent::Numbers(self.channels)))
    }

    fn describe(&self) -> String {
        "sum of each channel".into()
    }

    fn floating_point_operations(&self) -> u64 {
        self.batch as u64 * self.channels as u64 * self.samples as u64
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives a sum one read") };
        for c in 0..self.channels {
            let mut sum = 0.0;
            for b in 0..self.batch {
                for t in 0..self.samples {
                    sum += x[(b * self.channels + c) * self.samples + t];
                }
            }
            y[c] = sum;
        }
    }
}

impl GpuOperation for ChannelSum {
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = layouts else { unreachable!("the plan gives a sum one read") };
        let Self { batch, channels, samples } = *self;
        // Mirror of `struct ChannelSum` in the shaders.
        let parameters = [batch, channels, samples, first(*x), x.pitch, first(*y)];
        let plain = Variant::plain(shader!("channel_sum/plain", NO_CONSTANTS), parameters, [channels, 1, 1]);
        let grid = line(channels.div_ceil(WORKGROUP));
        let columns = Variant::plain(shader!("channel_sum/columns", NO_CONSTANTS), parameters, grid);
        let columns = Variant { name: "columns", ..columns };
        let grid = line(channels.div_ceil(SLICED_CHANNELS));
        let slices = Variant::plain(shader!("channel_sum/slices", NO_CONSTANTS), parameters, grid);
        let slices = Variant { name: "slices", ..slices };
        if samples >= FEW_SAMPLES {
            vec![plain, columns, slices]
        } else if accelerator.software || batch < MANY_RECORDS {
            vec![columns, plain, slices]
        } else {
            vec![slices, columns, plain]
        }
    }
}
