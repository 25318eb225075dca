//! Augmentations of a batch of ECGs: one step draws what happens to each record, the others do it.
//!
//! [`Draw`] writes [`Draws`] for every row of the batch, a function of seed, step and row alone, so that every device
//! draws the same and a run that starts again goes on as it would have. Each later step turns what was not drawn into a
//! plain copy.
//!
//! Twins: shaders/training/augment/. Whole numbers that are drawn, and whether something happens, are exact in f32, so a
//! GPU draws them as the reference does; amounts agree to rounding.
//!
//! III, aVR, aVL and aVF follow from I and II, and still do afterwards: warping, filtering, mixing and dropping do the
//! same linear thing to every lead, and what is added is drawn for I, II and V1 to V6 alone; the others get what follows.

mod band_pass;
mod draw;
mod mix;
mod temporal_dropout;
mod time_warp;
mod wander_and_noise;

pub use band_pass::BandPass;
pub use draw::{Draw, Setting};
pub use mix::{Mix, MixLabels};
pub use temporal_dropout::TemporalDropout;
pub use time_warp::TimeWarp;
pub use wander_and_noise::WanderAndNoise;

/// What was drawn for one row of the batch, in the order of the numbers in the buffer: [`Draws::LEN`] floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draws {
    /// What the heart rate is multiplied by; 1 where it stays.
    pub factor: f64,
    /// The sample that stays where it is when time is warped.
    pub anchor: f64,
    /// The pass band's edges in Hz; 0 where nothing is filtered.
    pub band: [f64; 2],
    /// Mixup's share of the partner; 0 where nothing is mixed.
    pub share: f64,
    /// The row that is mixed in.
    pub partner: usize,
    /// CutMix: what comes from its partner.
    pub cut: Segment,
    /// The row that the segment comes from.
    pub cut_partner: usize,
    /// Frequency of the baseline wander in Hz; 0 where there is none.
    pub wander: f64,
    /// Deviation of the noise as a share of the lead's; 0 where there is none.
    pub noise: f64,
    /// Temporal dropout: what becomes a straight line.
    pub gap: Segment,
}

/// A stretch of samples; its ends are never the record's first or last sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Its first sample.
    pub start: usize,
    /// Samples; 0 where there is none.
    pub len: usize,
}

impl Segment {
    /// Whether sample t lies in it.
    pub fn contains(&self, t: usize) -> bool {
        t >= self.start && t < self.start + self.len
    }
}

impl Draws {
    /// Numbers of one row: 13, and room.
    pub const LEN: usize = 16;

    /// Reads the numbers of row `row`.
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
        }
    }

    /// The numbers as kernels read them.
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
            0.0,
            0.0,
            0.0,
        ]
    }
}

/// The last word of a Philox counter `[place, step, row, domain]`: what is drawn from it. [`Draw`] takes 1 to 7, one for
/// each augmentation; dropout and [`crate::random::Random`] have 0 there.
mod domain {
    /// Amplitude and phase of each lead's wander.
    pub const WANDER: u32 = 8;
    /// The noise of each sample.
    pub const NOISE: u32 = 9;
}

/// A word's upper 24 bits as a number in [0, 1): exact in f32, so that every device decides alike.
fn uniform(word: u32) -> f64 {
    f64::from(word >> 8) * 2f64.powi(-24)
}

/// One of 0..n, exact on every device.
fn below(word: u32, n: usize) -> usize {
    ((u64::from(word) * n as u64) >> 32) as usize
}

fn between([low, high]: [f64; 2], word: u32) -> f64 {
    low + (high - low) * uniform(word)
}
