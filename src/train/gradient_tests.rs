//! Compares gradients with finite differences of the float64 reference, for small networks of unusual shapes.
//!
//! The networks contain every kind of layer and pass through the same plan as a real one. So every backward operation and
//! every pair of consecutive ones is compared, including transposed convolutions of strides that no published network has.

use super::{Heads, Objective, Optimiser, TrainingStep};
use crate::{
    backend::reference::ReferenceExecutor,
    kernels::training::{Schedule, SupervisedLossKind},
    network::{Layer, NamedLayer, Network},
    random::Random,
};

/// A schedule that changes neither parameters nor targets.
const FROZEN: Schedule = Schedule {
    step: 0,
    learning_rate: 0.0,
    corrections: [1.0; 2],
    target_momentum: 1.0,
    accumulate: [0.0, 1.0],
    average_decay: 1.0,
};

/// Half of the distance of the central difference, which in float64 is accurate to about 1e-9.
const STEP: f64 = 1e-5;

fn network(layers: &[Layer]) -> Network {
    let named = |(at, &layer): (usize, &Layer)| NamedLayer { name: format!("layer.{at}"), layer };
    let embedding = layers.len() - 2;
    Network { name: "test".into(), layers: layers.iter().enumerate().map(named).collect(), embedding }
}

fn conv(in_channels: usize, out_channels: usize, [kernel, stride]: [usize; 2], bias: bool) -> Layer {
    Layer::Conv1d { in_channels, out_channels, kernel, stride, padding: kernel / 2, bias }
}

/// Makes a network of two classes with the `middle` layers after a convolution and before the global average pool.
fn around(channels: usize, middle: &[Layer], out: usize) -> Network {
    let end = [Layer::GlobalAveragePool, Layer::Linear { in_features: out, out_features: 2 }];
    network(&[&[conv(3, channels, [3, 1], true)], middle, &end].concat())
}

struct Checked {
    executor: ReferenceExecutor,
    step: TrainingStep,
    inputs: Vec<Vec<f32>>,
    scale: f64,
}

impl Checked {
    fn new(network: &Network, objective: &Objective, records: usize, samples: usize) -> Self {
        let parameters = TrainingStep::initial(network, objective, 3);
        let step = TrainingStep::new(network, objective, &Optimiser::default(), &parameters, [records, samples], None)
            .unwrap();
        let mut random = Random::new(5, 0);
        let mut numbers = |length: usize| (0..length).map(|_| random.normal() as f32).collect::<Vec<f32>>();
        let records = numbers(step.plan.buffers[step.plan.inputs[0]].len());
        let mut inputs = vec![records, FROZEN.numbers().to_vec()];
        // Mixup makes labels between 0 and 1.
        inputs.extend(step.plan.inputs.get(2).map(|&labels| {
            numbers(step.plan.buffers[labels].len()).iter().map(|number| (0.5 + 0.3 * number).clamp(0.0, 1.0)).collect()
        }));
        let mut checked =
            Self { executor: ReferenceExecutor::new(&step.plan), step, inputs, scale: objective.loss_scale() };
        // Random weights and biases of batch norm; 1 and 0 would hide errors of what depends on them.
        let trained = checked.step.trained;
        for value in &mut checked.executor.state_mut(trained)[..] {
            *value += 0.1 * random.normal();
        }
        checked
    }

    fn loss(&mut self) -> f64 {
        let inputs: Vec<&[f32]> = self.inputs.iter().map(Vec::as_slice).collect();
        let losses = self.executor.run_exact(&inputs).unwrap().remove(0);
        self.scale * losses.iter().sum::<f64>() / losses.len() as f64
    }

    /// Returns the loss after a change of one parameter.
    fn loss_at(&mut self, parameter: usize, by: f64) -> f64 {
        let trained = self.step.trained;
        let value = self.executor.state_mut(trained)[parameter];
        self.executor.state_mut(trained)[parameter] = value + by;
        let loss = self.loss();
        self.executor.state_mut(trained)[parameter] = value;
        loss
    }

    /// Compares about five elements of every tensor.
    fn check(&mut self, what: &str) {
        let loss = self.loss();
        let gradient = self.executor.values(self.step.gradient).to_vec();
        let largest = gradient.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        assert!(loss.is_finite() && largest > 0.0, "{what}: loss {loss}, gradient up to {largest}");
        for tensor in self.step.layout.trained.clone() {
            for at in (0..tensor.elements()).step_by(tensor.elements().div_ceil(5)) {
                let [above, below] = [STEP, -STEP].map(|by| self.loss_at(tensor.offset + at, by));
                let [right, left] = [(above - loss) / STEP, (loss - below) / STEP];
                // The one-sided differences disagree at the kink of a ReLU or a maximum.
                if (right - left).abs() > 1e-3 * (right.abs() + left.abs()) + 1e-4 * largest {
                    continue;
                }
                let (numeric, exact) = ((above - below) / (2.0 * STEP), gradient[tensor.offset + at]);
                let error = (numeric - exact).abs();
                let bound = 1e-5 * numeric.abs().max(largest);
                assert!(error <= bound, "{what}: {}[{at}] is {exact}, by differences {numeric}", tensor.name);
            }
        }
    }
}

fn supervised(loss: SupervisedLossKind) -> Objective {
    Objective::Supervised { loss, class_weights: vec![0.7, 1.3] }
}

fn check(what: &str, network: &Network, samples: usize) {
    Checked::new(network, &supervised(SupervisedLossKind::CROSS_ENTROPY), 3, samples).check(what);
}

#[test]
fn gradients_of_convolutions_of_many_sizes_and_strides() {
    for (channels, sizes, samples) in [
        (1, [1, 1], 5),
        (3, [7, 2], 17),
        (7, [5, 3], 11),
        (12, [4, 2], 13),
        (31, [3, 1], 7),
        (3, [11, 2], 5),
        (3, [2, 4], 19),
        (7, [9, 1], 4),
    ] {
        for bias in [false, true] {
            let middle = [conv(channels, 5, sizes, bias), Layer::Relu];
            check(&format!("{channels} channels, kernel and stride {sizes:?}"), &around(channels, &middle, 5), samples);
        }
    }
}

#[test]
fn gradients_of_batch_norm_alone_and_before_a_relu() {
    for channels in [1, 3, 31] {
        let norm = Layer::BatchNorm { channels };
        check("batch norm", &around(channels, &[norm, conv(channels, 4, [3, 1], false)], 4), 9);
        check("batch norm and ReLU", &around(channels, &[norm, Layer::Relu, conv(channels, 4, [3, 2], false)], 4), 9);
    }
}

#[test]
fn gradients_of_max_pools_with_adjacent_overlapping_and_separate_windows() {
    for [kernel, stride] in [[2, 2], [3, 2], [2, 3], [5, 1]] {
        let middle = [Layer::MaxPool { kernel, stride }, conv(7, 4, [3, 1], true)];
        check(&format!("max pool {kernel} {stride}"), &around(7, &middle, 4), 17);
    }
}

#[test]
fn gradients_of_linear_layers_with_relu_and_batch_norm() {
    let linear = |in_features, out_features| Layer::Linear { in_features, out_features };
    let layers = [
        conv(3, 7, [3, 1], true),
        Layer::GlobalAveragePool,
        linear(7, 12),
        Layer::Relu,
        linear(12, 31),
        Layer::BatchNorm { channels: 31 },
        linear(31, 2),
    ];
    check("linear layers", &network(&layers), 6);
}

/// A convolution follows the batch norm. A global average pool directly after a batch norm would make all gradients zero.
fn small_encoder() -> Network {
    around(7, &[Layer::BatchNorm { channels: 7 }, Layer::Relu, conv(7, 6, [3, 2], false), Layer::Relu], 6)
}

#[test]
fn gradients_of_every_objective() {
    let network = small_encoder();
    Checked::new(&network, &supervised(SupervisedLossKind::FOCAL), 4, 13).check("focal loss");
    let heads = Heads { hidden: 5, out: 3 };
    Checked::new(&network, &Objective::SimClr { temperature: 0.5, heads }, 4, 13).check("SimCLR");
    Checked::new(&network, &Objective::Byol { heads }, 4, 13).check("BYOL");
}

#[test]
fn batches_too_small_for_the_objective_are_refused() {
    let heads = Heads { hidden: 5, out: 3 };
    let network = small_encoder();
    let refused = |objective: &Objective, records| {
        let parameters = TrainingStep::initial(&network, objective, 3);
        let step = TrainingStep::new(&network, objective, &Optimiser::default(), &parameters, [records, 13], None);
        step.map(|_| ()).unwrap_err().to_string()
    };
    let one = refused(&Objective::SimClr { temperature: 0.5, heads }, 1);
    assert!(one.contains("NT-Xent with 1 record"), "{one}");
    let one = refused(&Objective::Byol { heads }, 1);
    assert!(one.contains("projector.1: batch norm of one number per channel"), "{one}");
    for temperature in [0.0, -1.0, f32::NAN] {
        let cold = refused(&Objective::SimClr { temperature, heads }, 4);
        assert!(cold.contains("a temperature of"), "{cold}");
    }
    let loss = SupervisedLossKind::FOCAL;
    let weights = refused(&Objective::Supervised { loss, class_weights: vec![1.0] }, 4);
    assert!(weights.contains("class weights [1.0] for a network of 2 classes"), "{weights}");
}
