//! Operations without code of their own on the CPU: they run by their float64 reference.
//!
//! These are operations that compute little, such as losses, statistics and augmentations, and new operations for which
//! nothing faster has been written yet. The rows that an operation computes independently are separate work items.

use std::cell::UnsafeCell;

use super::{
    super::plan_layouts::{BatchLayout, BufferSlice, PlanLayouts},
    Context, CpuOperation,
    transfer::{read_buffer, write_buffer},
};
use crate::{
    kernels::Kernel,
    plan::{BufferId, Plan},
};

/// A step that runs by its reference.
pub(super) struct ByReference {
    kernel: Kernel,
    reads: Vec<(Operand, WideNumbers)>,
    write: Operand,
    /// The numbers that the step writes.
    written: usize,
    /// The rows of the written numbers that are computed independently.
    rows: usize,
}

/// Numbers in float64. Each item writes a different range.
struct WideNumbers(Box<[UnsafeCell<f64>]>);

// SAFETY: the caller of every access guarantees that it does not race with another.
unsafe impl Sync for WideNumbers {}

impl WideNumbers {
    fn new(len: usize) -> Self {
        Self((0..len).map(|_| UnsafeCell::new(0.0)).collect())
    }

    /// Borrows all numbers.
    ///
    /// # Safety
    /// No thread writes as long as the slice is in use.
    unsafe fn read(&self) -> &[f64] {
        // SAFETY: a cell has the memory layout of its content; the caller guarantees that there are no writers.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len()) }
    }

    /// Writes numbers from number `start` on.
    ///
    /// # Safety
    /// No other thread accesses these numbers.
    unsafe fn write(&self, start: usize, values: impl Iterator<Item = f64>) {
        for (cell, value) in self.0[start..].iter().zip(values) {
            // SAFETY: the caller guarantees exclusive access.
            unsafe { cell.get().write(value) };
        }
    }
}

/// A buffer that a step reads or writes.
enum Operand {
    Activation(BatchLayout),
    Slice(BufferSlice),
}

impl ByReference {
    pub(super) fn new(plan: &Plan, layouts: &PlanLayouts, step: usize) -> Self {
        let step = &plan.steps[step];
        let operand = |id: BufferId| match layouts.is_activation(id) {
            true => Operand::Activation(layouts.activation(id)),
            false => Operand::Slice(layouts.slice(id)),
        };
        let reads = step.reads.iter().map(|&id| (operand(id), WideNumbers::new(plan.buffers[id].len()))).collect();
        let write = operand(step.write);
        // Rows can be written separately only if each is a record of an activation with a buffer of its own.
        let independent = step.kernel.operation().independent_rows();
        let rows = match &write {
            Operand::Activation(layout) if !layout.matrix && layout.buffers == independent => independent,
            _ => 1,
        };
        Self { kernel: step.kernel.clone(), reads, write, written: plan.buffers[step.write].len(), rows }
    }
}

impl Operand {
    /// The buffers, each of which an item converts.
    fn buffers(&self) -> usize {
        match self {
            Operand::Activation(layout) => layout.buffers,
            Operand::Slice(_) => 1,
        }
    }

    /// Converts one buffer to float64.
    ///
    /// # Safety
    /// No other thread writes the buffer or accesses its range of `to`.
    unsafe fn widen(&self, buffer: usize, to: &WideNumbers, context: &Context) {
        // SAFETY: the caller guarantees the accesses.
        unsafe {
            match self {
                Operand::Slice(slice) => {
                    to.write(0, slice.read(context.workspace).iter().map(|&value| f64::from(value)));
                }
                Operand::Activation(layout) => {
                    let len = to.0.len() / layout.buffers;
                    let mut values = vec![0.0; len];
                    read_buffer(layout, buffer, context.workspace, &mut values);
                    to.write(buffer * len, values.into_iter().map(f64::from));
                }
            }
        }
    }

    /// Writes one buffer, or the whole slice.
    ///
    /// # Safety
    /// No other thread accesses it.
    unsafe fn narrow(&self, buffer: usize, values: &[f64], context: &Context) {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        // SAFETY: the caller guarantees exclusive access.
        unsafe {
            match self {
                Operand::Slice(slice) => slice.write(context.workspace).copy_from_slice(&values),
                Operand::Activation(layout) => {
                    write_buffer(layout, &values, layout.buffer(context.workspace, buffer));
                }
            }
        }
    }
}

impl CpuOperation for ByReference {
    fn phases(&self) -> Vec<usize> {
        let buffers = self.reads.iter().map(|(operand, _)| operand.buffers()).sum();
        vec![buffers, self.rows]
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item of the first phase has its own buffer, and each item of the second its own row.
        unsafe {
            if phase == 0 {
                let mut buffer = item;
                for (operand, wide) in &self.reads {
                    if buffer < operand.buffers() {
                        return operand.widen(buffer, wide, context);
                    }
                    buffer -= operand.buffers();
                }
                return;
            }
            let reads: Vec<&[f64]> = self.reads.iter().map(|(_, wide)| wide.read()).collect();
            let operation = self.kernel.operation();
            if self.rows > 1 {
                let mut row = vec![0.0; self.written / self.rows];
                operation.reference_row(&reads, item, &mut row);
                return self.write.narrow(item, &row, context);
            }
            // An operation may change what a state holds.
            let mut write = match &self.write {
                Operand::Slice(slice) => slice.read(context.workspace).iter().map(|&value| f64::from(value)).collect(),
                Operand::Activation(_) => vec![0.0; self.written],
            };
            operation.reference(&reads, &mut write);
            let buffers = self.write.buffers();
            for (buffer, values) in write.chunks(self.written / buffers).enumerate() {
                self.write.narrow(buffer, values, context);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        backend::{
            cpu::{
                aligned_buffer::AlignedBuffer,
                micro_kernels::instructions,
                operations::{Input, Output, Preparation},
                plan_layouts::Stored,
            },
            reference,
        },
        network::{Folded, Weights},
        plan::Keep,
    };

    /// Runs every step of a plan by its reference, on one thread.
    fn run_by_reference(plan: &Plan, input: &[f32]) -> Vec<Vec<f32>> {
        let kernels = instructions::available()[0];
        let layouts = PlanLayouts::new(plan, kernels);
        let preparation = Preparation {
            plan,
            layouts: &layouts,
            packed: &[],
            kernels,
            #[cfg(feature = "gradients")]
            workers: 1,
            workers_per_record: 1,
        };
        let mut operations: Vec<Box<dyn CpuOperation>> = vec![Box::new(Input::new(&preparation, 0, plan.input()))];
        for step in 0..plan.steps.len() {
            operations.push(Box::new(ByReference::new(plan, &layouts, step)));
        }
        for (at, &id) in plan.outputs.iter().enumerate() {
            operations.push(Box::new(Output::new(&preparation, at, id)));
        }
        let lengths: Vec<usize> = plan.outputs.iter().map(|&id| plan.buffers[id].len()).collect();
        let outputs: Vec<AlignedBuffer> = lengths.iter().map(|&len| AlignedBuffer::new(len)).collect();
        let workspace = layouts.workspace(Stored::of_plan(plan));
        let scratch = AlignedBuffer::new(0);
        let (inputs, outputs) = (&[input][..], &outputs[..]);
        let context = Context { workspace: &workspace, kernels, inputs, outputs, first_record: 0, scratch: &scratch };
        for operation in &operations {
            for (phase, items) in operation.phases().into_iter().enumerate() {
                // SAFETY: one thread runs one item after the other.
                (0..items).for_each(|item| unsafe { operation.run(phase, item, &context) });
            }
        }
        // SAFETY: the run is over.
        outputs.iter().zip(lengths).map(|(output, len)| unsafe { output.read(0..len) }.to_vec()).collect()
    }

    #[test]
    fn every_step_of_inference_also_runs_by_its_reference() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
        for batch in [1, 2] {
            let plan = Plan::new(&folded, batch, 90, Keep::Stages).unwrap();
            let input: Arc<[f32]> = (0..batch * 12 * 90).map(|at| (at as f32 * 0.37).sin()).collect();
            let expected = reference::run(&plan, &input).unwrap();
            for (computed, expected) in run_by_reference(&plan, &input).iter().zip(&expected) {
                let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
                for (computed, expected) in computed.iter().zip(expected) {
                    assert!((f64::from(*computed) - expected).abs() <= 1e-5 * largest, "{computed} for {expected}");
                }
            }
        }
    }
}
