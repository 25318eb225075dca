//! The augmentations as steps of a training plan.

use std::sync::Arc;

use super::{
    Augmentations,
    mixup::shares,
    ranges::{length, usage},
};
use crate::{
    Result,
    ecg::Lead,
    kernels::training::{
        BatchStatistics, Groups,
        augment::{
            BandPass, Draw, Draws, Mix, MixLabels, ScaleLeads, Setting, TemporalDropout, TimeWarp, WanderAndNoise,
        },
    },
    plan::{BufferId, Builder},
};

/// The largest number of rows of a batch: the kernels number rows in f32.
const MOST_ROWS: usize = 1 << 24;

/// What the numbers of a record mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The order of the leads.
    pub leads: Vec<Lead>,
    /// The sampling rate in Hz.
    pub sampling_rate: f64,
    /// The value in mV of the number 1.
    pub millivolts: f64,
}

/// The augmentations of a training step, with what they need to know of the records.
#[derive(Debug, Clone, PartialEq)]
pub struct AugmentationPipeline {
    /// The augmentations.
    pub augmentations: Augmentations,
    /// What the numbers of the records mean.
    pub signal: Signal,
    /// The seed of all random numbers.
    pub seed: u64,
}

/// An augmented batch in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Augmented {
    /// The records `[views · batch, leads, samples]`, all records of the first view before those of the second.
    pub records: BufferId,
    /// The mixed labels `[views · batch, classes]`, if there were labels.
    pub labels: Option<BufferId>,
    /// The random numbers, `[views · batch, 1, Draws::LEN]` in the order of [`Draws`], unless all augmentations are off.
    pub draws: Option<BufferId>,
}

impl AugmentationPipeline {
    /// Adds the steps that augment `records` `[views · batch, leads, samples]`, all records of the first view before those
    /// of the second, and mix the labels `[views · batch, classes, 1]` accordingly. Records are mixed within their view.
    /// All random numbers depend on the seed and on the step number in the schedule. So each micro-batch of a batch must
    /// have its own step number.
    ///
    /// # Errors
    /// A rate or a range is invalid, by itself or for the sampling rate; the records are too short for the segments; or a
    /// batch of one record is to be mixed.
    pub fn add(
        &self,
        builder: &mut Builder,
        views: usize,
        [records, schedule]: [BufferId; 2],
        labels: Option<BufferId>,
    ) -> Result<Augmented> {
        if self.augmentations == Augmentations::NONE {
            return Ok(Augmented { records, labels, draws: None });
        }
        self.check(builder.shape(records), views)?;
        let draws = self.draw(builder, views, [records, schedule])?;
        let labels = labels.map(|labels| self.mix_labels(builder, records, labels, draws)).transpose()?;
        let mut x = self.recorded(builder, records, draws)?;
        if self.augmentations.motion.is_some() || self.augmentations.noise.is_some() {
            x = self.disturb(builder, x, [draws, schedule])?;
        }
        let shape @ [rows, leads, samples] = builder.shape(x);
        if self.augmentations.gain.is_some() || self.augmentations.lead_dropout.is_some() {
            let kernel = ScaleLeads { rows, leads, samples, seed: self.seed };
            x = builder.step("augment.scale", kernel, &[x, draws, schedule], shape)?;
        }
        if self.augmentations.dropout.is_some() {
            x = builder.step("augment.dropout", TemporalDropout { rows, leads, samples }, &[x, draws], shape)?;
        }
        Ok(Augmented { records: x, labels, draws: Some(draws) })
    }

    /// Adds the step that draws all random numbers of a batch.
    fn draw(&self, builder: &mut Builder, views: usize, [records, schedule]: [BufferId; 2]) -> Result<BufferId> {
        let [rows, _, samples] = builder.shape(records);
        let settings = self.augmentations.settings(samples, self.signal.sampling_rate);
        let settings: Vec<f32> = settings.iter().flat_map(Setting::numbers).collect();
        let settings = builder.constant("augment.settings", &settings.into())?;
        let alpha = self.augmentations.mixup.map_or(1.0, |mixup| mixup.alpha);
        let quantiles = builder.constant("augment.shares", &shares(alpha))?;
        let draw = Draw { rows, records: rows / views, samples, seed: self.seed };
        builder.step("augment.draw", draw, &[schedule, settings, quantiles], [rows, 1, Draws::LEN])
    }

    /// Adds warping, band-pass and mixing, in the order that the module documents.
    fn recorded(&self, builder: &mut Builder, records: BufferId, draws: BufferId) -> Result<BufferId> {
        let shape @ [rows, leads, samples] = builder.shape(records);
        let (chosen, mut x) = (&self.augmentations, records);
        if chosen.warp.is_some() {
            x = builder.step("augment.warp", TimeWarp { rows, leads, samples }, &[x, draws], shape)?;
        }
        if chosen.band_pass.is_some() {
            let kernel = BandPass { rows, leads, samples, sampling_rate: self.signal.sampling_rate as f32 };
            x = builder.step("augment.band_pass", kernel, &[x, draws], shape)?;
        }
        if chosen.mixes() {
            x = builder.step("augment.mix", Mix { rows, leads, samples }, &[x, draws], shape)?;
        }
        Ok(x)
    }

    /// Adds the mixing of the labels.
    fn mix_labels(
        &self,
        builder: &mut Builder,
        records: BufferId,
        labels: BufferId,
        draws: BufferId,
    ) -> Result<BufferId> {
        if !self.augmentations.mixes() {
            return Ok(labels);
        }
        let [_, _, samples] = builder.shape(records);
        let shape @ [rows, classes, _] = builder.shape(labels);
        builder.step("augment.labels", MixLabels { rows, classes, samples }, &[labels, draws], shape)
    }

    /// Adds baseline wander and noise.
    fn disturb(&self, builder: &mut Builder, x: BufferId, [draws, schedule]: [BufferId; 2]) -> Result<BufferId> {
        let (shape @ [rows, leads, samples], seed) = (builder.shape(x), self.seed);
        let groups = Groups { groups: rows, batch: 1, channels: leads, samples };
        let statistics = builder.step("augment.statistics", BatchStatistics(groups), &[x], [rows, 2 * leads, 1])?;
        let sources = builder.constant("augment.sources", &sources(&self.signal.leads))?;
        let amplitude = self.augmentations.motion.map_or([0.0; 2], |motion| motion.amplitude);
        let amplitude = amplitude.map(|millivolts| (millivolts / self.signal.millivolts) as f32);
        let sampling_rate = self.signal.sampling_rate as f32;
        let kernel = WanderAndNoise { rows, leads, samples, sampling_rate, amplitude, seed };
        builder.step("augment.noise", kernel, &[x, draws, statistics, sources, schedule], shape)
    }

    /// Checks everything that the steps rely on.
    fn check(&self, [rows, leads, samples]: [usize; 3], views: usize) -> Result<()> {
        let Self { augmentations, signal: Signal { leads: named, sampling_rate, millivolts }, .. } = self;
        for (what, value, unit) in [("a sampling rate", *sampling_rate, "Hz"), ("records in units", *millivolts, "mV")]
        {
            if !(value.is_finite() && value > 0.0) {
                return usage(format!("{what} of {value} {unit}"), "give a number above 0");
            }
        }
        if leads != named.len() {
            return usage(
                format!("records of {leads} leads, of which {} are named", named.len()),
                "name each lead once",
            );
        }
        if views == 0 || !rows.is_multiple_of(views) {
            return usage(format!("{rows} rows of {views} views"), "give every view the same records");
        }
        if rows / views < 2 && augmentations.mixes() {
            let cause = "mixup and CutMix in a batch of one record: there is no other";
            return usage(cause.into(), "train with two or more records in a batch, or without both");
        }
        if rows >= MOST_ROWS {
            return usage(format!("{rows} records at once"), "give fewer");
        }
        augmentations.check_ranges(*sampling_rate)?;
        let segments = [augmentations.cutmix, augmentations.dropout].into_iter().flatten();
        // At least one sample remains at each end.
        if segments.map(|amount| length(amount.range[1], samples) + 2.0).any(|least| least > samples as f64) {
            let cause = format!("records of {samples} samples, too short to cut a segment out of");
            return usage(cause, "give longer records, or choose shorter segments");
        }
        Ok(())
    }
}

/// Returns what [`WanderAndNoise`] needs for each lead: the two leads and factors that its disturbance is computed from.
/// The disturbances of III, aVR, aVL and aVF follow from those of I and II, so that Einthoven's law still holds.
fn sources(leads: &[Lead]) -> Arc<[f32]> {
    let index = |lead: Lead| leads.iter().position(|&other| other == lead).map(|at| at as f32);
    let of = |(at, lead): (usize, &Lead)| match (lead.from_i_and_ii(), index(Lead::I), index(Lead::II)) {
        (Some([a, b]), Some(i), Some(ii)) => [i, a, ii, b],
        _ => [at as f32, 1.0, at as f32, 0.0],
    };
    leads.iter().enumerate().flat_map(of).collect()
}
