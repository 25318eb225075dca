//! Maximum and mean of columns: the inner loops of max pools and of the global average pool, over rows of channels.

use super::simd::{MAX_LANES, Simd};

/// Rows that are reduced to one row.
pub(crate) struct ColumnReduction<'a> {
    /// The rows, and at least one vector of anything after the last one.
    pub(crate) x: &'a [f32],
    /// How many rows are reduced.
    pub(crate) rows: usize,
    /// The numbers from the start of one row to the start of the next.
    pub(crate) pitch: usize,
    /// One result per column.
    pub(crate) y: &'a mut [f32],
}

/// How many rows are summed before their sum is added to the total. Partial sums keep the rounding error small for long
/// signals.
pub(crate) const PARTIAL_ROWS: usize = 64;

/// Computes the largest number of each column.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn column_max<S: Simd>(reduction: &mut ColumnReduction) {
    // SAFETY: the caller guarantees the instructions; `column` checks the lengths.
    unsafe {
        for start in (0..reduction.y.len()).step_by(S::LANES) {
            let from = column::<S>(reduction, start);
            let mut largest = S::load(from);
            for r in 1..reduction.rows {
                largest = largest.max(S::load(from.add(r * reduction.pitch)));
            }
            store_columns(reduction, start, largest);
        }
    }
}

/// Computes the mean of each column.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn column_mean<S: Simd>(reduction: &mut ColumnReduction) {
    // SAFETY: the caller guarantees the instructions; `column` checks the lengths.
    unsafe {
        for start in (0..reduction.y.len()).step_by(S::LANES) {
            let from = column::<S>(reduction, start);
            let mut total = S::splat(0.0);
            for first in (0..reduction.rows).step_by(PARTIAL_ROWS) {
                let mut partial = S::splat(0.0);
                for r in first..reduction.rows.min(first + PARTIAL_ROWS) {
                    partial = partial.add(S::load(from.add(r * reduction.pitch)));
                }
                total = total.add(partial);
            }
            store_columns(reduction, start, total.mul_add(S::splat(1.0 / reduction.rows as f32), S::splat(0.0)));
        }
    }
}

/// Returns where the vector of columns from `start` on begins in `x`, and checks that it can be read in every row.
#[inline(always)]
fn column<S: Simd>(reduction: &ColumnReduction, start: usize) -> *const f32 {
    let rest = &reduction.x[start..];
    assert!(rest.len() >= (reduction.rows - 1) * reduction.pitch + S::LANES);
    rest.as_ptr()
}

/// Writes a vector of columns, or those of its lanes that are columns.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
unsafe fn store_columns<S: Simd>(reduction: &mut ColumnReduction, start: usize, vector: S) {
    let mut lanes = [0.0; MAX_LANES];
    // SAFETY: the array holds the widest vector; the caller guarantees the instructions.
    unsafe { vector.store(lanes.as_mut_ptr()) };
    let y = &mut reduction.y[start..];
    let columns = y.len().min(S::LANES);
    y[..columns].copy_from_slice(&lanes[..columns]);
}
