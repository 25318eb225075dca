//! The inner loop of every convolution and linear layer: a register tile of some rows by two vectors of channels.
//!
//! A row is one output position, or one group of positions in a Winograd convolution. The numbers that a row needs for
//! one output are contiguous, so the tile is a plain matrix product. Each number of the input is broadcast to a vector
//! and multiplied by two vectors of weights.

use super::simd::Simd;

/// The vectors of channels in a tile.
///
/// Two, because the weights come from the second-level cache: 14 rows × 2 vectors need 128 bytes from it every 28 cycles,
/// where 7 × 4 would need 256.
pub(crate) const VECTORS: usize = 2;

/// What a convolution does to its sums before it writes them.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// One number for each channel of the tile.
    pub(crate) bias: &'a [f32],
    /// Whether negative results become 0.
    pub(crate) relu: bool,
}

/// Where a tile's outputs are written: the channels of one position are contiguous.
#[derive(Clone, Copy)]
pub(crate) struct OutputRows {
    /// The first channel of the first position.
    pub(crate) start: *mut f32,
    /// The numbers from one position to the next.
    pub(crate) pitch: usize,
}

/// A tile of a direct convolution: `y[r, o] = bias[o] + Σ_d x[r · pitch + d] · weight[d, o]`.
pub(crate) struct DirectTile<'a> {
    /// The output positions.
    pub(crate) rows: usize,
    /// The products of one output.
    pub(crate) depth: usize,
    /// The input from the first position's window on.
    pub(crate) x: &'a [f32],
    /// The numbers from one row of x to the next; rows may overlap.
    pub(crate) pitch: usize,
    /// `[depth, channels of the tile]`.
    pub(crate) weight: &'a [f32],
    /// Bias and ReLU.
    pub(crate) epilogue: Epilogue<'a>,
    /// The output.
    pub(crate) y: OutputRows,
}

/// Calls `$function::<S, ROWS>($arguments)` for a number of rows that is known at run time only.
macro_rules! with_rows {
    ($simd:ident, $rows:expr, $function:ident($($argument:expr),*)) => {
        with_rows!(@ $simd, $rows, $function($($argument),*), 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@ $simd:ident, $rows:expr, $function:ident $arguments:tt, $($number:literal)*) => {
        match $rows {
            // The comparison with ROWS removes the tiles that would not fit into the registers.
            $($number if $number <= $simd::ROWS => with_rows!(@@ $function, $simd, $number, $arguments),)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
    (@@ $function:ident, $simd:ident, $number:literal, ($($argument:expr),*)) => {
        $function::<$simd, $number>($($argument),*)
    };
}
pub(crate) use with_rows;

/// Computes a tile of a direct convolution.
///
/// # Safety
/// The processor has the instructions of `S`. `y` has room for the tile, and no other thread accesses it.
#[inline(always)]
pub(crate) unsafe fn direct<S: Simd>(tile: &DirectTile) {
    // SAFETY: the caller guarantees the same.
    unsafe { with_rows!(S, tile.rows, direct_rows(tile)) }
}

#[inline(always)]
unsafe fn direct_rows<S: Simd, const ROWS: usize>(tile: &DirectTile) {
    assert!(tile.epilogue.bias.len() >= VECTORS * S::LANES);
    // SAFETY: the lengths are checked here and in `product`; the caller guarantees the rest.
    unsafe {
        let sums = product::<S, ROWS>(tile.x, tile.pitch, tile.weight, tile.depth);
        for (r, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                let to = tile.y.start.add(r * tile.y.pitch + v * S::LANES);
                let sum = sum.add(S::load(tile.epilogue.bias.as_ptr().add(v * S::LANES)));
                activate(sum, tile.epilogue.relu).store(to);
            }
        }
    }
}

/// Applies the ReLU, if there is one.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn activate<S: Simd>(sum: S, relu: bool) -> S {
    // SAFETY: the caller guarantees the instructions.
    unsafe { if relu { sum.max(S::splat(0.0)) } else { sum } }
}

/// Computes the sums `Σ_d x[r · pitch + d] · weight[d, o]` in registers.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn product<S: Simd, const ROWS: usize>(
    x: &[f32],
    pitch: usize,
    weight: &[f32],
    depth: usize,
) -> [[S; VECTORS]; ROWS] {
    assert!(x.len() >= (ROWS - 1) * pitch + depth && weight.len() >= depth * VECTORS * S::LANES);
    // SAFETY: every index is below the lengths that were just checked.
    unsafe {
        let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
        let (mut x, mut weight) = (x.as_ptr(), weight.as_ptr());
        for _ in 0..depth {
            let (left, right) = (S::load(weight), S::load(weight.add(S::LANES)));
            // The two vectors are written out, because the compiler does not unroll a nested loop for every target.
            for (r, sums) in sums.iter_mut().enumerate() {
                let broadcast = S::splat(*x.add(r * pitch));
                sums[0] = broadcast.mul_add(left, sums[0]);
                sums[1] = broadcast.mul_add(right, sums[1]);
            }
            x = x.add(1);
            weight = weight.add(VECTORS * S::LANES);
        }
        sums
    }
}
