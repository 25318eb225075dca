//! The gradient of a max pool.

use crate::kernels::{Accelerator, Operation, Row, Variant};

use super::{WORKGROUP, first, line, shader};

/// `dx[b, c, i]` is the sum of `dy[b, c, t]` over the windows t whose first largest sample is i.
///
/// Reads x `[batch, channels, in_samples]`, dy `[batch, channels, out_samples]`; writes dx, shaped like x.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPoolGradient {
    /// Rows: records times channels.
    pub rows: usize,
    /// Samples of each channel of x.
    pub in_samples: usize,
    /// Samples of each channel of dy.
    pub out_samples: usize,
    /// Samples that one output sees.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
}

impl Operation for MaxPoolGradient {
    fn variants(&self, rows: &[Row], _: &Accelerator) -> Vec<Variant> {
        let [x, dy, dx] = rows else { unreachable!("the plan gives a max pool gradient two reads") };
        // Mirror of `struct MaxPoolGradient` in the shader.
        let parameters = [
            self.rows,
            self.in_samples,
            self.out_samples,
            first(*x),
            x.stride,
            first(*dy),
            dy.stride,
            dx.head,
            dx.stride,
            dx.start,
        ];
        let constants = [("KERNEL", self.kernel as f64), ("STRIDE", self.stride as f64)];
        let grid = line((self.rows * dx.stride).div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("max_pool_gradient", constants), parameters, grid)]
    }

    fn floating_point_operations(&self) -> usize {
        self.rows * self.out_samples * self.kernel
    }

    fn describe(&self) -> String {
        format!("max pool gradient kernel {} stride {}", self.kernel, self.stride)
    }

    fn reference(&self, reads: &[&[f64]], dx: &mut [f64]) {
        let [x, dy] = reads else { unreachable!("the plan gives a max pool gradient two reads") };
        for row in 0..self.rows {
            let x = &x[row * self.in_samples..][..self.in_samples];
            let dx = &mut dx[row * self.in_samples..][..self.in_samples];
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
