//! The Winograd (Toom–Cook) convolution F(outputs, taps): a filter of `taps` taps makes `outputs` outputs from eight
//! multiplications, where taps + outputs = 9. Eight inputs and the outputs made from them are called a group.
//!
//! The inputs and the filter are polynomials that are evaluated at the points 0, ±1, ±2, ±1/2 and ∞. Their products at the
//! points determine the outputs. Transforming a group's inputs or outputs takes about 25 additions, but every transformed
//! number is used for every channel of the other side, so the eight matrix products dominate.
//!
//! Every filter uses eight points, so that one input transform serves all filters. Six and ten points were rejected: see
//! `docs/measurements/cpu-convolution.md`.

use super::{
    simd::Simd,
    tile::{Epilogue, OutputRows, VECTORS, activate, product, with_rows},
};

/// The multiplications for one group of outputs.
pub(crate) const POINTS: usize = 8;

/// Every point except the last, ∞. The points of a pair ± share work in the transforms.
pub(crate) const FINITE_POINTS: [f64; POINTS - 1] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

/// The inputs of some groups, to be transformed.
pub(crate) struct InputTransform<'a> {
    /// The groups, each of eight input rows. A group becomes one row of a tile.
    pub(crate) groups: usize,
    /// The numbers of an input row. Up to one vector more is read and written.
    pub(crate) columns: usize,
    /// The input rows.
    pub(crate) x: &'a [f32],
    /// The numbers from one input row to the next.
    pub(crate) row_pitch: usize,
    /// The numbers from the first input row of one group to that of the next.
    pub(crate) group_pitch: usize,
    /// Where the transformed input is written.
    pub(crate) to: *mut f32,
    /// The numbers from one group's transformed input to the next group's.
    pub(crate) to_group_pitch: usize,
    /// The numbers from one point's transformed input to the next point's.
    pub(crate) to_point_pitch: usize,
}

/// Transforms the inputs of some groups.
///
/// # Safety
/// The processor has the instructions of `S`. `to` has room for the result, and no other thread accesses it.
#[inline(always)]
pub(crate) unsafe fn transform_input<S: Simd>(job: &InputTransform) {
    let columns = job.columns.next_multiple_of(S::LANES);
    assert!(job.x.len() >= (job.groups - 1) * job.group_pitch + (POINTS - 1) * job.row_pitch + columns);
    for group in 0..job.groups {
        for column in (0..columns).step_by(S::LANES) {
            // SAFETY: the length of `x` was just checked; the caller guarantees the rest.
            unsafe {
                let from = job.x.as_ptr().add(group * job.group_pitch + column);
                let to = job.to.add(group * job.to_group_pitch + column);
                let mut x = [S::splat(0.0); POINTS];
                for (i, x) in x.iter_mut().enumerate() {
                    *x = S::load(from.add(i * job.row_pitch));
                }
                for (point, value) in evaluate(x).iter().enumerate() {
                    value.store(to.add(point * job.to_point_pitch));
                }
            }
        }
    }
}

/// Computes `a · factor + addend`.
///
/// # Safety
/// The processor has the instructions of `S`.
#[inline(always)]
unsafe fn scale_add<S: Simd>(a: S, factor: f32, addend: S) -> S {
    // SAFETY: the caller guarantees the instructions.
    unsafe { a.mul_add(S::splat(factor), addend) }
}

/// Evaluates eight inputs at the points. The transform's row of a point is the product of (x − p) over the other finite
/// points p, and the row of ∞ is the product over all of them.
#[inline(always)]
unsafe fn evaluate<S: Simd>(x: [S; POINTS]) -> [S; POINTS] {
    // SAFETY: the caller guarantees the instructions.
    unsafe {
        let zero = scale_add(x[2].sub(x[4]), 5.25, x[6].sub(x[0]));
        let infinity = scale_add(x[3].sub(x[5]), 5.25, x[7].sub(x[1]));
        let one = [scale_add(x[4], -4.25, x[2].add(x[6])), scale_add(x[3], -4.25, x[1].add(x[5]))];
        let two =
            [scale_add(x[2], 0.25, scale_add(x[4], -1.25, x[6])), scale_add(x[1], 0.25, scale_add(x[3], -1.25, x[5]))];
        let half =
            [scale_add(x[2], 4.0, scale_add(x[4], -5.0, x[6])), scale_add(x[1], 4.0, scale_add(x[3], -5.0, x[5]))];
        let [one_plus, one_minus] = [one[0].add(one[1]), one[0].sub(one[1])];
        let [two_plus, two_minus] = [scale_add(two[1], 2.0, two[0]), scale_add(two[1], -2.0, two[0])];
        let [half_plus, half_minus] = [scale_add(half[1], 0.5, half[0]), scale_add(half[1], -0.5, half[0])];
        [zero, one_plus, one_minus, two_plus, two_minus, half_plus, half_minus, infinity]
    }
}

/// A tile of a Winograd convolution: one product of transformed input and weights per point, then the output transform.
pub(crate) struct WinogradTile<'a> {
    /// The groups of outputs.
    pub(crate) rows: usize,
    /// The products of one output.
    pub(crate) depth: usize,
    /// The part of the depth in which the filters have a last tap: only this part counts at ∞.
    pub(crate) depth_at_infinity: usize,
    /// What [`transform_input`] has written, from the tile's first group on.
    pub(crate) input: &'a [f32],
    /// The numbers from one group to the next in `input`.
    pub(crate) group_pitch: usize,
    /// The numbers from one point to the next in `input`.
    pub(crate) point_pitch: usize,
    /// `[points, depth, channels of the tile]`; at ∞ only the depth that counts.
    pub(crate) weight: &'a [f32],
    /// Bias and ReLU.
    pub(crate) epilogue: Epilogue<'a>,
    /// The outputs of a group: 3, 4, 5 or 6.
    pub(crate) outputs: usize,
    /// The output.
    pub(crate) y: OutputRows,
    /// The output positions that may be written, from the tile's first one on.
    pub(crate) samples: usize,
}

/// Computes a tile of a Winograd convolution.
///
/// # Safety
/// The processor has the instructions of `S`. `y` has room for the tile's samples, and no other thread accesses it.
#[inline(always)]
pub(crate) unsafe fn winograd<S: Simd>(tile: &WinogradTile) {
    // SAFETY: the caller guarantees the same.
    unsafe { with_rows!(S, tile.rows, winograd_rows(tile)) }
}

#[inline(always)]
unsafe fn winograd_rows<S: Simd, const ROWS: usize>(tile: &WinogradTile) {
    let size = tile.depth * VECTORS * S::LANES;
    // SAFETY: `product` and `transform_output` check the lengths; the caller guarantees the rest.
    unsafe {
        let mut products = [const { std::mem::MaybeUninit::<[[S; VECTORS]; ROWS]>::uninit() }; POINTS];
        for (point, sums) in products.iter_mut().enumerate() {
            let input = &tile.input[point * tile.point_pitch..];
            let depth = if point < POINTS - 1 { tile.depth } else { tile.depth_at_infinity };
            sums.write(product::<S, ROWS>(input, tile.group_pitch, &tile.weight[point * size..], depth));
        }
        // The sums of every point have just been written.
        let products = &*products.as_ptr().cast::<[[[S; VECTORS]; ROWS]; POINTS]>();
        match tile.outputs {
            3 => transform_output::<S, ROWS, 3>(tile, products),
            4 => transform_output::<S, ROWS, 4>(tile, products),
            5 => transform_output::<S, ROWS, 5>(tile, products),
            6 => transform_output::<S, ROWS, 6>(tile, products),
            outputs => unreachable!("groups of {outputs} outputs"),
        }
    }
}

/// Interpolates the outputs of a tile from the products at the points, and writes them.
#[inline(always)]
unsafe fn transform_output<S: Simd, const ROWS: usize, const OUTPUTS: usize>(
    tile: &WinogradTile,
    products: &[[[S; VECTORS]; ROWS]; POINTS],
) {
    assert!(tile.epilogue.bias.len() >= VECTORS * S::LANES);
    for r in 0..ROWS {
        for v in 0..VECTORS {
            // SAFETY: the length of the bias was just checked; the caller guarantees the rest.
            unsafe {
                let bias = S::load(tile.epilogue.bias.as_ptr().add(v * S::LANES));
                let mut at = [bias; POINTS];
                for (at, products) in at.iter_mut().zip(products) {
                    *at = products[r][v];
                }
                let outputs = interpolate::<S, OUTPUTS>(at, bias);
                for (q, output) in outputs.iter().enumerate() {
                    if r * OUTPUTS + q < tile.samples {
                        let to = tile.y.start.add((r * OUTPUTS + q) * tile.y.pitch + v * S::LANES);
                        activate(*output, tile.epilogue.relu).store(to);
                    }
                }
            }
        }
    }
}

/// Computes output q: the sum over the points of the product times the point's power q. The point ∞ counts in the last
/// output only.
#[inline(always)]
unsafe fn interpolate<S: Simd, const OUTPUTS: usize>(at: [S; POINTS], bias: S) -> [S; OUTPUTS] {
    // SAFETY: the caller guarantees the instructions.
    unsafe {
        let even = [at[1].add(at[2]), at[3].add(at[4]), at[5].add(at[6])];
        let odd = [at[1].sub(at[2]), at[3].sub(at[4]), at[5].sub(at[6])];
        let mut outputs = [bias; OUTPUTS];
        for (q, output) in outputs.iter_mut().enumerate() {
            let [one, two, half] = if q % 2 == 0 { even } else { odd };
            let two_to_q = (1u32 << q) as f32;
            *output = scale_add(half, 1.0 / two_to_q, scale_add(two, two_to_q, one.add(bias)));
        }
        outputs[0] = outputs[0].add(at[0]);
        outputs[OUTPUTS - 1] = outputs[OUTPUTS - 1].add(at[POINTS - 1]);
        outputs
    }
}
