//! The folder of a run: `config.toml`, `log.jsonl` with one line per epoch, `curves.svg`, the last checkpoint and the
//! weights of the best epoch.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Epoch, Objective, SessionState, Task, curves, history::RunState};
use crate::{
    Error, ErrorKind, Hint, Result, Weights,
    files::{check_writable, write},
    network::{Contract, Parameters, Tensor, TensorFile},
};

const CONFIG: &str = "config.toml";
const LOG: &str = "log.jsonl";
const CURVES: &str = "curves.svg";
const LAST: &str = "last.safetensors";
const BEST: &str = "best.safetensors";

/// The metadata entry, key and value, that every checkpoint has. The value contains the version of the format.
const FORMAT: [&str; 2] = ["format", "ecgpu checkpoint 1"];

/// The metadata key of the number of steps in format 1.
const STEPS: &str = "taken";
/// The metadata key of the number of micro-batches in format 1.
const MICRO_BATCHES: &str = "parts";
/// The metadata key of the run's state in format 1.
const STATE: &str = "progress";

/// The folder of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFolder {
    path: PathBuf,
    /// The contract of saved weights. Epoch and score are appended to its provenance.
    contract: Contract,
}

/// The contents of a checkpoint.
pub(super) struct Checkpoint {
    pub(super) micro_batches: usize,
    pub(super) session: SessionState,
    pub(super) state: RunState,
}

impl RunFolder {
    /// Creates the folder of a new run and writes its settings into it. With `force` an existing run is replaced.
    ///
    /// # Errors
    /// The folder contains a run and `force` is not set, or it cannot be written.
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

    /// Opens the folder of a run that is resumed.
    pub(crate) fn resume(path: &Path, contract: Contract) -> Self {
        Self { path: path.into(), contract }
    }

    /// Reads the settings that a run was started with.
    ///
    /// # Errors
    /// The folder contains no run.
    pub fn settings(path: &Path) -> Result<String> {
        let config = path.join(CONFIG);
        std::fs::read_to_string(&config).map_err(|error| {
            let cause = format!("{}: {error}", config.display());
            Error::new(ErrorKind::File, cause, "name the folder of a run that was interrupted")
        })
    }

    /// Writes log, curves and checkpoint.
    pub(super) fn save(&self, task: &Task, session: &SessionState, state: &RunState) -> Result<()> {
        let json = |value: &dyn Fn() -> serde_json::Result<String>| {
            value().map_err(|error| Error::new(ErrorKind::Training, error.to_string(), "report this"))
        };
        let mut metadata = identity(task);
        metadata.insert(STEPS.into(), session.steps.to_string());
        metadata.insert(MICRO_BATCHES.into(), task.micro_batches.to_string());
        metadata.insert(STATE.into(), json(&|| serde_json::to_string(state))?);
        let tensor = |(name, values): &(String, Vec<f32>)| {
            (name.clone(), Tensor { shape: vec![values.len()], values: values.as_slice().into() })
        };
        let tensors = session.states.iter().map(tensor).collect();
        let mut log = String::new();
        for epoch in &state.history {
            log += &json(&|| serde_json::to_string(epoch))?;
            log.push('\n');
        }
        // The log is written first, so that it has a line for every epoch of the checkpoint.
        write(&self.path.join(LOG), log.as_bytes())?;
        write(&self.path.join(CURVES), curves::draw(&state.history, &self.contract.classes).as_bytes())?;
        write(&self.path.join(LAST), &TensorFile { metadata, tensors }.to_bytes())
    }

    /// Writes the weights of the best epoch.
    pub(super) fn save_best(&self, task: &Task, parameters: &Parameters, epoch: &Epoch) -> Result<()> {
        write(&self.path.join(BEST), &self.weights(task, parameters, epoch).to_bytes())
    }

    /// Returns the weights of an epoch, whose contract states their provenance.
    pub(super) fn weights(&self, task: &Task, parameters: &Parameters, epoch: &Epoch) -> Weights {
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

    /// Reads the last checkpoint; `None` if there is none.
    ///
    /// # Errors
    /// The checkpoint is damaged or belongs to another network or objective.
    pub(super) fn checkpoint(&self, task: &Task) -> Result<Option<Checkpoint>> {
        let path = self.path.join(LAST);
        if !path.exists() {
            return Ok(None);
        }
        let TensorFile { metadata, tensors } = TensorFile::read(&path)?;
        for (key, expected) in identity(task) {
            let found = metadata.get(&key).map_or("nothing", String::as_str);
            if found != expected {
                let cause = format!("{}: {key} is '{found}', not '{expected}'", path.display());
                return Err(Error::new(
                    ErrorKind::Weights,
                    cause,
                    "resume with the network and the objective of the checkpoint",
                ));
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
        let state = metadata.get(STATE).and_then(|text| serde_json::from_str(text).ok());
        let states = tensors.into_iter().map(|(name, tensor)| (name, tensor.values.to_vec())).collect();
        Ok(Some(Checkpoint {
            micro_batches: number(MICRO_BATCHES)? as usize,
            session: SessionState { steps: number(STEPS)?, states },
            state: state.ok_or_else(|| unreadable(STATE))?,
        }))
    }

    /// Reads the parameters of the best epoch; `None` if there are none yet.
    pub(super) fn best(&self) -> Result<Option<Parameters>> {
        let path = self.path.join(BEST);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Parameters::new(TensorFile::read(&path)?.tensors)))
    }
}

/// Returns the metadata in which a checkpoint and the task that resumes from it must agree.
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
