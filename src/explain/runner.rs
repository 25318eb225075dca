//! Runs a network on many changed copies of one record.

use std::{borrow::Cow, cell::Cell};

use super::Signal;
use crate::{
    Error, ErrorKind, Result,
    backend::{Backend, Executor},
    network::Folded,
    plan::{Keep, LOGITS, Plan},
};

/// The records of a batch: enough to keep a device busy, and so few that the last batch, which is filled up with zeros, wastes
/// little.
const BATCH: usize = 32;

/// Counts forward passes and passes the count on.
pub(super) struct Progress<'a> {
    done: Cell<usize>,
    total: usize,
    report: &'a dyn Fn(usize, usize),
}

impl<'a> Progress<'a> {
    pub(super) fn new(total: usize, report: &'a dyn Fn(usize, usize)) -> Self {
        report(0, total);
        Self { done: Cell::new(0), total, report }
    }

    fn add(&self, passes: usize) {
        self.done.set(self.done.get() + passes);
        (self.report)(self.done.get(), self.total);
    }
}

/// A network that is prepared for batches of records of one length.
pub(super) struct Runner<'a> {
    pub(super) backend: &'a dyn Backend,
    pub(super) folded: Folded,
    executor: Box<dyn Executor>,
    batch: usize,
    progress: &'a Progress<'a>,
}

impl<'a> Runner<'a> {
    /// Prepares a network for records of `samples` samples.
    ///
    /// # Errors
    /// The device refuses the plan.
    pub(super) fn new(
        backend: &'a dyn Backend,
        folded: Folded,
        samples: usize,
        progress: &'a Progress<'a>,
    ) -> Result<Self> {
        let batch = backend.largest_batch(&Plan::new(&folded, 1, samples, Keep::Results)?)?.min(BATCH);
        let executor = backend.prepare(&Plan::new(&folded, batch, samples, Keep::Results)?)?;
        Ok(Self { backend, folded, executor, batch, progress })
    }

    /// Computes the logits of `count` changed copies of a signal, `[count, classes]`. `change` writes copy number n.
    ///
    /// # Errors
    /// The device fails, or a logit is infinite or NaN.
    pub(super) fn logits(
        &mut self,
        signal: &Signal,
        count: usize,
        change: &dyn Fn(usize, &mut [f32]),
    ) -> Result<Vec<f32>> {
        let (batch, record) = (self.batch, signal.values.len());
        let mut inputs = (0..count).step_by(batch).map(|first| {
            let mut input = vec![0.0; batch * record];
            for (at, to) in (first..count).zip(input.chunks_mut(record)) {
                change(at, to);
            }
            Cow::from(input)
        });
        let wanted = count * self.folded.network.classes();
        let (mut logits, progress) = (Vec::<f32>::with_capacity(wanted), self.progress);
        self.executor.stream(&mut inputs, &mut |outputs, _| {
            progress.add(batch.min((wanted - logits.len()) * batch / outputs[LOGITS].len()));
            logits.extend(outputs[LOGITS].iter().take(wanted - logits.len()));
        })?;
        match logits.iter().find(|logit| !logit.is_finite()) {
            None => Ok(logits),
            Some(logit) => {
                let cause = format!("the network gives a logit of {logit} for a changed copy of the recording");
                Err(Error::new(ErrorKind::Weights, cause, "give the weights of a trained network, in f32"))
            }
        }
    }
}
