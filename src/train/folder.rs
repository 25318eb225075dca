//! The folder of a run: `config.toml`, `log.jsonl` with a line an epoch, `curves.svg`, the last checkpoint to go on from
//! and the best network so far.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Contents, Epoch, LearnerState, Objective, Task, curves,
    files::{check_writable, write},
    run::Progress,
};
use crate::{
    Error, ErrorKind, Hint, Result, Weights,
    network::{Contract, Parameters, Tensor},
};

const CONFIG: &str = "config.toml";
const LOG: &str = "log.jsonl";
const CURVES: &str = "curves.svg";
const LAST: &str = "last.safetensors";
const BEST: &str = "best.safetensors";

/// What a checkpoint says of itself, and in which version it is written.
const FORMAT: [&str; 2] = ["format", "ecgpu checkpoint 1"];

/// A run's folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    path: PathBuf,
    /// What the networks that are saved take and give; the provenance is completed by epoch and score.
    contract: Contract,
}

/// What a checkpoint holds.
pub(super) struct Saved {
    pub(super) parts: usize,
    pub(super) state: LearnerState,
    pub(super) progress: Progress,
}

impl Folder {
    /// A folder for a new run; the settings that it was started with go into it.
    ///
    /// # Errors
    /// A run is there already and `force` is not given, or the folder cannot be written.
    pub fn create(path: &Path, settings: &str, contract: Contract, force: bool) -> Result<Self> {
        let last = path.join(LAST);
        if (last.exists() || path.join(CONFIG).exists()) && !force {
            let cause = format!("{} holds a run already", path.display());
            let remedy = format!("resume {}, choose another folder, or allow overwriting", path.display());
            return Err(Error::new(ErrorKind::Usage, cause, remedy).with_hint(Hint::Resume));
        }
        check_writable(&path.join(CONFIG))?;
        for old in [LAST, BEST, LOG, CURVES] {
            let old = path.join(old);
            if old.exists() {
                std::fs::remove_file(&old).map_err(|error| Error::file(&old, error))?;
            }
        }
        write(&path.join(CONFIG), settings.as_bytes())?;
        Ok(Self { path: path.into(), contract })
    }

    /// The folder of a run that is to go on.
    pub fn resume(path: &Path, contract: Contract) -> Self {
        Self { path: path.into(), contract }
    }

    /// The settings that a run was started with.
    ///
    /// # Errors
    /// There is no run in the folder.
    pub fn settings(path: &Path) -> Result<String> {
        let config = path.join(CONFIG);
        std::fs::read_to_string(&config).map_err(|error| {
            let cause = format!("{}: {error}", config.display());
            Error::new(ErrorKind::File, cause, "name the folder of a run that was broken off")
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn save(&self, task: &Task, state: &LearnerState, progress: &Progress) -> Result<()> {
        let json = |value: &dyn Fn() -> serde_json::Result<String>| {
            value().map_err(|error| Error::new(ErrorKind::Training, error.to_string(), "report this"))
        };
        let mut metadata = identity(task);
        metadata.insert("taken".into(), state.taken.to_string());
        metadata.insert("parts".into(), task.parts.to_string());
        metadata.insert("progress".into(), json(&|| serde_json::to_string(progress))?);
        let tensor = |(name, values): &(String, Vec<f32>)| {
            (name.clone(), Tensor { shape: vec![values.len()], values: values.as_slice().into() })
        };
        let tensors = state.states.iter().map(tensor).collect();
        let mut log = String::new();
        for epoch in &progress.history {
            log += &json(&|| serde_json::to_string(epoch))?;
            log.push('\n');
        }
        // The log first: a checkpoint that is there has its line.
        write(&self.path.join(LOG), log.as_bytes())?;
        write(&self.path.join(CURVES), curves::draw(&progress.history, &self.contract.classes).as_bytes())?;
        write(&self.path.join(LAST), &Contents { metadata, tensors }.to_bytes())
    }

    pub(super) fn save_best(&self, task: &Task, parameters: &Parameters, epoch: &Epoch) -> Result<()> {
        write(&self.path.join(BEST), &self.weights(task, parameters, epoch).to_bytes())
    }

    /// Parameters of an epoch as a file of weights, which says what they come from.
    pub fn weights(&self, task: &Task, parameters: &Parameters, epoch: &Epoch) -> Weights {
        let score = epoch.auroc.map(|auroc| format!(", macro AUROC {auroc:.4} on the validation records"));
        let provenance = format!("{}; epoch {}{}", self.contract.provenance, epoch.epoch, score.unwrap_or_default());
        Weights {
            network: task.network.clone(),
            parameters: parameters.clone(),
            contract: Contract { provenance, ..self.contract.clone() },
            source: self.path.display().to_string(),
            stored_as: "F32".into(),
            notes: Vec::new(),
        }
    }

    /// The last checkpoint, if there is one.
    pub(super) fn checkpoint(&self, task: &Task) -> Result<Option<Saved>> {
        let path = self.path.join(LAST);
        if !path.exists() {
            return Ok(None);
        }
        let Contents { metadata, tensors } = Contents::read(&path)?;
        for (key, expected) in identity(task) {
            let found = metadata.get(&key).map_or("nothing", String::as_str);
            if found != expected {
                let cause = format!("{}: {key} is '{found}', not '{expected}'", path.display());
                return Err(Error::new(ErrorKind::Weights, cause, "go on with the network and the objective it is of"));
            }
        }
        let unreadable = |key: &str| {
            let cause = format!("{}: '{key}' cannot be read", path.display());
            Error::new(ErrorKind::Weights, cause, "start the run again, overwriting it").with_hint(Hint::Overwrite)
        };
        let number = |key: &str| {
            let number = metadata.get(key).and_then(|text| text.parse::<u32>().ok());
            number.ok_or_else(|| unreadable(key))
        };
        let progress = metadata.get("progress").and_then(|text| serde_json::from_str(text).ok());
        let states = tensors.into_iter().map(|(name, tensor)| (name, tensor.values.to_vec())).collect();
        Ok(Some(Saved {
            parts: number("parts")? as usize,
            state: LearnerState { taken: number("taken")?, states },
            progress: progress.ok_or_else(|| unreadable("progress"))?,
        }))
    }

    /// The parameters of the best epoch so far, if there are any.
    pub(super) fn best(&self) -> Result<Option<Parameters>> {
        let path = self.path.join(BEST);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Parameters::new(Contents::read(&path)?.tensors)))
    }
}

/// What a checkpoint and the task that goes on from it must agree in.
fn identity(task: &Task) -> BTreeMap<String, String> {
    let objective = match &task.objective {
        Objective::Supervised { .. } if task.freeze_encoder => "supervised, encoder frozen",
        Objective::Supervised { .. } => "supervised",
        Objective::SimClr { .. } => "SimCLR",
        Objective::Byol { .. } => "BYOL",
    };
    let [key, version] = FORMAT.map(String::from);
    [(key, version), ("network".into(), task.network.name.clone()), ("objective".into(), objective.into())].into()
}
