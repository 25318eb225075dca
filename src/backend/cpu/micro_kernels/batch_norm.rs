//! The inner loops of batch norm over rows of channels: each column is a channel and has its own coefficients.
//!
//! Sums go down one vector of columns at a time, and products go along the rows, so both read memory in order.

use super::{
    pool::PARTIAL_ROWS,
    simd::{MAX_LANES, Simd},
};

/// The rows of one record, or of one group of records that have one row each.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    /// The rows, and up to one vector of anything after them.
    pub(crate) numbers: &'a [f32],
    /// How many rows there are.
    pub(crate) rows: usize,
    /// The numbers of a row.
    pub(crate) pitch: usize,
}

impl Block<'_> {
    /// Checks that a vector may be loaded at every column of every row.
    #[inline(always)]
    fn check<S: Simd>(&self) {
        assert!(self.rows > 0 && self.numbers.len() >= self.rows * self.pitch - 1 + S::LANES);
    }

    /// Loads the vector at a row and a column.
    ///
    /// # Safety
    /// The processor has the instructions of `S`, and the block has been checked.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, row: usize, column: usize) -> S {
        // SAFETY: the caller guarantees the instructions and the check.
        unsafe { S::load(self.numbers.as_ptr().add(row * self.pitch + column)) }
    }
}

/// The mean of each column, and the sum of the squared distances from it.
pub(crate) struct Moments<'a> {
    /// The input.
    pub(crate) x: Block<'a>,
    /// One mean per column.
    pub(crate) mean: &'a mut [f32],
    /// One sum of squared distances per column.
    pub(crate) squares: &'a mut [f32],
}

/// The function of each column: `y = a · (x − centre) + b`, and `max(0, y)` with `relu`.
///
/// The difference is taken first, because a mean far from 0 would cost digits. With the mean folded into `b` the error of
/// the gradients was three times as large in BYOL's heads.
#[derive(Clone, Copy)]
pub(crate) struct Affine<'a> {
    pub(crate) centre: &'a [f32],
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) relu: bool,
}

/// The rows of `y`, computed from those of `x`.
pub(crate) struct Normalise<'a> {
    pub(crate) x: Block<'a>,
    pub(crate) affine: Affine<'a>,
    pub(crate) y: &'a mut [f32],
}

/// The sums of dy and of `dy · (x − centre)` of each column. dy counts as 0 where the ReLU was 0.
pub(crate) struct GradientSums<'a> {
    pub(crate) x: Block<'a>,
    pub(crate) dy: Block<'a>,
    pub(crate) affine: Affine<'a>,
    /// One sum of `dy · (x − centre)` per column.
    pub(crate) products: &'a mut [f32],
    /// One sum of dy per column.
    pub(crate) sums: &'a mut [f32],
}

/// `dx = scale · dy + slope · (x − centre) + shift`. dy counts as 0 where the ReLU was 0.
pub(crate) struct InputGradient<'a> {
    pub(crate) x: Block<'a>,
    pub(crate) dy: Block<'a>,
    pub(crate) affine: Affine<'a>,
    pub(crate) scale: &'a [f32],
    pub(crate) slope: &'a [f32],
    pub(crate) shift: &'a [f32],
    pub(crate) dx: &'a mut [f32],
}

/// Loads a vector of coefficients from `start` on, with zeros beyond the last one.
#[inline(always)]
unsafe fn coefficients<S: Simd>(values: &[f32], start: usize) -> S {
    let rest = &values[start..];
    // SAFETY: the caller guarantees the instructions, and the length is checked here.
    unsafe {
        if rest.len() >= S::LANES {
            return S::load(rest.as_ptr());
        }
        let mut padded = [0.0; MAX_LANES];
        padded[..rest.len()].copy_from_slice(rest);
        S::load(padded.as_ptr())
    }
}

/// Writes a vector from `start` on, or those of its lanes for which there is room.
#[inline(always)]
unsafe fn store_lanes<S: Simd>(to: &mut [f32], start: usize, vector: S) {
    let rest = &mut to[start..];
    // SAFETY: the caller guarantees the instructions, and the length is checked here.
    unsafe {
        if rest.len() >= S::LANES {
            return vector.store(rest.as_mut_ptr());
        }
        let mut padded = [0.0; MAX_LANES];
        vector.store(padded.as_mut_ptr());
        rest.copy_from_slice(&padded[..rest.len()]);
    }
}

/// Sums `term` over the rows, in partial sums.
#[inline(always)]
unsafe fn sum<S: Simd>(rows: usize, mut term: impl FnMut(usize) -> S) -> S {
    // SAFETY: the caller guarantees the instructions.
    unsafe {
        let mut total = S::splat(0.0);
        for first in (0..rows).step_by(PARTIAL_ROWS) {
            let mut partial = S::splat(0.0);
            for row in first..rows.min(first + PARTIAL_ROWS) {
                partial = partial.add(term(row));
            }
            total = total.add(partial);
        }
        total
    }
}

/// Computes mean and squared distances of each column.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn moments<S: Simd>(job: &mut Moments) {
    job.x.check::<S>();
    // SAFETY: the caller guarantees the instructions; every load is within the checked block.
    unsafe {
        for column in (0..job.x.pitch).step_by(S::LANES) {
            let total = sum::<S>(job.x.rows, |row| job.x.load(row, column));
            let mean = total.mul_add(S::splat(1.0 / job.x.rows as f32), S::splat(0.0));
            let squares = sum::<S>(job.x.rows, |row| {
                let distance = job.x.load::<S>(row, column).sub(mean);
                distance.mul_add(distance, S::splat(0.0))
            });
            store_lanes(job.mean, column, mean);
            store_lanes(job.squares, column, squares);
        }
    }
}

/// Normalises the rows.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn normalise<S: Simd>(job: &mut Normalise) {
    job.x.check::<S>();
    let width = job.x.pitch;
    for row in 0..job.x.rows {
        let y = &mut job.y[row * width..][..width];
        for column in (0..width).step_by(S::LANES) {
            // SAFETY: the caller guarantees the instructions; every load is within the checked block.
            unsafe {
                let x = job.x.load::<S>(row, column).sub(coefficients(job.affine.centre, column));
                let a = coefficients::<S>(job.affine.a, column);
                let value = x.mul_add(a, coefficients(job.affine.b, column));
                store_lanes(y, column, if job.affine.relu { value.max(S::splat(0.0)) } else { value });
            }
        }
    }
}

/// Returns dy, or 0 where the ReLU was 0. `x` has the centre already subtracted.
#[inline(always)]
unsafe fn relu_gradient<S: Simd>(x: S, dy: S, [a, b]: [S; 2], relu: bool) -> S {
    // SAFETY: the caller guarantees the instructions.
    unsafe { if relu { dy.keep_where_positive(x.mul_add(a, b)) } else { dy } }
}

/// Computes the sums of a batch norm gradient.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn gradient_sums<S: Simd>(job: &mut GradientSums) {
    job.x.check::<S>();
    job.dy.check::<S>();
    assert!(job.x.pitch == job.dy.pitch && job.x.rows == job.dy.rows);
    let (x, dy, relu) = (job.x, job.dy, job.affine.relu);
    // SAFETY: the caller guarantees the instructions; every load is within the checked blocks.
    unsafe {
        for column in (0..x.pitch).step_by(S::LANES) {
            let ab = [coefficients::<S>(job.affine.a, column), coefficients(job.affine.b, column)];
            let centre = coefficients::<S>(job.affine.centre, column);
            let mut totals = [S::splat(0.0); 2];
            for first in (0..x.rows).step_by(PARTIAL_ROWS) {
                let mut partial = [S::splat(0.0); 2];
                for row in first..x.rows.min(first + PARTIAL_ROWS) {
                    let x = x.load::<S>(row, column).sub(centre);
                    let dy = relu_gradient(x, dy.load(row, column), ab, relu);
                    partial[0] = x.mul_add(dy, partial[0]);
                    partial[1] = partial[1].add(dy);
                }
                totals = [totals[0].add(partial[0]), totals[1].add(partial[1])];
            }
            store_lanes(job.products, column, totals[0]);
            store_lanes(job.sums, column, totals[1]);
        }
    }
}

/// Computes the gradient of a batch norm by its input.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn input_gradient<S: Simd>(job: &mut InputGradient) {
    job.x.check::<S>();
    job.dy.check::<S>();
    assert!(job.x.pitch == job.dy.pitch && job.x.rows == job.dy.rows);
    let width = job.x.pitch;
    for row in 0..job.x.rows {
        let dx = &mut job.dx[row * width..][..width];
        for column in (0..width).step_by(S::LANES) {
            // SAFETY: the caller guarantees the instructions; every load is within the checked blocks.
            unsafe {
                let ab = [coefficients::<S>(job.affine.a, column), coefficients(job.affine.b, column)];
                let x = job.x.load::<S>(row, column).sub(coefficients(job.affine.centre, column));
                let dy = relu_gradient(x, job.dy.load(row, column), ab, job.affine.relu);
                let shifted = x.mul_add(coefficients(job.slope, column), coefficients(job.shift, column));
                store_lanes(dx, column, dy.mul_add(coefficients(job.scale, column), shifted));
            }
        }
    }
}
