//! The names of the augmentations, and lists of them.

use std::{fmt, str::FromStr};

use super::{Amount, Augmentations, Band, Mixup, Motion};
use crate::{Error, ErrorKind, Result, kernels::training::augment::Draw};

/// The names of the augmentations, in the order of the settings of [`Draw`].
pub const NAMES: [&str; Draw::AUGMENTATIONS] =
    ["warp", "mixup", "band-pass", "cutmix", "motion", "noise", "dropout", "gain", "lead-dropout"];

/// The number of published augmentations, which are the first of the [`NAMES`].
const PUBLISHED: usize = 7;

impl Augmentations {
    /// Returns for each of the [`NAMES`] whether it is switched on.
    fn switches(&self) -> [bool; Draw::AUGMENTATIONS] {
        let Self { warp, mixup, band_pass, cutmix, motion, noise, dropout, gain, lead_dropout } = self;
        [
            warp.is_some(),
            mixup.is_some(),
            band_pass.is_some(),
            cutmix.is_some(),
            motion.is_some(),
            noise.is_some(),
            dropout.is_some(),
            gain.is_some(),
            lead_dropout.is_some(),
        ]
    }

    /// Switches off those of the [`NAMES`] whose entry is false.
    pub(super) fn only(self, on: [bool; Draw::AUGMENTATIONS]) -> Self {
        let Self { warp, mixup, band_pass, cutmix, motion, noise, dropout, gain, lead_dropout } = self;
        Self {
            warp: warp.filter(|_| on[0]),
            mixup: mixup.filter(|_| on[1]),
            band_pass: band_pass.filter(|_| on[2]),
            cutmix: cutmix.filter(|_| on[3]),
            motion: motion.filter(|_| on[4]),
            noise: noise.filter(|_| on[5]),
            dropout: dropout.filter(|_| on[6]),
            gain: gain.filter(|_| on[7]),
            lead_dropout: lead_dropout.filter(|_| on[8]),
        }
    }

    /// Iterates over the augmentations that are switched on: the name, and the augmentations with only this one on.
    pub fn each(self) -> impl Iterator<Item = (&'static str, Self)> {
        let on = self.switches();
        let single = move |at: usize| (NAMES[at], self.only(std::array::from_fn(|other| other == at)));
        (0..NAMES.len()).filter(move |&at| on[at]).map(single)
    }
}

impl fmt::Display for Augmentations {
    /// Writes `all`, `none`, or a list of the augmentations that are switched on, in the form that [`FromStr`] parses. Rates
    /// and ranges are written where they are not the published ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (on, amounts, published) = (self.switches(), self.amounts(), Self::every().amounts());
        let names: Vec<String> =
            (0..NAMES.len())
                .filter(|&at| on[at])
                .map(|at| {
                    if amounts[at] == published[at] {
                        NAMES[at].into()
                    } else {
                        format!("{}:{}", NAMES[at], amounts[at])
                    }
                })
                .collect();
        f.pad(&match names.len() {
            0 => "none".into(),
            _ if *self == Self::default() => "all".into(),
            _ => names.join(","),
        })
    }
}

impl FromStr for Augmentations {
    type Err = Error;

    /// Parses `all` (the published seven), `none`, a list of names such as `noise,mixup`, or a list of exclusions such as `-warp` or `all,-warp`,
    /// from left to right.
    ///
    /// Augmentations that are switched on have the published rates and ranges, unless the name is followed by others:
    /// `NAME:RATE` or `NAME:RATE:RANGE`, where a range is `LOW..HIGH`. Mixup has α instead of a range. The band-pass has the
    /// ranges of its lower and its upper edge in Hz; motion has those of its amplitude in mV and its frequency in Hz.
    fn from_str(text: &str) -> Result<Self> {
        // A list that begins with an exclusion excludes from all.
        let published = |on: bool| std::array::from_fn(|at| on && at < PUBLISHED);
        let mut on: [bool; Draw::AUGMENTATIONS] = published(text.trim_start().starts_with('-'));
        let mut augmentations = Self::every();
        for item in text.split(',').map(str::trim) {
            let (name, add) = item.strip_prefix('-').map_or((item, true), |name| (name, false));
            let (name, amounts) = name.split_once(':').map_or((name, None), |(name, amounts)| (name, Some(amounts)));
            match (name, NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))) {
                (_, Some(at)) => {
                    on[at] = add;
                    if let Some(amounts) = amounts.filter(|_| add) {
                        augmentations.set(at, amounts).ok_or_else(|| unreadable(item, at))?;
                    }
                }
                ("all", _) => on = published(add),
                ("none", _) if add => on = [false; Draw::AUGMENTATIONS],
                _ => {
                    let remedy =
                        format!("use all, none, or a list of {}, or with - before what to leave out", NAMES.join(", "));
                    return Err(Error::new(ErrorKind::Usage, format!("there is no augmentation '{item}'"), remedy));
                }
            }
        }
        Ok(augmentations.only(on))
    }
}

/// Returns the error of an augmentation whose amounts cannot be read. It shows the published ones.
fn unreadable(item: &str, at: usize) -> Error {
    let example = format!("{}:{}", NAMES[at], Augmentations::every().amounts()[at]);
    Error::new(ErrorKind::Usage, format!("augmentation '{item}' cannot be read"), format!("use the form {example}"))
}

impl Augmentations {
    /// Returns the rates and ranges in the form that [`Augmentations::set`] parses; empty for augmentations that are off.
    fn amounts(&self) -> [String; Draw::AUGMENTATIONS] {
        let range = |[low, high]: [f64; 2]| format!("{low}..{high}");
        let amount = |amount: Option<Amount>| {
            amount.map_or(String::new(), |amount| format!("{}:{}", amount.rate, range(amount.range)))
        };
        let Self { warp, mixup, band_pass, cutmix, motion, noise, dropout, gain, lead_dropout } = *self;
        let band = |band: Band| format!("{}:{}:{}", band.rate, range(band.low), range(band.high));
        let moving =
            |motion: Motion| format!("{}:{}:{}", motion.rate, range(motion.amplitude), range(motion.frequency));
        [
            amount(warp),
            mixup.map_or(String::new(), |mixup| format!("{}:{}", mixup.rate, mixup.alpha)),
            band_pass.map_or(String::new(), band),
            amount(cutmix),
            motion.map_or(String::new(), moving),
            amount(noise),
            amount(dropout),
            amount(gain),
            amount(lead_dropout),
        ]
    }

    /// Sets rate and ranges of the augmentation with this index. Returns `None` if the text cannot be read.
    fn set(&mut self, at: usize, text: &str) -> Option<()> {
        let mut parts = text.split(':').map(str::trim);
        let rate: f64 = parts.next()?.parse().ok()?;
        let mut range = |published: [f64; 2]| match parts.next() {
            None => Some(published),
            Some(text) => {
                let (low, high) = text.split_once("..")?;
                Some([low.parse().ok()?, high.parse().ok()?])
            }
        };
        let published = Self::every();
        let mut amount = |published: Option<Amount>| Some(Some(Amount { rate, range: range(published?.range)? }));
        match at {
            0 => self.warp = amount(published.warp)?,
            1 => {
                let alpha = parts.next().map_or(published.mixup.map(|mixup| mixup.alpha), |text| text.parse().ok())?;
                self.mixup = Some(Mixup { rate, alpha });
            }
            2 => {
                let Band { low, high, .. } = published.band_pass?;
                self.band_pass = Some(Band { rate, low: range(low)?, high: range(high)? });
            }
            3 => self.cutmix = amount(published.cutmix)?,
            4 => {
                let Motion { amplitude, frequency, .. } = published.motion?;
                self.motion = Some(Motion { rate, amplitude: range(amplitude)?, frequency: range(frequency)? });
            }
            5 => self.noise = amount(published.noise)?,
            6 => self.dropout = amount(published.dropout)?,
            7 => self.gain = amount(published.gain)?,
            _ => self.lead_dropout = amount(published.lead_dropout)?,
        }
        parts.next().is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_parsed_and_written() {
        for (text, printed) in [
            ("all", "all"),
            ("none", "none"),
            ("noise,mixup", "mixup,noise"),
            ("-warp", "mixup,band-pass,cutmix,motion,noise,dropout"),
            ("all, -warp,-CutMix", "mixup,band-pass,motion,noise,dropout"),
            ("noise,-noise", "none"),
            ("warp,mixup,band-pass,cutmix,motion,noise,dropout", "all"),
            ("warp:0.5:0.95..1.05", "warp"),
            ("noise:1,warp:0.5:0.9..1.1", "warp:0.5:0.9..1.1,noise:1:0.005..0.02"),
            ("mixup:0.5:0.2,motion:0.5:0..0.1", "mixup:0.5:0.2,motion:0.5:0..0.1:0.5..2"),
            ("gain,lead-dropout:0.1", "gain,lead-dropout:0.1:0.05..0.2"),
            ("all,gain,-warp", "mixup,band-pass,cutmix,motion,noise,dropout,gain"),
            ("all,dropout:0.1", "warp,mixup,band-pass,cutmix,motion,noise,dropout:0.1:0.05..0.2"),
        ] {
            let augmentations: Augmentations = text.parse().unwrap();
            assert_eq!(augmentations.to_string(), printed, "{text}");
            assert_eq!(printed.parse(), Ok(augmentations));
        }
        assert_eq!("all".parse(), Ok(Augmentations::default()));
        for text in ["warp:", "warp:x", "warp:0.5:1", "warp:0.5:0.9..1.1:3", "mixup:0.5:0.2:1", "motion:0.5:0..x"] {
            let error = text.parse::<Augmentations>().unwrap_err();
            assert!(error.cause().contains("cannot be read") && error.remedy().contains(':'), "{error}");
        }
        for text in ["", "nois", "noise,", "-none", "--warp", "noise mixup"] {
            let error = text.parse::<Augmentations>().unwrap_err();
            assert!(error.cause().contains("there is no augmentation") && error.remedy().contains("band-pass"));
        }
    }
}
