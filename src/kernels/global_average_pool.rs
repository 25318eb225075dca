//! The mean over the samples of every channel. Twin: shaders/global_average_pool.wgsl.

use super::{Accelerator, Operation, Row, Shader, Variant};

/// `y[b, c]` is the mean over t of `x[b, c, t]`.
///
/// Reads x `[batch, channels, samples]`; writes y `[batch, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalAveragePool {
    /// Records.
    pub batch: usize,
    /// Channels of x and y.
    pub channels: usize,
    /// Samples of each channel.
    pub samples: usize,
}

impl Operation for GlobalAveragePool {
    fn variants(&self, x: Row, y: Row, _: &Accelerator) -> Vec<Variant> {
        let source = include_str!("../../shaders/global_average_pool.wgsl").into();
        let shader = Shader { name: "global_average_pool", source, constants: Vec::new() };
        // Mirror of `struct GlobalAveragePool` in the shader.
        let parameters = [self.channels, self.samples, x.head, x.stride, y.head, y.stride, 0, 0];
        vec![Variant::plain(shader, parameters, [self.channels, self.batch, 1])]
    }

    fn floating_point_operations(&self) -> usize {
        self.batch * self.channels * self.samples
    }

    fn describe(&self) -> String {
        "global average pool".into()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_gives_its_mean() {
        let mut y = [0.0; 2];
        GlobalAveragePool { batch: 1, channels: 2, samples: 3 }.reference(&[&[1., 2., 6., -1., 0., 1.]], &mut y);
        assert_eq!(y, [3., 0.]);
    }
}
