//! Operations on each number of an activation: plain loops, because memory limits them.

use super::super::{
    super::{
        aligned_buffer::AlignedBuffer,
        partition::{part, parts},
        plan_layouts::{BatchLayout, PlanLayouts},
    },
    Context, CpuOperation,
};
use crate::plan::Step;

/// The rows of an item of a matrix.
const ROWS_PER_ITEM: usize = 32;

/// The work items of an activation: groups of rows of a matrix, or records.
fn items(layout: &BatchLayout) -> usize {
    if layout.matrix { parts(layout.rows.samples, ROWS_PER_ITEM) } else { layout.buffers }
}

/// The buffer of an item's rows, where they begin, and how many numbers they have.
fn item_rows<'a>(layout: &BatchLayout, item: usize, context: &Context<'a>) -> (&'a AlignedBuffer, usize, usize) {
    let (buffer, first, rows) = match layout.matrix {
        true => {
            let (first, rows) = part(layout.rows.samples, items(layout), item);
            (0, first, rows)
        }
        false => (item, 0, layout.rows.samples),
    };
    (layout.buffer(context.workspace, buffer), layout.rows.offset(first as isize), rows * layout.rows.pitch)
}

/// [`Relu`](crate::kernels::training::Relu).
pub(super) struct Relu {
    x: BatchLayout,
    y: BatchLayout,
}

impl Relu {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step) -> Self {
        Self { x: layouts.activation(step.reads[0]), y: layouts.activation(step.write) }
    }
}

impl CpuOperation for Relu {
    fn phases(&self) -> Vec<usize> {
        vec![items(&self.x)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let ((from, x, len), (to, y, _)) = (item_rows(&self.x, item, context), item_rows(&self.y, item, context));
        // SAFETY: each item has its own rows.
        unsafe {
            if !self.y.matrix {
                self.y.rows.clear_margins(to);
            }
            let x = from.read(x..x + len);
            to.write(y..y + len).iter_mut().zip(x).for_each(|(y, x)| *y = x.max(0.0));
        }
    }
}

/// [`ReluGradient`](crate::kernels::training::ReluGradient).
pub(super) struct ReluGradient {
    reads: [BatchLayout; 2],
    dx: BatchLayout,
}

impl ReluGradient {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step) -> Self {
        Self { reads: [0, 1].map(|read| layouts.activation(step.reads[read])), dx: layouts.activation(step.write) }
    }
}

impl CpuOperation for ReluGradient {
    fn phases(&self) -> Vec<usize> {
        vec![items(&self.dx)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let [x, dy] = self.reads.each_ref().map(|from| item_rows(from, item, context));
        let (to, start, len) = item_rows(&self.dx, item, context);
        // SAFETY: each item has its own rows.
        unsafe {
            if !self.dx.matrix {
                self.dx.rows.clear_margins(to);
            }
            let [x, dy] = [x, dy].map(|(buffer, start, len)| buffer.read(start..start + len));
            let dx = to.write(start..start + len);
            for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = if *x > 0.0 { *dy } else { 0.0 };
            }
        }
    }
}
