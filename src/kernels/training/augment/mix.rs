//! Mixes two records: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) along time.

use super::{Draws, draws};
use crate::kernels::{
    Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant,
    training::{NO_CONSTANTS, WORKGROUP, by_rows, first, line, shader},
};

/// Computes `y = (1 − share)·x + share·x[partner]`, and `x[cut_partner]` inside the segment.
///
/// Reads x `[rows, leads, samples]`, draws `[rows, 1, Draws::LEN]`; writes y with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// Rows: views × records.
    pub rows: usize,
    /// Leads.
    pub leads: usize,
    /// Samples per lead.
    pub samples: usize,
}

impl Operation for Mix {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Activation([self.rows, self.leads, self.samples]);
        Some(Extents::new([x, draws(self.rows)], x))
    }

    fn describe(&self) -> String {
        "mixup and CutMix".into()
    }

    fn floating_point_operations(&self) -> u64 {
        3 * self.rows as u64 * self.leads as u64 * self.samples as u64
    }

    fn independent_rows(&self) -> usize {
        self.rows
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        by_rows(self, reads, y);
    }

    fn reference_row(&self, reads: &[&[f64]], row: usize, y: &mut [f64]) {
        let [x, draws] = reads else { unreachable!("the plan gives a mixture two reads") };
        let Draws { share, partner, cut, cut_partner, .. } = Draws::of(draws, row);
        for lead in 0..self.leads {
            let x = |row: usize, t: usize| x[(row * self.leads + lead) * self.samples + t];
            for t in 0..self.samples {
                let own = x(row, t);
                y[lead * self.samples + t] = if cut.contains(t) {
                    x(cut_partner, t)
                } else if share > 0.0 {
                    own + share * (x(partner, t) - own)
                } else {
                    own
                };
            }
        }
    }
}

impl GpuOperation for Mix {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, draws, y] = layouts else { unreachable!("the plan gives a mixture two reads") };
        let read = [first(*x), x.pitch, first(*draws), draws.pitch];
        // Mirror of `struct Mix` in the shader.
        let parameters =
            [[self.rows, self.leads, self.samples].as_slice(), &read, &[y.base_offset, y.pitch, y.offset]].concat();
        let grid = line((self.rows * self.leads * y.pitch).div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("augment/mix", NO_CONSTANTS), parameters, grid)]
    }
}

/// Computes the labels of the records that [`Mix`] makes: the labels of each source record by its share of the samples, times
/// mixup's share.
///
/// Reads labels `[rows, classes, 1]`, draws `[rows, 1, Draws::LEN]`; writes y with the shape of the labels.
#[derive(Debug, Clone, PartialEq)]
pub struct MixLabels {
    /// Rows: views × records.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// Samples per lead.
    pub samples: usize,
}

impl Operation for MixLabels {
    fn extents(&self) -> Option<Extents> {
        let labels = Extent::Activation([self.rows, self.classes, 1]);
        Some(Extents::new([labels, draws(self.rows)], labels))
    }

    fn describe(&self) -> String {
        "mixed labels".into()
    }

    fn floating_point_operations(&self) -> u64 {
        6 * self.rows as u64 * self.classes as u64
    }

    fn reference(&self, reads: &[&[f64]], mixed: &mut [f64]) {
        let [labels, draws] = reads else { unreachable!("the plan gives mixed labels two reads") };
        for row in 0..self.rows {
            let Draws { share, partner, cut, cut_partner, .. } = Draws::of(draws, row);
            let replaced = cut.len as f64 / self.samples as f64;
            for class in 0..self.classes {
                let label = |row: usize| labels[row * self.classes + class];
                let kept = label(row) + share * (label(partner) - label(row));
                mixed[row * self.classes + class] = kept + replaced * (label(cut_partner) - kept);
            }
        }
    }
}

impl GpuOperation for MixLabels {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [labels, draws, y] = layouts else { unreachable!("the plan gives mixed labels two reads") };
        let read = [first(*labels), labels.pitch, first(*draws), draws.pitch];
        // Mirror of `struct MixLabels` in the shader.
        let sizes = [self.rows, self.classes, self.samples];
        let parameters = [sizes.as_slice(), &read, &[y.base_offset, y.pitch, y.offset]].concat();
        let grid = line((self.rows * self.classes * y.pitch).div_ceil(WORKGROUP));
        vec![Variant::plain(shader!("augment/mix_labels", NO_CONSTANTS), parameters, grid)]
    }
}
