//! The gradient of a global average pool.

use crate::kernels::Operation;

/// `dx[b, c, t] = dy[b, c] / samples`.
///
/// Reads dy `[batch, channels]`; writes dx `[batch, channels, samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalAveragePoolGradient {
    /// Rows: records times channels.
    pub rows: usize,
    /// Samples of each channel.
    pub samples: usize,
}

impl Operation for GlobalAveragePoolGradient {
    fn floating_point_operations(&self) -> usize {
        self.rows
    }

    fn describe(&self) -> String {
        "global average pool gradient".into()
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
