use ecgpu_testing::skip;

use super::*;
use crate::{
    ErrorKind, Weights,
    backend::{
        Executor,
        gpu::{adapters, executor::GpuExecutor, waiting::block_on},
    },
    network::Folded,
    plan::Keep,
};

/// Opens the first adapter. Without one it says that the caller's test is skipped.
fn gpu() -> Option<Gpu> {
    let adapter = adapters().into_iter().next();
    if adapter.is_none() {
        skip("no Vulkan, Metal or DX12 adapter");
    }
    adapter.map(|adapter| Gpu::open(&adapter).unwrap())
}

fn forward(batch: usize) -> Plan {
    let weights = Weights::built_in().unwrap();
    let folded = Folded::new(&weights.network, weights.parameters).unwrap();
    Plan::new(&folded, batch, 100, Keep::Results).unwrap()
}

fn executor(gpu: &Gpu, plan: &Plan) -> GpuExecutor {
    block_on(async { GpuExecutor::new(gpu, &gpu.choose(|| gpu.fused(plan)).await?).await }).unwrap()
}

/// Makes the next run of some host buffers end at once, as where a driver aborts a run and reports it as finished.
fn abort_next_run(prepared: &mut PreparedPlan, host: usize) {
    let nothing = prepared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()).finish();
    prepared.host_buffers[host].recorded = vec![nothing];
}

#[test]
fn an_aborted_run_is_an_error_and_never_the_results_of_an_earlier_run() {
    let Some(gpu) = gpu() else { return };
    let mut executor = executor(&gpu, &forward(1));
    let (input, mut outputs) = (vec![0.5; 12 * 100], Vec::new());
    executor.run(&input, &mut outputs).unwrap();
    abort_next_run(&mut executor.prepared, 0);
    let error = executor.run(&input, &mut outputs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    assert!(error.cause().contains("aborted a run"), "{error}");
    assert_eq!(executor.run(&input, &mut outputs), Err(error), "the device is not used any more");
}

/// A run that takes several submissions, each one step here.
#[test]
fn a_run_in_several_submissions_has_the_same_bits_and_fails_where_one_was_aborted() {
    let Some(mut gpu) = gpu() else { return };
    let input: Vec<f32> = (0..2 * 12 * 100).map(|at| (at as f32).sin()).collect();
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    executor(&gpu, &forward(2)).run(&input, &mut whole).unwrap();
    gpu.largest_submission = 1;
    let mut executor = executor(&gpu, &forward(2));
    let submissions = executor.prepared.submissions.len();
    assert!(submissions > 3, "{submissions}");
    for _ in 0..2 {
        executor.run(&input, &mut cut).unwrap();
        assert_eq!(cut, whole);
    }
    let nothing = executor.prepared.encoder().finish();
    executor.prepared.host_buffers[0].recorded[submissions / 2] = nothing;
    let error = executor.run(&input, &mut cut).unwrap_err();
    assert!(error.cause().contains("aborted a run"), "{error}");
}

/// A device on which every run takes too long.
#[test]
fn runs_that_take_long_are_divided_and_keep_their_bits() {
    let Some(mut gpu) = gpu() else { return };
    let inputs: Vec<Vec<f32>> = (1..6).map(|number| vec![0.1 * number as f32; 2 * 12 * 100]).collect();
    let inputs = || inputs.iter().map(|input| input.as_slice().into());
    let stream = |executor: &mut GpuExecutor| {
        let mut results = Vec::new();
        executor.stream(&mut inputs(), &mut |outputs, _| results.push(outputs.to_vec())).unwrap();
        results
    };
    let mut whole = executor(&gpu, &forward(2));
    let expected = stream(&mut whole);
    assert_eq!(whole.prepared.submissions.len(), 1, "these runs are short");
    gpu.longest_submission = Duration::from_nanos(1);
    let mut slow = executor(&gpu, &forward(2));
    assert_eq!(slow.prepared.submissions.len(), 1);
    // They are divided after the second.
    assert_eq!(stream(&mut slow), expected);
    assert!(slow.prepared.submissions.len() > 3);
    assert_eq!(stream(&mut slow), expected);
}

#[test]
fn no_submission_has_more_than_its_share_of_operations() {
    let Some(mut gpu) = gpu() else { return };
    let one = forward(1);
    let operations = |plan: &Plan, prepared: &PreparedPlan| -> Vec<u64> {
        let of = |step: usize| plan.steps[step].kernel.operation().floating_point_operations();
        let sum = |range: &Range<usize>| prepared.dispatches[range.clone()].iter().map(|&(step, _)| of(step)).sum();
        prepared.submissions.iter().map(sum).collect()
    };
    // The records of a batch fit into one submission.
    gpu.largest_submission = 5 * one.floating_point_operations() / 2;
    assert_eq!(crate::backend::Backend::largest_batch(&gpu, &one).unwrap(), 2);
    let (plan, whole) = (gpu.fused(&forward(2)).plan, executor(&gpu, &forward(2)));
    assert_eq!(operations(&plan, &whole.prepared).len(), 1);
    // A larger plan is divided between its steps.
    let (plan, divided) = (gpu.fused(&forward(8)).plan, executor(&gpu, &forward(8)));
    let operations = operations(&plan, &divided.prepared);
    assert!(operations.len() > 3, "{operations:?}");
    let largest = plan.steps.iter().map(|step| step.kernel.operation().floating_point_operations()).max().unwrap();
    assert!(operations.iter().all(|&sum| sum <= gpu.largest_submission.max(largest)), "{operations:?}");
}

#[test]
fn an_aborted_first_run_is_an_error_too() {
    let Some(gpu) = gpu() else { return };
    let mut executor = executor(&gpu, &forward(1));
    abort_next_run(&mut executor.prepared, 0);
    let error = executor.run(&[0.5; 12 * 100], &mut Vec::new()).unwrap_err();
    assert!(error.cause().contains("aborted a run"), "{error}");
}

#[test]
fn a_stream_ends_at_the_run_that_was_aborted() {
    let Some(gpu) = gpu() else { return };
    let mut executor = executor(&gpu, &forward(1));
    let inputs = || (0..3).map(|number| vec![0.5 + number as f32; 12 * 100].into());
    executor.stream(&mut inputs(), &mut |_, _| ()).unwrap();
    abort_next_run(&mut executor.prepared, 1);
    let mut answered = 0;
    let error = executor.stream(&mut inputs(), &mut |_, _| answered += 1).unwrap_err();
    assert!(error.cause().contains("aborted a run"), "{error}");
    assert_eq!(answered, 1);
}

#[test]
fn a_network_reserves_little_memory_of_the_device() {
    let Some(gpu) = gpu() else { return };
    let _prepared = executor(&gpu, &forward(1));
    let Some(report) = gpu.device.generate_allocator_report() else { return };
    let reserved = report.total_reserved_bytes;
    assert!((1..48 << 20).contains(&reserved), "{reserved} bytes");
}

#[test]
fn a_readback_that_was_aborted_is_an_error() {
    let Some(gpu) = gpu() else { return };
    let executor = executor(&gpu, &forward(1));
    let prepared = &executor.prepared;
    let buffer = &prepared.output(0).source.buffer;
    assert_eq!(block_on(prepared.read_buffer(buffer)).unwrap().len() * 4, buffer.size() as usize);
    let nothing = prepared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()).finish();
    let aborted = Reading { commands: nothing, ..prepared.reading(buffer).unwrap() };
    let error = block_on(prepared.finish_reading(aborted)).unwrap_err();
    assert!(error.cause().contains("aborted a run"), "{error}");
}

#[cfg(feature = "train")]
#[test]
fn an_aborted_training_step_is_an_error_and_several_submissions_train_with_the_same_bits() {
    use crate::{
        backend::{Trainer, gpu::training::GpuTrainer},
        kernels::training::SupervisedLossKind,
        train::{Objective, Optimiser, TrainingStep},
    };
    let Some(gpu) = gpu() else { return };
    let weights = Weights::built_in().unwrap();
    let objective = Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] };
    let (network, optimiser) = (&weights.network, Optimiser::default());
    let parameters = TrainingStep::initial(network, &objective, 1);
    let step = TrainingStep::new(network, &objective, &optimiser, &parameters, [2, 100], None);
    let plan = step.unwrap().plan;
    let mut trainer = block_on(GpuTrainer::new(&gpu, &plan)).unwrap();
    let inputs: Vec<Vec<f32>> = plan.inputs.iter().map(|&id| vec![0.5; plan.buffers[id].len()]).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut whole = Vec::new();
    trainer.run(&inputs, &mut whole).unwrap();
    abort_next_run(&mut trainer.prepared, 0);
    let error = trainer.run(&inputs, &mut Vec::new()).unwrap_err();
    assert!(error.cause().contains("aborted a run"), "{error}");

    // A step in several submissions trains with the same bits.
    let Some(mut gpu) = self::gpu() else { return };
    gpu.largest_submission = 1_000_000;
    let (mut trainer, mut cut) = (block_on(GpuTrainer::new(&gpu, &plan)).unwrap(), Vec::new());
    assert!(trainer.prepared.submissions.len() > 3);
    trainer.run(&inputs, &mut cut).unwrap();
    assert_eq!(cut, whole);
}
