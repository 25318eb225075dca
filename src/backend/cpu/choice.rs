//! How a convolution should run: directly or by minimal filtering, and shared out among workers in which way.

use super::{filtering::POINTS, instructions::Kernels, memory::LINE};
use crate::kernels::Conv1d;

/// Numbers of evaluated input that an item makes and uses: 128 KB, an eighth of the second-level cache, most of which
/// the weights of a panel take.
const EVALUATED: usize = 32 << 10;

/// To bring a panel's weights takes about as long as so many rows of a tile.
const LOAD: usize = 2;

/// How minimal filtering cuts a convolution up. A stride s is taken as s times as many channels with as few taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filter {
    /// The kernel is cut into this many filters of `taps` taps. Each counts as more channels.
    pub(super) parts: usize,
    pub(super) taps: usize,
    /// Outputs of a group.
    pub(super) outputs: usize,
    pub(super) groups: usize,
    /// Numbers of a group's values at one point.
    pub(super) row: usize,
}

impl Filter {
    /// The cheapest way, unless the direct one is cheaper.
    pub(super) fn best(conv: &Conv1d, width: usize, out_width: usize, kernels: &Kernels) -> Option<Self> {
        let taps = conv.kernel.div_ceil(conv.stride);
        let direct = conv.out_samples * conv.kernel * width * out_width;
        (1..=taps.div_ceil(3))
            .filter(|parts| taps.div_ceil(*parts) <= 6)
            .map(|parts| Self::new(conv, width, parts, taps.div_ceil(parts).max(3), kernels))
            .map(|filter| (filter.cost(conv.stride * width, out_width), filter))
            .min_by_key(|(cost, _)| *cost)
            .filter(|(cost, _)| *cost < direct)
            .map(|(_, filter)| filter)
    }

    fn new(conv: &Conv1d, width: usize, parts: usize, taps: usize, kernels: &Kernels) -> Self {
        let outputs = POINTS + 1 - taps;
        let groups = conv.out_samples.div_ceil(outputs);
        let columns = conv.stride * width;
        // A line more keeps rows from lying a power of two apart, where they would share few places of the cache.
        let row = (parts - 1) * columns + columns.next_multiple_of(kernels.lanes) + LINE;
        let row = row.next_multiple_of(LINE);
        Self { parts, taps, outputs, groups, row }
    }

    /// Multiplications, with the transforms as so many more: about 30 instructions for a vector.
    fn cost(&self, columns: usize, out_width: usize) -> usize {
        let depth = self.parts * columns;
        self.groups * (POINTS * depth * out_width + 30 * depth + 30 * out_width)
    }
}

/// How a convolution is shared out: ranges of groups, or of positions if it runs directly, times parts of the panels.
/// An item evaluates the input of its range for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) ranges: usize,
    pub(super) splits: usize,
}

impl Cut {
    pub(super) fn items(self) -> usize {
        self.ranges * self.splits
    }
}

/// What a convolution has to do.
pub(super) struct Work {
    /// Groups of outputs, or positions if it runs directly.
    pub(super) groups: usize,
    /// Rows of a tile at most.
    pub(super) rows: usize,
    pub(super) panels: usize,
    pub(super) filter: Option<Filter>,
}

impl Work {
    /// The cut that should take the least time.
    pub(super) fn best_cut(&self, workers: usize) -> Cut {
        let most = self.filter.map_or(usize::MAX, |filter| (EVALUATED / (POINTS * filter.row)).max(self.rows));
        let least = self.groups.div_ceil(most);
        let cuts = (least..=self.groups.div_ceil(self.rows).max(least))
            .flat_map(|ranges| (1..=self.panels).map(move |splits| Cut { ranges, splits }));
        cuts.min_by_key(|cut| self.cost(*cut, workers)).unwrap_or(Cut { ranges: least, splits: 1 })
    }

    /// Time of the worker that does most, in vector operations for one channel of input.
    fn cost(&self, cut: Cut, workers: usize) -> usize {
        let groups = self.groups.div_ceil(cut.ranges);
        let panels = self.panels.div_ceil(cut.splits);
        let (evaluate, multiply) = if self.filter.is_some() { (2, 2 * POINTS) } else { (0, 2) };
        cut.items().div_ceil(workers) * (groups * evaluate + panels * (groups + LOAD) * multiply)
    }
}

/// The beginning and the length of a piece of `total`, which is cut into equal pieces.
pub(super) fn piece(total: usize, pieces: usize, index: usize) -> (usize, usize) {
    let start = |index: usize| index * total / pieces;
    (start(index), start(index + 1) - start(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_layer(out_samples: usize) -> (Option<Filter>, Work) {
        let (in_channels, out_channels, relu) = (256, 256, true);
        let (kernel, stride, padding) = (3, 1, 1);
        let in_samples = out_samples;
        let conv = Conv1d {
            batch: 1,
            in_channels,
            in_samples,
            out_channels,
            out_samples,
            kernel,
            stride,
            padding,
            relu,
            fused_max_pool: false,
        };
        let kernels = super::super::instructions::available()[0];
        let filter = Filter::best(&conv, 256, 256, kernels);
        let groups = filter.map_or(out_samples, |filter| filter.groups);
        (filter, Work { groups, rows: kernels.rows, panels: 256 / kernels.panel, filter })
    }

    #[test]
    fn one_position_runs_directly_and_ten_seconds_by_minimal_filtering() {
        assert_eq!(last_layer(1).0, None);
        let filter = last_layer(125).0.unwrap();
        assert_eq!((filter.taps, filter.outputs, filter.groups), (3, 6, 21));
    }

    #[test]
    fn there_is_an_item_for_every_worker() {
        let (_, work) = last_layer(125);
        for workers in [1, 2, 3, 4, 8, 16] {
            assert!(work.best_cut(workers).items() >= workers);
        }
    }

    #[test]
    fn pieces_are_equal_but_for_one_and_leave_nothing_out() {
        let mut next = 0;
        for index in 0..6 {
            let (start, len) = piece(63, 6, index);
            assert_eq!(start, next);
            assert!(len == 10 || len == 11);
            next += len;
        }
        assert_eq!(next, 63);
    }
}
