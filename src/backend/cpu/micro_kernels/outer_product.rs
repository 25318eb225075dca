//! The inner loop of a weight gradient: a register tile of some taps and channels of x by two vectors of channels of dy,
//! summed over the samples of one record. Numbers of x are broadcast and dy is read in vectors, as in
//! [`tile`](super::tile); here both advance from sample to sample.

use super::{
    simd::Simd,
    tile::{VECTORS, with_rows},
};

/// A tile of a weight gradient: `sums[r, o] += Σ_t x[t · x_pitch + r] · dy[t · dy_pitch + o]`.
pub(crate) struct OuterProductTile<'a> {
    /// The taps and channels of x.
    pub(crate) rows: usize,
    /// The samples that are summed.
    pub(crate) samples: usize,
    /// The input from the first row's tap and channel on.
    pub(crate) x: &'a [f32],
    /// The numbers from one sample of x to the next.
    pub(crate) x_pitch: usize,
    /// The output's gradient from the first channel on.
    pub(crate) dy: &'a [f32],
    /// The numbers from one sample of dy to the next.
    pub(crate) dy_pitch: usize,
    /// Two vectors per row, row after row.
    pub(crate) sums: &'a mut [f32],
}

/// Adds a record's outer products to a tile's sums.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn outer_product<S: Simd>(tile: &mut OuterProductTile) {
    // SAFETY: the caller guarantees the same.
    unsafe { with_rows!(S, tile.rows, outer_product_rows(tile)) }
}

#[inline(always)]
unsafe fn outer_product_rows<S: Simd, const ROWS: usize>(tile: &mut OuterProductTile) {
    let columns = VECTORS * S::LANES;
    let last = tile.samples - 1;
    assert!(tile.x.len() >= last * tile.x_pitch + ROWS && tile.dy.len() >= last * tile.dy_pitch + columns);
    assert!(tile.sums.len() >= ROWS * columns);
    // SAFETY: every index is below the lengths that were just checked.
    unsafe {
        let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
        let (mut x, mut dy) = (tile.x.as_ptr(), tile.dy.as_ptr());
        for _ in 0..tile.samples {
            let (left, right) = (S::load(dy), S::load(dy.add(S::LANES)));
            for (r, sums) in sums.iter_mut().enumerate() {
                let broadcast = S::splat(*x.add(r));
                sums[0] = broadcast.mul_add(left, sums[0]);
                sums[1] = broadcast.mul_add(right, sums[1]);
            }
            // After the last sample the pointers may leave their slices; they are not read any more then.
            x = x.wrapping_add(tile.x_pitch);
            dy = dy.wrapping_add(tile.dy_pitch);
        }
        for (r, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                let to = tile.sums.as_mut_ptr().add(r * columns + v * S::LANES);
                sum.add(S::load(to)).store(to);
            }
        }
    }
}
