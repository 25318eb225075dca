//! Time warping: changes the heart rate. Time runs faster or slower around a random sample.

use super::{Draws, draws};
use crate::kernels::{
    Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant,
    training::{NO_CONSTANTS, WORKGROUP, by_rows, first, line, shader},
};

/// Computes `y[t] = x(anchor + (t − anchor)·factor)`, interpolated by Catmull and Rom's cubic (1974). A straight line would
/// attenuate 20 Hz in a record of 100 Hz by a fifth, half a sample from the samples. A record is continued beyond its ends by
/// its mirror image.
///
/// Reads x `[rows, leads, samples]`, draws `[rows, 1, Draws::LEN]`; writes y with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeWarp {
    /// Rows: views × records.
    pub rows: usize,
    /// Leads.
    pub leads: usize,
    /// Samples per lead.
    pub samples: usize,
}

impl TimeWarp {
    /// Computes sample t of a lead.
    fn sample(&self, x: &[f64], draws: &Draws, t: usize) -> f64 {
        let last = (self.samples - 1) as f64;
        let moved = (draws.anchor + (t as f64 - draws.anchor) * draws.factor).abs();
        let position = if moved > last { 2.0 * last - moved } else { moved };
        let at = position as usize;
        let x = |at: usize| x[at.min(self.samples - 1)];
        catmull_rom([x(at.saturating_sub(1)), x(at), x(at + 1), x(at + 2)], position - at as f64)
    }
}

/// Interpolates between b and c.
fn catmull_rom([a, b, c, d]: [f64; 4], f: f64) -> f64 {
    b + 0.5 * f * (c - a + f * (2.0 * a - 5.0 * b + 4.0 * c - d + f * (3.0 * (b - c) + d - a)))
}

impl Operation for TimeWarp {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Activation([self.rows, self.leads, self.samples]);
        Some(Extents::new([x, draws(self.rows)], x))
    }

    fn describe(&self) -> String {
        format!("time warp of {} leads", self.leads)
    }

    fn floating_point_operations(&self) -> u64 {
        20 * self.rows as u64 * self.leads as u64 * self.samples as u64
    }

    fn independent_rows(&self) -> usize {
        self.rows
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        by_rows(self, reads, y);
    }

    fn reference_row(&self, reads: &[&[f64]], row: usize, y: &mut [f64]) {
        let [x, draws] = reads else { unreachable!("the plan gives a time warp two reads") };
        let draws = Draws::of(draws, row);
        for lead in 0..self.leads {
            let x = &x[(row * self.leads + lead) * self.samples..][..self.samples];
            for t in 0..self.samples {
                let warped = || self.sample(x, &draws, t);
                y[lead * self.samples + t] = if draws.factor == 1.0 { x[t] } else { warped() };
            }
        }
    }
}

impl GpuOperation for TimeWarp {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, draws, y] = layouts else { unreachable!("the plan gives a time warp two reads") };
        let read = [first(*x), x.pitch, first(*draws), draws.pitch];
        // Mirror of `struct TimeWarp` in the shader.
        let parameters =
            [[self.rows, self.leads, self.samples].as_slice(), &read, &[y.base_offset, y.pitch, y.offset]].concat();
        let grid = line((self.rows * self.leads * y.pitch).div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("augment/time_warp", NO_CONSTANTS), parameters, grid)]
    }
}
