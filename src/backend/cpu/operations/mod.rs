//! The steps of a plan as the CPU runs them, for inference and for training.
//!
//! Each operation divides its work into phases of items that threads can do side by side. What an item computes does not
//! depend on how many items or threads there are, so a plan has the same bits for any number of threads. An operation
//! without code of its own runs by its float64 reference ([`reference`]).

mod convolution;
mod linear;
mod pool;
mod reference;
#[cfg(feature = "gradients")]
mod training;
mod transfer;
mod weights;

use super::{
    aligned_buffer::AlignedBuffer,
    micro_kernels::{MicroKernels, packing::Packing},
    plan_layouts::{PlanLayouts, Workspace},
    weight_cache::PackedWeights,
};
use crate::{
    kernels::Kernel,
    plan::{Plan, Step},
};

pub(super) use transfer::{Input, Output};

/// A step of a plan, ready to run any number of times.
pub(super) trait CpuOperation: Send + Sync {
    /// The work items of each phase. Every item of a phase is complete before the next phase begins.
    fn phases(&self) -> Vec<usize>;

    /// The numbers of scratch memory that an item needs.
    fn scratch_len(&self) -> usize {
        0
    }

    /// Does one work item.
    ///
    /// # Safety
    /// All earlier phases are complete. No other thread does this item, an item of another phase, or uses the context's
    /// scratch memory.
    unsafe fn run(&self, phase: usize, item: usize, context: &Context);
}

/// Everything that an item works with.
pub(super) struct Context<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) kernels: &'static MicroKernels,
    /// The plan's inputs, for the whole batch.
    pub(super) inputs: &'a [&'a [f32]],
    /// Room for the plan's outputs, for the whole batch.
    pub(super) outputs: &'a [AlignedBuffer],
    /// Which record of the batch the workspace's first record is.
    pub(super) first_record: usize,
    /// Scratch memory of the worker.
    pub(super) scratch: &'a AlignedBuffer,
}

/// What the preparation of a plan's operations depends on.
pub(super) struct Preparation<'a> {
    pub(super) plan: &'a Plan,
    pub(super) layouts: &'a PlanLayouts,
    /// The packed weights of each step that has constant weights.
    pub(super) packed: &'a [Option<PackedWeights>],
    pub(super) kernels: &'static MicroKernels,
    /// How many workers share the whole plan.
    #[cfg(feature = "gradients")]
    pub(super) workers: usize,
    /// How many workers share one record: 1 where each worker computes records of its own.
    pub(super) workers_per_record: usize,
}

/// How the weights of a step are packed; none for a step without weights.
pub(super) fn packing(plan: &Plan, layouts: &PlanLayouts, step: usize, kernels: &MicroKernels) -> Option<Packing> {
    match &plan.steps[step].kernel {
        Kernel::Conv1d(_) => Some(layouts.convolution(step).packing()),
        Kernel::Linear(linear) => Some(linear::packing(linear, kernels)),
        _ => None,
    }
}

/// Prepares a step of a plan.
pub(super) fn operation(preparation: &Preparation, step: usize) -> Box<dyn CpuOperation> {
    let Preparation { plan, layouts, .. } = *preparation;
    let Step { kernel, .. } = &plan.steps[step];
    match kernel {
        Kernel::Conv1d(_) => Box::new(convolution::Convolution::new(preparation, step)),
        Kernel::Linear(linear) => Box::new(linear::Linear::new(preparation, step, linear)),
        Kernel::MaxPool(pool) => Box::new(pool::MaxPool::new(preparation, step, pool)),
        Kernel::GlobalAveragePool(_) => Box::new(pool::GlobalAveragePool::new(preparation, step)),
        #[cfg(feature = "gradients")]
        Kernel::Training(training) => training::operation(preparation, step, training),
        _ => Box::new(reference::ByReference::new(plan, layouts, step)),
    }
}
