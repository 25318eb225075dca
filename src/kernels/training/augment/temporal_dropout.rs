//! Temporal dropout: replaces a segment by the straight line between the samples before and after it, as a gap in the
//! transmission does.

use super::{Draws, draws};
use crate::kernels::{
    Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant,
    training::{NO_CONSTANTS, WORKGROUP, by_rows, first, line, shader},
};

/// Replaces the samples in each row's gap by a straight line, in every lead.
///
/// Reads x `[rows, leads, samples]`, draws `[rows, 1, Draws::LEN]`; writes y with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct TemporalDropout {
    /// Rows: views × records.
    pub rows: usize,
    /// Leads.
    pub leads: usize,
    /// Samples per lead.
    pub samples: usize,
}

impl Operation for TemporalDropout {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Activation([self.rows, self.leads, self.samples]);
        Some(Extents::new([x, draws(self.rows)], x))
    }

    fn describe(&self) -> String {
        "temporal dropout".into()
    }

    fn floating_point_operations(&self) -> u64 {
        4 * self.rows as u64 * self.leads as u64 * self.samples as u64
    }

    fn independent_rows(&self) -> usize {
        self.rows
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        by_rows(self, reads, y);
    }

    fn reference_row(&self, reads: &[&[f64]], row: usize, y: &mut [f64]) {
        let [x, draws] = reads else { unreachable!("the plan gives a temporal dropout two reads") };
        let gap = Draws::of(draws, row).gap;
        y.copy_from_slice(&x[row * y.len()..][..y.len()]);
        if gap.len == 0 {
            return;
        }
        for y in y.chunks_mut(self.samples) {
            let [before, after] = [y[gap.start - 1], y[gap.start + gap.len]];
            for (at, y) in y[gap.start..][..gap.len].iter_mut().enumerate() {
                *y = before + (after - before) * (at + 1) as f64 / (gap.len + 1) as f64;
            }
        }
    }
}

impl GpuOperation for TemporalDropout {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, draws, y] = layouts else { unreachable!("the plan gives a temporal dropout two reads") };
        let read = [first(*x), x.pitch, first(*draws), draws.pitch];
        // Mirror of `struct TemporalDropout` in the shader.
        let parameters =
            [[self.rows, self.leads, self.samples].as_slice(), &read, &[y.base_offset, y.pitch, y.offset]].concat();
        let grid = line((self.rows * self.leads * y.pitch).div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("augment/temporal_dropout", NO_CONSTANTS), parameters, grid)]
    }
}
