//! The weight gradient for software adapters whose subgroups have exactly eight lanes, such as Mesa's lavapipe on AVX.
//! Counterpart: shaders/training/conv1d_weight_gradient/subgroups.wgsl.
//!
//! A load whose address differs between lanes costs lavapipe as much for 32 numbers as for 8, and a multiplication very
//! little. So both operands are loaded 32 numbers at a time, dy with a lane for each output channel and x by broadcasts. Each
//! number serves as many sums as the compiler keeps in registers: those of 16 output channels by 16, 8 or 4 input channels
//! and all taps. Measurements: docs/measurements/conv1d-weight-gradient.md.

use super::{
    super::{component, declarations, shader},
    Conv1dWeightGradient,
};
use crate::kernels::{Accelerator, RowLayout, Source, Variant};

const LANES: usize = 8;
/// Numbers per load of a subgroup.
const LOADED: usize = 4 * LANES;
/// Output channels per lane.
const LANE_CHANNELS: usize = 2;
/// The most sums of a lane.
const SUMS: usize = 112;
/// The most vec4s of dy that a lane loads at once of each channel.
const MOST_QUADS: usize = 6;

/// None if a subgroup does not have eight lanes, if rows are not whole vec4s, or if the kernel is too long.
pub(super) fn variant(
    gradient: &Conv1dWeightGradient,
    [x, dy]: [RowLayout; 2],
    dw_first: usize,
    accelerator: &Accelerator,
) -> Option<Variant> {
    let Conv1dWeightGradient { batch, in_channels, out_channels, kernel, stride, .. } = *gradient;
    let vec4s = [x.base_offset, x.pitch, dy.base_offset, dy.pitch].iter().all(|numbers| numbers.is_multiple_of(4));
    if accelerator.subgroup_size != Some(LANES) || !vec4s {
        return None;
    }
    let (window_offset, shift) = gradient.window_offset_and_shift(x, dy);
    let quads = (1..=MOST_QUADS).rev().find(|quads| (4 * quads - 1) * stride + kernel + shift <= LOADED)?;
    let channels = [16, 8, 4, 2, 1].into_iter().find(|channels| LANE_CHANNELS * channels * kernel <= SUMS)?;
    let lines = Lines { kernel, stride, shift, quads, channels };
    let mut shader = shader!(
        "conv1d_weight_gradient/subgroups",
        [("WINDOW_OFFSET", window_offset.max(0) as f64), ("RECORDS", gradient.records() as f64)]
    );
    shader.source = Source::filled(shader.source, move || {
        [
            ("constants", lines.constants()),
            ("declare", lines.for_each_sum(|o, c, k| format!("var sum{o}_{c}_{k} = 0.0;"))),
            ("load", lines.load()),
            ("multiply", lines.multiply()),
            ("store", lines.store()),
        ]
    });
    // The window offset is negative if another reader of x decided that its rows start after the first window.
    let x_base_offset = x.base_offset + (-window_offset).max(0) as usize;
    // Mirror of `struct Conv1dWeightGradient` in the shader.
    let parameters = [batch, in_channels, out_channels, x_base_offset, x.pitch, dy.base_offset, dy.pitch, dw_first];
    let parts = batch.div_ceil(gradient.records());
    let grid = [in_channels.div_ceil(channels), out_channels.div_ceil(LANES * LANE_CHANNELS), parts];
    Some(Variant { name: "subgroups", subgroups: true, parts, ..Variant::plain(shader, parameters, grid) })
}

/// The sizes that the unrolled lines depend on.
#[derive(Clone, Copy)]
struct Lines {
    kernel: usize,
    stride: usize,
    /// Numbers before the first tap of a window.
    shift: usize,
    /// Vec4s of dy that a lane loads at once of each channel.
    quads: usize,
    /// Input channels of a tile.
    channels: usize,
}

impl Lines {
    fn constants(&self) -> Vec<String> {
        declarations([
            ("KERNEL", self.kernel),
            ("STRIDE", self.stride),
            ("QUADS", self.quads),
            ("IN_CHANNELS", self.channels),
            ("OUT_CHANNELS", LANES * LANE_CHANNELS),
        ])
    }

    /// One line for each sum of a lane: of its output channel o, input channel c and tap k.
    fn for_each_sum(&self, line: impl Fn(usize, usize, usize) -> String) -> Vec<String> {
        let mut lines = Vec::new();
        for o in 0..LANE_CHANNELS {
            for c in 0..self.channels {
                lines.extend((0..self.kernel).map(|k| line(o, c, k)));
            }
        }
        lines
    }

    fn load(&self) -> Vec<String> {
        let lines = (0..LANE_CHANNELS).flat_map(|o| {
            (0..self.quads).map(move |q| {
                let place = format!("dy_first + {} * quads + i + {q}", o * LANES);
                // The next row follows this one.
                format!("let dy{o}_{q} = select(vec4(0.0), dy[{place}], i + {q} < quads);")
            })
        });
        lines.collect()
    }

    fn multiply(&self) -> Vec<String> {
        let Self { kernel, stride, shift, quads, channels } = *self;
        let lines = (0..channels).flat_map(|c| {
            let load = format!("let x{c} = x[window + {c} * (sizes.x_pitch / 4)];");
            let window = (shift..(4 * quads - 1) * stride + kernel + shift)
                .map(move |at| format!("let x{c}_{at} = subgroupBroadcast(x{c}.{}, {}u);", component(at), at / 4));
            // The sums of a lane's output channels alternate, because each addition waits for the previous one to a sum.
            let sums = (0..kernel).flat_map(move |k| {
                let product = move |o: usize, t: usize| {
                    let before = if t == 0 { format!("sum{o}_{c}_{k}") } else { format!("sum{o}_{c}_{k}_{}", t - 1) };
                    let (dy, x) = (format!("dy{o}_{}.{}", t / 4, component(t)), t * stride + k + shift);
                    format!("let sum{o}_{c}_{k}_{t} = fma({dy}, x{c}_{x}, {before});")
                };
                let products = (0..4 * quads).flat_map(move |t| (0..LANE_CHANNELS).map(move |o| product(o, t)));
                let last = 4 * quads - 1;
                products.chain((0..LANE_CHANNELS).map(move |o| format!("sum{o}_{c}_{k} = sum{o}_{c}_{k}_{last};")))
            });
            std::iter::once(load).chain(window).chain(sums)
        });
        lines.collect()
    }

    fn store(&self) -> Vec<String> {
        self.for_each_sum(|o, c, k| {
            format!("store(part, first_output + {}, from_channel + {c}, {k}u, sum{o}_{c}_{k});", o * LANES)
        })
    }
}
