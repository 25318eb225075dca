//! A network that learns, batch after batch, on one device.

use super::{Augmenting, Objective, Optimiser, StepOptions, TrainingStep};
use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Trainer},
    kernels::training::Schedule,
    network::{Network, Parameters},
};

/// A training step on a device, and how far it has come.
pub struct Learner {
    task: Task,
    step: TrainingStep,
    trainer: Box<dyn Trainer>,
    taken: u32,
    outputs: Vec<Vec<f32>>,
}

/// What is learned from what.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What learns.
    pub network: Network,
    /// What for.
    pub objective: Objective,
    /// How.
    pub optimiser: Optimiser,
    /// What it starts from.
    pub parameters: Parameters,
    /// Records of a batch.
    pub batch: usize,
    /// Samples a lead of each.
    pub samples: usize,
    /// Into how many parts a batch is split, one after the other on the device; their gradients are summed. Batch norm then
    /// normalises each part by itself, so this is not the same as the whole at once. Supervised objectives only.
    pub parts: usize,
    /// What the records are augmented with.
    pub augmenting: Option<Augmenting>,
    /// Whether the encoder stays as it is, running statistics too, and only what is behind it learns.
    pub freeze_encoder: bool,
}

/// What a batch costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The objective's value for the batch.
    pub value: f64,
    /// The loss of each row that passed: of a record, or of each view of it.
    pub rows: Vec<f32>,
    /// The Euclidean norm of the gradient, before any clipping.
    pub gradient_norm: f64,
}

impl Loss {
    /// Whether loss and gradient are finite. Where they are not the parameters with such a gradient stayed as they were.
    pub fn is_finite(&self) -> bool {
        self.value.is_finite() && self.gradient_norm.is_finite()
    }
}

/// What a batch is trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub learning: f64,
    /// How much of BYOL's target network stays; of no effect otherwise.
    pub target_momentum: f64,
}

/// Everything that a learner has learned, to go on from.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnerState {
    /// Steps taken.
    pub taken: u32,
    /// The states of the plan by name: parameters and moments, running statistics, the target's.
    pub states: Vec<(String, Vec<f32>)>,
}

/// Where [`TrainingStep::plan`] has the losses and the squares of the gradient.
const LOSSES: usize = 0;
/// As [`LOSSES`].
const SQUARES: usize = 1;

impl Task {
    /// Supervised or not, the whole batch at once, without augmentations, with everything trained.
    pub fn new(network: Network, objective: Objective, parameters: Parameters, [batch, samples]: [usize; 2]) -> Self {
        let optimiser = Optimiser::default();
        let (parts, augmenting, freeze_encoder) = (1, None, false);
        Self { network, objective, optimiser, parameters, batch, samples, parts, augmenting, freeze_encoder }
    }

    /// The plan of one part of a batch.
    ///
    /// # Errors
    /// As of [`TrainingStep::with`], and a batch that cannot be split so.
    pub fn step(&self, keep_stages: bool) -> Result<TrainingStep> {
        let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
        if self.parts == 0 || !self.batch.is_multiple_of(self.parts) {
            let cause = format!("a batch of {} in {} parts", self.batch, self.parts);
            return usage(cause, "use a number of parts that divides the batch");
        }
        if self.parts > 1 && self.objective.views() > 1 {
            let cause =
                format!("a batch of {} in {} parts: the objective compares all of its records", self.batch, self.parts);
            return usage(cause, "use a smaller batch");
        }
        let options = StepOptions {
            augmenting: self.augmenting.as_ref(),
            freeze_encoder: self.freeze_encoder,
            accumulate: self.parts > 1,
            keep_stages,
        };
        let shape = [self.batch / self.parts, self.samples];
        TrainingStep::with(&self.network, &self.objective, &self.optimiser, &self.parameters, shape, &options)
    }
}

impl Learner {
    /// Makes a network ready to learn.
    ///
    /// # Errors
    /// As of [`Task::step`], and what the device refuses.
    pub fn new(backend: &dyn Backend, task: Task) -> Result<Self> {
        let step = task.step(false)?;
        let trainer = backend.prepare_training(&step.plan)?;
        Ok(Self { task, step, trainer, taken: 0, outputs: Vec::new() })
    }

    /// What is learned from what.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Steps taken.
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// Learns from one batch: records `[views · batch, leads, samples]`, one view of all of them after the other, and
    /// labels `[batch, classes]` for a supervised objective.
    ///
    /// # Errors
    /// A rate that is not a finite number of 0 or more, arrays of the wrong length, or the device failed.
    pub fn learn(&mut self, records: &[f32], labels: Option<&[f32]>, rates: Rates) -> Result<Loss> {
        if !(rates.learning.is_finite() && rates.learning >= 0.0) {
            let cause = format!("a learning rate of {}", rates.learning);
            return Err(Error::new(ErrorKind::Usage, cause, "use a number above 0, such as 0.001"));
        }
        let mut rows = Vec::new();
        for part in 0..self.task.parts {
            let numbers = self.schedule(self.taken, part, rates).numbers();
            let inputs = inputs(part, self.task.parts, records, &numbers, labels);
            self.trainer.run(&inputs, &mut self.outputs)?;
            rows.extend_from_slice(&self.outputs[LOSSES]);
        }
        self.taken += 1;
        let sum = |numbers: &[f32]| numbers.iter().map(|&number| f64::from(number)).sum::<f64>();
        let value = self.task.objective.loss_scale() * sum(&rows) / rows.len() as f64;
        Ok(Loss { value, rows, gradient_norm: sum(&self.outputs[SQUARES]).sqrt() })
    }

    /// What the host hands in with a part of a batch. Only the last part changes parameters.
    fn schedule(&self, taken: u32, part: usize, rates: Rates) -> Schedule {
        let parts = self.task.parts;
        let t = taken as i32 + 1;
        Schedule {
            // Each part draws its own random numbers.
            step: taken * parts as u32 + part as u32,
            learning_rate: if part + 1 == parts { rates.learning } else { 0.0 },
            corrections: self.task.optimiser.betas.map(|beta| 1.0 - f64::from(beta).powi(t)),
            target_momentum: rates.target_momentum,
            accumulate: [f64::from(u8::from(part > 0)), 1.0 / parts as f64],
        }
    }

    /// The parameters as they are now, with the running statistics; those of a frozen encoder as they were given.
    ///
    /// # Errors
    /// The device failed.
    pub fn parameters(&mut self) -> Result<Parameters> {
        let trained = self.trainer.state(self.step.trained)?;
        let running = self.trainer.state(self.step.running)?;
        let learned = self.step.layout.parameters(&trained, &running);
        if !self.task.freeze_encoder {
            return Ok(learned);
        }
        let given = self.task.parameters.iter().map(|(name, tensor)| (name.to_string(), tensor.clone()));
        let learned = learned.iter().map(|(name, tensor)| (name.to_string(), tensor.clone()));
        Ok(Parameters::new(given.chain(learned)))
    }

    fn states(&self) -> Vec<usize> {
        [self.step.trained, self.step.running].into_iter().chain(self.step.target.into_iter().flatten()).collect()
    }

    /// Everything to go on from.
    ///
    /// # Errors
    /// The device failed.
    pub fn save(&mut self) -> Result<LearnerState> {
        let mut states = Vec::new();
        for id in self.states() {
            states.push((self.step.plan.buffers[id].name.clone(), self.trainer.state(id)?));
        }
        Ok(LearnerState { taken: self.taken, states })
    }

    /// Goes on from what [`Learner::save`] gave: the next step has the bits that it would have had there.
    ///
    /// # Errors
    /// A state of another network or objective, or the device failed.
    pub fn restore(&mut self, state: &LearnerState) -> Result<()> {
        for id in self.states() {
            let name = &self.step.plan.buffers[id].name;
            let Some((_, values)) = state.states.iter().find(|(known, _)| known == name) else {
                let cause = format!("the checkpoint has no state {name}");
                return Err(Error::new(ErrorKind::Weights, cause, "use one of the same network and objective"));
            };
            self.trainer.set_state(id, values)?;
        }
        self.taken = state.taken;
        Ok(())
    }

    /// Of a batch whose [`Loss`] was not finite: the first stage of the forward pass with a number that is not, or else the
    /// last tensor whose gradient has one, which is where it began on the way back. Nothing where neither is found.
    ///
    /// # Errors
    /// The device refuses a plan that keeps every stage, or failed.
    pub fn first_non_finite(
        &mut self,
        backend: &dyn Backend,
        records: &[f32],
        labels: Option<&[f32]>,
    ) -> Result<Option<String>> {
        if records.iter().any(|value| !value.is_finite()) {
            return Ok(Some("the records themselves".into()));
        }
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let stages = self.task.step(true)?;
        let mut trainer = backend.prepare_training(&stages.plan)?;
        for (from, to) in [(self.step.trained, stages.trained), (self.step.running, stages.running)] {
            trainer.set_state(to, &self.trainer.state(from)?)?;
        }
        // The step that failed has been counted already.
        let taken = self.taken.saturating_sub(1);
        let rates = Rates { learning: 0.0, target_momentum: 1.0 };
        let numbers: Vec<_> = (0..self.task.parts).map(|part| self.schedule(taken, part, rates).numbers()).collect();
        let mut outputs = Vec::new();
        for (part, numbers) in numbers.iter().enumerate() {
            trainer.run(&inputs(part, self.task.parts, records, numbers, labels), &mut outputs)?;
            if let Some(at) = outputs.iter().position(|values| !finite(values)) {
                return Ok(Some(format!("layer {}", stages.plan.buffers[stages.plan.outputs[at]].name)));
            }
        }
        let gradient = self.trainer.state(self.step.gradient)?;
        let broken = self.step.layout.trained.iter().rfind(|place| !finite(&gradient[place.offset..][..place.len()]));
        Ok(broken.map(|place| format!("the gradient of {}", place.name)))
    }
}

/// A part of a batch as the plan takes it.
fn inputs<'a>(
    part: usize,
    parts: usize,
    records: &'a [f32],
    schedule: &'a [f32],
    labels: Option<&'a [f32]>,
) -> Vec<&'a [f32]> {
    let of_part = |values: &'a [f32]| &values[part * values.len() / parts..(part + 1) * values.len() / parts];
    [of_part(records), schedule].into_iter().chain(labels.map(of_part)).collect()
}
