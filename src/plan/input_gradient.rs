//! The gradient of a convolution or a linear layer with respect to its input, as an operation of inference with reordered
//! weights. Training and explanations use it.
//!
//! That of a convolution is a transposed convolution: a convolution of dy. dx[i] is the sum of w[k]·dy[t] over all k and t with i = t·stride + k − padding. For i = stride·u + r only the taps
//! k ≡ r + padding (mod stride) contribute, at t = u + e − j, where k = q + stride·j, e = ⌊(r + padding)/stride⌋ and
//! q = (r + padding) mod stride. So each phase r is a convolution of stride 1. All phases together are one convolution with
//! `stride` times as many channels, whose kernel is as long as the longest phase needs: 8 taps, of which 7 are used, for a
//! kernel of 7 and a stride of 2. A depth-to-space operation then moves the phases into neighbouring samples.

use std::sync::Arc;

use super::{BufferId, Builder};
use crate::{
    Result,
    kernels::{
        Conv1d, Kernel, Linear,
        training::{DepthToSpace, Gather},
    },
};

/// One phase of the gradient: the samples i ≡ r (mod stride).
struct Phase {
    /// q, the first tap that contributes.
    first: usize,
    /// e, the last sample of dy that contributes to the sample u = 0.
    end: isize,
    /// The number of taps that contribute.
    count: usize,
}

impl Phase {
    fn new(conv: &Conv1d, phase: usize) -> Self {
        let shifted = phase + conv.padding;
        let first = shifted % conv.stride;
        Self {
            first,
            end: (shifted / conv.stride) as isize,
            count: conv.kernel.saturating_sub(first).div_ceil(conv.stride),
        }
    }
}

/// The convolution of dy that computes the gradient of a convolution.
struct TransposedConv1d {
    conv: Conv1d,
    /// For each weight of `conv`, 1 plus the index of the original weight that it equals, or 0 for zero.
    order: Arc<[f32]>,
}

impl TransposedConv1d {
    fn new(conv: &Conv1d) -> Self {
        let phases: Vec<Phase> = (0..conv.stride).map(|phase| Phase::new(conv, phase)).collect();
        let first = phases.iter().map(|phase| phase.end + 1 - phase.count as isize).min().unwrap_or(0).min(0);
        let last = phases.iter().map(|phase| phase.end).max().unwrap_or(0);
        let kernel = (last - first + 1) as usize;
        let mut order = Vec::with_capacity(conv.stride * conv.in_channels * conv.out_channels * kernel);
        for phase in &phases {
            for c in 0..conv.in_channels {
                for o in 0..conv.out_channels {
                    for tap in 0..kernel {
                        let j = phase.end - first - tap as isize;
                        let is_used = (0..phase.count as isize).contains(&j);
                        let k = phase.first as isize + conv.stride as isize * j;
                        let index = (o * conv.in_channels + c) * conv.kernel + 1;
                        order.push(if is_used { (index as isize + k) as f32 } else { 0.0 });
                    }
                }
            }
        }
        let conv = Conv1d {
            batch: conv.batch,
            in_channels: conv.out_channels,
            in_samples: conv.out_samples,
            out_channels: conv.stride * conv.in_channels,
            out_samples: conv.in_samples.div_ceil(conv.stride),
            kernel,
            stride: 1,
            padding: first.unsigned_abs(),
            relu: false,
            fused_max_pool: false,
        };
        Self { conv, order: order.into() }
    }
}

/// Adds the steps that compute dx from dy and the weights of a convolution.
///
/// # Errors
/// A buffer would have more than 2³² numbers.
pub(crate) fn conv1d_input_gradient(
    builder: &mut Builder,
    name: &str,
    conv: &Conv1d,
    weight: BufferId,
    dy: BufferId,
) -> Result<BufferId> {
    let transposed = TransposedConv1d::new(conv);
    let (batch, channels, samples) = (conv.batch, conv.in_channels, conv.in_samples);
    let (from, length) = (conv.out_channels * channels * conv.kernel, transposed.order.len());
    let order = builder.constant(&format!("{name}.order"), &transposed.order)?;
    let weight =
        builder.step(&format!("{name}.transposed"), Gather { from, length }, &[weight, order], [1, 1, length])?;
    let zeros = builder.constant(&format!("{name}.zeros"), &vec![0.0; transposed.conv.out_channels].into())?;
    let Conv1d { out_channels, out_samples, .. } = transposed.conv;
    let shape = [batch, out_channels, out_samples];
    let name = format!("{name}.input_gradient");
    let phases = builder.step(&name, Kernel::Conv1d(transposed.conv), &[dy, weight, zeros], shape)?;
    if conv.stride == 1 {
        return Ok(phases);
    }
    let (factor, in_samples) = (conv.stride, out_samples);
    let depth_to_space = DepthToSpace { batch, channels, factor, in_samples, out_samples: samples };
    builder.step(&format!("{name}.phases"), depth_to_space, &[phases], [batch, channels, samples])
}

/// Adds the steps that compute dx from dy and the weights of a linear layer: a linear layer with transposed weights.
///
/// # Errors
/// A buffer would have more than 2³² numbers.
pub(crate) fn linear_input_gradient(
    builder: &mut Builder,
    name: &str,
    linear: &Linear,
    weight: BufferId,
    dy: BufferId,
) -> Result<BufferId> {
    let Linear { batch, in_features, out_features } = *linear;
    let length = in_features * out_features;
    let order = (0..length).map(|at| ((at % out_features) * in_features + at / out_features + 1) as f32).collect();
    let order = builder.constant(&format!("{name}.order"), &order)?;
    let gather = Gather { from: length, length };
    let weight = builder.step(&format!("{name}.transposed"), gather, &[weight, order], [1, 1, length])?;
    let zeros = builder.constant(&format!("{name}.zeros"), &vec![0.0; in_features].into())?;
    let transposed = Linear { batch, in_features: out_features, out_features: in_features };
    let shape = [batch, in_features, 1];
    builder.step(&format!("{name}.input_gradient"), Kernel::Linear(transposed), &[dy, weight, zeros], shape)
}
