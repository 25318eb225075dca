//! Rates and ranges: their limits, and the form in which the kernels take them.

use super::{Amount, Augmentations, Band, HIGHEST_EDGE, Mixup, Motion};
use crate::{
    Error, ErrorKind, Result,
    kernels::training::augment::{Draw, Setting},
};

impl Augmentations {
    /// Returns the distributions that [`Draw`] draws from.
    pub(super) fn settings(&self, samples: usize, sampling_rate: f64) -> [Setting; Draw::AUGMENTATIONS] {
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
            amount(self.gain),
            amount(self.lead_dropout),
        ]
        .map(Option::unwrap_or_default)
    }

    /// Checks all rates and ranges.
    ///
    /// # Errors
    /// A rate is not between 0 and 1, or a range is outside the limits that the error states.
    pub(super) fn check_ranges(&self, sampling_rate: f64) -> Result<()> {
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
        // The signal is mirrored once beyond each end, which suffices up to twice the heart rate. Half of it is the limit
        // at the other side.
        amount("a factor of the heart rate", self.warp, [0.5, 2.0])?;
        amount("a share of the record for CutMix", self.cutmix, [0.0, 1.0])?;
        amount("a share of the record for temporal dropout", self.dropout, [0.0, 1.0])?;
        amount("a gain", self.gain, [f64::MIN_POSITIVE, 1e3])?;
        amount("a probability of a dropped lead", self.lead_dropout, [0.0, 0.9])?;
        amount("noise as a share of the lead's deviation", self.noise, [0.0, f64::MAX])?;
        if let Some(Mixup { rate, alpha }) = self.mixup {
            // λ is practically 0 or 1 below this range, and one half above it.
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

/// Returns the number of samples of a share of a record, at least one.
pub(super) fn length(share: f64, samples: usize) -> f64 {
    (share * samples as f64).round().max(1.0)
}

/// Returns an error of a request that makes no sense.
pub(super) fn usage<T>(cause: String, remedy: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Usage, cause, remedy))
}
