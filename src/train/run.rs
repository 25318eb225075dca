//! A run: epochs of batches with a validation after each. It keeps the parameters of the best epoch and stores everything
//! that is needed to resume it.
//!
//! What a step computes depends on the seed and the number of the step only: the order of the records, their crops, the
//! learning rate and the augmentations. So a resumed run ends with the same bits as an uninterrupted one.

use std::{ops::ControlFlow, time::Instant};

use super::{
    Data, Epoch, Loss, Rates, Recipe, RunFolder, SessionState, Task, TrainingSession, batches::Batches,
    checkpoint::Checkpoint, history::RunState, recipe::check, run_identity::RunIdentity, schedule::target_momentum,
    validation::Validation,
};
use crate::{Error, ErrorKind, Result, backend::Backend, network::Parameters};

/// What happens during a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something that the user should know.
    Note(String),
    /// A step is completed.
    Step {
        /// The number of the epoch, from 1.
        epoch: usize,
        /// The number of the step in the epoch, from 1.
        step: usize,
        /// The number of steps per epoch.
        steps: usize,
        /// The loss of the batch.
        loss: f64,
    },
    /// An epoch is completed.
    Epoch(&'a Epoch),
}

/// Receives the events of a run and decides whether it continues. A run that it stops can be resumed.
pub type Observer<'a> = &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The parameters of the best epoch, or of the last one without validation.
    pub parameters: Parameters,
    /// The epoch of these parameters.
    pub best: Epoch,
    /// All epochs.
    pub history: Vec<Epoch>,
}

/// The longest time in seconds between two checkpoints of an epoch, so that a killed run loses no more than that.
const CHECKPOINT_INTERVAL: f64 = 300.0;

/// Trains a task until all epochs are completed, the patience is exhausted or the observer stops the run. A stopped run has
/// no outcome. If the folder contains a checkpoint, the run resumes from it.
///
/// # Errors
/// The recipe, the task or the data are invalid; the checkpoint is damaged or belongs to another run; a loss, a gradient or a
/// running statistic is not finite; the device fails; the folder cannot be written.
pub fn run(
    backend: &dyn Backend,
    task: Task,
    data: Data,
    recipe: &Recipe,
    folder: Option<&RunFolder>,
    observe: Observer<'_>,
) -> Result<Option<Outcome>> {
    check(&task, &data, recipe)?;
    let folder = folder.map(|folder| (folder, RunIdentity::new(&task, &data, recipe)));
    let checkpoint = folder.as_ref().map(|(folder, identity)| folder.checkpoint(identity)).transpose()?.flatten();
    let validation = Validation::new(&task, data)?;
    let micro_batches = checkpoint.as_ref().map(|checkpoint| checkpoint.micro_batches);
    let session = open_session(backend, task, micro_batches, observe)?;
    let batches = Batches::new(data, session.task(), recipe.seed);
    let (state, best) = (RunState::default(), None);
    let mut run = Run { backend, session, batches, validation, data, recipe, folder, state, best };
    if let Some(checkpoint) = checkpoint {
        run.session.restore(&checkpoint.session)?;
        (run.state, run.best) = (checkpoint.state, checkpoint.best);
    }
    run.train(observe)
}

/// Opens a session. The batch is split into as many micro-batches as the checkpoint has or as the device needs.
fn open_session(
    backend: &dyn Backend,
    mut task: Task,
    micro_batches: Option<usize>,
    observe: Observer<'_>,
) -> Result<TrainingSession> {
    task.micro_batches = micro_batches.unwrap_or(task.micro_batches);
    let first = match TrainingSession::new(backend, task.clone()) {
        Err(error) if micro_batches.is_none() && matches!(error.kind(), ErrorKind::Device | ErrorKind::Shape) => error,
        opened => return opened,
    };
    if task.objective.views() > 1 {
        let remedy = "use a smaller batch: the objective compares all records of one, so it cannot be split";
        return Err(Error::new(first.kind(), format!("a batch of {}: {}", task.batch, first.cause()), remedy));
    }
    // Batch norm needs two records per micro-batch.
    let divisors = (task.micro_batches + 1..=task.batch / 2).filter(|parts| task.batch.is_multiple_of(*parts));
    for parts in divisors {
        if let Ok(session) = TrainingSession::new(backend, Task { micro_batches: parts, ..task.clone() }) {
            let _ = observe(Event::Note(format!(
                "a batch of {} does not fit the device ({}): it passes in {parts} parts, whose gradients are summed; batch \
                 norm normalises each part by itself",
                task.batch,
                first.cause()
            )));
            return Ok(session);
        }
    }
    Err(first)
}

struct Run<'a> {
    backend: &'a dyn Backend,
    session: TrainingSession,
    batches: Batches<'a>,
    validation: Option<Validation<'a>>,
    data: Data<'a>,
    recipe: &'a Recipe,
    folder: Option<(&'a RunFolder, RunIdentity)>,
    state: RunState,
    /// The parameters of the best epoch.
    best: Option<Parameters>,
}

impl Run<'_> {
    fn train(mut self, observe: Observer<'_>) -> Result<Option<Outcome>> {
        while !self.state.is_over(self.recipe) {
            if self.epoch(observe)?.is_break() {
                return Ok(None);
            }
        }
        let best = self.state.best().cloned();
        let best = best.unwrap_or_else(|| unreachable!("`check` refuses runs without epochs"));
        let parameters = match self.best.take().filter(|_| best.auroc.is_some()) {
            Some(parameters) => parameters,
            None => self.session.parameters()?,
        };
        Ok(Some(Outcome { parameters, best, history: self.state.history }))
    }

    /// Trains the remaining steps of the current epoch.
    fn epoch(&mut self, observe: Observer<'_>) -> Result<ControlFlow<()>> {
        let (steps, epoch) = (self.batches.steps(), self.state.history.len());
        let order = self.batches.order(epoch);
        let (mut step_start, mut saved) = (Instant::now(), Instant::now());
        while self.state.step < steps {
            let at = epoch * steps + self.state.step;
            let rates = self.rates(at);
            let loss = self.step(&order, at, rates)?;
            let state = &mut self.state;
            state.step += 1;
            state.loss += loss.value;
            (state.learning_rate, state.gradient_norm) = (rates.learning, loss.gradient_norm);
            state.seconds += step_start.elapsed().as_secs_f64();
            step_start = Instant::now();
            let (epoch, step) = (epoch + 1, self.state.step);
            if observe(Event::Step { epoch, step, steps, loss: loss.value }).is_break() {
                let session = self.session_state()?;
                self.save(session)?;
                return Ok(ControlFlow::Break(()));
            }
            if saved.elapsed().as_secs_f64() > CHECKPOINT_INTERVAL {
                let session = self.session_state()?;
                self.save(session)?;
                saved = Instant::now();
            }
        }
        self.finish_epoch(observe)
    }

    fn rates(&self, step: usize) -> Rates {
        let steps = self.recipe.epochs * self.batches.steps();
        Rates {
            learning: self.recipe.learning_rate.at(step, steps),
            target_momentum: target_momentum(self.recipe.target_momentum, step, steps),
        }
    }

    /// Trains step `at` of the run. `order` is the order of the records in its epoch.
    ///
    /// # Errors
    /// The loss or the gradient is not finite, or the device fails.
    fn step(&mut self, order: &[usize], at: usize, rates: Rates) -> Result<Loss> {
        self.batches.fill(order, at);
        let labels = self.batches.labels();
        let loss = self.session.train_batch(self.batches.inputs(), labels, rates)?;
        if loss.is_finite() {
            return Ok(loss);
        }
        let origin = self.session.first_non_finite(self.backend, self.batches.inputs(), labels)?;
        let names: Vec<String> = self.batches.of_step(order, at).iter().map(|&i| self.data.examples.name(i)).collect();
        let cause = format!(
            "step {}: the loss is {} and the gradient's norm {}; the first number that is not finite is in {}; the batch \
             is {}",
            at + 1,
            loss.value,
            loss.gradient_norm,
            origin.unwrap_or_else(|| "none of the layers, run again".into()),
            names.join(", ")
        );
        let remedy = "lower the learning rate, or look into these records; the last checkpoint is unchanged";
        Err(Error::new(ErrorKind::Training, cause, remedy))
    }

    /// Validates the network and completes the epoch.
    fn finish_epoch(&mut self, observe: Observer<'_>) -> Result<ControlFlow<()>> {
        let session = self.session_state()?;
        let parameters = self.session.parameters()?;
        let scores = match &self.validation {
            Some(validation) => Some(validation.evaluate(self.backend, &parameters)?),
            None => None,
        };
        let RunState { history, step: steps, loss, learning_rate, gradient_norm, seconds } =
            std::mem::take(&mut self.state);
        let records = (steps * self.session.task().batch) as f64;
        let epoch = Epoch {
            epoch: history.len() + 1,
            step: (history.len() + 1) * steps,
            loss: loss / steps as f64,
            validation_loss: scores.as_ref().map(|scores| scores.loss),
            auroc: scores.as_ref().and_then(|scores| scores.aurocs.mean()),
            auroc_by_class: scores.map(|scores| scores.aurocs.classes).unwrap_or_default(),
            learning_rate,
            gradient_norm,
            seconds,
            records_per_second: records / seconds.max(1e-9),
        };
        self.state.history = history;
        self.state.history.push(epoch.clone());
        if epoch.auroc.is_some() && self.state.best() == Some(&epoch) {
            if let Some((folder, _)) = &self.folder {
                folder.save_best(self.session.task(), &parameters, &epoch)?;
            }
            self.best = Some(parameters);
        }
        self.save(session)?;
        Ok(observe(Event::Epoch(&epoch)))
    }

    /// Returns the state of the session.
    ///
    /// # Errors
    /// A number is not finite, such as a running variance that overflowed while the loss did not; or the device fails.
    fn session_state(&mut self) -> Result<SessionState> {
        let session = self.session.save()?;
        let Some(what) = session.non_finite() else { return Ok(session) };
        let cause = format!("after step {}: {what}", session.steps);
        let remedy = "lower the learning rate, or look for records with huge samples; the last checkpoint is unchanged";
        Err(Error::new(ErrorKind::Training, cause, remedy))
    }

    /// Writes a checkpoint.
    fn save(&self, session: SessionState) -> Result<()> {
        let Some((folder, identity)) = &self.folder else { return Ok(()) };
        let (micro_batches, state, best) = (self.session.task().micro_batches, self.state.clone(), self.best.clone());
        folder.save(identity, &Checkpoint { micro_batches, session, state, best })
    }
}
