//! Does a device compute what the float64 reference computes? Stage by stage, on given weights and on random networks of
//! awkward shapes.
//!
//! In f32 each stage is compared with the reference's, which ran from the same input. In f16 that would say little: what
//! is lost by storing f16 adds up from stage to stage, and a bound that lets it pass would let wrong kernels pass too. So
//! each stage is there compared with the reference of that stage alone, which reads what the device itself has stored
//! before it and the weights as they are stored. What is left is the rounding of the stage's own output:
//! - to nearest, an f16 is off by 2^-11 of itself at most, and by 3.7e-8 in the mean square: ulp²/12 beside numbers m²
//!   whose mantissas lie evenly in the logarithm, 2^-20 / 12 / (3 / (2 ln 2)). Measured on lavapipe: 4.0e-8 to 4.8e-8 where a stage has
//!   a hundred outputs;
//! - Vulkan and DX12 let a device round toward zero: 2^-10 at most, whose square, 9.5e-7, no stage that sums in f32 can
//!   exceed. That is [`LARGEST_NMSE_F16`];
//! - what is stored in f32, as the features and the logits, keeps the bound of f32.
//!
//! How far the logits are then from those without f16 is one more report, [`WHOLE`], with a bound of its own.

use crate::{
    Result,
    backend::{Backend, reference},
    kernels::Storage,
    network::{Folded, FoldedLayer, FoldedOperation, Layer, NamedLayer, Network},
    plan::{FusedPlan, Keep, Plan},
    random::Random,
};

/// The largest normalised mean square error of a stage in f32. Rounding alone gives about 1e-13.
pub const LARGEST_NMSE: f64 = 1e-10;
/// The largest normalised mean square error of a stage that is stored in f16, alone.
pub const LARGEST_NMSE_F16: f64 = 1e-6;
/// The largest error of a logit, as a part of the largest logit.
pub const LARGEST_LOGIT_ERROR: f64 = 1e-5;
/// As [`LARGEST_LOGIT_ERROR`] where weights and activations are stored in f16.
pub const LARGEST_LOGIT_ERROR_F16: f64 = 1e-2;
/// The stage by which a report names all stages in a row.
pub const WHOLE: &str = "whole";

/// The largest normalised mean square error of a stage that is stored so.
pub fn largest_nmse(storage: Storage) -> f64 {
    if storage.is_half() { LARGEST_NMSE_F16 } else { LARGEST_NMSE }
}

/// One stage on a device beside the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct StageReport {
    /// The network and the input that it ran on.
    pub network: String,
    /// The stage's name.
    pub stage: String,
    /// What it does.
    pub operation: String,
    /// `[batch, channels, samples]` of its output.
    pub shape: [usize; 3],
    /// The largest absolute difference from the reference.
    pub largest_error: f64,
    /// Σ(a − r)² / Σr²: normalised mean square error.
    pub nmse: f64,
    /// Where the largest error is: `[batch, channel, sample]`.
    pub worst: [usize; 3],
    /// Whether the errors are within the bounds.
    pub passed: bool,
}

/// Compares every stage of one forward pass, and once more, together, those that a GPU does in one where they are not
/// kept apart.
///
/// # Errors
/// The plan cannot be made, or the device fails.
pub fn compare(
    backend: &dyn Backend,
    folded: &Folded,
    batch: usize,
    samples: usize,
    seed: u64,
) -> Result<Vec<StageReport>> {
    let plan = |keep| Plan::new(folded, batch, samples, keep);
    let network = format!("{} {batch}×{}×{samples}", folded.network.name, folded.network.in_channels());
    let stages = plan(Keep::Stages)?;
    let mut random = Random::new(seed, 0);
    let input: Vec<f32> = (0..stages.buffers[stages.input()].len()).map(|_| random.normal() as f32).collect();
    let mut reports = compare_plans(backend, &network, &stages, &stages, &input)?;
    let pooled = plan(Keep::Pooled)?;
    let fused_max_pool = FusedPlan::unfused(&pooled).with_fused_max_pools();
    if fused_max_pool.plan.steps.len() < stages.steps.len() {
        let together = compare_plans(backend, &network, &pooled, &fused_max_pool.plan, &input)?
            .into_iter()
            .zip(fused_max_pool.source_steps);
        reports.extend(together.filter(|(_, steps)| *steps > 1).map(|(report, _)| report));
    }
    Ok(reports)
}

/// Compares every output of a plan with the reference of one that has a step for each.
fn compare_plans(
    backend: &dyn Backend,
    network: &str,
    run: &Plan,
    plan: &Plan,
    input: &[f32],
) -> Result<Vec<StageReport>> {
    let exact = reference::run(plan, input)?;
    let mut computed = Vec::new();
    backend.prepare(run)?.run(input, &mut computed)?;
    let storage = backend.info().storage;
    let logits = plan.steps.len() - 1;
    let expected = if storage.is_half() {
        reference::run_apart(&plan.with_f16_weights(), input, &computed)
    } else {
        exact.clone()
    };
    let report = |stage: &str, operation: String, at: usize, expected: &[f64], bounds: Bounds| {
        let difference = Difference::between(&computed[at], expected);
        let shape = plan.buffers[plan.steps[at].write].shape;
        let largest_output = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let worst = difference.worst;
        let [_, channels, samples] = shape;
        StageReport {
            network: network.into(),
            stage: stage.into(),
            operation,
            shape,
            largest_error: difference.largest_error,
            nmse: difference.nmse,
            worst: [worst / (channels * samples), worst / samples % channels, worst % samples],
            // Written so that NaN fails.
            passed: difference.nmse <= bounds.nmse
                && bounds.error.is_none_or(|part| difference.largest_error <= part * largest_output),
        }
    };
    let mut reports = Vec::with_capacity(plan.steps.len() + 1);
    for (at, step) in plan.steps.iter().enumerate() {
        let stored = if plan.may_be_f16(step.write) { storage } else { Storage::F32 };
        let error = (at == logits && !storage.is_half()).then_some(LARGEST_LOGIT_ERROR);
        let bounds = Bounds { nmse: largest_nmse(stored), error };
        reports.push(report(&step.name, step.kernel.operation().describe(), at, &expected[at], bounds));
    }
    if storage.is_half() {
        let bounds = Bounds { nmse: f64::INFINITY, error: Some(LARGEST_LOGIT_ERROR_F16) };
        reports.push(report(WHOLE, format!("all stages in {storage}"), logits, &exact[logits], bounds));
    }
    Ok(reports)
}

/// What the errors of a stage may be.
struct Bounds {
    nmse: f64,
    /// Of the stage's largest output.
    error: Option<f64>,
}

/// How far computed numbers are from exact ones.
pub(crate) struct Difference {
    largest_error: f64,
    pub(crate) nmse: f64,
    worst: usize,
}

impl Difference {
    pub(crate) fn between(computed: &[f32], exact: &[f64]) -> Self {
        let (mut largest_error, mut worst, mut squares, mut power) = (0.0, 0, 0.0, 0.0);
        for (at, (&a, &r)) in computed.iter().zip(exact).enumerate() {
            let error = (f64::from(a) - r).abs();
            // A NaN is the worst error there is, and stays it.
            if error > largest_error || (error.is_nan() && !f64::is_nan(largest_error)) {
                (largest_error, worst) = (error, at);
            }
            squares += error * error;
            power += r * r;
        }
        // A stage that is zero everywhere must be so exactly.
        let nmse = if squares == 0.0 { 0.0 } else { squares / power };
        Self { largest_error, nmse, worst }
    }
}

/// Compares every stage on the given network, at ten seconds of 100 Hz and at awkward lengths, and on `random_networks`
/// random networks.
///
/// # Errors
/// The device fails. A network that computes something wrong is no error but a report that has not passed.
pub fn verify(backend: &dyn Backend, given: &Folded, random_networks: u64) -> Result<Vec<StageReport>> {
    let mut reports = Vec::new();
    for (batch, samples) in [(1, 1000), (2, 997), (3, 83)] {
        reports.extend(compare(backend, given, batch, samples, samples as u64)?);
    }
    for seed in 0..random_networks {
        let (folded, batch, samples) = random_network(seed);
        reports.extend(compare(backend, &folded, batch, samples, seed)?);
    }
    Ok(reports)
}

/// A stage with fewer outputs might by chance have nothing but outputs near zero, whose relative error means nothing.
const FEW: usize = 5;

/// A network of awkward sizes for a seed, with a batch and a length for it: channel counts 1, 3, 7, 12, 31, even and odd
/// kernels, strides up to 3, any padding, lengths under the kernel's.
pub fn random_network(seed: u64) -> (Folded, usize, usize) {
    let mut random = Random::new(seed, 1);
    fn pick<const N: usize>(random: &mut Random, options: [usize; N]) -> usize {
        options[random.below(N)]
    }
    let batch = pick(&mut random, [1, 2, 5, 33]);
    let samples = pick(&mut random, [1, 2, 5, 31, 64, 83, 257, 300]);
    let mut shape = [pick(&mut random, [1, 3, 7, 12, 31]), samples];
    let mut layers: Vec<FoldedLayer> = Vec::new();
    let mut named = Vec::new();
    let mut push = |layer: Layer, operation: FoldedOperation, shape: &mut [usize; 2]| {
        // What would leave no output is skipped.
        if let Ok(output) = layer.output(*shape) {
            let name = format!("{}", named.len());
            layers.push(FoldedLayer { name: name.clone(), last_layer: named.len(), operation });
            named.push(NamedLayer { name, layer });
            *shape = output;
        }
    };
    for _ in 0..1 + random.below(3) {
        let [in_channels, _] = shape;
        let kernel = pick(&mut random, [1, 2, 3, 5, 7, 11]);
        let (stride, padding, relu) = (1 + random.below(3), random.below(kernel + 2), random.below(2) == 0);
        let out_channels = pick(&mut random, if shape[1] < FEW { [7, 12, 31, 64, 65] } else { [1, 3, 7, 31, 64] });
        let conv = Layer::Conv1d { in_channels, out_channels, kernel, stride, padding, bias: true };
        let weight = numbers(&mut random, out_channels * in_channels * kernel, (in_channels * kernel) as f64);
        let bias = numbers(&mut random, out_channels, 1.0);
        let operation =
            FoldedOperation::Conv1d { in_channels, out_channels, kernel, stride, padding, relu, weight, bias };
        push(conv, operation, &mut shape);
        if random.below(2) == 0 {
            let (kernel, stride) = (1 + random.below(3), 1 + random.below(3));
            push(Layer::MaxPool { kernel, stride }, FoldedOperation::MaxPool { kernel, stride }, &mut shape);
        }
    }
    push(Layer::GlobalAveragePool, FoldedOperation::GlobalAveragePool, &mut shape);
    let (in_features, out_features) = (shape[0], pick(&mut random, [FEW, 31, 67, 128]));
    let weight = numbers(&mut random, in_features * out_features, in_features as f64);
    let bias = numbers(&mut random, out_features, 1.0);
    push(
        Layer::Linear { in_features, out_features },
        FoldedOperation::Linear { in_features, out_features, weight, bias },
        &mut shape,
    );
    let embedding = named.len() - 2;
    let network = Network { name: format!("random {seed}"), layers: named, embedding };
    (Folded { network, layers }, batch, samples)
}

/// Normal numbers whose weighted sum over `terms` terms keeps a deviation of about 1.
fn numbers(random: &mut Random, count: usize, terms: f64) -> std::sync::Arc<[f32]> {
    (0..count).map(|_| (random.normal() / terms.sqrt()) as f32).collect()
}
