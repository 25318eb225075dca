//! The settings of a run on a data set, which its `config.toml` stores.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Augmentations, Heads, LearningRate, Objective, Optimiser, Recipe, ScheduleShape};
use crate::{
    Error, ErrorKind, Result,
    kernels::training::SupervisedLossKind,
    network::{Network, WIDEST, published},
};

/// The kind of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// Pre-training without labels by SimCLR.
    Simclr,
    /// Pre-training without labels by BYOL.
    Byol,
    /// Supervised training from random initial parameters.
    Train,
    /// Supervised training from a pre-trained encoder.
    Finetune,
}

/// The name of a supervised loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// Focal loss with γ = 2 and α = 0.25.
    Focal,
    /// Binary cross entropy.
    Bce,
}

/// The weights of the classes in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All classes have the weight 1.
    None,
    /// The weight of a class is inversely proportional to the number of its records. The mean weight is 1.
    Balanced,
}

/// Everything that determines the result of a run. The command line has an option for each field, under the same name.
///
/// A field that a kind of run does not use is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The kind of the run.
    pub(crate) kind: RunKind,
    /// The folder of PTB-XL, or a table of one's own records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The weights file that the run writes at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    /// The weights file of the encoder that fine-tuning starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// The name of the network.
    pub network: String,
    /// The factor by which the network has more channels than the published one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub width: usize,
    /// The device, in the spelling of [`Device`](crate::Device).
    pub device: String,
    /// The seed of initial parameters, label fraction, order, crops and augmentations.
    pub seed: u64,
    /// The number of epochs.
    pub epochs: usize,
    /// The number of records per batch.
    pub batch: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The course of the learning rate.
    pub schedule: ScheduleShape,
    /// The share of all steps in which the learning rate rises.
    pub warm_up: f64,
    /// The decoupled weight decay; 0 for plain Adam.
    pub weight_decay: f64,
    /// The largest norm of the gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// The decay of the exponential moving average of the parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// The duration of random windows in seconds; whole records if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    /// The names of the augmentations, in the spelling of [`Augmentations`].
    pub augment: String,
    /// The fraction of the labels that is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_fraction: Option<f64>,
    /// Folds of 1 to 8 that the run does not learn from, so that the result can be the teacher of their records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold_out: Vec<u8>,
    /// The supervised loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossName>,
    /// The weight of the loss of auxiliary targets: the SCP-ECG statements that at least 20 training records have. The
    /// classes have the weight 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statements: Option<f64>,
    /// The weight of the loss of further auxiliary targets: the patient's sex and age. The classes have the weight 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demographics: Option<f64>,
    /// Weights files of networks whose mean probabilities are part of the targets (distillation). A record's mean is over the
    /// networks that were not trained on its fold, or over all if each was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teacher: Vec<PathBuf>,
    /// The share of the teachers' probabilities in the targets: 0.5 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_share: Option<f64>,
    /// The weights of the classes in the supervised loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// The number of epochs without a better validation AUROC after which the run ends early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Whether fine-tuning leaves the encoder unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_encoder: Option<bool>,
    /// The temperature of SimCLR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The initial momentum of BYOL's target network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunKind::Simclr => "simclr",
            RunKind::Byol => "byol",
            RunKind::Train => "train",
            RunKind::Finetune => "finetune",
        })
    }
}

impl RunKind {
    /// Returns whether this kind of run needs labels.
    pub(super) fn is_supervised(self) -> bool {
        matches!(self, RunKind::Train | RunKind::Finetune)
    }
}

impl Settings {
    /// Returns the published recipe of a kind of run. For training from scratch none was published; its recipe is the one
    /// with which PyTorch reached a macro AUROC of 0.895 on fold 9 with a tenth of the labels.
    pub fn new(kind: RunKind) -> Self {
        let base = Self {
            kind,
            data: None,
            out: None,
            from: None,
            network: "542k".into(),
            width: 1,
            device: "auto".into(),
            seed: 42,
            epochs: 20,
            batch: 128,
            learning_rate: 1e-3,
            schedule: ScheduleShape::Constant,
            warm_up: 0.0,
            weight_decay: 0.0,
            clip: None,
            ema: None,
            crop: None,
            augment: "all".into(),
            label_fraction: None,
            hold_out: Vec::new(),
            loss: None,
            statements: None,
            demographics: None,
            teacher: Vec::new(),
            teacher_share: None,
            class_weights: None,
            patience: None,
            freeze_encoder: None,
            temperature: None,
            momentum: None,
        };
        let supervised = Self { label_fraction: Some(1.0), loss: Some(LossName::Focal), ..base.clone() };
        match kind {
            RunKind::Simclr => Self { temperature: Some(0.07), ..base },
            RunKind::Byol => Self { momentum: Some(0.996), ..base },
            RunKind::Train => {
                let class_weights = Some(ClassWeights::None);
                Self { batch: 64, augment: "none".into(), class_weights, ..supervised }
            }
            RunKind::Finetune => Self {
                batch: 32,
                learning_rate: 5e-4,
                patience: Some(5),
                class_weights: Some(ClassWeights::Balanced),
                freeze_encoder: Some(false),
                ..supervised
            },
        }
    }

    /// Returns the kind of the run.
    pub fn kind(&self) -> RunKind {
        self.kind
    }

    /// Returns the settings without what differs from machine to machine: files and device.
    pub fn without_paths(&self) -> Self {
        Self { data: None, out: None, from: None, teacher: Vec::new(), device: "auto".into(), ..self.clone() }
    }

    /// Parses settings for a kind of run. Missing settings have the values of the published recipe.
    ///
    /// # Errors
    /// The text is not TOML, a setting is unknown or has the wrong type, or the settings belong to another kind of run.
    pub fn read(kind: RunKind, text: &str) -> Result<Self> {
        Self::new(kind).with(text)
    }

    /// Parses settings as [`Settings::read`] does. Missing settings have the values of these.
    ///
    /// # Errors
    /// Those of [`Settings::read`].
    pub fn with(&self, text: &str) -> Result<Self> {
        let bad = |error: String| {
            let cause = format!("settings that cannot be read: {}", error.trim().replace('\n', " "));
            Error::new(ErrorKind::Usage, cause, "correct the file; a run's config.toml shows what there is")
        };
        let given: toml::Table = text.parse().map_err(|error: toml::de::Error| bad(error.message().to_string()))?;
        let mut table = self.table()?;
        table.extend(given);
        let settings: Self = table.try_into().map_err(|error: toml::de::Error| bad(error.message().to_string()))?;
        if settings.kind != self.kind {
            let cause = format!("settings of a run of kind '{}', not '{}'", settings.kind, self.kind);
            return Err(Error::new(ErrorKind::Usage, cause, "use the command that they were made with"));
        }
        Ok(settings)
    }

    fn table(&self) -> Result<toml::Table> {
        toml::Table::try_from(self).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("settings that cannot be written: {error}"), "use smaller numbers")
        })
    }

    /// Returns the settings as TOML for [`Settings::read`].
    ///
    /// # Errors
    /// TOML cannot represent a number.
    pub fn to_toml(&self) -> Result<String> {
        Ok(self.table()?.to_string())
    }

    /// Checks that a resumed run has the settings that it was started with.
    ///
    /// # Errors
    /// A setting differs; the error names it with both values.
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
        Err(Error::new(ErrorKind::Usage, cause, "leave them out to resume it, or start another run"))
    }

    /// Returns the network with this number of logits.
    ///
    /// # Errors
    /// No network has this name, or the width is not 1 to [`WIDEST`].
    pub(super) fn network(&self, logits: usize) -> Result<Network> {
        let network = published::by_name(&self.network).ok_or_else(|| {
            let cause = format!("no network is called '{}'", self.network);
            Error::new(ErrorKind::Usage, cause, format!("use {}", published::list_of_names()))
        })?;
        if !(1..=WIDEST).contains(&self.width) {
            let cause = format!("a network of {} times the width", self.width);
            return Err(Error::new(ErrorKind::Usage, cause, format!("use a whole number from 1 to {WIDEST}")));
        }
        Ok(network.widened(self.width).with_classes(logits))
    }

    /// Returns the objective. `class_counts` are the numbers of training records of the classes; `auxiliary` are the numbers
    /// of statements and of demographic targets behind them.
    ///
    /// # Errors
    /// A setting that this kind of run needs is missing, or a weight of the loss is negative or not finite.
    pub(super) fn objective(&self, class_counts: &[usize], auxiliary: [usize; 2]) -> Result<Objective> {
        let missing = |what: &str| {
            let cause = format!("a run of kind '{}' without {what}", self.kind);
            Error::new(ErrorKind::Usage, cause, "add it to the settings")
        };
        Ok(match self.kind {
            RunKind::Simclr => {
                let temperature = self.temperature.ok_or_else(|| missing("temperature"))? as f32;
                Objective::SimClr { temperature, heads: Heads { hidden: 2048, out: 128 } }
            }
            RunKind::Byol => Objective::Byol { heads: Heads { hidden: 2048, out: 256 } },
            RunKind::Train | RunKind::Finetune => {
                let loss = match self.loss.ok_or_else(|| missing("loss"))? {
                    LossName::Focal => SupervisedLossKind::FOCAL,
                    LossName::Bce => SupervisedLossKind::CROSS_ENTROPY,
                };
                let class_weights = match self.class_weights.ok_or_else(|| missing("class_weights"))? {
                    ClassWeights::None => vec![1.0; class_counts.len()],
                    ClassWeights::Balanced => balanced(class_counts),
                };
                Objective::Supervised { loss, class_weights: self.with_auxiliary(class_weights, auxiliary)? }
            }
        })
    }

    /// Appends the weights of auxiliary targets. The loss is the mean over all targets; the weights make it the mean over
    /// the classes, plus [`Settings::statements`] times the mean over the statements and [`Settings::demographics`] times the
    /// mean over the demographic targets.
    fn with_auxiliary(&self, class_weights: Vec<f32>, auxiliary: [usize; 2]) -> Result<Vec<f32>> {
        let of_auxiliary = [("statements", self.statements), ("demographics", self.demographics)];
        let classes = class_weights.len();
        let all = (classes + auxiliary.iter().sum::<usize>()) as f32;
        let factor = all / classes as f32;
        let mut weights: Vec<f32> = class_weights.iter().map(|weight| weight * factor).collect();
        for ((what, weight), count) in of_auxiliary.into_iter().zip(auxiliary) {
            let weight = weight.unwrap_or(0.0);
            if !(weight.is_finite() && weight >= 0.0) {
                let cause = format!("{what} of weight {weight}");
                return Err(Error::new(ErrorKind::Usage, cause, "use 0 or more, such as 0.3"));
            }
            weights.extend(std::iter::repeat_n(weight as f32 * all / count as f32, count));
        }
        Ok(weights)
    }

    /// Returns the share of the teachers' probabilities in the targets.
    ///
    /// # Errors
    /// It is no share.
    pub(super) fn share_of_teachers(&self) -> Result<f32> {
        let share = self.teacher_share.unwrap_or(0.5);
        if (0.0..=1.0).contains(&share) {
            return Ok(share as f32);
        }
        Err(Error::new(ErrorKind::Usage, format!("a share of {share} for the teachers"), "use a number from 0 to 1"))
    }

    /// Returns the optimiser: Adam, or AdamW if there is weight decay.
    ///
    /// # Errors
    /// The weight decay is negative or not finite, the norm for clipping is not positive, or the decay of the average is
    /// not between 0 and 1.
    pub(super) fn optimiser(&self) -> Result<Optimiser> {
        let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return usage(format!("a weight decay of {}", self.weight_decay), "use 0 or more, such as 0.01");
        }
        if let Some(clip) = self.clip.filter(|clip| !(clip.is_finite() && *clip > 0.0)) {
            return usage(format!("gradients clipped at {clip}"), "use a number above 0, such as 1");
        }
        if let Some(ema) = self.ema.filter(|ema| !(0.0..1.0).contains(ema)) {
            return usage(format!("an average of the weights with decay {ema}"), "use 0 to below 1, such as 0.998");
        }
        let [clip, ema] = [self.clip, self.ema].map(|number| number.map(|number| number as f32));
        Ok(Optimiser { weight_decay: self.weight_decay as f32, clip, ema, ..Optimiser::default() })
    }

    /// Returns the recipe.
    pub(super) fn recipe(&self) -> Recipe {
        Recipe {
            epochs: self.epochs,
            learning_rate: LearningRate { peak: self.learning_rate, shape: self.schedule, warm_up: self.warm_up },
            target_momentum: self.momentum.unwrap_or(0.0),
            patience: self.patience,
            seed: self.seed,
        }
    }

    /// Returns the augmentations, or `None` if all are switched off.
    ///
    /// # Errors
    /// A name is unknown.
    pub(super) fn augmentations(&self) -> Result<Option<Augmentations>> {
        let augmentations: Augmentations = self.augment.parse()?;
        Ok(Some(augmentations).filter(|some| *some != Augmentations::NONE))
    }

    /// Returns the number of samples of a crop at a sampling rate. Without crops it is `whole`, that of a record.
    ///
    /// # Errors
    /// The duration of the crop is not positive.
    pub(super) fn crop_samples(&self, sampling_rate: f64, whole: usize) -> Result<usize> {
        let Some(seconds) = self.crop else { return Ok(whole) };
        let samples = (seconds * sampling_rate).round();
        if !(samples.is_finite() && samples >= 1.0) {
            let cause = format!("crops of {seconds} s");
            return Err(Error::new(ErrorKind::Usage, cause, "use a time above 0, such as 2.5"));
        }
        Ok(samples as usize)
    }
}

fn one() -> usize {
    1
}

fn is_one(width: &usize) -> bool {
    *width == 1
}

/// Returns weights that are inversely proportional to the counts, with a mean of 1. No count is zero, since a label
/// fraction that leaves a class without records is refused.
fn balanced(counts: &[usize]) -> Vec<f32> {
    let inverse: Vec<f64> = counts.iter().map(|&count| 1.0 / count.max(1) as f64).collect();
    let mean = inverse.iter().sum::<f64>() / inverse.len().max(1) as f64;
    inverse.iter().map(|weight| (weight / mean) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_a_write_and_a_read() {
        for kind in [RunKind::Simclr, RunKind::Byol, RunKind::Train, RunKind::Finetune] {
            let settings = Settings { data: Some("/data".into()), crop: Some(2.5), ..Settings::new(kind) };
            assert_eq!(Settings::read(kind, &settings.to_toml().unwrap()), Ok(settings));
        }
    }

    #[test]
    fn missing_settings_come_from_the_recipe_and_unknown_ones_are_named() {
        let settings = Settings::read(RunKind::Train, "epochs = 3").unwrap();
        assert_eq!(settings, Settings { epochs: 3, ..Settings::new(RunKind::Train) });
        for (text, named) in
            [("epoch = 3", "epoch"), ("epochs = \"three\"", "three"), ("kind = \"byol\"", "byol"), ("epochs", "")]
        {
            let error = Settings::read(RunKind::Train, text).unwrap_err();
            assert!(error.kind() == ErrorKind::Usage && error.cause().contains(named), "{error}");
        }
    }

    #[test]
    fn a_changed_setting_is_named_with_both_values() {
        let then = Settings::new(RunKind::Train);
        let now = Settings { learning_rate: 0.5, crop: Some(2.5), ..then.clone() };
        let error = now.check_same(&then).unwrap_err().to_string();
        assert!(
            error.contains("learning-rate is 0.5, was 0.001") && error.contains("crop is 2.5, was nothing"),
            "{error}"
        );
        assert!(then.check_same(&then).is_ok());
    }

    #[test]
    fn balanced_weights_are_inversely_proportional_to_the_counts_with_a_mean_of_one() {
        let weights = balanced(&[100, 50]);
        assert!((weights[1] / weights[0] - 2.0).abs() < 1e-6 && (weights[0] + weights[1] - 2.0).abs() < 1e-6);
    }
}
