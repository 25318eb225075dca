//! How good a network is that still learns: the engine that classifies runs it over the validation records, on the same
//! device and with batch norm folded, as it will run for its users.

use super::{Data, Objective, Task, batches::crop, run::is_supervised};
use crate::{
    Error, ErrorKind, Result,
    backend::Backend,
    evaluate::Aurocs,
    kernels::{Operation, training::SupervisedLoss},
    network::{Folded, Network, Parameters},
    plan::{Keep, LOGITS, Plan},
};

/// Windows that pass together, if the device takes so many.
const AT_ONCE: usize = 64;

pub(super) struct Validation<'a> {
    network: Network,
    objective: Objective,
    data: Data<'a>,
    samples: usize,
    labels: Vec<f32>,
}

/// What a validation says.
pub(super) struct Judged {
    pub(super) loss: f64,
    pub(super) aurocs: Aurocs,
}

impl<'a> Validation<'a> {
    /// Nothing for an objective that has no labels.
    ///
    /// # Errors
    /// No record to validate on, or none that tells a class's presence from its absence.
    pub(super) fn new(task: &Task, data: Data<'a>) -> Result<Option<Self>> {
        if !is_supervised(&task.objective) {
            return Ok(None);
        }
        let classes = task.network.classes();
        let mut labels = vec![0.0; data.validation.len() * classes];
        let rows = data.validation.iter().zip(labels.chunks_mut(classes));
        rows.for_each(|(&index, into)| data.examples.labels(index, into));
        let told_apart = |class: usize| {
            [0.0, 1.0].iter().all(|kind| labels.iter().skip(class).step_by(classes).any(|label| label == kind))
        };
        if !(0..classes).any(told_apart) {
            let cause = format!(
                "{} validation records, which have no class that some have and others have not",
                data.validation.len()
            );
            return Err(Error::new(ErrorKind::Dataset, cause, "give data with labelled records of fold 9"));
        }
        let (network, objective) = (task.network.clone(), task.objective.clone());
        Ok(Some(Self { network, objective, data, samples: task.samples, labels }))
    }

    /// Where the windows of a record begin: side by side, the last at its end.
    fn windows(&self) -> Vec<usize> {
        let last = self.data.examples.samples() - self.samples;
        (0..last).step_by(self.samples).chain([last]).collect()
    }

    /// Loss and AUROCs; a record's logits are the mean over its windows.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn judge(&self, backend: &dyn Backend, parameters: &Parameters) -> Result<Judged> {
        let logits = self.logits(backend, parameters)?;
        let classes = self.network.classes();
        let scores: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
        let labels: Vec<bool> = self.labels.iter().map(|&label| label > 0.5).collect();
        Ok(Judged { loss: self.loss(&logits), aurocs: Aurocs::new(&scores, &labels, classes) })
    }

    fn loss(&self, logits: &[f32]) -> f64 {
        let Objective::Supervised { loss: kind, class_weights } = &self.objective else {
            unreachable!("only a supervised objective is validated")
        };
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        let (batch, classes) = (self.data.validation.len(), class_weights.len());
        let mut losses = vec![0.0; batch];
        let reads = [wide(logits), wide(&self.labels), wide(class_weights)];
        SupervisedLoss { batch, classes, kind: *kind }.reference(&reads.each_ref().map(Vec::as_slice), &mut losses);
        losses.iter().sum::<f64>() / batch as f64
    }

    fn logits(&self, backend: &dyn Backend, parameters: &Parameters) -> Result<Vec<f32>> {
        let folded = Folded::new(&self.network, parameters)?;
        let windows = self.windows();
        let all: Vec<(usize, usize)> =
            self.data.validation.iter().flat_map(|&index| windows.iter().map(move |&start| (index, start))).collect();
        let largest = backend.largest_batch(&Plan::new(&folded, 1, self.samples, Keep::Results)?)?;
        let batch = AT_ONCE.min(largest).min(all.len());
        let mut executor = backend.prepare(&Plan::new(&folded, batch, self.samples, Keep::Results)?)?;
        let length = self.data.examples.leads() * self.samples;
        let whole_samples = self.data.examples.samples();
        let mut whole = vec![0.0; self.data.examples.leads() * whole_samples];
        let (mut input, mut outputs, mut logits) = (vec![0.0; batch * length], Vec::new(), Vec::new());
        for windows in all.chunks(batch) {
            for (&(index, start), into) in windows.iter().zip(input.chunks_mut(length)) {
                self.data.examples.record(index, &mut whole);
                crop(&whole, whole_samples, start, into, self.samples);
            }
            executor.run(&input, &mut outputs)?;
            logits.extend_from_slice(&outputs[LOGITS][..windows.len() * self.network.classes()]);
        }
        Ok(self.mean_of_windows(&logits, windows.len()))
    }

    fn mean_of_windows(&self, logits: &[f32], windows: usize) -> Vec<f32> {
        let classes = self.network.classes();
        let mean = |record: &[f32], class: usize| {
            let sum: f64 = record.iter().skip(class).step_by(classes).map(|&logit| f64::from(logit)).sum();
            (sum / windows as f64) as f32
        };
        let records = logits.chunks(windows * classes);
        records.flat_map(|record| (0..classes).map(move |class| mean(record, class))).collect()
    }
}
