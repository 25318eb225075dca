//! The convolution for real GPUs: a workgroup stages samples and weights of a few input channels in workgroup memory, and
//! each invocation computes 8 or 4 channels at four positions in registers. Counterpart: shaders/conv1d/tile.wgsl.
//!
//! For every input channel and tap, an invocation of `tile 8` loads two vec4s of weights, which 16 neighbours share, and does
//! 32 multiplications. It loads its samples once per channel, in vec4s next to those of its neighbours, so that at stride 1
//! neither load has a bank conflict. With workgroups of 64 invocations and at most 16 KiB, ten or more are resident on one
//! multiprocessor, and the staging of one overlaps with the arithmetic of the others.
//!
//! `tile 4` has twice as many workgroups, which is better while the grid does not saturate the GPU. The grid of a single
//! record is so small that a multiprocessor would hold two to four warps, which wait for one another's loads and barriers.
//! There `tile 4 sliced` divides the input channels of a tile among four slices of invocations and adds up their sums.
//!
//! Estimates and measurements: docs/measurements/conv1d-tile.md.

use super::{
    Conv1d, Packing, RowLayout, Source, UNROLLED, Variant, blocks, component, declarations, saturates_gpu, shader,
    storage_lines, write_lines,
};
use crate::kernels::{Accelerator, storage::Elements};

/// Invocations of a slice along the positions.
const LANES: usize = 16;
/// Invocations of a slice along the channels.
const GROUPS: usize = 4;
const TILE_SAMPLES: usize = 4;
/// The most input channels that are staged at once. More would not save a barrier that counts.
const MOST_STAGED: usize = 8;

/// How a tile is divided among invocations.
#[derive(Clone, Copy)]
struct Division {
    name: &'static str,
    /// Vec4s of channels per invocation.
    quads: usize,
    /// Sets of invocations that share the input channels.
    slices: usize,
    packing: Packing,
}

/// The divisions, from the fewest loads per multiplication to the most invocations.
const DIVISIONS: [Division; 3] = [
    Division { name: "tile 8", quads: 2, slices: 1, packing: PACKING_OF_TWO_QUADS },
    Division { name: "tile 4", quads: 1, slices: 1, packing: PACKING_OF_ONE_QUAD },
    Division { name: "tile 4 sliced", quads: 1, slices: 4, packing: PACKING_OF_ONE_QUAD },
];
const PACKING_OF_TWO_QUADS: Packing = Packing(|kernel, read, values| packed(kernel.of_type(), 2, read, values));
const PACKING_OF_ONE_QUAD: Packing = Packing(|kernel, read, values| packed(kernel.of_type(), 1, read, values));

/// Sizes that the text of the shader depends on.
#[derive(Clone, Copy)]
struct Tile {
    kernel: usize,
    stride: usize,
    quads: usize,
    slices: usize,
    /// Numbers before the first tap of a window.
    shift: usize,
    /// Vec4s of x per staged input channel.
    width: usize,
    /// Vec4s of weights per staged input channel.
    weights: usize,
    /// Vec4s that the slices hand over.
    partial: usize,
    /// Input channels that are staged at once.
    staged: usize,
}

/// The variants, the best first. None if the kernel is too long to unroll.
pub(super) fn variants(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Vec<Variant> {
    let variant = |division| variant(conv, x, y, division, accelerator);
    let mut variants: Vec<Variant> = DIVISIONS.into_iter().filter_map(variant).collect();
    // The first that saturates the GPU is the best, or else the one with the most invocations.
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
    let Division { name, quads, packing, .. } = division;
    let tile = Tile::new(conv, conv.shift(x, y), division, accelerator)?;
    let (sizes, storage) = (conv.clone(), accelerator.storage);
    let source = Source::filled(include_str!("../../../shaders/conv1d/tile.wgsl"), move || {
        let [give, take] = tile.handover();
        [
            ("storage", storage_lines(&sizes, [x.storage, y.storage], storage, Elements::Four)),
            ("write", write_lines(&sizes)),
            ("constants", tile.constants()),
            ("declare", tile.declare()),
            ("give", give),
            ("take", take),
            ("load", tile.load()),
            ("multiply", tile.multiply()),
            ("store", tile.store()),
        ]
    });
    let (overrides, base_offset) = conv.window_and_base_offset(x, y);
    Some(Variant {
        name,
        shader: shader("conv1d/tile", source, y, overrides),
        parameters: conv.parameters(base_offset, x, y),
        grid: [y.pitch.div_ceil(LANES * TILE_SAMPLES), conv.out_channels.div_ceil(4 * quads * GROUPS), conv.batch],
        subgroups: false,
        parts: 1,
        packing,
    })
}

impl Tile {
    /// None if the kernel or the stride is too large, or if workgroup memory is too small for one input channel.
    fn new(conv: &Conv1d, shift: usize, division: Division, accelerator: &Accelerator) -> Option<Self> {
        let Conv1d { kernel, stride, .. } = *conv;
        let Division { quads, slices, .. } = division;
        if kernel > UNROLLED || stride > 4 {
            return None;
        }
        let width = (LANES * TILE_SAMPLES * stride + shift + kernel).div_ceil(4);
        let weights = kernel * GROUPS * quads;
        let partial = if slices > 1 { LANES * GROUPS * quads * TILE_SAMPLES } else { 1 };
        let memory = accelerator.workgroup_memory() / 16;
        let staged = (memory.saturating_sub(partial) / (width + weights)).min(MOST_STAGED);
        (staged > 0).then_some(Self { kernel, stride, quads, slices, shift, width, weights, partial, staged })
    }

    fn constants(&self) -> Vec<String> {
        declarations([
            ("STRIDE", self.stride),
            ("TILE_WIDTH", self.width),
            ("WEIGHTS", self.weights),
            ("STAGED", self.staged),
            ("QUADS", self.quads),
            ("SLICES", self.slices),
            ("PARTIAL", self.partial),
        ])
    }

    /// One line for each sum, of vec4 q of channels at position p.
    fn for_each_sum(&self, line: impl Fn(usize, usize) -> String) -> Vec<String> {
        (0..self.quads).flat_map(|q| (0..TILE_SAMPLES).map(move |p| (q, p))).map(|(q, p)| line(q, p)).collect()
    }

    fn declare(&self) -> Vec<String> {
        self.for_each_sum(|q, p| format!("var sum{q}_{p} = select(vec4(0.0), bias[quad + {q}], slice == 0);"))
    }

    /// The lines by which a slice gives its sums and by which the first slice takes them.
    fn handover(&self) -> [Vec<String>; 2] {
        let place = |q: usize, p: usize| format!("partial[{} + member]", (q * TILE_SAMPLES + p) * LANES * GROUPS);
        [
            self.for_each_sum(|q, p| format!("{} = sum{q}_{p};", place(q, p))),
            self.for_each_sum(|q, p| format!("sum{q}_{p} += {};", place(q, p))),
        ]
    }

    fn load(&self) -> Vec<String> {
        let window = (TILE_SAMPLES - 1) * self.stride + self.shift + self.kernel;
        (0..window.div_ceil(4)).map(|i| format!("let x{i} = tile[first + {i}];")).collect()
    }

    fn multiply(&self) -> Vec<String> {
        let Self { quads, stride, shift, .. } = *self;
        let lines = (0..self.kernel).flat_map(|k| {
            (0..quads).flat_map(move |q| {
                let weight = format!("let w{k}_{q} = weights[at + {}];", k * GROUPS * quads + q);
                let sums = (0..TILE_SAMPLES).map(move |p| {
                    let position = p * stride + k + shift;
                    format!("sum{q}_{p} = fma(w{k}_{q}, vec4(x{}.{}), sum{q}_{p});", position / 4, component(position))
                });
                std::iter::once(weight).chain(sums)
            })
        });
        lines.collect()
    }

    /// Transposes the sums, so that each store has four positions of one channel.
    fn store(&self) -> Vec<String> {
        let lines = (0..self.quads).flat_map(|q| {
            (0..4).map(move |c| {
                let four: Vec<String> = (0..TILE_SAMPLES).map(|p| format!("sum{q}_{p}.{}", component(c))).collect();
                format!("store(b, o + {}, i, vec4({}));", 4 * q + c, four.join(", "))
            })
        });
        lines.collect()
    }
}

/// Packs weights as `[out_channels / block, in_channels, kernel, block]` and biases as `[out_channels / block, block]`,
/// where a block is the channels of a workgroup, the last padded with zeros. The weights of a workgroup for some input
/// channels are contiguous.
pub(super) fn packed(conv: &Conv1d, quads: usize, read: usize, values: &[f32]) -> Vec<f32> {
    let block = 4 * GROUPS * quads;
    let taps = if read == 1 { conv.in_channels * conv.kernel } else { 1 };
    blocks(values, conv.out_channels, block, taps, |block_of, o, tap| (block_of * taps + tap) * block + o, taps * block)
}
