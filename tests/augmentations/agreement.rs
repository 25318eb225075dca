//! Every device augments like the reference.

use ecgpu::Device;
use ecgpu::engine::backend;
use ecgpu::engine::kernels::training::augment::Draws;
use ecgpu::engine::kernels::training::{Schedule, SupervisedLossKind};
use ecgpu::engine::network::published::model_card_55k;
use ecgpu::train::{AugmentationPipeline, Augmentations, Heads, Objective, Optimiser, TrainingStep};
use ecgpu_testing::has_gpu;

use crate::batch::{Batch, happened};

#[test]
fn a_gpu_draws_and_augments_like_the_reference() {
    if has_gpu() {
        draws_and_augments_as_the_reference(&Device::Gpu);
    }
}

#[test]
fn a_cpu_draws_and_augments_like_the_reference() {
    draws_and_augments_as_the_reference(&Device::Cpu);
}

fn draws_and_augments_as_the_reference(device: &Device) {
    let batches = [Batch::ecgs(9, 100.0), Batch::ecgs(3, 500.0), Batch::of(5, 37, 120.0, |r, l, t| (r + l + t) as f64)];
    for (batch, views) in batches.iter().flat_map(|batch| [(batch, 1), (batch, 2)]) {
        let all = Augmentations::every();
        for (name, augmentations) in all.always().each().chain([("all", all.always()), ("as published", all)]) {
            let plan = batch.plan(&augmentations, 1 << 33 | 5, views).unwrap();
            let [computed, reference] = [device, &Device::Reference].map(|device| batch.run(device, &plan, 70_000));
            let place = format!("{name}, {} samples, {views} views", batch.samples);
            for (a, b) in computed.draws.iter().zip(&reference.draws) {
                let whole = |d: &Draws| (happened(d), d.partner, d.cut, d.cut_partner, d.gap);
                let near_gain = |a: &Draws, b: &Draws| {
                    (a.gain - b.gain).abs() < 1e-6 && (a.dropped_leads - b.dropped_leads).abs() < 1e-6
                };
                assert!(near_gain(a, b), "{place}");
                assert_eq!(whole(a), whole(b), "{place}");
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs();
                assert!(near(a.factor, b.factor) && near(a.anchor, b.anchor) && near(a.share, b.share), "{place}");
                assert!(near(a.band[0], b.band[0]) && near(a.band[1], b.band[1]), "{place}");
                assert!(near(a.wander, b.wander) && near(a.noise, b.noise), "{place}");
            }
            let worst = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert_eq!(
                (computed.x.len(), computed.labels.len()),
                (reference.x.len(), reference.labels.len()),
                "{place}"
            );
            let largest = reference.x.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let [x, labels] = [worst(&computed.x, &reference.x) / largest, worst(&computed.labels, &reference.labels)];
            // Near sample 5000 a position in time is rounded to 2^-13 of a sample. The rest is the error of a GPU's
            // sine and logarithm.
            let bound = if augmentations.warp.is_some() { 1e-4 } else { 1e-5 };
            assert!(x < bound && labels < 1e-6, "{place}: {x:.1e} of the largest sample, labels {labels:.1e}");
        }
    }
}

/// The losses of a step that augments are those of a step that receives the augmented batch.
#[test]
fn a_training_step_trains_on_the_augmented_batch() {
    let devices = [Device::Reference, Device::Cpu, Device::Gpu];
    for device in devices.iter().filter(|device| !matches!(device, Device::Gpu) || has_gpu()) {
        let batch = Batch::ecgs(5, 100.0);
        let augmenting = AugmentationPipeline {
            augmentations: Augmentations::every().always(),
            signal: batch.signal.clone(),
            seed: 3,
        };
        let network = model_card_55k();
        let heads = Heads { hidden: 16, out: 8 };
        let supervised = Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] };
        for objective in [supervised, Objective::SimClr { temperature: 0.5, heads }, Objective::Byol { heads }] {
            let parameters = TrainingStep::initial(&network, &objective, 1);
            let step = |augmentation: Option<&AugmentationPipeline>| {
                let sizes = [batch.records, batch.samples];
                TrainingStep::new(&network, &objective, &Optimiser::default(), &parameters, sizes, augmentation)
                    .unwrap()
            };
            let losses = |step: TrainingStep, x: &[f32], labels: &[f32]| {
                let mut trainer = backend::open(device, None).unwrap().prepare_training(&step.plan).unwrap();
                let mut inputs = vec![x, &[0.0; Schedule::LEN], labels];
                inputs.truncate(step.plan.inputs.len());
                let mut outputs = Vec::new();
                trainer.run(&inputs, &mut outputs).unwrap();
                outputs.remove(0)
            };
            let views = objective.views();
            let outside = batch.run(device, &batch.plan(&augmenting.augmentations, 3, views).unwrap(), 0);
            let expected = losses(step(None), &outside.x, &outside.labels);
            let x = batch.x.repeat(views);
            let inside = losses(step(Some(&augmenting)), &x, &batch.labels);
            let unlike = losses(step(None), &x, &batch.labels);
            let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far(&inside, &expected) < 1e-5, "{objective:?}: {inside:?} instead of {expected:?}");
            assert!(far(&unlike, &expected) > 1e-3, "{objective:?}: augmentations change the loss");
        }
    }
}
