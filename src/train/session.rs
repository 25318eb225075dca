//! A training session: a task on a device, trained batch by batch.

use super::{Task, TrainingStep};
use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Trainer},
    kernels::training::Schedule,
    network::Parameters,
};

/// A task that is being trained on a device.
pub struct TrainingSession {
    task: Task,
    step: TrainingStep,
    trainer: Box<dyn Trainer>,
    steps: u32,
    outputs: Vec<Vec<f32>>,
}

/// The loss of a batch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Loss {
    /// The value of the objective for the batch.
    pub value: f64,
    /// The loss of each record, or of each view of each record for a self-supervised objective.
    pub(crate) rows: Vec<f32>,
    /// The Euclidean norm of the gradient, before clipping.
    pub gradient_norm: f64,
}

impl Loss {
    /// Returns whether loss and gradient are finite. The optimiser leaves parameters unchanged whose gradient is not.
    pub(crate) fn is_finite(&self) -> bool {
        self.value.is_finite() && self.gradient_norm.is_finite()
    }
}

/// The rates of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The learning rate.
    pub learning: f64,
    /// The momentum of BYOL's target network. Other objectives ignore it.
    pub target_momentum: f64,
}

/// Everything that a session needs to be resumed.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionState {
    /// The number of completed steps.
    pub(crate) steps: u32,
    /// The states of the plan by name: parameters and moments, running statistics, those of BYOL's target, and
    /// the averages.
    pub(crate) states: Vec<(String, Vec<f32>)>,
}

impl SessionState {
    /// Names the first number that is not finite.
    pub(super) fn non_finite(&self) -> Option<String> {
        self.states.iter().find_map(|(name, values)| {
            let at = values.iter().position(|value| !value.is_finite())?;
            Some(format!("number {at} of {name} is {}", values[at]))
        })
    }
}

/// The index of the losses in the outputs of the plan of [`TrainingStep`].
const LOSSES: usize = 0;
/// The index of the sums of the squared gradient in the outputs of the plan of [`TrainingStep`].
const SQUARES: usize = 1;

impl TrainingSession {
    /// Prepares a task on a device.
    ///
    /// # Errors
    /// The task is invalid, or the device cannot run it.
    pub fn new(backend: &dyn Backend, task: Task) -> Result<Self> {
        let step = task.step(false)?;
        let trainer = backend.prepare_training(&step.plan)?;
        Ok(Self { task, step, trainer, steps: 0, outputs: Vec::new() })
    }

    /// Returns the task.
    pub(crate) fn task(&self) -> &Task {
        &self.task
    }

    /// Trains on one batch: `records` `[views · batch, leads, samples]`, all records of the first view before those of the
    /// second, and for a supervised objective `labels` `[batch, classes]`.
    ///
    /// # Errors
    /// The learning rate is negative or not finite, an array has the wrong length, or the device fails.
    pub fn train_batch(&mut self, records: &[f32], labels: Option<&[f32]>, rates: Rates) -> Result<Loss> {
        if !(rates.learning.is_finite() && rates.learning >= 0.0) {
            let cause = format!("a learning rate of {}", rates.learning);
            return Err(Error::new(ErrorKind::Usage, cause, "use a number above 0, such as 0.001"));
        }
        let mut rows = Vec::new();
        for part in 0..self.task.micro_batches {
            let numbers = self.schedule(self.steps, part, rates).numbers();
            let inputs = micro_batch(part, self.task.micro_batches, records, &numbers, labels);
            self.trainer.run(&inputs, &mut self.outputs)?;
            rows.extend_from_slice(&self.outputs[LOSSES]);
        }
        self.steps += 1;
        let sum = |numbers: &[f32]| numbers.iter().map(|&number| f64::from(number)).sum::<f64>();
        let value = self.task.objective.loss_scale() * sum(&rows) / rows.len() as f64;
        Ok(Loss { value, rows, gradient_norm: sum(&self.outputs[SQUARES]).sqrt() })
    }

    /// Returns the numbers that change from step to step, for one micro-batch of the step after `steps` completed ones.
    fn schedule(&self, steps: u32, part: usize, rates: Rates) -> Schedule {
        let parts = self.task.micro_batches;
        let t = steps as i32 + 1;
        Schedule {
            // Each micro-batch draws its own random numbers.
            step: steps * parts as u32 + part as u32,
            // Only the last micro-batch changes the parameters.
            learning_rate: if part + 1 == parts { rates.learning } else { 0.0 },
            corrections: self.task.optimiser.betas.map(|beta| 1.0 - f64::from(beta).powi(t)),
            target_momentum: rates.target_momentum,
            accumulate: [f64::from(u8::from(part > 0)), 1.0 / parts as f64],
            average_decay: if part + 1 == parts { self.average_decay(steps) } else { 1.0 },
        }
    }

    /// Returns the decay of the average of the parameters for the step after `steps` completed ones. It rises from 0.1 like
    /// TensorFlow's `ExponentialMovingAverage` with `num_updates`, so that the initial parameters are soon forgotten.
    fn average_decay(&self, steps: u32) -> f64 {
        let steps = f64::from(steps);
        self.task.optimiser.ema.map_or(1.0, |decay| f64::from(decay).min((1.0 + steps) / (10.0 + steps)))
    }

    /// Returns the current parameters and running statistics: their averages if the optimiser keeps them. Those of a frozen
    /// encoder are the initial ones.
    ///
    /// # Errors
    /// The device fails.
    pub fn parameters(&mut self) -> Result<Parameters> {
        let [trained, running] = self.step.average.unwrap_or([self.step.trained, self.step.running]);
        let (trained, running) = (self.trainer.state(trained)?, self.trainer.state(running)?);
        let current = self.step.layout.parameters(&trained, &running);
        if !self.task.freeze_encoder {
            return Ok(current);
        }
        let initial = self.task.parameters.iter().map(|(name, tensor)| (name.to_string(), tensor.clone()));
        let current = current.iter().map(|(name, tensor)| (name.to_string(), tensor.clone()));
        Ok(Parameters::new(initial.chain(current)))
    }

    /// Returns the buffers that a resumed session needs.
    fn states(&self) -> Vec<usize> {
        let more = [self.step.target, self.step.average];
        [self.step.trained, self.step.running].into_iter().chain(more.into_iter().flatten().flatten()).collect()
    }

    /// Returns everything that is needed to resume the session.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) fn save(&mut self) -> Result<SessionState> {
        let mut states = Vec::new();
        for id in self.states() {
            states.push((self.step.plan.buffers[id].name.clone(), self.trainer.state(id)?));
        }
        Ok(SessionState { steps: self.steps, states })
    }

    /// Resumes from a saved state. On the same device the following steps are bit-identical to those of the saved session.
    ///
    /// # Errors
    /// The state belongs to another network or objective, or the device fails.
    pub(crate) fn restore(&mut self, state: &SessionState) -> Result<()> {
        for id in self.states() {
            let name = &self.step.plan.buffers[id].name;
            let Some((_, values)) = state.states.iter().find(|(known, _)| known == name) else {
                let cause = format!("the checkpoint has no state {name}");
                return Err(Error::new(ErrorKind::Weights, cause, "use one of the same network and objective"));
            };
            self.trainer.set_state(id, values)?;
        }
        self.steps = state.steps;
        Ok(())
    }

    /// Finds where the numbers of the last batch, whose [`Loss`] was not finite, stopped being finite: in the first such
    /// stage of the forward pass, or else in the gradient of the last such tensor, where the backward pass began to fail.
    /// Returns `None` if neither has such a number.
    ///
    /// # Errors
    /// The device cannot run a plan that keeps every stage, or fails.
    pub(super) fn first_non_finite(
        &mut self,
        backend: &dyn Backend,
        records: &[f32],
        labels: Option<&[f32]>,
    ) -> Result<Option<String>> {
        if records.iter().any(|value| !value.is_finite()) {
            return Ok(Some("the records themselves".into()));
        }
        let is_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let stages = self.task.step(true)?;
        let mut trainer = backend.prepare_training(&stages.plan)?;
        for (from, to) in [(self.step.trained, stages.trained), (self.step.running, stages.running)] {
            trainer.set_state(to, &self.trainer.state(from)?)?;
        }
        // The step that failed has already been counted.
        let steps = self.steps.saturating_sub(1);
        let rates = Rates { learning: 0.0, target_momentum: 1.0 };
        let parts = self.task.micro_batches;
        let mut outputs = Vec::new();
        for part in 0..parts {
            let numbers = self.schedule(steps, part, rates).numbers();
            trainer.run(&micro_batch(part, parts, records, &numbers, labels), &mut outputs)?;
            if let Some(at) = outputs.iter().position(|values| !is_finite(values)) {
                return Ok(Some(format!("layer {}", stages.plan.buffers[stages.plan.outputs[at]].name)));
            }
        }
        let gradient = self.trainer.state(self.step.gradient)?;
        let broken = self.step.layout.trained.iter().rfind(|tensor| !is_finite(&gradient[tensor.range()]));
        Ok(broken.map(|tensor| format!("the gradient of {}", tensor.name)))
    }
}

/// Returns the inputs of the plan for one micro-batch.
fn micro_batch<'a>(
    part: usize,
    parts: usize,
    records: &'a [f32],
    schedule: &'a [f32],
    labels: Option<&'a [f32]>,
) -> Vec<&'a [f32]> {
    let of_part = |values: &'a [f32]| &values[part * values.len() / parts..(part + 1) * values.len() / parts];
    [of_part(records), schedule].into_iter().chain(labels.map(of_part)).collect()
}
