//! Plans of single training operations, and their comparison with the reference.

use std::sync::Arc;

use ecgpu::engine::{
    backend::{Backend, gpu::Gpu, reference::Reference},
    kernels::{
        Conv1d, Kernel,
        training::{ChannelSum, Relu, Schedule},
    },
    plan::{BufferId, Builder, Plan},
    random::Random,
};

use crate::nmse;

/// A plan of one training operation, or of several that belong together, with random inputs.
pub struct TrainingPlan {
    pub builder: Builder,
    pub random: Random,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<BufferId>,
    states: Vec<BufferId>,
}

impl TrainingPlan {
    /// Begins an empty plan whose random numbers follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let (builder, random) = (Builder::default(), Random::new(seed, 2));
        Self { builder, random, inputs: Vec::new(), outputs: Vec::new(), states: Vec::new() }
    }

    /// Chooses one of `options` at random.
    pub fn pick<const N: usize>(&mut self, options: [usize; N]) -> usize {
        options[self.random.below(N)]
    }

    /// Draws `count` normally distributed numbers.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.random.normal() as f32).collect()
    }

    /// Adds an input of the given values.
    pub fn input_of(&mut self, shape: [usize; 3], values: Vec<f32>) -> BufferId {
        self.inputs.push(values);
        self.builder.input("input", shape).unwrap()
    }

    /// Adds an input of normally distributed numbers.
    pub fn input(&mut self, shape: [usize; 3]) -> BufferId {
        let values = self.normal(shape.iter().product());
        self.input_of(shape, values)
    }

    /// Adds the input that holds a training step's schedule.
    pub fn schedule(&mut self) -> BufferId {
        let schedule = Schedule {
            step: 7_654_321,
            learning_rate: 0.01,
            corrections: [0.271, 0.003],
            target_momentum: 0.97,
            accumulate: [0.75, 0.25],
            average_decay: 0.9,
        };
        self.input_of([1, 1, Schedule::LEN], schedule.numbers().to_vec())
    }

    /// Adds a step whose output is compared. The output of a convolution that reads it is compared too, as the
    /// convolution also reads the numbers beside the samples. The step writes into memory that held other numbers.
    pub fn step(&mut self, kernel: impl Into<Kernel>, reads: &[BufferId], shape: [usize; 3]) -> BufferId {
        let [batch, in_channels, in_samples] = shape;
        let wider = [batch, in_channels, in_samples + 24];
        let ones = vec![1.0; wider.iter().product()];
        let full = self.input_of(wider, ones);
        let relu = Relu { rows: batch * in_channels, samples: wider[2] };
        let full = self.builder.step("fill", relu, &[full], wider).unwrap();
        let sum = ChannelSum { batch, channels: in_channels, samples: wider[2] };
        self.state_step(sum, &[full], vec![0.0; in_channels]);

        let y = self.builder.step("step", kernel, reads, shape).unwrap();
        let read = self.reader(y);
        self.outputs.extend([y, read]);
        y
    }

    /// Adds a convolution that reads `y`. It needs zeros beside the samples, at an offset that depends on its padding.
    pub fn reader(&mut self, y: BufferId) -> BufferId {
        let [batch, in_channels, in_samples] = self.builder.shape(y);
        let padding = self.random.below(8);
        let (out_channels, kernel) = (2, 2 * padding + 1);
        let weight: Arc<[f32]> = self.normal(out_channels * in_channels * kernel).into();
        let weight = self.builder.constant("weight", &weight).unwrap();
        let bias = self.builder.constant("bias", &vec![0.0; out_channels].into()).unwrap();
        let (out_samples, stride, relu) = (in_samples, 1, false);
        let conv = Conv1d {
            batch,
            in_channels,
            in_samples,
            out_channels,
            out_samples,
            kernel,
            stride,
            padding,
            relu,
            fused_max_pool: false,
        };
        let shape = [batch, out_channels, out_samples];
        self.builder.step("reader", Kernel::Conv1d(conv), &[y, weight, bias], shape).unwrap()
    }

    /// Adds a step that changes a state, which is compared.
    pub fn state_step(&mut self, kernel: impl Into<Kernel>, reads: &[BufferId], state: Vec<f32>) {
        let state = self.builder.state("state", state.into()).unwrap();
        self.builder.step_into("step", kernel, reads, state);
        self.states.push(state);
    }

    /// Returns the plan, its inputs and its states.
    pub fn finish(self) -> (Plan, Vec<Vec<f32>>, Vec<BufferId>) {
        (self.builder.finish(self.outputs), self.inputs, self.states)
    }
}

/// Runs a plan twice. Returns every output and then every state.
fn run(backend: &dyn Backend, plan: &Plan, inputs: &[Vec<f32>], states: &[BufferId]) -> Vec<Vec<f32>> {
    let mut trainer = backend.prepare_training(plan).unwrap();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs = Vec::new();
    trainer.run(&inputs, &mut outputs).unwrap();
    trainer.run(&inputs, &mut outputs).unwrap();
    outputs.extend(states.iter().map(|&state| trainer.state(state).unwrap()));
    outputs
}

/// Compares the plan on a GPU with the float64 reference. Returns the largest normalised mean square error of its
/// outputs and states, or infinity where one is not a number.
pub fn error(gpu: &Gpu, plan: TrainingPlan) -> f64 {
    let (plan, inputs, states) = plan.finish();
    let [exact, computed] = [&Reference as &dyn Backend, gpu].map(|backend| run(backend, &plan, &inputs, &states));
    let errors = computed.iter().zip(&exact).map(|(computed, exact)| nmse(computed, exact));
    errors.map(|error| if error.is_nan() { f64::INFINITY } else { error }).fold(0.0, f64::max)
}
