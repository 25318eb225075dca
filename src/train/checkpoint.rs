//! A checkpoint: everything from which an interrupted run resumes, in one safetensors file with a checksum.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{SessionState, history::RunState, run_identity::RunIdentity};
use crate::{
    Error, ErrorKind, Hint, Result,
    files::write,
    network::{Parameters, Tensor, TensorFile},
};

/// The metadata entry, key and value, that every checkpoint has. The value contains the version of the format.
const FORMAT: [&str; 2] = ["format", "ecgpu checkpoint 2"];
/// The metadata key of the SHA-256 of the file's bytes without this entry.
const CHECKSUM: &str = "sha256";
/// The metadata key of the number of completed steps.
const STEPS: &str = "steps";
/// The metadata key of the number of micro-batches.
const MICRO_BATCHES: &str = "micro-batches";
/// The metadata key of the run's state.
const STATE: &str = "state";
/// What the names of the best epoch's tensors begin with.
const BEST: &str = "best/";

/// The contents of a checkpoint.
pub(super) struct Checkpoint {
    pub(super) micro_batches: usize,
    pub(super) session: SessionState,
    pub(super) state: RunState,
    /// The parameters of the best epoch, if the run compares epochs and has completed one. They are part of the checkpoint,
    /// because a file of their own could be another run's.
    pub(super) best: Option<Parameters>,
}

impl Checkpoint {
    /// Writes the checkpoint of a run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, path: &Path, identity: &RunIdentity) -> Result<()> {
        let state = serde_json::to_string(&self.state)
            .map_err(|error| Error::new(ErrorKind::Training, error.to_string(), "report this"))?;
        let [format, version] = FORMAT;
        let metadata = [
            (format, version.to_string()),
            (STEPS, self.session.steps.to_string()),
            (MICRO_BATCHES, self.micro_batches.to_string()),
            (STATE, state),
        ];
        let metadata =
            metadata.into_iter().chain(identity.entries.clone()).map(|(key, value)| (key.to_string(), value));
        let states = self.session.states.iter().map(|(name, values)| {
            (name.clone(), Tensor { shape: vec![values.len()], values: values.as_slice().into() })
        });
        let best = self.best.iter().flat_map(Parameters::iter);
        let best = best.map(|(name, tensor)| (format!("{BEST}{name}"), tensor.clone()));
        let mut file = TensorFile { metadata: metadata.collect(), tensors: states.chain(best).collect() };
        file.metadata.insert(CHECKSUM.into(), checksum(&file));
        write(path, &file.to_bytes())
    }

    /// Reads the checkpoint of a run; `None` if there is none.
    ///
    /// # Errors
    /// The checkpoint is damaged, or belongs to another run.
    pub(super) fn read(path: &Path, identity: &RunIdentity) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let file = Stored::open(path)?;
        for (key, expected) in &identity.entries {
            file.expect(key, expected, "resume the run with what it was started with, or start another one")?;
        }
        let state = file.text(STATE).and_then(|text| serde_json::from_str(text).ok());
        let (micro_batches, steps) = (file.number(MICRO_BATCHES)?, file.number(STEPS)?);
        let state: RunState = state.ok_or_else(|| file.damaged(&format!("'{STATE}' cannot be read")))?;
        let (mut states, mut best) = (Vec::new(), BTreeMap::new());
        for (name, tensor) in file.contents.tensors {
            match name.strip_prefix(BEST) {
                Some(name) => drop(best.insert(name.to_string(), tensor)),
                None => states.push((name, tensor.values.to_vec())),
            }
        }
        let best = Some(Parameters::new(best)).filter(|best| best.iter().len() > 0);
        let session = SessionState { steps, states };
        let checkpoint = Self { micro_batches: micro_batches as usize, session, state, best };
        checkpoint.check(identity.steps).map_err(|error| error.at(path.display()))?;
        Ok(Some(checkpoint))
    }

    /// Checks that the parts agree. `steps` is the number of steps per epoch.
    ///
    /// # Errors
    /// They contradict each other, or a number is not finite.
    fn check(&self, steps: usize) -> Result<()> {
        let Self { session, state, best, .. } = self;
        let contradiction = state.contradiction(steps, session.steps).or_else(|| {
            let compared = state.best().is_some_and(|epoch| epoch.auroc.is_some());
            (compared != best.is_some()).then(|| "the best epoch and its parameters are not both there".to_string())
        });
        match contradiction.or_else(|| session.non_finite()) {
            None => Ok(()),
            Some(cause) => Err(start_again(cause)),
        }
    }
}

/// A checkpoint file whose checksum is right.
struct Stored {
    path: PathBuf,
    contents: TensorFile,
}

impl Stored {
    fn open(path: &Path) -> Result<Self> {
        let mut file = Self { path: path.into(), contents: TensorFile::read(path)? };
        let [format, version] = FORMAT;
        file.expect(format, version, "start the run again, or resume it with the version that began it")?;
        let stated = file.contents.metadata.remove(CHECKSUM);
        if stated.is_none_or(|stated| stated != checksum(&file.contents)) {
            return Err(file.damaged("its contents do not have the checksum that it states"));
        }
        Ok(file)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.contents.metadata.get(key).map(String::as_str)
    }

    fn number(&self, key: &str) -> Result<u32> {
        let number = self.text(key).and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.damaged(&format!("'{key}' cannot be read")))
    }

    /// Checks that an entry has the expected value.
    fn expect(&self, key: &str, expected: &str, remedy: &str) -> Result<()> {
        let found = self.text(key).unwrap_or("nothing");
        if found == expected {
            return Ok(());
        }
        let cause = format!("{}: {key} is '{found}', not '{expected}'", self.path.display());
        Err(Error::new(ErrorKind::Weights, cause, remedy))
    }

    fn damaged(&self, what: &str) -> Error {
        start_again(format!("{}: {what}", self.path.display()))
    }
}

fn start_again(cause: String) -> Error {
    Error::new(ErrorKind::Weights, cause, "start the run again, overwriting it").with_hint(Hint::Overwrite)
}

/// Returns the checksum of a file without a checksum, in hexadecimal digits.
fn checksum(file: &TensorFile) -> String {
    Sha256::digest(file.to_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{network::Tensor, train::Epoch};

    fn epoch(epoch: usize, auroc: f64) -> Epoch {
        Epoch {
            epoch,
            step: 4 * epoch,
            loss: 0.5,
            validation_loss: Some(0.5),
            auroc: Some(auroc),
            auroc_by_class: vec![Some(auroc)],
            learning_rate: 1e-3,
            gradient_norm: 1.0,
            seconds: 1.0,
            records_per_second: 1.0,
        }
    }

    /// A checkpoint after two epochs of four steps and a step of the third.
    fn checkpoint() -> Checkpoint {
        let tensor = Tensor { shape: vec![2], values: [0.5, 0.25].into() };
        Checkpoint {
            micro_batches: 1,
            session: SessionState { steps: 9, states: vec![("running".into(), vec![0.0, 1.0])] },
            state: RunState { history: vec![epoch(1, 0.75), epoch(2, 0.5)], step: 1, ..RunState::default() },
            best: Some(Parameters::new([("weight".to_string(), tensor)])),
        }
    }

    fn identity(seed: &str) -> RunIdentity {
        RunIdentity { entries: vec![("seed", seed.into())], steps: 4 }
    }

    #[test]
    fn a_checkpoint_survives_a_write_and_a_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        assert!(Checkpoint::read(&path, &identity("7")).unwrap().is_none());
        let written = checkpoint();
        written.write(&path, &identity("7")).unwrap();
        let read = Checkpoint::read(&path, &identity("7")).unwrap().unwrap();
        assert_eq!((&read.session, &read.state, &read.best), (&written.session, &written.state, &written.best));
        let error = Checkpoint::read(&path, &identity("8")).map(drop).unwrap_err();
        assert!(error.cause().ends_with("a.safetensors: seed is '7', not '8'"), "{error}");
    }

    #[test]
    fn a_checkpoint_that_contradicts_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let refused = |change: &dyn Fn(&mut Checkpoint), named: &str| {
            let mut checkpoint = checkpoint();
            change(&mut checkpoint);
            checkpoint.write(&path, &identity("7")).unwrap();
            let error = Checkpoint::read(&path, &identity("7")).map(drop).expect_err(named);
            assert!(error.kind() == ErrorKind::Weights && error.cause().contains(named), "{error}");
        };
        refused(&|it| it.state.history[0].epoch = 9, "epoch 1 is stated as number 9");
        refused(&|it| it.state.history[1].epoch = usize::MAX, "epoch 2 is stated as number");
        refused(&|it| it.state.step = 5, "5 steps of the next one");
        refused(&|it| it.state.step = usize::MAX, "steps of the next one");
        refused(&|it| it.session.steps = u32::MAX, "4294967295 steps in 2 epochs");
        refused(&|it| it.best = None, "the best epoch and its parameters");
        refused(&|it| it.state.history.iter_mut().for_each(|epoch| epoch.auroc = None), "the best epoch and its");
        refused(&|it| it.session.states[0].1[1] = f32::INFINITY, "number 1 of running is inf");
        refused(&|it| it.session.states[0].1[0] = f32::NAN, "number 0 of running is NaN");
    }
}
