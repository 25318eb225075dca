//! The convolution for real GPUs: a workgroup stages samples and weights of a few input channels in workgroup memory,
//! and each invocation computes 8 or 4 channels by four positions in registers. Twin: shaders/conv1d/tile.wgsl.
//!
//! For every input channel and tap an invocation loads two vec4 of weights, the same for 16 neighbours, and does 32
//! multiplications; its samples are loaded once a channel, vec4 by vec4, neighbours beside each other, so that neither
//! load meets a bank conflict at stride 1. Workgroups of 64 with at most 16 KiB keep ten or more resident on a
//! multiprocessor, which hides the staging of one behind the arithmetic of the others.
//!
//! With 4 channels there are twice as many workgroups: better while the grid is too small to fill the GPU. A single
//! record's grid is so small that each multiprocessor would hold two or four warps, which wait for one another's loads
//! and barriers: then four slices of invocations share the input channels of a tile, and add up in the end.
//!
//! Reckoned, not yet measured on a real GPU:
//! - a large batch: on a multiprocessor that issues four warps' multiplications a cycle, the 32 of a tap take a warp 8
//!   cycles and its loads from workgroup memory 3 to 5, which run beside them, so that at least half of the f32 peak
//!   should be reached;
//! - one record of 5000 samples on 132 multiprocessors: 80 to 160 workgroups a layer, 12,288 multiplications one after
//!   another an invocation in the longest layer with 4 channels and one slice, 7 to 14 µs; a quarter of it with four.
//!
//! On lavapipe it is slower than the plain variant: its barriers are coroutine switches.

use super::{Conv1d, RowLayout, UNROLLED, Variant, blocks, saturates_gpu, shader, storage_lines, write_lines};
use crate::kernels::{Accelerator, fill, storage::Elements};

/// Positions and vec4s of channels along a workgroup's two sides.
const LANES: usize = 16;
const GROUPS: usize = 4;
const TILE_SAMPLES: usize = 4;
/// Input channels staged at once at most: more would not save a barrier that counts.
const MOST_STAGED: usize = 8;

/// How a tile is divided.
#[derive(Clone, Copy)]
struct Division {
    name: &'static str,
    /// Vec4s of channels an invocation.
    quads: usize,
    /// Sets of invocations that share the input channels.
    slices: usize,
}

/// From the one that loads least for what it computes to the one that spreads most.
const DIVISIONS: [Division; 3] = [
    Division { name: "tile 8", quads: 2, slices: 1 },
    Division { name: "tile 4", quads: 1, slices: 1 },
    Division { name: "tile 4 sliced", quads: 1, slices: 4 },
];

/// All, the best first; none where the kernel is too large to unroll.
pub(super) fn variants(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Vec<Variant> {
    let variant = |division| variant(conv, x, y, division, accelerator);
    let mut variants: Vec<Variant> = DIVISIONS.into_iter().filter_map(variant).collect();
    // The first whose invocations fill the GPU, or else the one with the most.
    let best = variants.iter().position(saturates_gpu).or(variants.len().checked_sub(1));
    if let Some(best) = best {
        variants[..=best].rotate_right(1);
    }
    variants
}

fn variant(
    conv: &Conv1d,
    x: RowLayout,
    y: RowLayout,
    division: Division,
    accelerator: &Accelerator,
) -> Option<Variant> {
    let Division { name, quads, slices } = division;
    if conv.kernel > UNROLLED || conv.stride > 4 {
        return None;
    }
    let shift = conv.shift(x, y);
    let width = (LANES * TILE_SAMPLES * conv.stride + shift + conv.kernel).div_ceil(4);
    let weights = conv.kernel * GROUPS * quads;
    // What the slices hand over, then what is staged, in vec4s.
    let partial = if slices > 1 { LANES * GROUPS * quads * TILE_SAMPLES } else { 1 };
    let memory = accelerator.workgroup_memory() / 16;
    let staged = (memory.saturating_sub(partial) / (width + weights)).min(MOST_STAGED);
    if staged == 0 {
        return None;
    }
    let window = (TILE_SAMPLES - 1) * conv.stride + shift + conv.kernel;
    let load = (0..window.div_ceil(4)).map(|i| format!("let x{i} = tile[first + {i}];"));
    let multiply = (0..conv.kernel).flat_map(|k| {
        (0..quads).flat_map(move |q| {
            let weight = format!("let w{k}_{q} = weights[at + {}];", k * GROUPS * quads + q);
            let sums = (0..TILE_SAMPLES).map(move |p| {
                let position = p * conv.stride + k + shift;
                format!("sum{q}_{p} = fma(w{k}_{q}, vec4(x{}.{}), sum{q}_{p});", position / 4, component(position))
            });
            std::iter::once(weight).chain(sums)
        })
    });
    let sums =
        |line: fn(usize, usize) -> String| (0..quads).flat_map(move |q| (0..TILE_SAMPLES).map(move |p| line(q, p)));
    let transpose = (0..quads).flat_map(|q| {
        "xyzw".chars().enumerate().map(move |(c, component)| {
            let four: Vec<String> = (0..TILE_SAMPLES).map(|p| format!("sum{q}_{p}.{component}")).collect();
            format!("store(b, o + {}, i, vec4({}));", 4 * q + c, four.join(", "))
        })
    });
    let constants = [
        ("STRIDE", conv.stride),
        ("TILE_WIDTH", width),
        ("WEIGHTS", weights),
        ("STAGED", staged),
        ("QUADS", quads),
        ("SLICES", slices),
        ("PARTIAL", partial),
    ];
    let source = fill(
        include_str!("../../../shaders/conv1d/tile.wgsl"),
        &[
            ("storage", storage_lines(conv, x, y, accelerator, Elements::Four)),
            ("write", write_lines(conv)),
            ("constants", constants.map(|(name, value)| format!("const {name}: u32 = {value};")).into()),
            (
                "declare",
                sums(|q, p| format!("var sum{q}_{p} = select(vec4(0.0), bias[quad + {q}], slice == 0);")).collect(),
            ),
            (
                "give",
                sums(|q, p| format!("partial[{} + member] = sum{q}_{p};", (q * TILE_SAMPLES + p) * LANES * GROUPS))
                    .collect(),
            ),
            (
                "take",
                sums(|q, p| format!("sum{q}_{p} += partial[{} + member];", (q * TILE_SAMPLES + p) * LANES * GROUPS))
                    .collect(),
            ),
            ("load", load.collect()),
            ("multiply", multiply.collect()),
            ("store", transpose.collect()),
        ],
    );
    let columns = y.pitch.div_ceil(LANES * TILE_SAMPLES);
    let (constants, head) = conv.vector_window_and_base_offset(x, y);
    Some(Variant {
        name,
        shader: shader("conv1d/tile", source, y, constants),
        parameters: conv.parameters(head, x, y),
        grid: [columns, conv.out_channels.div_ceil(4 * quads * GROUPS), conv.batch],
        subgroups: false,
    })
}

fn component(index: usize) -> char {
    ['x', 'y', 'z', 'w'][index % 4]
}

/// Weights as `[out_channels / block, in_channels, kernel, block]`, where a block is a workgroup's channels, the last
/// padded with zeros: a workgroup's weights of some input channels lie in one piece. Biases padded likewise.
pub(super) fn packed(conv: &Conv1d, name: &str, read: usize, values: &[f32]) -> Vec<f32> {
    let block = 4 * GROUPS * if name == DIVISIONS[0].name { 2 } else { 1 };
    let taps = if read == 1 { conv.in_channels * conv.kernel } else { 1 };
    blocks(values, conv.out_channels, block, taps, |block_of, o, tap| (block_of * taps + tap) * block + o, taps * block)
}
