//! The comparison of a training step on a backend with the float64 reference.

use super::{Heads, Objective, Optimiser, TrainingStep};
use crate::{
    Result,
    backend::{Backend, Trainer, difference::Difference, reference::Reference},
    kernels::training::{Schedule, SupervisedLossKind},
    network::published::model_card_55k,
    plan::BufferId,
    random::Random,
    verify::{LARGEST_NMSE, StageReport},
};

/// Records of a step: more than one, so that batch norm and the losses between records have something to compare.
const RECORDS: usize = 8;

/// Samples per lead: an odd number, so that rows end within a vector.
const SAMPLES: usize = 101;

/// Adam's ε. With the usual 1e-8 a step is ±1 for any gradient that is not zero, so that a gradient near zero changes its
/// parameter by a number that depends on rounding alone. This one is about the size of the gradients.
const EPSILON: f32 = 1e-2;

/// Compares one step of each objective on network 55k with the float64 reference: the losses, the gradient, and the
/// parameters after the optimiser.
///
/// # Errors
/// The device fails. A wrong result is not an error: its report has `passed: false`.
pub fn verify(backend: &dyn Backend) -> Result<Vec<StageReport>> {
    let heads = Heads { hidden: 64, out: 32 };
    let supervised = Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] };
    let objectives = [
        ("supervised", supervised),
        ("SimCLR", Objective::SimClr { temperature: 0.5, heads }),
        ("BYOL", Objective::Byol { heads }),
    ];
    let reports = objectives.iter().map(|(name, objective)| compare(backend, name, objective));
    Ok(reports.collect::<Result<Vec<_>>>()?.concat())
}

/// Compares a step of one objective.
fn compare(backend: &dyn Backend, name: &str, objective: &Objective) -> Result<Vec<StageReport>> {
    let network = model_card_55k();
    let parameters = TrainingStep::initial(&network, objective, 1);
    let step = TrainingStep::new(
        &network,
        objective,
        &Optimiser { epsilon: EPSILON, ..Optimiser::default() },
        &parameters,
        [RECORDS, SAMPLES],
        None,
    )?;
    let inputs = inputs(&step);
    let [computed, expected] = [backend, &Reference].map(|backend| results(backend, &step, &inputs));
    let (computed, expected) = (computed?, expected?);
    let what = format!("{} {RECORDS}×{}×{SAMPLES}, training", network.name, network.in_channels());
    Ok(computed
        .iter()
        .zip(&expected)
        .map(|((stage, computed), (_, expected))| {
            let expected: Vec<f64> = expected.iter().copied().map(f64::from).collect();
            let Difference { largest_error, nmse, worst, .. } = Difference::between(computed, &expected);
            StageReport {
                network: what.clone(),
                stage: stage.to_string(),
                operation: format!("one step of {name}"),
                shape: [1, 1, computed.len()],
                largest_error,
                nmse,
                worst: [0, 0, worst],
                passed: nmse <= LARGEST_NMSE,
            }
        })
        .collect())
}

/// Makes the inputs of a step: records, schedule and, for a supervised objective, labels of which every third is true.
fn inputs(step: &TrainingStep) -> Vec<Vec<f32>> {
    let mut random = Random::new(1, 0);
    let length = |at: usize| step.plan.buffers[step.plan.inputs[at]].len();
    let records = (0..length(0)).map(|_| random.normal() as f32).collect();
    let schedule = Schedule {
        step: 0,
        learning_rate: 1e-3,
        // Adam's 1 − β at its first step.
        corrections: [0.1, 0.001],
        target_momentum: 0.99,
        accumulate: [0.0, 1.0],
        average_decay: 1.0,
    };
    let labels = (2..step.plan.inputs.len()).map(|at| (0..length(at)).map(|label| f32::from(label % 3 == 0)).collect());
    [records, schedule.numbers().to_vec()].into_iter().chain(labels).collect()
}

/// Runs a step and returns its results with their names.
fn results(backend: &dyn Backend, step: &TrainingStep, inputs: &[Vec<f32>]) -> Result<Vec<(&'static str, Vec<f32>)>> {
    let mut trainer = backend.prepare_training(&step.plan)?;
    let mut outputs = Vec::new();
    trainer.run(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut outputs)?;
    let state = |trainer: &mut Box<dyn Trainer>, id: BufferId| trainer.state(id);
    let (gradient, mut trained) = (state(&mut trainer, step.gradient)?, state(&mut trainer, step.trained)?);
    // The parameters are followed by the optimiser's two moments, which follow from the gradient.
    trained.truncate(gradient.len());
    Ok(vec![("losses", outputs.swap_remove(0)), ("gradient", gradient), ("parameters after the step", trained)])
}
