//! The gradient of a global average pool.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{NO_CONSTANTS, WORKGROUP, equal_and_aligned, first, line, shader};

/// Computes `dx[b, c, t] = dy[b, c] / samples`.
///
/// Reads dy `[batch, channels]`; writes dx `[batch, channels, samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalAveragePoolGradient {
    /// Rows: records × channels.
    pub rows: usize,
    /// Samples per channel.
    pub samples: usize,
}

impl Operation for GlobalAveragePoolGradient {
    fn extents(&self) -> Option<Extents> {
        let [dy, dx] = [1, self.samples].map(|samples| Extent::Rows(self.rows, samples));
        Some(Extents::new([dy], dx))
    }

    fn describe(&self) -> String {
        "global average pool gradient".into()
    }

    fn floating_point_operations(&self) -> u64 {
        self.rows as u64
    }

    fn reference(&self, reads: &[&[f64]], dx: &mut [f64]) {
        let [dy] = reads else { unreachable!("the plan gives a pool gradient one read") };
        for row in 0..self.rows {
            for t in 0..self.samples {
                dx[row * self.samples + t] = dy[row] / self.samples as f64;
            }
        }
    }
}

impl GpuOperation for GlobalAveragePoolGradient {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [dy, dx] = layouts else { unreachable!("the plan gives a pool gradient one read") };
        if !equal_and_aligned(&[*dx]) {
            return Vec::new();
        }
        // Mirror of `struct GlobalAveragePoolGradient` in the shader.
        let parameters = [self.rows, self.samples, first(*dy), dy.pitch, dx.base_offset, dx.pitch, dx.offset];
        let grid = line((self.rows * dx.pitch / 4).div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("global_average_pool_gradient", NO_CONSTANTS), parameters, grid)]
    }

    fn pitch_multiple(&self) -> usize {
        4
    }
}
