//! The names of the augmentations, and lists of them.

use std::{fmt, str::FromStr};

use super::Augmentations;
use crate::{Error, ErrorKind, Result, kernels::training::augment::Draw};

/// The names of the augmentations, in the order of the settings of [`Draw`].
pub const NAMES: [&str; Draw::AUGMENTATIONS] = ["warp", "mixup", "band-pass", "cutmix", "motion", "noise", "dropout"];

impl Augmentations {
    /// Returns for each of the [`NAMES`] whether it is switched on.
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

    /// Switches off those of the [`NAMES`] whose entry is false.
    pub(super) fn only(self, on: [bool; Draw::AUGMENTATIONS]) -> Self {
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

    /// Iterates over the augmentations that are switched on: the name, and the augmentations with only this one on.
    pub fn each(self) -> impl Iterator<Item = (&'static str, Self)> {
        let on = self.switches();
        let single = move |at: usize| (NAMES[at], self.only(std::array::from_fn(|other| other == at)));
        (0..NAMES.len()).filter(move |&at| on[at]).map(single)
    }
}

impl fmt::Display for Augmentations {
    /// Writes `all`, `none`, or the names of the augmentations that are switched on, in the form that [`FromStr`] parses.
    /// Rates and ranges are not written.
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

    /// Parses `all`, `none`, a list of names such as `noise,mixup`, or a list of exclusions such as `-warp` or `all,-warp`,
    /// from left to right. Augmentations that are switched on have the published rates and ranges.
    fn from_str(text: &str) -> Result<Self> {
        // A list that begins with an exclusion excludes from all.
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
                    return Err(Error::new(ErrorKind::Usage, format!("there is no augmentation '{item}'"), remedy));
                }
            }
        }
        Ok(Self::default().only(on))
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
