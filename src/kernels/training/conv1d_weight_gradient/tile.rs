//! The weight gradient for real GPUs: a workgroup stages a stretch of samples of 64 output channels and of some input
//! channels in workgroup memory, and each invocation adds up 4 output channels by all taps of its input channels in
//! registers. Twin: shaders/training/conv1d_weight_gradient/tile.wgsl.
//!
//! For four samples an invocation loads four vec4s of dy and, of each input channel, the two to five vec4s that all taps
//! share. With as many input channels as make up 7 to 12 vec4s of sums that is 12 to 20 multiplications of a vec4's
//! number a load in the layers of network 542k, as many as in a product of matrices with 8 by 8 sums an invocation. Rows
//! of dy in workgroup memory are an odd number of vec4s apart, and an invocation's output channels 16 apart, so that 8
//! neighbours meet all banks; x is the same for 16 neighbours. Rows are staged 128 bytes at a time, and the sums change
//! places through workgroup memory before they are stored, as a row of taps each instead of a number here and there.
//!
//! Reckoned, not yet measured on a real GPU, for network 542k at 64 records of 1000 samples: on a multiprocessor that
//! issues four warps' multiplications a cycle, the 112 to 192 of a warp's step take 28 to 48 cycles and its loads from
//! workgroup memory 11 to 32, which run beside them: at half of 60 TFLOP/s 0.4 ms for the six layers, as for the forward
//! pass. A workgroup has up to 128 invocations and 16 KiB, so that four or more are resident on a multiprocessor, which
//! hides the staging of one behind the arithmetic of the others; each layer has 512 or 528 of them.
//!
//! A linear layer's only sum is that over the records: four records make a vec4. The 256 by 2048 and the 2048 by 128 of
//! SimCLR's head have 384 and 172 workgroups at 256 rows, each of four stretches one after another, about 10 µs.
//!
//! On lavapipe its barriers are coroutine switches.

use super::{super::shader, Conv1dWeightGradient, TERMS, component};
use crate::kernels::{Accelerator, RowLayout, Shader, Variant, fill, training::first};

/// Invocations side by side, of four output channels each, and sets of them at most, for input channels.
const LANES: usize = 16;
const MOST_GROUPS: usize = 8;
/// Vec4s of a row of dy that are staged at once.
const QUADS: usize = 8;
/// Vec4s of sums of an invocation, where there are so few taps that it may take several input channels.
const SUMS: usize = 12;
/// The longest kernel and the largest stride that are written out.
const MOST_TAPS: usize = 16;
const MOST_STRIDE: usize = 4;
/// Bytes of workgroup memory that every adapter has.
const WORKGROUP_BYTES: usize = 16 << 10;
/// Workgroups that fill a large GPU, of which one has 132 multiprocessors, four times.
const SATURATING_WORKGROUPS: usize = 528;
/// Stretches that a part has at least, so that it loads more than it stores.
const FEWEST_STRETCHES: usize = 4;

/// What a quarter of the lanes hands over takes the place of dy.
const _: () = assert!(LANES / 4 * MOST_GROUPS * MOST_TAPS <= 4 * LANES * (QUADS + 1) && SUMS <= MOST_TAPS);

pub(super) const NAME: &str = "tile";

/// How four terms of a channel are read: samples of a row.
const READ_SAMPLES: &str = "\
alias Stored = vec4<f32>;

fn x_quad(b: u32, c: u32, i: u32) -> vec4<f32> {
    return x[(sizes.x_first + (b * sizes.in_channels + c) * sizes.x_pitch - WINDOW_OFFSET) / 4 + i];
}

fn dy_quad(b: u32, o: u32, i: u32) -> vec4<f32> {
    return dy[(sizes.dy_first + (b * sizes.out_channels + o) * sizes.dy_row) / 4 + i];
}";
/// The only sample of each of four records.
const READ_RECORDS: &str = "\
alias Stored = f32;

fn x_quad(b: u32, c: u32, i: u32) -> vec4<f32> {
    let record = sizes.in_channels * sizes.x_pitch;
    let at = sizes.x_first + c * sizes.x_pitch + 4 * i * record;
    return vec4(x[at], x[at + record], x[at + 2 * record], x[at + 3 * record]);
}

fn dy_quad(b: u32, o: u32, i: u32) -> vec4<f32> {
    let record = sizes.out_channels * sizes.dy_row;
    let at = sizes.dy_first + o * sizes.dy_row + 4 * i * record;
    return vec4(dy[at], dy[at + record], dy[at + 2 * record], dy[at + 3 * record]);
}";

/// How a gradient is divided, which depends on nothing but its sizes.
pub(super) struct Tile<'a> {
    gradient: &'a Conv1dWeightGradient,
    /// Whether the terms are records.
    linear: bool,
    /// Input channels of an invocation.
    channels: usize,
    /// Sets of invocations.
    groups: usize,
    /// Workgroups along the input and the output channels.
    grid: [usize; 2],
}

impl<'a> Tile<'a> {
    /// None where the kernel is too long or the stride too large.
    pub(super) fn new(gradient: &'a Conv1dWeightGradient) -> Option<Self> {
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
        // As many sets in each workgroup, that none has next to nothing to do.
        let groups = sets.div_ceil(sets.div_ceil(MOST_GROUPS));
        let grid = [sets.div_ceil(groups), out_channels.div_ceil(4 * LANES)];
        Some(Self { gradient, linear, channels, groups, grid })
    }

    /// So many that a large GPU is filled, as far as there are terms for them, and that no sum is too long. The six layers of
    /// network 542k at 64 records of 1000 samples have 256, 66, 33, 33, 16 and 16 parts, 58 MB in all.
    pub(super) fn parts(&self) -> usize {
        let stretches = self.stretches(self.gradient.out_samples.div_ceil(4));
        let filling = (SATURATING_WORKGROUPS / self.grid.iter().product::<usize>()).min(stretches / FEWEST_STRETCHES);
        filling.max((stretches * QUADS * 4).div_ceil(TERMS))
    }

    /// All stretches, where a row of dy has so many vec4s.
    fn stretches(&self, quads: usize) -> usize {
        let batch = self.gradient.batch;
        if self.linear { batch.div_ceil(4 * QUADS) } else { batch * quads.div_ceil(QUADS) }
    }
}

/// Vec4s of a row of x that a stretch of dy meets, if a window of whole vec4s begins `shift` samples before its first tap:
/// an odd number, so that two input channels meet other banks.
fn x_width(kernel: usize, stride: usize, shift: usize) -> usize {
    ((QUADS - 1) * stride + window(kernel, stride, shift)) | 1
}

/// Vec4s of x that one of dy meets.
fn window(kernel: usize, stride: usize, shift: usize) -> usize {
    (3 * stride + kernel + shift).div_ceil(4)
}

/// None where there is no tile, workgroup memory is short or rows are not of whole vec4s.
pub(super) fn variant(
    gradient: &Conv1dWeightGradient,
    [x, dy]: [RowLayout; 2],
    dw_first: usize,
    accelerator: &Accelerator,
) -> Option<Variant> {
    let tile = Tile::new(gradient)?;
    let Conv1dWeightGradient { batch, in_channels, out_channels, kernel, .. } = *gradient;
    let vec4s = [x.base_offset, x.pitch, dy.base_offset, dy.pitch].iter().all(|floats| floats.is_multiple_of(4));
    if accelerator.workgroup_bytes < WORKGROUP_BYTES || !(vec4s || tile.linear) {
        return None;
    }
    let (window_offset, shift) = if tile.linear { (0, 0) } else { gradient.lead_and_shift(x, dy) };
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
    let constants = sizes.map(|(name, value)| format!("const {name}: u32 = {value};"));
    let (parts, stretches) = (tile.parts(), tile.stretches(dy.pitch / 4));
    let shader = shader!(
        "conv1d_weight_gradient/tile",
        [("WINDOW_OFFSET", window_offset.max(0) as f64), ("STRETCHES", stretches.div_ceil(parts) as f64)]
    );
    let read = if tile.linear { READ_RECORDS } else { READ_SAMPLES };
    let [declare, load, multiply, give] = unrolled(tile.channels, kernel, stride, shift);
    let source = fill(
        &shader.source,
        &[
            ("constants", constants.into()),
            ("read", read.lines().map(String::from).collect()),
            ("declare", declare),
            ("load", load),
            ("multiply", multiply),
            ("give", give),
        ],
    );
    // Negative where another reader of x has its rows start behind the first window.
    let x_base_offset = x.base_offset + (-window_offset).max(0) as usize;
    let [x_first, dy_first, terms] =
        if tile.linear { [first(x), first(dy), batch] } else { [x_base_offset, dy.base_offset, dy.pitch] };
    // Mirror of `struct Conv1dWeightGradient` in the shader.
    let parameters = [in_channels, out_channels, terms, stretches, x_first, x.pitch, dy_first, dy.pitch, dw_first];
    let [x_groups, y_groups] = tile.grid;
    let shader = Shader { source: source.into(), ..shader };
    Some(Variant { name: NAME, ..Variant::plain(shader, parameters, [x_groups, y_groups, parts]) })
}

/// The lines at `declare`, `load`, `multiply` and `give`.
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
    fn each_layer_of_network_542k_fills_a_large_gpu_and_no_sum_is_long() {
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
            // Idle invocations would be as many as the channels that are not there.
            assert_eq!(tile.grid[0] * tile.groups * tile.channels, in_channels);
        }
    }
}
