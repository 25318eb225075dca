//! Copies between the caller's records `[batch, channels, samples]` and a plan's activations.

use super::{
    super::{
        aligned_buffer::AlignedBuffer,
        partition::part,
        plan_layouts::{BatchLayout, Workspace},
    },
    Context, CpuOperation, Preparation,
};
use crate::plan::BufferId;

/// The samples of an item where workers share a record: about a microsecond of work.
const SAMPLES_PER_ITEM: usize = 256;

/// Copies one of the plan's inputs into its activation.
pub(in super::super) struct Input {
    input: usize,
    to: BatchLayout,
    /// The work items of each record.
    items: usize,
}

impl Input {
    /// The copy of input number `input`, whose activation is `id`.
    pub(in super::super) fn new(preparation: &Preparation, input: usize, id: BufferId) -> Self {
        let to = preparation.layouts.activation(id);
        let items = if to.matrix { 1 } else { preparation.items_per_record(to.rows.samples, SAMPLES_PER_ITEM) };
        Self { input, to, items }
    }
}

impl CpuOperation for Input {
    fn phases(&self) -> Vec<usize> {
        vec![self.to.buffers * self.items]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (buffer, item) = (item / self.items, item % self.items);
        let (rows, to) = (self.to.rows, self.to.buffer(context.workspace, buffer));
        let size = rows.channels * rows.samples;
        let record = &context.inputs[self.input][(context.first_record + buffer) * size..][..size];
        // SAFETY: each item has its own samples, and the first one the margins.
        unsafe {
            if self.to.matrix {
                return write_buffer(&self.to, record, to);
            }
            if item == 0 {
                rows.clear_margins(to);
            }
            let (first, count) = part(rows.samples, self.items, item);
            rows.write_samples(record, first, count, to);
        }
    }
}

/// Copies an activation to one of the plan's outputs.
pub(in super::super) struct Output {
    output: usize,
    from: BatchLayout,
}

impl Output {
    /// The copy to output number `output`, whose activation is `id`.
    pub(in super::super) fn new(preparation: &Preparation, output: usize, id: BufferId) -> Self {
        Self { output, from: preparation.layouts.activation(id) }
    }
}

impl CpuOperation for Output {
    fn phases(&self) -> Vec<usize> {
        vec![self.from.buffers]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let size = self.from.rows.channels * self.from.rows.samples;
        let record = context.first_record + item;
        // SAFETY: each item has its own record.
        unsafe {
            let to = context.outputs[self.output].write(record * size..(record + 1) * size);
            read_buffer(&self.from, item, context.workspace, to);
        }
    }
}

/// Reads one buffer of an activation as `[channels, samples]`, or a matrix as `[records, features]`.
///
/// # Safety
/// No other thread writes the buffer.
pub(super) unsafe fn read_buffer(from: &BatchLayout, buffer: usize, workspace: &Workspace, to: &mut [f32]) {
    let (rows, buffer) = (from.rows, from.buffer(workspace, buffer));
    // SAFETY: the caller guarantees that there are no writers.
    unsafe {
        if from.matrix {
            let from = buffer.read(rows.offset(0)..rows.offset(rows.samples as isize));
            let rows = from.chunks(rows.pitch).zip(to.chunks_mut(rows.channels));
            rows.for_each(|(from, to)| to.copy_from_slice(&from[..to.len()]));
        } else {
            rows.read_record(buffer, to);
        }
    }
}

/// Writes one buffer of an activation from `[channels, samples]`, or a matrix from `[records, features]`.
///
/// # Safety
/// No other thread accesses the buffer.
pub(super) unsafe fn write_buffer(to: &BatchLayout, values: &[f32], buffer: &AlignedBuffer) {
    let rows = to.rows;
    // SAFETY: the caller guarantees exclusive access.
    unsafe {
        if to.matrix {
            let to = buffer.write(rows.offset(0)..rows.offset(rows.samples as isize));
            for (from, to) in values.chunks(rows.channels).zip(to.chunks_mut(rows.pitch)) {
                to[..from.len()].copy_from_slice(from);
                to[from.len()..].fill(0.0);
            }
        } else {
            rows.clear_margins(buffer);
            rows.write_samples(values, 0, rows.samples, buffer);
        }
    }
}
