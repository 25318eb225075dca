//! The gradient of a convolution by its input, as a convolution of dy with turned weights.
//!
//! dx[i] sums w[k]·dy[t] over all i = t·stride + k − padding. For i = stride·u + r only the taps k ≡ r + padding (mod
//! stride) are met, at t = u + e − j, where k = q + stride·j, e = ⌊(r + padding)/stride⌋ and q = (r + padding) mod stride.
//! So each phase r is a convolution of stride 1, and all phases together are one with `stride` times as many channels,
//! whose windows are as long as the longest needs: 8 taps of which 7 count for a kernel of 7 and a stride of 2. The phases
//! are then put in turn.

use std::sync::Arc;

use crate::{
    Result,
    kernels::{
        Conv1d, Kernel,
        training::{DepthToSpace, Gather},
    },
    plan::{BufferId, Builder},
};

/// Of a strided convolution: what becomes of phase r.
struct Phase {
    /// The first tap that it meets.
    first: usize,
    /// e: the last sample of dy that u = 0 sees.
    end: isize,
    /// Taps.
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

/// The convolution of dy and the order of its weights, from the convolution whose gradient is wanted.
struct Turned {
    conv: Conv1d,
    order: Arc<[f32]>,
}

impl Turned {
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
                        let met = (0..phase.count as isize).contains(&j);
                        let k = phase.first as isize + conv.stride as isize * j;
                        let place = (o * conv.in_channels + c) * conv.kernel + 1;
                        order.push(if met { (place as isize + k) as f32 } else { 0.0 });
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

/// Adds the steps that make dx from dy and the convolution's weights.
pub(super) fn input_gradient(
    builder: &mut Builder,
    name: &str,
    conv: &Conv1d,
    weight: BufferId,
    dy: BufferId,
) -> Result<BufferId> {
    let turned = Turned::new(conv);
    let (batch, channels, samples) = (conv.batch, conv.in_channels, conv.in_samples);
    let (from, length) = (conv.out_channels * channels * conv.kernel, turned.order.len());
    let order = builder.constant(&format!("{name}.order"), &turned.order)?;
    let weight = builder.step(&format!("{name}.turn"), Gather { from, length }, &[weight, order], [1, 1, length])?;
    let zeros = builder.constant(&format!("{name}.zeros"), &vec![0.0; turned.conv.out_channels].into())?;
    let Conv1d { out_channels, out_samples, .. } = turned.conv;
    let shape = [batch, out_channels, out_samples];
    let name = format!("{name}.input_gradient");
    let phases = builder.step(&name, Kernel::Conv1d(turned.conv), &[dy, weight, zeros], shape)?;
    if conv.stride == 1 {
        return Ok(phases);
    }
    let (factor, in_samples) = (conv.stride, out_samples);
    let interleave = DepthToSpace { batch, channels, factor, in_samples, out_samples: samples };
    builder.step(&format!("{name}.phases"), interleave, &[phases], [batch, channels, samples])
}
