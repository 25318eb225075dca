//! A plan's operations, ready to run, and the phases that they are divided into.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use super::operations::{Context, CpuOperation, Input, Output, Preparation, operation};

/// A plan ready to run any number of times in any number of workspaces. The copies of inputs and outputs are operations too.
pub(super) struct PreparedPlan {
    operations: Vec<Box<dyn CpuOperation>>,
    phases: Vec<PlanPhase>,
    /// How many of the operations copy inputs. The operations of the plan's steps follow them.
    inputs: usize,
    steps: usize,
}

/// A phase of one operation.
#[derive(Clone, Copy)]
pub(super) struct PlanPhase {
    operation: usize,
    phase: usize,
    pub(super) items: usize,
}

impl PreparedPlan {
    /// Prepares the operations of a plan.
    pub(super) fn new(preparation: &Preparation) -> Self {
        let plan = preparation.plan;
        let mut operations: Vec<Box<dyn CpuOperation>> = Vec::new();
        for (at, &id) in plan.inputs.iter().enumerate() {
            operations.push(Box::new(Input::new(preparation, at, id)));
        }
        operations.extend((0..plan.steps.len()).map(|step| operation(preparation, step)));
        for (at, &id) in plan.outputs.iter().enumerate() {
            operations.push(Box::new(Output::new(preparation, at, id)));
        }
        let mut phases = Vec::new();
        for (operation, of) in operations.iter().enumerate() {
            let items = of.phases().into_iter().enumerate();
            phases.extend(items.map(|(phase, items)| PlanPhase { operation, phase, items }));
        }
        Self { operations, phases, inputs: plan.inputs.len(), steps: plan.steps.len() }
    }

    /// The phases in the order in which they run.
    pub(super) fn phases(&self) -> &[PlanPhase] {
        &self.phases
    }

    /// The numbers of scratch memory that a worker needs.
    pub(super) fn scratch_len(&self) -> usize {
        self.operations.iter().map(|operation| operation.scratch_len()).max().unwrap_or(0)
    }

    /// Does one item of a phase. The nanoseconds that it takes are added to the step's element of `busy`.
    ///
    /// # Safety
    /// All earlier phases are complete in the context's workspace. No other thread does this item, an item of another phase
    /// in the same workspace, or uses the context's scratch memory.
    pub(super) unsafe fn run(&self, phase: PlanPhase, item: usize, context: &Context, busy: Option<&[AtomicU64]>) {
        let PlanPhase { operation, phase, .. } = phase;
        let step = operation.checked_sub(self.inputs).filter(|&step| step < self.steps);
        let begin = busy.zip(step).map(|(busy, step)| (&busy[step], Instant::now()));
        // SAFETY: the caller guarantees the same.
        unsafe { self.operations[operation].run(phase, item, context) };
        if let Some((busy, begin)) = begin {
            busy.fetch_add(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
    }
}
