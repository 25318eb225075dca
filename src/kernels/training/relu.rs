//! ReLU that is not part of a batch norm or a convolution, and its gradient.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{NO_CONSTANTS, WORKGROUP, equal_and_aligned, line, shader};

/// Computes `y = max(0, x)` for each number.
///
/// Reads x `[batch, channels, samples]`; writes y with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct Relu {
    /// Rows: records × channels.
    pub rows: usize,
    /// Samples per row.
    pub samples: usize,
}

impl Operation for Relu {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Rows(self.rows, self.samples);
        Some(Extents::new([x], x))
    }

    fn describe(&self) -> String {
        "ReLU".into()
    }

    fn floating_point_operations(&self) -> u64 {
        self.rows as u64 * self.samples as u64
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives a ReLU one read") };
        for i in 0..self.rows * self.samples {
            y[i] = x[i].max(0.0);
        }
    }
}

impl GpuOperation for Relu {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let shader = shader!("relu", NO_CONSTANTS);
        over_vec4s(self.rows, layouts).map(|(sizes, grid)| Variant::plain(shader, sizes, grid)).into_iter().collect()
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// Computes `dx = dy` where x > 0, else 0. At x = 0 it is 0, as in PyTorch.
///
/// Reads x and dy; writes dx, all `[batch, channels, samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReluGradient {
    /// Rows: records × channels.
    pub rows: usize,
    /// Samples per row.
    pub samples: usize,
}

impl Operation for ReluGradient {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Rows(self.rows, self.samples);
        Some(Extents::new([x, x], x))
    }

    fn describe(&self) -> String {
        "ReLU gradient".into()
    }

    fn floating_point_operations(&self) -> u64 {
        self.rows as u64 * self.samples as u64
    }

    fn reference(&self, reads: &[&[f64]], dx: &mut [f64]) {
        let [x, dy] = reads else { unreachable!("the plan gives a ReLU gradient two reads") };
        for i in 0..self.rows * self.samples {
            dx[i] = if x[i] > 0.0 { dy[i] } else { 0.0 };
        }
    }
}

impl GpuOperation for ReluGradient {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let shader = shader!("relu_gradient", NO_CONSTANTS);
        over_vec4s(self.rows, layouts).map(|(sizes, grid)| Variant::plain(shader, sizes, grid)).into_iter().collect()
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// Mirror of `struct Relu` in the shaders, and the grid. None if the layouts differ.
fn over_vec4s(rows: usize, layouts: &[RowLayout]) -> Option<([usize; 2], [usize; 3])> {
    let (head, length) = (layouts[0].base_offset / 4, rows * layouts[0].pitch / 4);
    equal_and_aligned(layouts).then(|| ([head, length], line(length.div_ceil(WORKGROUP))))
}
