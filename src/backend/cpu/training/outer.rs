//! The inner loop of a weight gradient: a register tile of some taps and channels of x by two vectors of channels of dy,
//! summed over the samples of a record. As in `tile`, numbers of x are spread and dy comes in vectors; here both move on
//! from sample to sample.

use crate::backend::cpu::{
    simd::Simd,
    tile::{VECTORS, with_rows},
};

/// A tile of a weight gradient: sums[r, o] += Σ_t x[t·x_row + r] · dy[t·dy_row + o].
pub(in crate::backend::cpu) struct OuterTile<'a> {
    pub(in crate::backend::cpu) rows: usize,
    pub(in crate::backend::cpu) samples: usize,
    pub(in crate::backend::cpu) x: &'a [f32],
    pub(in crate::backend::cpu) x_row: usize,
    pub(in crate::backend::cpu) dy: &'a [f32],
    pub(in crate::backend::cpu) dy_row: usize,
    /// Two vectors for each row, row after row.
    pub(in crate::backend::cpu) sums: &'a mut [f32],
}

/// Runs a tile.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(in crate::backend::cpu) unsafe fn outer<S: Simd>(tile: &mut OuterTile) {
    // SAFETY: as the caller vouches.
    unsafe { with_rows!(S, tile.rows, outer_rows(tile)) }
}

#[inline(always)]
unsafe fn outer_rows<S: Simd, const ROWS: usize>(tile: &mut OuterTile) {
    let columns = VECTORS * S::LANES;
    let last = tile.samples - 1;
    assert!(tile.x.len() >= last * tile.x_row + ROWS && tile.dy.len() >= last * tile.dy_row + columns);
    assert!(tile.sums.len() >= ROWS * columns);
    // SAFETY: every index lies below the lengths that were just checked.
    unsafe {
        let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
        let (mut x, mut dy) = (tile.x.as_ptr(), tile.dy.as_ptr());
        for _ in 0..tile.samples {
            let (left, right) = (S::load(dy), S::load(dy.add(S::LANES)));
            for (r, sums) in sums.iter_mut().enumerate() {
                let spread = S::splat(*x.add(r));
                sums[0] = spread.times_plus(left, sums[0]);
                sums[1] = spread.times_plus(right, sums[1]);
            }
            // The pointers may leave their arrays after the last sample, when nothing is read any more.
            x = x.wrapping_add(tile.x_row);
            dy = dy.wrapping_add(tile.dy_row);
        }
        for (r, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                let to = tile.sums.as_mut_ptr().add(r * columns + v * S::LANES);
                sum.plus(S::load(to)).store(to);
            }
        }
    }
}
