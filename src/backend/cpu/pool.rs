//! The operations that have no weights, over rows of channels.

use super::simd::Simd;

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
    // SAFETY: as the caller vouches; `from` begins with a whole vector in bounds.
    unsafe {
        by_vectors::<S>(reduction, |from, rows, row| {
            let mut largest = S::load(from);
            for r in 1..rows {
                largest = largest.larger(S::load(from.add(r * row)));
            }
            largest
        });
    }
}

/// The mean of each column.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn mean<S: Simd>(reduction: &mut Reduction) {
    // SAFETY: as the caller vouches; `from` begins with a whole vector in bounds.
    unsafe {
        by_vectors::<S>(reduction, |from, rows, row| {
            let mut total = S::splat(0.0);
            for start in (0..rows).step_by(PARTIAL) {
                let mut partial = S::splat(0.0);
                for r in start..rows.min(start + PARTIAL) {
                    partial = partial.plus(S::load(from.add(r * row)));
                }
                total = total.plus(partial);
            }
            total.times_plus(S::splat(1.0 / rows as f32), S::splat(0.0))
        });
    }
}

/// Reduces vector by vector; what is left at the end goes through a buffer.
#[inline(always)]
unsafe fn by_vectors<S: Simd>(reduction: &mut Reduction, reduce: impl Fn(*const f32, usize, usize) -> S) {
    let (rows, row) = (reduction.rows, reduction.row);
    assert!(reduction.x.len() >= (rows - 1) * row + reduction.y.len().next_multiple_of(S::LANES));
    for (v, y) in reduction.y.chunks_mut(S::LANES).enumerate() {
        let mut buffer = [0.0; super::memory::LINE];
        // SAFETY: `x` is long enough as just checked, and the buffer holds the largest vector.
        unsafe { reduce(reduction.x.as_ptr().add(v * S::LANES), rows, row).store(buffer.as_mut_ptr()) };
        y.copy_from_slice(&buffer[..y.len()]);
    }
}
