//! How long and how fast a task is trained, and the check of everything that a run is given.

use super::{Data, LearningRate, Task, validation::Validation};
use crate::{Error, ErrorKind, Result, network::Layer};

/// How a task is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// The number of epochs.
    pub epochs: usize,
    /// The learning rate.
    pub learning_rate: LearningRate,
    /// The initial momentum of BYOL's target network. Other objectives ignore it.
    pub target_momentum: f64,
    /// The number of epochs without a better validation AUROC after which the run ends early.
    pub patience: Option<usize>,
    /// The seed of the order of the records and of their crops.
    pub seed: u64,
}

/// Checks a task, its data and its recipe without a device.
///
/// # Errors
/// A value is invalid, or two values contradict each other.
pub(super) fn check(task: &Task, data: &Data, recipe: &Recipe) -> Result<()> {
    let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
    recipe.learning_rate.check()?;
    task.objective.check(&task.network, task.batch)?;
    if recipe.epochs == 0 {
        return usage("training for 0 epochs".into(), "use one or more");
    }
    if recipe.patience == Some(0) {
        return usage("a patience of 0 epochs".into(), "use one or more");
    }
    if !(0.0..=1.0).contains(&recipe.target_momentum) {
        return usage(format!("a momentum of {}", recipe.target_momentum), "use a number from 0 to 1, such as 0.996");
    }
    if task.batch == 0 || task.batch > data.training.len() {
        let cause = format!("batches of {} from {} records", task.batch, data.training.len());
        return usage(cause, "use a batch of at least 2 and no more than there are records");
    }
    let has_batch_norm = task.network.layers.iter().any(|named| matches!(named.layer, Layer::BatchNorm { .. }));
    if task.batch / task.micro_batches.max(1) < 2 && has_batch_norm && !task.freeze_encoder {
        let cause = "batch norm over a single record, whose statistics would be its own";
        return usage(cause.into(), "use a batch of two or more");
    }
    if task.samples > data.examples.samples() {
        let cause = format!("crops of {} samples from records of {}", task.samples, data.examples.samples());
        return usage(cause, "use shorter crops");
    }
    task.network.shapes(task.samples)?;
    // Building the plan finds what is invalid on every device.
    task.step(false)?;
    Validation::new(task, *data).map(|_| ())
}
