//! Every operation of training on the GPU beside the float64 reference, alone or with those it needs, on awkward shapes;
//! a wrong shader of each is noticed; and whole steps repeat to the bit.

use std::sync::Arc;

use ecgpu::{
    ErrorKind,
    engine::backend::{
        Backend,
        gpu::{Gpu, adapters},
        reference::Reference,
    },
    engine::kernels::{
        Conv1d, Kernel,
        training::{augment::*, *},
    },
    engine::network::published::model_card_55k,
    engine::plan::{BufferId, Builder, Plan},
    engine::random::Random,
    engine::verify::LARGEST_NMSE,
    train::{Objective, Optimiser, TrainingStep},
};
use ecgpu_testing::{nmse, skip};

fn gpu() -> Option<Gpu> {
    match adapters().first() {
        Some(adapter) => Some(Gpu::open(adapter).unwrap()),
        None => {
            skip("no Vulkan, Metal or DX12 adapter");
            None
        }
    }
}

/// A plan of one operation, or of some that belong together, on random numbers.
struct Case {
    builder: Builder,
    random: Random,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<BufferId>,
    states: Vec<BufferId>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let (builder, random) = (Builder::default(), Random::new(seed, 2));
        Self { builder, random, inputs: Vec::new(), outputs: Vec::new(), states: Vec::new() }
    }

    fn pick<const N: usize>(&mut self, options: [usize; N]) -> usize {
        options[self.random.below(N)]
    }

    fn normal(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.random.normal() as f32).collect()
    }

    fn input_of(&mut self, shape: [usize; 3], values: Vec<f32>) -> BufferId {
        self.inputs.push(values);
        self.builder.input("input", shape).unwrap()
    }

    /// An input of normal numbers.
    fn input(&mut self, shape: [usize; 3]) -> BufferId {
        let values = self.normal(shape.iter().product());
        self.input_of(shape, values)
    }

    fn schedule(&mut self) -> BufferId {
        let schedule = Schedule {
            step: 7_654_321,
            learning_rate: 0.01,
            corrections: [0.271, 0.003],
            target_momentum: 0.97,
            accumulate: [0.75, 0.25],
        };
        self.input_of([1, 1, Schedule::LEN], schedule.numbers().to_vec())
    }

    /// A step whose output is compared, and so is what a convolution makes of it, which reads beside the samples. The
    /// step writes into memory that was full of other numbers.
    fn step(&mut self, kernel: impl Into<Kernel>, reads: &[BufferId], shape: [usize; 3]) -> BufferId {
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

    /// A convolution, which wants zeros beside the samples that it reads, and these to start where it likes.
    fn reader(&mut self, y: BufferId) -> BufferId {
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

    /// A step that changes a state, which is compared.
    fn state_step(&mut self, kernel: impl Into<Kernel>, reads: &[BufferId], state: Vec<f32>) {
        let state = self.builder.state("state", state.into()).unwrap();
        self.builder.step_into("step", kernel, reads, state);
        self.states.push(state);
    }

    fn finish(self) -> (Plan, Vec<Vec<f32>>, Vec<BufferId>) {
        (self.builder.finish(self.outputs), self.inputs, self.states)
    }
}

/// What a backend gives: every output, then every state, after two runs.
fn run(backend: &dyn Backend, plan: &Plan, inputs: &[Vec<f32>], states: &[BufferId]) -> Vec<Vec<f32>> {
    let mut trainer = backend.prepare_training(plan).unwrap();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs = Vec::new();
    trainer.run(&inputs, &mut outputs).unwrap();
    trainer.run(&inputs, &mut outputs).unwrap();
    outputs.extend(states.iter().map(|&state| trainer.state(state).unwrap()));
    outputs
}

/// The largest normalised mean square error of a case's outputs and states, NaN being the largest.
fn error(gpu: &Gpu, case: Case) -> f64 {
    let (plan, inputs, states) = case.finish();
    let [exact, computed] = [&Reference as &dyn Backend, gpu].map(|backend| run(backend, &plan, &inputs, &states));
    let errors = computed.iter().zip(&exact).map(|(computed, exact)| nmse(computed, exact));
    errors.map(|error| if error.is_nan() { f64::INFINITY } else { error }).fold(0.0, f64::max)
}

/// The bound that `verify` has; rounding gives 8e-13 at most.
const LARGEST: f64 = LARGEST_NMSE;
const CASES: u64 = 6;

const CHANNELS: [usize; 5] = [1, 3, 7, 12, 31];
const SAMPLES: [usize; 5] = [1, 2, 5, 33, 70];
const BATCHES: [usize; 3] = [1, 2, 33];

/// Cases of the operations that some shaders run.
type Cases = fn(u64) -> Case;

fn relu(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let shape @ [batch, channels, samples] = [case.pick(BATCHES), case.pick(CHANNELS), case.pick(SAMPLES)];
    let [x, dy] = [case.input(shape), case.input(shape)];
    case.step(Relu { rows: batch * channels, samples }, &[x], shape);
    case.step(ReluGradient { rows: batch * channels, samples }, &[x, dy], shape);
    case
}

fn batch_norm(seed: u64) -> Case {
    let mut case = Case::new(seed);
    // Of fewer numbers the gradient is next to nothing, as all are explained by their mean and variance.
    let (batch, samples) = [(1, 33), (33, 1), (2, 70), (3, 5), (19, 13)][seed as usize % 5];
    let (groups, channels, relu) = (1 + seed as usize % 2, case.pick(CHANNELS), seed % 3 < 2);
    let (sizes, shape) = (Groups { groups, batch, channels, samples }, [groups * batch, channels, samples]);
    let [x, dy, affine] = [case.input(shape), case.input(shape), case.input([1, 1, 2 * channels])];
    let statistics = case.step(BatchStatistics(sizes), &[x], [groups, 2 * channels, 1]);
    case.state_step(RunningStatistics { sizes, momentum: 0.1 }, &[statistics], vec![0.5; 2 * channels]);
    case.step(BatchNorm { sizes, relu }, &[x, statistics, affine], shape);
    let reads = [x, statistics, affine, dy];
    let sums = case.step(BatchNormGradientSums { sizes, relu }, &reads, [groups, 2 * channels, 1]);
    case.step(BatchNormInputGradient { sizes, relu }, &[x, statistics, affine, sums, dy], shape);
    case
}

fn channel_sum(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let [batch, channels, samples] = [case.pick(BATCHES), case.pick(CHANNELS), case.pick([1, 5, 16, 130])];
    let x = case.input([batch, channels, samples]);
    case.state_step(ChannelSum { batch, channels, samples }, &[x], vec![0.0; channels]);
    case
}

fn gather(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let (from, length) = (case.pick([1, 7, 200]), case.pick([1, 63, 64, 300]));
    let order = (0..length).map(|_| case.random.below(from + 1) as f32).collect();
    let (x, order) = (case.input([1, 1, from]), case.input_of([1, 1, length], order));
    case.step(Gather { from, length }, &[x, order], [1, 1, length]);
    case
}

fn interleave(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let [batch, channels, in_samples] = [case.pick(BATCHES), case.pick(CHANNELS), case.pick(SAMPLES)];
    let factor = case.pick([2, 3]);
    let out_samples = factor * in_samples - case.random.below(factor);
    let x = case.input([batch, factor * channels, in_samples]);
    let kernel = DepthToSpace { batch, channels, factor, in_samples, out_samples };
    case.step(kernel, &[x], [batch, channels, out_samples]);
    case
}

fn pool_gradients(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let [batch, channels, in_samples] = [case.pick(BATCHES), case.pick(CHANNELS), case.pick([3, 5, 33, 70])];
    let (kernel, stride, rows) = (case.pick([1, 2, 3]), case.pick([1, 2, 3]), batch * channels);
    let out_samples = (in_samples - kernel) / stride + 1;
    let (x, dy) = (case.input([batch, channels, in_samples]), case.input([batch, channels, out_samples]));
    let max = MaxPoolGradient { batch, channels, in_samples, out_samples, kernel, stride };
    case.step(max, &[x, dy], [batch, channels, in_samples]);
    let dy = case.input([batch, channels, 1]);
    let average = GlobalAveragePoolGradient { rows, samples: in_samples };
    case.step(average, &[dy], [batch, channels, in_samples]);
    case
}

fn dropout(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let shape @ [batch, channels, samples] = [case.pick(BATCHES), case.pick(CHANNELS), case.pick(SAMPLES)];
    let (x, schedule) = (case.input(shape), case.schedule());
    let (rate, seed) = ([0.1, 0.5, 0.9][seed as usize % 3], u64::MAX / (seed + 2));
    case.step(Dropout { rows: batch * channels, samples, rate, seed }, &[x, schedule], shape);
    case
}

fn nt_xent(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let (rows, features) = (case.pick([4, 6, 66, 130]), case.pick([3, 12, 31, 64, 70]));
    let (shape, temperature) = ([rows, features, 1], [0.07, 0.5][seed as usize % 2]);
    let x = case.input(shape);
    let z = case.step(L2Normalise { rows, features }, &[x], shape);
    let similarity = Similarity { rows, features, temperature };
    let similarities = case.step(similarity.clone(), &[z], [1, rows, rows]);
    let losses = case.step(NtXentLoss { rows }, &[similarities], [1, 1, rows]);
    let dz = case.step(NtXentGradient(similarity), &[z, similarities, losses], shape);
    case.step(L2NormaliseGradient { rows, features }, &[x, dz], shape);
    case
}

fn cosine_loss(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let (rows, features) = (case.pick([2, 6, 66]), case.pick([3, 12, 31, 64, 130]));
    let (shape, loss) = ([rows, features, 1], CosineLoss { rows, features });
    let [p, t] = [case.input(shape), case.input(shape)];
    case.step(loss.clone(), &[p, t], [1, 1, rows]);
    case.step(CosineLossGradient(loss), &[p, t], shape);
    case
}

fn supervised_loss(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let (batch, classes) = (case.pick(BATCHES), case.pick([1, 5, 12]));
    let shape = [batch, classes, 1];
    let logits = case.normal(batch * classes).iter().map(|z| 6.0 * z).collect();
    // Labels of single records and of mixed ones.
    let labels = (0..batch * classes).map(|_| (1.5 * case.random.uniform() - 0.25).clamp(0.0, 1.0) as f32).collect();
    let weights = (0..classes).map(|_| case.random.between(0.1, 3.0) as f32).collect();
    let reads = [case.input_of(shape, logits), case.input_of(shape, labels), case.input_of([1, 1, classes], weights)];
    let kind = [SupervisedLossKind::FOCAL, SupervisedLossKind::CROSS_ENTROPY][seed as usize % 2];
    let loss = SupervisedLoss { batch, classes, kind };
    case.step(loss.clone(), &reads, [1, 1, batch]);
    case.step(SupervisedLossGradient(loss), &reads, shape);
    case
}

fn adam(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let length = case.pick([5, 64, 1025, 70_001]);
    let mut values = case.normal(length);
    // What is not finite stays as it is, and nothing is clipped.
    values[length / 2] = if seed % 3 == 2 { f32::NAN } else { 1.0 };
    let gradient = case.input_of([1, 1, length], values);
    let mut reads = vec![gradient, case.schedule()];
    let clip = seed.is_multiple_of(2).then_some(0.5);
    if clip.is_some() {
        let squares = SquaredSums { length };
        // A sum that is NaN is for the optimiser to deal with, not to be compared.
        let shape = [1, 1, SquaredSums::STRETCHES];
        reads.push(case.builder.step("squares", squares, &[gradient], shape).unwrap());
    }
    let mut state = case.normal(3 * length);
    state[2 * length..].iter_mut().for_each(|second| *second *= *second);
    let (betas, epsilon, weight_decay) = ([0.9, 0.999], 1e-8, [0.0, 0.1][seed as usize % 2]);
    case.state_step(Adam { length, betas, epsilon, weight_decay, clip }, &reads, state);
    case
}

fn squared_sums(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let length = case.pick([1, 255, 257, 70_000]);
    let x = case.input([1, 1, length]);
    case.step(SquaredSums { length }, &[x], [1, 1, SquaredSums::STRETCHES]);
    case
}

fn blends(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let length = case.pick([1, 65, 3000]);
    let (x, schedule) = (case.input([1, 1, length]), case.schedule());
    let states = [case.normal(length), case.normal(length)];
    let [average, sum] = states;
    case.state_step(LinearInterpolation { length, factors: Schedule::TARGET }, &[x, schedule], average);
    case.state_step(LinearInterpolation { length, factors: Schedule::ACCUMULATE }, &[x, schedule], sum);
    // What nothing is kept of may be anything.
    let mut forgetful =
        Schedule { step: 0, learning_rate: 0.0, corrections: [1.0; 2], target_momentum: 0.0, accumulate: [0.0, 1.0] }
            .numbers()
            .to_vec();
    forgetful[Schedule::ACCUMULATE] = 0.0;
    let schedule = case.input_of([1, 1, Schedule::LEN], forgetful);
    case.state_step(
        LinearInterpolation { length, factors: Schedule::ACCUMULATE },
        &[x, schedule],
        vec![f32::NAN; length],
    );
    case
}

fn weight_gradient(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let [batch, in_channels, out_channels] = [case.pick(BATCHES), case.pick(CHANNELS), case.pick(CHANNELS)];
    let (kernel, stride) = (case.pick([1, 2, 3, 5, 7, 11]), case.pick([1, 2, 3]));
    let padding = case.random.below(kernel + 1);
    let in_samples = case.pick([1, 2, 5, 33, 70]).max(kernel.saturating_sub(2 * padding));
    let out_samples = (in_samples + 2 * padding - kernel) / stride + 1;
    let x = case.input([batch, in_channels, in_samples]);
    let shape = [batch, out_channels, out_samples];
    let dy = case.input(shape);
    // As in training dy comes from batch norm, or from ReLU, with the rows that these want.
    let dy =
        case.builder.step("relu", Relu { rows: batch * out_channels, samples: out_samples }, &[dy], shape).unwrap();
    case.reader(x);
    case.reader(dy);
    let gradient =
        Conv1dWeightGradient { batch, in_channels, in_samples, out_channels, out_samples, kernel, stride, padding };
    case.state_step(gradient, &[x, dy], vec![0.0; out_channels * in_channels * kernel]);
    case
}

/// A record so long that its sum is made in parts.
fn long_weight_gradient(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let (batch, in_samples, channels, kernel) = (5, 2001, 3, 7);
    let shape = [batch, channels, in_samples];
    let (x, dy) = (case.input(shape), case.input(shape));
    let (in_channels, out_channels, out_samples) = (channels, channels, in_samples);
    let dy = case.builder.step("relu", Relu { rows: batch * channels, samples: in_samples }, &[dy], shape).unwrap();
    let gradient = Conv1dWeightGradient {
        batch,
        in_channels,
        in_samples,
        out_channels,
        out_samples,
        kernel,
        stride: 1,
        padding: 3,
    };
    case.state_step(gradient, &[x, dy], vec![0.0; channels * channels * kernel]);
    case
}

/// A linear layer's, whose sum is over the records, and more channels than a workgroup takes.
fn wide_weight_gradient(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let (linear, batch) = (seed.is_multiple_of(2), case.pick([1, 34, 160]));
    let channels @ [in_channels, out_channels] = [case.pick([7, 67, 130]), case.pick([5, 67, 130])];
    let (kernel, samples) = if linear { (1, 1) } else { (3, 5) };
    let [x, dy] = channels.map(|channels| {
        let shape = [batch, channels, samples];
        let input = case.input(shape);
        case.step(Relu { rows: batch * channels, samples }, &[input], shape)
    });
    let gradient = Conv1dWeightGradient {
        batch,
        in_channels,
        in_samples: samples,
        out_channels,
        out_samples: samples,
        kernel,
        stride: 1,
        padding: kernel / 2,
    };
    case.state_step(gradient, &[x, dy], vec![0.0; out_channels * in_channels * kernel]);
    case
}

fn augmentations(seed: u64) -> Case {
    let mut case = Case::new(seed);
    let (views, records, leads) = (1 + seed as usize % 2, case.pick([2, 3, 33]), case.pick(CHANNELS));
    let (samples, rows, sampling_rate, seed) = (case.pick([5, 33, 70]), views * records, 100.0, u64::MAX / (seed + 2));
    let shape = [rows, leads, samples];
    let (x, schedule) = (case.input(shape), case.schedule());
    let segment = [1.0, samples as f32 - 2.0];
    let ranges = [[0.9, 1.1], [0.0; 2], [0.5, 1.5], segment, [0.5, 2.0], [0.1, 0.2], segment];
    let setting = |range| Setting { rate: 0.6, range, second: [30.0, 45.0] }.numbers();
    let settings: Vec<f32> = ranges.into_iter().flat_map(setting).collect();
    let settings = case.builder.constant("settings", &settings.into()).unwrap();
    let quantiles: Vec<f32> = (0..Draw::QUANTILES).map(|at| at as f32 / 600.0).collect();
    let quantiles = case.builder.constant("quantiles", &quantiles.into()).unwrap();
    let draw = Draw { rows, records, samples, seed };
    let draws = case.step(draw, &[schedule, settings, quantiles], [rows, 1, Draws::LEN]);

    let labels = case.input([rows, 5, 1]);
    case.step(MixLabels { rows, classes: 5, samples }, &[labels, draws], [rows, 5, 1]);
    let x = case.step(TimeWarp { rows, leads, samples }, &[x, draws], shape);
    let x = case.step(BandPass { rows, leads, samples, sampling_rate }, &[x, draws], shape);
    let x = case.step(Mix { rows, leads, samples }, &[x, draws], shape);
    let sizes = Groups { groups: rows, batch: 1, channels: leads, samples };
    let statistics = case.step(BatchStatistics(sizes), &[x], [rows, 2 * leads, 1]);
    // Each lead follows from itself and half of the next.
    let sources: Vec<f32> = (0..leads).flat_map(|l| [l as f32, 1.0, ((l + 1) % leads) as f32, 0.5]).collect();
    let sources = case.builder.constant("sources", &sources.into()).unwrap();
    let noise = WanderAndNoise { rows, leads, samples, sampling_rate, amplitude: [0.1, 0.5], seed };
    let x = case.step(noise, &[x, draws, statistics, sources, schedule], shape);
    case.step(TemporalDropout { rows, leads, samples }, &[x, draws], shape);
    case
}

const ALL: [(&str, Cases); 17] = [
    ("augmentations", augmentations),
    ("ReLU", relu),
    ("batch norm", batch_norm),
    ("sum of each channel", channel_sum),
    ("gather", gather),
    ("depth_to_space", interleave),
    ("pool gradients", pool_gradients),
    ("dropout", dropout),
    ("NT-Xent", nt_xent),
    ("cosine loss", cosine_loss),
    ("supervised loss", supervised_loss),
    ("Adam", adam),
    ("squared sums", squared_sums),
    ("running sums", blends),
    ("weight gradient", weight_gradient),
    ("long weight gradient", long_weight_gradient),
    ("wide weight gradient", wide_weight_gradient),
];

#[test]
fn every_operation_agrees_in_the_variant_that_runs_everywhere() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_variant("plain");
    for (name, cases) in ALL {
        for seed in 0..CASES {
            let error = error(&gpu, cases(seed));
            assert!(error <= LARGEST, "{name}, seed {seed}: {error:.1e}");
        }
    }
}

#[test]
fn every_other_variant_agrees() {
    for (variant, name, cases) in [
        ("many", "batch norm", batch_norm as Cases),
        ("columns", "sum of each channel", channel_sum),
        ("slices", "sum of each channel", channel_sum),
        ("subgroups", "weight gradient", weight_gradient),
        ("subgroups", "long weight gradient", long_weight_gradient),
        ("subgroups", "wide weight gradient", wide_weight_gradient),
        ("tile", "weight gradient", weight_gradient),
        ("tile", "wide weight gradient", wide_weight_gradient),
        ("tile", "long weight gradient", long_weight_gradient),
    ] {
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_variant(variant);
        for seed in 0..CASES {
            let error = error(&gpu, cases(seed));
            assert!(error <= LARGEST, "{name} as {variant}, seed {seed}: {error:.1e}");
        }
    }
}

/// Whether the comparison notices a GPU whose shader `name` has `wrong` in place of `right`.
fn caught(cases: Cases, name: &'static str, right: &'static str, wrong: &'static str) {
    let Some(gpu) = gpu() else { return };
    if name.ends_with("subgroups") && gpu.accelerator().subgroup_size != Some(8) {
        return skip("subgroups are not of eight lanes");
    }
    let shader = format!("training/{name}");
    let edit = move |edited: &str, source: &str| {
        if edited != shader {
            return source.to_string();
        }
        assert!(source.contains(right), "shaders/{shader}.wgsl no longer has `{right}`: sabotage it anew");
        source.replace(right, wrong)
    };
    let of_many = name.split_once('/').filter(|(folder, _)| *folder != "augment");
    let variant = of_many.map_or("plain", |(_, variant)| variant);
    let gpu = gpu.with_variant(variant).with_edited_shaders(Arc::new(edit));
    let noticed = (0..CASES).any(|seed| error(&gpu, cases(seed)) > LARGEST);
    assert!(noticed, "{name} with `{wrong}` passed unnoticed");
}

#[test]
fn a_wrong_sign_is_caught() {
    caught(batch_norm, "batch_norm_input_gradient", "(passed - beta_mean", "(passed + beta_mean");
    caught(adam, "adam", "state[w_at] = w - rate", "state[w_at] = w + rate");
    caught(supervised_loss, "supervised_loss", "* vec2(1.0, -1.0)", "");
    caught(cosine_loss, "cosine_loss", "2.0 - 2.0 *", "2.0 + 2.0 *");
    caught(cosine_loss, "cosine_loss_gradient", "-2.0 * slope", "2.0 * slope");
    caught(relu, "relu_gradient", "> vec4(0.0)", "< vec4(0.0)");
    caught(nt_xent, "l2_normalise_gradient", "* along;", "* -along;");
}

#[test]
fn a_missing_term_of_batch_norm_is_caught() {
    caught(batch_norm, "batch_norm_input_gradient", " - normalised * gamma_mean", "");
    caught(batch_norm, "batch_norm_input_gradient", " - beta_mean", "");
    caught(batch_norm, "batch_norm", " + beta;", ";");
    caught(batch_norm, "batch_norm_gradient_sums", "passed * normalised;", "passed;");
    caught(batch_norm, "batch_statistics", "select(vec4(0.0), x[first + i] - mean, inside)", "x[first + i] - mean");
    caught(batch_norm, "running_statistics", "select(UNBIASED, 1.0, i < sizes.channels)", "1.0");
}

#[test]
fn groups_that_are_mixed_are_caught() {
    caught(batch_norm, "batch_statistics", "(g * sizes.batch + b)", "b");
    caught(batch_norm, "batch_norm", "(g * 2 * norm.channels + c)", "c");
}

/// As the published training code has it: the positive of a row of the first half is the row itself.
#[test]
fn wrong_pairs_are_caught() {
    let positive = "let positive = (i + sizes.rows / 2) % sizes.rows;";
    let wrong = "let positive = select(i - sizes.rows / 2, i, i < sizes.rows / 2);";
    caught(nt_xent, "nt_xent_loss", positive, wrong);
    caught(nt_xent, "nt_xent_gradient", positive, wrong);
    caught(nt_xent, "nt_xent_gradient", "q(i, j) + q(j, i)", "2.0 * q(i, j)");
    caught(nt_xent, "nt_xent_loss", "j != i", "true");
    caught(nt_xent, "similarity", "/ TEMPERATURE", "* TEMPERATURE");
    caught(cosine_loss, "cosine_loss", "(i + sizes.rows / 2) % sizes.rows", "i");
}

#[test]
fn a_weight_gradient_off_by_one_is_caught() {
    let plain = "conv1d_weight_gradient/plain";
    caught(weight_gradient, plain, "% KERNEL - PADDING;", "% KERNEL - PADDING + 1;");
    caught(weight_gradient, plain, "t < sizes.out_samples", "t + 1 < sizes.out_samples");
    caught(long_weight_gradient, plain, "part * RECORDS;", "part * (RECORDS - 1);");
    let subgroups = "conv1d_weight_gradient/subgroups";
    caught(weight_gradient, subgroups, "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4");
    caught(weight_gradient, subgroups, "< quads);", "< 2 * quads);");
    caught(weight_gradient, subgroups, "o < sizes.out_channels &&", "o + 1 < sizes.out_channels &&");
    let tile = "conv1d_weight_gradient/tile";
    caught(weight_gradient, tile, "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4");
    caught(weight_gradient, tile, "< vec4(sizes.terms)", "< vec4(2 * sizes.terms)");
    caught(weight_gradient, tile, "tap < taps", "tap + 1 < taps");
    caught(weight_gradient, tile, "row % 4 * LANES", "row % 4");
    caught(long_weight_gradient, tile, "from_quad * STRIDE +", "");
    caught(weight_gradient, tile, "+ q * STRIDE;", "+ q;");
    caught(long_weight_gradient, tile, "part * STRETCHES;", "part * (STRETCHES - 1);");
    caught(wide_weight_gradient, tile, "group.y * OUT_CHANNELS;", "0u;");
    caught(wide_weight_gradient, tile, "< vec4(sizes.terms)", "< vec4(sizes.terms + 1)");
}

#[test]
fn a_row_that_does_not_end_in_zeros_is_caught() {
    caught(batch_norm, "batch_norm", "select(vec4(0.0), rectified, inside)", "rectified");
    caught(batch_norm, "batch_norm_input_gradient", "select(vec4(0.0), value, inside)", "value");
    caught(pool_gradients, "global_average_pool_gradient", "select(vec4(0.0), vec4(value), inside)", "vec4(value)");
    caught(interleave, "depth_to_space", "if t < sizes.out_samples {", "if true {");
    caught(gather, "gather", "var value = 0.0;", "var value = select(1.0, 0.0, i < gather.length);");
    caught(dropout, "dropout", "if t < dropout.samples {", "if true {");
    caught(nt_xent, "nt_xent_loss", "loss[sizes.loss_head + at] = 0.0;", "loss[sizes.loss_head + at] = 1.0;");
}

#[test]
fn wrong_random_words_are_caught() {
    caught(dropout, "dropout", " + (other >> 16), a * b", ", a * b");
    caught(dropout, "dropout", "KEY_0, KEY_1", "KEY_1, KEY_0");
    caught(dropout, "dropout", "words[i % 4]", "words.x");
    caught(dropout, "dropout", "schedule[dropout.schedule_first + STEP]", "0.0");
}

#[test]
fn a_wrong_augmentation_is_caught() {
    for (name, right, wrong) in [
        ("augment/draw", "augmentation + 1));", "augmentation));"),
        ("augment/draw", "record + 1 + below", "record + below"),
        ("augment/draw", "unit(words.x) < setting", "unit(words.x) <= 0.9 * setting"),
        ("augment/time_warp", "if t < sizes.samples {", "if true {"),
        ("augment/time_warp", "max(at, 1) - 1", "at"),
        ("augment/time_warp", "let row = channel / sizes.leads", "let row = channel % sizes.leads"),
        ("augment/band_pass", "select(t, last - t, backward)", "t"),
        ("augment/band_pass", "left[stretch] + keep * state", "left[stretch] + state"),
        ("augment/band_pass", "i < before + sizes.samples", "i + 1 < before + sizes.samples"),
        ("augment/band_pass", "var value = 0.0;", "var value = 1.0;"),
        ("augment/mix", "if t < sizes.samples {", "if true {"),
        ("augment/mix", "- value);", "+ value);"),
        ("augment/mix_labels", "value += replaced", "value += 0.5 * replaced"),
        ("augment/mix_labels", "if t == 0 {", "if true {"),
        ("augment/wander_and_noise", "y[row + t] = 0.0;", "y[row + t] = 1.0;"),
        ("augment/wander_and_noise", "NOISE_DOMAIN: u32 = 9;", "NOISE_DOMAIN: u32 = 10;"),
        ("augment/wander_and_noise", "radius.xxyy", "radius.xyxy"),
        ("augment/wander_and_noise", "weight * wander", "wander"),
        ("augment/temporal_dropout", "f32(t + 1 - start)", "f32(t - start)"),
        ("augment/temporal_dropout", "var value = 0.0;", "var value = 1.0;"),
    ] {
        caught(augmentations, name, right, wrong);
    }
}

#[test]
fn other_mistakes_are_caught() {
    caught(adam, "adam", "return select(1.0, LARGEST_NORM / norm, norm > LARGEST_NORM);", "return 1.0;");
    caught(adam, "adam", "!is_finite(g)", "false");
    caught(adam, "squared_sums", "sum += value * value;", "sum += value;");
    caught(squared_sums, "squared_sums", "(s + 1) * sizes.stretch", "(s + 1) * sizes.stretch - 1");
    caught(supervised_loss, "supervised_loss", "factor *= wrong;", "factor *= right;");
    caught(pool_gradients, "max_pool_gradient", "other > value", "other >= value || i % 2 == 1");
    caught(interleave, "depth_to_space", " + t % FACTOR)", ")");
    caught(channel_sum, "channel_sum/plain", "lane < half", "lane + 1 < half");
    caught(channel_sum, "channel_sum/columns", "b < sizes.batch", "b < 1");
    caught(channel_sum, "channel_sum/slices", "b += SLICES", "b += 2 * SLICES");
    caught(channel_sum, "channel_sum/slices", "half >= CHANNELS", "half > CHANNELS");
    caught(blends, "linear_interpolation", "share * x", "kept * x");
    caught(blends, "linear_interpolation", "select(kept * state[at], 0.0, kept == 0.0)", "kept * state[at]");
    caught(gather, "gather", "place - 1", "place");
    caught(relu, "relu", "max(x[relu.first + i], vec4(0.0))", "x[relu.first + i]");
    caught(nt_xent, "l2_normalise", "max(sqrt(partial[0]), SMALLEST_NORM)", "partial[0]");
}

fn step_of(records: usize) -> TrainingStep {
    let loss = SupervisedLossKind::FOCAL;
    let objective = Objective::Supervised { loss, class_weights: vec![1.0, 2.0, 1.0, 3.0, 1.0] };
    let parameters = TrainingStep::initial(&model_card_55k(), &objective, 3);
    TrainingStep::new(&model_card_55k(), &objective, &Optimiser::default(), &parameters, [records, 250], None).unwrap()
}

/// The losses and the parameters after two steps.
fn two_steps(gpu: &Gpu, step: &TrainingStep) -> [Vec<f32>; 2] {
    let mut trainer = gpu.prepare_training(&step.plan).unwrap();
    let mut random = Random::new(5, 5);
    let mut input = |at: usize| -> Vec<f32> {
        (0..step.plan.buffers[step.plan.inputs[at]].len()).map(|_| random.uniform() as f32).collect()
    };
    let (records, labels) = (input(0), input(2));
    let (learning_rate, corrections, accumulate) = (1e-3, [0.1, 0.001], [0.0, 1.0]);
    let schedule = Schedule { step: 0, learning_rate, corrections, target_momentum: 0.0, accumulate }.numbers();
    let mut outputs = Vec::new();
    for _ in 0..2 {
        trainer.run(&[&records, &schedule, &labels], &mut outputs).unwrap();
    }
    [outputs.swap_remove(0), trainer.state(step.trained).unwrap()]
}

/// The gradient of a step, of which the weights are packed on the device in another order for each variant.
#[test]
fn every_variant_of_the_convolution_serves_training() {
    let step = step_of(3);
    let gradient = |backend: &dyn Backend| {
        let mut trainer = backend.prepare_training(&step.plan).unwrap();
        let inputs = step.plan.inputs.iter().map(|&id| vec![0.5; step.plan.buffers[id].len()]);
        let mut inputs: Vec<Vec<f32>> = inputs.collect();
        inputs[0] = Case::new(8).normal(inputs[0].len());
        trainer.run(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut Vec::new()).unwrap();
        trainer.state(step.gradient).unwrap()
    };
    let exact = gradient(&Reference);
    for variant in ["plain", "tile 8", "tile 4", "tile 4 sliced", "tile", "subgroups"] {
        let Some(gpu) = gpu() else { return };
        let error = nmse(&gradient(&gpu.with_variant(variant)), &exact);
        assert!(error <= LARGEST, "{variant}: {error:.1e}");
    }
}

#[test]
fn the_same_step_gives_the_same_bits() {
    let Some(gpu) = gpu() else { return };
    let step = step_of(9);
    let first = two_steps(&gpu, &step);
    assert!(first[1].iter().all(|number| number.is_finite()));
    let bits = |result: [Vec<f32>; 2]| result.map(|numbers| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    assert_eq!(bits(two_steps(&gpu, &step)), bits(first));
}

#[test]
fn a_state_that_is_set_comes_back_and_nothing_else_is_a_state() {
    let Some(gpu) = gpu() else { return };
    let step = step_of(2);
    let mut trainer = gpu.prepare_training(&step.plan).unwrap();
    let mut values = trainer.state(step.running).unwrap();
    assert_eq!(
        &values[..],
        &*match &step.plan.buffers[step.running].role {
            ecgpu::engine::plan::Role::State(values) => values.clone(),
            other => panic!("{other:?}"),
        }
    );
    values.iter_mut().for_each(|value| *value += 1.0);
    trainer.set_state(step.running, &values).unwrap();
    assert_eq!(trainer.state(step.running).unwrap(), values);
    assert_eq!(trainer.set_state(step.running, &values[1..]).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(trainer.state(step.plan.inputs[0]).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a_batch_too_large_for_the_adapter_is_refused_before_anything_is_made() {
    let Some(gpu) = gpu() else { return };
    let error = gpu.prepare_training(&step_of(400_000).plan).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.cause().contains("400000 records") && error.cause().contains("allows"), "{error}");
}
