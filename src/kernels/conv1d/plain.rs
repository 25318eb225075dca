//! The convolution that runs on every device: an invocation computes four channels at four positions, in loops.
//! Counterpart: shaders/conv1d/plain.wgsl. A rejected alternative: docs/measurements/conv1d-plain-lavapipe.md.

use super::{Conv1d, Packing, RowLayout, Source, Variant, blocks, shader, storage_lines, write_lines};
use crate::kernels::{Accelerator, storage::Elements};

const TILE_SAMPLES: usize = 4;
const TILE_CHANNELS: usize = 4;
const WORKGROUP: usize = 64;

pub(super) fn variant(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Variant {
    let overrides = conv.overrides([("KERNEL", conv.kernel), ("STRIDE", conv.stride), ("PADDING", conv.padding)]);
    let (sizes, weights) = (conv.clone(), accelerator.storage);
    let source = Source::filled(include_str!("../../../shaders/conv1d/plain.wgsl"), move || {
        let storage = storage_lines(&sizes, [x.storage, y.storage], weights, Elements::One);
        [("storage", storage), ("write", write_lines(&sizes))]
    });
    Variant {
        name: "plain",
        shader: shader("conv1d/plain", source, y, overrides),
        parameters: conv.parameters(x.base_offset + x.offset, x, y),
        grid: [y.pitch.div_ceil(WORKGROUP * TILE_SAMPLES), conv.out_channels.div_ceil(TILE_CHANNELS), conv.batch],
        subgroups: false,
        parts: 1,
        packing: Packing(|kernel, read, values| packed(kernel.of_type(), read, values)),
    }
}

/// Packs weights as `[in_channels, kernel, out_channels]` and biases as `[out_channels]`, the outputs padded to whole
/// vec4s, so that one load brings the weights of four outputs.
pub(super) fn packed(conv: &Conv1d, read: usize, values: &[f32]) -> Vec<f32> {
    let outputs = conv.out_channels.next_multiple_of(TILE_CHANNELS);
    let taps = if read == 1 { conv.in_channels * conv.kernel } else { 1 };
    blocks(values, conv.out_channels, outputs, taps, |_, o, tap| tap * outputs + o, taps * outputs)
}
