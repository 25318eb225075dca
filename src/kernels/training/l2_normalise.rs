//! Scales rows to length 1, and the gradient.
//!
//! The gradient of ŷ = x/‖x‖ is dx = (dy − ŷ·(ŷ·dy))/‖x‖. The norm is at least [`SMALLEST_NORM`], PyTorch's lower bound.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{first, shader};

/// The smallest divisor of a row.
pub const SMALLEST_NORM: f64 = 1e-12;

pub(super) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt().max(SMALLEST_NORM)
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Computes `y[r] = x[r] / ‖x[r]‖`.
///
/// Reads x `[rows, features]`; writes y with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct L2Normalise {
    /// Rows.
    pub rows: usize,
    /// Numbers per row.
    pub features: usize,
}

impl Operation for L2Normalise {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Activation([self.rows, self.features, 1]);
        Some(Extents::new([x], x))
    }

    fn describe(&self) -> String {
        "L2 normalise".into()
    }

    fn floating_point_operations(&self) -> u64 {
        3 * self.rows as u64 * self.features as u64
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives a normalisation one read") };
        for (x, y) in x.chunks(self.features).zip(y.chunks_mut(self.features)) {
            let norm = norm(x);
            x.iter().zip(y).for_each(|(x, y)| *y = x / norm);
        }
    }
}

impl GpuOperation for L2Normalise {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, y] = layouts else { unreachable!("the plan gives a normalisation one read") };
        // Mirror of `struct L2Normalise` in the shader.
        let parameters = [self.features, first(*x), x.pitch, y.base_offset, y.pitch, y.offset];
        let shader = shader!("l2_normalise", [("SMALLEST_NORM", SMALLEST_NORM)]);
        vec![Variant::plain(shader, parameters, [self.rows, 1, 1])]
    }
}

/// Computes the gradient with respect to x.
///
/// Reads x and dy; writes dx, all `[rows, features]`.
#[derive(Debug, Clone, PartialEq)]
pub struct L2NormaliseGradient {
    /// Rows.
    pub rows: usize,
    /// Numbers per row.
    pub features: usize,
}

impl Operation for L2NormaliseGradient {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Activation([self.rows, self.features, 1]);
        Some(Extents::new([x, x], x))
    }

    fn describe(&self) -> String {
        "L2 normalise gradient".into()
    }

    fn floating_point_operations(&self) -> u64 {
        8 * self.rows as u64 * self.features as u64
    }

    fn reference(&self, reads: &[&[f64]], dx: &mut [f64]) {
        let [x, dy] = reads else { unreachable!("the plan gives a normalisation's gradient two reads") };
        for r in 0..self.rows {
            let row = r * self.features..(r + 1) * self.features;
            let (x, dy) = (&x[row.clone()], &dy[row.clone()]);
            let norm = norm(x);
            let along = dot(x, dy) / (norm * norm);
            for (i, dx) in dx[row].iter_mut().enumerate() {
                *dx = (dy[i] - x[i] * along) / norm;
            }
        }
    }
}

impl GpuOperation for L2NormaliseGradient {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, dy, dx] = layouts else { unreachable!("the plan gives a normalisation's gradient two reads") };
        // Mirror of `struct L2NormaliseGradient` in the shader.
        let parameters = [self.features, first(*x), x.pitch, first(*dy), dy.pitch, dx.base_offset, dx.pitch, dx.offset];
        let shader = shader!("l2_normalise_gradient", [("SMALLEST_NORM", SMALLEST_NORM)]);
        vec![Variant::plain(shader, parameters, [self.rows, 1, 1])]
    }
}
