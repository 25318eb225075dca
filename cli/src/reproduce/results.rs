//! What the runs of a comparison gave.

use std::{path::PathBuf, time::Duration};

use ecgpu::{
    Classifier, Error, ErrorKind, Result, Weights,
    dataset::{Dataset, evaluation::classify},
    engine::{backend::Backend, files},
    evaluate::Aurocs,
    train::Outcome,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::planned::{Method, Planned, Recipe};
use crate::program;

/// What a run leaves behind, beside its weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finished {
    /// The epoch whose parameters were kept.
    pub epoch: usize,
    /// The number of completed epochs.
    pub epochs: usize,
    /// The mean training loss of the last epoch.
    pub loss: f64,
    /// The macro AUROC on fold 9 that chose the epoch.
    pub validation_auroc: Option<f64>,
    /// The number of training records.
    pub records: usize,
    /// The device.
    pub device: String,
    /// The duration of the run since it was last started.
    pub seconds: f64,
    /// The version of the program.
    pub version: String,
}

impl Finished {
    pub fn new(outcome: &Outcome, records: usize, device: String, duration: Duration) -> Self {
        Self {
            epoch: outcome.best.epoch,
            epochs: outcome.history.len(),
            loss: outcome.history.last().map_or(f64::NAN, |epoch| epoch.loss),
            validation_auroc: outcome.best.auroc,
            records,
            device,
            seconds: duration.as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    fn path(planned: &Planned) -> PathBuf {
        planned.folder.with_extension("json")
    }

    /// Writes the file that marks a run as finished.
    pub fn write(&self, planned: &Planned) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|error| {
            Error::new(ErrorKind::Training, format!("{}: {error}", planned.name), "look into the run's log")
        })?;
        files::write(&Self::path(planned), text.as_bytes())
    }

    /// Reads the file of a finished run; `None` if the run is not finished.
    ///
    /// # Errors
    /// The file is damaged, or belongs to a run with other settings.
    pub fn read(planned: &Planned) -> Result<Option<Self>> {
        let path = Self::path(planned);
        if !path.exists() {
            return Ok(None);
        }
        let bad = |cause: String| {
            let remedy = "choose another folder, or remove this run's files to train it again";
            Error::new(ErrorKind::Training, format!("{}: {cause}", path.display()), remedy)
        };
        let text = std::fs::read_to_string(&path).map_err(|error| Error::file(&path, error))?;
        let finished = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let config = ecgpu::train::RunFolder::settings(&planned.folder)?;
        let started_with = ecgpu::train::Settings::read(planned.settings.kind(), &config)?;
        planned.settings.check_same(&started_with).map_err(|error| bad(error.cause().to_string()))?;
        Ok(Some(finished))
    }
}

/// The scores of one network on the measured fold.
pub struct Measured {
    pub method: Method,
    pub seed: u64,
    pub fraction: f64,
    pub name: String,
    pub finished: Finished,
    pub aurocs: Aurocs,
}

/// Everything that the report states.
pub struct Results {
    pub fold: u8,
    /// The number of labelled records of the fold.
    pub records: usize,
    pub classes: Vec<String>,
    pub measured: Vec<Measured>,
    pub encoders: Vec<(String, Finished)>,
    /// The name and the settings of each kind of run, as TOML, of the first seed and fraction.
    pub settings: Vec<(String, String)>,
    /// SHA-256 of the data: names, folds, labels and samples.
    pub data: String,
    /// SHA-256 of the program.
    pub program: String,
    pub version: &'static str,
}

impl Results {
    /// Classifies the labelled records of the fold with every network that was trained on labels, each on a device that
    /// `open` opens.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn measure(
        recipe: &Recipe,
        runs: &[Planned],
        dataset: &Dataset,
        fold: u8,
        open: impl Fn() -> Result<Box<dyn Backend>>,
    ) -> Result<Self> {
        let records = dataset.labelled(fold..=fold);
        let (mut measured, mut encoders) = (Vec::new(), Vec::new());
        for planned in runs {
            let finished = Finished::read(planned)?.ok_or_else(|| {
                let cause = format!("{} is not finished", planned.name);
                Error::new(ErrorKind::Training, cause, "give the same command again")
            })?;
            let Some(fraction) = planned.fraction else {
                encoders.push((planned.name.clone(), finished));
                continue;
            };
            let classifier = Classifier::on(Weights::from_path(planned.weights())?, open()?)?;
            let scores = classify(&classifier, dataset, &records, &|_, _| (), &|_| Ok(()))?;
            let aurocs = Aurocs::new(&scores.logits, scores.predictions.labels(), dataset.classes().len());
            let (method, seed, name) = (planned.method, planned.seed, planned.name.clone());
            measured.push(Measured { method, seed, fraction, name, finished, aurocs });
        }
        Ok(Self {
            fold,
            records: records.len(),
            classes: dataset.classes().to_vec(),
            measured,
            encoders,
            settings: settings(recipe, runs)?,
            data: dataset.checksum(),
            program: program_checksum()?,
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

/// Returns the settings of each kind of run, without the paths of this machine.
fn settings(recipe: &Recipe, runs: &[Planned]) -> Result<Vec<(String, String)>> {
    let first = recipe.seeds.first();
    let of_first = runs.iter().filter(|planned| Some(&planned.seed) == first);
    let is_first = |fraction: Option<f64>| fraction.is_none_or(|fraction| Some(&fraction) == recipe.fractions.first());
    of_first
        .filter(|planned| is_first(planned.fraction))
        .map(|planned| Ok((planned.name.clone(), planned.settings.without_paths().to_toml()?)))
        .collect()
}

/// Returns the SHA-256 of the program.
fn program_checksum() -> Result<String> {
    let failed =
        |error| Error::new(ErrorKind::File, format!("the program cannot be read: {error}"), "leave it in its place");
    let bytes = program::read().map_err(failed)?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
