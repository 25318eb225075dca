//! Reorders numbers: weights for a gradient, and weights in the packing of a shader.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{NO_CONSTANTS, WORKGROUP, first, line, shader};

/// Computes `y[i] = x[order[i] − 1]`, and 0 where `order[i]` is 0.
///
/// Reads x and order, whole numbers in f32 below 2²⁴; writes y with the length of order.
#[derive(Debug, Clone, PartialEq)]
pub struct Gather {
    /// Numbers of x.
    pub from: usize,
    /// Numbers of y.
    pub length: usize,
}

impl Operation for Gather {
    fn extents(&self) -> Option<Extents> {
        let [x, y] = [self.from, self.length].map(Extent::Numbers);
        Some(Extents::new([x, y], y))
    }

    fn describe(&self) -> String {
        format!("gather {}", self.length)
    }

    fn floating_point_operations(&self) -> u64 {
        0
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x, order] = reads else { unreachable!("the plan gives a gather two reads") };
        for i in 0..self.length {
            let place = order[i] as usize;
            y[i] = if place == 0 { 0.0 } else { x[place - 1] };
        }
    }
}

impl GpuOperation for Gather {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, order, y] = layouts else { unreachable!("the plan gives a gather two reads") };
        // Mirror of `struct Gather` in the shader.
        let parameters = [self.length, first(*x), first(*order), y.base_offset, y.pitch, y.offset];
        vec![Variant::plain(shader!("gather", NO_CONSTANTS), parameters, line(y.pitch.div_ceil(WORKGROUP)))]
    }
}
