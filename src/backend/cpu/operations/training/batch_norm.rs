//! Batch norm: each chunk's rows in f32, and what is summed over chunks in float64.

use super::super::{
    super::{
        aligned_buffer::{AlignedBuffer, CACHE_LINE},
        micro_kernels::batch_norm::{Affine, Block, GradientSums, InputGradient, Moments, Normalise},
        plan_layouts::{BatchLayout, BufferSlice, PlanLayouts, Workspace},
    },
    Context, CpuOperation,
};
use crate::{
    kernels::training::{BatchNorm, BatchNormGradientSums, BatchNormInputGradient, Groups},
    plan::Step,
};

/// The chunks of an activation, one per work item: the records, or the groups of a matrix's rows.
struct Chunks {
    sizes: Groups,
    count: usize,
}

impl Chunks {
    fn new(x: &BatchLayout, sizes: Groups) -> Self {
        Self { sizes, count: if x.matrix { sizes.groups } else { x.buffers } }
    }

    /// The buffer, the offset of the first row, and the rows of a chunk.
    fn rows<'a>(&self, of: &BatchLayout, chunk: usize, workspace: &'a Workspace) -> (&'a AlignedBuffer, usize, usize) {
        if of.matrix {
            let rows = of.rows.samples / self.count;
            (of.buffer(workspace, 0), of.rows.offset((chunk * rows) as isize), rows)
        } else {
            (of.buffer(workspace, chunk), of.rows.offset(0), of.rows.samples)
        }
    }

    /// The group of a chunk.
    fn group(&self, chunk: usize) -> usize {
        chunk * self.sizes.groups / self.count
    }

    /// The chunks of a group.
    fn of(&self, group: usize) -> std::ops::Range<usize> {
        let each = self.count / self.sizes.groups;
        group * each..(group + 1) * each
    }

    /// Borrows the rows of a chunk.
    ///
    /// # Safety
    /// No other thread writes the chunk.
    unsafe fn block<'a>(&self, from: &BatchLayout, chunk: usize, context: &Context<'a>) -> Block<'a> {
        let (buffer, start, rows) = self.rows(from, chunk, context.workspace);
        // SAFETY: the caller guarantees that there are no writers.
        Block { numbers: unsafe { buffer.read(start..buffer.len()) }, rows, pitch: from.rows.pitch }
    }

    /// Borrows the rows of a chunk mutably, and writes the zeros around a record's rows.
    ///
    /// # Safety
    /// No other thread accesses the chunk.
    unsafe fn target<'a>(&self, to: &BatchLayout, chunk: usize, context: &Context<'a>) -> &'a mut [f32] {
        let (buffer, start, rows) = self.rows(to, chunk, context.workspace);
        // SAFETY: the caller guarantees exclusive access.
        unsafe {
            if !to.matrix {
                to.rows.clear_margins(buffer);
            }
            buffer.write(start..start + rows * to.rows.pitch)
        }
    }
}

/// Borrows one row of a matrix, such as a group's statistics.
///
/// # Safety
/// No other thread writes the row.
unsafe fn row<'a>(of: &BatchLayout, row: usize, context: &Context<'a>) -> &'a [f32] {
    let (buffer, start) = of.record_row(context.workspace, row);
    // SAFETY: the caller guarantees that there are no writers.
    unsafe { buffer.read(start..start + of.rows.channels) }
}

/// The coefficients of a group's columns, in a worker's scratch memory: `y = a · (x − mean) + b`. All are 0 in the columns
/// that are no channel.
struct Coefficients<'a> {
    a: &'a [f32],
    b: &'a [f32],
    mean: &'a [f32],
    /// 1/√(σ² + ε).
    scale: &'a [f32],
    /// Room for three more numbers per column.
    rest: &'a mut [f32],
}

/// The numbers per column in a worker's scratch memory.
const COEFFICIENTS: usize = 7;

impl<'a> Coefficients<'a> {
    /// Computes the coefficients from a group's statistics and the layer's scales and shifts.
    ///
    /// # Safety
    /// No other thread uses the context's scratch memory.
    unsafe fn new(width: usize, [statistics, affine]: [&[f32]; 2], epsilon: f64, context: &Context<'a>) -> Self {
        // SAFETY: the caller guarantees exclusive access.
        let scratch = unsafe { context.scratch.write(0..COEFFICIENTS * width) };
        scratch.fill(0.0);
        let (a, rest) = scratch.split_at_mut(width);
        let (b, rest) = rest.split_at_mut(width);
        let (mean, rest) = rest.split_at_mut(width);
        let (scale, rest) = rest.split_at_mut(width);
        let channels = statistics.len() / 2;
        for c in 0..channels {
            let inverse = 1.0 / (f64::from(statistics[channels + c]) + epsilon).sqrt();
            let factor = f64::from(affine[c]) * inverse;
            a[c] = factor as f32;
            b[c] = affine[channels + c];
            mean[c] = statistics[c];
            scale[c] = inverse as f32;
        }
        Self { a, b, mean, scale, rest }
    }

    fn affine(&self, relu: bool) -> Affine<'a> {
        Affine { centre: self.mean, a: self.a, b: self.b, relu }
    }
}

/// Two numbers per column and chunk.
struct Partial {
    numbers: AlignedBuffer,
    width: usize,
}

impl Partial {
    fn new(chunks: &Chunks, width: usize) -> Self {
        Self { numbers: AlignedBuffer::new(chunks.count * 2 * width + CACHE_LINE), width }
    }

    /// Borrows a chunk's numbers mutably.
    ///
    /// # Safety
    /// No other thread accesses the chunk's numbers.
    #[expect(clippy::mut_from_ref, reason = "threads write the numbers of different chunks")]
    unsafe fn write(&self, chunk: usize) -> [&mut [f32]; 2] {
        // SAFETY: the caller guarantees exclusive access.
        let both = unsafe { self.numbers.write(chunk * 2 * self.width..(chunk + 1) * 2 * self.width) };
        both.split_at_mut(self.width).into()
    }

    /// Reads the two numbers of a chunk's column.
    ///
    /// # Safety
    /// No other thread writes the chunk's numbers.
    unsafe fn read(&self, chunk: usize, column: usize) -> [f64; 2] {
        // SAFETY: the caller guarantees that there are no writers.
        let both = unsafe { self.numbers.read(chunk * 2 * self.width..(chunk + 1) * 2 * self.width) };
        [both[column], both[self.width + column]].map(f64::from)
    }
}

/// [`BatchStatistics`](crate::kernels::training::BatchStatistics): the mean and squared distances of each chunk, which the
/// second phase combines (Chan et al. 1979).
pub(super) struct Statistics {
    chunks: Chunks,
    x: BatchLayout,
    statistics: BatchLayout,
    partial: Partial,
}

impl Statistics {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step, sizes: Groups) -> Self {
        let x = layouts.activation(step.reads[0]);
        let chunks = Chunks::new(&x, sizes);
        Self { partial: Partial::new(&chunks, x.rows.pitch), chunks, x, statistics: layouts.activation(step.write) }
    }

    /// Combines the partial results of a group's chunks.
    ///
    /// # Safety
    /// The partial results are complete, and no other thread accesses the group's row.
    unsafe fn combine(&self, group: usize, context: &Context) {
        let Groups { channels, .. } = self.chunks.sizes;
        let count = self.chunks.of(group).len() as f64;
        // All chunks of a group have equally many rows.
        let rows = self.chunks.sizes.count() as f64 / count;
        let (to, start) = self.statistics.record_row(context.workspace, group);
        // SAFETY: the caller guarantees the accesses.
        unsafe {
            let to = to.write(start..start + self.statistics.rows.pitch);
            to.fill(0.0);
            for c in 0..channels {
                let parts = || self.chunks.of(group).map(|chunk| self.partial.read(chunk, c));
                let mean = parts().map(|[mean, _]| mean).sum::<f64>() / count;
                let squares: f64 = parts().map(|[of, squares]| squares + rows * (of - mean).powi(2)).sum();
                to[c] = mean as f32;
                to[channels + c] = (squares / (count * rows)) as f32;
            }
        }
    }
}

impl CpuOperation for Statistics {
    fn phases(&self) -> Vec<usize> {
        vec![self.chunks.count, self.chunks.sizes.groups]
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item has its own chunk or group; the processor has the micro-kernels' instructions.
        unsafe {
            if phase == 1 {
                return self.combine(item, context);
            }
            let [mean, squares] = self.partial.write(item);
            let x = self.chunks.block(&self.x, item, context);
            (context.kernels.training.moments)(&mut Moments { x, mean, squares });
        }
    }
}

/// [`BatchNorm`]: normalises each chunk by its group's statistics.
pub(super) struct Normalisation {
    chunks: Chunks,
    relu: bool,
    epsilon: f64,
    x: BatchLayout,
    statistics: BatchLayout,
    affine: BufferSlice,
    y: BatchLayout,
}

impl Normalisation {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step, kernel: &BatchNorm) -> Self {
        let x = layouts.activation(step.reads[0]);
        Self {
            chunks: Chunks::new(&x, kernel.sizes),
            relu: kernel.relu,
            epsilon: kernel.epsilon,
            x,
            statistics: layouts.activation(step.reads[1]),
            affine: layouts.slice(step.reads[2]),
            y: layouts.activation(step.write),
        }
    }
}

impl CpuOperation for Normalisation {
    fn phases(&self) -> Vec<usize> {
        vec![self.chunks.count]
    }

    fn scratch_len(&self) -> usize {
        COEFFICIENTS * self.x.rows.pitch
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        // SAFETY: each item has its own chunk or group; the processor has the micro-kernels' instructions.
        unsafe {
            let statistics = row(&self.statistics, self.chunks.group(item), context);
            let of = Coefficients::new(
                self.x.rows.pitch,
                [statistics, self.affine.read(context.workspace)],
                self.epsilon,
                context,
            );
            let x = self.chunks.block(&self.x, item, context);
            let y = self.chunks.target(&self.y, item, context);
            (context.kernels.training.normalise)(&mut Normalise { x, affine: of.affine(self.relu), y });
        }
    }
}

/// [`BatchNormGradientSums`]: the sums of each chunk, which the second phase combines.
pub(super) struct Sums {
    chunks: Chunks,
    relu: bool,
    epsilon: f64,
    reads: [BatchLayout; 2],
    statistics: BatchLayout,
    affine: BufferSlice,
    sums: BatchLayout,
    partial: Partial,
}

impl Sums {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step, kernel: &BatchNormGradientSums) -> Self {
        let reads = [layouts.activation(step.reads[0]), layouts.activation(step.reads[3])];
        let chunks = Chunks::new(&reads[0], kernel.sizes);
        Self {
            partial: Partial::new(&chunks, reads[0].rows.pitch),
            chunks,
            relu: kernel.relu,
            epsilon: kernel.epsilon,
            reads,
            statistics: layouts.activation(step.reads[1]),
            affine: layouts.slice(step.reads[2]),
            sums: layouts.activation(step.write),
        }
    }

    /// Combines the partial results of a group's chunks.
    ///
    /// # Safety
    /// The partial results are complete, and no other thread accesses the group's row.
    unsafe fn combine(&self, group: usize, context: &Context) {
        let Groups { channels, .. } = self.chunks.sizes;
        let (to, start) = self.sums.record_row(context.workspace, group);
        // SAFETY: the caller guarantees the accesses.
        unsafe {
            let variances = &row(&self.statistics, group, context)[channels..];
            let to = to.write(start..start + self.sums.rows.pitch);
            to.fill(0.0);
            for c in 0..channels {
                let mut total = [0.0; 2];
                for chunk in self.chunks.of(group) {
                    let part = self.partial.read(chunk, c);
                    total = [total[0] + part[0], total[1] + part[1]];
                }
                to[c] = (total[0] / (f64::from(variances[c]) + self.epsilon).sqrt()) as f32;
                to[channels + c] = total[1] as f32;
            }
        }
    }
}

impl CpuOperation for Sums {
    fn phases(&self) -> Vec<usize> {
        vec![self.chunks.count, self.chunks.sizes.groups]
    }

    fn scratch_len(&self) -> usize {
        COEFFICIENTS * self.reads[0].rows.pitch
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item has its own chunk or group; the processor has the micro-kernels' instructions.
        unsafe {
            if phase == 1 {
                return self.combine(item, context);
            }
            let statistics = row(&self.statistics, self.chunks.group(item), context);
            let affine = self.affine.read(context.workspace);
            let of = Coefficients::new(self.reads[0].rows.pitch, [statistics, affine], self.epsilon, context);
            let [x, dy] = self.reads.each_ref().map(|from| self.chunks.block(from, item, context));
            let [products, sums] = self.partial.write(item);
            let mut job = GradientSums { x, dy, affine: of.affine(self.relu), products, sums };
            (context.kernels.training.gradient_sums)(&mut job);
        }
    }
}

/// [`BatchNormInputGradient`]: the gradient of each chunk.
pub(super) struct Gradient {
    chunks: Chunks,
    relu: bool,
    epsilon: f64,
    reads: [BatchLayout; 2],
    statistics: BatchLayout,
    affine: BufferSlice,
    sums: BatchLayout,
    dx: BatchLayout,
}

impl Gradient {
    pub(super) fn new(layouts: &PlanLayouts, step: &Step, kernel: &BatchNormInputGradient) -> Self {
        let reads = [layouts.activation(step.reads[0]), layouts.activation(step.reads[4])];
        Self {
            chunks: Chunks::new(&reads[0], kernel.sizes),
            relu: kernel.relu,
            epsilon: kernel.epsilon,
            reads,
            statistics: layouts.activation(step.reads[1]),
            affine: layouts.slice(step.reads[2]),
            sums: layouts.activation(step.reads[3]),
            dx: layouts.activation(step.write),
        }
    }
}

impl CpuOperation for Gradient {
    fn phases(&self) -> Vec<usize> {
        vec![self.chunks.count]
    }

    fn scratch_len(&self) -> usize {
        COEFFICIENTS * self.reads[0].rows.pitch
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (channels, count) = (self.chunks.sizes.channels, self.chunks.sizes.count() as f64);
        // SAFETY: each item has its own chunk or group; the processor has the micro-kernels' instructions.
        unsafe {
            let group = self.chunks.group(item);
            let affine = self.affine.read(context.workspace);
            let of = Coefficients::new(
                self.reads[0].rows.pitch,
                [row(&self.statistics, group, context), affine],
                self.epsilon,
                context,
            );
            let affine = of.affine(self.relu);
            let sums = row(&self.sums, group, context);
            let width = self.reads[0].rows.pitch;
            let (scale, rest) = of.rest.split_at_mut(width);
            let (slope, shift) = rest.split_at_mut(width);
            // dx = γ·s·(dy − β̄ − (x − μ)·s·γ̄), with s = 1/√(σ² + ε) and the sums divided by the count, γ̄ and β̄.
            for c in 0..channels {
                let [outer, s] = [of.a[c], of.scale[c]].map(f64::from);
                let [gamma, beta] = [sums[c], sums[channels + c]].map(|sum| f64::from(sum) / count);
                scale[c] = of.a[c];
                slope[c] = (-outer * s * gamma) as f32;
                shift[c] = (-outer * beta) as f32;
            }
            let [x, dy] = self.reads.each_ref().map(|from| self.chunks.block(from, item, context));
            let dx = self.chunks.target(&self.dx, item, context);
            (context.kernels.training.input_gradient)(&mut InputGradient { x, dy, affine, scale, slope, shift, dx });
        }
    }
}
