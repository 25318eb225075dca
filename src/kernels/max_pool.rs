//! The largest sample of each window. Twin: shaders/max_pool.wgsl.

use super::{Accelerator, Operation, Row, Shader, Variant};

const WORKGROUP: usize = 64;

/// `y[b, c, t]` is the largest of `x[b, c, t·stride + k]` over k < kernel.
///
/// Reads x `[batch, channels, in_samples]`; writes y `[batch, channels, out_samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool {
    /// Records.
    pub batch: usize,
    /// Channels of x and y.
    pub channels: usize,
    /// Samples of each channel of x.
    pub in_samples: usize,
    /// Samples of each channel of y.
    pub out_samples: usize,
    /// Samples that one output sees.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
}

impl Operation for MaxPool {
    fn variants(&self, x: Row, y: Row, _: &Accelerator) -> Vec<Variant> {
        let source = include_str!("../../shaders/max_pool.wgsl").into();
        let shader = Shader {
            name: "max_pool",
            source,
            constants: vec![("KERNEL", self.kernel as f64), ("STRIDE", self.stride as f64)],
        };
        // Mirror of `struct MaxPool` in the shader.
        let parameters = [self.channels, self.out_samples, x.head, x.stride, y.head, y.stride, 0, 0];
        vec![Variant::plain(shader, parameters, [y.stride.div_ceil(WORKGROUP), self.channels, self.batch])]
    }

    fn floating_point_operations(&self) -> usize {
        self.batch * self.channels * self.out_samples * self.kernel
    }

    fn describe(&self) -> String {
        format!("max pool kernel {} stride {}", self.kernel, self.stride)
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives a max pool one read") };
        for row in 0..self.batch * self.channels {
            for t in 0..self.out_samples {
                let mut largest = x[row * self.in_samples + t * self.stride];
                for k in 1..self.kernel {
                    largest = largest.max(x[row * self.in_samples + t * self.stride + k]);
                }
                y[row * self.out_samples + t] = largest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_sample_at_the_end_is_left_out() {
        let pool = MaxPool { batch: 1, channels: 2, in_samples: 5, out_samples: 2, kernel: 2, stride: 2 };
        let mut y = [0.0; 4];
        pool.reference(&[&[1., -2., 3., 4., 9., -1., -2., -3., -4., 9.]], &mut y);
        assert_eq!(y, [1., 4., -1., -3.]);
    }
}
