//! Minimal filtering (Winograd, Toom–Cook): `outputs` outputs of a filter with `taps` taps from eight multiplications,
//! where taps + outputs = 9.
//!
//! Eight inputs and the filter are taken for polynomials and evaluated at the points 0, ±1, ±2, ±1/2 and ∞; their
//! products there determine the outputs. Evaluating an input, or interpolating an output, costs about 25 additions, but
//! each is used for every channel of the other side, so the eight matrix products are what counts.
//!
//! Eight points for every filter, so that one transform of the input serves all. With the published shapes they leave
//! 45 of 98 million multiplications for ten seconds at 100 Hz. Six points (0, ±1, ±2, ∞) leave 51, and ten lose more
//! digits than parity allows.

use super::{
    simd::Simd,
    tile::{Finish, Target, VECTORS, finished, product, with_rows},
};

/// Multiplications for one group of outputs.
pub(super) const POINTS: usize = 8;

/// The points but the last, ∞. Pairs ± share work in the transforms.
const FINITE: [f64; POINTS - 1] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

/// What interpolation multiplies by: for each finite point one over the product of its distances from the others.
const FACTORS: [f64; POINTS - 1] = {
    let mut factors = [1.0; POINTS - 1];
    let mut pair = 0;
    while pair < factors.len() * factors.len() {
        let (i, j) = (pair / factors.len(), pair % factors.len());
        if i != j {
            factors[i] /= FINITE[i] - FINITE[j];
        }
        pair += 1;
    }
    factors
};

/// Filters that are evaluated side by side: a vector of the largest kind in f64. Every panel is a multiple of it.
pub(super) const BLOCK: usize = 8;

/// A block of filters' values at the points, each times what interpolation asks for; at most 6 taps.
///
/// At ± a point even powers are the same and odd ones of opposite sign; the factors, over six distances, are the same.
#[inline(always)]
pub(super) fn filters_at_points<const TAPS: usize>(taps: &[[f64; BLOCK]; TAPS]) -> [[f64; BLOCK]; POINTS] {
    let mut values = [taps[TAPS - 1]; POINTS];
    values[0] = taps[0].map(|tap| tap * FACTORS[0]);
    for point in [1, 3, 5] {
        // Horner's rule in the square of the point, for the even and for the odd taps.
        let square = FINITE[point] * FINITE[point];
        let mut sums = [[0.0; BLOCK]; 2];
        for (tap, taps) in taps.iter().enumerate().rev() {
            sums[tap % 2].iter_mut().zip(taps).for_each(|(sum, tap)| *sum = *sum * square + tap);
        }
        for lane in 0..BLOCK {
            let [even, odd] = [sums[0][lane] * FACTORS[point], sums[1][lane] * (FINITE[point] * FACTORS[point])];
            (values[point][lane], values[point + 1][lane]) = (even + odd, even - odd);
        }
    }
    values
}

/// Inputs to be evaluated at the points.
pub(super) struct Evaluation<'a> {
    /// Groups of eight rows, each for one tile's row.
    pub(super) groups: usize,
    /// Columns of a row; up to one vector more is read and written.
    pub(super) columns: usize,
    pub(super) x: &'a [f32],
    /// Numbers from one row to the next, and from one group to the next.
    pub(super) row: usize,
    pub(super) group: usize,
    pub(super) values: *mut f32,
    /// Numbers from one group's values to the next group's, and from one point's to the next point's.
    pub(super) values_row: usize,
    pub(super) values_point: usize,
}

/// Evaluates.
///
/// # Safety
/// The processor has the instructions of `S`, and `values` has room that nobody else reads or writes.
#[inline(always)]
pub(super) unsafe fn evaluate<S: Simd>(inputs: &Evaluation) {
    let columns = inputs.columns.next_multiple_of(S::LANES);
    assert!(inputs.x.len() >= (inputs.groups - 1) * inputs.group + (POINTS - 1) * inputs.row + columns);
    for group in 0..inputs.groups {
        for column in (0..columns).step_by(S::LANES) {
            // SAFETY: `x` is as long as was just checked; the rest the caller vouches for.
            unsafe {
                let from = inputs.x.as_ptr().add(group * inputs.group + column);
                let to = inputs.values.add(group * inputs.values_row + column);
                let mut x = [S::splat(0.0); POINTS];
                for (i, x) in x.iter_mut().enumerate() {
                    *x = S::load(from.add(i * inputs.row));
                }
                for (point, value) in at_points(x).iter().enumerate() {
                    value.store(to.add(point * inputs.values_point));
                }
            }
        }
    }
}

/// a · factor + addend.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
unsafe fn times<S: Simd>(a: S, factor: f32, addend: S) -> S {
    // SAFETY: as the caller vouches.
    unsafe { a.times_plus(S::splat(factor), addend) }
}

/// The rows of the transform are, for each point, the product of (x − p) over the other points, and at ∞ over all.
#[inline(always)]
unsafe fn at_points<S: Simd>(x: [S; POINTS]) -> [S; POINTS] {
    // SAFETY: as the caller vouches.
    unsafe {
        let zero = times(x[2].minus(x[4]), 5.25, x[6].minus(x[0]));
        let infinity = times(x[3].minus(x[5]), 5.25, x[7].minus(x[1]));
        let one = [times(x[4], -4.25, x[2].plus(x[6])), times(x[3], -4.25, x[1].plus(x[5]))];
        let two = [times(x[2], 0.25, times(x[4], -1.25, x[6])), times(x[1], 0.25, times(x[3], -1.25, x[5]))];
        let half = [times(x[2], 4.0, times(x[4], -5.0, x[6])), times(x[1], 4.0, times(x[3], -5.0, x[5]))];
        let [one_plus, one_minus] = [one[0].plus(one[1]), one[0].minus(one[1])];
        let [two_plus, two_minus] = [times(two[1], 2.0, two[0]), times(two[1], -2.0, two[0])];
        let [half_plus, half_minus] = [times(half[1], 0.5, half[0]), times(half[1], -0.5, half[0])];
        [zero, one_plus, one_minus, two_plus, two_minus, half_plus, half_minus, infinity]
    }
}

/// A tile of a convolution by minimal filtering: at each point a product of values and weights, then interpolation.
pub(super) struct FilteredTile<'a> {
    /// Groups of outputs.
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// The part of the depth in which the filters have a last tap: what counts at ∞.
    pub(super) depth_at_infinity: usize,
    /// As [`Evaluation`] has written them, beginning with the tile's first group.
    pub(super) values: &'a [f32],
    pub(super) row: usize,
    pub(super) point: usize,
    /// `[points, depth, channels of the tile]`, at ∞ only the depth that counts.
    pub(super) weight: &'a [f32],
    pub(super) finish: Finish<'a>,
    /// Outputs of a group: 3, 4, 5 or 6.
    pub(super) outputs: usize,
    pub(super) y: Target,
    /// Positions that may be written from the first on.
    pub(super) samples: usize,
}

/// Runs a tile.
///
/// # Safety
/// The processor has the instructions of `S`, and `y` has room for the tile's samples that nobody else reads or writes.
#[inline(always)]
pub(super) unsafe fn filtered<S: Simd>(tile: &FilteredTile) {
    // SAFETY: as the caller vouches.
    unsafe { with_rows!(S, tile.rows, filtered_rows(tile)) }
}

#[inline(always)]
unsafe fn filtered_rows<S: Simd, const ROWS: usize>(tile: &FilteredTile) {
    let size = tile.depth * VECTORS * S::LANES;
    // SAFETY: the lengths are checked in `product` and `interpolate`; the rest the caller vouches for.
    unsafe {
        let mut products = [const { std::mem::MaybeUninit::<[[S; VECTORS]; ROWS]>::uninit() }; POINTS];
        for (point, sums) in products.iter_mut().enumerate() {
            let values = &tile.values[point * tile.point..];
            let depth = if point < POINTS - 1 { tile.depth } else { tile.depth_at_infinity };
            sums.write(product::<S, ROWS>(values, tile.row, &tile.weight[point * size..], depth));
        }
        // Every point's sums have just been written.
        let products = &*products.as_ptr().cast::<[[[S; VECTORS]; ROWS]; POINTS]>();
        match tile.outputs {
            3 => interpolate::<S, ROWS, 3>(tile, products),
            4 => interpolate::<S, ROWS, 4>(tile, products),
            5 => interpolate::<S, ROWS, 5>(tile, products),
            6 => interpolate::<S, ROWS, 6>(tile, products),
            outputs => unreachable!("groups of {outputs} outputs"),
        }
    }
}

/// Output q is the sum of each point's product times the point's power q; ∞ counts in the last only.
#[inline(always)]
unsafe fn interpolate<S: Simd, const ROWS: usize, const OUTPUTS: usize>(
    tile: &FilteredTile,
    products: &[[[S; VECTORS]; ROWS]; POINTS],
) {
    assert!(tile.finish.bias.len() >= VECTORS * S::LANES);
    for r in 0..ROWS {
        for v in 0..VECTORS {
            // SAFETY: `bias` is as long as was just checked; the rest the caller vouches for.
            unsafe {
                let bias = S::load(tile.finish.bias.as_ptr().add(v * S::LANES));
                let mut at = [bias; POINTS];
                for (at, products) in at.iter_mut().zip(products) {
                    *at = products[r][v];
                }
                let outputs = from_points::<S, OUTPUTS>(at, bias);
                for (q, output) in outputs.iter().enumerate() {
                    if r * OUTPUTS + q < tile.samples {
                        let to = tile.y.start.add((r * OUTPUTS + q) * tile.y.row + v * S::LANES);
                        finished(*output, tile.finish.relu).store(to);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn from_points<S: Simd, const OUTPUTS: usize>(at: [S; POINTS], bias: S) -> [S; OUTPUTS] {
    // SAFETY: as the caller vouches.
    unsafe {
        let even = [at[1].plus(at[2]), at[3].plus(at[4]), at[5].plus(at[6])];
        let odd = [at[1].minus(at[2]), at[3].minus(at[4]), at[5].minus(at[6])];
        let mut outputs = [bias; OUTPUTS];
        for (q, output) in outputs.iter_mut().enumerate() {
            let [one, two, half] = if q % 2 == 0 { even } else { odd };
            let two_to_q = (1u32 << q) as f32;
            *output = times(half, 1.0 / two_to_q, times(two, two_to_q, one.plus(bias)));
        }
        outputs[0] = outputs[0].plus(at[0]);
        outputs[OUTPUTS - 1] = outputs[OUTPUTS - 1].plus(at[POINTS - 1]);
        outputs
    }
}
