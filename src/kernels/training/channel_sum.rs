//! The sum of each channel: the gradient by a bias.

use crate::kernels::Operation;

/// `y[c] = Σ_b Σ_t x[b, c, t]`.
///
/// Reads x `[batch, channels, samples]`; writes y `[channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSum {
    /// Records.
    pub batch: usize,
    /// Channels of x.
    pub channels: usize,
    /// Samples of each channel.
    pub samples: usize,
}

impl Operation for ChannelSum {
    fn floating_point_operations(&self) -> usize {
        self.batch * self.channels * self.samples
    }

    fn describe(&self) -> String {
        "sum of each channel".into()
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
