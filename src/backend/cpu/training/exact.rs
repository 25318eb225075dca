//! Operations that compute little, by their float64 reference: losses, statistics, sums of what is small.

use super::{
    Context, Operation,
    places::{Places, Spot, Spread},
    streams::leave,
};
use crate::{kernels::Kernel, plan::Plan};

/// A step by its reference.
pub(super) struct Exact {
    kernel: Kernel,
    reads: Vec<(Place, usize)>,
    write: (Place, usize),
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
        let reads = step.reads.iter().map(|&id| place(id)).collect();
        Self { kernel: step.kernel.clone(), reads, write: place(step.write) }
    }
}

impl Place {
    /// # Safety
    /// Nobody writes there.
    unsafe fn read(&self, len: usize, context: &Context) -> Vec<f64> {
        // SAFETY: as the caller vouches.
        unsafe {
            match self {
                Place::Spot(spot) => spot.read(context.memory).iter().map(|&value| f64::from(value)).collect(),
                Place::Rows(spread) => {
                    let mut values = vec![0.0; len];
                    for (record, values) in values.chunks_mut(len / spread.records).enumerate() {
                        leave(spread, record, context, values);
                    }
                    values.into_iter().map(f64::from).collect()
                }
            }
        }
    }

    /// # Safety
    /// Nobody else reads or writes there.
    unsafe fn write(&self, values: &[f64], context: &Context) {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        // SAFETY: as the caller vouches.
        unsafe {
            match self {
                Place::Spot(spot) => spot.write(context.memory).copy_from_slice(&values),
                Place::Rows(spread) => {
                    let enter = |record: usize, values: &[f32]| {
                        let (rows, area) = (spread.rows, spread.area(context.memory, record));
                        area.write(0..rows.len()).fill(0.0);
                        if spread.matrix {
                            let to = area.write(rows.at(0)..rows.at(rows.samples as isize));
                            let both = values.chunks(rows.channels).zip(to.chunks_mut(rows.width));
                            both.for_each(|(from, to)| to[..from.len()].copy_from_slice(from));
                        } else {
                            rows.enter(values, 0, rows.samples, area);
                        }
                    };
                    let each = values.chunks(values.len() / spread.records).enumerate();
                    each.for_each(|(record, values)| enter(record, values));
                }
            }
        }
    }
}

impl Operation for Exact {
    fn phases(&self) -> Vec<usize> {
        vec![1]
    }

    unsafe fn run(&self, _: usize, _: usize, context: &Context) {
        // SAFETY: as the caller vouches.
        unsafe {
            let reads: Vec<Vec<f64>> = self.reads.iter().map(|(place, len)| place.read(*len, context)).collect();
            let reads: Vec<&[f64]> = reads.iter().map(Vec::as_slice).collect();
            let (place, len) = &self.write;
            let mut write = place.read(*len, context);
            self.kernel.operation().reference(&reads, &mut write);
            place.write(&write, context);
        }
    }
}
