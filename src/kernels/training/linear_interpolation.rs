//! Interpolates between a state and new numbers: BYOL's target network and the exponential moving average of the parameters
//! follow the network that learns, and the gradients of a batch that is computed in parts are added up.

use super::{Schedule, WORKGROUP, first, line, shader};
use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

/// Computes `state ← kept·state + share·x` with two factors of the schedule. If kept is 0, the old state has no effect, even if
/// it is not finite.
///
/// Reads x `[length]` and the schedule; changes state `[length]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearInterpolation {
    /// The length.
    pub length: usize,
    /// The index of kept in the schedule, which share follows: [`super::Schedule::TARGET`],
    /// [`super::Schedule::ACCUMULATE`] or [`super::Schedule::AVERAGE`].
    pub factors: usize,
}

impl Operation for LinearInterpolation {
    fn extents(&self) -> Option<Extents> {
        let state = Extent::Numbers(self.length);
        let possible = self.factors < Schedule::LEN - 1;
        possible.then(|| Extents::new([state, Extent::Numbers(Schedule::LEN)], state))
    }

    fn describe(&self) -> String {
        "linear interpolation".into()
    }

    fn floating_point_operations(&self) -> u64 {
        3 * self.length as u64
    }

    fn reference(&self, reads: &[&[f64]], state: &mut [f64]) {
        let [x, schedule] = reads else { unreachable!("the plan gives a linear interpolation two reads") };
        let [kept, share] = [0, 1].map(|factor| schedule[self.factors + factor]);
        for i in 0..self.length {
            state[i] = if kept == 0.0 { 0.0 } else { kept * state[i] } + share * x[i];
        }
    }
}

impl GpuOperation for LinearInterpolation {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, schedule, state] = layouts else { unreachable!("the plan gives a linear interpolation two reads") };
        // Mirror of `struct LinearInterpolation` in the shader.
        let parameters = [self.length, first(*x), first(*schedule) + self.factors, first(*state)];
        let grid = line(self.length.div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("linear_interpolation", super::NO_CONSTANTS), parameters, grid)]
    }
}
