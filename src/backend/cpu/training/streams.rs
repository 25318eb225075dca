//! What moves numbers or changes them one by one: plain loops, for memory is what they wait for.

use super::{
    Context, Operation, pieces,
    places::{Places, Spot, Spread},
};
use crate::{
    backend::cpu::{choice::piece, pool::Reduction},
    kernels::{
        self,
        training::{self, GlobalAveragePoolGradient, Schedule},
    },
    plan::Step,
};

/// Numbers of an item of a long array, and rows of one of a matrix.
const NUMBERS: usize = 16 << 10;
const ROWS: usize = 32;

/// Takes over an input.
pub(super) struct Enter {
    pub(super) input: usize,
    pub(super) to: Spread,
}

impl Operation for Enter {
    fn phases(&self) -> Vec<usize> {
        vec![self.to.records]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (rows, area) = (self.to.rows, self.to.area(context.memory, item));
        let size = rows.channels * rows.samples;
        let record = &context.inputs[self.input][item * size..][..size];
        // SAFETY: each item has its own record.
        unsafe {
            if self.to.matrix {
                let to = area.write(rows.at(0)..rows.at(rows.samples as isize));
                for (from, to) in record.chunks(rows.channels).zip(to.chunks_mut(rows.width)) {
                    to[..rows.channels].copy_from_slice(from);
                    to[rows.channels..].fill(0.0);
                }
            } else {
                area.write(0..rows.len()).fill(0.0);
                rows.enter(record, 0, rows.samples, area);
            }
        }
    }
}

/// Gives a result back.
pub(super) struct Leave {
    pub(super) output: usize,
    pub(super) from: Spread,
}

impl Operation for Leave {
    fn phases(&self) -> Vec<usize> {
        vec![self.from.records]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let size = self.from.rows.channels * self.from.rows.samples;
        // SAFETY: each item has its own record.
        unsafe {
            let to = context.memory.results[self.output].write(item * size..(item + 1) * size);
            leave(&self.from, item, context, to);
        }
    }
}

/// An area's numbers as `[channels, samples]`, of a matrix as `[records, features]`.
///
/// # Safety
/// Nobody writes the area.
pub(super) unsafe fn leave(from: &Spread, record: usize, context: &Context, to: &mut [f32]) {
    let (rows, area) = (from.rows, from.area(context.memory, record));
    // SAFETY: as the caller vouches.
    unsafe {
        if from.matrix {
            let from = area.read(rows.at(0)..rows.at(rows.samples as isize));
            let rows = from.chunks(rows.width).zip(to.chunks_mut(rows.channels));
            rows.for_each(|(from, to)| to.copy_from_slice(&from[..to.len()]));
        } else {
            rows.leave(area, to);
        }
    }
}

/// [`kernels::MaxPool`].
pub(super) struct MaxPool {
    x: Spread,
    y: Spread,
    kernel: usize,
    stride: usize,
}

impl MaxPool {
    pub(super) fn new(places: &Places, step: &Step, pool: &kernels::MaxPool) -> Self {
        let (x, y) = (places.rows(step.reads[0]), places.rows(step.write));
        Self { x, y, kernel: pool.kernel, stride: pool.stride }
    }
}

impl Operation for MaxPool {
    fn phases(&self) -> Vec<usize> {
        vec![self.x.records]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (from, to) = (self.x.area(context.memory, item), self.y.area(context.memory, item));
        // SAFETY: each item has its own record; the processor has the kernels' instructions.
        unsafe {
            self.y.rows.clear_edges(to);
            for sample in 0..self.y.rows.samples {
                let x = from.read(self.x.rows.at((sample * self.stride) as isize)..from.len());
                let y = to.write(self.y.rows.at(sample as isize)..self.y.rows.at(sample as isize + 1));
                (context.kernels.largest)(&mut Reduction { x, rows: self.kernel, row: self.x.rows.width, y });
            }
        }
    }
}

/// [`kernels::GlobalAveragePool`].
pub(super) struct Mean {
    x: Spread,
    y: Spread,
}

impl Mean {
    pub(super) fn new(places: &Places, step: &Step) -> Self {
        Self { x: places.rows(step.reads[0]), y: places.rows(step.write) }
    }
}

impl Operation for Mean {
    fn phases(&self) -> Vec<usize> {
        vec![self.x.records]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let from = self.x.area(context.memory, item);
        let (to, start) = self.y.record(context.memory, item);
        // SAFETY: each item has its own record; the processor has the kernels' instructions.
        unsafe {
            if !self.y.matrix {
                self.y.rows.clear_edges(to);
            }
            let x = from.read(self.x.rows.at(0)..from.len());
            let y = to.write(start..start + self.y.rows.width);
            let columns = self.x.rows.width.min(y.len());
            y[columns..].fill(0.0);
            let (rows, row) = (self.x.rows.samples, self.x.rows.width);
            (context.kernels.mean)(&mut Reduction { x, rows, row, y: &mut y[..columns] });
        }
    }
}

/// [`GlobalAveragePoolGradient`].
pub(super) struct MeanGradient {
    dy: Spread,
    dx: Spread,
    factor: f32,
}

impl MeanGradient {
    pub(super) fn new(places: &Places, step: &Step, kernel: &GlobalAveragePoolGradient) -> Self {
        let factor = 1.0 / kernel.samples as f32;
        Self { dy: places.rows(step.reads[0]), dx: places.rows(step.write), factor }
    }
}

impl Operation for MeanGradient {
    fn phases(&self) -> Vec<usize> {
        vec![self.dx.records]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (rows, to) = (self.dx.rows, self.dx.area(context.memory, item));
        let (from, start) = self.dy.record(context.memory, item);
        // SAFETY: each item has its own record.
        unsafe {
            rows.clear_edges(to);
            let dy = from.read(start..start + rows.channels);
            for dx in to.write(rows.at(0)..rows.at(rows.samples as isize)).chunks_mut(rows.width) {
                dx[rows.channels..].fill(0.0);
                dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy * self.factor);
            }
        }
    }
}

/// [`training::DepthToSpace`].
pub(super) struct DepthToSpace {
    x: Spread,
    y: Spread,
    factor: usize,
}

impl DepthToSpace {
    pub(super) fn new(places: &Places, step: &Step, kernel: &training::DepthToSpace) -> Self {
        Self { x: places.rows(step.reads[0]), y: places.rows(step.write), factor: kernel.factor }
    }
}

impl Operation for DepthToSpace {
    fn phases(&self) -> Vec<usize> {
        vec![self.x.records]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (from, to) = (self.x.area(context.memory, item), self.y.area(context.memory, item));
        let (x, y) = (self.x.rows, self.y.rows);
        // SAFETY: each item has its own record.
        unsafe {
            y.clear_edges(to);
            let rows = to.write(y.at(0)..y.at(y.samples as isize));
            for (t, row) in rows.chunks_mut(y.width).enumerate() {
                let start = x.at((t / self.factor) as isize) + t % self.factor * y.channels;
                row[..y.channels].copy_from_slice(from.read(start..start + y.channels));
                row[y.channels..].fill(0.0);
            }
        }
    }
}

/// [`training::Gather`].
pub(super) struct Gather {
    from: Spot,
    order: Spot,
    to: Spot,
}

impl Gather {
    pub(super) fn new(places: &Places, step: &Step) -> Self {
        Self { from: places.spot(step.reads[0]), order: places.spot(step.reads[1]), to: places.spot(step.write) }
    }
}

impl Operation for Gather {
    fn phases(&self) -> Vec<usize> {
        vec![pieces(self.to.len, NUMBERS)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (start, len) = piece(self.to.len, pieces(self.to.len, NUMBERS), item);
        // SAFETY: each item has its own numbers.
        unsafe {
            let from = self.from.read(context.memory);
            let order = self.order.part(start, len).read(context.memory);
            let to = self.to.part(start, len).write(context.memory);
            for (to, place) in to.iter_mut().zip(order) {
                *to = (*place as usize).checked_sub(1).map_or(0.0, |place| from[place]);
            }
        }
    }
}

/// Rows that an item has, of a matrix or of all records' samples.
fn row_items(of: &Spread) -> usize {
    if of.matrix { pieces(of.rows.samples, ROWS) } else { of.records }
}

/// Where an item's rows begin, and how many numbers they have.
fn rows_of<'a>(
    of: &Spread,
    item: usize,
    context: &Context<'a>,
) -> (&'a crate::backend::cpu::memory::Area, usize, usize) {
    let (record, first, rows) = match of.matrix {
        true => {
            let (first, rows) = piece(of.rows.samples, row_items(of), item);
            (0, first, rows)
        }
        false => (item, 0, of.rows.samples),
    };
    (of.area(context.memory, record), of.rows.at(first as isize), rows * of.rows.width)
}

/// [`training::Relu`].
pub(super) struct Relu {
    x: Spread,
    y: Spread,
}

impl Relu {
    pub(super) fn new(places: &Places, step: &Step) -> Self {
        Self { x: places.rows(step.reads[0]), y: places.rows(step.write) }
    }
}

impl Operation for Relu {
    fn phases(&self) -> Vec<usize> {
        vec![row_items(&self.x)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let ((from, x, len), (to, y, _)) = (rows_of(&self.x, item, context), rows_of(&self.y, item, context));
        // SAFETY: each item has its own rows.
        unsafe {
            if !self.y.matrix {
                self.y.rows.clear_edges(to);
            }
            let x = from.read(x..x + len);
            to.write(y..y + len).iter_mut().zip(x).for_each(|(y, x)| *y = x.max(0.0));
        }
    }
}

/// [`training::ReluGradient`].
pub(super) struct ReluGradient {
    reads: [Spread; 2],
    dx: Spread,
}

impl ReluGradient {
    pub(super) fn new(places: &Places, step: &Step) -> Self {
        Self { reads: [0, 1].map(|read| places.rows(step.reads[read])), dx: places.rows(step.write) }
    }
}

impl Operation for ReluGradient {
    fn phases(&self) -> Vec<usize> {
        vec![row_items(&self.dx)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let [x, dy] = self.reads.each_ref().map(|from| rows_of(from, item, context));
        let (to, start, len) = rows_of(&self.dx, item, context);
        // SAFETY: each item has its own rows.
        unsafe {
            if !self.dx.matrix {
                self.dx.rows.clear_edges(to);
            }
            let [x, dy] = [x, dy].map(|(area, start, len)| area.read(start..start + len));
            let dx = to.write(start..start + len);
            for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = if *x > 0.0 { *dy } else { 0.0 };
            }
        }
    }
}

/// [`training::Adam`].
pub(super) struct Adam {
    kernel: training::Adam,
    reads: Vec<Spot>,
    state: Spot,
}

impl Adam {
    pub(super) fn new(places: &Places, step: &Step, kernel: &training::Adam) -> Self {
        let reads = step.reads.iter().map(|&id| places.spot(id)).collect();
        Self { kernel: kernel.clone(), reads, state: places.spot(step.write) }
    }
}

impl Operation for Adam {
    fn phases(&self) -> Vec<usize> {
        vec![pieces(self.kernel.length, NUMBERS)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let training::Adam { length, betas: [beta1, beta2], epsilon, weight_decay, clip } = self.kernel;
        let (start, len) = piece(length, pieces(length, NUMBERS), item);
        // SAFETY: each item has its own numbers.
        unsafe {
            let schedule = self.reads[1].read(context.memory);
            let rate = schedule[Schedule::LEARNING_RATE];
            if rate == 0.0 {
                return;
            }
            let scale = clip.map_or(1.0, |largest| {
                let squares: f64 = self.reads[2].read(context.memory).iter().map(|&sum| f64::from(sum)).sum();
                (f64::from(largest) / (squares.sqrt() + 1e-6)).min(1.0) as f32
            });
            let [first, second] = [0, 1].map(|moment| schedule[Schedule::CORRECTIONS + moment]);
            let gradient = self.reads[0].part(start, len).read(context.memory);
            let [parameters, m, v] =
                [0, 1, 2].map(|part| self.state.part(part * length + start, len).write(context.memory));
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

/// [`training::LinearInterpolation`].
pub(super) struct LinearInterpolation {
    x: Spot,
    schedule: Spot,
    state: Spot,
    factors: usize,
}

impl LinearInterpolation {
    pub(super) fn new(places: &Places, step: &Step, kernel: &training::LinearInterpolation) -> Self {
        let [x, schedule] = [0, 1].map(|read| places.spot(step.reads[read]));
        Self { x, schedule, state: places.spot(step.write), factors: kernel.factors }
    }
}

impl Operation for LinearInterpolation {
    fn phases(&self) -> Vec<usize> {
        vec![pieces(self.state.len, NUMBERS)]
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (start, len) = piece(self.state.len, pieces(self.state.len, NUMBERS), item);
        // SAFETY: each item has its own numbers.
        unsafe {
            let schedule = self.schedule.read(context.memory);
            let [kept, share] = [0, 1].map(|factor| schedule[self.factors + factor]);
            let x = self.x.part(start, len).read(context.memory);
            for (state, x) in self.state.part(start, len).write(context.memory).iter_mut().zip(x) {
                *state = if kept == 0.0 { 0.0 } else { kept * *state } + share * x;
            }
        }
    }
}
