//! Training runs: what they learn, how they resume, and what they refuse.

#![cfg(feature = "train")]

mod checkpoints;
mod support;

use ecgpu::{
    Error, ErrorKind, Result,
    engine::backend::{Backend, DeviceInfo, Executor, Trainer, cpu::Cpu},
    engine::network::{Layer, NamedLayer, Network, Parameters},
    engine::plan::Plan,
    train::{
        Data, Event, Heads, LearningRate, Objective, Optimiser, Rates, Recipe, ScheduleShape, Task, TrainingSession,
        TrainingStep, run,
    },
};
use support::{ALL, LENGTH, Noise, RECORDS, augmenting, data, go_on, recipe, supervised, task, untimed, whole};

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
        std::ops::ControlFlow::Continue(())
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
fn the_average_follows_the_parameters_of_each_step() {
    let noise = Noise::new();
    let (records, labels) = (noise.records[..16].concat(), noise.labels[..16].concat());
    // The parameters after each of five steps.
    let learn = |ema: Option<f32>| -> Vec<Parameters> {
        let base = task(supervised(), LENGTH);
        let task = Task { batch: 16, optimiser: Optimiser { ema, ..base.optimiser }, ..base };
        let mut session = TrainingSession::new(&Cpu::default(), task).unwrap();
        let rates = Rates { learning: 1e-2, target_momentum: 1.0 };
        let step = |_| {
            session.train_batch(&records, Some(&labels), rates).unwrap();
            session.parameters().unwrap()
        };
        (0..5).map(step).collect()
    };
    let (each, averaged) = (learn(None), learn(Some(0.3)));
    let initial = task(supervised(), LENGTH).parameters;
    for (name, tensor) in averaged[4].iter() {
        let mut average: Vec<f64> = initial.values(name).unwrap().iter().map(|&x| f64::from(x)).collect();
        for (step, parameters) in each.iter().enumerate() {
            let decay = ((1.0 + step as f64) / (10.0 + step as f64)).min(f64::from(0.3f32));
            let new = parameters.values(name).unwrap().iter();
            average.iter_mut().zip(new).for_each(|(old, &new)| *old = decay * *old + (1.0 - decay) * f64::from(new));
        }
        let average: Vec<f32> = average.into_iter().map(|x| x as f32).collect();
        let difference = ecgpu_testing::nmse(&tensor.values, &average);
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
