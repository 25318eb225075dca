//! The convolution that runs everywhere: four channels by four positions an invocation, in loops. Twin:
//! shaders/conv1d/plain.wgsl.
//!
//! Tried: 8 × 8 in loops over private arrays. Expected half the loads for each multiplication; was ten times slower on
//! lavapipe, which keeps such arrays in memory and checks every index.

use super::{Conv1d, RowLayout, Variant, blocks, shader, storage_lines, write_lines};
use crate::kernels::{Accelerator, fill, storage::Elements};

const TILE_SAMPLES: usize = 4;
const TILE_CHANNELS: usize = 4;
const WORKGROUP: usize = 64;

pub(super) const NAME: &str = "plain";

pub(super) fn variant(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Variant {
    let columns = y.pitch.div_ceil(WORKGROUP * TILE_SAMPLES);
    let constants = [("KERNEL", conv.kernel), ("STRIDE", conv.stride), ("PADDING", conv.padding)];
    let storage = storage_lines(conv, x, y, accelerator, Elements::One);
    let source =
        fill(include_str!("../../../shaders/conv1d/plain.wgsl"), &[("storage", storage), ("write", write_lines(conv))]);
    Variant {
        name: NAME,
        shader: shader("conv1d/plain", source, y, conv.constants(constants)),
        parameters: conv.parameters(x.base_offset + x.offset, x, y),
        grid: [columns, conv.out_channels.div_ceil(TILE_CHANNELS), conv.batch],
        subgroups: false,
    }
}

/// Weights as `[in_channels, kernel, out_channels]` and both with the outputs padded to whole vec4s, so that one load
/// brings the weights of four outputs.
pub(super) fn packed(conv: &Conv1d, read: usize, values: &[f32]) -> Vec<f32> {
    let outputs = conv.out_channels.next_multiple_of(TILE_CHANNELS);
    let taps = if read == 1 { conv.in_channels * conv.kernel } else { 1 };
    blocks(values, conv.out_channels, outputs, taps, |_, o, tap| tap * outputs + o, taps * outputs)
}
