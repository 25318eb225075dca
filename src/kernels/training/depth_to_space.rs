//! Moves groups of channels into neighbouring samples, as ONNX's DepthToSpace does in two dimensions: the last step of the
//! gradient of a strided convolution with respect to its input.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{WORKGROUP, first, shader};

/// Computes `y[b, c, t] = x[b, (t mod factor) · channels + c, t / factor]`.
///
/// Reads x `[batch, factor · channels, in_samples]`; writes y `[batch, channels, out_samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthToSpace {
    /// Records.
    pub batch: usize,
    /// Channels of y.
    pub channels: usize,
    /// Groups of channels of x: the phases of each channel of y.
    pub factor: usize,
    /// Samples per channel of x.
    pub in_samples: usize,
    /// Samples per channel of y, at most `factor · in_samples`.
    pub out_samples: usize,
}

impl Operation for DepthToSpace {
    fn extents(&self) -> Option<Extents> {
        let Self { batch, channels, factor, in_samples, out_samples } = *self;
        let x = Extent::Activation([batch, channels.checked_mul(factor)?, in_samples]);
        let y = Extent::Activation([batch, channels, out_samples]);
        (out_samples <= in_samples.checked_mul(factor)?).then(|| Extents::new([x], y))
    }

    fn describe(&self) -> String {
        format!("depth to space {}", self.factor)
    }

    fn floating_point_operations(&self) -> u64 {
        0
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives depth-to-space one read") };
        for b in 0..self.batch {
            for c in 0..self.channels {
                for t in 0..self.out_samples {
                    let row = (b * self.factor + t % self.factor) * self.channels + c;
                    y[(b * self.channels + c) * self.out_samples + t] = x[row * self.in_samples + t / self.factor];
                }
            }
        }
    }
}

impl GpuOperation for DepthToSpace {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, y] = layouts else { unreachable!("the plan gives depth-to-space one read") };
        // Mirror of `struct DepthToSpace` in the shader.
        let parameters = [self.channels, self.out_samples, first(*x), x.pitch, y.base_offset, y.pitch, y.offset];
        let shader = shader!("depth_to_space", [("FACTOR", self.factor as f64)]);
        vec![Variant::plain(shader, parameters, [y.pitch.div_ceil(WORKGROUP), self.channels, self.batch])]
    }
}
