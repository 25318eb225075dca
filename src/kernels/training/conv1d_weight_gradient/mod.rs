//! The gradient of a convolution with respect to its weights. A linear layer is a convolution of one tap. Each variant has a
//! file.

mod plain;
mod subgroups;
mod tile;

use super::first;
use crate::kernels::{
    Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant, numbers, product, span,
};

/// The most terms of one sum in f32. Longer sums are divided into parts by records. So the rounding error stays small beside
/// the gradient, most of whose terms cancel, and there are more workgroups.
const TERMS: usize = 4096;
/// The most parts, so that their memory stays small beside the activations of as many records.
const MOST_PARTS: usize = 32;

/// Computes `dw[o, c, k] = Σ_b Σ_t dy[b, o, t] · x[b, c, t·stride + k − padding]`, where x is 0 outside its samples.
///
/// Reads x `[batch, in_channels, in_samples]`, dy `[batch, out_channels, out_samples]`; writes dw
/// `[out_channels, in_channels, kernel]`, a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1dWeightGradient {
    /// Records.
    pub batch: usize,
    /// Channels of x.
    pub in_channels: usize,
    /// Samples per channel of x.
    pub in_samples: usize,
    /// Channels of dy.
    pub out_channels: usize,
    /// Samples per channel of dy.
    pub out_samples: usize,
    /// Samples that one output depends on.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
    /// Zeros before and after the samples of x.
    pub padding: usize,
}

impl Conv1dWeightGradient {
    /// Records per part.
    fn records(&self) -> usize {
        (TERMS / self.out_samples).max(self.batch.div_ceil(MOST_PARTS)).min(self.batch)
    }

    /// For windows of whole vec4s of x that belong to vec4s of dy: how many numbers before a row of x the first window begins,
    /// negative if after its start, and how many samples before its first tap each window begins.
    fn window_offset_and_shift(&self, x: RowLayout, dy: RowLayout) -> (isize, usize) {
        let before = self.padding + dy.offset * self.stride;
        let shift = (x.offset + 3 * before) % 4;
        ((before + shift) as isize - x.offset as isize, shift)
    }
}

impl Operation for Conv1dWeightGradient {
    fn extents(&self) -> Option<Extents> {
        let Self { batch, in_channels, in_samples, out_channels, out_samples, kernel, stride, padding } = *self;
        span(out_samples, kernel, stride)?.checked_add(padding)?;
        let x = Extent::Activation([batch, in_channels, in_samples]);
        let dy = Extent::Activation([batch, out_channels, out_samples]);
        Some(Extents::new([x, dy], numbers([out_channels, in_channels, kernel])?))
    }

    fn describe(&self) -> String {
        let Self { in_channels, out_channels, kernel, stride, .. } = self;
        format!("weight gradient {in_channels}→{out_channels} kernel {kernel} stride {stride}")
    }

    fn floating_point_operations(&self) -> u64 {
        product([2, self.batch, self.out_channels, self.out_samples, self.in_channels, self.kernel])
    }

    fn reference(&self, reads: &[&[f64]], dw: &mut [f64]) {
        let [x, dy] = reads else { unreachable!("the plan gives a weight gradient two reads") };
        for o in 0..self.out_channels {
            for c in 0..self.in_channels {
                for k in 0..self.kernel {
                    let mut sum = 0.0;
                    for b in 0..self.batch {
                        let (x_row, dy_row) = (b * self.in_channels + c, b * self.out_channels + o);
                        for t in 0..self.out_samples {
                            let position = t * self.stride + k;
                            if position >= self.padding && position - self.padding < self.in_samples {
                                let x = x[x_row * self.in_samples + position - self.padding];
                                sum += dy[dy_row * self.out_samples + t] * x;
                            }
                        }
                    }
                    dw[(o * self.in_channels + c) * self.kernel + k] = sum;
                }
            }
        }
    }
}

impl GpuOperation for Conv1dWeightGradient {
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, dy, dw] = layouts else { unreachable!("the plan gives a weight gradient two reads") };
        let plain = plain::variant(self, *x, *dy, first(*dw));
        let subgroups = subgroups::variant(self, [*x, *dy], first(*dw), accelerator);
        let tile = tile::variant(self, [*x, *dy], first(*dw), accelerator);
        if accelerator.software {
            return subgroups.into_iter().chain([plain]).chain(tile).collect();
        }
        tile.into_iter().chain([plain]).chain(subgroups).collect()
    }

    fn padding(&self) -> usize {
        self.padding
    }

    fn base_offset(&self) -> usize {
        // The largest number of samples that a window begins before its row, see `WINDOW_OFFSET`. The largest offset of dy is 7.
        self.padding + 7 * self.stride + 3
    }

    fn pitch_multiple(&self) -> usize {
        4
    }
}
