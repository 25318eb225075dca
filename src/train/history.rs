//! The epochs of a run and its state between two steps. Both are stored in checkpoints, under these field names.

use serde::{Deserialize, Serialize};

use super::Recipe;

/// The results of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Epoch {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The number of steps from the beginning of the run.
    pub(crate) step: usize,
    /// The mean training loss.
    pub loss: f64,
    /// The mean validation loss, if the objective is supervised.
    pub validation_loss: Option<f64>,
    /// The macro AUROC on the validation records, if the objective is supervised.
    pub auroc: Option<f64>,
    /// The AUROC of each class on the validation records.
    pub auroc_by_class: Vec<Option<f64>>,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// The Euclidean norm of the gradient of the last step.
    pub(crate) gradient_norm: f64,
    /// The duration of the training steps, without validation.
    pub seconds: f64,
    /// The training records per second, without validation.
    pub records_per_second: f64,
}

/// The state of a run between two steps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct RunState {
    /// The completed epochs.
    pub(super) history: Vec<Epoch>,
    /// The completed steps of the current epoch.
    pub(super) step: usize,
    /// The sum of the losses of these steps.
    pub(super) loss: f64,
    /// The learning rate of the last step.
    pub(super) learning_rate: f64,
    /// The Euclidean norm of the gradient of the last step.
    pub(super) gradient_norm: f64,
    /// The duration of these steps.
    pub(super) seconds: f64,
}

impl RunState {
    /// Returns the epoch with the highest AUROC, the first of equal ones. Without validation it is the last epoch.
    pub(super) fn best(&self) -> Option<&Epoch> {
        let is_better = |best: &'_ Epoch, epoch: &'_ Epoch| match (best.auroc, epoch.auroc) {
            (Some(best), Some(new)) => new > best,
            _ => true,
        };
        self.history.iter().reduce(|best, epoch| if is_better(best, epoch) { epoch } else { best })
    }

    /// Returns what makes the state impossible for a run of `steps` steps per epoch that has completed `taken` steps in all.
    pub(super) fn contradiction(&self, steps: usize, taken: u32) -> Option<String> {
        let Self { history, step, .. } = self;
        if let Some((at, epoch)) = history.iter().enumerate().find(|(at, epoch)| epoch.epoch != at + 1) {
            return Some(format!("epoch {} is stated as number {}", at + 1, epoch.epoch));
        }
        let expected = history.len().checked_mul(steps).and_then(|completed| completed.checked_add(*step));
        (*step > steps || expected != Some(taken as usize)).then(|| {
            format!("{taken} steps in {} epochs of {steps} steps, and {step} steps of the next one", history.len())
        })
    }

    /// Returns whether all epochs are completed or the recipe's patience is exhausted.
    pub(super) fn is_over(&self, recipe: &Recipe) -> bool {
        let idle = self.best().filter(|best| best.auroc.is_some()).map_or(0, |best| self.history.len() - best.epoch);
        self.history.len() >= recipe.epochs || recipe.patience.is_some_and(|patience| idle >= patience)
    }
}
