//! The filter transform of a Winograd convolution: evaluates a panel's filters at the points and packs them.
//!
//! It is most of what a first forward pass costs, so it runs with the vectors of the instruction set: 6 million
//! instructions with AVX2 for network 542k, where a plain loop took 22.

use super::{
    packing::{Filters, Packing, PanelJob},
    transpose::transpose,
    winograd::{FINITE_POINTS, POINTS},
};

/// The filters that are evaluated together: one vector of the widest kind in f64. Every panel is a multiple of it.
const BLOCK: usize = 8;

/// The factors of the interpolation: for each finite point, one over the product of its distances from the other finite
/// points.
const FACTORS: [f64; POINTS - 1] = {
    let mut factors = [1.0; POINTS - 1];
    let mut pair = 0;
    while pair < factors.len() * factors.len() {
        let (i, j) = (pair / factors.len(), pair % factors.len());
        if i != j {
            factors[i] /= FINITE_POINTS[i] - FINITE_POINTS[j];
        }
        pair += 1;
    }
    factors
};

/// Evaluates a block of filters of at most 6 taps at the points, and multiplies each value by the point's factor.
///
/// At the two points of a pair ±, even powers are equal and odd powers have opposite signs. The two factors are equal,
/// because each is a product of six distances.
#[inline(always)]
fn evaluate<const TAPS: usize>(taps: &[[f64; BLOCK]; TAPS]) -> [[f64; BLOCK]; POINTS] {
    let mut values = [taps[TAPS - 1]; POINTS];
    values[0] = taps[0].map(|tap| tap * FACTORS[0]);
    for point in [1, 3, 5] {
        // Horner's rule in the square of the point, for the even and for the odd taps.
        let square = FINITE_POINTS[point] * FINITE_POINTS[point];
        let mut sums = [[0.0; BLOCK]; 2];
        for (tap, taps) in taps.iter().enumerate().rev() {
            sums[tap % 2].iter_mut().zip(taps).for_each(|(sum, tap)| *sum = *sum * square + tap);
        }
        for lane in 0..BLOCK {
            let [even, odd] = [sums[0][lane] * FACTORS[point], sums[1][lane] * (FINITE_POINTS[point] * FACTORS[point])];
            (values[point][lane], values[point + 1][lane]) = (even + odd, even - odd);
        }
    }
    values
}

/// Packs a panel of a Winograd convolution. It is inlined into a function that enables an instruction set, so that the
/// compiler makes vectors of a block's arrays.
///
/// # Safety
/// `to` has room for the panel, and no other thread accesses it.
#[inline(always)]
pub(crate) unsafe fn transform_filters(job: &PanelJob) {
    // SAFETY: the caller guarantees the same.
    unsafe {
        match job.packing.filters {
            Some(Filters { count, taps: 3 }) => filters_of_taps::<3>(job, count),
            Some(Filters { count, taps: 4 }) => filters_of_taps::<4>(job, count),
            Some(Filters { count, taps: 5 }) => filters_of_taps::<5>(job, count),
            Some(Filters { count, taps: 6 }) => filters_of_taps::<6>(job, count),
            other => unreachable!("a filter transform of {other:?}"),
        }
    }
}

#[inline(always)]
unsafe fn filters_of_taps<const TAPS: usize>(job: &PanelJob, filters: usize) {
    let &PanelJob { packing, panel, weight, to } = job;
    let Packing { shape: [out_channels, in_channels, kernel], stride, pitch, .. } = *packing;
    let (panel, first, depth) = (packing.panel, panel * packing.panel, packing.depth());
    let (len, depth_at_infinity) = (in_channels * kernel, packing.depth_at_infinity());
    // One row for each tap of each channel, and a last row of zeros for taps beyond the kernel.
    let mut rows = vec![[0.0f32; BLOCK]; len + 1];
    for block in (0..panel.min(out_channels - first)).step_by(BLOCK) {
        let channels = BLOCK.min(out_channels - first - block);
        if channels < BLOCK {
            rows.fill([0.0; BLOCK]);
        }
        transpose(&weight[(first + block) * len..][..channels * len], len, 0..len, rows.as_flattened_mut(), BLOCK);
        for (filter, phase) in (0..filters).flat_map(|filter| (0..stride).map(move |phase| (filter, phase))) {
            for c in 0..in_channels {
                let taps: [[f64; BLOCK]; TAPS] = std::array::from_fn(|tap| {
                    let k = (filter * TAPS + tap) * stride + phase;
                    rows[if k < kernel { c * kernel + k } else { len }].map(f64::from)
                });
                let row = (filter * stride + phase) * pitch + c;
                for (point, values) in evaluate(&taps).iter().enumerate() {
                    if point == POINTS - 1 && row >= depth_at_infinity {
                        continue;
                    }
                    // SAFETY: the point's row is within the panel's size, and blocks divide the panel's channels.
                    unsafe {
                        let to = to.add((point * depth + row) * panel + block);
                        to.cast::<[f32; BLOCK]>().write_unaligned(values.map(|value| value as f32));
                    }
                }
            }
        }
    }
}
