//! The convolution for software Vulkan whose subgroups are exactly eight lanes and which has 64-bit integers, as Mesa's
//! lavapipe on AVX: Winograd (Winograd, Toom–Cook). Twin: shaders/conv1d/winograd.wgsl.
//!
//! The taps that meet the same phase of the stride are taken three at a time. Four outputs of such a filter need six
//! inputs, and as polynomials they are evaluated at the points 0, ±1, ±2 and ∞, multiplied there, added up over filters
//! and input channels, and only the sums are turned into outputs. That leaves 6 multiplications of 12 at kernel 3, 11 of 20
//! at kernel 5 and 17 of 28 at kernel 7, whatever the stride: 55 of 98 million for ten seconds at 100 Hz.
//!
//! What a sampling profiler, the machine code, a trace of the scheduler and shaders that only load or store say of lavapipe
//! (Mesa 22.3), on a Zen 4 core:
//! - A load from a storage buffer whose address differs between lanes is a loop over the lanes: 24 ns for 64 floats that
//!   come as four 64-bit integers a lane, 37 as two vec4s. From a uniform buffer they take 20, from a sampled texture 28,
//!   from a storage texture, where one load a lane is written out, 10. So weights lie in a texture, and x is copied into one
//!   where six tiles of channels or more read it. A copy of 128 KB takes 50 µs, on one thread whose cache has nothing of it.
//! - A lane keeps 16 neighbouring outputs, whose inputs come in whole loads; what follows them comes from the next lane by a
//!   shuffle, and the last lane's from one load for eight channels; and a lane has the weights of one of eight input
//!   channels, evaluated there, which one permutation each hands out.
//! - There is no fused multiplication and addition, and every sum that a loop carries is fetched, blended by the mask of
//!   active lanes and put back once an iteration: five instructions a multiplication at kernel 3, seven for two at kernel
//!   5. The processor takes three to four a cycle whatever they are, which is why fewer multiplications pay.
//!
//! Tried, network 542k, 12 × 1000, two threads, the six layers in µs:
//! - instead of the plain sum in otherwise the same kernel, predicted a third less: 217 384 418 509 573 595 became 189 333
//!   431 455 517 584, and with a batch of 32 everything a seventh less. Less than predicted, as the loads stayed.
//! - eight floats a store instead of four, predicted 2 % less: 190 313 398 424 489 578, 5 %.
//! - two input channels an iteration, to fetch sums half as often, at kernel 3: predicted a tenth less, 571 instead of 573,
//!   and with 8 outputs a lane 618; at kernel 5, where that makes 35 KiB of code, a fifth more. Again later, both executors
//!   in one process in turns, the whole forward in ms, the best of 500: 2.59 and 2.61; with kernel 5 too 2.55 and 2.72.
//! - 8 or 32 channels instead of 16 at kernel 3, one thread: 1500 and 1207 instead of 1150.
//! - for the plain sum: 32 channels × 16 outputs a quarter slower, as its 6700 instructions do not fit into the cache of
//!   decoded ones; two sums in turns instead of one after the other 48 GFLOP/s beside 43 (one thread, kernel 5), four in
//!   turns 48; weights in a sampled texture, whose fetches cost 50 cycles for 32 floats, no better than 64-bit loads.
//! - eight points for filters of five taps, and seven for filters of four: reckoned as many instructions as at six points,
//!   the one for its sums, the other for evaluating inputs where a point has no opposite. Left out.
//! - inputs that stay instead of sums: those of 8 to 32 channels evaluated once and gone over with 16 to 64 output channels,
//!   whose sums over the channels before lie in y. No sum is carried then, and with half the instructions a third less was
//!   predicted. One thread took as long, two took 15 to 35 % longer: what is evaluated fills 12 to 36 KiB that every output
//!   channel reads anew, where sums take 12, and other guests' threads share the core's cache.
//! - uniform loads, which lavapipe does not loop over: only constant addresses count as uniform there.
//! - x in a uniform buffer: 2.59 → 2.37 ms, but a binding ends at 64 KiB, and the second loop that follows from that takes
//!   a third longer to compile.
//! - weights from textures, and x in layers of 96 output channels or more, instead of 64-bit integers from buffers:
//!   predicted a fifth less, copies aside. Both programs in turns, the best twentieth of their forwards in ms: 12 × 1000
//!   2.57 → 2.22, 12 × 5000 11.3 → 9.4, 32 records 67.9 → 55.5, network 55k 0.67 → 0.64. x from textures in all layers 2.23,
//!   9.2, 54.2 and 0.70, in none 2.34, 10.2, 60.5 and 0.62; in all without copies, so with wrong results, 2.07.
//! - y written to the next layer's texture, without copies, predicted a tenth less: 2.29 and 2.30 ms, 12 × 5000 9.5 and
//!   10.0, as a store to a texture takes 89 ns for 64 floats and one to a buffer 20.
//! - since then, 8 output channels a tile for half the code, with one, two or (at kernel 3) four input channels an
//!   iteration, predicted a fifth less: 2.39, 2.37 and 2.55 ms instead of 2.26. Where instructions are saved fewer are done
//!   a cycle: 4 in loops of 15 KB, 3.3 from 22 KB on.
//! - tiles handed out by an atomic counter, half of the workgroups from the front and half from the back, with an eighth to
//!   a half more workgroups than tiles, as each of the driver's threads gets a fixed share of a dispatch and one is often
//!   held up: in four runs on a busy machine the median took from 17 % less to 6 % more, on a quiet one 2 to 7 % more.
//! - the driver's vectors of 512 bits (`LP_NATIVE_VECTOR_WIDTH`) and sixteen lanes, for half the instructions: predicted a
//!   fifth less time, took four to eight times as long.

use super::{Conv1d, RowLayout, Variant, blocks, shader};
use crate::kernels::{Accelerator, Shader, TEXTURE_WIDTH, fill};

const LANES: usize = 8;
/// Floats of a load of x and of a store.
const LOADED: usize = 8;
/// Floats of a load of weights.
const TEXEL: usize = 4;
/// Output channels of a tile.
const CHANNELS: usize = 16;
/// Neighbouring outputs of a lane.
const SAMPLES: usize = 16;
/// Taps of a filter.
const TAPS: usize = 3;
/// Outputs that one evaluation of a filter's inputs gives.
const OUTPUTS: usize = 4;
/// 0, 1, −1, 2, −2 and ∞.
const POINTS: usize = OUTPUTS + TAPS - 1;

/// Output channels from which it pays to copy x into a texture, see above.
const MANY_CHANNELS: usize = 6 * CHANNELS;

/// With x in a buffer.
pub(super) const BUFFER: &str = "winograd";
/// With x in a texture.
pub(super) const TEXTURE: &str = "winograd texture";

/// Both, the one first that pays, if x fits into a texture. None where subgroups differ from eight lanes or there are no
/// 64-bit integers, where anything is stored in f16, where the weights do not fit into a texture, and where a row of y does
/// not begin with a load of x or a window reaches further than into the next lane's inputs.
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
    let (own, window) = (SAMPLES * conv.stride, (SAMPLES - 1) * conv.stride + conv.kernel);
    let (filters, own, beyond) = (filters(conv), own / LOADED, window.saturating_sub(own));
    let (textures, x_lines): (&[usize], _) = match name == BUFFER {
        true => (&[1], include_str!("../../../shaders/conv1d/load/pairs.wgsl")),
        false => (&[0, 1], include_str!("../../../shaders/conv1d/load/texture.wgsl")),
    };
    let constants = [("STRIDE", conv.stride), ("SAMPLES", SAMPLES), ("CHANNELS", CHANNELS), ("LOADS", loads(conv))];
    let constants = constants.into_iter().chain([("POOLED", conv.pooled()), ("TEXTURE_WIDTH", TEXTURE_WIDTH)]);
    let source = fill(
        include_str!("../../../shaders/conv1d/winograd.wgsl"),
        &[
            ("constants", constants.map(|(name, value)| format!("const {name}: u32 = {value};")).collect()),
            ("x", x_lines.lines().map(String::from).collect()),
            ("inside", inside(own, beyond.div_ceil(LOADED))),
            ("declare", sums().map(|sum| format!("var {sum} = 0.0;")).collect()),
            ("load", load(conv, beyond)),
            ("evaluate_filters", evaluate_filters(conv.kernel, &filters)),
            ("window", window_of_x(own, beyond)),
            ("evaluate_inputs", evaluate_inputs(conv.stride, &filters)),
            ("multiply", multiply(&filters)),
            ("store", store(conv)),
        ],
    );
    let begin = ("BEGIN", -(conv.window_offset(x, y) / LOADED as isize) as f64);
    let shader = shader("conv1d/winograd", source, y, conv.constants([]).into_iter().chain([begin]).collect());
    Variant {
        name,
        shader: Shader { textures, ..shader },
        parameters: conv.parameters(x.base_offset, x, y),
        grid: [y.pitch.div_ceil(LANES * SAMPLES), conv.out_channels.div_ceil(CHANNELS), conv.batch],
        subgroups: true,
    }
}

/// The kernel's taps in filters: those of one phase of the stride, up to three.
fn filters(conv: &Conv1d) -> Vec<Vec<usize>> {
    let phase = |phase| (phase..conv.kernel).step_by(conv.stride).collect::<Vec<_>>();
    (0..conv.stride).flat_map(|at| phase(at).chunks(TAPS).map(<[usize]>::to_vec).collect::<Vec<_>>()).collect()
}

/// Loads that bring a lane its weights.
fn loads(conv: &Conv1d) -> usize {
    CHANNELS / TEXEL * conv.kernel
}

/// Floats that a tile's weights take.
fn block(conv: &Conv1d) -> usize {
    conv.in_channels.div_ceil(LANES) * loads(conv) * LANES * TEXEL
}

/// All bits where a lane's load lies in the row, and those of what follows the tile. Outside the row a load stays at the
/// zeros before the first row, so that no output depends on what other rows hold.
fn inside(own: usize, behind: usize) -> Vec<String> {
    let own = (0..own).map(|i| format!("let own{i}_inside = select(0u, ~0u, position + {i} < row);"));
    let behind = (0..behind).map(|i| format!("let behind{i}_inside = select(0u, ~0u, end + {i} < row);"));
    own.chain(behind).collect()
}

/// A lane's weights of one input channel, `v0` and so on, and what follows the tile in its row.
fn load(conv: &Conv1d, beyond: usize) -> Vec<String> {
    let behind =
        (0..beyond.div_ceil(LOADED)).map(|i| format!("let behind{i} = x_at((behind + {i}) & behind{i}_inside);"));
    let weights = (0..loads(conv)).map(|i| format!("let weights{i} = weight_at(at + {});", i * LANES));
    let tail = (0..beyond).map(|i| format!("let tail{i} = {};", of_eight("behind", i)));
    let values = (0..CHANNELS * conv.kernel)
        .map(|i| format!("let v{i} = weights{}.{};", i / TEXEL, ["x", "y", "z", "w"][i % TEXEL]));
    behind.chain(weights).chain(tail).chain(values).collect()
}

/// Each filter's values at the points, each times what interpolation asks for: one over the product of the point's
/// distances from the other finite ones.
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

/// The inputs that a lane's windows see, `x0` and so on.
fn window_of_x(own: usize, beyond: usize) -> Vec<String> {
    let next = |i| format!("select(subgroupShuffle(x{i}, next), subgroupShuffle(tail{i}, c), last)");
    let loads = (0..own).map(|i| format!("let own{i} = x_at((own + {i}) & own{i}_inside);"));
    let values = (0..own * LOADED).map(|i| format!("let x{i} = {};", of_eight("own", i)));
    let following = (0..beyond).map(|i| format!("let x{} = {};", own * LOADED + i, next(i)));
    loads.chain(values).chain(following).collect()
}

/// What each filter sees for each four outputs, at the points: the products of x − p over all points p but the one itself,
/// and at ∞ over all. Inputs that only taps beyond a short filter's would meet count as zero.
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

/// The sums over filters and channels, of each output channel, four outputs and point.
fn sums() -> impl Iterator<Item = String> {
    let four = (0..CHANNELS).flat_map(|o| (0..SAMPLES / OUTPUTS).map(move |q| (o, q)));
    four.flat_map(|(o, q)| (0..POINTS).map(move |point| sum(o, q, point)))
}

fn sum(o: usize, q: usize, point: usize) -> String {
    format!("sum{o}_{q}_{point}")
}

/// One point after the other, so that its inputs stay in registers; at ∞ only a filter's third tap counts.
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

/// Output q of four is the sum over the points of the sum there times the point's power q; ∞ counts in the last only.
fn store(conv: &Conv1d) -> Vec<String> {
    let lines = (0..CHANNELS).flat_map(|o| {
        let bias = format!("let bias{o} = subgroupBroadcast(biases.{}, {}u);", ['x', 'y', 'z', 'w'][o % 4], o / 4);
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

/// Float `index` of those that a lane has loaded into `name`, numbered.
fn of_eight(name: &str, index: usize) -> String {
    let half = if index % LOADED < 4 { "first" } else { "second" };
    format!("{name}{}.{half}.{}", index / LOADED, ['x', 'y', 'z', 'w'][index % 4])
}

/// Weights as `[out_channels / CHANNELS, in_channels / LANES, loads, LANES, TEXEL]`: a lane has all weights of one input
/// channel for the workgroup's channels, `[CHANNELS, kernel]`. Biases as `[out_channels / CHANNELS, 4 · LANES]`, one load
/// of which brings all.
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
    fn x_is_copied_into_a_texture_where_many_channels_read_it_and_it_fits() {
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
        let row = |offset| RowLayout { base_offset: 16, offset, pitch: 512, storage: Storage::F32 };
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
            let variants = variants(&conv, row(1), row(0), &Accelerator { texture_rows, ..accelerator });
            variants.iter().map(|variant| variant.name).collect::<Vec<_>>()
        };
        assert_eq!(names(conv(1, 64), 8192), [BUFFER, TEXTURE]);
        assert_eq!(names(conv(1, 128), 8192), [TEXTURE, BUFFER]);
        // A record has 128 KiB, eight rows.
        assert_eq!(names(conv(1024, 128), 8192), [BUFFER], "with the head it does not fit");
        assert_eq!(names(conv(1, 128), 0), [""; 0]);
    }
}
