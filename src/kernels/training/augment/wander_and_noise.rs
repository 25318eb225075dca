//! Adds baseline wander and noise, as moving electrodes and muscles do.

use std::f64::consts::TAU;

use super::{Draws, between, domain, draws, uniform};
use crate::{
    kernels::{
        Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant, numbers,
        training::{Schedule, WORKGROUP, by_rows, first, key, line, shader, with_philox, with_sine_cosine},
    },
    random::philox,
};

/// Samples per invocation: four random words give as many normal numbers.
const SAMPLES: usize = 4;

/// Computes `y = x + a·sin(2π(f·t + φ)) + level·deviation·n`: f and level are those of the row. Each lead has its own
/// amplitude a and phase φ, because each electrode moves separately, and a normal number n per sample. A lead that is a sum
/// of others gets the sum of their wander and noise.
///
/// Reads x `[rows, leads, samples]`; draws `[rows, 1, Draws::LEN]`; the mean and variance of each lead `[rows, 2, leads]`;
/// sources `[leads, 4]`: two pairs of a lead and its weight, of which the lead is a sum (a lead that is not a sum has itself
/// with weight 1); and the schedule. Writes y with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct WanderAndNoise {
    /// Rows: views × records.
    pub rows: usize,
    /// Leads.
    pub leads: usize,
    /// Samples per lead.
    pub samples: usize,
    /// The sampling rate in Hz.
    pub sampling_rate: f32,
    /// The smallest and the largest amplitude of the wander, in the unit of x.
    pub amplitude: [f32; 2],
    /// The seed of all random numbers.
    pub seed: u64,
}

/// The wander of one lead of one row.
struct Wander {
    /// The amplitude in the unit of x.
    amplitude: f64,
    /// The phase at the first sample, in turns.
    phase: f64,
}

impl WanderAndNoise {
    fn draw(&self, place: usize, step: u32, row: usize, domain: u32) -> [u32; 4] {
        philox([place as u32, step, row as u32, domain], key(self.seed))
    }

    fn wander(&self, row: usize, lead: usize, step: u32) -> Wander {
        let words = self.draw(lead, step, row, domain::WANDER);
        Wander { amplitude: between(self.amplitude.map(f64::from), words[0]), phase: uniform(words[1]) }
    }

    /// Adds a lead's wander and noise times `weight`.
    fn add(&self, y: &mut [f64], weight: f64, [row, lead]: [usize; 2], step: u32, [frequency, deviation]: [f64; 2]) {
        if frequency > 0.0 {
            let Wander { amplitude, phase } = self.wander(row, lead, step);
            for (t, y) in y.iter_mut().enumerate() {
                let turns = frequency * t as f64 / f64::from(self.sampling_rate) + phase;
                *y += weight * amplitude * (TAU * turns).sin();
            }
        }
        if deviation > 0.0 {
            let blocks = self.samples.div_ceil(SAMPLES);
            for (block, y) in y.chunks_mut(SAMPLES).enumerate() {
                let words = self.draw(lead * blocks + block, step, row, domain::NOISE);
                y.iter_mut().enumerate().for_each(|(n, y)| *y += weight * deviation * normal(words, n));
            }
        }
    }
}

/// Computes number n of the four normal numbers of four words, by Box and Muller (1958).
fn normal(words: [u32; 4], n: usize) -> f64 {
    // 1 − u is in (0, 1], so that its logarithm is finite.
    let radius = (-2.0 * (1.0 - uniform(words[n / 2 * 2])).ln()).sqrt();
    let angle = TAU * uniform(words[n / 2 * 2 + 1]);
    radius * if n.is_multiple_of(2) { angle.cos() } else { angle.sin() }
}

impl Operation for WanderAndNoise {
    fn extents(&self) -> Option<Extents> {
        let Self { rows, leads, samples, .. } = *self;
        let x = Extent::Activation([rows, leads, samples]);
        let statistics = Extent::Activation([rows, leads.checked_mul(2)?, 1]);
        let reads = [x, draws(rows), statistics, numbers([leads, 4])?, Extent::Numbers(Schedule::LEN)];
        Some(Extents::new(reads, x))
    }

    fn describe(&self) -> String {
        format!("wander and noise at {} Hz", self.sampling_rate)
    }

    fn floating_point_operations(&self) -> u64 {
        20 * self.rows as u64 * self.leads as u64 * self.samples as u64
    }

    fn independent_rows(&self) -> usize {
        self.rows
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        by_rows(self, reads, y);
    }

    fn reference_row(&self, reads: &[&[f64]], row: usize, y: &mut [f64]) {
        let [x, draws, statistics, sources, schedule] = reads else {
            unreachable!("the plan gives wander and noise five reads")
        };
        let step = schedule[Schedule::STEP] as u32;
        y.copy_from_slice(&x[row * y.len()..][..y.len()]);
        let Draws { wander, noise, .. } = Draws::of(draws, row);
        for (lead, source) in (0..self.leads).flat_map(|lead| [(lead, 0), (lead, 1)]) {
            let [from, weight] = [0, 1].map(|part| sources[lead * 4 + source * 2 + part]);
            let from = from as usize;
            let deviation = noise * statistics[(row * 2 + 1) * self.leads + from].sqrt();
            if weight != 0.0 {
                let y = &mut y[lead * self.samples..][..self.samples];
                self.add(y, weight, [row, from], step, [wander, deviation]);
            }
        }
    }
}

impl GpuOperation for WanderAndNoise {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, draws, statistics, sources, schedule, y] = layouts else {
            unreachable!("the plan gives wander and noise five reads")
        };
        let sizes = [self.rows, self.leads, self.samples];
        let read = [first(*x), x.pitch, first(*draws), draws.pitch, first(*statistics), statistics.pitch];
        let rest = [first(*sources), first(*schedule), y.base_offset, y.pitch, y.offset];
        // Mirror of `struct WanderAndNoise` in the shader.
        let parameters = [sizes.as_slice(), &read, &rest].concat();
        let [smallest, largest] = self.amplitude.map(f64::from);
        let constants = [
            ("SAMPLING_RATE", f64::from(self.sampling_rate)),
            ("SMALLEST_AMPLITUDE", smallest),
            ("LARGEST_AMPLITUDE", largest),
        ];
        let shader = with_sine_cosine(with_philox(shader!("augment/wander_and_noise", constants), self.seed));
        let grid = line((self.rows * self.leads * y.pitch.div_ceil(SAMPLES)).div_ceil(WORKGROUP));
        vec![Variant::plain(shader, parameters, grid)]
    }
}
