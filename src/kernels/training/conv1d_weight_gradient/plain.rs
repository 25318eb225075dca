//! The weight gradient that runs on every device: an invocation computes one tap of four output channels, in loops.
//! Counterpart: shaders/training/conv1d_weight_gradient/plain.wgsl.

use super::{
    super::{WORKGROUP, first, shader},
    Conv1dWeightGradient,
};
use crate::kernels::{RowLayout, Variant};

/// Output channels per invocation.
const CHANNELS: usize = 4;

pub(super) fn variant(gradient: &Conv1dWeightGradient, x: RowLayout, dy: RowLayout, dw_first: usize) -> Variant {
    let Conv1dWeightGradient { batch, in_channels, out_channels, out_samples, kernel, stride, padding, .. } = *gradient;
    let records = gradient.records();
    let constants = [("KERNEL", kernel), ("STRIDE", stride), ("PADDING", padding), ("RECORDS", records)];
    // Mirror of `struct Conv1dWeightGradient` in the shader.
    let parameters = [batch, in_channels, out_channels, out_samples, first(x), x.pitch, first(dy), dy.pitch, dw_first];
    let grid = [(in_channels * kernel).div_ceil(WORKGROUP), out_channels.div_ceil(CHANNELS), batch.div_ceil(records)];
    let constants = constants.map(|(name, size)| (name, size as f64));
    let shader = shader!("conv1d_weight_gradient/plain", constants);
    Variant { parts: grid[2], ..Variant::plain(shader, parameters, grid) }
}
