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
    /// Windows of each record in a batch, each cropped by itself: those of one record are what a self-supervised objective
    /// brings together, and what two windows seconds apart have in common is the heart, not the sample.
    views: usize,
    whole: Vec<f32>,
    records: Vec<f32>,
    labels: Option<Vec<f32>>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(data: Data<'a>, task: &Task, seed: u64) -> Self {
        let (leads, batch, samples) = (data.examples.leads(), task.batch, task.samples);
        let views = task.objective.views();
        let classes = task.network.classes();
        Self {
            data,
            seed,
            batch,
            samples,
            views,
            whole: vec![0.0; leads * data.examples.samples()],
            records: vec![0.0; views * batch * leads * samples],
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
        let Self { data, seed, samples, views, batch, .. } = *self;
        let mut random = Random::new(seed, CROP_STREAMS | step as u64);
        let indices = self.of_step(order, step);
        let length = self.records.len() / (views * batch);
        for (at, &index) in indices.iter().enumerate() {
            data.examples.record(index, &mut self.whole);
            for view in 0..views {
                let start = random.below(data.examples.samples() - samples + 1);
                let into = &mut self.records[(view * batch + at) * length..][..length];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        network::{Parameters, published::model_card_55k},
        train::{Examples, Heads, Objective},
    };

    /// One lead; sample t of record r is 100·r + t.
    struct Ramps;

    impl Examples for Ramps {
        fn leads(&self) -> usize {
            1
        }

        fn samples(&self) -> usize {
            100
        }

        fn record(&self, index: usize, into: &mut [f32]) {
            into.iter_mut().enumerate().for_each(|(t, x)| *x = (100 * index + t) as f32);
        }

        fn labels(&self, _: usize, _: &mut [f32]) {}

        fn name(&self, index: usize) -> String {
            index.to_string()
        }
    }

    /// Where in their records the windows of a step's two views begin, and which records they are of.
    fn windows(samples: usize, step: usize) -> Vec<[usize; 2]> {
        let objective = Objective::SimClr { temperature: 0.5, heads: Heads { hidden: 4, out: 4 } };
        let task = Task::new(model_card_55k(), objective, Parameters::default(), [8, samples]);
        let training: Vec<usize> = (0..16).collect();
        let mut batches = Batches::new(Data { examples: &Ramps, training: &training, validation: &[] }, &task, 1);
        let order = batches.order(0);
        batches.fill(&order, step);
        let rows = batches.records().chunks(samples);
        assert!(rows.clone().all(|row| row.windows(2).all(|pair| pair[1] - pair[0] == 1.0)));
        rows.map(|row| [row[0] as usize / 100, row[0] as usize % 100]).collect()
    }

    #[test]
    fn both_views_show_the_same_records_each_through_a_window_of_its_own() {
        let drawn = windows(20, 0);
        let [first, second] = [&drawn[..8], &drawn[8..]];
        assert!(first.iter().zip(second).all(|(a, b)| a[0] == b[0]));
        assert!(first.iter().zip(second).filter(|(a, b)| a[1] != b[1]).count() > 5, "{drawn:?}");
        assert_eq!(drawn, windows(20, 0));
        assert_ne!(drawn, windows(20, 1));
    }

    #[test]
    fn a_window_as_long_as_the_record_is_the_record() {
        assert!(windows(100, 0).iter().all(|[_, start]| *start == 0));
    }
}
