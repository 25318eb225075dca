//! Validation during a run: whole validation records pass through the inference engine.

use super::{Data, Objective, Task, inference};
use crate::{
    Error, ErrorKind, Result,
    backend::Backend,
    evaluate::Aurocs,
    kernels::{Operation, training::SupervisedLoss},
    network::{Network, Parameters},
};

/// The validation records of a run with their labels.
pub(super) struct Validation<'a> {
    task: Task,
    network: Network,
    data: Data<'a>,
    /// `[records, classes]`, without auxiliary targets.
    labels: Vec<f32>,
}

/// The result of a validation.
pub(super) struct Scores {
    /// The mean loss of the records, without auxiliary targets.
    pub(super) loss: f64,
    pub(super) aurocs: Aurocs,
}

impl<'a> Validation<'a> {
    /// Prepares the validation; `None` for a self-supervised objective, which has no labels.
    ///
    /// # Errors
    /// There are no validation records, or no class has both positive and negative ones.
    pub(super) fn new(task: &Task, data: Data<'a>) -> Result<Option<Self>> {
        if !task.objective.is_supervised() {
            return Ok(None);
        }
        let network = task.inference_network();
        let (classes, mut targets) = (network.classes(), vec![0.0; task.network.classes()]);
        let mut labels = Vec::with_capacity(data.validation.len() * classes);
        for &index in data.validation {
            data.examples.labels(index, &mut targets);
            labels.extend_from_slice(&targets[..classes]);
        }
        let has_both = |class: usize| {
            [0.0, 1.0].iter().all(|kind| labels.iter().skip(class).step_by(classes).any(|label| label == kind))
        };
        if !(0..classes).any(has_both) {
            let cause = format!(
                "{} validation records, which have no class that some have and others have not",
                data.validation.len()
            );
            return Err(Error::new(ErrorKind::Dataset, cause, "give data with labelled records of fold 9"));
        }
        Ok(Some(Self { task: task.clone(), network, data, labels }))
    }

    /// Computes loss and AUROCs.
    ///
    /// # Errors
    /// The device fails.
    pub(super) fn evaluate(&self, backend: &dyn Backend, parameters: &Parameters) -> Result<Scores> {
        let Data { examples, validation, .. } = self.data;
        let parameters = self.task.inference_parameters(parameters);
        let logits = inference::logits(backend, &self.network, &parameters, examples, validation)?;
        let scores: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
        let labels: Vec<bool> = self.labels.iter().map(|&label| label > 0.5).collect();
        Ok(Scores { loss: self.loss(&logits), aurocs: Aurocs::new(&scores, &labels, self.network.classes()) })
    }

    fn loss(&self, logits: &[f32]) -> f64 {
        let Objective::Supervised { loss: kind, class_weights } = &self.task.objective else {
            unreachable!("`new` prepares no validation for another objective")
        };
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        let (batch, classes) = (self.data.validation.len(), self.network.classes());
        // The weights of the classes make up for the auxiliary targets, over which the training loss is averaged too.
        let share = classes as f64 / class_weights.len() as f64;
        let weights: Vec<f64> = class_weights[..classes].iter().map(|&weight| share * f64::from(weight)).collect();
        let mut losses = vec![0.0; batch];
        let reads = [wide(logits), wide(&self.labels), weights];
        SupervisedLoss { batch, classes, kind: *kind }.reference(&reads.each_ref().map(Vec::as_slice), &mut losses);
        losses.iter().sum::<f64>() / batch as f64
    }
}
