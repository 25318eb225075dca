//! The convolution by the Winograd (Toom–Cook) algorithm, for software adapters whose subgroups have exactly eight lanes and
//! which have 64-bit integers, such as Mesa's lavapipe on AVX. Counterpart: shaders/conv1d/winograd.wgsl.
//!
//! The taps of one phase of the stride are taken three at a time. Such a filter needs six inputs for four outputs. Inputs
//! and filters are evaluated as polynomials at the points 0, ±1, ±2 and ∞, multiplied there and summed over filters and input
//! channels; only the sums are interpolated to outputs. That takes 6 multiplications instead of 12 at kernel 3, 11 instead
//! of 20 at kernel 5, and 17 instead of 28 at kernel 7, for every stride.
//!
//! Loads and stores are what costs time on lavapipe (docs/measurements/conv1d-winograd-lavapipe.md). Therefore:
//! - Weights are in a texture. x is copied into one if six tiles of channels or more read it.
//! - A lane computes 16 neighbouring outputs, whose inputs come in whole loads. The inputs after them come from the next lane
//!   by a shuffle, and those of the last lane from one load for eight channels.
//! - A lane evaluates the weights of one of eight input channels, and shuffles hand them out.

use super::{Conv1d, Packing, RowLayout, Source, Variant, blocks, component, declarations, shader};
use crate::kernels::{Accelerator, Shader, TEXTURE_WIDTH};

const LANES: usize = 8;
/// Numbers of a load of x and of a store.
const LOADED: usize = 8;
/// Numbers of a load of weights.
const TEXEL: usize = 4;
/// Output channels of a tile.
const CHANNELS: usize = 16;
/// Neighbouring outputs per lane.
const SAMPLES: usize = 16;
/// Taps of a filter.
const TAPS: usize = 3;
/// Outputs of a filter per evaluation of its inputs.
const OUTPUTS: usize = 4;
/// The points 0, 1, −1, 2, −2 and ∞.
const POINTS: usize = OUTPUTS + TAPS - 1;

/// Output channels from which copying x into a texture saves time.
const MANY_CHANNELS: usize = 6 * CHANNELS;

/// The variant that reads x from a buffer.
pub(super) const BUFFER: &str = "winograd";
/// The variant that reads x from a texture.
pub(super) const TEXTURE: &str = "winograd texture";

/// The variants, the faster first; the one with x in a texture only if x fits into one.
///
/// None if a subgroup does not have eight lanes, if there are no 64-bit integers, if anything is stored in f16, if the
/// weights do not fit into a texture, if a row of y does not begin with a whole load of x, or if a window extends beyond the
/// inputs of the next lane.
pub(super) fn variants(conv: &Conv1d, x: RowLayout, y: RowLayout, accelerator: &Accelerator) -> Vec<Variant> {
    let (own, window) = (SAMPLES * conv.stride, (SAMPLES - 1) * conv.stride + conv.kernel);
    let window_offset = conv.window_offset(x, y);
    let aligned =
        [window_offset.unsigned_abs(), x.base_offset, x.pitch].iter().all(|floats| floats.is_multiple_of(LOADED));
    let is_f32 = !accelerator.storage.is_half() && !y.storage.is_half();
    let fits = aligned && conv.stride <= 4 && window <= 2 * own;
    let most = accelerator.texture_rows * TEXTURE_WIDTH * TEXEL;
    let weights = conv.out_channels.div_ceil(CHANNELS) * block(conv);
    if accelerator.subgroup_size != Some(LANES) || !accelerator.int64 || !is_f32 || !fits || weights > most {
        return Vec::new();
    }
    let names = if conv.out_channels < MANY_CHANNELS { [BUFFER, TEXTURE] } else { [TEXTURE, BUFFER] };
    let has_room = |name: &&str| *name == BUFFER || x.base_offset + conv.batch * conv.in_channels * x.pitch <= most;
    names.into_iter().filter(has_room).map(|name| variant(conv, x, y, name)).collect()
}

fn variant(conv: &Conv1d, x: RowLayout, y: RowLayout, name: &'static str) -> Variant {
    let (textures, x_lines): (&[usize], _) = match name == BUFFER {
        true => (&[1], include_str!("../../../shaders/conv1d/load/pairs.wgsl")),
        false => (&[0, 1], include_str!("../../../shaders/conv1d/load/texture.wgsl")),
    };
    let sizes = conv.clone();
    let source = Source::filled(include_str!("../../../shaders/conv1d/winograd.wgsl"), move || {
        let filters = filters(&sizes);
        let (own, window) = (SAMPLES * sizes.stride, (SAMPLES - 1) * sizes.stride + sizes.kernel);
        let (own, beyond) = (own / LOADED, window.saturating_sub(own));
        let constants = [
            ("STRIDE", sizes.stride),
            ("SAMPLES", SAMPLES),
            ("CHANNELS", CHANNELS),
            ("LOADS", loads(&sizes)),
            ("POOLED", sizes.pooled()),
            ("TEXTURE_WIDTH", TEXTURE_WIDTH),
        ];
        [
            ("constants", declarations(constants)),
            ("x", x_lines.lines().map(String::from).collect()),
            ("inside", inside(own, beyond.div_ceil(LOADED))),
            ("declare", sums().map(|sum| format!("var {sum} = 0.0;")).collect()),
            ("load", load(&sizes, beyond)),
            ("evaluate_filters", evaluate_filters(sizes.kernel, &filters)),
            ("window", window_of_x(own, beyond)),
            ("evaluate_inputs", evaluate_inputs(sizes.stride, &filters)),
            ("multiply", multiply(&filters)),
            ("store", store(&sizes)),
        ]
    });
    let begin = ("BEGIN", -(conv.window_offset(x, y) / LOADED as isize) as f64);
    let shader = shader("conv1d/winograd", source, y, conv.overrides([]).into_iter().chain([begin]).collect());
    Variant {
        name,
        shader: Shader { textures, ..shader },
        parameters: conv.parameters(x.base_offset, x, y),
        grid: [y.pitch.div_ceil(LANES * SAMPLES), conv.out_channels.div_ceil(CHANNELS), conv.batch],
        subgroups: true,
        parts: 1,
        packing: Packing(|kernel, read, values| packed(kernel.of_type(), read, values)),
    }
}

/// Divides the kernel's taps into filters: up to three taps of one phase of the stride.
fn filters(conv: &Conv1d) -> Vec<Vec<usize>> {
    let phase = |phase| (phase..conv.kernel).step_by(conv.stride).collect::<Vec<_>>();
    (0..conv.stride).flat_map(|at| phase(at).chunks(TAPS).map(<[usize]>::to_vec).collect::<Vec<_>>()).collect()
}

/// Loads of weights per lane.
fn loads(conv: &Conv1d) -> usize {
    CHANNELS / TEXEL * conv.kernel
}

/// Numbers of a tile's packed weights.
fn block(conv: &Conv1d) -> usize {
    conv.in_channels.div_ceil(LANES) * loads(conv) * LANES * TEXEL
}

/// Declares masks for a lane's loads of x and for those of what follows the tile: all bits inside the row, none outside. A
/// load outside the row reads the zeros before the first row instead, so that no output depends on other rows.
fn inside(own: usize, behind: usize) -> Vec<String> {
    let own = (0..own).map(|i| format!("let own{i}_inside = select(0u, ~0u, position + {i} < row);"));
    let behind = (0..behind).map(|i| format!("let behind{i}_inside = select(0u, ~0u, end + {i} < row);"));
    own.chain(behind).collect()
}

/// Loads a lane's weights of one input channel, `v0`, `v1` …, and what follows the tile in that channel's row.
fn load(conv: &Conv1d, beyond: usize) -> Vec<String> {
    let behind =
        (0..beyond.div_ceil(LOADED)).map(|i| format!("let behind{i} = x_at((behind + {i}) & behind{i}_inside);"));
    let weights = (0..loads(conv)).map(|i| format!("let weights{i} = weight_at(at + {});", i * LANES));
    let tail = (0..beyond).map(|i| format!("let tail{i} = {};", of_eight("behind", i)));
    let values = (0..CHANNELS * conv.kernel).map(|i| format!("let v{i} = weights{}.{};", i / TEXEL, component(i)));
    behind.chain(weights).chain(tail).chain(values).collect()
}

/// Evaluates each filter at the points and multiplies by the factor of the interpolation: one over the product of the
/// point's distances from the other finite points.
fn evaluate_filters(kernel: usize, filters: &[Vec<usize>]) -> Vec<String> {
    let each = (0..CHANNELS).flat_map(|o| filters.iter().enumerate().map(move |(f, taps)| (o, f, taps)));
    let lines = each.flat_map(|(o, f, taps)| {
        let tap = |i: usize| taps.get(i).map_or("0.0".into(), |tap| format!("v{}", o * kernel + tap));
        let [zero, one, two] = [tap(0), tap(1), tap(2)];
        let name = format!("f{o}_{f}");
        [
            format!("let {name}_0 = {zero} / 4.0;"),
            format!("let {name}_1 = ({zero} + {two} + {one}) * (-1.0 / 6.0);"),
            format!("let {name}_2 = ({zero} + {two} - {one}) * (-1.0 / 6.0);"),
            format!("let {name}_3 = ({zero} + 4.0 * {two} + 2.0 * {one}) * (1.0 / 24.0);"),
            format!("let {name}_4 = ({zero} + 4.0 * {two} - 2.0 * {one}) * (1.0 / 24.0);"),
            format!("let {name}_5 = {two};"),
        ]
    });
    lines.collect()
}

/// Loads the inputs of a lane's windows, `x0`, `x1` …
fn window_of_x(own: usize, beyond: usize) -> Vec<String> {
    let next = |i| format!("select(subgroupShuffle(x{i}, next), subgroupShuffle(tail{i}, c), last)");
    let loads = (0..own).map(|i| format!("let own{i} = x_at((own + {i}) & own{i}_inside);"));
    let values = (0..own * LOADED).map(|i| format!("let x{i} = {};", of_eight("own", i)));
    let following = (0..beyond).map(|i| format!("let x{} = {};", own * LOADED + i, next(i)));
    loads.chain(values).chain(following).collect()
}

/// Evaluates the inputs of each filter for each four outputs at the points. The value at a point is the product of x − p over
/// all other finite points p, at ∞ over all. Inputs that only the absent taps of a short filter would meet count as zero.
fn evaluate_inputs(stride: usize, filters: &[Vec<usize>]) -> Vec<String> {
    let each = filters.iter().enumerate().flat_map(|(f, taps)| (0..SAMPLES / OUTPUTS).map(move |q| (f, taps, q)));
    let lines = each.flat_map(|(f, taps, q)| {
        let x: [String; POINTS] = std::array::from_fn(|i| match i < OUTPUTS + taps.len() - 1 {
            true => format!("x{}", (q * OUTPUTS + i) * stride + taps[0]),
            false => "0.0".into(),
        });
        let name = format!("p{f}_{q}");
        [
            format!("let {name}_even = {} - 4.0 * {};", x[4], x[2]),
            format!("let {name}_odd = {} - 4.0 * {};", x[3], x[1]),
            format!("let {name}_even2 = {} - {};", x[4], x[2]),
            format!("let {name}_odd2 = 2.0 * ({} - {});", x[3], x[1]),
            format!("let {name}_0 = 4.0 * {} - 5.0 * {} + {};", x[0], x[2], x[4]),
            format!("let {name}_1 = {name}_even + {name}_odd;"),
            format!("let {name}_2 = {name}_even - {name}_odd;"),
            format!("let {name}_3 = {name}_even2 + {name}_odd2;"),
            format!("let {name}_4 = {name}_even2 - {name}_odd2;"),
            format!("let {name}_5 = 4.0 * {} - 5.0 * {} + {};", x[1], x[3], x[5]),
        ]
    });
    lines.collect()
}

/// Names the sums over filters and input channels: one for each output channel, four outputs and point.
fn sums() -> impl Iterator<Item = String> {
    let four = (0..CHANNELS).flat_map(|o| (0..SAMPLES / OUTPUTS).map(move |q| (o, q)));
    four.flat_map(|(o, q)| (0..POINTS).map(move |point| sum(o, q, point)))
}

fn sum(o: usize, q: usize, point: usize) -> String {
    format!("sum{o}_{q}_{point}")
}

/// Multiplies point by point, so that the inputs of a point stay in registers. At ∞ only a filter's third tap counts.
fn multiply(filters: &[Vec<usize>]) -> Vec<String> {
    let each = (0..POINTS).flat_map(|point| (0..CHANNELS).map(move |o| (point, o)));
    let lines = each.flat_map(|(point, o)| {
        let counts = |f: &usize| point < POINTS - 1 || filters[*f].len() == TAPS;
        let at: Vec<usize> = (0..filters.len()).filter(counts).collect();
        let weights = at.iter().map(|f| format!("let w{o}_{f}_{point} = subgroupShuffle(f{o}_{f}_{point}, c);"));
        let sums = (0..SAMPLES / OUTPUTS).map(|q| {
            let products = at.iter().map(|f| format!(" + w{o}_{f}_{point} * p{f}_{q}_{point}"));
            format!("{} = {0}{};", sum(o, q, point), products.collect::<String>())
        });
        weights.chain(sums).collect::<Vec<_>>()
    });
    lines.collect()
}

/// Interpolates: output q of four is the sum over the points of the sum there times the point to the power q.
/// The point ∞ counts only in the last output.
fn store(conv: &Conv1d) -> Vec<String> {
    let lines = (0..CHANNELS).flat_map(|o| {
        let bias = format!("let bias{o} = subgroupBroadcast(biases.{}, {}u);", component(o), o / 4);
        let interpolate = (0..SAMPLES / OUTPUTS).flat_map(move |q| {
            let [zero, one, minus_one, two, minus_two, infinity] = std::array::from_fn(|point| sum(o, q, point));
            let name = format!("{o}_{q}");
            [
                format!("let even{name} = {one} + {minus_one};"),
                format!("let odd{name} = {one} - {minus_one};"),
                format!("let even2_{name} = {two} + {minus_two};"),
                format!("let odd2_{name} = {two} - {minus_two};"),
                format!("let y{name}_0 = {zero} + even{name} + even2_{name};"),
                format!("let y{name}_1 = odd{name} + 2.0 * odd2_{name};"),
                format!("let y{name}_2 = even{name} + 4.0 * even2_{name};"),
                format!("let y{name}_3 = odd{name} + 8.0 * odd2_{name} + {infinity};"),
            ]
        });
        let outputs: Vec<String> = (0..SAMPLES).map(|i| format!("y{o}_{}_{}", i / OUTPUTS, i % OUTPUTS)).collect();
        let pooled: Vec<String> = match conv.fused_max_pool {
            true => outputs.chunks(2).map(|two| format!("max({})", two.join(", "))).collect(),
            false => outputs,
        };
        let stores = pooled.chunks(LOADED).enumerate().map(|(s, eight)| {
            let [first, second] = [0, 4].map(|from| eight[from..from + 4].join(", "));
            format!("store(b, o + {o}, to + {}, vec4({first}) + bias{o}, vec4({second}) + bias{o});", s * LOADED)
        });
        let stores = stores.collect::<Vec<_>>();
        [bias].into_iter().chain(interpolate).chain(stores).collect::<Vec<_>>()
    });
    lines.collect()
}

/// An expression for number `index` of those that a lane has loaded into the variables `name` 0, 1, 2 …
fn of_eight(name: &str, index: usize) -> String {
    let half = if index % LOADED < 4 { "first" } else { "second" };
    format!("{name}{}.{half}.{}", index / LOADED, component(index))
}

/// Packs weights as `[out_channels / CHANNELS, in_channels / LANES, loads, LANES, TEXEL]`: a lane has all weights
/// `[CHANNELS, kernel]` of one input channel for the workgroup's output channels. Packs biases as
/// `[out_channels / CHANNELS, 4 · LANES]`, so that one load brings all.
pub(super) fn packed(conv: &Conv1d, read: usize, values: &[f32]) -> Vec<f32> {
    if read != 1 {
        return blocks(values, conv.out_channels, CHANNELS, 1, |block, o, _| block * 4 * LANES + o, 4 * LANES);
    }
    let (loads, length) = (loads(conv), block(conv));
    let place = |block: usize, o: usize, tap: usize| {
        let (c, at) = (tap / conv.kernel, o * conv.kernel + tap % conv.kernel);
        let load = c / LANES * loads + at / TEXEL;
        block * length + (load * LANES + c % LANES) * TEXEL + at % TEXEL
    };
    blocks(values, conv.out_channels, CHANNELS, conv.in_channels * conv.kernel, place, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Storage;

    #[test]
    fn x_is_copied_into_a_texture_if_many_channels_read_it_and_it_fits() {
        let conv = |batch, out_channels| Conv1d {
            batch,
            in_channels: 64,
            in_samples: 500,
            out_channels,
            out_samples: 500,
            kernel: 3,
            stride: 1,
            padding: 1,
            relu: true,
            fused_max_pool: false,
        };
        let layout = |offset| RowLayout { base_offset: 16, offset, pitch: 512, storage: Storage::F32 };
        let accelerator = Accelerator {
            software: true,
            subgroup_size: Some(LANES),
            int64: true,
            matrix_side: None,
            texture_rows: 8192,
            workgroup_bytes: 16 << 10,
            storage: Storage::F32,
        };
        let names = |conv: Conv1d, texture_rows| {
            let variants = variants(&conv, layout(1), layout(0), &Accelerator { texture_rows, ..accelerator });
            variants.iter().map(|variant| variant.name).collect::<Vec<_>>()
        };
        assert_eq!(names(conv(1, 64), 8192), [BUFFER, TEXTURE]);
        assert_eq!(names(conv(1, 128), 8192), [TEXTURE, BUFFER]);
        // x has 128 KiB per record, eight rows of a texture.
        assert_eq!(names(conv(1024, 128), 8192), [BUFFER], "with the base offset it does not fit");
        assert_eq!(names(conv(1, 128), 0), [""; 0]);
    }
}
