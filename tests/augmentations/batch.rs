//! A batch of records, and what augmentations make of it.

use std::f64::consts::TAU;

use ecgpu::Device;
use ecgpu::ecg::{Condition, Lead, synthesize};
use ecgpu::engine::backend;
use ecgpu::engine::kernels::training::Schedule;
use ecgpu::engine::kernels::training::augment::Draws;
use ecgpu::engine::plan::{Builder, Plan};
use ecgpu::train::augment::{Augmented, Signal};
use ecgpu::train::{AugmentationPipeline, Augmentations};

pub const SEED: u64 = 11;

/// Records `[records, 12, samples]` with labels `[records, classes]`.
#[derive(Clone)]
pub struct Batch {
    pub records: usize,
    pub classes: usize,
    pub samples: usize,
    pub x: Vec<f32>,
    pub labels: Vec<f32>,
    pub signal: Signal,
}

/// An augmented batch, and what was drawn for it.
pub struct Outcome {
    pub x: Vec<f32>,
    pub labels: Vec<f32>,
    pub draws: Vec<Draws>,
}

impl Batch {
    /// Builds records whose samples are `value(record, lead, t)` in mV. Each record has a class of its own.
    pub fn of(records: usize, samples: usize, rate: f64, value: impl Fn(usize, usize, usize) -> f64) -> Self {
        let at = |i: usize| value(i / (12 * samples), i / samples % 12, i % samples) as f32;
        let x = (0..records * 12 * samples).map(at).collect();
        let labels = (0..records * records).map(|i| f32::from(i / records == i % records)).collect();
        let signal = Signal { leads: Lead::STANDARD.to_vec(), sampling_rate: rate, millivolts: 1.0 };
        Self { records, classes: records, samples, x, labels, signal }
    }

    /// Synthesises ECGs of ten seconds.
    pub fn ecgs(records: usize, rate: f64) -> Self {
        let leads: Vec<Vec<Vec<f32>>> = (0..records)
            .map(|seed| {
                let ecg = synthesize(Condition::ALL[seed % 7], seed as u64, rate, 10.0).unwrap();
                let eight = ecg.in_order(&Lead::STANDARD).unwrap();
                let follows = |lead: Lead| lead.from_i_and_ii().map(|[a, b]| (a, b));
                let derive = |(lead, signal): (Lead, &Vec<f32>)| match follows(lead) {
                    Some((a, b)) => (0..signal.len()).map(|t| a * eight[0][t] + b * eight[1][t]).collect(),
                    None => signal.clone(),
                };
                Lead::STANDARD.into_iter().zip(&eight).map(derive).collect()
            })
            .collect();
        Self::of(records, (10.0 * rate) as usize, rate, |r, lead, t| f64::from(leads[r][lead][t]))
    }

    pub fn plan(&self, augmentations: &Augmentations, seed: u64, views: usize) -> ecgpu::Result<Plan> {
        let mut builder = Builder::default();
        let records = builder.input("records", [views * self.records, 12, self.samples])?;
        let schedule = builder.input("schedule", [1, 1, Schedule::LEN])?;
        let labels = builder.input("labels", [views * self.records, self.classes, 1])?;
        let Augmented { records, labels, draws, .. } =
            AugmentationPipeline { augmentations: *augmentations, signal: self.signal.clone(), seed }.add(
                &mut builder,
                views,
                [records, schedule],
                Some(labels),
            )?;
        Ok(builder.finish([Some(records), labels, draws].into_iter().flatten().collect()))
    }

    pub fn run(&self, device: &Device, plan: &Plan, step: u32) -> Outcome {
        let mut trainer = backend::open(device, None).unwrap().prepare_training(plan).unwrap();
        let schedule = Schedule {
            step,
            learning_rate: 0.0,
            corrections: [1.0; 2],
            target_momentum: 0.0,
            accumulate: [0.0, 1.0],
            average_decay: 1.0,
        };
        let mut outputs = Vec::new();
        let views = plan.buffers[plan.inputs[0]].shape[0] / self.records;
        let (x, labels) = (self.x.repeat(views), self.labels.repeat(views));
        trainer.run(&[&x, &schedule.numbers(), &labels], &mut outputs).unwrap();
        let drawn: Vec<f64> = outputs.get(2).into_iter().flatten().map(|&number| f64::from(number)).collect();
        let draws = (0..drawn.len() / Draws::LEN).map(|row| Draws::of(&drawn, row)).collect();
        let labels = outputs.remove(1);
        Outcome { x: outputs.remove(0), labels, draws }
    }

    pub fn augmented(&self, augmentations: &Augmentations) -> Outcome {
        self.run(&Device::Reference, &self.plan(augmentations, SEED, 1).unwrap(), 0)
    }

    pub fn lead<'a>(&self, x: &'a [f32], row: usize, lead: usize) -> &'a [f32] {
        &x[(row * 12 + lead) * self.samples..][..self.samples]
    }

    /// Returns the difference between a lead after and before.
    pub fn added(&self, x: &[f32], row: usize, lead: usize) -> Vec<f64> {
        let pairs = self.lead(x, row, lead).iter().zip(self.lead(&self.x, row % self.records, lead));
        pairs.map(|(after, before)| f64::from(*after) - f64::from(*before)).collect()
    }
}

/// Lists each augmentation alone, applied to every record.
pub fn each() -> impl Iterator<Item = (&'static str, Augmentations)> {
    Augmentations::default().always().each()
}

pub fn only(name: &str) -> Augmentations {
    name.parse::<Augmentations>().unwrap().always()
}

/// Says which of the seven augmentations were drawn.
pub fn happened(draws: &Draws) -> [bool; 7] {
    let Draws { factor, band, share, cut, wander, noise, gap, .. } = draws;
    [*factor != 1.0, *share > 0.0, band[0] > 0.0, cut.len > 0, *wander > 0.0, *noise > 0.0, gap.len > 0]
}

pub fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Computes the amplitudes of the sine and the cosine of `turns` periods per sample in a signal.
pub fn component(signal: impl IntoIterator<Item = f64>, turns: f64) -> [f64; 2] {
    let mut sums = [0.0; 2];
    let mut count = 0;
    for (t, x) in signal.into_iter().enumerate() {
        sums[0] += x * (TAU * turns * t as f64).sin();
        sums[1] += x * (TAU * turns * t as f64).cos();
        count += 1;
    }
    sums.map(|sum| 2.0 * sum / f64::from(count))
}
