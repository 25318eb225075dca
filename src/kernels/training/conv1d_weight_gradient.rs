//! The gradient of a convolution, or of a linear layer as one of one tap, by its weights.

use crate::kernels::Operation;

/// `dw[o, c, k] = Σ_b Σ_t dy[b, o, t] · x[b, c, t·stride + k − padding]`, where x is 0 outside its samples.
///
/// Reads x `[batch, in_channels, in_samples]`, dy `[batch, out_channels, out_samples]`; writes dw
/// `[out_channels, in_channels, kernel]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1dWeightGradient {
    /// Records.
    pub batch: usize,
    /// Channels of x.
    pub in_channels: usize,
    /// Samples of each channel of x.
    pub in_samples: usize,
    /// Channels of dy.
    pub out_channels: usize,
    /// Samples of each channel of dy.
    pub out_samples: usize,
    /// Samples that one output sees.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
    /// Zeros before and after the samples of x.
    pub padding: usize,
}

impl Operation for Conv1dWeightGradient {
    fn margin(&self) -> usize {
        self.padding
    }

    fn floating_point_operations(&self) -> usize {
        2 * self.batch * self.out_channels * self.out_samples * self.in_channels * self.kernel
    }

    fn describe(&self) -> String {
        let Self { in_channels, out_channels, kernel, stride, .. } = self;
        format!("weight gradient {in_channels}→{out_channels} kernel {kernel} stride {stride}")
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
