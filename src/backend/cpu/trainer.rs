//! Training: a [`Trainer`] that runs step after step over the whole batch. All workers share the items of each step.

use super::{
    Cpu,
    aligned_buffer::AlignedBuffer,
    executor::copy_outputs,
    micro_kernels::MicroKernels,
    operations::{Context, Preparation},
    plan_layouts::{PlanLayouts, Stored, Workspace},
    prepared_plan::PreparedPlan,
    thread_pool::{PhasedWork, ThreadPool},
};
use crate::{
    Result,
    backend::{Trainer, check_inputs, check_state},
    plan::{BufferId, Plan},
};

/// A plan prepared for training.
pub(super) struct CpuTrainer {
    plan: Plan,
    layouts: PlanLayouts,
    prepared: PreparedPlan,
    work: PhasedWork,
    workspace: Workspace,
    /// One per worker.
    scratch: Vec<AlignedBuffer>,
    /// The plan's outputs.
    outputs: Vec<AlignedBuffer>,
    kernels: &'static MicroKernels,
    pool: ThreadPool,
}

impl CpuTrainer {
    /// Prepares a plan.
    pub(super) fn new(cpu: &Cpu, plan: &Plan) -> Self {
        let (kernels, workers) = (cpu.kernels, cpu.pool.workers());
        let layouts = PlanLayouts::new(plan, kernels);
        // Every run packs the weights, because the optimiser changes them.
        let packed = vec![None; plan.steps.len()];
        let prepared = PreparedPlan::new(&Preparation {
            plan,
            layouts: &layouts,
            packed: &packed,
            kernels,
            workers,
            workers_per_record: 1,
        });
        let items: Vec<usize> = prepared.phases().iter().map(|phase| phase.items).collect();
        let work = PhasedWork::new(workers, &items);
        Self {
            workspace: layouts.workspace(Stored::of_plan(plan)),
            scratch: (0..work.workers()).map(|_| AlignedBuffer::new(prepared.scratch_len())).collect(),
            outputs: plan.outputs.iter().map(|&id| AlignedBuffer::new(plan.buffers[id].len())).collect(),
            plan: plan.clone(),
            layouts,
            prepared,
            work,
            kernels,
            pool: cpu.pool.clone(),
        }
    }
}

impl Trainer for CpuTrainer {
    fn run(&mut self, inputs: &[&[f32]], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        check_inputs(&self.plan, inputs)?;
        let Self { prepared, work, workspace, scratch, outputs: results, kernels, pool, .. } = self;
        let (workspace, phases) = (&*workspace, prepared.phases());
        pool.run(work, &|phase, item, worker| {
            let scratch = &scratch[worker];
            let context = Context { workspace, kernels, inputs, outputs: results, first_record: 0, scratch };
            // SAFETY: the thread pool runs each phase after the one before it, and each item once; each worker has its own
            // scratch memory.
            unsafe { prepared.run(phases[phase], item, &context, None) };
        });
        copy_outputs(&self.plan, &self.outputs, outputs);
        Ok(())
    }

    fn state(&mut self, state: BufferId) -> Result<Vec<f32>> {
        // SAFETY: no run is in progress.
        Ok(unsafe { self.layouts.slice(state).read(&self.workspace) }.to_vec())
    }

    fn set_state(&mut self, state: BufferId, values: &[f32]) -> Result<()> {
        check_state(&self.plan, state, values)?;
        // SAFETY: no run is in progress.
        unsafe { self.layouts.slice(state).write(&self.workspace) }.copy_from_slice(values);
        Ok(())
    }
}
