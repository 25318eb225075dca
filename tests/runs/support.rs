//! What the tests of runs train: a small network on noise.

use std::{ops::ControlFlow, path::Path};

use ecgpu::{
    ecg::Lead,
    engine::backend::cpu::Cpu,
    engine::kernels::training::SupervisedLossKind,
    engine::network::{Contract, published::model_card_55k},
    engine::random::Random,
    train::{
        AugmentationPipeline, Augmentations, Data, Event, Examples, LearningRate, Objective, Outcome, Recipe,
        RunFolder, ScheduleShape, Task, TrainingStep, augment::Signal, run,
    },
};

pub const RECORDS: usize = 64;
pub const LENGTH: usize = 80;

/// Noise with labels that do not depend on it, so that a network can only memorise the records.
pub struct Noise {
    pub records: Vec<Vec<f32>>,
    pub labels: Vec<[f32; 5]>,
}

impl Noise {
    pub fn new() -> Self {
        let mut random = Random::new(5, 0);
        let record = |_| (0..12 * LENGTH).map(|_| random.normal() as f32).collect();
        let records = (0..RECORDS).map(record).collect();
        let labels = (0..RECORDS).map(|at| std::array::from_fn(|class| f32::from(u8::from((at + class) % 3 == 0))));
        Self { records, labels: labels.collect() }
    }
}

impl Examples for Noise {
    fn leads(&self) -> usize {
        12
    }

    fn samples(&self) -> usize {
        LENGTH
    }

    fn record(&self, index: usize, into: &mut [f32]) {
        into.copy_from_slice(&self.records[index]);
    }

    fn labels(&self, index: usize, into: &mut [f32]) {
        into.copy_from_slice(&self.labels[index]);
    }

    fn name(&self, index: usize) -> String {
        format!("noise-{index}")
    }
}

pub fn supervised() -> Objective {
    Objective::Supervised { loss: SupervisedLossKind::CROSS_ENTROPY, class_weights: vec![1.0; 5] }
}

pub fn task(objective: Objective, samples: usize) -> Task {
    let network = model_card_55k();
    let parameters = TrainingStep::initial(&network, &objective, 1);
    Task::new(network, objective, parameters, [16, samples])
}

pub fn augmenting() -> Option<AugmentationPipeline> {
    let signal = Signal { leads: Lead::STANDARD.to_vec(), sampling_rate: 100.0, millivolts: 0.235 };
    Some(AugmentationPipeline { augmentations: Augmentations::default(), signal, seed: 3 })
}

pub fn recipe(epochs: usize) -> Recipe {
    let learning_rate = LearningRate { peak: 3e-3, shape: ScheduleShape::Constant, warm_up: 0.0 };
    Recipe { epochs, learning_rate, target_momentum: 0.99, patience: None, seed: 7 }
}

pub const ALL: [usize; RECORDS] = {
    let mut all = [0; RECORDS];
    let mut at = 0;
    while at < RECORDS {
        all[at] = at;
        at += 1;
    }
    all
};

pub fn data(examples: &Noise) -> Data<'_> {
    Data { examples, training: &ALL, validation: &ALL }
}

pub fn go_on(_: Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs a whole training in memory.
pub fn whole(task: &Task, examples: &Noise, recipe: &Recipe) -> Outcome {
    run(&Cpu::default(), task.clone(), data(examples), recipe, None, &mut go_on).unwrap().unwrap()
}

/// Returns the outcome without the times.
pub fn untimed(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    for epoch in outcome.history.iter_mut().chain([&mut outcome.best]) {
        (epoch.seconds, epoch.records_per_second) = (0.0, 0.0);
    }
    outcome
}

pub fn folder(path: &Path) -> RunFolder {
    RunFolder::create(path, "", Contract::default(), false).unwrap()
}
