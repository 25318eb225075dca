//! Compares every instruction set of the machine with the float64 reference, and any number of threads with one.

use std::sync::Arc;

use proptest::prelude::*;

use super::{super::reference, *};
use crate::{
    kernels::{Conv1d, GlobalAveragePool, Kernel, Linear, MaxPool},
    network::{Folded, Weights},
    plan::{Builder, FusedPlan, Keep, Plan},
    random::Random,
};

/// The largest mean squared error of a float32 result, relative to the mean square of the reference.
const LARGEST_NMSE: f64 = 1e-10;

/// Draws normal numbers with a standard deviation.
fn normal(seed: u64, len: usize, deviation: f64) -> Arc<[f32]> {
    let mut random = Random::new(seed, 0);
    (0..len).map(|_| (random.normal() * deviation) as f32).collect()
}

/// Builds a plan with one step.
fn plan(kernel: Kernel, x: [usize; 3], constants: &[Arc<[f32]>], y: [usize; 3]) -> Plan {
    let mut builder = Builder::default();
    let mut reads = vec![builder.input("x", x).unwrap()];
    reads.extend(constants.iter().map(|values| builder.constant("constant", values).unwrap()));
    let write = builder.step("step", kernel, &reads, y).unwrap();
    builder.finish(vec![write])
}

fn backends(threads: usize) -> impl Iterator<Item = Cpu> {
    instructions::available().into_iter().map(move |kernels| Cpu { kernels, ..Cpu::with_threads(threads).unwrap() })
}

fn run(cpu: &Cpu, plan: &Plan, input: &[f32]) -> Vec<Vec<f32>> {
    let mut outputs = Vec::new();
    let mut executor = cpu.prepare(plan).unwrap();
    // Runs twice, because what the first run leaves in memory must not matter.
    executor.run(input, &mut outputs).unwrap();
    executor.run(input, &mut outputs).unwrap();
    outputs
}

/// Compares every instruction set with the reference. Outputs whose root mean square is below 0.01 are compared as if it were
/// 0.01.
fn assert_parity(plan: &Plan, input: &[f32]) {
    let expected = reference::run(plan, input).unwrap();
    for cpu in backends(1) {
        for ((computed, expected), &id) in run(&cpu, plan, input).iter().zip(&expected).zip(&plan.outputs) {
            assert_eq!(computed.len(), expected.len());
            let error: f64 = computed.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
            let square = expected.iter().map(|b| b * b).sum::<f64>().max(1e-4 * expected.len() as f64);
            let (buffer, instructions) = (&plan.buffers[id].name, cpu.kernels.name);
            assert!(error <= LARGEST_NMSE * square, "{buffer} with {instructions}: NMSE {:e}", error / square);
        }
    }
}

fn convolution(conv: Conv1d, seed: u64) -> (Plan, Arc<[f32]>) {
    let Conv1d { batch, in_channels, in_samples, out_channels, out_samples, kernel, .. } = conv;
    let depth = in_channels * kernel;
    let weight = normal(seed, out_channels * depth, (depth as f64).powf(-0.5));
    let constants = [weight, normal(seed + 1, out_channels, 1.0)];
    let (x, y) = ([batch, in_channels, in_samples], [batch, out_channels, out_samples]);
    (plan(Kernel::Conv1d(conv), x, &constants, y), normal(seed + 2, x.iter().product(), 1.0))
}

/// Any convolution that has at least one output.
fn any_convolution() -> impl Strategy<Value = Conv1d> {
    let channels = prop_oneof![1..40usize, Just(64usize)];
    (1..3usize, channels.clone(), 1..200usize, channels, 1..14usize, 1..5usize, 0..8usize, any::<bool>())
        .prop_filter("no output", |(_, _, in_samples, _, kernel, _, padding, _)| in_samples + 2 * padding >= *kernel)
        .prop_map(|(batch, in_channels, in_samples, out_channels, kernel, stride, padding, relu)| {
            let out_samples = (in_samples + 2 * padding - kernel) / stride + 1;
            Conv1d {
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
            }
        })
}

#[test]
fn fused_steps_and_states_are_refused() {
    let weights = Weights::built_in().unwrap();
    let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
    let plan = Plan::new(&folded, 1, 83, Keep::Results).unwrap();
    let fused = FusedPlan::unfused(&plan).with_fused_pooled_linear().unwrap().plan;
    let cpu = Cpu::with_threads(1).unwrap();
    let refused = |plan: &Plan| cpu.prepare(plan).err().expect("the CPU does not compute it").to_string();
    assert!(refused(&fused).contains("does not compute step"), "{}", refused(&fused));

    let (batch, in_channels, in_samples, out_channels, out_samples) = (1, 3, 9, 2, 4);
    let (kernel, stride, padding, relu, fused_max_pool) = (3, 1, 1, true, true);
    let (fused_max_pool, _) = convolution(
        Conv1d {
            batch,
            in_channels,
            in_samples,
            out_channels,
            out_samples,
            kernel,
            stride,
            padding,
            relu,
            fused_max_pool,
        },
        1,
    );
    assert!(refused(&fused_max_pool).contains("max pool"), "{}", refused(&fused_max_pool));

    #[cfg(feature = "gradients")]
    {
        let mut builder = Builder::default();
        let x = builder.input("x", [1, 3, 5]).unwrap();
        let sum = builder.state("sum", vec![0.0; 15].into()).unwrap();
        let linear = Linear { batch: 1, in_features: 15, out_features: 1 };
        let bias = builder.constant("bias", &normal(1, 1, 1.0)).unwrap();
        let y = builder.step("step", Kernel::Linear(linear), &[x, sum, bias], [1, 1, 1]).unwrap();
        let plan = builder.finish(vec![y]);
        assert!(refused(&plan).contains("states, sum among them"), "{}", refused(&plan));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_convolution_matches_the_reference(conv in any_convolution(), seed in any::<u32>()) {
        let (plan, input) = convolution(conv, u64::from(seed));
        assert_parity(&plan, &input);
    }

    #[test]
    fn any_pool_and_linear_layer_matches_the_reference(
        (batch, channels, out, kernel, stride) in (1..4usize, 1..70usize, 1..150usize, 1..6usize, 1..5usize),
        seed in any::<u32>(),
    ) {
        let in_samples = (out - 1) * stride + kernel + seed as usize % stride;
        let (x, y) = ([batch, channels, in_samples], [batch, channels, out]);
        let pool = Kernel::MaxPool(MaxPool { batch, channels, in_samples, out_samples: out, kernel, stride });
        let input = normal(seed.into(), x.iter().product(), 1.0);
        assert_parity(&plan(pool, x, &[], y), &input);

        let mean = Kernel::GlobalAveragePool(GlobalAveragePool { batch, channels, samples: in_samples });
        assert_parity(&plan(mean, x, &[], [batch, channels, 1]), &input);

        let linear = Kernel::Linear(Linear { batch, in_features: channels, out_features: out });
        let deviation = (channels as f64).powf(-0.5);
        let constants = [normal(1, out * channels, deviation), normal(2, out, 1.0)];
        assert_parity(&plan(linear, [batch, channels, 1], &constants, [batch, out, 1]), &input[..batch * channels]);
    }
}

#[test]
fn every_division_into_filters_matches_the_reference() {
    // From one filter of 3 taps to two filters of 6, with and without a stride, and groups cut off at every length.
    for (kernel, stride) in
        [(3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (9, 1), (13, 1), (31, 1), (5, 2), (7, 2), (11, 2), (8, 3)]
    {
        for in_samples in 60..60 + 7 * stride {
            let padding = kernel / 2;
            let out_samples = (in_samples + 2 * padding - kernel) / stride + 1;
            let (batch, in_channels, out_channels, relu) = (1, 24, 40, false);
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
            let (plan, input) = convolution(conv, 7);
            assert_parity(&plan, &input);
        }
    }
}

fn network(batch: usize, samples: usize, keep: Keep) -> (Plan, Arc<[f32]>) {
    let weights = Weights::built_in().unwrap();
    let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
    (Plan::new(&folded, batch, samples, keep).unwrap(), normal(samples as u64, batch * 12 * samples, 1.0))
}

#[test]
fn every_stage_of_the_network_matches_the_reference_for_any_length() {
    for samples in [1, 2, 7, 31, 100, 333] {
        let (plan, input) = network(2, samples, Keep::Stages);
        assert_parity(&plan, &input);
    }
}

#[cfg(feature = "threads")]
#[test]
fn the_number_of_threads_changes_no_bit() {
    for (batch, samples) in [(1, 1000), (2, 250), (5, 333), (17, 50)] {
        for keep in [Keep::Results, Keep::Stages] {
            let (plan, input) = network(batch, samples, keep);
            for kernels in instructions::available() {
                let bits = |threads: usize| {
                    let cpu = Cpu { kernels, ..Cpu::with_threads(threads).unwrap() };
                    let outputs = run(&cpu, &plan, &input);
                    outputs.into_iter().flatten().map(f32::to_bits).collect::<Vec<_>>()
                };
                let alone = bits(1);
                assert!([2, 3, 20].into_iter().all(|threads| bits(threads) == alone), "{}", kernels.name);
            }
        }
    }
}

#[test]
fn plans_of_one_device_share_constants_that_are_packed_in_two_ways() {
    // A convolution with one output position is direct; one with a hundred uses the Winograd algorithm.
    let (long, _) = network(1, 1000, Keep::Results);
    let (mut short, input) = network(1, 1, Keep::Results);
    for (short, long) in short.buffers.iter_mut().zip(&long.buffers) {
        if long.constant().is_some() {
            short.role.clone_from(&long.role);
        }
    }
    for cpu in backends(1) {
        let alone = run(&Cpu { kernels: cpu.kernels, ..Cpu::with_threads(1).unwrap() }, &short, &input);
        cpu.prepare(&long).unwrap();
        assert_eq!(run(&cpu, &short, &input), alone);
    }
}

#[test]
fn the_device_name_states_instruction_set_and_threads() {
    let name = Cpu::with_threads(1).unwrap().info().name;
    assert!(name.contains(instructions::available()[0].name) && name.ends_with("1 thread)"), "{name}");
}
