//! Batch norm's loops over rows of channels: each column is a channel, and has its own coefficients.
//!
//! Sums go down one vector of columns at a time, products along the rows, so both read memory in order.

use crate::backend::cpu::{memory::LINE, simd::Simd};

/// Rows whose sum is taken before it is added to the total, so that the rounding error stays small for long signals.
const PARTIAL: usize = 64;

/// Rows of one record, or of one group of records that have one row each.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Block<'a> {
    /// The rows, and up to a vector of anything after them.
    pub(in crate::backend::cpu) numbers: &'a [f32],
    pub(in crate::backend::cpu) rows: usize,
    pub(in crate::backend::cpu) width: usize,
}

impl Block<'_> {
    /// Checks that a vector may be loaded at every column of every row.
    #[inline(always)]
    fn check<S: Simd>(&self) {
        assert!(self.rows > 0 && self.numbers.len() >= self.rows * self.width - 1 + S::LANES);
    }

    /// # Safety
    /// The processor has the instructions of `S`, and the block has been checked.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, row: usize, column: usize) -> S {
        // SAFETY: as the caller vouches.
        unsafe { S::load(self.numbers.as_ptr().add(row * self.width + column)) }
    }
}

/// Mean of each column, and sum of the squared distances from it.
pub(in crate::backend::cpu) struct Moments<'a> {
    pub(in crate::backend::cpu) x: Block<'a>,
    /// A number for each column.
    pub(in crate::backend::cpu) mean: &'a mut [f32],
    pub(in crate::backend::cpu) squares: &'a mut [f32],
}

/// What becomes of the columns: y = a·(x − centre) + b, and max(0, y) with `relu`. The difference comes first: a mean far
/// from 0 would cost digits, which in BYOL's heads made the gradients' error three times as large.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Affine<'a> {
    pub(in crate::backend::cpu) centre: &'a [f32],
    pub(in crate::backend::cpu) a: &'a [f32],
    pub(in crate::backend::cpu) b: &'a [f32],
    pub(in crate::backend::cpu) relu: bool,
}

/// Writes the rows of `y` from those of `x`.
pub(in crate::backend::cpu) struct Normalise<'a> {
    pub(in crate::backend::cpu) x: Block<'a>,
    pub(in crate::backend::cpu) affine: Affine<'a>,
    pub(in crate::backend::cpu) y: &'a mut [f32],
}

/// Sums of dy and of dy·(x − centre) down the columns, dy taken for 0 where the ReLU passed nothing on.
pub(in crate::backend::cpu) struct GradientSums<'a> {
    pub(in crate::backend::cpu) x: Block<'a>,
    pub(in crate::backend::cpu) dy: Block<'a>,
    pub(in crate::backend::cpu) affine: Affine<'a>,
    pub(in crate::backend::cpu) products: &'a mut [f32],
    pub(in crate::backend::cpu) sums: &'a mut [f32],
}

/// dx = scale·dy + slope·(x − centre) + shift, with dy as in [`GradientSums`].
pub(in crate::backend::cpu) struct InputGradient<'a> {
    pub(in crate::backend::cpu) x: Block<'a>,
    pub(in crate::backend::cpu) dy: Block<'a>,
    pub(in crate::backend::cpu) affine: Affine<'a>,
    pub(in crate::backend::cpu) scale: &'a [f32],
    pub(in crate::backend::cpu) slope: &'a [f32],
    pub(in crate::backend::cpu) shift: &'a [f32],
    pub(in crate::backend::cpu) dx: &'a mut [f32],
}

/// A vector of coefficients from `start` on; zeros where there are none.
#[inline(always)]
unsafe fn coefficients<S: Simd>(values: &[f32], start: usize) -> S {
    let rest = &values[start..];
    // SAFETY: the caller vouches for the instructions, and the length is checked here.
    unsafe {
        if rest.len() >= S::LANES {
            return S::load(rest.as_ptr());
        }
        let mut padded = [0.0; LINE];
        padded[..rest.len()].copy_from_slice(rest);
        S::load(padded.as_ptr())
    }
}

/// Writes a vector from `start` on, or as much of it as there is room for.
#[inline(always)]
unsafe fn put<S: Simd>(to: &mut [f32], start: usize, vector: S) {
    let rest = &mut to[start..];
    // SAFETY: the caller vouches for the instructions, and the length is checked here.
    unsafe {
        if rest.len() >= S::LANES {
            return vector.store(rest.as_mut_ptr());
        }
        let mut padded = [0.0; LINE];
        vector.store(padded.as_mut_ptr());
        rest.copy_from_slice(&padded[..rest.len()]);
    }
}

/// Σ over the rows of `term`, in partial sums.
#[inline(always)]
unsafe fn sum<S: Simd>(rows: usize, mut term: impl FnMut(usize) -> S) -> S {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut total = S::splat(0.0);
        for first in (0..rows).step_by(PARTIAL) {
            let mut partial = S::splat(0.0);
            for row in first..rows.min(first + PARTIAL) {
                partial = partial.plus(term(row));
            }
            total = total.plus(partial);
        }
        total
    }
}

/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(in crate::backend::cpu) unsafe fn moments<S: Simd>(job: &mut Moments) {
    job.x.check::<S>();
    // SAFETY: as the caller vouches; every load lies within the checked block.
    unsafe {
        for column in (0..job.x.width).step_by(S::LANES) {
            let total = sum::<S>(job.x.rows, |row| job.x.load(row, column));
            let mean = total.times_plus(S::splat(1.0 / job.x.rows as f32), S::splat(0.0));
            let squares = sum::<S>(job.x.rows, |row| {
                let distance = job.x.load::<S>(row, column).minus(mean);
                distance.times_plus(distance, S::splat(0.0))
            });
            put(job.mean, column, mean);
            put(job.squares, column, squares);
        }
    }
}

/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(in crate::backend::cpu) unsafe fn normalise<S: Simd>(job: &mut Normalise) {
    job.x.check::<S>();
    let (width, zero) = (job.x.width, 0.0);
    for row in 0..job.x.rows {
        let y = &mut job.y[row * width..][..width];
        for column in (0..width).step_by(S::LANES) {
            // SAFETY: as the caller vouches; every load lies within the checked block.
            unsafe {
                let x = job.x.load::<S>(row, column).minus(coefficients(job.affine.centre, column));
                let a = coefficients::<S>(job.affine.a, column);
                let value = x.times_plus(a, coefficients(job.affine.b, column));
                put(y, column, if job.affine.relu { value.larger(S::splat(zero)) } else { value });
            }
        }
    }
}

/// dy where the ReLU passed something on; x less the centre.
#[inline(always)]
unsafe fn passed<S: Simd>(x: S, dy: S, [a, b]: [S; 2], relu: bool) -> S {
    // SAFETY: as the caller vouches.
    unsafe { if relu { dy.where_positive(x.times_plus(a, b)) } else { dy } }
}

/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(in crate::backend::cpu) unsafe fn gradient_sums<S: Simd>(job: &mut GradientSums) {
    job.x.check::<S>();
    job.dy.check::<S>();
    assert!(job.x.width == job.dy.width && job.x.rows == job.dy.rows);
    let (x, dy, relu) = (job.x, job.dy, job.affine.relu);
    // SAFETY: as the caller vouches; every load lies within the checked blocks.
    unsafe {
        for column in (0..x.width).step_by(S::LANES) {
            let ab = [coefficients::<S>(job.affine.a, column), coefficients(job.affine.b, column)];
            let centre = coefficients::<S>(job.affine.centre, column);
            let mut totals = [S::splat(0.0); 2];
            for first in (0..x.rows).step_by(PARTIAL) {
                let mut partial = [S::splat(0.0); 2];
                for row in first..x.rows.min(first + PARTIAL) {
                    let x = x.load::<S>(row, column).minus(centre);
                    let dy = passed(x, dy.load(row, column), ab, relu);
                    partial[0] = x.times_plus(dy, partial[0]);
                    partial[1] = partial[1].plus(dy);
                }
                totals = [totals[0].plus(partial[0]), totals[1].plus(partial[1])];
            }
            put(job.products, column, totals[0]);
            put(job.sums, column, totals[1]);
        }
    }
}

/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(in crate::backend::cpu) unsafe fn input_gradient<S: Simd>(job: &mut InputGradient) {
    job.x.check::<S>();
    job.dy.check::<S>();
    assert!(job.x.width == job.dy.width && job.x.rows == job.dy.rows);
    let width = job.x.width;
    for row in 0..job.x.rows {
        let dx = &mut job.dx[row * width..][..width];
        for column in (0..width).step_by(S::LANES) {
            // SAFETY: as the caller vouches; every load lies within the checked blocks.
            unsafe {
                let ab = [coefficients::<S>(job.affine.a, column), coefficients(job.affine.b, column)];
                let x = job.x.load::<S>(row, column).minus(coefficients(job.affine.centre, column));
                let dy = passed(x, job.dy.load(row, column), ab, job.affine.relu);
                let shifted = x.times_plus(coefficients(job.slope, column), coefficients(job.shift, column));
                put(dx, column, dy.times_plus(coefficients(job.scale, column), shifted));
            }
        }
    }
}
