//! The gradient of a max pool.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant, span};

use super::{WORKGROUP, by_rows, first, line, shader};

/// Computes `dx[b, c, i]`, the sum of `dy[b, c, t]` over the windows t whose first largest sample is i.
///
/// Reads x `[batch, channels, in_samples]`, dy `[batch, channels, out_samples]`; writes dx with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPoolGradient {
    /// Records.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Samples per channel of x.
    pub in_samples: usize,
    /// Samples per channel of dy.
    pub out_samples: usize,
    /// Samples of a window.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
}

impl Operation for MaxPoolGradient {
    fn extents(&self) -> Option<Extents> {
        let Self { batch, channels, in_samples, out_samples, kernel, stride } = *self;
        let [x, dy] = [in_samples, out_samples].map(|samples| Extent::Activation([batch, channels, samples]));
        (span(out_samples, kernel, stride)? <= in_samples).then(|| Extents::new([x, dy], x))
    }

    fn describe(&self) -> String {
        format!("max pool gradient kernel {} stride {}", self.kernel, self.stride)
    }

    fn floating_point_operations(&self) -> u64 {
        self.batch as u64 * self.channels as u64 * self.out_samples as u64 * self.kernel as u64
    }

    fn independent_rows(&self) -> usize {
        self.batch
    }

    fn reference(&self, reads: &[&[f64]], dx: &mut [f64]) {
        by_rows(self, reads, dx);
    }

    fn reference_row(&self, reads: &[&[f64]], record: usize, dx: &mut [f64]) {
        let [x, dy] = reads else { unreachable!("the plan gives a max pool gradient two reads") };
        for (channel, dx) in dx.chunks_mut(self.in_samples).enumerate() {
            let row = record * self.channels + channel;
            let x = &x[row * self.in_samples..][..self.in_samples];
            dx.fill(0.0);
            for t in 0..self.out_samples {
                let mut largest = t * self.stride;
                for i in t * self.stride..t * self.stride + self.kernel {
                    if x[i] > x[largest] {
                        largest = i;
                    }
                }
                dx[largest] += dy[row * self.out_samples + t];
            }
        }
    }
}

impl GpuOperation for MaxPoolGradient {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, dy, dx] = layouts else { unreachable!("the plan gives a max pool gradient two reads") };
        let rows = self.batch * self.channels;
        // Mirror of `struct MaxPoolGradient` in the shader.
        let parameters = [
            rows,
            self.in_samples,
            self.out_samples,
            first(*x),
            x.pitch,
            first(*dy),
            dy.pitch,
            dx.base_offset,
            dx.pitch,
            dx.offset,
        ];
        let constants = [("KERNEL", self.kernel as f64), ("STRIDE", self.stride as f64)];
        let grid = line((rows * dx.pitch).div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("max_pool_gradient", constants), parameters, grid)]
    }
}
