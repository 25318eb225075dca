//! [`MaxPool`](crate::kernels::MaxPool) and [`GlobalAveragePool`](crate::kernels::GlobalAveragePool).

use super::{
    super::{
        micro_kernels::pool::ColumnReduction,
        partition::{part, parts},
        plan_layouts::BatchLayout,
    },
    Context, CpuOperation, Preparation,
};
use crate::kernels;

/// The output rows of an item where workers share a record: about a microsecond of work.
const ROWS_PER_ITEM: usize = 256;

/// The columns of an item that computes means where workers share a record: about a microsecond of work.
const COLUMNS_PER_ITEM: usize = 64;

/// A max pool of all records.
pub(super) struct MaxPool {
    x: BatchLayout,
    y: BatchLayout,
    kernel: usize,
    stride: usize,
    /// The work items of each record.
    items: usize,
}

impl MaxPool {
    pub(super) fn new(preparation: &Preparation, step: usize, pool: &kernels::MaxPool) -> Self {
        let step = &preparation.plan.steps[step];
        let [x, y] = [step.reads[0], step.write].map(|id| preparation.layouts.activation(id));
        let items = preparation.items_per_record(y.rows.samples, ROWS_PER_ITEM);
        Self { x, y, kernel: pool.kernel, stride: pool.stride, items }
    }
}

impl CpuOperation for MaxPool {
    fn phases(&self) -> Vec<usize> {
        vec![self.x.buffers * self.items]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (record, item) = (item / self.items, item % self.items);
        let [from, to] = [&self.x, &self.y].map(|layout| layout.buffer(context.workspace, record));
        let (x, y) = (self.x.rows, self.y.rows);
        let (first, count) = part(y.samples, self.items, item);
        let columns = x.pitch.min(y.pitch);
        // SAFETY: each item has its own samples, and the first one the margins; the processor has the micro-kernels'
        // instructions.
        unsafe {
            if item == 0 {
                y.clear_margins(to);
            }
            for sample in first..first + count {
                let start = y.offset(sample as isize);
                let row = to.write(start..start + y.pitch);
                row[columns..].fill(0.0);
                (context.kernels.column_max)(&mut ColumnReduction {
                    x: from.read(x.offset((sample * self.stride) as isize)..from.len()),
                    rows: self.kernel,
                    pitch: x.pitch,
                    y: &mut row[..columns],
                });
            }
        }
    }
}

/// A global average pool of all records.
pub(super) struct GlobalAveragePool {
    x: BatchLayout,
    y: BatchLayout,
    /// The work items of each record.
    items: usize,
}

impl GlobalAveragePool {
    pub(super) fn new(preparation: &Preparation, step: usize) -> Self {
        let step = &preparation.plan.steps[step];
        let [x, y] = [step.reads[0], step.write].map(|id| preparation.layouts.activation(id));
        Self { items: preparation.items_per_record(y.rows.pitch, COLUMNS_PER_ITEM), x, y }
    }
}

impl CpuOperation for GlobalAveragePool {
    fn phases(&self) -> Vec<usize> {
        vec![self.x.buffers * self.items]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (record, item) = (item / self.items, item % self.items);
        let from = self.x.buffer(context.workspace, record);
        let (to, start) = self.y.record_row(context.workspace, record);
        let x = self.x.rows;
        let (first, count) = part(self.y.rows.pitch, self.items, item);
        // SAFETY: each item has its own columns, and the first one the margins; the processor has the micro-kernels'
        // instructions.
        unsafe {
            if item == 0 && !self.y.matrix {
                self.y.rows.clear_margins(to);
            }
            let y = to.write(start + first..start + first + count);
            let columns = x.pitch.saturating_sub(first).min(count);
            y[columns..].fill(0.0);
            (context.kernels.column_mean)(&mut ColumnReduction {
                x: from.read(x.offset(0) + first..from.len()),
                rows: x.samples,
                pitch: x.pitch,
                y: &mut y[..columns],
            });
        }
    }
}

impl Preparation<'_> {
    /// The work items of each record for `total` rows or columns, about `size` per item.
    pub(super) fn items_per_record(&self, total: usize, size: usize) -> usize {
        if self.workers_per_record == 1 { 1 } else { parts(total, size) }
    }
}
