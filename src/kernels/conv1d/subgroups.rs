//! The convolution for software adapters whose subgroups have exactly eight lanes, such as Mesa's lavapipe on AVX.
//! Counterpart: shaders/conv1d/subgroups.wgsl.
//!
//! It is for drivers without 64-bit integers and for kernels longer than a lane's samples; elsewhere [`super::winograd`] is
//! faster. Lavapipe turns every load whose address differs between lanes into a loop over the lanes, so each loaded vec4
//! must serve many multiplications: a lane computes eight neighbouring positions of 16 or 32 channels. Weights are loaded 32
//! at a time: each lane loads four, and `subgroupBroadcast` gives each number to all lanes.
//!
//! Measurements: docs/measurements/conv1d-subgroups-lavapipe.md.

use super::{
    Conv1d, Packing, RowLayout, Source, UNROLLED, Variant, blocks, component, declarations, shader, storage_lines,
    write_lines,
};
use crate::kernels::{Accelerator, storage::Elements};

const LANES: usize = 8;
const TILE_SAMPLES: usize = 8;
/// Weights that one load brings to a subgroup.
const LOADED: usize = 4 * LANES;

/// None if a subgroup does not have eight lanes or the kernel is too long to unroll.
pub(super) fn variant(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Option<Variant> {
    if accelerator.subgroup_size != Some(LANES) || conv.kernel > UNROLLED || conv.stride > 4 {
        return None;
    }
    let (sizes, shift, weights) = (conv.clone(), conv.shift(x, y), accelerator.storage);
    let source = Source::filled(include_str!("../../../shaders/conv1d/subgroups.wgsl"), move || {
        let (channels, kernel) = (channels(&sizes), sizes.kernel);
        let loads = (channels * kernel).div_ceil(LOADED);
        let constants = [("STRIDE", sizes.stride), ("CHANNELS", channels), ("LOADS", loads)];
        [
            ("storage", storage_lines(&sizes, [x.storage, y.storage], weights, Elements::Four)),
            ("write", write_lines(&sizes)),
            ("constants", declarations(constants)),
            ("declare", declare(channels)),
            ("load", load(&sizes, shift, loads)),
            ("multiply", multiply(&sizes, shift)),
            ("store", store(channels)),
        ]
    });
    let (overrides, base_offset) = conv.window_and_base_offset(x, y);
    Some(Variant {
        name: "subgroups",
        shader: shader("conv1d/subgroups", source, y, overrides),
        parameters: conv.parameters(base_offset, x, y),
        grid: [y.pitch.div_ceil(LANES * TILE_SAMPLES), conv.out_channels.div_ceil(channels(conv)), conv.batch],
        subgroups: true,
        parts: 1,
        packing: Packing(|kernel, read, values| packed(kernel.of_type(), read, values)),
    })
}

/// Channels of a tile.
fn channels(conv: &Conv1d) -> usize {
    if conv.kernel <= 3 { 32 } else { 16 }
}

fn declare(channels: usize) -> Vec<String> {
    let sums = (0..channels).flat_map(|o| {
        let first = format!("var sum{o}_0 = {};", broadcast_one("biases", o));
        std::iter::once(first).chain((1..TILE_SAMPLES).map(move |p| format!("var sum{o}_{p} = sum{o}_0;")))
    });
    sums.collect()
}

fn load(conv: &Conv1d, shift: usize, loads: usize) -> Vec<String> {
    let window = (TILE_SAMPLES - 1) * conv.stride + shift + conv.kernel;
    let x = (0..window.div_ceil(4)).map(|i| format!("let x{i} = x_at(first + {i});"));
    x.chain((0..loads).map(|i| format!("let weights{i} = weight_at(at + {});", i * LANES))).collect()
}

fn multiply(conv: &Conv1d, shift: usize) -> Vec<String> {
    let (kernel, stride) = (conv.kernel, conv.stride);
    let lines = (0..channels(conv)).flat_map(|o| {
        let weights = (0..kernel).map(move |k| format!("let w{o}_{k} = {};", broadcast("weights", o * kernel + k)));
        let sums = (0..TILE_SAMPLES).map(move |p| {
            let sum = (0..kernel).fold(format!("sum{o}_{p}"), |sum, k| {
                let position = p * stride + k + shift;
                format!("fma(w{o}_{k}, x{}.{}, {sum})", position / 4, component(position))
            });
            format!("sum{o}_{p} = {sum};")
        });
        weights.chain(sums)
    });
    lines.collect()
}

fn store(channels: usize) -> Vec<String> {
    let lines = (0..channels).flat_map(|o| {
        (0..TILE_SAMPLES).step_by(4).map(move |p| {
            let four: Vec<String> = (p..p + 4).map(|p| format!("sum{o}_{p}")).collect();
            format!("store(b, o + {o}, i + {p}, vec4({}));", four.join(", "))
        })
    });
    lines.collect()
}

/// An expression for number `index` of the 32 that a subgroup holds in variable `name`, four per lane.
fn broadcast_one(name: &str, index: usize) -> String {
    format!("subgroupBroadcast({name}.{}, {}u)", component(index), index / 4)
}

/// An expression for number `index` of those that a subgroup holds in the variables `name` 0, 1, 2 …
fn broadcast(name: &str, index: usize) -> String {
    broadcast_one(&format!("{name}{}", index / LOADED), index % LOADED)
}

/// Packs weights as `[out_channels / block, in_channels, block · kernel]` and biases as `[out_channels / block, block]`,
/// where a block is the channels of a workgroup. The last dimension is padded with zeros to whole loads.
pub(super) fn packed(conv: &Conv1d, read: usize, values: &[f32]) -> Vec<f32> {
    let (channels, kernel) = (channels(conv), if read == 1 { conv.kernel } else { 1 });
    let taps = if read == 1 { conv.in_channels * kernel } else { 1 };
    let loaded = (channels * kernel).next_multiple_of(LOADED);
    let block_length = taps / kernel * loaded;
    let place =
        |block: usize, o: usize, tap: usize| block * block_length + tap / kernel * loaded + o * kernel + tap % kernel;
    blocks(values, conv.out_channels, channels, taps, place, block_length)
}
