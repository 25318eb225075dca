//! The batches of a run: which records, in which order, cropped where. All depends on the seed and the step only.

use super::{Data, Task, data::copy_window};
use crate::random::Random;

/// The high bits of the random streams of the order, so that other uses of the same seed draw other numbers. The low bits
/// hold the epoch.
const ORDER_STREAMS: u64 = 0x4F52 << 48;
/// The high bits of the random streams of the crops. The low bits hold the step.
const CROP_STREAMS: u64 = 0x4352 << 48;

/// Makes the batches of a run, one after the other in the same memory.
pub(super) struct Batches<'a> {
    data: Data<'a>,
    seed: u64,
    batch: usize,
    samples: usize,
    /// How many windows of each record a batch contains, each cropped independently. A self-supervised objective pulls
    /// the windows of a record together. Windows seconds apart share the heart and not the samples.
    views: usize,
    record: Vec<f32>,
    inputs: Vec<f32>,
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
            record: vec![0.0; leads * data.examples.samples()],
            inputs: vec![0.0; views * batch * leads * samples],
            labels: task.objective.is_supervised().then(|| vec![0.0; batch * classes]),
        }
    }

    /// Returns the number of steps of an epoch. Records that do not fill a whole batch are left out; another epoch leaves
    /// out others.
    pub(super) fn steps(&self) -> usize {
        self.data.training.len() / self.batch
    }

    /// Shuffles the training records for an epoch (Fisher and Yates).
    pub(super) fn order(&self, epoch: usize) -> Vec<usize> {
        let mut random = Random::new(self.seed, ORDER_STREAMS | epoch as u64);
        let mut order = self.data.training.to_vec();
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last + 1));
        }
        order
    }

    /// Returns the records of a step. Steps are counted from the beginning of the run.
    pub(super) fn of_step<'o>(&self, order: &'o [usize], step: usize) -> &'o [usize] {
        &order[step % self.steps() * self.batch..][..self.batch]
    }

    /// Makes the batch of a step.
    pub(super) fn fill(&mut self, order: &[usize], step: usize) {
        let Self { data, seed, samples, views, batch, .. } = *self;
        let mut random = Random::new(seed, CROP_STREAMS | step as u64);
        let indices = self.of_step(order, step);
        let length = self.inputs.len() / (views * batch);
        for (at, &index) in indices.iter().enumerate() {
            data.examples.record(index, &mut self.record);
            for view in 0..views {
                let start = random.below(data.examples.samples() - samples + 1);
                let window = &mut self.inputs[(view * batch + at) * length..][..length];
                copy_window(&self.record, data.examples.samples(), start, window, samples);
            }
        }
        if let Some(labels) = &mut self.labels {
            let classes = labels.len() / batch;
            indices.iter().zip(labels.chunks_mut(classes)).for_each(|(&index, into)| data.examples.labels(index, into));
        }
    }

    /// Returns the input of the batch, `[views · batch, leads, samples]`.
    pub(super) fn inputs(&self) -> &[f32] {
        &self.inputs
    }

    /// Returns the labels of the batch, `[batch, classes]`, for a supervised objective.
    pub(super) fn labels(&self) -> Option<&[f32]> {
        self.labels.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        network::{Parameters, published::model_card_55k},
        train::{Examples, Heads, Objective},
    };

    /// Records of one lead; sample t of record r is 100·r + t.
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

    /// Returns record and start of each window of a step with two views.
    fn windows(samples: usize, step: usize) -> Vec<[usize; 2]> {
        let objective = Objective::SimClr { temperature: 0.5, heads: Heads { hidden: 4, out: 4 } };
        let task = Task::new(model_card_55k(), objective, Parameters::default(), [8, samples]);
        let training: Vec<usize> = (0..16).collect();
        let mut batches = Batches::new(Data { examples: &Ramps, training: &training, validation: &[] }, &task, 1);
        let order = batches.order(0);
        batches.fill(&order, step);
        let rows = batches.inputs().chunks(samples);
        assert!(rows.clone().all(|row| row.windows(2).all(|pair| pair[1] - pair[0] == 1.0)));
        rows.map(|row| [row[0] as usize / 100, row[0] as usize % 100]).collect()
    }

    #[test]
    fn both_views_contain_the_same_records_with_independent_windows() {
        let drawn = windows(20, 0);
        let [first, second] = [&drawn[..8], &drawn[8..]];
        assert!(first.iter().zip(second).all(|(a, b)| a[0] == b[0]));
        assert!(first.iter().zip(second).filter(|(a, b)| a[1] != b[1]).count() > 5, "{drawn:?}");
        assert_eq!(drawn, windows(20, 0));
        assert_ne!(drawn, windows(20, 1));
    }

    #[test]
    fn a_window_as_long_as_the_record_is_the_whole_record() {
        assert!(windows(100, 0).iter().all(|[_, start]| *start == 0));
    }
}
