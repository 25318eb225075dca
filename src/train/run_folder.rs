//! The folder of a run: `config.toml`, `log.jsonl` with one line per epoch, `curves.svg`, the last checkpoint and the
//! weights of the best epoch.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use super::{Epoch, Task, checkpoint::Checkpoint, curves, run_identity::RunIdentity};
use crate::{
    Error, ErrorKind, Hint, Result, Weights,
    files::{check_writable, write},
    network::{Contract, Parameters},
};

const CONFIG: &str = "config.toml";
const LOG: &str = "log.jsonl";
const CURVES: &str = "curves.svg";
const LAST: &str = "last.safetensors";
const BEST: &str = "best.safetensors";

/// The file that a run locks as long as it uses the folder. It stays there, because a lock on a file that others may remove
/// would guard nothing.
const LOCK: &str = "lock";

/// The folder of a run. Only one run can use a folder at a time, of this process or of another.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The contract of saved weights. Epoch and score are appended to its provenance.
    contract: Contract,
    /// Holds the lock. The system releases it when the process ends, however it ends.
    _lock: File,
}

impl RunFolder {
    /// Creates the folder of a new run and writes its settings into it. With `force` an existing run is replaced.
    ///
    /// # Errors
    /// The folder contains a run and `force` is not set, another run uses it, or it cannot be written.
    pub fn create(path: &Path, settings: &str, contract: Contract, force: bool) -> Result<Self> {
        let _lock = lock(path)?;
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
                fs::remove_file(&old).map_err(|error| Error::file(&old, error))?;
            }
        }
        write(&path.join(CONFIG), settings.as_bytes())?;
        Ok(Self { path: path.into(), contract, _lock })
    }

    /// Opens the folder of a run that is resumed.
    ///
    /// # Errors
    /// Another run uses the folder, or it cannot be written.
    pub(crate) fn resume(path: &Path, contract: Contract) -> Result<Self> {
        let _lock = lock(path)?;
        check_writable(&path.join(LAST))?;
        Ok(Self { path: path.into(), contract, _lock })
    }

    /// Reads the settings that a run was started with.
    ///
    /// # Errors
    /// The folder contains no run.
    pub fn settings(path: &Path) -> Result<String> {
        let config = path.join(CONFIG);
        fs::read_to_string(&config).map_err(|error| {
            let cause = format!("{}: {error}", config.display());
            Error::new(ErrorKind::File, cause, "name the folder of a run that was interrupted")
        })
    }

    /// Writes log, curves and checkpoint.
    pub(super) fn save(&self, identity: &RunIdentity, checkpoint: &Checkpoint) -> Result<()> {
        let history = &checkpoint.state.history;
        let mut log = String::new();
        for epoch in history {
            let line = serde_json::to_string(epoch)
                .map_err(|error| Error::new(ErrorKind::Training, error.to_string(), "report this"))?;
            log += &line;
            log.push('\n');
        }
        // The log is written first, so that it has a line for every epoch of the checkpoint.
        write(&self.path.join(LOG), log.as_bytes())?;
        write(&self.path.join(CURVES), curves::draw(history, &self.contract.classes).as_bytes())?;
        checkpoint.write(&self.path.join(LAST), identity)
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
            network: task.inference_network(),
            parameters: task.inference_parameters(parameters),
            contract: Contract { provenance, ..self.contract.clone() },
            source: self.path.display().to_string(),
            stored_as: "F32".into(),
            notes: Vec::new(),
        }
    }

    /// Reads the last checkpoint; `None` if there is none.
    ///
    /// # Errors
    /// The checkpoint is damaged or belongs to another run.
    pub(super) fn checkpoint(&self, identity: &RunIdentity) -> Result<Option<Checkpoint>> {
        Checkpoint::read(&self.path.join(LAST), identity)
    }
}

/// Locks a folder, and creates it if it is not there.
///
/// # Errors
/// Another run uses the folder, or it cannot be written.
fn lock(path: &Path) -> Result<File> {
    let file = path.join(LOCK);
    let open = || {
        fs::create_dir_all(path)?;
        File::options().write(true).create(true).truncate(false).open(&file)
    };
    let opened = open().map_err(|error| Error::file(&file, error))?;
    match opened.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let cause = format!("{}: another run uses this folder", path.display());
            Err(Error::new(ErrorKind::Usage, cause, "wait for its end, or choose another folder"))
        }
        // A file system without locks is no reason to refuse.
        _ => Ok(opened),
    }
}
