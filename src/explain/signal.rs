//! The input of a network, parts of which are replaced by straight lines.

use std::ops::Range;

/// Windows of equal length that divide the samples of a record; the last may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) samples: usize,
    /// The samples of a window.
    pub(super) length: usize,
}

impl Windows {
    pub(super) fn count(&self) -> usize {
        self.samples.div_ceil(self.length)
    }

    /// The samples of consecutive windows.
    fn samples(&self, windows: Range<usize>) -> Range<usize> {
        windows.start * self.length..(windows.end * self.length).min(self.samples)
    }

    /// Returns the sum of the values of each window, row by row.
    pub(super) fn sums(&self, values: &[f64]) -> Vec<f64> {
        values.chunks(self.samples).flat_map(|row| row.chunks(self.length).map(|window| window.iter().sum())).collect()
    }
}

/// The input of a network for one record, `[leads, samples]`.
pub(super) struct Signal {
    pub(super) values: Vec<f32>,
    pub(super) leads: usize,
    pub(super) windows: Windows,
    /// The median of each lead: near the isoelectric line.
    medians: Vec<f32>,
}

impl Signal {
    pub(super) fn new(values: Vec<f32>, leads: usize, windows: Windows) -> Self {
        let median = |lead: &[f32]| {
            let mut sorted = lead.to_vec();
            sorted.sort_unstable_by(f32::total_cmp);
            sorted[sorted.len() / 2]
        };
        let medians = values.chunks(windows.samples).map(median).collect();
        Self { values, leads, windows, medians }
    }

    /// Writes the signal to `to`, with the windows for which `is_replaced(lead, window)` holds replaced by the straight line
    /// between their neighbours, or at an end of the record by the neighbour's value. A lead that is replaced as a whole is
    /// its median.
    pub(super) fn replaced(&self, is_replaced: impl Fn(usize, usize) -> bool, to: &mut [f32]) {
        to.copy_from_slice(&self.values);
        let count = self.windows.count();
        for (lead, row) in to.chunks_mut(self.windows.samples).enumerate() {
            let mut window = 0;
            while window < count {
                let first = window;
                while window < count && is_replaced(lead, window) {
                    window += 1;
                }
                if window > first {
                    bridge(row, self.windows.samples(first..window), self.medians[lead]);
                }
                window += 1;
            }
        }
    }
}

/// Replaces a range by the straight line between its neighbours; the whole row by `level`.
fn bridge(row: &mut [f32], range: Range<usize>, level: f32) {
    let before = range.start.checked_sub(1).map(|at| row[at]);
    let after = row.get(range.end).copied();
    let from = before.or(after).unwrap_or(level);
    let to = after.or(before).unwrap_or(level);
    let steps = range.len() as f32 + 1.0;
    for (at, sample) in row[range].iter_mut().enumerate() {
        *sample = from + (to - from) * (at as f32 + 1.0) / steps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal() -> Signal {
        Signal::new(vec![0.0, 1.0, 5.0, 7.0, 4.0, 9.0, 8.0], 1, Windows { samples: 7, length: 2 })
    }

    fn replaced(windows: &[usize]) -> Vec<f32> {
        let mut to = vec![0.0; 7];
        signal().replaced(|_, window| windows.contains(&window), &mut to);
        to
    }

    #[test]
    fn a_replaced_window_is_a_straight_line_between_its_neighbours() {
        assert_eq!(replaced(&[]), signal().values);
        assert_eq!(replaced(&[1]), [0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 8.0]);
        assert_eq!(replaced(&[1, 2]), [0.0, 1.0, 2.4, 3.8, 5.2, 6.6, 8.0], "two windows are one line");
        assert_eq!(replaced(&[0, 3]), [5.0, 5.0, 5.0, 7.0, 4.0, 9.0, 9.0], "at an end the neighbour's value");
        assert_eq!(replaced(&[0, 1, 2, 3]), [5.0; 7], "the median");
    }

    #[test]
    fn the_last_window_may_be_shorter() {
        let windows = Windows { samples: 7, length: 2 };
        assert_eq!((windows.count(), windows.samples(3..4)), (4, 6..7));
        assert_eq!(windows.sums(&[1.0; 14]), [2.0, 2.0, 2.0, 1.0, 2.0, 2.0, 2.0, 1.0]);
    }
}
