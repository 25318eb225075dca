//! Inference: an [`Executor`] that computes each record by itself, in one worker or in all of them.

use std::{sync::atomic::AtomicU64, time::Duration};

use super::{
    Cpu, OPERATIONS_PER_WORKER, SPEEDUP_ON_ONE_RECORD,
    aligned_buffer::AlignedBuffer,
    micro_kernels::MicroKernels,
    operations::{Context, Preparation, packing},
    plan_layouts::{PlanLayouts, Stored, Workspace},
    prepared_plan::PreparedPlan,
    thread_pool::{PhasedWork, ThreadPool},
    weight_cache::PackingRequest,
};
use crate::{
    Result,
    backend::{Backend, DeviceInfo, Executor, check_clock, check_input},
    plan::Plan,
};

/// A plan prepared for inference.
pub(super) struct CpuExecutor {
    plan: Plan,
    /// Records that one worker computes each. They come first in the batch.
    single_records: usize,
    /// The plan of one record, whose phases one worker runs; none if there are no such records.
    single: Option<PreparedPlan>,
    /// The plan of one record, whose phases all workers share; none if there are no such records.
    shared: Option<PreparedPlan>,
    /// One phase of all single records, then the phases of each shared record.
    work: PhasedWork,
    /// One per worker that computes records by itself. The first one also serves the shared records.
    workspaces: Vec<Workspace>,
    /// One per worker.
    scratch: Vec<AlignedBuffer>,
    /// The plan's outputs for the whole batch.
    outputs: Vec<AlignedBuffer>,
    kernels: &'static MicroKernels,
    pool: ThreadPool,
    info: DeviceInfo,
}

impl CpuExecutor {
    /// Prepares a plan. `record` is the same plan for one record.
    pub(super) fn new(cpu: &Cpu, plan: &Plan, record: &Plan) -> Self {
        let kernels = cpu.kernels;
        let workers =
            (1 + plan.floating_point_operations() / OPERATIONS_PER_WORKER).min(cpu.pool.workers() as u64) as usize;
        // Each worker computes as many whole records as the others, in a workspace of its own. All workers share what is
        // left over, unless it is so much that one more round of whole records is faster.
        let rest = plan.batch % workers;
        let single_records = if rest < workers.min(SPEEDUP_ON_ONE_RECORD) { plan.batch - rest } else { plan.batch };

        let layouts = PlanLayouts::new(record, kernels);
        let packings: Vec<_> = (0..record.steps.len()).map(|step| packing(record, &layouts, step, kernels)).collect();
        let requests = packings.iter().zip(&record.steps).filter_map(|(packing, step)| {
            Some(PackingRequest { packing: (*packing)?, weight: record.buffers[step.reads[1]].constant()? })
        });
        let mut packed = cpu.weights.get_or_pack(&requests.collect::<Vec<_>>(), kernels, &cpu.pool).into_iter();
        let packed: Vec<_> =
            packings.iter().map(|packing| if packing.is_some() { packed.next() } else { None }).collect();
        let prepare = |workers: usize| {
            PreparedPlan::new(&Preparation {
                plan: record,
                layouts: &layouts,
                packed: &packed,
                kernels,
                #[cfg(feature = "gradients")]
                workers,
                workers_per_record: workers,
            })
        };
        let single = (single_records > 0).then(|| prepare(1));
        let shared = (single_records < plan.batch).then(|| prepare(workers));

        let mut items = vec![single_records];
        for _ in single_records..plan.batch {
            items.extend(shared.iter().flat_map(PreparedPlan::phases).map(|phase| phase.items));
        }
        let work = PhasedWork::new(workers, &items);
        let workspaces = if single_records > 0 { work.workers() } else { 1 };
        let scratch = single.iter().chain(&shared).map(PreparedPlan::scratch_len).max().unwrap_or(0);
        let stored = Stored::of_plan(record);
        Self {
            plan: plan.clone(),
            single_records,
            single,
            shared,
            workspaces: (0..workspaces).map(|_| layouts.workspace(stored.clone())).collect(),
            scratch: (0..work.workers()).map(|_| AlignedBuffer::new(scratch)).collect(),
            outputs: plan.outputs.iter().map(|&id| AlignedBuffer::new(plan.buffers[id].len())).collect(),
            work,
            kernels,
            pool: cpu.pool.clone(),
            info: cpu.info(),
        }
    }

    /// Computes the outputs. The nanoseconds that workers spend on each step are added to `busy`.
    fn compute(&mut self, input: &[f32], busy: Option<&[AtomicU64]>) -> Result<()> {
        check_input(&self.plan, input)?;
        let Self { single_records, single, shared, work, workspaces, scratch, outputs, kernels, pool, .. } = self;
        let inputs = &[input];
        let shared_phases = shared.as_ref().map_or(&[][..], PreparedPlan::phases);
        pool.run(work, &|phase, item, worker| {
            let context = |workspace: usize, first_record: usize| Context {
                workspace: &workspaces[workspace],
                kernels,
                inputs,
                outputs,
                first_record,
                scratch: &scratch[worker],
            };
            match (phase.checked_sub(1), &single, &shared) {
                (None, Some(single), _) => {
                    let context = context(worker, item);
                    for &phase in single.phases() {
                        for item in 0..phase.items {
                            // SAFETY: phases follow one another, in a workspace that only this worker uses.
                            unsafe { single.run(phase, item, &context, busy) };
                        }
                    }
                }
                (Some(phase), _, Some(shared)) => {
                    let record = *single_records + phase / shared_phases.len();
                    let phase = shared_phases[phase % shared_phases.len()];
                    // SAFETY: the thread pool runs each phase after the one before it, and each item once.
                    unsafe { shared.run(phase, item, &context(0, record), busy) };
                }
                _ => unreachable!("a phase without a prepared plan has no items"),
            }
        });
        Ok(())
    }
}

impl Executor for CpuExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        self.compute(input, None)?;
        copy_outputs(&self.plan, &self.outputs, outputs);
        Ok(())
    }

    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        check_clock()?;
        let busy: Vec<AtomicU64> = self.plan.steps.iter().map(|_| AtomicU64::new(0)).collect();
        self.compute(input, Some(&busy))?;
        let workers = self.work.workers() as u64;
        Ok(busy.into_iter().map(|busy| Duration::from_nanos(busy.into_inner() / workers)).collect())
    }
}

/// Copies a plan's outputs to the caller, after a run.
pub(super) fn copy_outputs(plan: &Plan, from: &[AlignedBuffer], to: &mut Vec<Vec<f32>>) {
    to.resize(from.len(), Vec::new());
    for ((to, from), &id) in to.iter_mut().zip(from).zip(&plan.outputs) {
        to.clear();
        // SAFETY: the run is over, so no thread writes the outputs.
        to.extend_from_slice(unsafe { from.read(0..plan.buffers[id].len()) });
    }
}
