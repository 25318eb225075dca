//! What a run on PTB-XL is started with, as `config.toml` has it.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Augmentations, Heads, LearningRate, Objective, Optimiser, Recipe, schedule::Shape};
use crate::{
    Error, ErrorKind, Result,
    kernels::training::SupervisedLossKind,
    network::{Network, published},
};

/// Which kind of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Pre-training without labels by SimCLR.
    Simclr,
    /// Pre-training without labels by BYOL.
    Byol,
    /// Supervised, from fresh parameters.
    Train,
    /// Supervised, from a pre-trained encoder.
    Finetune,
}

/// Which supervised loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// Focal loss with γ = 2 and α = 0.25.
    Focal,
    /// Binary cross entropy.
    Bce,
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All alike.
    None,
    /// In inverse proportion to its records, 1 on average.
    Balanced,
}

/// Everything that decides what comes out of a run. The meaning of each is that of the command line's option of its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the option of its name, which the command line explains")]
pub struct Settings {
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    pub network: String,
    pub device: String,
    pub seed: u64,
    pub epochs: usize,
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Shape,
    pub warm_up: f64,
    pub weight_decay: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    pub augment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_fraction: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_encoder: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Simclr => "simclr",
            Kind::Byol => "byol",
            Kind::Train => "train",
            Kind::Finetune => "finetune",
        })
    }
}

impl Kind {
    /// Whether it needs labels.
    pub fn is_supervised(self) -> bool {
        matches!(self, Kind::Train | Kind::Finetune)
    }
}

impl Settings {
    /// The published recipe of a kind of run. From scratch, where none was published, the setting that reached a macro
    /// AUROC of 0.895 on fold 9 with a tenth of the labels.
    pub fn new(kind: Kind) -> Self {
        let base = Self {
            kind,
            data: None,
            out: None,
            from: None,
            network: "542k".into(),
            device: "auto".into(),
            seed: 42,
            epochs: 20,
            batch: 128,
            learning_rate: 1e-3,
            schedule: Shape::Constant,
            warm_up: 0.0,
            weight_decay: 0.0,
            clip: None,
            crop: None,
            augment: "all".into(),
            label_fraction: None,
            loss: None,
            class_weights: None,
            patience: None,
            freeze_encoder: None,
            temperature: None,
            momentum: None,
        };
        let supervised = Self { label_fraction: Some(1.0), loss: Some(LossName::Focal), ..base.clone() };
        match kind {
            Kind::Simclr => Self { temperature: Some(0.07), ..base },
            Kind::Byol => Self { momentum: Some(0.996), ..base },
            Kind::Train => {
                let class_weights = Some(ClassWeights::None);
                Self { batch: 64, augment: "none".into(), class_weights, ..supervised }
            }
            Kind::Finetune => Self {
                batch: 32,
                learning_rate: 5e-4,
                patience: Some(5),
                class_weights: Some(ClassWeights::Balanced),
                freeze_encoder: Some(false),
                ..supervised
            },
        }
    }

    /// Reads settings for a kind of run; what the text leaves out is the recipe's.
    ///
    /// # Errors
    /// Text that is no TOML, a setting that is unknown or of the wrong type, or settings of another kind of run.
    pub fn read(kind: Kind, text: &str) -> Result<Self> {
        let bad = |error: String| {
            let cause = format!("settings that cannot be read: {}", error.trim().replace('\n', " "));
            Error::new(ErrorKind::Usage, cause, "correct the file; a run's config.toml shows what there is")
        };
        let given: toml::Table = text.parse().map_err(|error: toml::de::Error| bad(error.message().to_string()))?;
        let mut table = Self::new(kind).table()?;
        table.extend(given);
        let settings: Self = table.try_into().map_err(|error: toml::de::Error| bad(error.message().to_string()))?;
        if settings.kind != kind {
            let cause = format!("settings of a run of kind '{}', not '{kind}'", settings.kind);
            return Err(Error::new(ErrorKind::Usage, cause, "use the command that they were made with"));
        }
        Ok(settings)
    }

    fn table(&self) -> Result<toml::Table> {
        toml::Table::try_from(self).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("settings that cannot be written: {error}"), "use smaller numbers")
        })
    }

    /// The settings as [`Settings::read`] takes them.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String> {
        Ok(self.table()?.to_string())
    }

    /// Checks that a run that is gone on with has the settings that it was started with.
    ///
    /// # Errors
    /// They differ; the error says in what.
    pub fn check_same(&self, started_with: &Self) -> Result<()> {
        let (now, then) = (self.table()?, started_with.table()?);
        let keys: std::collections::BTreeSet<&String> = now.keys().chain(then.keys()).collect();
        let text =
            |table: &toml::Table, key: &String| table.get(key).map_or("nothing".to_string(), toml::Value::to_string);
        let differences: Vec<String> = keys
            .into_iter()
            .filter(|key| now.get(*key) != then.get(*key))
            .map(|key| format!("{} is {}, was {}", key.replace('_', "-"), text(&now, key), text(&then, key)))
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        let cause = format!("the run was started with other settings: {}", differences.join("; "));
        Err(Error::new(ErrorKind::Usage, cause, "leave them out to go on with it, or start another run"))
    }

    /// The network by its name.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn network(&self) -> Result<Network> {
        published::by_name(&self.network).ok_or_else(|| {
            let cause = format!("no network is called '{}'", self.network);
            Error::new(ErrorKind::Usage, cause, format!("use {}", published::names()))
        })
    }

    /// The objective; `class_counts` are the training records of each class.
    ///
    /// # Errors
    /// A setting is missing that this kind of run needs.
    pub fn objective(&self, class_counts: &[usize]) -> Result<Objective> {
        let missing = |what: &str| {
            let cause = format!("a run of kind '{}' without {what}", self.kind);
            Error::new(ErrorKind::Usage, cause, "add it to the settings")
        };
        Ok(match self.kind {
            Kind::Simclr => {
                let temperature = self.temperature.ok_or_else(|| missing("temperature"))? as f32;
                Objective::SimClr { temperature, heads: Heads { hidden: 2048, out: 128 } }
            }
            Kind::Byol => Objective::Byol { heads: Heads { hidden: 2048, out: 256 } },
            Kind::Train | Kind::Finetune => {
                let loss = match self.loss.ok_or_else(|| missing("loss"))? {
                    LossName::Focal => SupervisedLossKind::FOCAL,
                    LossName::Bce => SupervisedLossKind::CROSS_ENTROPY,
                };
                let class_weights = match self.class_weights.ok_or_else(|| missing("class_weights"))? {
                    ClassWeights::None => vec![1.0; class_counts.len()],
                    ClassWeights::Balanced => balanced(class_counts),
                };
                Objective::Supervised { loss, class_weights }
            }
        })
    }

    /// Adam, or with weight decay AdamW.
    ///
    /// # Errors
    /// A weight decay or a bound of the gradient that makes no sense.
    pub fn optimiser(&self) -> Result<Optimiser> {
        let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return usage(format!("a weight decay of {}", self.weight_decay), "use 0 or more, such as 0.01");
        }
        if let Some(clip) = self.clip.filter(|clip| !(clip.is_finite() && *clip > 0.0)) {
            return usage(format!("gradients clipped at {clip}"), "use a number above 0, such as 1");
        }
        let (weight_decay, clip) = (self.weight_decay as f32, self.clip.map(|clip| clip as f32));
        Ok(Optimiser { weight_decay, clip, ..Optimiser::default() })
    }

    /// How the task is trained.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            epochs: self.epochs,
            learning_rate: LearningRate { peak: self.learning_rate, shape: self.schedule, warm_up: self.warm_up },
            target_momentum: self.momentum.unwrap_or(0.0),
            patience: self.patience,
            seed: self.seed,
        }
    }

    /// The augmentations by their names; none if there are none.
    ///
    /// # Errors
    /// A name that is unknown.
    pub fn augmentations(&self) -> Result<Option<Augmentations>> {
        let augmentations: Augmentations = self.augment.parse()?;
        Ok(Some(augmentations).filter(|some| *some != Augmentations::NONE))
    }

    /// Samples of a crop at a sampling rate, or of a whole record.
    ///
    /// # Errors
    /// A crop that is not a positive time.
    pub fn crop_samples(&self, sampling_rate: f64, whole: usize) -> Result<usize> {
        let Some(seconds) = self.crop else { return Ok(whole) };
        let samples = (seconds * sampling_rate).round();
        if !(samples.is_finite() && samples >= 1.0) {
            let cause = format!("crops of {seconds} s");
            return Err(Error::new(ErrorKind::Usage, cause, "use a time above 0, such as 2.5"));
        }
        Ok(samples as usize)
    }
}

/// Weights in inverse proportion to the counts, 1 on average. No count is zero: a fraction that leaves a class without
/// records is refused.
fn balanced(counts: &[usize]) -> Vec<f32> {
    let inverse: Vec<f64> = counts.iter().map(|&count| 1.0 / count.max(1) as f64).collect();
    let mean = inverse.iter().sum::<f64>() / inverse.len().max(1) as f64;
    inverse.iter().map(|weight| (weight / mean) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_file() {
        for kind in [Kind::Simclr, Kind::Byol, Kind::Train, Kind::Finetune] {
            let settings = Settings { data: Some("/data".into()), crop: Some(2.5), ..Settings::new(kind) };
            assert_eq!(Settings::read(kind, &settings.to_toml().unwrap()), Ok(settings));
        }
    }

    #[test]
    fn what_a_file_leaves_out_is_the_recipes_and_what_it_should_not_have_is_named() {
        let settings = Settings::read(Kind::Train, "epochs = 3").unwrap();
        assert_eq!(settings, Settings { epochs: 3, ..Settings::new(Kind::Train) });
        for (text, named) in
            [("epoch = 3", "epoch"), ("epochs = \"three\"", "three"), ("kind = \"byol\"", "byol"), ("epochs", "")]
        {
            let error = Settings::read(Kind::Train, text).unwrap_err();
            assert!(error.kind() == ErrorKind::Usage && error.cause().contains(named), "{error}");
        }
    }

    #[test]
    fn a_difference_is_named_with_both_values() {
        let then = Settings::new(Kind::Train);
        let now = Settings { learning_rate: 0.5, crop: Some(2.5), ..then.clone() };
        let error = now.check_same(&then).unwrap_err().to_string();
        assert!(
            error.contains("learning-rate is 0.5, was 0.001") && error.contains("crop is 2.5, was nothing"),
            "{error}"
        );
        assert!(then.check_same(&then).is_ok());
    }

    #[test]
    fn balanced_weights_are_inverse_to_the_counts_and_one_on_average() {
        let weights = balanced(&[100, 50]);
        assert!((weights[1] / weights[0] - 2.0).abs() < 1e-6 && (weights[0] + weights[1] - 2.0).abs() < 1e-6);
    }
}
