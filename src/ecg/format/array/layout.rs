//! Finds which dimension of an array holds the leads.

use super::super::damaged;
use crate::{Hint, Result};

/// A dimension: its length, and the distance of neighbours in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) length: usize,
    pub(super) stride: usize,
}

/// The dimensions of an array of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) recordings: Axis,
    pub(super) leads: Axis,
    pub(super) samples: Axis,
    /// Whether there are as many samples as leads, so that either dimension may be the leads.
    pub(super) ambiguous: bool,
}

impl Layout {
    /// Finds the dimension of `leads` leads: the last or the last but one, where dimensions of length one do not count.
    ///
    /// # Errors
    /// Neither has that length, or there are more dimensions than those and a batch.
    pub(super) fn of(shape: &[usize], strides: &[usize], leads: usize) -> Result<Self> {
        if shape.contains(&0) {
            let cause = format!("an array of shape {shape:?}");
            return Err(damaged(cause, format!("{}, none of them empty", remedy(leads))));
        }
        let Some([recordings, rows, columns]) = axes(shape, strides, leads) else {
            return Err(damaged(format!("an array of shape {shape:?}"), remedy(leads)));
        };
        let ambiguous = rows.length == columns.length;
        if rows.length == leads {
            return Ok(Self { recordings, leads: rows, samples: columns, ambiguous });
        }
        if columns.length == leads {
            return Ok(Self { recordings, leads: columns, samples: rows, ambiguous });
        }
        let cause = format!("an array of shape {shape:?}, and none of its sides is {leads}");
        let remedy = format!("{}, or name the leads that it holds, such as I,II,V1,V2,V3,V4,V5,V6", remedy(leads));
        Err(damaged(cause, remedy).with_hint(Hint::NameLeads))
    }
}

fn remedy(leads: usize) -> String {
    format!("give [{leads}, samples] or [samples, {leads}], with or without a batch in front")
}

/// Returns the dimensions of a batch, of rows and of columns.
fn axes(shape: &[usize], strides: &[usize], leads: usize) -> Option<[Axis; 3]> {
    const NONE: Axis = Axis { length: 1, stride: 0 };
    let all = shape.iter().zip(strides).map(|(length, stride)| Axis { length: *length, stride: *stride });
    let all: Vec<Axis> = all.collect();
    // Of one lead, the dimension of length one may be that of the leads.
    let plain = all.len() == 2 || all.len() == 3 && leads == 1;
    let kept: Vec<Axis> = all.into_iter().filter(|axis| plain || axis.length > 1).collect();
    match kept[..] {
        [samples] if leads == 1 => Some([NONE, NONE, samples]),
        [rows, columns] => Some([NONE, rows, columns]),
        [recordings, rows, columns] => Some([recordings, rows, columns]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(shape: &[usize], leads: usize) -> Option<[usize; 3]> {
        let layout = Layout::of(shape, &vec![1; shape.len()], leads).ok()?;
        Some([layout.recordings, layout.leads, layout.samples].map(|axis| axis.length))
    }

    #[test]
    fn dimensions_of_length_one_do_not_count() {
        for shape in [&[12, 500][..], &[500, 12], &[1, 12, 500], &[500, 12, 1], &[500, 1, 12], &[1, 1, 12, 500, 1]] {
            assert_eq!(lengths(shape, 12), Some([1, 12, 500]), "{shape:?}");
        }
        assert_eq!(lengths(&[7, 1, 500, 12], 12), Some([7, 12, 500]));
        assert_eq!(lengths(&[12, 1], 12), Some([1, 12, 1]), "one sample");
    }

    #[test]
    fn one_lead_needs_no_dimension_of_its_own() {
        assert_eq!(lengths(&[500], 1), Some([1, 1, 500]));
        assert_eq!(lengths(&[7, 1, 500], 1), Some([7, 1, 500]));
    }

    #[test]
    fn other_shapes_are_refused() {
        for shape in [&[][..], &[12], &[11, 500], &[2, 3, 12, 500], &[12, 0]] {
            assert_eq!(lengths(shape, 12), None, "{shape:?}");
        }
    }
}
