//! A whole set of numbers mixed into a state: BYOL's target network follows the one that learns, and the gradients of a
//! batch that passes in parts add up.

use super::{WORKGROUP, first, line, shader};
use crate::kernels::{Accelerator, GpuOperation, Operation, RowLayout, Variant};

/// `state ← kept·state + share·x`, where both factors stand in the schedule; with kept 0 the state is forgotten, whatever it
/// was.
///
/// Reads x `[length]`, the schedule; changes state `[length]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearInterpolation {
    /// Numbers.
    pub length: usize,
    /// Where in the schedule kept and share stand: [`super::Schedule::TARGET`] or [`super::Schedule::ACCUMULATE`].
    pub factors: usize,
}

impl Operation for LinearInterpolation {
    fn describe(&self) -> String {
        "linear_interpolation".into()
    }

    fn floating_point_operations(&self) -> usize {
        3 * self.length
    }

    fn reference(&self, reads: &[&[f64]], state: &mut [f64]) {
        let [x, schedule] = reads else { unreachable!("the plan gives a blend two reads") };
        let [kept, share] = [0, 1].map(|factor| schedule[self.factors + factor]);
        for i in 0..self.length {
            state[i] = if kept == 0.0 { 0.0 } else { kept * state[i] } + share * x[i];
        }
    }
}

impl GpuOperation for LinearInterpolation {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, schedule, state] = layouts else { unreachable!("the plan gives a blend two reads") };
        // Mirror of `struct LinearInterpolation` in the shader.
        let parameters = [self.length, first(*x), first(*schedule) + self.factors, first(*state)];
        let grid = line(self.length.div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("linear_interpolation", super::NO_CONSTANTS), parameters, grid)]
    }
}
