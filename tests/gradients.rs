//! Training steps compared with PyTorch's: losses, every gradient, and the state after three steps.

use ecgpu::{
    Device,
    engine::backend,
    engine::kernels::training::{Schedule, SupervisedLossKind},
    engine::network::{
        Network, Parameters, Tensor,
        published::{model_card_55k, training_code_542k},
    },
    train::{Heads, Objective, Optimiser, TensorLocation, TrainingStep},
};
use ecgpu_testing::{Golden, Tensors, has_gpu};

/// The largest ‖Δ‖/‖golden‖ of a state after three steps, which change weights by about a tenth of their norm. Where
/// the gradient is small, Adam's step is its sign. Rounding the initial state to f32 alone gives 1.1e-4 in float64, and
/// float32 throughout gives 1.1e-3 in the statistics of a batch of six.
const STATE: f64 = 3e-3;

/// The largest relative difference of the losses after Adam's first step, which is its gradient's sign where that is
/// small. In float32 PyTorch itself differs from the golden by 3.5e-4 in BYOL's third loss.
const LATER_LOSS: f64 = 1e-3;

/// A golden file, and the network and objective that it was made with.
struct Case {
    tensors: Tensors,
    /// The initial state, under names that begin with `prefix`.
    initial: Tensors,
    prefix: &'static str,
    /// Whether every tensor is there to be compared.
    complete: bool,
    network: Network,
    objective: Objective,
}

impl Case {
    fn open(name: &str) -> Option<Self> {
        let golden = Golden::open();
        let tensors = golden.tensors(&format!("train_{name}"))?;
        // The small set has the initial state once, as the weights file.
        let (initial, prefix) = match golden.complete {
            true => (golden.tensors(&format!("train_{name}"))?, "init."),
            false => (golden.tensors("card")?, ""),
        };
        let network = if name.starts_with("card") { model_card_55k() } else { training_code_542k() };
        let supervised = |loss| Objective::Supervised { loss, class_weights: tensors.get("class_weights").1 };
        let objective = match name {
            "simclr" => Objective::SimClr { temperature: 0.07, heads: Heads { hidden: 128, out: 32 } },
            "byol" => Objective::Byol { heads: Heads { hidden: 256, out: 64 } },
            _ if name.ends_with("bce") => supervised(SupervisedLossKind::CROSS_ENTROPY),
            _ => supervised(SupervisedLossKind::FOCAL),
        };
        Some(Self { tensors, initial, prefix, complete: golden.complete, network, objective })
    }

    fn inputs(&self) -> Vec<Vec<f32>> {
        match self.objective {
            Objective::Supervised { .. } => vec![self.tensors.get("x").1, self.tensors.get("y").1],
            _ => vec![[self.tensors.get("xa").1, self.tensors.get("xb").1].concat()],
        }
    }

    fn step(&self) -> TrainingStep {
        let names = self.initial.names();
        let names = names.iter().filter_map(|name| Some((name, name.strip_prefix(self.prefix)?)));
        let floats = names.filter(|(_, tensor)| !tensor.ends_with("num_batches_tracked"));
        let initial = floats.map(|(name, tensor)| {
            let (shape, values) = self.initial.get(name);
            (tensor.to_string(), Tensor { shape, values: values.into() })
        });
        let parameters = Parameters::new(initial);
        TrainingStep::new(&self.network, &self.objective, &Optimiser::default(), &parameters, [6, 200], None).unwrap()
    }

    /// Says whether the true gradient of a bias is zero, because batch norm follows its layer, directly or after a
    /// linear layer. Adam turns the rounding of such a gradient into whole steps.
    fn is_noise(&self, tensor: &str) -> bool {
        let convolutions = ["encoder.0.bias", "encoder.4.bias", "encoder.8.bias"];
        let heads = ["projector.0.bias", "projector.3.bias", "predictor.0.bias"];
        convolutions.contains(&tensor) || heads.contains(&tensor)
    }

    /// Compares a flat state with the tensors that the file has under `prefix`.
    fn compare(&self, prefix: &str, tensors: &[TensorLocation], flat: &[f32], bound: f64) {
        assert!(!tensors.is_empty());
        let (names, mut compared) = (self.tensors.names(), 0);
        for tensor in tensors.iter().filter(|tensor| !self.is_noise(&tensor.name)) {
            if !self.complete && !names.contains(&format!("{prefix}.{}", tensor.name)) {
                continue;
            }
            compared += 1;
            let (shape, golden) = self.tensors.get(&format!("{prefix}.{}", tensor.name));
            assert_eq!(shape, tensor.shape, "{}", tensor.name);
            let difference = ecgpu_testing::nmse(&flat[tensor.range()], &golden).sqrt();
            assert!(difference <= bound, "{prefix}.{}: ‖Δ‖/‖golden‖ = {difference:.1e}", tensor.name);
        }
        assert!(compared >= 2, "only {compared} tensors of {prefix} were compared");
    }
}

fn schedule(step: u32) -> [f32; Schedule::LEN] {
    let t = step as i32 + 1;
    Schedule {
        step,
        learning_rate: 1e-3,
        corrections: [1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t)],
        target_momentum: 0.99,
        accumulate: [0.0, 1.0],
        average_decay: 1.0,
    }
    .numbers()
}

fn matches_pytorch(name: &str, device: &Device) {
    if matches!(device, Device::Gpu) && !has_gpu() {
        return;
    }
    let Some(case) = Case::open(name) else { return };
    let step = case.step();
    let mut trainer = backend::open(device, None).unwrap().prepare_training(&step.plan).unwrap();
    let (inputs, mut outputs) = (case.inputs(), Vec::new());
    for at in 0..3 {
        let schedule = schedule(at);
        let mut inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        inputs.insert(1, &schedule);
        trainer.run(&inputs, &mut outputs).unwrap();
        let losses: Vec<f64> = outputs[0].iter().map(|&loss| f64::from(loss)).collect();
        let loss = case.objective.loss_scale() * losses.iter().sum::<f64>() / losses.len() as f64;
        let golden = f64::from(case.tensors.get(&format!("loss.{at}")).1[0]);
        let bound = if at == 0 { 1e-5 } else { LATER_LOSS } * golden.abs().max(1.0);
        assert!((loss - golden).abs() <= bound, "loss {at}: {loss} instead of {golden}");
        if at == 0 {
            case.compare("grad", &step.layout.trained, &trainer.state(step.gradient).unwrap(), 1e-4);
        }
    }
    case.compare("step3", &step.layout.trained, &trainer.state(step.trained).unwrap(), STATE);
    case.compare("step3", &step.layout.running, &trainer.state(step.running).unwrap(), STATE);
    if let Some([target, running]) = step.target {
        case.compare("target3", &step.target_layout.trained, &trainer.state(target).unwrap(), STATE);
        case.compare("target3", &step.target_layout.running, &trainer.state(running).unwrap(), STATE);
    }
}

/// Makes the tests of one device.
macro_rules! on {
    ($module:ident, $device:expr) => {
        mod $module {
            use super::*;

            #[test]
            fn a_step_with_cross_entropy_on_network_55k_is_pytorchs() {
                matches_pytorch("card_bce", &$device);
            }

            #[test]
            fn a_step_with_focal_loss_on_network_55k_is_pytorchs() {
                matches_pytorch("card_focal", &$device);
            }

            #[test]
            fn a_step_with_focal_loss_on_network_542k_is_pytorchs() {
                matches_pytorch("full_focal", &$device);
            }

            #[test]
            fn a_step_of_simclr_is_pytorchs() {
                matches_pytorch("simclr", &$device);
            }

            #[test]
            fn a_step_of_byol_is_pytorchs() {
                matches_pytorch("byol", &$device);
            }
        }
    };
}

on!(reference, Device::Reference);
on!(cpu, Device::Cpu);
on!(gpu, Device::Gpu);
