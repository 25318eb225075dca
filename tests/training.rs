//! Every training operation on the GPU computes what the float64 reference computes, and whole steps repeat to the bit.

use std::sync::Arc;

use ecgpu::{
    ErrorKind,
    engine::backend::{Backend, gpu::Gpu, reference::Reference},
    engine::kernels::training::{Schedule, SupervisedLossKind},
    engine::network::published::model_card_55k,
    engine::random::Random,
    engine::verify::LARGEST_NMSE,
    train::{self, Objective, Optimiser, TrainingStep},
};
use ecgpu_testing::{
    TrainingPlan, gpu, nmse, training_plan_error,
    training_plans::{self as plans, BuildPlan, SEEDS},
};

#[test]
fn every_operation_agrees_in_the_variant_that_runs_everywhere() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_variant("plain");
    for (name, plan) in plans::ALL {
        for seed in 0..SEEDS {
            let error = training_plan_error(&gpu, plan(seed));
            assert!(error <= LARGEST_NMSE, "{name}, seed {seed}: {error:.1e}");
        }
    }
}

#[test]
fn every_other_variant_agrees() {
    for (variant, name, plan) in [
        ("many", "batch norm", plans::batch_norm as BuildPlan),
        ("columns", "sum of each channel", plans::channel_sum),
        ("slices", "sum of each channel", plans::channel_sum),
        ("subgroups", "weight gradient", plans::weight_gradient),
        ("subgroups", "long weight gradient", plans::long_weight_gradient),
        ("subgroups", "wide weight gradient", plans::wide_weight_gradient),
        ("tile", "weight gradient", plans::weight_gradient),
        ("tile", "wide weight gradient", plans::wide_weight_gradient),
        ("tile", "long weight gradient", plans::long_weight_gradient),
    ] {
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_variant(variant);
        for seed in 0..SEEDS {
            let error = training_plan_error(&gpu, plan(seed));
            assert!(error <= LARGEST_NMSE, "{name} as {variant}, seed {seed}: {error:.1e}");
        }
    }
}

#[test]
fn a_step_of_each_objective_agrees_with_the_reference_and_a_wrong_one_does_not() {
    let Some(right) = gpu() else { return };
    let reports = train::verify(&right).unwrap();
    assert!(reports.len() == 9 && reports.iter().all(|report| report.passed), "{reports:#?}");

    // An optimiser that leaves the parameters as they are: losses and gradients are right.
    let Some(wrong) = gpu() else { return };
    let edit = |_: &str, source: &str| source.replace("state[w_at] = w - rate", "state[w_at] = w - 0.0 * rate");
    let reports = train::verify(&wrong.with_edited_shaders(Arc::new(edit))).unwrap();
    let failed = reports.iter().filter(|report| !report.passed).map(|report| report.stage.as_str());
    assert_eq!(failed.collect::<Vec<_>>(), ["parameters after the step"; 3]);
}

fn step_of(records: usize) -> TrainingStep {
    let loss = SupervisedLossKind::FOCAL;
    let objective = Objective::Supervised { loss, class_weights: vec![1.0, 2.0, 1.0, 3.0, 1.0] };
    let parameters = TrainingStep::initial(&model_card_55k(), &objective, 3);
    TrainingStep::new(&model_card_55k(), &objective, &Optimiser::default(), &parameters, [records, 250], None).unwrap()
}

/// Returns the losses of the second of two steps and the parameters after it.
fn two_steps(gpu: &Gpu, step: &TrainingStep) -> [Vec<f32>; 2] {
    let mut trainer = gpu.prepare_training(&step.plan).unwrap();
    let mut random = Random::new(5, 5);
    let mut input = |at: usize| -> Vec<f32> {
        (0..step.plan.buffers[step.plan.inputs[at]].len()).map(|_| random.uniform() as f32).collect()
    };
    let (records, labels) = (input(0), input(2));
    let (learning_rate, corrections, accumulate) = (1e-3, [0.1, 0.001], [0.0, 1.0]);
    let schedule =
        Schedule { step: 0, learning_rate, corrections, target_momentum: 0.0, accumulate, average_decay: 1.0 }
            .numbers();
    let mut outputs = Vec::new();
    for _ in 0..2 {
        trainer.run(&[&records, &schedule, &labels], &mut outputs).unwrap();
    }
    [outputs.swap_remove(0), trainer.state(step.trained).unwrap()]
}

/// In training the device packs the weights, in another order for each variant.
#[test]
fn every_variant_of_the_convolution_gives_the_gradient_of_a_step() {
    let step = step_of(3);
    let gradient = |backend: &dyn Backend| {
        let mut trainer = backend.prepare_training(&step.plan).unwrap();
        let inputs = step.plan.inputs.iter().map(|&id| vec![0.5; step.plan.buffers[id].len()]);
        let mut inputs: Vec<Vec<f32>> = inputs.collect();
        inputs[0] = TrainingPlan::new(8).normal(inputs[0].len());
        trainer.run(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut Vec::new()).unwrap();
        trainer.state(step.gradient).unwrap()
    };
    let exact = gradient(&Reference);
    for variant in ["plain", "tile 8", "tile 4", "tile 4 sliced", "tile", "subgroups"] {
        let Some(gpu) = gpu() else { return };
        let error = nmse(&gradient(&gpu.with_variant(variant)), &exact);
        assert!(error <= LARGEST_NMSE, "{variant}: {error:.1e}");
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
fn a_state_can_be_set_and_read_and_an_input_cannot() {
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
fn a_batch_too_large_for_the_adapter_is_refused_before_memory_is_allocated() {
    let Some(gpu) = gpu() else { return };
    let error = gpu.prepare_training(&step_of(400_000).plan).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.cause().contains("400000 records") && error.cause().contains("allows"), "{error}");
}
