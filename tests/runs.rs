//! Training runs: what they learn, how they resume, and what they refuse.

#![cfg(feature = "train")]

use std::{fs, ops::ControlFlow, path::Path};

use ecgpu::{
    Device, Error, ErrorKind, Result,
    ecg::Lead,
    engine::backend::{self, Backend, DeviceInfo, Executor, Trainer, cpu::Cpu},
    engine::kernels::training::SupervisedLossKind,
    engine::network::{Contract, Layer, NamedLayer, Network, Parameters, published::model_card_55k},
    engine::plan::Plan,
    engine::random::Random,
    train::{
        AugmentationPipeline, Augmentations, Data, Event, Examples, Heads, LearningRate, Objective, Observer, Outcome,
        Rates, Recipe, RunFolder, ScheduleShape, Task, TrainingSession, TrainingStep, augment::Signal, run,
    },
};
use tempfile::TempDir;

const RECORDS: usize = 64;
const LENGTH: usize = 80;

/// Noise with labels that do not depend on it, so that a network can only memorise the records.
struct Noise {
    records: Vec<Vec<f32>>,
    labels: Vec<[f32; 5]>,
}

impl Noise {
    fn new() -> Self {
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

fn supervised() -> Objective {
    Objective::Supervised { loss: SupervisedLossKind::CROSS_ENTROPY, class_weights: vec![1.0; 5] }
}

fn task(objective: Objective, samples: usize) -> Task {
    let network = model_card_55k();
    let parameters = TrainingStep::initial(&network, &objective, 1);
    Task::new(network, objective, parameters, [16, samples])
}

fn augmenting() -> Option<AugmentationPipeline> {
    let signal = Signal { leads: Lead::STANDARD.to_vec(), sampling_rate: 100.0, millivolts: 0.235 };
    Some(AugmentationPipeline { augmentations: Augmentations::default(), signal, seed: 3 })
}

fn recipe(epochs: usize) -> Recipe {
    let learning_rate = LearningRate { peak: 3e-3, shape: ScheduleShape::Constant, warm_up: 0.0 };
    Recipe { epochs, learning_rate, target_momentum: 0.99, patience: None, seed: 7 }
}

const ALL: [usize; RECORDS] = {
    let mut all = [0; RECORDS];
    let mut at = 0;
    while at < RECORDS {
        all[at] = at;
        at += 1;
    }
    all
};

fn data(examples: &Noise) -> Data<'_> {
    Data { examples, training: &ALL, validation: &ALL }
}

fn go_on(_: Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs a whole training in memory.
fn whole(task: &Task, examples: &Noise, recipe: &Recipe) -> Outcome {
    run(&Cpu::default(), task.clone(), data(examples), recipe, None, &mut go_on).unwrap().unwrap()
}

/// Returns the outcome without the times.
fn untimed(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    for epoch in outcome.history.iter_mut().chain([&mut outcome.best]) {
        (epoch.seconds, epoch.records_per_second) = (0.0, 0.0);
    }
    outcome
}

fn folder(path: &Path) -> RunFolder {
    RunFolder::create(path, "", Contract::default(), false).unwrap()
}

#[test]
fn a_small_network_memorises_its_records() {
    let outcome = whole(&task(supervised(), LENGTH), &Noise::new(), &recipe(12));
    let losses: Vec<f64> = outcome.history.iter().map(|epoch| epoch.loss).collect();
    assert!(losses[11] < 0.01, "{losses:?}");
    for (at, pair) in losses[..8].windows(2).enumerate() {
        assert!(pair[1] < pair[0], "the loss rises after epoch {at}: {losses:?}");
    }
    assert_eq!(outcome.best.auroc, Some(1.0));
}

#[test]
fn contrastive_losses_fall() {
    let heads = Heads { hidden: 64, out: 16 };
    for objective in [Objective::SimClr { temperature: 0.5, heads }, Objective::Byol { heads }] {
        let task = Task { augmentation: augmenting(), ..task(objective, LENGTH) };
        let outcome = whole(&task, &Noise::new(), &recipe(6));
        let losses: Vec<f64> = outcome.history.iter().map(|epoch| epoch.loss).collect();
        assert!(losses[5] < 0.9 * losses[0] && outcome.best.epoch == 6, "{losses:?}");
        assert!(outcome.parameters.values("classifier.weight").is_err(), "an encoder and its heads");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_other_bits() {
    let (noise, task) = (Noise::new(), Task { augmentation: augmenting(), ..task(supervised(), 64) });
    let of_seed = |seed| untimed(&whole(&task, &noise, &Recipe { seed, ..recipe(2) }));
    assert!(of_seed(1) == of_seed(1));
    assert!(of_seed(1).parameters != of_seed(2).parameters);
}

#[test]
fn the_parameters_of_the_best_epoch_are_kept_and_patience_ends_the_run() {
    // The second half of the records has the opposite labels of the first, so that learning the first makes it worse.
    let mut noise = Noise::new();
    for at in 32..RECORDS {
        noise.records[at] = noise.records[at - 32].clone();
        noise.labels[at] = noise.labels[at - 32].map(|label| 1.0 - label);
    }
    let task = task(supervised(), LENGTH);
    let train = |epochs, patience| {
        let data = Data { examples: &noise, training: &ALL[..32], validation: &ALL[32..] };
        let recipe = Recipe { patience, ..recipe(epochs) };
        run(&Cpu::default(), task.clone(), data, &recipe, None, &mut go_on).unwrap().unwrap()
    };
    let patient = train(20, None);
    assert_eq!(patient.history.len(), 20);
    let best = patient.best.epoch;
    assert!(best < 15, "the validation must get worse for this test to say anything");
    assert!(patient.history.iter().all(|epoch| epoch.auroc <= patient.best.auroc));
    assert!(patient.parameters == train(best, None).parameters, "the best epoch's parameters, not the last's");
    assert_eq!(train(20, Some(3)).history.len(), best + 3);
}

#[test]
fn a_frozen_encoder_keeps_every_bit_while_its_head_learns() {
    let pretrained = whole(&task(supervised(), LENGTH), &Noise::new(), &recipe(2)).parameters;
    let task = Task {
        parameters: pretrained.clone(),
        freeze_encoder: true,
        augmentation: augmenting(),
        ..task(supervised(), LENGTH)
    };
    let outcome = whole(&task, &Noise::new(), &recipe(4));
    let (mut frozen, mut learned) = (0, 0);
    for (name, tensor) in outcome.parameters.iter() {
        let same = *tensor.values == *pretrained.values(name).unwrap();
        assert_eq!(same, name.starts_with("encoder."), "{name}");
        *(if same { &mut frozen } else { &mut learned }) += 1;
    }
    assert_eq!((frozen, learned), (20, 2));
    assert!(outcome.history[3].loss < outcome.history[0].loss);
}

#[test]
fn an_interrupted_run_resumes_and_ends_with_the_same_bits() {
    let heads = Heads { hidden: 32, out: 16 };
    let noise = Noise::new();
    let mut random = Random::new(std::process::id().into(), 0);
    for objective in [supervised(), Objective::SimClr { temperature: 0.1, heads }, Objective::Byol { heads }] {
        let task = Task { augmentation: augmenting(), ..task(objective, 64) };
        let recipe = Recipe {
            learning_rate: LearningRate { peak: 1e-3, shape: ScheduleShape::OneCycle, warm_up: 0.3 },
            ..recipe(3)
        };
        let uninterrupted = untimed(&whole(&task, &noise, &recipe));
        let temporary = TempDir::new().unwrap();
        let folder = folder(temporary.path());
        // Three epochs of four steps, each followed by the epoch's own event.
        let breaks = [1 + random.below(5), 2 + random.below(5)];
        for events in breaks {
            let mut left = events;
            let mut observe = |_: Event| {
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let broken = run(&Cpu::default(), task.clone(), data(&noise), &recipe, Some(&folder), &mut observe);
            assert_eq!(broken.unwrap(), None, "broken off after {breaks:?} events");
        }
        let resumed = run(&Cpu::default(), task, data(&noise), &recipe, Some(&folder), &mut go_on).unwrap().unwrap();
        // Not by assert_eq, which would print all parameters.
        let resumed = untimed(&resumed);
        assert_eq!(resumed.history, uninterrupted.history, "broken off after {breaks:?} events");
        assert!(resumed == uninterrupted, "other parameters, broken off after {breaks:?} events");
    }
}

#[test]
fn a_run_on_a_gpu_resumes_with_the_same_bits() {
    if !ecgpu_testing::has_gpu() {
        return;
    }
    let gpu = backend::open(&Device::Gpu, None).unwrap();
    let (noise, task) = (Noise::new(), Task { augmentation: augmenting(), ..task(supervised(), 64) });
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path());
    let train = |folder, observe: Observer| run(gpu.as_ref(), task.clone(), data(&noise), &recipe(2), folder, observe);
    let uninterrupted = train(None, &mut go_on).unwrap().unwrap();
    let mut stop_in_the_second_epoch = |event: Event| match event {
        Event::Step { epoch: 2, step: 2, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert!(train(Some(&folder), &mut stop_in_the_second_epoch).unwrap().is_none());
    let resumed = train(Some(&folder), &mut go_on).unwrap().unwrap();
    assert!(untimed(&resumed) == untimed(&uninterrupted));
    let cpu = whole(&task, &noise, &recipe(2));
    let losses = |outcome: &Outcome| outcome.history.iter().map(|epoch| epoch.loss).collect::<Vec<_>>();
    for (gpu, cpu) in losses(&resumed).into_iter().zip(losses(&cpu)) {
        assert!((gpu / cpu - 1.0).abs() < 0.02, "a mean loss of {gpu} on the GPU and {cpu} on the CPU");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn after_a_full_disk_a_run_resumes_from_its_last_checkpoint() {
    let (noise, task) = (Noise::new(), task(supervised(), LENGTH));
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path());
    let mut fill = |event: Event| {
        if matches!(event, Event::Epoch(_)) {
            // Linux reports a full disk for every write to this device.
            let partial = format!("last.safetensors.{}-0.partial", std::process::id());
            std::os::unix::fs::symlink("/dev/full", temporary.path().join(partial)).unwrap();
        }
        ControlFlow::Continue(())
    };
    let error = run(&Cpu::default(), task.clone(), data(&noise), &recipe(3), Some(&folder), &mut fill).unwrap_err();
    assert!(error.kind() == ErrorKind::File && error.to_string().contains("No space left"), "{error}");
    let resumed = run(&Cpu::default(), task.clone(), data(&noise), &recipe(3), Some(&folder), &mut go_on);
    assert!(untimed(&resumed.unwrap().unwrap()) == untimed(&whole(&task, &noise, &recipe(3))));
}

#[test]
fn a_checkpoint_of_another_network_or_objective_is_refused() {
    let noise = Noise::new();
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path());
    let first = task(supervised(), LENGTH);
    run(&Cpu::default(), first.clone(), data(&noise), &recipe(1), Some(&folder), &mut go_on).unwrap();
    let frozen = Task { freeze_encoder: true, ..first.clone() };
    let mut other = first;
    other.network.name = "another".into();
    for (task, named) in [(frozen, "objective is 'supervised'"), (other, "network is '55k'")] {
        let error = run(&Cpu::default(), task, data(&noise), &recipe(2), Some(&folder), &mut go_on).unwrap_err();
        assert!(error.kind() == ErrorKind::Weights && error.to_string().contains(named), "{error}");
    }
    let last = temporary.path().join("last.safetensors");
    fs::write(&last, &fs::read(&last).unwrap()[..1000]).unwrap();
    let error = run(&Cpu::default(), task(supervised(), LENGTH), data(&noise), &recipe(2), Some(&folder), &mut go_on);
    assert!(error.unwrap_err().to_string().contains("last.safetensors: not a readable"));
}

#[test]
fn a_loss_that_is_not_finite_names_step_records_and_layer() {
    let failing = |value: f32| {
        let mut noise = Noise::new();
        noise.records[11].fill(value);
        let outcome = run(&Cpu::default(), task(supervised(), LENGTH), data(&noise), &recipe(1), None, &mut go_on);
        outcome.map(|_| ()).expect_err("the loss cannot be finite")
    };
    let error = failing(f32::NAN).to_string();
    assert!(error.contains("noise-11,") || error.contains("noise-11:"), "{error}");
    assert!(error.contains("step ") && error.contains("in the records themselves"), "{error}");
    // The sums of the first convolution exceed f32.
    let error = failing(f32::MAX);
    assert!(error.kind() == ErrorKind::Training && error.cause().contains("in layer encoder.0;"), "{error}");
    assert!(error.cause().contains("noise-11"), "{error}");
}

/// A CPU that refuses to train with more than `records` records in a plan.
struct Small {
    cpu: Cpu,
    records: usize,
}

impl Backend for Small {
    fn info(&self) -> DeviceInfo {
        self.cpu.info()
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        self.cpu.largest_batch(plan)
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        self.cpu.prepare(plan)
    }

    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn Trainer>> {
        if plan.batch > self.records {
            return Err(Error::new(ErrorKind::Device, "out of memory", "use less"));
        }
        self.cpu.prepare_training(plan)
    }
}

#[test]
fn a_batch_too_large_for_the_device_is_split_or_refused() {
    let (noise, small) = (Noise::new(), Small { cpu: Cpu::default(), records: 5 });
    let mut notes = Vec::new();
    let mut observe = |event: Event| {
        if let Event::Note(text) = event {
            notes.push(text);
        }
        ControlFlow::Continue(())
    };
    let outcome =
        run(&small, task(supervised(), LENGTH), data(&noise), &recipe(8), None, &mut observe).unwrap().unwrap();
    assert!(notes.len() == 1 && notes[0].contains("in 4 parts") && notes[0].contains("batch norm"), "{notes:?}");
    assert!(outcome.history[7].loss < 0.8 * outcome.history[0].loss);
    let simclr = Objective::SimClr { temperature: 0.1, heads: Heads { hidden: 32, out: 16 } };
    let error = run(&small, task(simclr, LENGTH), data(&noise), &recipe(1), None, &mut go_on).unwrap_err().to_string();
    assert!(error.contains("a batch of 16: out of memory: use a smaller batch"), "{error}");
}

#[test]
fn without_batch_norm_the_parts_of_a_batch_give_the_gradient_of_the_whole() {
    let conv = Layer::Conv1d { in_channels: 12, out_channels: 8, kernel: 5, stride: 2, padding: 2, bias: true };
    let linear = Layer::Linear { in_features: 8, out_features: 5 };
    let layers = [("conv", conv), ("relu", Layer::Relu), ("pool", Layer::GlobalAveragePool), ("head", linear)];
    let layers = layers.map(|(name, layer)| NamedLayer { name: name.into(), layer }).to_vec();
    let network = Network { name: "plain".into(), layers, embedding: 2 };
    let parameters = TrainingStep::initial(&network, &supervised(), 1);
    let noise = Noise::new();
    let records = noise.records[..16].concat();
    let labels = noise.labels[..16].concat();
    let learn = |parts| -> (Parameters, f64) {
        let task =
            Task { micro_batches: parts, ..Task::new(network.clone(), supervised(), parameters.clone(), [16, LENGTH]) };
        let mut session = TrainingSession::new(&Cpu::default(), task).unwrap();
        let rates = Rates { learning: 1e-3, target_momentum: 1.0 };
        let losses: Vec<_> = (0..5).map(|_| session.train_batch(&records, Some(&labels), rates).unwrap()).collect();
        assert!(losses[4].value < losses[0].value);
        (session.parameters().unwrap(), losses[0].gradient_norm)
    };
    let ((one, norm), (four, norm_of_parts)) = (learn(1), learn(4));
    // Compared too, as Adam's steps are the same for the sum of the parts' gradients and for their mean.
    assert!((norm_of_parts / norm - 1.0).abs() < 1e-5, "{norm_of_parts} instead of {norm}");
    for (name, tensor) in one.iter() {
        let difference = ecgpu_testing::nmse(four.values(name).unwrap(), &tensor.values);
        assert!(difference < 1e-10, "{name}: {difference:e}");
    }
}

#[test]
fn impossible_settings_are_refused_with_their_cause() {
    let noise = Noise::new();
    let simclr = |temperature| Objective::SimClr { temperature, heads: Heads { hidden: 32, out: 16 } };
    let byol = || Objective::Byol { heads: Heads { hidden: 32, out: 16 } };
    let base = || task(supervised(), LENGTH);
    let rate =
        |peak| Recipe { learning_rate: LearningRate { peak, shape: ScheduleShape::Cosine, warm_up: 0.0 }, ..recipe(1) };
    let cases = [
        (Task { batch: 1, ..base() }, recipe(1), "batch norm"),
        (Task { batch: 65, ..base() }, recipe(1), "batches of 65 from 64 records"),
        (Task { batch: 0, ..base() }, recipe(1), "batches of 0"),
        (Task { samples: LENGTH + 1, ..base() }, recipe(1), "crops of 81 samples from records of 80"),
        (Task { samples: 3, ..base() }, recipe(1), "no output"),
        (Task { batch: 1, ..task(simclr(0.1), LENGTH) }, recipe(1), "NT-Xent with 1 record"),
        (Task { batch: 1, ..task(byol(), LENGTH) }, recipe(1), "batch norm"),
        (Task { micro_batches: 3, ..base() }, recipe(1), "a batch of 16 in 3 parts"),
        (Task { freeze_encoder: true, ..task(byol(), LENGTH) }, recipe(1), "a frozen encoder"),
        (task(simclr(0.0), LENGTH), recipe(1), "a temperature of 0"),
        (task(simclr(f32::NAN), LENGTH), recipe(1), "a temperature of NaN"),
        (base(), rate(0.0), "a learning rate of 0"),
        (base(), rate(-1.0), "a learning rate of -1"),
        (base(), rate(f64::NAN), "a learning rate of NaN"),
        (base(), recipe(0), "0 epochs"),
        (base(), Recipe { patience: Some(0), ..recipe(1) }, "a patience of 0"),
        (base(), Recipe { target_momentum: 1.5, ..recipe(1) }, "a momentum of 1.5"),
    ];
    for (task, recipe, named) in cases {
        let outcome = run(&Cpu::default(), task, data(&noise), &recipe, None, &mut go_on);
        let error = outcome.map(|_| ()).expect_err(named);
        assert!(error.to_string().contains(named), "{error} instead of {named}");
    }
    let unlabelled = Data { validation: &[], ..data(&noise) };
    let error = run(&Cpu::default(), base(), unlabelled, &recipe(1), None, &mut go_on).unwrap_err();
    assert!(error.to_string().contains("fold 9"), "{error}");
}
