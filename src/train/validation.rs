//! Validation during a run: the validation records pass through the inference engine, on the training device and with
//! batch norm folded, exactly as users will run the network.

use super::{Data, Objective, Task, data::copy_window};
use crate::{
    Error, ErrorKind, Result,
    backend::Backend,
    evaluate::Aurocs,
    kernels::{Operation, training::SupervisedLoss},
    network::{Folded, Network, Parameters},
    plan::{Keep, LOGITS, Plan},
};

/// The largest batch of windows; devices with little memory use a smaller one.
const LARGEST_BATCH: usize = 64;

/// The validation records of a run with their labels.
pub(super) struct Validation<'a> {
    network: Network,
    objective: Objective,
    data: Data<'a>,
    samples: usize,
    labels: Vec<f32>,
}

/// The result of a validation.
pub(super) struct Scores {
    /// The mean loss of the records.
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
        let classes = task.network.classes();
        let mut labels = vec![0.0; data.validation.len() * classes];
        let rows = data.validation.iter().zip(labels.chunks_mut(classes));
        rows.for_each(|(&index, into)| data.examples.labels(index, into));
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
        let (network, objective) = (task.network.clone(), task.objective.clone());
        Ok(Some(Self { network, objective, data, samples: task.samples, labels }))
    }

    /// Computes loss and AUROCs. The logits of a record are the mean over its windows.
    ///
    /// # Errors
    /// The device fails.
    pub(super) fn evaluate(&self, backend: &dyn Backend, parameters: &Parameters) -> Result<Scores> {
        let logits = self.logits(backend, parameters)?;
        let classes = self.network.classes();
        let scores: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
        let labels: Vec<bool> = self.labels.iter().map(|&label| label > 0.5).collect();
        Ok(Scores { loss: self.loss(&logits), aurocs: Aurocs::new(&scores, &labels, classes) })
    }

    fn loss(&self, logits: &[f32]) -> f64 {
        let Objective::Supervised { loss: kind, class_weights } = &self.objective else {
            unreachable!("`new` prepares no validation for another objective")
        };
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        let (batch, classes) = (self.data.validation.len(), class_weights.len());
        let mut losses = vec![0.0; batch];
        let reads = [wide(logits), wide(&self.labels), wide(class_weights)];
        SupervisedLoss { batch, classes, kind: *kind }.reference(&reads.each_ref().map(Vec::as_slice), &mut losses);
        losses.iter().sum::<f64>() / batch as f64
    }

    /// Runs all windows of all records and returns the logits `[records, classes]`.
    fn logits(&self, backend: &dyn Backend, parameters: &Parameters) -> Result<Vec<f32>> {
        let folded = Folded::new(&self.network, parameters)?;
        let windows = self.windows();
        let all: Vec<(usize, usize)> =
            self.data.validation.iter().flat_map(|&index| windows.iter().map(move |&start| (index, start))).collect();
        let largest = backend.largest_batch(&Plan::new(&folded, 1, self.samples, Keep::Results)?)?;
        let batch = LARGEST_BATCH.min(largest).min(all.len());
        let mut executor = backend.prepare(&Plan::new(&folded, batch, self.samples, Keep::Results)?)?;
        let length = self.data.examples.leads() * self.samples;
        let record_samples = self.data.examples.samples();
        let mut record = vec![0.0; self.data.examples.leads() * record_samples];
        let (mut input, mut outputs, mut logits) = (vec![0.0; batch * length], Vec::new(), Vec::new());
        for windows in all.chunks(batch) {
            for (&(index, start), window) in windows.iter().zip(input.chunks_mut(length)) {
                self.data.examples.record(index, &mut record);
                copy_window(&record, record_samples, start, window, self.samples);
            }
            executor.run(&input, &mut outputs)?;
            logits.extend_from_slice(&outputs[LOGITS][..windows.len() * self.network.classes()]);
        }
        Ok(self.mean_of_windows(&logits, windows.len()))
    }

    /// Returns the first samples of a record's windows, which are adjacent; the last one ends with the record.
    fn windows(&self) -> Vec<usize> {
        let last = self.data.examples.samples() - self.samples;
        (0..last).step_by(self.samples).chain([last]).collect()
    }

    /// Averages the logits over the windows of each record.
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
