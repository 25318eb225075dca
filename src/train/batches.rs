//! Which records make each batch, in which order and cropped where: a function of seed and step.

use super::{Data, Task, run::is_supervised};
use crate::random::Random;

/// Marks the streams of these draws, so that no other use of the same seed repeats them; below them lies the epoch, or the
/// step.
const ORDER_STREAMS: u64 = 0x4F52 << 48;
const CROP_STREAMS: u64 = 0x4352 << 48;

/// The batches of a run, made one at a time in the same memory.
pub(super) struct Batches<'a> {
    data: Data<'a>,
    seed: u64,
    batch: usize,
    samples: usize,
    /// How often each record stands in a batch: as often as there are views, where nothing augments.
    copies: usize,
    whole: Vec<f32>,
    records: Vec<f32>,
    labels: Option<Vec<f32>>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(data: Data<'a>, task: &Task, seed: u64) -> Self {
        let (leads, batch, samples) = (data.examples.leads(), task.batch, task.samples);
        let copies = if task.augmenting.is_some() { 1 } else { task.objective.views() };
        let classes = task.network.classes();
        Self {
            data,
            seed,
            batch,
            samples,
            copies,
            whole: vec![0.0; leads * data.examples.samples()],
            records: vec![0.0; copies * batch * leads * samples],
            labels: is_supervised(&task.objective).then(|| vec![0.0; batch * classes]),
        }
    }

    /// Steps of an epoch. What is left over when the records do not make whole batches waits for another epoch, which
    /// leaves over others.
    pub(super) fn steps(&self) -> usize {
        self.data.training.len() / self.batch
    }

    /// The records of an epoch in their order (Fisher and Yates).
    pub(super) fn order(&self, epoch: usize) -> Vec<usize> {
        let mut random = Random::new(self.seed, ORDER_STREAMS | epoch as u64);
        let mut order = self.data.training.to_vec();
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last + 1));
        }
        order
    }

    /// The records of a step, which is counted from the first of the run.
    pub(super) fn of_step<'o>(&self, order: &'o [usize], step: usize) -> &'o [usize] {
        &order[step % self.steps() * self.batch..][..self.batch]
    }

    /// Makes the batch of a step.
    pub(super) fn fill(&mut self, order: &[usize], step: usize) {
        let Self { data, seed, samples, copies, batch, .. } = *self;
        let mut random = Random::new(seed, CROP_STREAMS | step as u64);
        let indices = self.of_step(order, step);
        let length = self.records.len() / (copies * batch);
        for copy in 0..copies {
            for (at, &index) in indices.iter().enumerate() {
                data.examples.record(index, &mut self.whole);
                let start = random.below(data.examples.samples() - samples + 1);
                let into = &mut self.records[(copy * batch + at) * length..][..length];
                crop(&self.whole, data.examples.samples(), start, into, samples);
            }
        }
        if let Some(labels) = &mut self.labels {
            let classes = labels.len() / batch;
            indices.iter().zip(labels.chunks_mut(classes)).for_each(|(&index, into)| data.examples.labels(index, into));
        }
    }

    pub(super) fn records(&self) -> &[f32] {
        &self.records
    }

    pub(super) fn labels(&self) -> Option<&[f32]> {
        self.labels.as_deref()
    }
}

/// Copies the samples from `start` on of every lead.
pub(super) fn crop(whole: &[f32], whole_samples: usize, start: usize, into: &mut [f32], samples: usize) {
    for (into, lead) in into.chunks_exact_mut(samples).zip(whole.chunks_exact(whole_samples)) {
        into.copy_from_slice(&lead[start..start + samples]);
    }
}
