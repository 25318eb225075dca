//! Convolution along the samples, with bias and, where it follows, ReLU. Twin: shaders/conv1d.wgsl.

use super::{Operation, Shader};

/// Positions and channels that one invocation computes, and invocations in a workgroup; the shader says the same.
const TILE_SAMPLES: usize = 4;
const TILE_CHANNELS: usize = 4;
const WORKGROUP: usize = 64;

/// `y[b, o, t] = bias[o] + Σ_c Σ_k weight[o, c, k] · x[b, c, t·stride + k − padding]`, where x is 0 outside its samples;
/// then max(0, y) with `relu`.
///
/// Reads x `[batch, in_channels, in_samples]`, weight `[out_channels, in_channels, kernel]`, bias `[out_channels]`;
/// writes y `[batch, out_channels, out_samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1d {
    /// Records.
    pub batch: usize,
    /// Channels of x.
    pub in_channels: usize,
    /// Samples of each channel of x.
    pub in_samples: usize,
    /// Channels of y.
    pub out_channels: usize,
    /// Samples of each channel of y.
    pub out_samples: usize,
    /// Samples that one output sees.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
    /// Zeros before and after the samples.
    pub padding: usize,
    /// Whether max(0, y) follows.
    pub relu: bool,
}

impl Operation for Conv1d {
    fn shader(&self) -> Shader {
        Shader {
            name: "conv1d",
            source: include_str!("../../shaders/conv1d.wgsl"),
            constants: vec![
                ("KERNEL", self.kernel as f64),
                ("STRIDE", self.stride as f64),
                ("PADDING", self.padding as f64),
                ("RELU", f64::from(u8::from(self.relu))),
            ],
        }
    }

    /// Mirror of `struct Conv1d` in the shader.
    fn parameters(&self) -> [u32; 4] {
        [self.in_channels, self.in_samples, self.out_channels, self.out_samples].map(|size| size as u32)
    }

    fn grid(&self) -> [usize; 3] {
        let columns = self.out_samples.div_ceil(WORKGROUP * TILE_SAMPLES);
        [columns, self.out_channels.div_ceil(TILE_CHANNELS), self.batch]
    }

    fn floating_point_operations(&self) -> usize {
        2 * self.batch * self.out_channels * self.out_samples * self.in_channels * self.kernel
    }

    fn describe(&self) -> String {
        let relu = if self.relu { " + ReLU" } else { "" };
        let Self { in_channels, out_channels, kernel, stride, .. } = self;
        format!("conv {in_channels}→{out_channels} kernel {kernel} stride {stride}{relu}")
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x, weight, bias] = reads else { unreachable!("the plan gives a convolution three reads") };
        for b in 0..self.batch {
            for o in 0..self.out_channels {
                for t in 0..self.out_samples {
                    let mut sum = bias[o];
                    for c in 0..self.in_channels {
                        let row = (b * self.in_channels + c) * self.in_samples;
                        for k in 0..self.kernel {
                            let position = t * self.stride + k;
                            if position >= self.padding && position - self.padding < self.in_samples {
                                let w = weight[(o * self.in_channels + c) * self.kernel + k];
                                sum += w * x[row + position - self.padding];
                            }
                        }
                    }
                    y[(b * self.out_channels + o) * self.out_samples + t] = if self.relu { sum.max(0.0) } else { sum };
                }
            }
        }
    }

    /// Weights as `[in_channels, kernel, out_channels]` and both with the outputs padded to whole vec4s, so that one
    /// load brings the weights of four outputs.
    fn packed(&self, read: usize, values: &[f32]) -> Vec<f32> {
        let outputs = self.out_channels.next_multiple_of(TILE_CHANNELS);
        let taps = if read == 1 { self.in_channels * self.kernel } else { 1 };
        let mut packed = vec![0.0; taps * outputs];
        for (at, &value) in values.iter().enumerate() {
            packed[(at % taps) * outputs + at / taps] = value;
        }
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_convolution_by_hand() {
        let conv = Conv1d {
            batch: 1,
            in_channels: 2,
            in_samples: 3,
            out_channels: 1,
            out_samples: 2,
            kernel: 3,
            stride: 2,
            padding: 1,
            relu: false,
        };
        let (x, weight) = ([1., 2., 3., 10., 20., 30.], [1., 10., 100., 0., 0., 1.]);
        let mut y = [0.0; 2];
        conv.reference(&[&x, &weight, &[0.5]], &mut y);
        // t=0 sees (0, 1, 2) and (0, 10, 20); t=1 sees (2, 3, 0) and (20, 30, 0).
        assert_eq!(y, [0.5 + 10. + 200. + 20., 0.5 + 2. + 30.]);
        Conv1d { relu: true, ..conv }.reference(&[&x, &weight, &[-100.]], &mut y);
        assert_eq!(y, [130., 0.]);
    }

    #[test]
    fn packing_brings_four_outputs_together() {
        let conv = Conv1d {
            batch: 1,
            in_channels: 1,
            in_samples: 9,
            out_channels: 3,
            out_samples: 8,
            kernel: 2,
            stride: 1,
            padding: 0,
            relu: false,
        };
        assert_eq!(conv.packed(1, &[1., 2., 3., 4., 5., 6.]), [1., 3., 5., 0., 2., 4., 6., 0.]);
        assert_eq!(conv.packed(2, &[7., 8., 9.]), [7., 8., 9., 0.]);
    }
}
