//! Operations on parameters, gradients and moments: plain loops over contiguous numbers, because memory limits them.

use super::super::{
    super::{
        partition::{part, parts},
        plan_layouts::{BufferSlice, PlanLayouts},
    },
    Context, CpuOperation,
};
use crate::{
    kernels::training::{self, Schedule},
    plan::Step,
};

/// The numbers of an item.
const NUMBERS_PER_ITEM: usize = 16 << 10;

/// [`Gather`](training::Gather).
pub(super) struct Gather {
    from: BufferSlice,
    order: BufferSlice,
    to: BufferSlice,
}

impl Gather {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step) -> Self {
        Self { from: layouts.slice(step.reads[0]), order: layouts.slice(step.reads[1]), to: layouts.slice(step.write) }
    }
}

impl CpuOperation for Gather {
    fn phases(&self) -> Vec<usize> {
        vec![parts(self.to.len, NUMBERS_PER_ITEM)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (start, len) = part(self.to.len, parts(self.to.len, NUMBERS_PER_ITEM), item);
        // SAFETY: each item has its own numbers.
        unsafe {
            let from = self.from.read(context.workspace);
            let order = self.order.part(start, len).read(context.workspace);
            let to = self.to.part(start, len).write(context.workspace);
            for (to, source) in to.iter_mut().zip(order) {
                *to = (*source as usize).checked_sub(1).map_or(0.0, |source| from[source]);
            }
        }
    }
}

/// [`Adam`](training::Adam).
pub(super) struct Adam {
    kernel: training::Adam,
    reads: Vec<BufferSlice>,
    state: BufferSlice,
}

impl Adam {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step, kernel: &training::Adam) -> Self {
        let reads = step.reads.iter().map(|&id| layouts.slice(id)).collect();
        Self { kernel: kernel.clone(), reads, state: layouts.slice(step.write) }
    }
}

impl CpuOperation for Adam {
    fn phases(&self) -> Vec<usize> {
        vec![parts(self.kernel.length, NUMBERS_PER_ITEM)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let training::Adam { length, betas: [beta1, beta2], epsilon, weight_decay, clip } = self.kernel;
        let (start, len) = part(length, parts(length, NUMBERS_PER_ITEM), item);
        // SAFETY: each item has its own numbers.
        unsafe {
            let schedule = self.reads[1].read(context.workspace);
            let rate = schedule[Schedule::LEARNING_RATE];
            if rate == 0.0 {
                return;
            }
            let scale = clip.map_or(1.0, |largest| {
                let squares: f64 = self.reads[2].read(context.workspace).iter().map(|&sum| f64::from(sum)).sum();
                (f64::from(largest) / (squares.sqrt() + 1e-6)).min(1.0) as f32
            });
            let [first, second] = [0, 1].map(|moment| schedule[Schedule::CORRECTIONS + moment]);
            let gradient = self.reads[0].part(start, len).read(context.workspace);
            let [parameters, m, v] =
                [0, 1, 2].map(|third| self.state.part(third * length + start, len).write(context.workspace));
            for i in 0..len {
                let g = gradient[i] * scale;
                if !g.is_finite() {
                    continue;
                }
                m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let step = m[i] / first / ((v[i] / second).sqrt() + epsilon);
                parameters[i] -= rate * (weight_decay * parameters[i] + step);
            }
        }
    }
}

/// [`LinearInterpolation`](training::LinearInterpolation).
pub(super) struct LinearInterpolation {
    x: BufferSlice,
    schedule: BufferSlice,
    state: BufferSlice,
    factors: usize,
}

impl LinearInterpolation {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step, kernel: &training::LinearInterpolation) -> Self {
        let [x, schedule] = [0, 1].map(|read| layouts.slice(step.reads[read]));
        Self { x, schedule, state: layouts.slice(step.write), factors: kernel.factors }
    }
}

impl CpuOperation for LinearInterpolation {
    fn phases(&self) -> Vec<usize> {
        vec![parts(self.state.len, NUMBERS_PER_ITEM)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (start, len) = part(self.state.len, parts(self.state.len, NUMBERS_PER_ITEM), item);
        // SAFETY: each item has its own numbers.
        unsafe {
            let schedule = self.schedule.read(context.workspace);
            let [kept, share] = [0, 1].map(|factor| schedule[self.factors + factor]);
            let x = self.x.part(start, len).read(context.workspace);
            for (state, x) in self.state.part(start, len).write(context.workspace).iter_mut().zip(x) {
                *state = if kept == 0.0 { 0.0 } else { kept * *state } + share * x;
            }
        }
    }
}
