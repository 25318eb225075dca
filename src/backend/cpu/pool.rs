//! The operations that have no weights, over rows of channels.

use super::{memory::LINE, simd::Simd};

/// Rows to be reduced to one row.
pub(super) struct Reduction<'a> {
    pub(super) x: &'a [f32],
    /// Rows that are reduced, and numbers from one to the next.
    pub(super) rows: usize,
    pub(super) row: usize,
    /// One number for each column.
    pub(super) y: &'a mut [f32],
}

/// Rows whose sum is taken before it is added to the total, so that the rounding error stays small for long signals.
const PARTIAL: usize = 64;

/// The largest number of each column.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn largest<S: Simd>(reduction: &mut Reduction) {
    // SAFETY: as the caller vouches; `column` checks the lengths.
    unsafe {
        for start in (0..reduction.y.len()).step_by(S::LANES) {
            let from = column::<S>(reduction, start);
            let mut largest = S::load(from);
            for r in 1..reduction.rows {
                largest = largest.larger(S::load(from.add(r * reduction.row)));
            }
            put(reduction, start, largest);
        }
    }
}

/// The mean of each column.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn mean<S: Simd>(reduction: &mut Reduction) {
    // SAFETY: as the caller vouches; `column` checks the lengths.
    unsafe {
        for start in (0..reduction.y.len()).step_by(S::LANES) {
            let from = column::<S>(reduction, start);
            let mut total = S::splat(0.0);
            for first in (0..reduction.rows).step_by(PARTIAL) {
                let mut partial = S::splat(0.0);
                for r in first..reduction.rows.min(first + PARTIAL) {
                    partial = partial.plus(S::load(from.add(r * reduction.row)));
                }
                total = total.plus(partial);
            }
            put(reduction, start, total.times_plus(S::splat(1.0 / reduction.rows as f32), S::splat(0.0)));
        }
    }
}

/// Where the vector of columns from `start` on begins in `x`, of which every row can be read.
#[inline(always)]
fn column<S: Simd>(reduction: &Reduction, start: usize) -> *const f32 {
    let rest = &reduction.x[start..];
    assert!(rest.len() >= (reduction.rows - 1) * reduction.row + S::LANES);
    rest.as_ptr()
}

/// Writes a vector of columns, or as much of it as there are.
#[inline(always)]
unsafe fn put<S: Simd>(reduction: &mut Reduction, start: usize, vector: S) {
    let mut buffer = [0.0; LINE];
    // SAFETY: the buffer holds the largest vector; the rest the caller vouches for.
    unsafe { vector.store(buffer.as_mut_ptr()) };
    let y = &mut reduction.y[start..];
    let columns = y.len().min(S::LANES);
    y[..columns].copy_from_slice(&buffer[..columns]);
}
