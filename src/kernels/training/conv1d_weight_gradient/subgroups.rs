//! The weight gradient for software Vulkan whose subgroups are exactly eight lanes, as Mesa's lavapipe has on AVX. Twin:
//! shaders/training/conv1d_weight_gradient/subgroups.wgsl.
//!
//! As in the convolution of the same name, a load whose address differs between lanes costs lavapipe about 95 cycles, for
//! 8 or for 32 numbers, and a multiplication and addition of all lanes 0.7. So both operands come 32 numbers at a time, dy
//! with a lane for each output channel and x by broadcasts, and each is multiplied as often as the sums fit into what the
//! compiler keeps at hand: 16 output channels by 16, 8 or 4 input channels and all taps, 80 to 110 multiplications a
//! load. The plain variant loads five times for four: 0.3 GFLOP/s beside 20 in network 542k at 64 records.
//!
//! Tried: two sums in turns instead of one after the other, which halves what is fetched of x: 6 % faster.
//!
//! Tried for kernel 3, which has the fewest taps a sample: 32 output channels by 16 input channels, for 115
//! multiplications a load instead of 82, and 24 by 16. Expected a quarter; was no faster than the noise, 10 %, and took
//! seconds longer to compile.

use super::{super::shader, Conv1dWeightGradient, component};
use crate::kernels::{Accelerator, RowLayout, Shader, Variant, fill};

const LANES: usize = 8;
/// Numbers that one load brings to a subgroup.
const LOADED: usize = 4 * LANES;
/// Output channels of a lane.
const LANE_CHANNELS: usize = 2;
/// Sums of a lane at most.
const SUMS: usize = 112;
/// Vec4s of dy at most that a lane loads at once of each channel.
const MOST_QUADS: usize = 6;

pub(super) const NAME: &str = "subgroups";

/// None where subgroups differ from eight lanes, rows are not of whole vec4s or the kernel is too long.
pub(super) fn variant(
    gradient: &Conv1dWeightGradient,
    [x, dy]: [RowLayout; 2],
    dw_first: usize,
    accelerator: &Accelerator,
) -> Option<Variant> {
    let Conv1dWeightGradient { batch, in_channels, out_channels, kernel, stride, .. } = *gradient;
    let vec4s = [x.base_offset, x.pitch, dy.base_offset, dy.pitch].iter().all(|floats| floats.is_multiple_of(4));
    if accelerator.subgroup_size != Some(LANES) || !vec4s {
        return None;
    }
    let (window_offset, shift) = gradient.lead_and_shift(x, dy);
    let quads = (1..=MOST_QUADS).rev().find(|quads| (4 * quads - 1) * stride + kernel + shift <= LOADED)?;
    let channels = [16, 8, 4, 2, 1].into_iter().find(|channels| LANE_CHANNELS * channels * kernel <= SUMS)?;

    let sums = || {
        let taps = move |c| (0..kernel).map(move |k| (c, k));
        (0..LANE_CHANNELS).flat_map(move |o| (0..channels).flat_map(taps).map(move |(c, k)| (o, c, k)))
    };
    let load = (0..LANE_CHANNELS).flat_map(|o| {
        (0..quads).map(move |q| {
            let place = format!("dy_first + {} * quads + i + {q}", o * LANES);
            // Behind the row lies the next.
            format!("let dy{o}_{q} = select(vec4(0.0), dy[{place}], i + {q} < quads);")
        })
    });
    let multiply = (0..channels).flat_map(|c| {
        let load = format!("let x{c} = x[window + {c} * (sizes.x_pitch / 4)];");
        let window = (shift..(4 * quads - 1) * stride + kernel + shift)
            .map(move |at| format!("let x{c}_{at} = subgroupBroadcast(x{c}.{}, {}u);", component(at), at / 4));
        // The sums of a lane's channels in turns: each addition waits for the one before.
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
    let store = sums().map(|(o, c, k)| {
        format!("store(part, first_output + {}, from_channel + {c}, {k}u, sum{o}_{c}_{k});", o * LANES)
    });
    let block = LANES * LANE_CHANNELS;
    let sizes =
        [("KERNEL", kernel), ("STRIDE", stride), ("QUADS", quads), ("IN_CHANNELS", channels), ("OUT_CHANNELS", block)];
    let shader = shader!(
        "conv1d_weight_gradient/subgroups",
        [("WINDOW_OFFSET", window_offset.max(0) as f64), ("RECORDS", gradient.records() as f64)]
    );
    let source = fill(
        &shader.source,
        &[
            ("constants", sizes.map(|(name, value)| format!("const {name}: u32 = {value};")).into()),
            ("declare", sums().map(|(o, c, k)| format!("var sum{o}_{c}_{k} = 0.0;")).collect()),
            ("load", load.collect()),
            ("multiply", multiply.collect()),
            ("store", store.collect()),
        ],
    );
    // Negative where another reader of x has its rows start behind the first window.
    let x_base_offset = x.base_offset + (-window_offset).max(0) as usize;
    // Mirror of `struct Conv1dWeightGradient` in the shader.
    let parameters = [batch, in_channels, out_channels, x_base_offset, x.pitch, dy.base_offset, dy.pitch, dw_first];
    let grid = [in_channels.div_ceil(channels), out_channels.div_ceil(block), batch.div_ceil(gradient.records())];
    let shader = Shader { source: source.into(), ..shader };
    Some(Variant { name: NAME, subgroups: true, ..Variant::plain(shader, parameters, grid) })
}
