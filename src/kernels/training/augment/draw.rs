//! Draws the random parameters of each record.

use super::{Draws, Segment, below, between, domain, draws, uniform};
use crate::{
    kernels::{
        Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant,
        training::{NO_CONSTANTS, Schedule, WORKGROUP, first, key, line, shader, with_philox},
    },
    random::philox,
};

/// Draws for each row whether it is warped, mixed, filtered and so on, and the amounts.
///
/// Reads the schedule; settings `[9, 5]`, of [`Setting`]s for warping, mixup, band-pass, CutMix, wander, noise,
/// temporal dropout, gain and lead dropout; quantiles `[QUANTILES]` of mixup's share. Writes [`Draws`] `[rows, 1, Draws::LEN]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// Rows: views times records. Partners are drawn among the records of the same view.
    pub rows: usize,
    /// Records per view.
    pub records: usize,
    /// Samples per lead.
    pub samples: usize,
    /// The seed of all random numbers.
    pub seed: u64,
}

/// The rate of an augmentation and the ranges of its amounts. The rate 0 turns it off.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Setting {
    /// The share of the rows that are augmented.
    pub rate: f32,
    /// The range of the amount: factor of warping, lower edge of the band in Hz, segment in samples, frequency of the wander
    /// in Hz, standard deviation of the noise, gain, or probability of a dropped lead.
    pub range: [f32; 2],
    /// The range of the upper edge of the band in Hz.
    pub second: [f32; 2],
}

impl Setting {
    /// Numbers per setting.
    pub const LEN: usize = 5;

    /// The numbers in the order in which [`Draw`] reads them.
    pub fn numbers(&self) -> [f32; Self::LEN] {
        let ([low, high], [second_low, second_high]) = (self.range, self.second);
        [self.rate, low, high, second_low, second_high]
    }
}

/// The random words and the setting of one augmentation of one row.
struct One<'a> {
    words: [u32; 4],
    setting: &'a [f64],
}

impl One<'_> {
    fn happens(&self) -> bool {
        uniform(self.words[0]) < self.setting[0]
    }

    /// Draws an amount from the range, or returns `neutral` if the row is not augmented.
    fn amount(&self, neutral: f64) -> f64 {
        if self.happens() { between([self.setting[1], self.setting[2]], self.words[1]) } else { neutral }
    }

    fn segment(&self, samples: usize) -> Segment {
        if !self.happens() {
            return Segment::default();
        }
        let [shortest, longest] = [self.setting[1], self.setting[2]].map(|samples| samples as usize);
        let len = shortest + below(self.words[1], longest - shortest + 1);
        Segment { start: 1 + below(self.words[2], samples - 1 - len), len }
    }
}

impl Draw {
    /// The number of augmentations.
    pub(crate) const AUGMENTATIONS: usize = 9;
    /// The length of the table of quantiles.
    pub const QUANTILES: usize = 257;

    /// Draws another record of the same view.
    fn partner(&self, row: usize, word: u32) -> usize {
        let (view, record) = (row / self.records, row % self.records);
        view * self.records + (record + 1 + below(word, self.records - 1)) % self.records
    }

    fn row(&self, row: usize, step: u32, settings: &[f64], quantiles: &[f64]) -> Draws {
        let [warp, mixup, band, cutmix, wander, noise, dropout, gain, leads] = std::array::from_fn(|at| One {
            words: philox([0, step, row as u32, domain::DRAWS[at]], key(self.seed)),
            setting: &settings[at * Setting::LEN..][..Setting::LEN],
        });
        let place = uniform(mixup.words[1]) * (Self::QUANTILES - 1) as f64;
        let at = place as usize;
        let share = quantiles[at] + (quantiles[at + 1] - quantiles[at]) * (place - at as f64);
        let upper = between([band.setting[3], band.setting[4]], band.words[2]);
        Draws {
            factor: warp.amount(1.0),
            anchor: uniform(warp.words[2]) * (self.samples - 1) as f64,
            band: [band.amount(0.0), if band.happens() { upper } else { 0.0 }],
            share: if mixup.happens() { share } else { 0.0 },
            partner: self.partner(row, mixup.words[2]),
            cut: cutmix.segment(self.samples),
            cut_partner: self.partner(row, cutmix.words[3]),
            wander: wander.amount(0.0),
            noise: noise.amount(0.0),
            gap: dropout.segment(self.samples),
            gain: gain.amount(1.0),
            dropped_leads: leads.amount(0.0),
        }
    }
}

impl Operation for Draw {
    fn extents(&self) -> Option<Extents> {
        let reads = [Schedule::LEN, Self::AUGMENTATIONS * Setting::LEN, Self::QUANTILES].map(Extent::Numbers);
        let possible = self.records > 0 && self.rows.is_multiple_of(self.records);
        possible.then(|| Extents::new(reads, draws(self.rows)))
    }

    fn describe(&self) -> String {
        format!("draw augmentations of {} rows", self.rows)
    }

    fn floating_point_operations(&self) -> u64 {
        self.rows as u64 * Draws::LEN as u64
    }

    fn reference(&self, reads: &[&[f64]], draws: &mut [f64]) {
        let [schedule, settings, quantiles] = reads else { unreachable!("the plan gives a draw three reads") };
        let step = schedule[Schedule::STEP] as u32;
        for row in 0..self.rows {
            let numbers = self.row(row, step, settings, quantiles).numbers();
            draws[row * Draws::LEN..][..Draws::LEN].copy_from_slice(&numbers);
        }
    }
}

impl GpuOperation for Draw {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [schedule, settings, quantiles, y] = layouts else { unreachable!("the plan gives a draw three reads") };
        let tables = [first(*schedule), first(*settings), first(*quantiles)];
        // Mirror of `struct Draw` in the shader.
        let parameters = [[self.rows, self.records, self.samples], tables, [y.base_offset, y.pitch, y.offset]].concat();
        let shader = with_philox(shader!("augment/draw", NO_CONSTANTS), self.seed);
        vec![Variant::plain(shader, parameters, line(self.rows.div_ceil(WORKGROUP)))]
    }
}
