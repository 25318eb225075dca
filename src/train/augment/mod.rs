//! The augmentations: which of them a training step applies, how often and how strongly.
//!
//! Rates and ranges of seven augmentations are the published ones; gain and lead dropout were not published. Two details were not published and are chosen here. Mixup draws λ from
//! Beta(0.4, 0.4), the upper end of the range that Zhang et al. (2018) recommend, and the record itself keeps the larger
//! share, so that a view in contrastive learning is still a view of its record. The upper edge of the band-pass is limited
//! to 0.45 of the sampling rate, 45 Hz at 100 Hz.
//!
//! The order follows the path of a signal: the heart (warping), the recorder (band-pass), mixing (mixup, CutMix), the
//! electrodes (baseline wander, noise, gain, lead dropout), the transmission (temporal dropout).

mod mixup;
mod names;
mod pipeline;
mod ranges;

pub use names::NAMES;
pub use pipeline::{AugmentationPipeline, Augmented, Signal};

/// How often an augmentation is applied, and how strongly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// The share of the records that it is applied to, from 0 to 1.
    pub rate: f64,
    /// The smallest and the largest amount. The amount is distributed uniformly between them.
    pub range: [f64; 2],
}

/// How often and how strongly records are mixed (mixup).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixup {
    /// The share of the records that are mixed, from 0 to 1.
    pub rate: f64,
    /// α of the distribution Beta(α, α) of λ. The record keeps the share max(λ, 1 − λ).
    pub alpha: f64,
}

/// How often and how strongly the band of the recorder varies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The share of the records that are filtered, from 0 to 1.
    pub rate: f64,
    /// The range of the lower edge in Hz.
    pub low: [f64; 2],
    /// The range of the upper edge in Hz.
    pub high: [f64; 2],
}

/// How often and how strongly motion makes the baseline wander.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// The share of the records with wander, from 0 to 1.
    pub rate: f64,
    /// The range of the amplitude in mV, which differs between leads.
    pub amplitude: [f64; 2],
    /// The range of the frequency in Hz, which is the same in all leads.
    pub frequency: [f64; 2],
}

/// The augmentations that are switched on. [`Default`] is the published seven with their
/// rates and ranges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentations {
    /// Frequency warping: the factor of the heart rate.
    pub warp: Option<Amount>,
    /// Mixup.
    pub mixup: Option<Mixup>,
    /// Band-pass variation.
    pub band_pass: Option<Band>,
    /// Segment CutMix: the share of the record that is replaced.
    pub cutmix: Option<Amount>,
    /// Baseline wander by motion.
    pub motion: Option<Motion>,
    /// Noise: its standard deviation relative to that of the lead.
    pub noise: Option<Amount>,
    /// Temporal dropout: the share of the record that becomes a straight line.
    pub dropout: Option<Amount>,
    /// Gain: the factor of all samples.
    pub gain: Option<Amount>,
    /// Lead dropout: the probability with which each lead becomes zero.
    pub lead_dropout: Option<Amount>,
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
            gain: None,
            lead_dropout: None,
        }
    }
}

/// The highest upper edge of the band-pass, as a share of the sampling rate. The filter needs an edge below the Nyquist
/// frequency.
const HIGHEST_EDGE: f64 = 0.45;

impl Augmentations {
    /// No augmentations.
    pub const NONE: Self = Self {
        warp: None,
        mixup: None,
        band_pass: None,
        cutmix: None,
        motion: None,
        noise: None,
        dropout: None,
        gain: None,
        lead_dropout: None,
    };

    /// Returns the published augmentations, and gain and lead dropout with rates and ranges that are chosen here.
    pub fn every() -> Self {
        Self {
            gain: Some(Amount { rate: 0.5, range: [0.9, 1.1] }),
            lead_dropout: Some(Amount { rate: 0.25, range: [0.05, 0.2] }),
            ..Self::default()
        }
    }

    /// Returns whether labels change.
    fn mixes(&self) -> bool {
        self.mixup.is_some() || self.cutmix.is_some()
    }

    /// Applies the augmentations to every record, with rates of 1.
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
            gain: amount(self.gain),
            lead_dropout: amount(self.lead_dropout),
        }
    }

    /// Returns remarks for the user: ranges that the sampling rate limits.
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
}
