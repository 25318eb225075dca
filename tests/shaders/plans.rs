//! The plans whose shaders are tested.

use ecgpu::engine::{
    plan::{FusedPlan, Keep, Plan},
    verify::random_network,
};
use ecgpu_testing::published_with_zeros;

/// Lists the plans that users run: of both networks at both usual lengths, and of training.
pub fn usual() -> Vec<Plan> {
    let published = published_with_zeros().into_iter().flat_map(|folded| {
        [(1, 1000), (32, 5000)].map(|(batch, samples)| Plan::new(&folded, batch, samples, Keep::Results).unwrap())
    });
    let plans = published.flat_map(and_fused);
    #[cfg(feature = "train")]
    let plans = plans.chain(training_plans());
    plans.collect()
}

/// Lists plans of many random networks.
pub fn random() -> Vec<Plan> {
    let of_seed = |seed| {
        let (folded, batch, samples) = random_network(seed);
        Plan::new(&folded, batch, samples, Keep::Pooled).unwrap()
    };
    (0..20).map(of_seed).flat_map(and_fused).collect()
}

/// A plan as it is and with its steps fused.
fn and_fused(plan: Plan) -> impl Iterator<Item = Plan> {
    let fused_max_pool = FusedPlan::unfused(&plan).with_fused_max_pools();
    let fused = [fused_max_pool.clone().with_fused_pooled_linear(), Some(fused_max_pool)];
    fused.into_iter().flatten().map(|fused| fused.plan).chain([plan])
}

/// Lists training steps of every objective, and a plan of the operations that none of these has.
#[cfg(feature = "train")]
fn training_plans() -> Vec<Plan> {
    use ecgpu::{
        ecg::Lead,
        engine::kernels::training::{Dropout, LinearInterpolation, Schedule, SupervisedLossKind},
        engine::network::published,
        engine::plan::Builder,
        train::{AugmentationPipeline, Augmentations, Heads, Objective, Optimiser, TrainingStep, augment::Signal},
    };
    let heads = Heads { hidden: 96, out: 32 };
    let objectives = [
        Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] },
        Objective::SimClr { temperature: 0.07, heads },
        Objective::Byol { heads },
    ];
    let mut plans = Vec::new();
    for network in published::all() {
        for (at, objective) in objectives.iter().enumerate() {
            let optimiser = Optimiser { clip: (at == 0).then_some(1.0), ..Optimiser::default() };
            let parameters = TrainingStep::initial(&network, objective, 1);
            plans.push(TrainingStep::new(&network, objective, &optimiser, &parameters, [8, 1000], None).unwrap().plan);
        }
    }
    let mut builder = Builder::default();
    let x = builder.input("x", [2, 3, 5]).unwrap();
    let schedule = builder.input("schedule", [1, 1, Schedule::LEN]).unwrap();
    let dropout = Dropout { rows: 6, samples: 5, rate: 0.5, seed: 1 };
    let y = builder.step("dropout", dropout, &[x, schedule], [2, 3, 5]).unwrap();
    let sum = builder.state("sum", vec![0.0; 30].into()).unwrap();
    builder.step_into(
        "accumulate",
        LinearInterpolation { length: 30, factors: Schedule::ACCUMULATE },
        &[y, schedule],
        sum,
    );
    plans.push(builder.finish(vec![y]));
    let mut builder = Builder::default();
    let x = builder.input("x", [4, 12, 1000]).unwrap();
    let schedule = builder.input("schedule", [1, 1, Schedule::LEN]).unwrap();
    let labels = builder.input("labels", [4, 5, 1]).unwrap();
    let signal = Signal { leads: Lead::STANDARD.to_vec(), sampling_rate: 100.0, millivolts: 0.235 };
    let augmenting = AugmentationPipeline { augmentations: Augmentations::every(), signal, seed: u64::MAX };
    let augmented = augmenting.add(&mut builder, 2, [x, schedule], Some(labels)).unwrap();
    plans.push(builder.finish(vec![augmented.records]));
    plans
}
