//! Running sums of a whole set of parameters or gradients.

use super::{NO_CONSTANTS, Schedule, WORKGROUP, first, line, shader};
use crate::kernels::{Accelerator, Operation, Row, Variant};

/// Mirror of `struct MovingAverage` and `struct Accumulate` in the shaders.
fn parameters(length: usize, rows: &[Row]) -> [usize; 4] {
    let [x, schedule, y] = rows else { unreachable!("the plan gives a running sum two reads") };
    [length, first(*x), first(*schedule), first(*y)]
}

fn grid(length: usize) -> [usize; 3] {
    line(length.div_ceil(WORKGROUP))
}

/// `target ← momentum·target + (1 − momentum)·x`: BYOL's target network. The momentum stands in the schedule.
///
/// Reads x `[length]`, the schedule; changes target `[length]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MovingAverage {
    /// Numbers.
    pub length: usize,
}

impl Operation for MovingAverage {
    fn variants(&self, rows: &[Row], _: &Accelerator) -> Vec<Variant> {
        vec![Variant::plain(shader!("moving_average", NO_CONSTANTS), parameters(self.length, rows), grid(self.length))]
    }

    fn floating_point_operations(&self) -> usize {
        3 * self.length
    }

    fn describe(&self) -> String {
        "moving average".into()
    }

    fn reference(&self, reads: &[&[f64]], target: &mut [f64]) {
        let [x, schedule] = reads else { unreachable!("the plan gives a moving average two reads") };
        let momentum = schedule[Schedule::TARGET_MOMENTUM];
        for i in 0..self.length {
            target[i] = momentum * target[i] + (1.0 - momentum) * x[i];
        }
    }
}

/// `sum ← kept·sum + share·x`: the gradient of a batch that passes in parts. Both factors stand in the schedule.
///
/// Reads x `[length]`, the schedule; changes sum `[length]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Accumulate {
    /// Numbers.
    pub length: usize,
}

impl Operation for Accumulate {
    fn variants(&self, rows: &[Row], _: &Accelerator) -> Vec<Variant> {
        vec![Variant::plain(shader!("accumulate", NO_CONSTANTS), parameters(self.length, rows), grid(self.length))]
    }

    fn floating_point_operations(&self) -> usize {
        3 * self.length
    }

    fn describe(&self) -> String {
        "accumulate".into()
    }

    fn reference(&self, reads: &[&[f64]], sum: &mut [f64]) {
        let [x, schedule] = reads else { unreachable!("the plan gives an accumulation two reads") };
        let [kept, share] = [0, 1].map(|factor| schedule[Schedule::ACCUMULATE + factor]);
        for i in 0..self.length {
            // What 0 is kept of is forgotten, whatever it was.
            sum[i] = if kept == 0.0 { 0.0 } else { kept * sum[i] } + share * x[i];
        }
    }
}
