//! Gradients that copy numbers: of the global average pool, and of a strided convolution by its input.

use super::super::{
    super::plan_layouts::{BatchLayout, PlanLayouts},
    Context, CpuOperation,
};
use crate::{kernels::training, plan::Step};

/// [`GlobalAveragePoolGradient`](training::GlobalAveragePoolGradient).
pub(super) struct GlobalAveragePoolGradient {
    dy: BatchLayout,
    dx: BatchLayout,
    factor: f32,
}

impl GlobalAveragePoolGradient {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step, kernel: &training::GlobalAveragePoolGradient) -> Self {
        let factor = 1.0 / kernel.samples as f32;
        Self { dy: layouts.activation(step.reads[0]), dx: layouts.activation(step.write), factor }
    }
}

impl CpuOperation for GlobalAveragePoolGradient {
    fn phases(&self) -> Vec<usize> {
        vec![self.dx.buffers]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (rows, to) = (self.dx.rows, self.dx.buffer(context.workspace, item));
        let (from, start) = self.dy.record_row(context.workspace, item);
        // SAFETY: each item has its own record.
        unsafe {
            rows.clear_margins(to);
            let dy = from.read(start..start + rows.channels);
            for dx in to.write(rows.offset(0)..rows.offset(rows.samples as isize)).chunks_mut(rows.pitch) {
                dx[rows.channels..].fill(0.0);
                dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy * self.factor);
            }
        }
    }
}

/// [`DepthToSpace`](training::DepthToSpace).
pub(super) struct DepthToSpace {
    x: BatchLayout,
    y: BatchLayout,
    factor: usize,
}

impl DepthToSpace {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step, kernel: &training::DepthToSpace) -> Self {
        Self { x: layouts.activation(step.reads[0]), y: layouts.activation(step.write), factor: kernel.factor }
    }
}

impl CpuOperation for DepthToSpace {
    fn phases(&self) -> Vec<usize> {
        vec![self.x.buffers]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let [from, to] = [&self.x, &self.y].map(|layout| layout.buffer(context.workspace, item));
        let (x, y) = (self.x.rows, self.y.rows);
        // SAFETY: each item has its own record.
        unsafe {
            y.clear_margins(to);
            let rows = to.write(y.offset(0)..y.offset(y.samples as isize));
            for (t, row) in rows.chunks_mut(y.pitch).enumerate() {
                let start = x.offset((t / self.factor) as isize) + t % self.factor * y.channels;
                row[..y.channels].copy_from_slice(from.read(start..start + y.channels));
                row[y.channels..].fill(0.0);
            }
        }
    }
}
