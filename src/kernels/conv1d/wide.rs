//! The convolution for software Vulkan whose subgroups are exactly eight lanes and which has 64-bit integers, as Mesa's
//! lavapipe on AVX. Twin: shaders/conv1d/wide.wgsl. As [`super::subgroups`], with a third of its loads.
//!
//! What a sampling profiler and the machine code say of that variant (128→128 kernel 5, one thread of a Zen 4 core at 3.7
//! GHz): 48 % of its time goes into loads, 85 cycles each, because Mesa 22.3 makes a loop over the lanes of every load, 40
//! instructions a lane. Hence:
//! - vec4s of 64-bit integers: 115 cycles for 64 floats instead of 85 for 32, taking apart included;
//! - a lane has the weights of one of eight input channels, so that no load is half empty, and handing them out is one
//!   permutation with an index that changes from channel to channel (`subgroupBroadcast` from a constant lane takes two);
//! - a window's end comes from the next lane by a shuffle, and the last lane's from one load for eight channels.
//!
//! Per input channel of a tile of 16 × 64 that leaves 2.4 loads instead of 6 at kernel 5 and stride 1, 3.4 instead of 8 at
//! stride 2. Lavapipe has no fused multiplication and addition and every assignment in a loop is a blend by the mask of
//! active lanes, so that 0.6 cycles a multiplication are the least; it takes 0.7 to 0.9.
//!
//! Tried, one thread, GFLOP/s:
//! - predicted 54 for 16 channels × 16 samples a lane at 128→128 kernel 5: 48, instead of 37. With 8 samples 44. 32 × 16
//!   was predicted best of all and gave 36: its 6700 instructions do not fit into the cache of decoded ones. So 8 samples
//!   for longer kernels and at stride 2 (64→128 kernel 7 stride 2: 38, with 16 samples 32), and never 32 channels (128→256
//!   kernel 5 stride 2: 40 beside 38, 64→64 kernel 7: 38 beside 42, 256→256 kernel 3: 41 beside 45).
//! - 8 channels instead of 16 at kernel 11, to have half the instructions in the loop: predicted 60 µs less of 220 on two
//!   threads; 10, no more than the noise.
//! - two sums in turns instead of one after the other: 48 beside 43 with 16 samples, 39 beside 37 at stride 2; four in
//!   turns 48; a tree of products 44.
//! - two input channels an iteration, to halve the blends: 34 beside 43; on two threads, in µs, predicted 12 % less at
//!   256→256 kernel 3: 870 beside 640 (with 8 samples 710), 740 beside 580 at 128→256 kernel 5 stride 2, and 30 to 45 %
//!   more at kernel 7. Fewer instructions a multiplication, but more of them in the loop, is the wrong exchange here.
//! - weights in a texture, whose fetches cost 50 cycles for 32 floats: 39 beside 36 in 32-bit loads, and no better than
//!   64-bit ones.
//! - uniform loads, which lavapipe does not loop over: only constant addresses count as uniform there.
//! - minimal filtering, reckoned and left out: eight points for four outputs of kernel 5 save 60 % of the multiplications,
//!   but each needs its own accumulator fetched, blended and stored, and 1.6 times the weights: 720 cycles a tile and
//!   channel beside 770. At kernel 3 and at stride 2 it would be slower.
//! - the driver's vectors of 512 bits (`LP_NATIVE_VECTOR_WIDTH`) and sixteen lanes, for half the instructions: predicted a
//!   fifth less time, took four to eight times as long.
//! - alignment to eight floats made rows of 250 samples 264 long, and a fifth column of tiles cost 64→128 kernel 7 a
//!   quarter: a tile that has nothing but zeros does not compute.

use super::{Conv1d, Row, Variant, blocks, shader};
use crate::kernels::{Accelerator, fill};

const LANES: usize = 8;
/// Floats that a load brings to a lane.
const LOADED: usize = 8;
/// Output channels of a tile.
const CHANNELS: usize = 16;

pub(super) const NAME: &str = "wide";

/// None where subgroups differ from eight lanes or there are no 64-bit integers, where anything is stored in f16, and where a row of y does not begin with
/// a load of x or a window reaches further than into the next lane's samples.
pub(super) fn variant(conv: &Conv1d, x: Row, y: Row, accelerator: &Accelerator) -> Option<Variant> {
    let (samples, kernel, stride) = (samples(conv), conv.kernel, conv.stride);
    let (own, window) = (samples * stride, (samples - 1) * stride + kernel);
    let lead = conv.lead(x, y);
    let aligned = [lead.unsigned_abs(), x.head, x.stride].iter().all(|floats| floats.is_multiple_of(LOADED));
    let is_f32 = !accelerator.storage.is_half() && !y.storage.is_half();
    let fits = aligned && stride <= 4 && window <= 2 * own;
    if accelerator.subgroup_size != Some(LANES) || !accelerator.int64 || !is_f32 || !fits {
        return None;
    }
    let weights = CHANNELS * kernel;
    let loads = weights.div_ceil(LOADED);
    let beyond = window.saturating_sub(own);
    let load = (0..beyond.div_ceil(LOADED))
        .map(|i| format!("let behind{i} = x[behind + {i}];"))
        .chain((0..loads).map(|i| format!("let weights{i} = weight[at + {}];", i * LANES)))
        .chain((0..beyond).map(|i| format!("let tail{i} = {};", float("behind", i))))
        .chain((0..weights).map(|i| format!("let v{i} = {};", float("weights", i))));
    let read = (0..own / LOADED)
        .map(|i| format!("let own{i} = x[first + {i}];"))
        .chain((0..own).map(|i| format!("let x{i} = {};", float("own", i))))
        .chain((0..beyond).map(|i| {
            format!("let x{} = select(subgroupShuffle(x{i}, next), subgroupShuffle(tail{i}, c), last);", own + i)
        }));
    let multiply = (0..CHANNELS).flat_map(|o| {
        let weights = (0..kernel).map(move |k| format!("let w{o}_{k} = subgroupShuffle(v{}, c);", o * kernel + k));
        // Two sums in turns: each of their additions waits for the one before.
        let sums = (0..samples).step_by(2).flat_map(move |p| {
            (0..kernel).flat_map(move |k| {
                (p..p + 2).map(move |p| format!("sum{o}_{p} = fma(w{o}_{k}, x{}, sum{o}_{p});", p * stride + k))
            })
        });
        weights.chain(sums)
    });
    let declare = (0..CHANNELS).flat_map(|o| {
        let bias = format!("var sum{o}_0 = subgroupBroadcast(biases.{}, {}u);", ['x', 'y', 'z', 'w'][o % 4], o / 4);
        std::iter::once(bias).chain((1..samples).map(move |p| format!("var sum{o}_{p} = sum{o}_0;")))
    });
    let store = (0..CHANNELS).flat_map(|o| {
        (0..samples).step_by(4).map(move |p| {
            let four: Vec<String> = (p..p + 4).map(|p| format!("sum{o}_{p}")).collect();
            format!("store(b, o + {o}, i + {p}, vec4({}));", four.join(", "))
        })
    });
    let constants = [("STRIDE", stride), ("SAMPLES", samples), ("CHANNELS", CHANNELS), ("LOADS", loads)];
    let source = fill(
        include_str!("../../../shaders/conv1d/wide.wgsl"),
        &[
            ("constants", constants.map(|(name, value)| format!("const {name}: u32 = {value};")).into()),
            ("declare", declare.collect()),
            ("load", load.collect()),
            ("window", read.collect()),
            ("multiply", multiply.collect()),
            ("store", store.collect()),
        ],
    );
    let (constants, head) = conv.lead_and_head(lead, x);
    Some(Variant {
        name: NAME,
        shader: shader("conv1d/wide", source, y, constants),
        parameters: conv.parameters(head, x, y),
        grid: [y.stride.div_ceil(LANES * samples), conv.out_channels.div_ceil(CHANNELS), conv.batch],
        subgroups: true,
    })
}

/// Positions of a lane.
fn samples(conv: &Conv1d) -> usize {
    if conv.stride == 1 && conv.kernel <= 5 { 16 } else { 8 }
}

/// Float `index` of those that a lane has loaded into `name`, numbered.
fn float(name: &str, index: usize) -> String {
    let half = if index.is_multiple_of(2) { "low" } else { "high" };
    format!("{half}({name}{}.{})", index / LOADED, ['x', 'y', 'z', 'w'][index % LOADED / 2])
}

/// Weights as `[out_channels / CHANNELS, in_channels / LANES, loads, LANES, LOADED]`: a lane has all weights of one input
/// channel for the workgroup's channels, `[CHANNELS, kernel]` and zeros up to whole loads. Biases as `[out_channels /
/// CHANNELS, 4 · LANES]`, one load of which brings all.
pub(super) fn packed(conv: &Conv1d, read: usize, values: &[f32]) -> Vec<f32> {
    if read != 1 {
        return blocks(values, conv.out_channels, CHANNELS, 1, |block, o, _| block * 4 * LANES + o, 4 * LANES);
    }
    let loads = (CHANNELS * conv.kernel).div_ceil(LOADED);
    let length = conv.in_channels.div_ceil(LANES) * loads * LANES * LOADED;
    let place = |block: usize, o: usize, tap: usize| {
        let (c, at) = (tap / conv.kernel, o * conv.kernel + tap % conv.kernel);
        let load = c / LANES * loads + at / LOADED;
        block * length + (load * LANES + c % LANES) * LOADED + at % LOADED
    };
    blocks(values, conv.out_channels, CHANNELS, conv.in_channels * conv.kernel, place, length)
}
