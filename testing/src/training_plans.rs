//! One plan for each training operation, on awkward shapes.

use ecgpu::engine::kernels::training::{augment::*, *};

use crate::TrainingPlan;

const CHANNELS: [usize; 5] = [1, 3, 7, 12, 31];
const SAMPLES: [usize; 5] = [1, 2, 5, 33, 70];
const BATCHES: [usize; 3] = [1, 2, 33];

/// Builds a plan of one operation, or of several that belong together, whose sizes and numbers follow from a seed.
pub type BuildPlan = fn(u64) -> TrainingPlan;

/// How many seeds each plan is built with.
pub const SEEDS: u64 = 6;

pub fn relu(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let shape @ [batch, channels, samples] = [plan.pick(BATCHES), plan.pick(CHANNELS), plan.pick(SAMPLES)];
    let [x, dy] = [plan.input(shape), plan.input(shape)];
    plan.step(Relu { rows: batch * channels, samples }, &[x], shape);
    plan.step(ReluGradient { rows: batch * channels, samples }, &[x, dy], shape);
    plan
}

pub fn batch_norm(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    // With fewer numbers their mean and variance explain them all, and the gradient is almost zero.
    let (batch, samples) = [(1, 33), (33, 1), (2, 70), (3, 5), (19, 13)][seed as usize % 5];
    let (groups, channels, relu) = (1 + seed as usize % 2, plan.pick(CHANNELS), seed % 3 < 2);
    let (sizes, shape) = (Groups { groups, batch, channels, samples }, [groups * batch, channels, samples]);
    let [x, dy, affine] = [plan.input(shape), plan.input(shape), plan.input([1, 1, 2 * channels])];
    let statistics = plan.step(BatchStatistics(sizes), &[x], [groups, 2 * channels, 1]);
    plan.state_step(RunningStatistics { sizes, momentum: 0.1 }, &[statistics], vec![0.5; 2 * channels]);
    plan.step(BatchNorm { sizes, relu, epsilon: 1e-5 }, &[x, statistics, affine], shape);
    let reads = [x, statistics, affine, dy];
    let sums = plan.step(BatchNormGradientSums { sizes, relu, epsilon: 1e-5 }, &reads, [groups, 2 * channels, 1]);
    plan.step(BatchNormInputGradient { sizes, relu, epsilon: 1e-5 }, &[x, statistics, affine, sums, dy], shape);
    plan
}

pub fn channel_sum(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let [batch, channels, samples] = [plan.pick(BATCHES), plan.pick(CHANNELS), plan.pick([1, 5, 16, 130])];
    let x = plan.input([batch, channels, samples]);
    plan.state_step(ChannelSum { batch, channels, samples }, &[x], vec![0.0; channels]);
    plan
}

pub fn gather(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let (from, length) = (plan.pick([1, 7, 200]), plan.pick([1, 63, 64, 300]));
    let order = (0..length).map(|_| plan.random.below(from + 1) as f32).collect();
    let (x, order) = (plan.input([1, 1, from]), plan.input_of([1, 1, length], order));
    plan.step(Gather { from, length }, &[x, order], [1, 1, length]);
    plan
}

pub fn depth_to_space(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let [batch, channels, in_samples] = [plan.pick(BATCHES), plan.pick(CHANNELS), plan.pick(SAMPLES)];
    let factor = plan.pick([2, 3]);
    let out_samples = factor * in_samples - plan.random.below(factor);
    let x = plan.input([batch, factor * channels, in_samples]);
    let kernel = DepthToSpace { batch, channels, factor, in_samples, out_samples };
    plan.step(kernel, &[x], [batch, channels, out_samples]);
    plan
}

pub fn pool_gradients(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let [batch, channels, in_samples] = [plan.pick(BATCHES), plan.pick(CHANNELS), plan.pick([3, 5, 33, 70])];
    let (kernel, stride, rows) = (plan.pick([1, 2, 3]), plan.pick([1, 2, 3]), batch * channels);
    let out_samples = (in_samples - kernel) / stride + 1;
    let (x, dy) = (plan.input([batch, channels, in_samples]), plan.input([batch, channels, out_samples]));
    let max = MaxPoolGradient { batch, channels, in_samples, out_samples, kernel, stride };
    plan.step(max, &[x, dy], [batch, channels, in_samples]);
    let dy = plan.input([batch, channels, 1]);
    let average = GlobalAveragePoolGradient { rows, samples: in_samples };
    plan.step(average, &[dy], [batch, channels, in_samples]);
    plan
}

pub fn dropout(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let shape @ [batch, channels, samples] = [plan.pick(BATCHES), plan.pick(CHANNELS), plan.pick(SAMPLES)];
    let (x, schedule) = (plan.input(shape), plan.schedule());
    let (rate, seed) = ([0.1, 0.5, 0.9][seed as usize % 3], u64::MAX / (seed + 2));
    plan.step(Dropout { rows: batch * channels, samples, rate, seed }, &[x, schedule], shape);
    plan
}

pub fn nt_xent(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let (rows, features) = (plan.pick([4, 6, 66, 130]), plan.pick([3, 12, 31, 64, 70]));
    let (shape, temperature) = ([rows, features, 1], [0.07, 0.5][seed as usize % 2]);
    let x = plan.input(shape);
    let z = plan.step(L2Normalise { rows, features }, &[x], shape);
    let similarity = Similarity { rows, features, temperature };
    let similarities = plan.step(similarity.clone(), &[z], [1, rows, rows]);
    let losses = plan.step(NtXentLoss { rows }, &[similarities], [1, 1, rows]);
    let dz = plan.step(NtXentGradient(similarity), &[z, similarities, losses], shape);
    plan.step(L2NormaliseGradient { rows, features }, &[x, dz], shape);
    plan
}

pub fn cosine_loss(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let (rows, features) = (plan.pick([2, 6, 66]), plan.pick([3, 12, 31, 64, 130]));
    let (shape, loss) = ([rows, features, 1], CosineLoss { rows, features });
    let [p, t] = [plan.input(shape), plan.input(shape)];
    plan.step(loss.clone(), &[p, t], [1, 1, rows]);
    plan.step(CosineLossGradient(loss), &[p, t], shape);
    plan
}

pub fn supervised_loss(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let (batch, classes) = (plan.pick(BATCHES), plan.pick([1, 5, 12]));
    let shape = [batch, classes, 1];
    let logits = plan.normal(batch * classes).iter().map(|z| 6.0 * z).collect();
    // Labels of single records and of mixed ones.
    let labels = (0..batch * classes).map(|_| (1.5 * plan.random.uniform() - 0.25).clamp(0.0, 1.0) as f32).collect();
    let weights = (0..classes).map(|_| plan.random.between(0.1, 3.0) as f32).collect();
    let reads = [plan.input_of(shape, logits), plan.input_of(shape, labels), plan.input_of([1, 1, classes], weights)];
    let kind = [SupervisedLossKind::FOCAL, SupervisedLossKind::CROSS_ENTROPY][seed as usize % 2];
    let loss = SupervisedLoss { batch, classes, kind };
    plan.step(loss.clone(), &reads, [1, 1, batch]);
    plan.step(SupervisedLossGradient(loss), &reads, shape);
    plan
}

pub fn adam(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let length = plan.pick([5, 64, 1025, 70_001]);
    let mut values = plan.normal(length);
    // A parameter whose gradient is not finite must not change, and nothing is clipped then.
    values[length / 2] = if seed % 3 == 2 { f32::NAN } else { 1.0 };
    let gradient = plan.input_of([1, 1, length], values);
    let mut reads = vec![gradient, plan.schedule()];
    let clip = seed.is_multiple_of(2).then_some(0.5);
    if clip.is_some() {
        let squares = SquaredSums { length };
        // Not compared, as it may be NaN.
        let shape = [1, 1, SquaredSums::STRETCHES];
        reads.push(plan.builder.step("squares", squares, &[gradient], shape).unwrap());
    }
    let mut state = plan.normal(3 * length);
    state[2 * length..].iter_mut().for_each(|second| *second *= *second);
    let (betas, epsilon, weight_decay) = ([0.9, 0.999], 1e-8, [0.0, 0.1][seed as usize % 2]);
    plan.state_step(Adam { length, betas, epsilon, weight_decay, clip }, &reads, state);
    plan
}

pub fn squared_sums(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let length = plan.pick([1, 255, 257, 70_000]);
    let x = plan.input([1, 1, length]);
    plan.step(SquaredSums { length }, &[x], [1, 1, SquaredSums::STRETCHES]);
    plan
}

pub fn linear_interpolation(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let length = plan.pick([1, 65, 3000]);
    let (x, schedule) = (plan.input([1, 1, length]), plan.schedule());
    let states = [plan.normal(length), plan.normal(length)];
    let [average, sum] = states;
    plan.state_step(LinearInterpolation { length, factors: Schedule::TARGET }, &[x, schedule], average);
    plan.state_step(LinearInterpolation { length, factors: Schedule::ACCUMULATE }, &[x, schedule], sum);
    // Of a state with factor 0 nothing is kept, whatever it holds.
    let mut forgetful = Schedule {
        step: 0,
        learning_rate: 0.0,
        corrections: [1.0; 2],
        target_momentum: 0.0,
        accumulate: [0.0, 1.0],
        average_decay: 1.0,
    }
    .numbers()
    .to_vec();
    forgetful[Schedule::ACCUMULATE] = 0.0;
    let schedule = plan.input_of([1, 1, Schedule::LEN], forgetful);
    plan.state_step(
        LinearInterpolation { length, factors: Schedule::ACCUMULATE },
        &[x, schedule],
        vec![f32::NAN; length],
    );
    plan
}

pub fn weight_gradient(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let [batch, in_channels, out_channels] = [plan.pick(BATCHES), plan.pick(CHANNELS), plan.pick(CHANNELS)];
    let (kernel, stride) = (plan.pick([1, 2, 3, 5, 7, 11]), plan.pick([1, 2, 3]));
    let padding = plan.random.below(kernel + 1);
    let in_samples = plan.pick([1, 2, 5, 33, 70]).max(kernel.saturating_sub(2 * padding));
    let out_samples = (in_samples + 2 * padding - kernel) / stride + 1;
    let x = plan.input([batch, in_channels, in_samples]);
    let shape = [batch, out_channels, out_samples];
    let dy = plan.input(shape);
    // In training dy comes from batch norm or ReLU, with the row layout that these need.
    let dy =
        plan.builder.step("relu", Relu { rows: batch * out_channels, samples: out_samples }, &[dy], shape).unwrap();
    plan.reader(x);
    plan.reader(dy);
    let gradient =
        Conv1dWeightGradient { batch, in_channels, in_samples, out_channels, out_samples, kernel, stride, padding };
    plan.state_step(gradient, &[x, dy], vec![0.0; out_channels * in_channels * kernel]);
    plan
}

/// The weight gradient of a record so long that its sum is computed in parts.
pub fn long_weight_gradient(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let (batch, in_samples, channels, kernel) = (5, 2001, 3, 7);
    let shape = [batch, channels, in_samples];
    let (x, dy) = (plan.input(shape), plan.input(shape));
    let (in_channels, out_channels, out_samples) = (channels, channels, in_samples);
    let dy = plan.builder.step("relu", Relu { rows: batch * channels, samples: in_samples }, &[dy], shape).unwrap();
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
    plan.state_step(gradient, &[x, dy], vec![0.0; channels * channels * kernel]);
    plan
}

/// The weight gradient of a linear layer, which sums over records, and of more channels than one workgroup computes.
pub fn wide_weight_gradient(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let (linear, batch) = (seed.is_multiple_of(2), plan.pick([1, 34, 160]));
    let channels @ [in_channels, out_channels] = [plan.pick([7, 67, 130]), plan.pick([5, 67, 130])];
    let (kernel, samples) = if linear { (1, 1) } else { (3, 5) };
    let [x, dy] = channels.map(|channels| {
        let shape = [batch, channels, samples];
        let input = plan.input(shape);
        plan.step(Relu { rows: batch * channels, samples }, &[input], shape)
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
    plan.state_step(gradient, &[x, dy], vec![0.0; out_channels * in_channels * kernel]);
    plan
}

pub fn augmentations(seed: u64) -> TrainingPlan {
    let mut plan = TrainingPlan::new(seed);
    let (views, records, leads) = (1 + seed as usize % 2, plan.pick([2, 3, 33]), plan.pick(CHANNELS));
    let (samples, rows, sampling_rate, seed) = (plan.pick([5, 33, 70]), views * records, 100.0, u64::MAX / (seed + 2));
    let shape = [rows, leads, samples];
    let (x, schedule) = (plan.input(shape), plan.schedule());
    let segment = [1.0, samples as f32 - 2.0];
    let ranges = [[0.9, 1.1], [0.0; 2], [0.5, 1.5], segment, [0.5, 2.0], [0.1, 0.2], segment, [0.5, 2.0], [0.1, 0.5]];
    let setting = |range| Setting { rate: 0.6, range, second: [30.0, 45.0] }.numbers();
    let settings: Vec<f32> = ranges.into_iter().flat_map(setting).collect();
    let settings = plan.builder.constant("settings", &settings.into()).unwrap();
    let quantiles: Vec<f32> = (0..Draw::QUANTILES).map(|at| at as f32 / 600.0).collect();
    let quantiles = plan.builder.constant("quantiles", &quantiles.into()).unwrap();
    let draw = Draw { rows, records, samples, seed };
    let draws = plan.step(draw, &[schedule, settings, quantiles], [rows, 1, Draws::LEN]);

    let labels = plan.input([rows, 5, 1]);
    plan.step(MixLabels { rows, classes: 5, samples }, &[labels, draws], [rows, 5, 1]);
    let x = plan.step(TimeWarp { rows, leads, samples }, &[x, draws], shape);
    let x = plan.step(BandPass { rows, leads, samples, sampling_rate }, &[x, draws], shape);
    let x = plan.step(Mix { rows, leads, samples }, &[x, draws], shape);
    let sizes = Groups { groups: rows, batch: 1, channels: leads, samples };
    let statistics = plan.step(BatchStatistics(sizes), &[x], [rows, 2 * leads, 1]);
    // Each lead follows from itself and half of the next.
    let sources: Vec<f32> = (0..leads).flat_map(|l| [l as f32, 1.0, ((l + 1) % leads) as f32, 0.5]).collect();
    let sources = plan.builder.constant("sources", &sources.into()).unwrap();
    let noise = WanderAndNoise { rows, leads, samples, sampling_rate, amplitude: [0.1, 0.5], seed };
    let x = plan.step(noise, &[x, draws, statistics, sources, schedule], shape);
    let x = plan.step(ScaleLeads { rows, leads, samples, seed }, &[x, draws, schedule], shape);
    plan.step(TemporalDropout { rows, leads, samples }, &[x, draws], shape);
    plan
}

/// Every training operation by name.
pub const ALL: [(&str, BuildPlan); 17] = [
    ("augmentations", augmentations),
    ("ReLU", relu),
    ("batch norm", batch_norm),
    ("sum of each channel", channel_sum),
    ("gather", gather),
    ("depth to space", depth_to_space),
    ("pool gradients", pool_gradients),
    ("dropout", dropout),
    ("NT-Xent", nt_xent),
    ("cosine loss", cosine_loss),
    ("supervised loss", supervised_loss),
    ("Adam", adam),
    ("squared sums", squared_sums),
    ("linear interpolation", linear_interpolation),
    ("weight gradient", weight_gradient),
    ("long weight gradient", long_weight_gradient),
    ("wide weight gradient", wide_weight_gradient),
];
