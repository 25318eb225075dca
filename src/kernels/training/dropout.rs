//! Dropout (Srivastava et al. 2014). It is its own gradient, because the same mask is drawn again.

use super::{Schedule, WORKGROUP, first, key, line, shader, with_philox};
use crate::{
    kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant},
    random::philox,
};

/// Computes `y = x / (1 − rate)` with probability 1 − rate, else 0. The mask depends only on seed, step and index.
///
/// Reads x (or dy), schedule; writes y (or dx).
#[derive(Debug, Clone, PartialEq)]
pub struct Dropout {
    /// Rows: records × channels.
    pub rows: usize,
    /// Samples per row.
    pub samples: usize,
    /// The share that becomes 0, in [0, 1).
    pub rate: f32,
    /// The seed of the mask.
    pub seed: u64,
}

impl Dropout {
    /// The random words below this threshold keep their number.
    pub(crate) fn threshold(&self) -> u32 {
        ((1.0 - f64::from(self.rate)) * 2f64.powi(32)).min(f64::from(u32::MAX)) as u32
    }
}

impl Operation for Dropout {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Rows(self.rows, self.samples);
        Some(Extents::new([x, Extent::Numbers(Schedule::LEN)], x))
    }

    fn describe(&self) -> String {
        format!("dropout {}", self.rate)
    }

    fn floating_point_operations(&self) -> u64 {
        self.rows as u64 * self.samples as u64
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x, schedule] = reads else { unreachable!("the plan gives a dropout two reads") };
        let (step, key) = (schedule[Schedule::STEP] as u32, key(self.seed));
        for i in 0..self.rows * self.samples {
            let word = philox([(i / 4) as u32, step, 0, 0], key)[i % 4];
            y[i] = if word < self.threshold() { x[i] / (1.0 - f64::from(self.rate)) } else { 0.0 };
        }
    }
}

impl GpuOperation for Dropout {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, schedule, y] = layouts else { unreachable!("the plan gives a dropout two reads") };
        // Mirror of `struct Dropout` in the shader.
        let parameters =
            [self.rows, self.samples, first(*x), x.pitch, first(*schedule), y.base_offset, y.pitch, y.offset];
        let constants = [("SCALE", 1.0 / (1.0 - f64::from(self.rate))), ("THRESHOLD", f64::from(self.threshold()))];
        let shader = with_philox(shader!("dropout", constants), self.seed);
        let grid = line((self.rows * y.pitch).div_ceil(WORKGROUP));
        vec![Variant::plain(shader, parameters, grid)]
    }
}
