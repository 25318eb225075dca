//! How a convolution runs: directly or by the Winograd algorithm, and how it is divided into work items.

use super::{
    aligned_buffer::CACHE_LINE,
    micro_kernels::{MicroKernels, packing::Filters, winograd::POINTS},
};
use crate::kernels::{Conv1d, product};

/// The numbers of transformed input that one item makes and uses: 128 KB, an eighth of the second-level cache. The weights of
/// a panel take most of the cache.
const TRANSFORMED_NUMBERS: usize = 32 << 10;

/// How many rows of a tile can be computed in the time that loading a panel's weights takes.
const ROWS_PER_PANEL_LOAD: usize = 2;

/// How the Winograd algorithm divides a convolution. A stride s makes s times as many channels with as few taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Winograd {
    /// The filters that the kernel is divided into.
    pub(super) filters: Filters,
    /// The outputs of a group.
    pub(super) outputs: usize,
    /// The groups of a record.
    pub(super) groups: usize,
    /// The numbers from one group's transformed input to the next group's, at one point.
    pub(super) group_pitch: usize,
}

impl Winograd {
    /// Returns the cheapest division, or none where the direct convolution is cheaper.
    pub(super) fn cheapest(conv: &Conv1d, pitch: usize, out_pitch: usize, kernels: &MicroKernels) -> Option<Self> {
        let taps = conv.kernel.div_ceil(conv.stride);
        let direct = product([conv.out_samples, conv.kernel, pitch, out_pitch]);
        (1..=taps.div_ceil(3))
            .filter(|filters| taps.div_ceil(*filters) <= 6)
            .map(|filters| {
                let filters = Filters { count: filters, taps: taps.div_ceil(filters).max(3) };
                Self::new(conv, pitch, filters, kernels)
            })
            .map(|winograd| (winograd.cost(conv.stride * pitch, out_pitch), winograd))
            .min_by_key(|(cost, _)| *cost)
            .filter(|(cost, _)| *cost < direct)
            .map(|(_, winograd)| winograd)
    }

    fn new(conv: &Conv1d, pitch: usize, filters: Filters, kernels: &MicroKernels) -> Self {
        let outputs = POINTS + 1 - filters.taps;
        let groups = conv.out_samples.div_ceil(outputs);
        let columns = conv.stride * pitch;
        // One more cache line keeps rows from being a power of two apart, where they would compete for few sets of the
        // cache.
        let row = (filters.count - 1) * columns + columns.next_multiple_of(kernels.lanes) + CACHE_LINE;
        Self { filters, outputs, groups, group_pitch: row.next_multiple_of(CACHE_LINE) }
    }

    /// Estimates the cost in multiplications. A transform of one vector takes about 30 instructions.
    fn cost(&self, columns: usize, out_pitch: usize) -> u64 {
        let depth = self.filters.count * columns;
        product([self.groups, POINTS * depth * out_pitch + 30 * depth + 30 * out_pitch])
    }
}

/// How a record's convolution is divided into work items: ranges of groups (of positions if the convolution is direct) times
/// ranges of panels. Each item transforms the input of its range itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) group_ranges: usize,
    pub(super) panel_ranges: usize,
}

impl Partition {
    /// The work items of one record.
    pub(super) fn items(self) -> usize {
        self.group_ranges * self.panel_ranges
    }
}

/// The size of a convolution, as far as its partition depends on it.
pub(super) struct ConvolutionSize {
    /// The groups of outputs, or the positions if the convolution is direct.
    pub(super) groups: usize,
    /// The rows of the largest tile.
    pub(super) rows: usize,
    /// The panels of the weights.
    pub(super) panels: usize,
    /// The division, if the convolution is a Winograd convolution.
    pub(super) winograd: Option<Winograd>,
}

impl ConvolutionSize {
    /// Returns the partition with the least estimated time.
    pub(super) fn best_partition(&self, workers: usize) -> Partition {
        let most = self
            .winograd
            .map_or(usize::MAX, |winograd| (TRANSFORMED_NUMBERS / (POINTS * winograd.group_pitch)).max(self.rows));
        let least = self.groups.div_ceil(most);
        let partitions = (least..=self.groups.div_ceil(self.rows).max(least)).flat_map(|group_ranges| {
            (1..=self.panels).map(move |panel_ranges| Partition { group_ranges, panel_ranges })
        });
        partitions
            .min_by_key(|partition| self.cost(*partition, workers))
            .unwrap_or(Partition { group_ranges: least, panel_ranges: 1 })
    }

    /// Estimates the time of the worker that does most, in vector operations per input channel.
    fn cost(&self, partition: Partition, workers: usize) -> u64 {
        let groups = self.groups.div_ceil(partition.group_ranges);
        let panels = self.panels.div_ceil(partition.panel_ranges);
        let (transform, multiply) = if self.winograd.is_some() { (2, 2 * POINTS) } else { (0, 2) };
        let item = groups * transform + panels * (groups + ROWS_PER_PANEL_LOAD) * multiply;
        product([partition.items().div_ceil(workers), item])
    }
}

/// Divides `0..total` into `parts` equal ranges, and returns start and length of range `index`.
pub(super) fn part(total: usize, parts: usize, index: usize) -> (usize, usize) {
    // The product may exceed the 32 bits in which WebAssembly counts; the quotient is at most `total`.
    let start = |index: usize| (index as u64 * total as u64 / parts as u64) as usize;
    (start(index), start(index + 1) - start(index))
}

/// How many parts of about `size` there are in `total`, at least one.
pub(super) fn parts(total: usize, size: usize) -> usize {
    total.div_ceil(size).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::micro_kernels::instructions;

    fn last_layer(out_samples: usize) -> (Option<Winograd>, ConvolutionSize) {
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
        let kernels = instructions::available()[0];
        let winograd = Winograd::cheapest(&conv, 256, 256, kernels);
        let groups = winograd.map_or(out_samples, |winograd| winograd.groups);
        (winograd, ConvolutionSize { groups, rows: kernels.rows, panels: 256 / kernels.panel, winograd })
    }

    #[test]
    fn one_position_runs_directly_and_ten_seconds_by_winograd() {
        assert_eq!(last_layer(1).0, None);
        let winograd = last_layer(125).0.unwrap();
        assert_eq!((winograd.filters.taps, winograd.outputs, winograd.groups), (3, 6, 21));
    }

    #[test]
    fn a_partition_has_at_least_one_item_per_worker() {
        let (_, size) = last_layer(125);
        for workers in [1, 2, 3, 4, 8, 16] {
            assert!(size.best_partition(workers).items() >= workers);
        }
    }

    #[test]
    fn parts_differ_by_at_most_one_and_cover_the_whole() {
        let mut next = 0;
        for index in 0..6 {
            let (start, len) = part(63, 6, index);
            assert_eq!(start, next);
            assert!(len == 10 || len == 11);
            next += len;
        }
        assert_eq!(next, 63);
    }
}
