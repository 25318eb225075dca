//! A network that learns, batch after batch, on one device.

use super::{Augmenting, Objective, Optimiser, TrainingStep};
use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Trainer},
    kernels::training::Schedule,
    network::{Network, Parameters},
};

/// A training step on a device, and how far it has come.
pub struct Learner {
    step: TrainingStep,
    trainer: Box<dyn Trainer>,
    optimiser: Optimiser,
    loss_scale: f64,
    taken: u32,
    outputs: Vec<Vec<f32>>,
}

/// What a batch costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The objective's value for the batch.
    pub value: f64,
    /// The loss of each row that passed: of a record, or of each view of it.
    pub rows: Vec<f32>,
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

impl Learner {
    /// Makes a network ready to learn from batches of so many records with so many samples a lead, augmented on the device
    /// or as they are handed in.
    ///
    /// # Errors
    /// As of [`TrainingStep::new`], and what the device refuses.
    pub fn new(
        backend: &dyn Backend,
        network: &Network,
        objective: &Objective,
        optimiser: Optimiser,
        parameters: &Parameters,
        shape: [usize; 2],
        augmenting: Option<&Augmenting>,
    ) -> Result<Self> {
        let step = TrainingStep::new(network, objective, &optimiser, parameters, shape, augmenting)?;
        let trainer = backend.prepare_training(&step.plan)?;
        Ok(Self { step, trainer, optimiser, loss_scale: objective.loss_scale(), taken: 0, outputs: Vec::new() })
    }

    /// Steps taken.
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// Learns from one batch: records `[views · records, leads, samples]`, or `[records, leads, samples]` where they are
    /// augmented, and labels `[records, classes]` for a
    /// supervised objective.
    ///
    /// # Errors
    /// A rate that is not a finite number of 0 or more, arrays of the wrong length, or the device failed.
    pub fn learn(&mut self, records: &[f32], labels: Option<&[f32]>, rates: Rates) -> Result<Loss> {
        if !(rates.learning.is_finite() && rates.learning >= 0.0) {
            let cause = format!("a learning rate of {}", rates.learning);
            return Err(Error::new(ErrorKind::Usage, cause, "use a number above 0, such as 0.001"));
        }
        let t = self.taken as i32 + 1;
        let corrections = self.optimiser.betas.map(|beta| 1.0 - f64::from(beta).powi(t));
        let schedule = Schedule {
            step: self.taken,
            learning_rate: rates.learning,
            corrections,
            target_momentum: rates.target_momentum,
            accumulate: [0.0, 1.0],
        };
        let numbers = schedule.numbers();
        let mut inputs: Vec<&[f32]> = vec![records, &numbers];
        inputs.extend(labels);
        self.trainer.run(&inputs, &mut self.outputs)?;
        self.taken += 1;
        let rows = self.outputs[0].clone();
        let sum: f64 = rows.iter().map(|&loss| f64::from(loss)).sum();
        Ok(Loss { value: self.loss_scale * sum / rows.len() as f64, rows })
    }

    /// The parameters as they are now, with the running statistics.
    ///
    /// # Errors
    /// The device failed.
    pub fn parameters(&mut self) -> Result<Parameters> {
        let trained = self.trainer.state(self.step.trained)?;
        let running = self.trainer.state(self.step.running)?;
        Ok(self.step.layout.parameters(&trained, &running))
    }

    fn states(&self) -> impl Iterator<Item = usize> {
        [self.step.trained, self.step.running].into_iter().chain(self.step.target.into_iter().flatten())
    }

    /// Everything to go on from.
    ///
    /// # Errors
    /// The device failed.
    pub fn save(&mut self) -> Result<LearnerState> {
        let mut states = Vec::new();
        for id in self.states().collect::<Vec<_>>() {
            states.push((self.step.plan.buffers[id].name.clone(), self.trainer.state(id)?));
        }
        Ok(LearnerState { taken: self.taken, states })
    }

    /// Goes on from what [`Learner::save`] gave: the next step has the bits that it would have had there.
    ///
    /// # Errors
    /// A state of another network or objective, or the device failed.
    pub fn restore(&mut self, state: &LearnerState) -> Result<()> {
        for id in self.states().collect::<Vec<_>>() {
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
}
