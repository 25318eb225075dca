//! The inner loop of every convolution and linear layer: a register tile of some rows by two vectors of channels.
//!
//! Rows are positions (or, with minimal filtering, groups of positions), and a row's numbers that one output needs lie
//! one after the other, so the tile is a plain matrix product. Each number of the input is spread over a vector and
//! multiplied with two vectors of weights.

use super::simd::Simd;

/// Vectors of channels in a tile.
///
/// Two, because the weights come from the second-level cache: 14 rows × 2 vectors ask it for 128 bytes every 28
/// cycles, where 7 × 4 would ask for 256.
pub(super) const VECTORS: usize = 2;

/// What a layer does to its sums.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    /// One for each channel of the tile.
    pub(super) bias: &'a [f32],
    pub(super) relu: bool,
}

/// Where a tile's outputs go: each position's channels lie together, `row` numbers after those of the last position.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) start: *mut f32,
    pub(super) row: usize,
}

/// A tile of a convolution: y[r, o] = bias[o] + Σ_d x[r·row + d] · weight[d, o].
pub(super) struct DirectTile<'a> {
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) x: &'a [f32],
    /// Numbers from one row to the next; rows may overlap.
    pub(super) row: usize,
    /// `[depth, channels of the tile]`.
    pub(super) weight: &'a [f32],
    pub(super) finish: Finish<'a>,
    pub(super) y: Target,
}

/// Calls `$function::<S, ROWS>($arguments)` for a number of rows that is known only now.
macro_rules! with_rows {
    ($simd:ident, $rows:expr, $function:ident($($argument:expr),*)) => {
        with_rows!(@ $simd, $rows, $function($($argument),*), 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@ $simd:ident, $rows:expr, $function:ident $arguments:tt, $($number:literal)*) => {
        match $rows {
            // The comparison with ROWS drops the tiles that would not fit into the registers.
            $($number if $number <= $simd::ROWS => with_rows!(@@ $function, $simd, $number, $arguments),)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
    (@@ $function:ident, $simd:ident, $number:literal, ($($argument:expr),*)) => {
        $function::<$simd, $number>($($argument),*)
    };
}
pub(super) use with_rows;

/// Runs a tile.
///
/// # Safety
/// The processor has the instructions of `S`, and `y` has room for the tile that nobody else reads or writes.
#[inline(always)]
pub(super) unsafe fn direct<S: Simd>(tile: &DirectTile) {
    // SAFETY: as the caller vouches.
    unsafe { with_rows!(S, tile.rows, direct_rows(tile)) }
}

#[inline(always)]
unsafe fn direct_rows<S: Simd, const ROWS: usize>(tile: &DirectTile) {
    assert!(tile.finish.bias.len() >= VECTORS * S::LANES);
    // SAFETY: the lengths are checked here and in `product`; the rest the caller vouches for.
    unsafe {
        let sums = product::<S, ROWS>(tile.x, tile.row, tile.weight, tile.depth);
        for (r, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                let to = tile.y.start.add(r * tile.y.row + v * S::LANES);
                finished(sum.plus(S::load(tile.finish.bias.as_ptr().add(v * S::LANES))), tile.finish.relu).store(to);
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn finished<S: Simd>(sum: S, relu: bool) -> S {
    // SAFETY: as the caller vouches.
    unsafe { if relu { sum.larger(S::splat(0.0)) } else { sum } }
}

/// The sums Σ_d x[r·row + d] · weight[d, o] in registers.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn product<S: Simd, const ROWS: usize>(
    x: &[f32],
    row: usize,
    weight: &[f32],
    depth: usize,
) -> [[S; VECTORS]; ROWS] {
    assert!(x.len() >= (ROWS - 1) * row + depth && weight.len() >= depth * VECTORS * S::LANES);
    // SAFETY: every index lies below the lengths that were just checked.
    unsafe {
        let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
        let (mut x, mut weight) = (x.as_ptr(), weight.as_ptr());
        for _ in 0..depth {
            let (left, right) = (S::load(weight), S::load(weight.add(S::LANES)));
            // Written out, because a loop in the loop is not unrolled for every target.
            for (r, sums) in sums.iter_mut().enumerate() {
                let spread = S::splat(*x.add(r * row));
                sums[0] = spread.times_plus(left, sums[0]);
                sums[1] = spread.times_plus(right, sums[1]);
            }
            x = x.add(1);
            weight = weight.add(VECTORS * S::LANES);
        }
        sums
    }
}
