//! The comparison of a backend with the float64 reference: stage by stage, on given weights and on random networks of
//! awkward shapes.
//!
//! In f32 each stage is compared with the reference's, which ran from the same input. In f16 this comparison would prove
//! little: the rounding of each stage adds up, and a bound that allows for the sum would also let wrong kernels pass. So in
//! f16 each stage is compared with a reference of this stage alone, which reads what the device itself stored as the
//! stage's input, and the weights as they are stored. Only the rounding of the stage's own output remains:
//! - Rounded to nearest, an f16 number differs by at most 2^-11 of itself. The mean square error is about 3.7e-8: ulp² / 12
//!   over m², for mantissas m that are evenly distributed on a logarithmic scale: 2^-20 / 12 / (3 / (2 ln 2)). Measured on
//!   lavapipe: 4.0e-8 to 4.8e-8 for stages with at least a hundred outputs.
//! - Vulkan and DX12 allow a device to round toward zero. An f16 number then differs by at most 2^-10. No stage that sums
//!   in f32 can exceed the square of that, 9.5e-7. [`LARGEST_NMSE_F16`] is this bound.
//! - Buffers that are stored in f32, such as the embedding and the logits, keep the bound of f32.
//!
//! One more report, `whole`, compares the logits of the whole network in f16 with those of the reference, with a
//! bound of its own.

use std::iter;

pub use crate::backend::difference::{LARGEST_NMSE, LARGEST_NMSE_F16};
use crate::{
    Result,
    backend::{
        self, Backend,
        difference::{Difference, largest_nmse},
        reference,
    },
    kernels::Storage,
    network::{Folded, FoldedLayer, FoldedOperation, Layer, NamedLayer, Network},
    plan::{FusedPlan, Keep, Plan},
    random::Random,
    worker::at_once,
};

/// The largest error of a logit in f32, as a fraction of the largest logit. Rounding to nearest gives about 1e-6, and
/// rounding toward zero 3e-5.
pub const LARGEST_LOGIT_ERROR: f64 = 1e-4;
/// The largest error of a logit where weights and activations are stored in f16, as a fraction of the largest logit.
pub const LARGEST_LOGIT_ERROR_F16: f64 = 1e-2;
/// The stage name of the report that covers the whole network.
pub(crate) const ALL_STAGES: &str = "whole";

/// The comparison of one stage on a device with the reference.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StageReport {
    /// The name of the network, and the shape of its input.
    pub network: String,
    /// The name of the stage.
    pub stage: String,
    /// The operation of the stage with its sizes, in words.
    pub operation: String,
    /// The shape of the stage's output, `[batch, channels, samples]`.
    pub shape: [usize; 3],
    /// The largest absolute difference from the reference.
    pub largest_error: f64,
    /// The normalised mean square error Σ(a − r)² / Σr².
    pub nmse: f64,
    /// The position of the largest error, `[batch, channel, sample]`.
    pub worst: [usize; 3],
    /// Whether the errors are within the bounds.
    pub passed: bool,
}

/// Compares every stage of one forward pass with the reference, on random input `[batch, leads, samples]`.
///
/// Stages that a GPU may fuse with a max pool are compared twice: unfused, and fused.
///
/// # Errors
/// The network cannot run on this length, or the device fails.
pub fn compare(
    backend: &dyn Backend,
    folded: &Folded,
    batch: usize,
    samples: usize,
    seed: u64,
) -> Result<Vec<StageReport>> {
    at_once(compare_async(backend, folded, [batch, samples], seed))
}

/// Compares every stage, as [`compare`] does, of an input `[batch, samples]` of each lead.
async fn compare_async(
    backend: &dyn Backend,
    folded: &Folded,
    [batch, samples]: [usize; 2],
    seed: u64,
) -> Result<Vec<StageReport>> {
    let plan = |keep| Plan::new(folded, batch, samples, keep);
    let network = format!("{} {batch}×{}×{samples}", folded.network.name, folded.network.in_channels());
    let stages = plan(Keep::Stages)?;
    let mut random = Random::new(seed, 0);
    let input: Vec<f32> = (0..stages.buffers[stages.input()].len()).map(|_| random.normal() as f32).collect();
    let mut reports = compare_plans(backend, &network, &stages, &stages, &input).await?;
    let pooled = plan(Keep::Pooled)?;
    let fused = FusedPlan::unfused(&pooled).with_fused_max_pools();
    if fused.plan.steps.len() < stages.steps.len() {
        let fused_reports = compare_plans(backend, &network, &pooled, &fused.plan, &input).await?;
        let with_source_steps = fused_reports.into_iter().zip(fused.source_steps);
        reports.extend(with_source_steps.filter(|(_, steps)| *steps > 1).map(|(report, _)| report));
    }
    Ok(reports)
}

/// Runs plan `run` on the backend and compares its outputs with the steps of `plan` on the reference: output n of `run` is
/// what step n of `plan` writes.
async fn compare_plans(
    backend: &dyn Backend,
    network: &str,
    run: &Plan,
    plan: &Plan,
    input: &[f32],
) -> Result<Vec<StageReport>> {
    let exact = reference::run(plan, input)?;
    let mut computed = Vec::new();
    let mut executor = backend::prepare(backend, run).await?;
    let mut inputs = iter::once(input.into());
    backend::stream(executor.as_mut(), &mut inputs, &mut |outputs, _| computed = outputs.to_vec()).await?;
    let storage = backend.info().storage;
    let logits = plan.steps.len() - 1;
    let expected = if storage.is_half() {
        reference::run_each_step(&plan.with_f16_weights(), input, &computed)
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
            // With `<=`, NaN fails.
            passed: difference.nmse <= bounds.nmse
                && bounds.error.is_none_or(|fraction| difference.largest_error <= fraction * largest_output),
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
        reports.push(report(ALL_STAGES, format!("all stages in {storage}"), logits, &exact[logits], bounds));
    }
    Ok(reports)
}

/// The largest errors that a stage may have.
struct Bounds {
    nmse: f64,
    /// The largest absolute error, as a fraction of the stage's largest output; none where only `nmse` counts.
    error: Option<f64>,
}

/// Compares every stage of the given network with the reference, on ten seconds at 100 Hz and on two awkward shapes, and
/// every stage of `random_networks` random networks.
///
/// # Errors
/// The device fails. A wrong result is not an error: its report has `passed: false`.
pub fn verify(backend: &dyn Backend, given: &Folded, random_networks: u64) -> Result<Vec<StageReport>> {
    at_once(verify_async(backend, given, random_networks))
}

/// Compares as [`verify`] does, and awaits a GPU in a browser. Elsewhere its future blocks and is ready at once.
///
/// # Errors
/// The same as [`verify`].
pub async fn verify_async(backend: &dyn Backend, given: &Folded, random_networks: u64) -> Result<Vec<StageReport>> {
    let mut reports = Vec::new();
    for [batch, samples] in [[1, 1000], [2, 997], [3, 83]] {
        reports.extend(compare_async(backend, given, [batch, samples], samples as u64).await?);
    }
    for seed in 0..random_networks {
        let (folded, batch, samples) = random_network(seed);
        reports.extend(compare_async(backend, &folded, [batch, samples], seed).await?);
    }
    Ok(reports)
}

/// The fewest outputs of a random stage. By chance, fewer outputs might all be near zero, where a relative error means
/// nothing.
const MIN_OUTPUTS: usize = 5;

/// Builds a random network of awkward sizes from a seed. Returns it with a batch size and a number of samples.
///
/// The sizes include channel counts 1, 3, 7, 12 and 31, even and odd kernels, strides up to 3, any padding, and inputs
/// shorter than the kernel.
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
        // A layer that would have no output is skipped.
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
        let out_channels =
            pick(&mut random, if shape[1] < MIN_OUTPUTS { [7, 12, 31, 64, 65] } else { [1, 3, 7, 31, 64] });
        let conv = Layer::Conv1d { in_channels, out_channels, kernel, stride, padding, bias: true };
        let weight = random_weights(&mut random, out_channels * in_channels * kernel, (in_channels * kernel) as f64);
        let bias = random_weights(&mut random, out_channels, 1.0);
        let operation =
            FoldedOperation::Conv1d { in_channels, out_channels, kernel, stride, padding, relu, weight, bias };
        push(conv, operation, &mut shape);
        if random.below(2) == 0 {
            let (kernel, stride) = (1 + random.below(3), 1 + random.below(3));
            push(Layer::MaxPool { kernel, stride }, FoldedOperation::MaxPool { kernel, stride }, &mut shape);
        }
    }
    push(Layer::GlobalAveragePool, FoldedOperation::GlobalAveragePool, &mut shape);
    let (in_features, out_features) = (shape[0], pick(&mut random, [MIN_OUTPUTS, 31, 67, 128]));
    let weight = random_weights(&mut random, in_features * out_features, in_features as f64);
    let bias = random_weights(&mut random, out_features, 1.0);
    push(
        Layer::Linear { in_features, out_features },
        FoldedOperation::Linear { in_features, out_features, weight, bias },
        &mut shape,
    );
    let embedding = named.len() - 2;
    let network = Network { name: format!("random {seed}"), layers: named, embedding };
    (Folded { network, layers }, batch, samples)
}

/// Draws normally distributed weights. A sum of `terms` inputs of deviation 1, weighted by them, has a deviation of about 1.
fn random_weights(random: &mut Random, count: usize, terms: f64) -> std::sync::Arc<[f32]> {
    (0..count).map(|_| (random.normal() / terms.sqrt()) as f32).collect()
}
