//! A run: epochs of batches, validation after each, the best network kept by value, and everything on the disk that it
//! takes to go on after it was broken off.
//!
//! What a step sees is a function of the seed and the step alone: the order of the records of each epoch, their crops, the
//! learning rate, the augmentations. So a run that goes on from a checkpoint ends with the same bits as one that was never
//! broken off.

use std::{ops::ControlFlow, time::Instant};

use serde::{Deserialize, Serialize};

use super::{
    Folder, Learner, LearningRate, Loss, Objective, Rates, Task, batches::Batches, schedule::target_momentum,
    validation::Validation,
};
use crate::{
    Error, ErrorKind, Result,
    backend::Backend,
    network::{Layer, Parameters},
};

/// Records that can be trained on, by their index.
pub trait Examples: Sync {
    /// Leads of each.
    fn leads(&self) -> usize;

    /// Samples of each lead.
    fn samples(&self) -> usize;

    /// Writes a record's numbers `[leads, samples]`, as the network takes them.
    fn record(&self, index: usize, into: &mut [f32]);

    /// Writes a record's labels, 1 or 0 a class.
    fn labels(&self, index: usize, into: &mut [f32]);

    /// What a message calls it.
    fn name(&self, index: usize) -> String;
}

/// What is trained and validated on.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// All records.
    pub examples: &'a dyn Examples,
    /// Those to train on.
    pub training: &'a [usize],
    /// Those to validate on, if the objective is supervised.
    pub validation: &'a [usize],
}

/// How a task is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Passes over the records.
    pub epochs: usize,
    /// The learning rate.
    pub learning_rate: LearningRate,
    /// The momentum that BYOL's target begins with; of no effect otherwise.
    pub target_momentum: f64,
    /// After how many epochs without a better validation AUROC the run ends.
    pub patience: Option<usize>,
    /// What the order of the records, their crops and the augmentations follow from.
    pub seed: u64,
}

/// What one epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Steps so far in the whole run.
    pub step: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Mean validation loss.
    pub validation_loss: Option<f64>,
    /// Macro AUROC of the validation.
    pub auroc: Option<f64>,
    /// The same, class by class.
    pub auroc_by_class: Vec<Option<f64>>,
    /// Of the last step.
    pub learning_rate: f64,
    /// Of the last step.
    pub gradient_norm: f64,
    /// Training alone.
    pub seconds: f64,
    /// Training alone.
    pub records_per_second: f64,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Epochs that are over.
    pub(crate) history: Vec<Epoch>,
    /// Steps of the epoch that is not.
    pub(crate) step: usize,
    /// Their losses' sum.
    pub(crate) loss: f64,
    /// Of the last step.
    pub(crate) learning_rate: f64,
    /// Of the last step.
    pub(crate) gradient_norm: f64,
    pub(crate) seconds: f64,
}

/// What happens in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// Something worth knowing.
    Note(String),
    /// A step is done.
    Step {
        /// From 1.
        epoch: usize,
        /// In the epoch, from 1.
        step: usize,
        /// In an epoch.
        steps: usize,
        /// Of the batch.
        loss: f64,
    },
    /// An epoch is over.
    Epoch(&'a Epoch),
}

/// Hears what happens and says whether to go on; a run that is broken off can be resumed.
pub type Observer<'a> = &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Those of the best epoch, or of the last where nothing was validated.
    pub parameters: Parameters,
    /// The epoch that they are of.
    pub best: Epoch,
    /// Every epoch.
    pub history: Vec<Epoch>,
}

impl Progress {
    /// The epoch with the highest AUROC, the first of several; the last where there is none.
    pub(crate) fn best(&self) -> Option<&Epoch> {
        let better = |best: &'_ Epoch, epoch: &'_ Epoch| match (best.auroc, epoch.auroc) {
            (Some(best), Some(new)) => new > best,
            _ => true,
        };
        self.history.iter().reduce(|best, epoch| if better(best, epoch) { epoch } else { best })
    }

    fn is_over(&self, recipe: &Recipe) -> bool {
        let idle = self.best().filter(|best| best.auroc.is_some()).map_or(0, |best| self.history.len() - best.epoch);
        self.history.len() >= recipe.epochs || recipe.patience.is_some_and(|patience| idle >= patience)
    }
}

/// Seconds after which an epoch that is not over is saved, so that a run that is killed loses no more.
const SAVED_EVERY: f64 = 300.0;

/// Trains a task until its epochs are over, the validation no longer gets better, or the observer breaks it off; then there
/// is no outcome. With a folder, what is in it is gone on from.
///
/// # Errors
/// A recipe, a task or data that make no sense; a loss or a gradient that is not finite; a device that fails; a folder that
/// cannot be written.
pub fn run(
    backend: &dyn Backend,
    task: Task,
    data: Data,
    recipe: &Recipe,
    folder: Option<&Folder>,
    observe: Observer<'_>,
) -> Result<Option<Outcome>> {
    check(&task, &data, recipe)?;
    let saved = folder.map(|folder| folder.checkpoint(&task)).transpose()?.flatten();
    let validation = Validation::new(&task, data)?;
    let learner = learner(backend, task, saved.as_ref().map(|saved| saved.parts), observe)?;
    let batches = Batches::new(data, learner.task(), recipe.seed);
    let mut run =
        Run { backend, learner, batches, validation, data, recipe, folder, progress: Progress::default(), best: None };
    if let Some(saved) = saved {
        run.learner.restore(&saved.state)?;
        run.best = folder.map(Folder::best).transpose()?.flatten();
        run.progress = saved.progress;
    }
    run.train(observe)
}

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
    if task.batch / task.parts.max(1) < 2 && has_batch_norm && !task.freeze_encoder {
        let cause = "batch norm over a single record, whose statistics would be its own";
        return usage(cause.into(), "use a batch of two or more");
    }
    if task.samples > data.examples.samples() {
        let cause = format!("crops of {} samples from records of {}", task.samples, data.examples.samples());
        return usage(cause, "use shorter crops");
    }
    task.network.shapes(task.samples)?;
    // What makes no sense is refused here, whatever the device.
    task.step(false)?;
    Validation::new(task, *data).map(|_| ())
}

/// The learner, its batch in as many parts as the device needs or as the run began with.
fn learner(backend: &dyn Backend, mut task: Task, parts: Option<usize>, observe: Observer<'_>) -> Result<Learner> {
    task.parts = parts.unwrap_or(task.parts);
    let first = match Learner::new(backend, task.clone()) {
        Err(error) if parts.is_none() && matches!(error.kind(), ErrorKind::Device | ErrorKind::Shape) => error,
        made => return made,
    };
    if task.objective.views() > 1 {
        let remedy = "use a smaller batch: the objective compares all records of one, so it cannot be split";
        return Err(Error::new(first.kind(), format!("a batch of {}: {}", task.batch, first.cause()), remedy));
    }
    // Batch norm needs two records.
    let smaller = (task.parts + 1..=task.batch / 2).filter(|parts| task.batch.is_multiple_of(*parts));
    for parts in smaller {
        if let Ok(learner) = Learner::new(backend, Task { parts, ..task.clone() }) {
            let _ = observe(Event::Note(format!(
                "a batch of {} does not fit the device ({}): it passes in {parts} parts, whose gradients are summed; batch \
                 norm normalises each part by itself",
                task.batch,
                first.cause()
            )));
            return Ok(learner);
        }
    }
    Err(first)
}

struct Run<'a> {
    backend: &'a dyn Backend,
    learner: Learner,
    batches: Batches<'a>,
    validation: Option<Validation<'a>>,
    data: Data<'a>,
    recipe: &'a Recipe,
    folder: Option<&'a Folder>,
    progress: Progress,
    /// The parameters of the best epoch.
    best: Option<Parameters>,
}

impl Run<'_> {
    fn train(mut self, observe: Observer<'_>) -> Result<Option<Outcome>> {
        while !self.progress.is_over(self.recipe) {
            if self.epoch(observe)?.is_break() {
                return Ok(None);
            }
        }
        let best = self.progress.best().cloned();
        let best = best.unwrap_or_else(|| unreachable!("a run has one epoch or more"));
        let parameters = match self.best.take().filter(|_| best.auroc.is_some()) {
            Some(parameters) => parameters,
            None => self.learner.parameters()?,
        };
        Ok(Some(Outcome { parameters, best, history: self.progress.history }))
    }

    /// The rest of the epoch that is under way.
    fn epoch(&mut self, observe: Observer<'_>) -> Result<ControlFlow<()>> {
        let (steps, epoch) = (self.batches.steps(), self.progress.history.len());
        let order = self.batches.order(epoch);
        let (mut begin, mut saved) = (Instant::now(), Instant::now());
        while self.progress.step < steps {
            let at = epoch * steps + self.progress.step;
            let rates = self.rates(at);
            let loss = self.step(&order, at, rates)?;
            let progress = &mut self.progress;
            progress.step += 1;
            progress.loss += loss.value;
            (progress.learning_rate, progress.gradient_norm) = (rates.learning, loss.gradient_norm);
            progress.seconds += begin.elapsed().as_secs_f64();
            begin = Instant::now();
            let (epoch, step) = (epoch + 1, self.progress.step);
            if observe(Event::Step { epoch, step, steps, loss: loss.value }).is_break() {
                self.save()?;
                return Ok(ControlFlow::Break(()));
            }
            if saved.elapsed().as_secs_f64() > SAVED_EVERY {
                self.save()?;
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

    /// One step; `order` is that of the epoch's records.
    fn step(&mut self, order: &[usize], at: usize, rates: Rates) -> Result<Loss> {
        self.batches.fill(order, at);
        let labels = self.batches.labels();
        let loss = self.learner.learn(self.batches.records(), labels, rates)?;
        if loss.is_finite() {
            return Ok(loss);
        }
        let began = self.learner.first_non_finite(self.backend, self.batches.records(), labels)?;
        let names: Vec<String> = self.batches.of_step(order, at).iter().map(|&i| self.data.examples.name(i)).collect();
        let cause = format!(
            "step {}: the loss is {} and the gradient's norm {}; the first number that is not finite is in {}; the batch \
             is {}",
            at + 1,
            loss.value,
            loss.gradient_norm,
            began.unwrap_or_else(|| "none of the layers, run again".into()),
            names.join(", ")
        );
        let remedy = "lower the learning rate, or look into these records; the last checkpoint is as it was";
        Err(Error::new(ErrorKind::Training, cause, remedy))
    }

    fn finish_epoch(&mut self, observe: Observer<'_>) -> Result<ControlFlow<()>> {
        let parameters = self.learner.parameters()?;
        let validated =
            self.validation.as_ref().map(|validation| validation.judge(self.backend, &parameters)).transpose()?;
        let Progress { history, step: steps, loss, learning_rate, gradient_norm, seconds } =
            std::mem::take(&mut self.progress);
        let records = (steps * self.learner.task().batch) as f64;
        let epoch = Epoch {
            epoch: history.len() + 1,
            step: (history.len() + 1) * steps,
            loss: loss / steps as f64,
            validation_loss: validated.as_ref().map(|judged| judged.loss),
            auroc: validated.as_ref().and_then(|judged| judged.aurocs.mean()),
            auroc_by_class: validated.map(|judged| judged.aurocs.classes).unwrap_or_default(),
            learning_rate,
            gradient_norm,
            seconds,
            records_per_second: records / seconds.max(1e-9),
        };
        self.progress.history = history;
        self.progress.history.push(epoch.clone());
        if epoch.auroc.is_some() && self.progress.best() == Some(&epoch) {
            if let Some(folder) = self.folder {
                folder.save_best(self.learner.task(), &parameters, &epoch)?;
            }
            self.best = Some(parameters);
        }
        self.save()?;
        Ok(observe(Event::Epoch(&epoch)))
    }

    fn save(&mut self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let state = self.learner.save()?;
        folder.save(self.learner.task(), &state, &self.progress)
    }
}

/// Whether an objective is judged by labels.
pub(super) fn is_supervised(objective: &Objective) -> bool {
    matches!(objective, Objective::Supervised { .. })
}
