//! The first half of a norm: the sum of squares of each stretch, in a fixed order.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{NO_CONSTANTS, first, shader};

/// Computes `y[s] = Σ x[i]²` over stretch s of [`SquaredSums::STRETCHES`] equally long stretches.
///
/// Reads x `[length]`; writes `[STRETCHES]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SquaredSums {
    /// Numbers of x.
    pub length: usize,
}

impl SquaredSums {
    /// The number of sums: few enough that every reader can add them up again.
    pub const STRETCHES: usize = 256;
}

impl Operation for SquaredSums {
    fn extents(&self) -> Option<Extents> {
        Some(Extents::new([Extent::Numbers(self.length)], Extent::Numbers(Self::STRETCHES)))
    }

    fn describe(&self) -> String {
        "sums of squares".into()
    }

    fn floating_point_operations(&self) -> u64 {
        2 * self.length as u64
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives sums of squares one read") };
        let stretch = self.length.div_ceil(Self::STRETCHES);
        for (s, y) in y.iter_mut().enumerate() {
            let x = &x[(s * stretch).min(self.length)..((s + 1) * stretch).min(self.length)];
            *y = x.iter().map(|x| x * x).sum();
        }
    }
}

impl GpuOperation for SquaredSums {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, y] = layouts else { unreachable!("the plan gives sums of squares one read") };
        let stretch = self.length.div_ceil(Self::STRETCHES);
        // Mirror of `struct SquaredSums` in the shader.
        let parameters = [self.length, stretch, Self::STRETCHES, first(*x), y.base_offset, y.pitch, y.offset];
        vec![Variant::plain(shader!("squared_sums", NO_CONSTANTS), parameters, [Self::STRETCHES, 1, 1])]
    }
}
