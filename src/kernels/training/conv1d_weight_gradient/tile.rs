//! The weight gradient for real GPUs: a workgroup stages a stretch of samples of 64 output channels and of some input
//! channels in workgroup memory, and each invocation sums 4 output channels by all taps of its input channels in registers.
//! Counterpart: shaders/training/conv1d_weight_gradient/tile.wgsl.
//!
//! For four samples an invocation loads four vec4s of dy and, of each input channel, the two to five vec4s that all taps
//! share. With as many input channels as make 7 to 12 vec4s of sums, that is 12 to 20 multiplications per loaded vec4 in the
//! layers of network 542k, as many as in a product of matrices with 8 by 8 sums per invocation. Rows of dy in workgroup
//! memory are an odd number of vec4s apart, and the output channels of an invocation are 16 apart, so that 8 neighbours
//! access all banks; x is the same for 16 neighbours. Rows are staged 128 bytes at a time. The sums are exchanged through
//! workgroup memory before they are stored, so that whole rows of taps are stored instead of scattered numbers.
//!
//! The only sum of a linear layer is over the records: four records make a vec4. On lavapipe a barrier is a switch between
//! coroutines, so that this variant is slow there. Estimates: docs/measurements/conv1d-weight-gradient.md.

use super::{
    super::{component, declarations, first, shader},
    Conv1dWeightGradient, TERMS,
};
use crate::kernels::{Accelerator, RowLayout, Source, Variant};

/// Invocations along the output channels, of which each has four.
const LANES: usize = 16;
/// The most sets of invocations along the input channels.
const MOST_GROUPS: usize = 8;
/// Vec4s of a row of dy that are staged at once: a stretch.
const QUADS: usize = 8;
/// The most vec4s of sums per invocation, if the taps are few enough for several input channels.
const SUMS: usize = 12;
/// The longest kernel that is unrolled.
const MOST_TAPS: usize = 16;
/// The largest stride that is unrolled.
const MOST_STRIDE: usize = 4;
/// Bytes of workgroup memory that every adapter has.
const WORKGROUP_BYTES: usize = 16 << 10;
/// Workgroups that saturate a large GPU: four for each of 132 multiprocessors.
const SATURATING_WORKGROUPS: usize = 528;
/// The fewest stretches of a part, so that it loads more than it stores.
const FEWEST_STRETCHES: usize = 4;

/// The sums that a quarter of the lanes hands over are stored in the memory of dy.
const _: () = assert!(LANES / 4 * MOST_GROUPS * MOST_TAPS <= 4 * LANES * (QUADS + 1) && SUMS <= MOST_TAPS);

/// Reads four terms of a channel: samples of a row.
const READ_SAMPLES: &str = "\
alias Stored = vec4<f32>;

fn x_quad(b: u32, c: u32, i: u32) -> vec4<f32> {
    return x[(sizes.x_first + (b * sizes.in_channels + c) * sizes.x_pitch - WINDOW_OFFSET) / 4 + i];
}

fn dy_quad(b: u32, o: u32, i: u32) -> vec4<f32> {
    return dy[(sizes.dy_first + (b * sizes.out_channels + o) * sizes.dy_pitch) / 4 + i];
}";
/// Reads four terms of a channel of a linear layer: the only sample of each of four records.
const READ_RECORDS: &str = "\
alias Stored = f32;

fn x_quad(b: u32, c: u32, i: u32) -> vec4<f32> {
    let record = sizes.in_channels * sizes.x_pitch;
    let at = sizes.x_first + c * sizes.x_pitch + 4 * i * record;
    return vec4(x[at], x[at + record], x[at + 2 * record], x[at + 3 * record]);
}

fn dy_quad(b: u32, o: u32, i: u32) -> vec4<f32> {
    let record = sizes.out_channels * sizes.dy_pitch;
    let at = sizes.dy_first + o * sizes.dy_pitch + 4 * i * record;
    return vec4(dy[at], dy[at + record], dy[at + 2 * record], dy[at + 3 * record]);
}";

/// How a gradient is divided among invocations. It depends only on the sizes.
struct Tile<'a> {
    gradient: &'a Conv1dWeightGradient,
    /// Whether the terms are records.
    linear: bool,
    /// Input channels per invocation.
    channels: usize,
    /// Sets of invocations along the input channels.
    groups: usize,
    /// Workgroups along the input and the output channels.
    grid: [usize; 2],
}

impl<'a> Tile<'a> {
    /// None if the kernel is too long or the stride too large.
    fn new(gradient: &'a Conv1dWeightGradient) -> Option<Self> {
        let Conv1dWeightGradient { in_channels, in_samples, out_channels, kernel, stride, padding, .. } = *gradient;
        let linear = [kernel, in_samples, padding] == [1, 1, 0];
        if kernel > MOST_TAPS || stride > MOST_STRIDE {
            return None;
        }
        let fits = |channels: &usize| {
            let vec4s = 4 * LANES * (QUADS + 1) + MOST_GROUPS * channels * x_width(kernel, stride, 3);
            vec4s * 16 <= WORKGROUP_BYTES
        };
        let channels = (1..=(SUMS / kernel).clamp(1, in_channels)).rev().find(fits)?;
        let sets = in_channels.div_ceil(channels);
        // The sets are divided evenly, so that no workgroup is nearly empty.
        let groups = sets.div_ceil(sets.div_ceil(MOST_GROUPS));
        let grid = [sets.div_ceil(groups), out_channels.div_ceil(4 * LANES)];
        Some(Self { gradient, linear, channels, groups, grid })
    }

    /// The parts of the terms: enough to saturate a large GPU, if there are enough terms, and enough that no sum is too long.
    /// The six layers of network 542k at 64 records of 1000 samples have 256, 66, 33, 33, 16 and 16 parts, 58 MB in all.
    fn parts(&self) -> usize {
        let stretches = self.stretches(self.gradient.out_samples.div_ceil(4));
        let saturating =
            (SATURATING_WORKGROUPS / self.grid.iter().product::<usize>()).min(stretches / FEWEST_STRETCHES);
        saturating.max((stretches * QUADS * 4).div_ceil(TERMS))
    }

    /// All stretches, if a row of dy has `quads` vec4s.
    fn stretches(&self, quads: usize) -> usize {
        let batch = self.gradient.batch;
        if self.linear { batch.div_ceil(4 * QUADS) } else { batch * quads.div_ceil(QUADS) }
    }
}

/// Vec4s of a row of x that belong to a stretch of dy, if a window of whole vec4s begins `shift` samples before its first
/// tap. It is odd, so that two input channels are in different banks.
fn x_width(kernel: usize, stride: usize, shift: usize) -> usize {
    ((QUADS - 1) * stride + window(kernel, stride, shift)) | 1
}

/// Vec4s of x that belong to one vec4 of dy.
fn window(kernel: usize, stride: usize, shift: usize) -> usize {
    (3 * stride + kernel + shift).div_ceil(4)
}

/// None if the sizes have no tile, if workgroup memory is too small, or if rows are not whole vec4s.
pub(super) fn variant(
    gradient: &Conv1dWeightGradient,
    [x, dy]: [RowLayout; 2],
    dw_first: usize,
    accelerator: &Accelerator,
) -> Option<Variant> {
    let tile = Tile::new(gradient)?;
    let Conv1dWeightGradient { batch, in_channels, out_channels, kernel, .. } = *gradient;
    let vec4s = [x.base_offset, x.pitch, dy.base_offset, dy.pitch].iter().all(|numbers| numbers.is_multiple_of(4));
    if accelerator.workgroup_bytes < WORKGROUP_BYTES || !(vec4s || tile.linear) {
        return None;
    }
    let (window_offset, shift) = if tile.linear { (0, 0) } else { gradient.window_offset_and_shift(x, dy) };
    let stride = if tile.linear { 1 } else { gradient.stride };
    let sizes = [
        ("KERNEL", kernel),
        ("STRIDE", stride),
        ("LANES", LANES),
        ("GROUPS", tile.groups),
        ("CHANNELS", tile.channels),
        ("QUADS", QUADS),
        ("X_WIDTH", x_width(kernel, stride, shift)),
    ];
    let (parts, stretches) = (tile.parts(), tile.stretches(dy.pitch / 4));
    let mut shader = shader!(
        "conv1d_weight_gradient/tile",
        [("WINDOW_OFFSET", window_offset.max(0) as f64), ("STRETCHES", stretches.div_ceil(parts) as f64)]
    );
    let (read, channels) = (if tile.linear { READ_RECORDS } else { READ_SAMPLES }, tile.channels);
    shader.source = Source::filled(shader.source, move || {
        let [declare, load, multiply, give] = unrolled(channels, kernel, stride, shift);
        [
            ("constants", declarations(sizes)),
            ("read", read.lines().map(String::from).collect()),
            ("declare", declare),
            ("load", load),
            ("multiply", multiply),
            ("give", give),
        ]
    });
    // The window offset is negative if another reader of x decided that its rows start after the first window.
    let x_base_offset = x.base_offset + (-window_offset).max(0) as usize;
    let [x_first, dy_first, terms] =
        if tile.linear { [first(x), first(dy), batch] } else { [x_base_offset, dy.base_offset, dy.pitch] };
    // Mirror of `struct Conv1dWeightGradient` in the shader.
    let parameters = [in_channels, out_channels, terms, stretches, x_first, x.pitch, dy_first, dy.pitch, dw_first];
    let [x_groups, y_groups] = tile.grid;
    Some(Variant { name: "tile", parts, ..Variant::plain(shader, parameters, [x_groups, y_groups, parts]) })
}

/// Generates the lines `//# declare`, `//# load`, `//# multiply` and `//# give`.
fn unrolled(channels: usize, kernel: usize, stride: usize, shift: usize) -> [Vec<String>; 4] {
    let sums = || (0..channels).flat_map(|c| (0..kernel).map(move |k| (c, k)));
    let declare = sums().map(|(c, k)| format!("var sum{c}_{k} = vec4(0.0);"));
    let load_dy = (0..4).map(|o| format!("let dy{o} = dy_tile[dy_first + {o} * LANES * DY_WIDTH];"));
    let load_x = (0..channels).flat_map(|c| {
        (0..window(kernel, stride, shift)).map(move |i| format!("let x{c}_{i} = x_tile[window + {c} * X_WIDTH + {i}];"))
    });
    let multiply = (0..4).flat_map(|t| {
        let of_each = (0..4).map(|o| format!("dy{o}.{}", component(t))).collect::<Vec<_>>().join(", ");
        let products = sums().map(move |(c, k)| {
            let at = t * stride + k + shift;
            format!("sum{c}_{k} = fma(dy_{t}, vec4(x{c}_{}.{}), sum{c}_{k});", at / 4, component(at))
        });
        std::iter::once(format!("let dy_{t} = vec4({of_each});")).chain(products)
    });
    let give = sums().map(|(c, k)| format!("dy_tile[first + {}] = sum{c}_{k};", c * kernel + k));
    [declare.collect(), load_dy.chain(load_x).collect(), multiply.collect(), give.collect()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_of_network_542k_saturates_a_large_gpu_and_no_sum_is_long() {
        const LAYERS: [[usize; 5]; 6] = [
            [12, 64, 11, 2, 500],
            [64, 64, 7, 1, 500],
            [64, 128, 7, 2, 250],
            [128, 128, 5, 1, 250],
            [128, 256, 5, 2, 125],
            [256, 256, 3, 1, 125],
        ];
        for ([in_channels, out_channels, kernel, stride, out_samples], batch) in
            LAYERS.into_iter().flat_map(|layer| [(layer, 64), (layer, 1024)])
        {
            let (in_samples, padding) = (out_samples * stride, kernel / 2);
            let gradient = Conv1dWeightGradient {
                batch,
                in_channels,
                in_samples,
                out_channels,
                out_samples,
                kernel,
                stride,
                padding,
            };
            let tile = Tile::new(&gradient).expect("kernels and strides are small");
            let workgroups = tile.grid.iter().product::<usize>() * tile.parts();
            assert!(
                workgroups > SATURATING_WORKGROUPS - SATURATING_WORKGROUPS / 16,
                "{in_channels}→{out_channels}: {workgroups}"
            );
            assert!(batch * out_samples / tile.parts() <= TERMS, "{in_channels}→{out_channels}: {}", tile.parts());
            // No invocation is idle.
            assert_eq!(tile.grid[0] * tile.groups * tile.channels, in_channels);
        }
    }
}
