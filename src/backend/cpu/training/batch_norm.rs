//! Batch norm: each record's rows in f32, and what is summed over records in float64.

use super::{
    Context, Operation,
    columns::{Affine, Block, GradientSums, InputGradient, Moments, Normalise},
    places::{Places, Spot, Spread},
};
use crate::{
    backend::cpu::memory::{Area, LINE},
    kernels::training::{BatchNorm, BatchNormGradientSums, BatchNormInputGradient, Groups},
    network::BATCH_NORM_EPSILON,
    plan::Step,
};

/// The chunks that an activation is worked through in: a record each, or a group of a matrix's rows.
struct Chunks {
    sizes: Groups,
    count: usize,
}

impl Chunks {
    fn new(x: &Spread, sizes: Groups) -> Self {
        Self { sizes, count: x.chunks(sizes.groups) }
    }

    fn group(&self, chunk: usize) -> usize {
        chunk * self.sizes.groups / self.count
    }

    /// The chunks of a group.
    fn of(&self, group: usize) -> std::ops::Range<usize> {
        let each = self.count / self.sizes.groups;
        group * each..(group + 1) * each
    }

    /// # Safety
    /// Nobody writes the chunk.
    unsafe fn block<'a>(&self, from: &Spread, chunk: usize, context: &Context<'a>) -> Block<'a> {
        let (area, start, rows) = from.chunk(context.memory, self.count, chunk);
        // SAFETY: as the caller vouches.
        Block { numbers: unsafe { area.read(start..area.len()) }, rows, width: from.rows.width }
    }

    /// Rows to be written; the zeros around a record's are written now.
    ///
    /// # Safety
    /// Nobody else reads or writes the chunk.
    unsafe fn target<'a>(&self, to: &Spread, chunk: usize, context: &Context<'a>) -> &'a mut [f32] {
        let (area, start, rows) = to.chunk(context.memory, self.count, chunk);
        // SAFETY: as the caller vouches.
        unsafe {
            if !to.matrix {
                to.rows.clear_edges(area);
            }
            area.write(start..start + rows * to.rows.width)
        }
    }
}

/// One row of a matrix, such as a group's statistics.
///
/// # Safety
/// Nobody writes the row.
unsafe fn row<'a>(of: &Spread, row: usize, context: &Context<'a>) -> &'a [f32] {
    let (area, start) = of.record(context.memory, row);
    // SAFETY: as the caller vouches.
    unsafe { area.read(start..start + of.rows.channels) }
}

/// What a group's statistics make of the columns, in a worker's scratch: a·(x − mean) + b with 0 for all where there
/// is no channel, and 1/√(σ² + ε).
struct Coefficients<'a> {
    a: &'a [f32],
    b: &'a [f32],
    mean: &'a [f32],
    scale: &'a [f32],
    /// Room for three more numbers a column.
    rest: &'a mut [f32],
}

/// Numbers a column in a worker's scratch.
const COEFFICIENTS: usize = 7;

impl<'a> Coefficients<'a> {
    /// # Safety
    /// Nobody else uses the context's scratch, nobody writes statistics and affine.
    unsafe fn new(width: usize, [statistics, affine]: [&[f32]; 2], context: &Context<'a>) -> Self {
        // SAFETY: as the caller vouches.
        let scratch = unsafe { context.scratch.write(0..COEFFICIENTS * width) };
        scratch.fill(0.0);
        let (a, rest) = scratch.split_at_mut(width);
        let (b, rest) = rest.split_at_mut(width);
        let (mean, rest) = rest.split_at_mut(width);
        let (scale, rest) = rest.split_at_mut(width);
        let channels = statistics.len() / 2;
        for c in 0..channels {
            let inverse = 1.0 / (f64::from(statistics[channels + c]) + BATCH_NORM_EPSILON).sqrt();
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

/// Two numbers a column for each chunk.
struct Partial {
    numbers: Area,
    width: usize,
}

impl Partial {
    fn new(chunks: &Chunks, width: usize) -> Self {
        Self { numbers: Area::new(chunks.count * 2 * width + LINE), width }
    }

    /// # Safety
    /// Nobody else uses the chunk's numbers.
    #[expect(clippy::mut_from_ref, reason = "an area is for this")]
    unsafe fn write(&self, chunk: usize) -> [&mut [f32]; 2] {
        // SAFETY: as the caller vouches.
        let both = unsafe { self.numbers.write(chunk * 2 * self.width..(chunk + 1) * 2 * self.width) };
        both.split_at_mut(self.width).into()
    }

    /// # Safety
    /// Nobody writes the chunk's numbers.
    unsafe fn read(&self, chunk: usize, column: usize) -> [f64; 2] {
        // SAFETY: as the caller vouches.
        let both = unsafe { self.numbers.read(chunk * 2 * self.width..(chunk + 1) * 2 * self.width) };
        [both[column], both[self.width + column]].map(f64::from)
    }
}

/// [`crate::kernels::training::BatchStatistics`]: each chunk's mean and squares, then joined (Chan et al. 1979).
pub(super) struct Statistics {
    chunks: Chunks,
    x: Spread,
    statistics: Spread,
    partial: Partial,
}

impl Statistics {
    pub(super) fn new(places: &Places, step: &Step, sizes: Groups) -> Self {
        let x = places.rows(step.reads[0]);
        let chunks = Chunks::new(&x, sizes);
        Self { partial: Partial::new(&chunks, x.rows.width), chunks, x, statistics: places.rows(step.write) }
    }

    /// # Safety
    /// As of [`Operation::run`].
    unsafe fn join(&self, group: usize, context: &Context) {
        let Groups { channels, .. } = self.chunks.sizes;
        let count = self.chunks.of(group).len() as f64;
        // All chunks of a group have as many rows.
        let rows = self.chunks.sizes.count() as f64 / count;
        let (area, start) = self.statistics.record(context.memory, group);
        // SAFETY: each group has its own row, and the partial results are done.
        unsafe {
            let to = area.write(start..start + self.statistics.rows.width);
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

impl Operation for Statistics {
    fn phases(&self) -> Vec<usize> {
        vec![self.chunks.count, self.chunks.sizes.groups]
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item has its own chunk; the processor has the kernels' instructions.
        unsafe {
            if phase == 1 {
                return self.join(item, context);
            }
            let [mean, squares] = self.partial.write(item);
            let x = self.chunks.block(&self.x, item, context);
            (context.kernels.training.moments)(&mut Moments { x, mean, squares });
        }
    }
}

/// [`BatchNorm`].
pub(super) struct Normalisation {
    chunks: Chunks,
    relu: bool,
    x: Spread,
    statistics: Spread,
    affine: Spot,
    y: Spread,
}

impl Normalisation {
    pub(super) fn new(places: &Places, step: &Step, kernel: &BatchNorm) -> Self {
        let x = places.rows(step.reads[0]);
        Self {
            chunks: Chunks::new(&x, kernel.sizes),
            relu: kernel.relu,
            x,
            statistics: places.rows(step.reads[1]),
            affine: places.spot(step.reads[2]),
            y: places.rows(step.write),
        }
    }
}

impl Operation for Normalisation {
    fn phases(&self) -> Vec<usize> {
        vec![self.chunks.count]
    }

    fn scratch(&self) -> usize {
        COEFFICIENTS * self.x.rows.width
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        // SAFETY: each item has its own chunk; the processor has the kernels' instructions.
        unsafe {
            let statistics = row(&self.statistics, self.chunks.group(item), context);
            let of = Coefficients::new(self.x.rows.width, [statistics, self.affine.read(context.memory)], context);
            let x = self.chunks.block(&self.x, item, context);
            let y = self.chunks.target(&self.y, item, context);
            (context.kernels.training.normalise)(&mut Normalise { x, affine: of.affine(self.relu), y });
        }
    }
}

/// [`BatchNormGradientSums`].
pub(super) struct Sums {
    chunks: Chunks,
    relu: bool,
    reads: [Spread; 2],
    statistics: Spread,
    affine: Spot,
    sums: Spread,
    partial: Partial,
}

impl Sums {
    pub(super) fn new(places: &Places, step: &Step, kernel: &BatchNormGradientSums) -> Self {
        let reads = [places.rows(step.reads[0]), places.rows(step.reads[3])];
        let chunks = Chunks::new(&reads[0], kernel.sizes);
        Self {
            partial: Partial::new(&chunks, reads[0].rows.width),
            chunks,
            relu: kernel.relu,
            reads,
            statistics: places.rows(step.reads[1]),
            affine: places.spot(step.reads[2]),
            sums: places.rows(step.write),
        }
    }

    /// # Safety
    /// As of [`Operation::run`].
    unsafe fn join(&self, group: usize, context: &Context) {
        let Groups { channels, .. } = self.chunks.sizes;
        let (area, start) = self.sums.record(context.memory, group);
        // SAFETY: each group has its own row, and the partial results are done.
        unsafe {
            let variances = &row(&self.statistics, group, context)[channels..];
            let to = area.write(start..start + self.sums.rows.width);
            to.fill(0.0);
            for c in 0..channels {
                let mut total = [0.0; 2];
                for chunk in self.chunks.of(group) {
                    let part = self.partial.read(chunk, c);
                    total = [total[0] + part[0], total[1] + part[1]];
                }
                to[c] = (total[0] / (f64::from(variances[c]) + BATCH_NORM_EPSILON).sqrt()) as f32;
                to[channels + c] = total[1] as f32;
            }
        }
    }
}

impl Operation for Sums {
    fn phases(&self) -> Vec<usize> {
        vec![self.chunks.count, self.chunks.sizes.groups]
    }

    fn scratch(&self) -> usize {
        COEFFICIENTS * self.reads[0].rows.width
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item has its own chunk; the processor has the kernels' instructions.
        unsafe {
            if phase == 1 {
                return self.join(item, context);
            }
            let statistics = row(&self.statistics, self.chunks.group(item), context);
            let affine = self.affine.read(context.memory);
            let of = Coefficients::new(self.reads[0].rows.width, [statistics, affine], context);
            let [x, dy] = self.reads.each_ref().map(|from| self.chunks.block(from, item, context));
            let [products, sums] = self.partial.write(item);
            let mut job = GradientSums { x, dy, affine: of.affine(self.relu), products, sums };
            (context.kernels.training.gradient_sums)(&mut job);
        }
    }
}

/// [`BatchNormInputGradient`].
pub(super) struct Gradient {
    chunks: Chunks,
    relu: bool,
    reads: [Spread; 2],
    statistics: Spread,
    affine: Spot,
    sums: Spread,
    dx: Spread,
}

impl Gradient {
    pub(super) fn new(places: &Places, step: &Step, kernel: &BatchNormInputGradient) -> Self {
        let reads = [places.rows(step.reads[0]), places.rows(step.reads[4])];
        Self {
            chunks: Chunks::new(&reads[0], kernel.sizes),
            relu: kernel.relu,
            reads,
            statistics: places.rows(step.reads[1]),
            affine: places.spot(step.reads[2]),
            sums: places.rows(step.reads[3]),
            dx: places.rows(step.write),
        }
    }
}

impl Operation for Gradient {
    fn phases(&self) -> Vec<usize> {
        vec![self.chunks.count]
    }

    fn scratch(&self) -> usize {
        COEFFICIENTS * self.reads[0].rows.width
    }

    unsafe fn run(&self, _: usize, item: usize, context: &Context) {
        let (channels, count) = (self.chunks.sizes.channels, self.chunks.sizes.count() as f64);
        // SAFETY: each item has its own chunk; the processor has the kernels' instructions.
        unsafe {
            let group = self.chunks.group(item);
            let affine = self.affine.read(context.memory);
            let of =
                Coefficients::new(self.reads[0].rows.width, [row(&self.statistics, group, context), affine], context);
            let affine = of.affine(self.relu);
            let sums = row(&self.sums, group, context);
            let width = self.reads[0].rows.width;
            let (scale, rest) = of.rest.split_at_mut(width);
            let (slope, shift) = rest.split_at_mut(width);
            // γ·s·(dy − β̄ − (x − μ)·s·γ̄), with s = 1/√(σ² + ε) and the sums' means γ̄ and β̄.
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
