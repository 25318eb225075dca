//! The seven augmentations: which of them a training step has, how often and how strongly.
//!
//! Rates and ranges are the published ones. Two things were left open there and are chosen here: mixup draws λ from
//! Beta(0.4, 0.4), the upper end of what Zhang et al. (2018) found good, and the larger share stays the record's own, so
//! that a view in contrastive learning is still a view of its record; and a band-pass whose upper edge would lie beyond
//! 0.45 of the sampling rate ends there, 45 Hz at 100 Hz.
//!
//! The order is that of a recording's way: the heart (warping), the recorder (band-pass), mixing (mixup, CutMix), the
//! electrodes (wander, noise), the line (temporal dropout).

use std::{fmt, str::FromStr, sync::Arc};

use crate::{
    Error, ErrorKind, Result,
    ecg::Lead,
    kernels::training::{
        BatchStatistics, Groups,
        augment::{BandPass, Draw, Draws, Mix, MixLabels, Setting, TemporalDropout, TimeWarp, WanderAndNoise},
    },
    plan::{BufferId, Builder},
};

/// How often something happens, as a share of the records, and the range of its amount.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// From 0 to 1.
    pub rate: f64,
    /// Smallest and largest; each amount between is as likely.
    pub range: [f64; 2],
}

/// Mixup.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixup {
    /// From 0 to 1.
    pub rate: f64,
    /// α of Beta(α, α), which λ comes from; the record keeps max(λ, 1 − λ).
    pub alpha: f64,
}

/// Band-pass variation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// From 0 to 1.
    pub rate: f64,
    /// Range of the lower edge in Hz.
    pub low: [f64; 2],
    /// Range of the upper edge in Hz.
    pub high: [f64; 2],
}

/// Motion artefacts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// From 0 to 1.
    pub rate: f64,
    /// Range of each lead's amplitude in mV.
    pub amplitude: [f64; 2],
    /// Range of the frequency in Hz, the same in all leads.
    pub frequency: [f64; 2],
}

/// Which augmentations there are; [`Default`] is all of them as published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentations {
    /// Frequency warping: what the heart rate is multiplied by.
    pub warp: Option<Amount>,
    /// Mixup.
    pub mixup: Option<Mixup>,
    /// Band-pass variation.
    pub band_pass: Option<Band>,
    /// Segment CutMix: the replaced share of the record.
    pub cutmix: Option<Amount>,
    /// Motion artefacts.
    pub motion: Option<Motion>,
    /// Noise: its deviation as a share of the lead's.
    pub noise: Option<Amount>,
    /// Temporal dropout: the share of the record that becomes a straight line.
    pub dropout: Option<Amount>,
}

/// What the records are.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The order of the leads.
    pub leads: Vec<Lead>,
    /// Hz.
    pub sampling_rate: f64,
    /// How many mV one unit of the records is.
    pub millivolts: f64,
}

/// Augmentations of one training: which, of what, and what they are drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmenting {
    /// Which, how often and how strongly.
    pub augmentations: Augmentations,
    /// What the records are.
    pub signal: Signal,
    /// What everything is drawn from.
    pub seed: u64,
}

/// An augmented batch in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmented {
    /// `[views · records, leads, samples]`, one view after the other.
    pub records: BufferId,
    /// `[views · records, classes]`, if there were labels.
    pub labels: Option<BufferId>,
    /// What was drawn, as [`Draws`] `[views · records, 1, Draws::LEN]`, if anything was.
    pub draws: Option<BufferId>,
}

impl Default for Augmentations {
    fn default() -> Self {
        Self {
            warp: Some(Amount { rate: 0.5, range: [0.95, 1.05] }),
            mixup: Some(Mixup { rate: 0.4, alpha: 0.4 }),
            band_pass: Some(Band { rate: 0.3, low: [0.5, 1.5], high: [40.0, 60.0] }),
            cutmix: Some(Amount { rate: 0.25, range: [0.1, 0.3] }),
            motion: Some(Motion { rate: 0.2, amplitude: [0.01, 0.05], frequency: [0.5, 2.0] }),
            noise: Some(Amount { rate: 0.6, range: [0.005, 0.02] }),
            dropout: Some(Amount { rate: 0.3, range: [0.05, 0.2] }),
        }
    }
}

/// The names of the augmentations, in the order of [`Draw`]'s settings.
pub const NAMES: [&str; Draw::AUGMENTATIONS] = ["warp", "mixup", "band-pass", "cutmix", "motion", "noise", "dropout"];

/// The highest upper edge of a band-pass, as a share of the sampling rate: below the Nyquist rate, where the filter would
/// end.
const HIGHEST_EDGE: f64 = 0.45;

/// Rows of a batch are numbered in f32.
const MOST_ROWS: usize = 1 << 24;

impl Augmentations {
    /// None.
    pub const NONE: Self =
        Self { warp: None, mixup: None, band_pass: None, cutmix: None, motion: None, noise: None, dropout: None };

    /// Whether each is there, in the order of [`NAMES`].
    fn switches(&self) -> [bool; Draw::AUGMENTATIONS] {
        let Self { warp, mixup, band_pass, cutmix, motion, noise, dropout } = self;
        [
            warp.is_some(),
            mixup.is_some(),
            band_pass.is_some(),
            cutmix.is_some(),
            motion.is_some(),
            noise.is_some(),
            dropout.is_some(),
        ]
    }

    /// Whether labels change.
    fn mixes(&self) -> bool {
        self.mixup.is_some() || self.cutmix.is_some()
    }

    /// Those of [`NAMES`] that are switched on.
    fn only(self, on: [bool; Draw::AUGMENTATIONS]) -> Self {
        let Self { warp, mixup, band_pass, cutmix, motion, noise, dropout } = self;
        Self {
            warp: warp.filter(|_| on[0]),
            mixup: mixup.filter(|_| on[1]),
            band_pass: band_pass.filter(|_| on[2]),
            cutmix: cutmix.filter(|_| on[3]),
            motion: motion.filter(|_| on[4]),
            noise: noise.filter(|_| on[5]),
            dropout: dropout.filter(|_| on[6]),
        }
    }

    /// Each that is there by itself, with its name.
    pub fn each(self) -> impl Iterator<Item = (&'static str, Self)> {
        let on = self.switches();
        let single = move |at: usize| (NAMES[at], self.only(std::array::from_fn(|other| other == at)));
        (0..NAMES.len()).filter(move |&at| on[at]).map(single)
    }

    /// The same, at every record.
    pub fn always(self) -> Self {
        let amount = |amount: Option<Amount>| amount.map(|amount| Amount { rate: 1.0, ..amount });
        Self {
            warp: amount(self.warp),
            mixup: self.mixup.map(|mixup| Mixup { rate: 1.0, ..mixup }),
            band_pass: self.band_pass.map(|band| Band { rate: 1.0, ..band }),
            cutmix: amount(self.cutmix),
            motion: self.motion.map(|motion| Motion { rate: 1.0, ..motion }),
            noise: amount(self.noise),
            dropout: amount(self.dropout),
        }
    }

    /// What a reader of the result should know: ranges that the sampling rate limits.
    pub fn notes(&self, sampling_rate: f64) -> Vec<String> {
        let highest = HIGHEST_EDGE * sampling_rate;
        let limited = self.band_pass.filter(|band| band.high[1] > highest);
        let note = |Band { high: [low, high], .. }: Band| {
            let (low, limited) = (low.min(highest), high.min(highest));
            format!(
                "at {sampling_rate} Hz the band-pass ends between {low} and {limited} Hz, not as far up as {high} Hz: \
                 there is nothing above {} Hz",
                sampling_rate / 2.0
            )
        };
        limited.map(note).into_iter().collect()
    }

    /// What [`Draw`] draws from.
    fn settings(&self, samples: usize, sampling_rate: f64) -> [Setting; Draw::AUGMENTATIONS] {
        let single = |[low, high]: [f64; 2]| [low as f32, high as f32];
        let amount = |amount: Option<Amount>| {
            amount.map(|Amount { rate, range }| Setting {
                rate: rate as f32,
                range: single(range),
                ..Setting::default()
            })
        };
        let segment = |of: Option<Amount>| {
            amount(of.map(|Amount { rate, range }| Amount { rate, range: range.map(|share| length(share, samples)) }))
        };
        let edge = |hertz: f64| hertz.min(HIGHEST_EDGE * sampling_rate);
        let setting = |rate: f64, range, second| Setting { rate: rate as f32, range: single(range), second };
        [
            amount(self.warp),
            self.mixup.map(|mixup| setting(mixup.rate, [0.0; 2], [0.0; 2])),
            self.band_pass.map(|Band { rate, low, high }| setting(rate, low, single(high.map(edge)))),
            segment(self.cutmix),
            self.motion.map(|motion| setting(motion.rate, motion.frequency, [0.0; 2])),
            amount(self.noise),
            segment(self.dropout),
        ]
        .map(Option::unwrap_or_default)
    }

    /// That each range makes sense, with what it is called and the limits that it must keep.
    fn check_ranges(&self, sampling_rate: f64) -> Result<()> {
        let half = sampling_rate / 2.0;
        let range = |what: &str, rate: f64, [low, high]: [f64; 2], [least, most]: [f64; 2]| {
            if !(0.0..=1.0).contains(&rate) {
                return usage(format!("{what} at a rate of {rate}"), "give a rate between 0 and 1");
            }
            if !(low >= least && low <= high && high <= most && high.is_finite()) {
                let remedy = format!("give two numbers from {least} to {most}, the smaller first");
                return usage(format!("{what} from {low} to {high}"), &remedy);
            }
            Ok(())
        };
        let amount = |what: &str, amount: Option<Amount>, limits| {
            amount.map_or(Ok(()), |Amount { rate, range: of }| range(what, rate, of, limits))
        };
        // Mirroring once beyond each end reaches as far as twice the heart rate; half of it is as unlike a heart.
        amount("a factor of the heart rate", self.warp, [0.5, 2.0])?;
        amount("a share of the record for CutMix", self.cutmix, [0.0, 1.0])?;
        amount("a share of the record for temporal dropout", self.dropout, [0.0, 1.0])?;
        amount("noise as a share of the lead's deviation", self.noise, [0.0, f64::MAX])?;
        if let Some(Mixup { rate, alpha }) = self.mixup {
            // Below, λ is 0 or 1; above, it is one half.
            range("mixup's alpha", rate, [alpha; 2], [0.01, 100.0])?;
        }
        if let Some(Motion { rate, amplitude, frequency }) = self.motion {
            range("an amplitude of the wander in mV", rate, amplitude, [0.0, f64::MAX])?;
            range("a frequency of the wander in Hz", rate, frequency, [f64::MIN_POSITIVE, half])?;
        }
        if let Some(Band { rate, low, high }) = self.band_pass {
            range("an upper edge of the band-pass in Hz", rate, high, [f64::MIN_POSITIVE, f64::MAX])?;
            let highest = high[0].min(HIGHEST_EDGE * sampling_rate);
            range("a lower edge of the band-pass in Hz", rate, low, [f64::MIN_POSITIVE, highest])?;
        }
        Ok(())
    }
}

impl Augmenting {
    /// Adds the steps that augment the rows `[views · records, leads, samples]`, one view of the records after the other,
    /// and, where there are labels `[views · records, classes, 1]`, mix those accordingly. Rows mix within their view. What
    /// is drawn follows from the seed and the step in the schedule; so parts of one batch that pass one after the other must
    /// each count as a step.
    ///
    /// # Errors
    /// A rate or a range that makes no sense, alone or for the sampling rate; records too short for the segments; mixup or
    /// CutMix with a single record.
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
        if self.augmentations.dropout.is_some() {
            let shape @ [rows, leads, samples] = builder.shape(x);
            x = builder.step("augment.dropout", TemporalDropout { rows, leads, samples }, &[x, draws], shape)?;
        }
        Ok(Augmented { records: x, labels, draws: Some(draws) })
    }

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

    /// Warping, band-pass and mixing, in the order of the module's first lines.
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

    /// Motion artefacts and noise.
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
        // A sample remains at each end.
        if segments.map(|amount| length(amount.range[1], samples) + 2.0).any(|least| least > samples as f64) {
            let cause = format!("records of {samples} samples, too short to cut a segment out of");
            return usage(cause, "give longer records, or choose shorter segments");
        }
        Ok(())
    }
}

/// Samples of a share of a record, at least one.
fn length(share: f64, samples: usize) -> f64 {
    (share * samples as f64).round().max(1.0)
}

fn usage<T>(cause: String, remedy: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Usage, cause, remedy))
}

/// What [`WanderAndNoise`] reads of each lead: III, aVR, aVL and aVF follow from I and II where those are there.
fn sources(leads: &[Lead]) -> Arc<[f32]> {
    let place = |lead: Lead| leads.iter().position(|&other| other == lead).map(|at| at as f32);
    let of = |(at, lead): (usize, &Lead)| match (lead.from_i_and_ii(), place(Lead::I), place(Lead::II)) {
        (Some([a, b]), Some(i), Some(ii)) => [i, a, ii, b],
        _ => [at as f32, 1.0, at as f32, 0.0],
    };
    leads.iter().enumerate().flat_map(of).collect()
}

/// Quantiles of min(λ, 1 − λ) for λ from Beta(α, α), at [`Draw::QUANTILES`] equally spaced probabilities.
///
/// With w = sᵅ the density s^(α−1)·(1 − s)^(α−1) of s becomes (1 − s)^(α−1) of w, without the pole at 0, and is summed up
/// by the midpoints of small steps.
fn shares(alpha: f64) -> Arc<[f32]> {
    const STEPS: usize = 1 << 14;
    let width = 0.5f64.powf(alpha) / STEPS as f64;
    let share = |w: f64| w.powf(1.0 / alpha).min(0.5);
    let mut sums = vec![0.0];
    for step in 0..STEPS {
        let density = (1.0 - share((step as f64 + 0.5) * width)).powf(alpha - 1.0);
        sums.push(sums[step] + density);
    }
    let quantile = |at: usize| {
        let wanted = sums[STEPS] * at as f64 / (Draw::QUANTILES - 1) as f64;
        let step = sums.partition_point(|&sum| sum <= wanted).clamp(1, STEPS) - 1;
        let part = (wanted - sums[step]) / (sums[step + 1] - sums[step]);
        share((step as f64 + part) * width) as f32
    };
    (0..Draw::QUANTILES).map(quantile).collect()
}

impl fmt::Display for Augmentations {
    /// `all`, `none`, or the names of those that are there, as [`FromStr`] reads them; their rates and ranges are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = self.switches();
        let names: Vec<&str> = NAMES.into_iter().zip(on).filter(|(_, on)| *on).map(|(name, _)| name).collect();
        f.pad(&match names.len() {
            0 => "none".into(),
            Draw::AUGMENTATIONS => "all".into(),
            _ => names.join(","),
        })
    }
}

impl FromStr for Augmentations {
    type Err = Error;

    /// Reads `all`, `none`, names such as `noise,mixup`, or what to leave out such as `-warp` or `all,-warp`, from left to
    /// right. Those that are there are as published.
    fn from_str(text: &str) -> Result<Self> {
        // What begins by taking away takes from all.
        let mut on = [text.trim_start().starts_with('-'); Draw::AUGMENTATIONS];
        for item in text.split(',').map(str::trim) {
            let (name, add) = item.strip_prefix('-').map_or((item, true), |name| (name, false));
            match (name, NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))) {
                (_, Some(at)) => on[at] = add,
                ("all", _) => on = [add; Draw::AUGMENTATIONS],
                ("none", _) if add => on = [false; Draw::AUGMENTATIONS],
                _ => {
                    let remedy =
                        format!("use all, none, or a list of {}, or with - before what to leave out", NAMES.join(", "));
                    return usage(format!("there is no augmentation '{item}'"), &remedy);
                }
            }
        }
        Ok(Self::default().only(on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distribution of the smaller of λ and 1 − λ has simple quantiles for two values of α.
    #[test]
    fn shares_of_mixup_follow_the_beta_distribution() {
        let uniform = |p: f64| p / 2.0;
        let arcsine = |p: f64| (std::f64::consts::FRAC_PI_4 * p).sin().powi(2);
        for (alpha, quantile) in [(1.0, &uniform as &dyn Fn(f64) -> f64), (0.5, &arcsine)] {
            for (at, &share) in shares(alpha).iter().enumerate() {
                let expected = quantile(at as f64 / (Draw::QUANTILES - 1) as f64);
                assert!((f64::from(share) - expected).abs() < 1e-6, "α {alpha}, {at}: {share} instead of {expected}");
            }
        }
    }

    #[test]
    fn a_list_is_read_and_printed() {
        for (text, printed) in [
            ("all", "all"),
            ("none", "none"),
            ("noise,mixup", "mixup,noise"),
            ("-warp", "mixup,band-pass,cutmix,motion,noise,dropout"),
            ("all, -warp,-CutMix", "mixup,band-pass,motion,noise,dropout"),
            ("noise,-noise", "none"),
            ("warp,mixup,band-pass,cutmix,motion,noise,dropout", "all"),
        ] {
            let augmentations: Augmentations = text.parse().unwrap();
            assert_eq!(augmentations.to_string(), printed, "{text}");
            assert_eq!(printed.parse(), Ok(augmentations));
        }
        assert_eq!("all".parse(), Ok(Augmentations::default()));
        for text in ["", "nois", "noise,", "-none", "--warp", "noise mixup"] {
            let error = text.parse::<Augmentations>().unwrap_err();
            assert!(error.cause().contains("there is no augmentation") && error.remedy().contains("band-pass"));
        }
    }
}
