//! Scales all leads of a record by one gain, and drops whole leads.

use super::{Draws, domain, draws, uniform};
use crate::{
    kernels::{
        Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant,
        training::{NO_CONSTANTS, Schedule, WORKGROUP, by_rows, first, key, line, shader, with_philox},
    },
    random::philox,
};

/// Multiplies each row by its gain, and replaces each lead by zeros with the row's probability of a dropped lead.
///
/// Reads x `[rows, leads, samples]`, draws `[rows, 1, Draws::LEN]` and the schedule; writes y with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaleLeads {
    /// Rows: views × records.
    pub rows: usize,
    /// Leads.
    pub leads: usize,
    /// Samples per lead.
    pub samples: usize,
    /// The seed of all random numbers.
    pub seed: u64,
}

impl Operation for ScaleLeads {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Activation([self.rows, self.leads, self.samples]);
        Some(Extents::new([x, draws(self.rows), Extent::Numbers(Schedule::LEN)], x))
    }

    fn describe(&self) -> String {
        "gain and lead dropout".into()
    }

    fn floating_point_operations(&self) -> u64 {
        self.rows as u64 * self.leads as u64 * self.samples as u64
    }

    fn independent_rows(&self) -> usize {
        self.rows
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        by_rows(self, reads, y);
    }

    fn reference_row(&self, reads: &[&[f64]], row: usize, y: &mut [f64]) {
        let [x, draws, schedule] = reads else { unreachable!("the plan gives gain and lead dropout three reads") };
        let Draws { gain, dropped_leads, .. } = Draws::of(draws, row);
        let step = schedule[Schedule::STEP] as u32;
        let x = &x[row * y.len()..][..y.len()];
        for (lead, (y, x)) in y.chunks_mut(self.samples).zip(x.chunks(self.samples)).enumerate() {
            let [word, ..] = philox([lead as u32, step, row as u32, domain::LEADS], key(self.seed));
            let factor = if uniform(word) < dropped_leads { 0.0 } else { gain };
            y.iter_mut().zip(x).for_each(|(y, x)| *y = factor * x);
        }
    }
}

impl GpuOperation for ScaleLeads {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, draws, schedule, y] = layouts else { unreachable!("the plan gives gain and lead dropout three reads") };
        let read = [first(*x), x.pitch, first(*draws), draws.pitch, first(*schedule)];
        // Mirror of `struct ScaleLeads` in the shader.
        let parameters =
            [[self.rows, self.leads, self.samples].as_slice(), &read, &[y.base_offset, y.pitch, y.offset]].concat();
        let shader = with_philox(shader!("augment/scale_leads", NO_CONSTANTS), self.seed);
        vec![Variant::plain(shader, parameters, line((self.rows * self.leads * y.pitch).div_ceil(WORKGROUP)))]
    }
}
