//! The convolution for software Vulkan whose subgroups are exactly eight lanes, as Mesa's lavapipe has on AVX. Twin:
//! shaders/conv1d/subgroups.wgsl. For drivers without 64-bit integers, and kernels longer than a lane's samples; else
//! [`super::winograd`] takes a third less time (reckoned: a quarter was measured before it filtered, and that took an
//! eighth).
//!
//! Lavapipe turns every load whose address differs between lanes into a loop over the lanes, about 95 cycles whether a
//! lane loads one float or four; a multiplication and addition of all lanes costs 0.7. So a tile must be large for the
//! vec4s that it loads. Each lane keeps eight neighbouring positions, whose window is a few vec4s, and 16 or 32 channels
//! whose weights come 32 at a time: every lane loads four, and `subgroupBroadcast` from a constant lane is one shuffle.
//!
//! Tried, 64→64 kernel 7 on one thread of a Zen 4 core, GFLOP/s:
//! - channels × positions a lane: 8×8 27, 16×8 36, 32×8 38, 16×16 40, 8×16 37, 32×4 31. Larger ones need fewer loads a
//!   multiplication, but compile in 0.5 s instead of 0.2 s; 16×8 is the knee, and 32×8 for kernels up to 3.
//! - the taps innermost, one accumulator after the other: 55 beside 43 with the positions innermost (8×8, two threads). 128
//!   accumulators do not fit into 16 or 32 registers, so each must be fetched and put back once a channel, not once a
//!   tap.
//! - rows that start where each window begins with a whole vec4 (`Operation::start`), instead of windows shifted by one
//!   to three floats: expected a tenth at kernel 5, one load of eight; 36 instead of 31 at stride 1, 31 instead of 28 at
//!   stride 2.
//! - 32 channels for kernels 5 and 7 at stride 2: 35 instead of 31 and 34 instead of 29, left out for the 0.3 s each that
//!   the first forward would take longer.
//! - two input channels an iteration, to halve the masked stores of accumulators: expected some percent; 34 instead of 37
//!   at kernel 5, as the second window costs more registers than the stores cost time.

use super::{Conv1d, RowLayout, UNROLLED, Variant, blocks, shader, storage_lines, write_lines};
use crate::kernels::{Accelerator, fill, storage::Elements};

const LANES: usize = 8;
const TILE_SAMPLES: usize = 8;
/// Weights that one load brings to a subgroup.
const LOADED: usize = 4 * LANES;

pub(super) const NAME: &str = "subgroups";

/// None where subgroups differ from eight lanes or the kernel is too large to unroll.
pub(super) fn variant(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Option<Variant> {
    if accelerator.subgroup_size != Some(LANES) || conv.kernel > UNROLLED || conv.stride > 4 {
        return None;
    }
    let (shift, channels, kernel) = (conv.shift(x, y), channels(conv), conv.kernel);
    let window = (TILE_SAMPLES - 1) * conv.stride + shift + kernel;
    let loads = (channels * kernel).div_ceil(LOADED);
    let load = (0..window.div_ceil(4))
        .map(|i| format!("let x{i} = x_at(first + {i});"))
        .chain((0..loads).map(|i| format!("let weights{i} = weight_at(at + {});", i * LANES)));
    let multiply = (0..channels).flat_map(|o| {
        let weights = (0..kernel).map(move |k| format!("let w{o}_{k} = {};", broadcast("weights", o * kernel + k)));
        let sums = (0..TILE_SAMPLES).map(move |p| {
            let sum = (0..kernel).fold(format!("sum{o}_{p}"), |sum, k| {
                let position = p * conv.stride + k + shift;
                format!("fma(w{o}_{k}, x{}.{}, {sum})", position / 4, component(position))
            });
            format!("sum{o}_{p} = {sum};")
        });
        weights.chain(sums)
    });
    let declare = (0..channels).flat_map(|o| {
        let first = format!("var sum{o}_0 = {};", broadcast_of("biases", o));
        std::iter::once(first).chain((1..TILE_SAMPLES).map(move |p| format!("var sum{o}_{p} = sum{o}_0;")))
    });
    let store = (0..channels).flat_map(|o| {
        (0..TILE_SAMPLES).step_by(4).map(move |p| {
            let four: Vec<String> = (p..p + 4).map(|p| format!("sum{o}_{p}")).collect();
            format!("store(b, o + {o}, i + {p}, vec4({}));", four.join(", "))
        })
    });
    let constants = [("STRIDE", conv.stride), ("CHANNELS", channels), ("LOADS", loads)];
    let source = fill(
        include_str!("../../../shaders/conv1d/subgroups.wgsl"),
        &[
            ("storage", storage_lines(conv, x, y, accelerator, Elements::Four)),
            ("write", write_lines(conv)),
            ("constants", constants.map(|(name, value)| format!("const {name}: u32 = {value};")).into()),
            ("declare", declare.collect()),
            ("load", load.collect()),
            ("multiply", multiply.collect()),
            ("store", store.collect()),
        ],
    );
    let columns = y.pitch.div_ceil(LANES * TILE_SAMPLES);
    let (constants, head) = conv.vector_window_and_base_offset(x, y);
    Some(Variant {
        name: NAME,
        shader: shader("conv1d/subgroups", source, y, constants),
        parameters: conv.parameters(head, x, y),
        grid: [columns, conv.out_channels.div_ceil(channels), conv.batch],
        subgroups: true,
    })
}

/// Channels of a tile.
fn channels(conv: &Conv1d) -> usize {
    if conv.kernel <= 3 { 32 } else { 16 }
}

/// Number `index` of the 32 that a subgroup holds in `name`, four a lane.
fn broadcast_of(name: &str, index: usize) -> String {
    format!("subgroupBroadcast({name}.{}, {}u)", component(index), index / 4)
}

/// As [`broadcast_of`], from as many loads as are needed, numbered.
fn broadcast(name: &str, index: usize) -> String {
    broadcast_of(&format!("{name}{}", index / LOADED), index % LOADED)
}

fn component(index: usize) -> char {
    ['x', 'y', 'z', 'w'][index % 4]
}

/// Weights as `[out_channels / block, in_channels, block · kernel]` and biases as `[out_channels / block, block]`, the
/// innermost rounded up to whole loads with zeros; a block is a workgroup's channels.
pub(super) fn packed(conv: &Conv1d, read: usize, values: &[f32]) -> Vec<f32> {
    let (channels, kernel) = (channels(conv), if read == 1 { conv.kernel } else { 1 });
    let taps = if read == 1 { conv.in_channels * kernel } else { 1 };
    let loaded = (channels * kernel).next_multiple_of(LOADED);
    let block_length = taps / kernel * loaded;
    let place =
        |block: usize, o: usize, tap: usize| block * block_length + tap / kernel * loaded + o * kernel + tap % kernel;
    blocks(values, conv.out_channels, channels, taps, place, block_length)
}
