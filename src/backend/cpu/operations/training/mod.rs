//! The operations that only training has: gradients, batch norm by batch statistics, and the optimiser.

mod batch_norm;
mod elementwise;
mod gradient;
mod parameters;
mod weight_gradient;

use super::{
    super::plan_layouts::{BatchLayout, PlanLayouts},
    CpuOperation, Preparation,
    reference::ByReference,
};
use crate::{kernels::training::Training, plan::BufferId};

/// Prepares a step of training.
pub(super) fn operation(preparation: &Preparation, step: usize, training: &Training) -> Box<dyn CpuOperation> {
    let Preparation { plan, layouts, .. } = *preparation;
    let by_reference = || Box::new(ByReference::new(plan, layouts, step));
    let at = &plan.steps[step];
    match training {
        Training::BatchStatistics(it) => Box::new(batch_norm::Statistics::new(layouts, at, it.0)),
        Training::BatchNorm(it) if equal_pitches(layouts, &[at.reads[0], at.write]) => {
            Box::new(batch_norm::Normalisation::new(layouts, at, it))
        }
        Training::BatchNormGradientSums(it) if equal_pitches(layouts, &[at.reads[0], at.reads[3]]) => {
            Box::new(batch_norm::Sums::new(layouts, at, it))
        }
        Training::BatchNormInputGradient(it) if equal_pitches(layouts, &[at.reads[0], at.reads[4], at.write]) => {
            Box::new(batch_norm::Gradient::new(layouts, at, it))
        }
        Training::Conv1dWeightGradient(it) => Box::new(weight_gradient::WeightGradient::new(preparation, at, it)),
        Training::Gather(_) => Box::new(parameters::Gather::new(layouts, at)),
        Training::DepthToSpace(it) => Box::new(gradient::DepthToSpace::new(layouts, at, it)),
        Training::GlobalAveragePoolGradient(it) => Box::new(gradient::GlobalAveragePoolGradient::new(layouts, at, it)),
        Training::Relu(_) if equal_pitches(layouts, &[at.reads[0], at.write]) => {
            Box::new(elementwise::Relu::new(layouts, at))
        }
        Training::ReluGradient(_) if equal_pitches(layouts, &[at.reads[0], at.reads[1], at.write]) => {
            Box::new(elementwise::ReluGradient::new(layouts, at))
        }
        Training::Adam(it) => Box::new(parameters::Adam::new(layouts, at, it)),
        Training::LinearInterpolation(it) => Box::new(parameters::LinearInterpolation::new(layouts, at, it)),
        _ => by_reference(),
    }
}

/// Whether the rows of some activations are equally far apart, so that one loop can go through all of them.
fn equal_pitches(layouts: &PlanLayouts, ids: &[BufferId]) -> bool {
    let shape = |id: BufferId| {
        let BatchLayout { rows, buffers, .. } = layouts.activation(id);
        (rows.pitch, rows.samples, buffers)
    };
    ids.iter().all(|&id| shape(id) == shape(ids[0]))
}
