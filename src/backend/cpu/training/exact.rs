//! Operations that compute little, by their float64 reference: losses, statistics, sums of what is small, and
//! augmentations, whose rows are shared out.

use std::cell::UnsafeCell;

use super::{
    Context, Operation,
    places::{Places, Spot, Spread},
    streams::leave,
};
use crate::{kernels::Kernel, plan::Plan};

/// A step by its reference.
pub(super) struct Exact {
    kernel: Kernel,
    reads: Vec<(Place, Wide)>,
    write: (Place, usize),
    /// Rows of what it writes that are computed apart.
    rows: usize,
}

/// Numbers in float64, each record of which one item writes.
struct Wide(Box<[UnsafeCell<f64>]>);

// SAFETY: every access is unsafe and vouches for not racing with another.
unsafe impl Sync for Wide {}

impl Wide {
    fn new(len: usize) -> Self {
        Self((0..len).map(|_| UnsafeCell::new(0.0)).collect())
    }

    /// # Safety
    /// Nobody writes as long as the slice lives.
    unsafe fn read(&self) -> &[f64] {
        // SAFETY: a cell lies in memory as what it holds; the rest the caller vouches for.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len()) }
    }

    /// Writes numbers from `start` on.
    ///
    /// # Safety
    /// Nobody else reads or writes there.
    unsafe fn put(&self, start: usize, values: impl Iterator<Item = f64>) {
        for (cell, value) in self.0[start..].iter().zip(values) {
            // SAFETY: as the caller vouches.
            unsafe { cell.get().write(value) };
        }
    }
}

/// Where an operand lies, in rows or in one piece.
enum Place {
    Rows(Spread),
    Spot(Spot),
}

impl Exact {
    pub(super) fn new(plan: &Plan, places: &Places, at: usize) -> Self {
        let step = &plan.steps[at];
        let place = |id| {
            let place =
                if places.is_activation(id) { Place::Rows(places.rows(id)) } else { Place::Spot(places.spot(id)) };
            (place, plan.buffers[id].len())
        };
        let wide = |(place, len)| (place, Wide::new(len));
        let reads = step.reads.iter().map(|&id| wide(place(id))).collect();
        let write = place(step.write);
        // Only an activation whose records are rows can be written row by row.
        let apart = step.kernel.operation().rows_apart();
        let rows = match &write.0 {
            Place::Rows(spread) if !spread.matrix && spread.records == apart => apart,
            _ => 1,
        };
        Self { kernel: step.kernel.clone(), reads, write, rows }
    }
}

impl Place {
    /// Areas, each of which an item reads.
    fn records(&self) -> usize {
        match self {
            Place::Rows(spread) => spread.records,
            Place::Spot(_) => 1,
        }
    }

    /// Widens one record.
    ///
    /// # Safety
    /// Nobody writes the record, and nobody else reads or writes its place in `to`.
    unsafe fn widen(&self, record: usize, to: &Wide, context: &Context) {
        // SAFETY: as the caller vouches.
        unsafe {
            match self {
                Place::Spot(spot) => to.put(0, spot.read(context.memory).iter().map(|&value| f64::from(value))),
                Place::Rows(spread) => {
                    let len = to.0.len() / spread.records;
                    let mut values = vec![0.0; len];
                    leave(spread, record, context, &mut values);
                    to.put(record * len, values.into_iter().map(f64::from));
                }
            }
        }
    }

    /// Writes one record, or all that lies in one piece.
    ///
    /// # Safety
    /// Nobody else reads or writes there.
    unsafe fn narrow(&self, record: usize, values: &[f64], context: &Context) {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        // SAFETY: as the caller vouches.
        unsafe {
            match self {
                Place::Spot(spot) => spot.write(context.memory).copy_from_slice(&values),
                Place::Rows(spread) => {
                    let (rows, area) = (spread.rows, spread.area(context.memory, record));
                    area.write(0..rows.len()).fill(0.0);
                    if spread.matrix {
                        let to = area.write(rows.at(0)..rows.at(rows.samples as isize));
                        let both = values.chunks(rows.channels).zip(to.chunks_mut(rows.width));
                        both.for_each(|(from, to)| to[..from.len()].copy_from_slice(from));
                    } else {
                        rows.enter(&values, 0, rows.samples, area);
                    }
                }
            }
        }
    }
}

impl Operation for Exact {
    fn phases(&self) -> Vec<usize> {
        let records = self.reads.iter().map(|(place, _)| place.records()).sum();
        vec![records, self.rows]
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item of the first phase has a record of its own, each of the second a row; or the only one has all.
        unsafe {
            if phase == 0 {
                let mut record = item;
                for (place, wide) in &self.reads {
                    if record < place.records() {
                        return place.widen(record, wide, context);
                    }
                    record -= place.records();
                }
                return;
            }
            let reads: Vec<&[f64]> = self.reads.iter().map(|(_, wide)| wide.read()).collect();
            let (place, len) = &self.write;
            let operation = self.kernel.operation();
            if self.rows > 1 {
                let mut row = vec![0.0; len / self.rows];
                operation.reference_row(&reads, item, &mut row);
                return place.narrow(item, &row, context);
            }
            // What a state holds the operation may change.
            let mut write = match place {
                Place::Spot(spot) => spot.read(context.memory).iter().map(|&value| f64::from(value)).collect(),
                Place::Rows(_) => vec![0.0; *len],
            };
            operation.reference(&reads, &mut write);
            let records = place.records();
            for (record, values) in write.chunks(len / records).enumerate() {
                place.narrow(record, values, context);
            }
        }
    }
}
