//! Augmentations of a batch of ECGs: one step draws the random parameters of each record, the others apply them.
//!
//! [`Draw`] writes [`Draws`] for every row of the batch, which depend only on seed, step and row. So every device
//! draws the same, and a resumed run continues as if it had not stopped. A later step copies the rows for which nothing was
//! drawn.
//!
//! Counterparts: shaders/training/augment/. Whole numbers that are drawn, and whether something happens, are exact in f32,
//! so that a GPU draws what the reference draws; amounts agree up to rounding.
//!
//! III, aVR, aVL and aVF are sums of I and II, and still are after the augmentations: warping, filtering, mixing and dropping
//! are the same linear operation for every lead, and wander and noise are drawn for I, II and V1 to V6 only and computed for
//! the others. Lead dropout alone breaks the sums, as a loose electrode does.

mod band_pass;
mod draw;
mod mix;
mod scale_leads;
mod temporal_dropout;
mod time_warp;
mod wander_and_noise;

use crate::kernels::Extent;
pub use band_pass::BandPass;
pub use draw::{Draw, Setting};
pub use mix::{Mix, MixLabels};
pub use scale_leads::ScaleLeads;
pub use temporal_dropout::TemporalDropout;
pub use time_warp::TimeWarp;
pub use wander_and_noise::WanderAndNoise;

/// The random parameters of one row of the batch, in the order of the numbers in the buffer: [`Draws::LEN`] floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draws {
    /// The factor of the heart rate; 1 if it does not change.
    pub factor: f64,
    /// The sample that does not move when time is warped.
    pub anchor: f64,
    /// The edges of the pass band in Hz; 0 if the row is not filtered.
    pub band: [f64; 2],
    /// Mixup's share of the partner; 0 if the row is not mixed.
    pub share: f64,
    /// The row that is mixed in.
    pub partner: usize,
    /// The segment that CutMix copies from its partner.
    pub cut: Segment,
    /// The row that the segment comes from.
    pub cut_partner: usize,
    /// The frequency of the baseline wander in Hz; 0 if there is none.
    pub wander: f64,
    /// The standard deviation of the noise as a share of the lead's; 0 if there is none.
    pub noise: f64,
    /// The segment that temporal dropout replaces by a straight line.
    pub gap: Segment,
    /// The factor of all samples; 1 if it does not change.
    pub gain: f64,
    /// The probability with which each lead is dropped; 0 if none is.
    pub dropped_leads: f64,
}

/// A stretch of samples. It never contains the record's first or last sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// The first sample.
    pub start: usize,
    /// The number of samples; 0 if there is no segment.
    pub len: usize,
}

impl Segment {
    /// Whether the segment contains sample t.
    pub fn contains(&self, t: usize) -> bool {
        t >= self.start && t < self.start + self.len
    }
}

/// The buffer of the [`Draws`] of a number of rows.
fn draws(rows: usize) -> Extent {
    Extent::Activation([rows, 1, Draws::LEN])
}

impl Draws {
    /// Numbers per row: 15 and an unused one.
    pub const LEN: usize = 16;

    /// Reads the numbers of a row.
    pub fn of(draws: &[f64], row: usize) -> Self {
        let number = |at: usize| draws[row * Self::LEN + at];
        let segment = |at| Segment { start: number(at) as usize, len: number(at + 1) as usize };
        Self {
            factor: number(0),
            anchor: number(1),
            band: [number(2), number(3)],
            share: number(4),
            partner: number(5) as usize,
            cut: segment(6),
            cut_partner: number(8) as usize,
            wander: number(9),
            noise: number(10),
            gap: segment(11),
            gain: number(13),
            dropped_leads: number(14),
        }
    }

    /// The numbers in the order in which operations read them.
    pub fn numbers(&self) -> [f64; Self::LEN] {
        let [partner, start, len, cut_partner] =
            [self.partner, self.cut.start, self.cut.len, self.cut_partner].map(|n| n as f64);
        let [gap_start, gap_len] = [self.gap.start, self.gap.len].map(|n| n as f64);
        let ([low, high], Self { factor, anchor, share, wander, noise, .. }) = (self.band, *self);
        [
            factor,
            anchor,
            low,
            high,
            share,
            partner,
            start,
            len,
            cut_partner,
            wander,
            noise,
            gap_start,
            gap_len,
            self.gain,
            self.dropped_leads,
            0.0,
        ]
    }
}

/// The last word of a Philox counter `[index, step, row, domain]`, which separates the uses of random numbers. [`Draw`] uses 1
/// to 7, 10 and 11, one per augmentation; dropout and [`crate::random::Random`] use 0.
mod domain {
    /// The amplitude and the phase of each lead's wander.
    pub(crate) const WANDER: u32 = 8;
    /// The noise of each sample.
    pub(crate) const NOISE: u32 = 9;
    /// Whether each lead is dropped.
    pub(crate) const LEADS: u32 = 12;
    /// The parameters of each augmentation, in the order of the settings.
    pub(crate) const DRAWS: [u32; 9] = [1, 2, 3, 4, 5, 6, 7, 10, 11];
}

/// Converts a word's upper 24 bits to a number in [0, 1). It is exact in f32, so that every device makes the same decisions.
fn uniform(word: u32) -> f64 {
    f64::from(word >> 8) * 2f64.powi(-24)
}

/// Draws one of 0..n, exactly the same on every device.
fn below(word: u32, n: usize) -> usize {
    ((u64::from(word) * n as u64) >> 32) as usize
}

/// Draws a number between two bounds.
fn between([low, high]: [f64; 2], word: u32) -> f64 {
    low + (high - low) * uniform(word)
}
