//! Direct convolution in register tiles of four channels by sixteen samples.
//!
//! The input's rows are first laid out with their padding, and with a stride s as s rows of every s-th sample, so that
//! every tap of a tile is one run of sixteen samples without a bounds check.

use super::for_each_chunk;
use crate::kernels::Conv1d;

/// Channels of a tile: with two vectors of eight samples each, sixteen accumulators' worth of AVX2 registers are half
/// used by accumulators, and the rest holds samples and weights.
const CHANNELS: usize = 4;
/// Samples of a tile.
const SAMPLES: usize = 16;

/// Weights as `[out_channels / 4, in_channels, kernel, 4]`, the outputs padded with zeros to whole tiles.
pub(super) fn packed(conv: &Conv1d, weight: &[f32]) -> Vec<f32> {
    let taps = conv.in_channels * conv.kernel;
    let mut packed = vec![0.0; conv.out_channels.next_multiple_of(CHANNELS) * taps];
    for (at, &value) in weight.iter().enumerate() {
        let (o, tap) = (at / taps, at % taps);
        packed[(o / CHANNELS * taps + tap) * CHANNELS + o % CHANNELS] = value;
    }
    packed
}

/// Runs the convolution; `weight` is [`packed`].
pub(super) fn run(conv: &Conv1d, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    let rows = Rows::new(conv);
    let mut laid_out = vec![0.0; conv.batch * conv.in_channels * rows.channel];
    for_each_chunk(&mut laid_out, rows.channel, |channel, row| {
        rows.lay_out(conv, &x[channel * conv.in_samples..][..conv.in_samples], row);
    });
    let tile = best_tile();
    let taps = conv.in_channels * conv.kernel;
    // A chunk ends with its record, so that a tile of channels never spans two.
    for_each_chunk(y, conv.out_channels * conv.out_samples, |b, record| {
        let x = &laid_out[b * conv.in_channels * rows.channel..][..conv.in_channels * rows.channel];
        for_each_chunk(record, CHANNELS * conv.out_samples, |group, y| {
            let weight = &weight[group * taps * CHANNELS..][..taps * CHANNELS];
            let bias = &bias[group * CHANNELS..];
            for t in (0..conv.out_samples).step_by(SAMPLES) {
                let mut sums = [[0.0; SAMPLES]; CHANNELS];
                sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum = [*bias; SAMPLES]);
                // SAFETY: `best_tile` has checked that the processor has the instructions that the tile was built with.
                unsafe { tile(conv, &rows, &x[t..], weight, &mut sums) };
                for (y, sum) in y.chunks_mut(conv.out_samples).zip(&sums) {
                    let count = SAMPLES.min(conv.out_samples - t);
                    y[t..][..count].copy_from_slice(&sum[..count]);
                }
            }
            if conv.relu {
                y.iter_mut().for_each(|y| *y = y.max(0.0));
            }
        });
    });
}

/// How an input channel is laid out: `stride` rows, row p holding padded samples p, p + stride, p + 2·stride, …
struct Rows {
    /// Floats of one row.
    row: usize,
    /// Floats of one channel.
    channel: usize,
}

impl Rows {
    fn new(conv: &Conv1d) -> Self {
        let row = conv.out_samples.next_multiple_of(SAMPLES) + (conv.kernel - 1) / conv.stride;
        Self { row, channel: row * conv.stride }
    }

    fn lay_out(&self, conv: &Conv1d, x: &[f32], channel: &mut [f32]) {
        for (phase, row) in channel.chunks_mut(self.row).enumerate() {
            for (column, value) in row.iter_mut().enumerate() {
                let position = column * conv.stride + phase;
                *value = position.checked_sub(conv.padding).and_then(|at| x.get(at)).copied().unwrap_or(0.0);
            }
        }
    }

    /// Where tap `k` of channel `c` begins for output 0.
    #[inline(always)]
    fn tap(&self, conv: &Conv1d, c: usize, k: usize) -> usize {
        c * self.channel + (k % conv.stride) * self.row + k / conv.stride
    }
}

type Tile = unsafe fn(&Conv1d, &Rows, &[f32], &[f32], &mut [[f32; SAMPLES]; CHANNELS]);

/// The tile for the best instructions that this processor has.
fn best_tile() -> Tile {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        return avx2_tile;
    }
    portable_tile
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2_tile(conv: &Conv1d, rows: &Rows, x: &[f32], weight: &[f32], sums: &mut [[f32; SAMPLES]; CHANNELS]) {
    accumulate(conv, rows, x, weight, sums, f32::mul_add);
}

fn portable_tile(conv: &Conv1d, rows: &Rows, x: &[f32], weight: &[f32], sums: &mut [[f32; SAMPLES]; CHANNELS]) {
    // Without fused instructions `mul_add` would call a library function for each number; NEON always has them.
    let fused = cfg!(target_arch = "aarch64");
    accumulate(conv, rows, x, weight, sums, |w, x, sum| if fused { w.mul_add(x, sum) } else { w * x + sum });
}

#[inline(always)]
fn accumulate(
    conv: &Conv1d,
    rows: &Rows,
    x: &[f32],
    weight: &[f32],
    sums: &mut [[f32; SAMPLES]; CHANNELS],
    multiply_add: impl Fn(f32, f32, f32) -> f32,
) {
    let mut total = *sums;
    for c in 0..conv.in_channels {
        for k in 0..conv.kernel {
            let x = &x[rows.tap(conv, c, k)..][..SAMPLES];
            let weight = &weight[(c * conv.kernel + k) * CHANNELS..][..CHANNELS];
            for (sum, &w) in total.iter_mut().zip(weight) {
                for (sum, &x) in sum.iter_mut().zip(x) {
                    *sum = multiply_add(w, x, *sum);
                }
            }
        }
    }
    *sums = total;
}
