//! A convolution in tiles.
//!
//! How it came to this, for 12 leads of 1000 samples through the six convolutions of the 542k network, on two Zen 4
//! cores with AVX-512 (3.6 · 10⁹ vector operations a second each, so at least 1.70 ms directly with one thread):
//!
//! - Rows of channels instead of channels of samples, expected to make every shape and stride one matrix product
//!   without wasted lanes: yes, and padding costs nothing.
//! - Minimal filtering, expected to halve the time: 0.83 ms with one thread, of which the multiplications that are left
//!   take 0.78 at least; the normalised mean squared error of a stage grows to 2 · 10⁻¹² at most.
//! - With two threads, each evaluating half of the input for both: 0.54 ms; 12 µs a layer went into moving the values
//!   between the cores' caches. Each evaluating what it multiplies, in the last layers both the same: 0.45 ms.
//! - Smaller items, expected to let one thread help when the other is late: 0.49 ms, for input is evaluated more often
//!   and tiles have fewer rows. Dropped.
//! - 128, 256 or 440 KB of evaluated input at a time: within 2 %, so 128, the least memory.
//! - At ∞ no products with filters that have no last tap, expected to spare 3 % of them all: 3 % less time, the same bits.

use super::{
    choice::{Cut, Filter, Work, piece},
    filtering::{Evaluation, FilteredTile, POINTS},
    instructions::Kernels,
    memory::Area,
    packing::Packing,
    rows::Rows,
    tile::{DirectTile, Finish, Target},
};
use crate::kernels::Conv1d;

/// A convolution with all its decisions made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conv {
    conv: Conv1d,
    x: Rows,
    y: Rows,
    /// Channels of a tile.
    panel: usize,
    /// Rows of a tile at most.
    rows: usize,
    filter: Option<Filter>,
}

impl Conv {
    /// Decides, and tells `x` how far it is read.
    pub(super) fn new(conv: &Conv1d, x: &mut Rows, kernels: &Kernels) -> Self {
        let y = Rows {
            channels: conv.out_channels,
            width: conv.out_channels.next_multiple_of(kernels.panel),
            samples: conv.out_samples,
            front: 0,
            tail: 0,
        };
        let filter = Filter::best(conv, x.width, y.width, kernels);
        let rows = match filter {
            None => (conv.out_samples - 1) * conv.stride + conv.kernel,
            Some(filter) => {
                let start = (filter.groups - 1) * filter.outputs + (filter.parts - 1) * filter.taps;
                (start + POINTS) * conv.stride
            }
        };
        x.reach(conv.padding, rows);
        Self { conv: conv.clone(), x: *x, y, panel: kernels.panel, rows: kernels.rows, filter }
    }

    /// Takes over how far the rows reach that were made before all readers were known.
    pub(super) fn settle(&mut self, x: Rows, y: Rows) {
        (self.x, self.y) = (x, y);
    }

    pub(super) fn y(&self) -> Rows {
        self.y
    }

    pub(super) fn packing(&self) -> Packing {
        let Conv1d { in_channels, out_channels, kernel, stride, .. } = self.conv;
        Packing {
            shape: [out_channels, in_channels, kernel],
            stride,
            width: self.x.width,
            panel: self.panel,
            panels: self.panels(),
            filter: self.filter.map(|filter| (filter.parts, filter.taps)),
        }
    }

    fn panels(&self) -> usize {
        self.y.width / self.panel
    }

    /// Numbers of an input row as a tile sees it: with a stride it holds several samples.
    fn columns(&self) -> usize {
        self.conv.stride * self.x.width
    }

    /// Multiplications for one output.
    fn depth(&self) -> usize {
        self.packing().depth()
    }

    /// The bias with zeros up to whole panels.
    pub(super) fn padded_bias(&self, bias: &[f32]) -> Vec<f32> {
        let mut padded = bias.to_vec();
        padded.resize(self.y.width, 0.0);
        padded
    }

    /// Groups of outputs, or positions if it runs directly: what the rows of tiles are.
    fn groups(&self) -> usize {
        self.filter.map_or(self.conv.out_samples, |filter| filter.groups)
    }

    /// How to share the work out among so many workers.
    pub(super) fn cut(&self, workers: usize) -> Cut {
        let work = Work { groups: self.groups(), rows: self.rows, panels: self.panels(), filter: self.filter };
        work.best_cut(workers)
    }

    /// Numbers of evaluated input that an item makes.
    pub(super) fn evaluated(&self, cut: Cut) -> usize {
        self.filter.map_or(0, |filter| POINTS * self.groups().div_ceil(cut.ranges) * filter.row)
    }

    /// Computes one item's outputs. Items are in the order of their weights, so that a worker's share has few of them.
    ///
    /// # Safety
    /// Nobody writes `x`, nobody else uses `values`, nor what belongs to the item in `y`.
    pub(super) unsafe fn run(
        &self,
        kernels: &Kernels,
        cut: Cut,
        item: usize,
        constants: [&[f32]; 2],
        memory: [&Area; 3],
    ) {
        let [x, values, y] = memory;
        let (split, range) = (item / cut.ranges, item % cut.ranges);
        let (first, groups) = piece(self.groups(), cut.ranges, range);
        if item == 0 {
            // SAFETY: the edges belong to the first item.
            unsafe { self.y.clear_edges(y) };
        }
        // SAFETY: nobody writes `x`, as the caller vouches.
        let x = unsafe { x.read(self.x.at(-(self.conv.padding as isize))..x.len()) };
        if let Some(filter) = self.filter {
            // SAFETY: nobody else uses `values`, as the caller vouches.
            unsafe { self.evaluate(kernels, filter, first, groups, x, values) };
        }
        let (first_panel, panels) = piece(self.panels(), cut.splits, split);
        let tiles = groups.div_ceil(self.rows);
        for panel in first_panel..first_panel + panels {
            for tile in 0..tiles {
                let (start, rows) = piece(groups, tiles, tile);
                let tile = Tile { panel, first: first + start, rows };
                // SAFETY: the item's outputs belong to it, and `values` is done.
                unsafe {
                    match self.filter {
                        None => self.direct_tile(kernels, tile, constants, x, y),
                        Some(filter) => {
                            let point = groups * filter.row;
                            let values = values.read(start * filter.row..POINTS * point);
                            self.filtered_tile(kernels, filter, tile, constants, (values, point), y);
                        }
                    }
                }
            }
        }
    }

    /// Evaluates the inputs of some groups; `x` begins with the padding.
    ///
    /// # Safety
    /// As of [`Conv::run`].
    unsafe fn evaluate(&self, kernels: &Kernels, filter: Filter, first: usize, groups: usize, x: &[f32], to: &Area) {
        let columns = self.columns();
        for part in 0..filter.parts {
            let last = ((POINTS - 1) * groups + groups - 1) * filter.row;
            let inputs = Evaluation {
                groups,
                columns,
                x: &x[(first * filter.outputs + part * filter.taps) * columns..],
                row: columns,
                group: filter.outputs * columns,
                values: to.place(part * columns, 1, 0, last + columns.next_multiple_of(kernels.lanes)),
                values_row: filter.row,
                values_point: groups * filter.row,
            };
            // SAFETY: the processor has the kernels' instructions; the memory is the item's, as the caller vouches.
            unsafe { (kernels.evaluate)(&inputs) };
        }
    }

    fn finish<'a>(&self, panel: usize, bias: &'a [f32]) -> Finish<'a> {
        Finish { bias: &bias[panel * self.panel..][..self.panel], relu: self.conv.relu }
    }

    /// Where the outputs of `samples` positions go.
    fn target(&self, panel: usize, sample: usize, samples: usize, y: &Area) -> Target {
        let start = y.place(self.y.at(sample as isize) + panel * self.panel, samples, self.y.width, self.panel);
        Target { start, row: self.y.width }
    }

    /// # Safety
    /// As of [`Conv::run`].
    unsafe fn direct_tile(&self, kernels: &Kernels, tile: Tile, [weight, bias]: [&[f32]; 2], x: &[f32], y: &Area) {
        let Tile { panel, first, rows } = tile;
        let depth = self.depth();
        let tile = DirectTile {
            rows,
            depth,
            x: &x[first * self.columns()..],
            row: self.columns(),
            weight: &weight[panel * depth * self.panel..][..depth * self.panel],
            finish: self.finish(panel, bias),
            y: self.target(panel, first, rows, y),
        };
        // SAFETY: the processor has the kernels' instructions, and `y` has room as `target` has checked.
        unsafe { (kernels.direct)(&tile) };
    }

    /// # Safety
    /// As of [`Conv::run`].
    unsafe fn filtered_tile(
        &self,
        kernels: &Kernels,
        filter: Filter,
        tile: Tile,
        [weight, bias]: [&[f32]; 2],
        (values, point): (&[f32], usize),
        y: &Area,
    ) {
        let Tile { panel, first, rows } = tile;
        let packing = self.packing();
        let size = packing.panel_len();
        let sample = first * filter.outputs;
        let samples = (rows * filter.outputs).min(self.conv.out_samples - sample);
        let tile = FilteredTile {
            rows,
            depth: packing.depth(),
            depth_at_infinity: packing.depth_at_infinity(),
            values,
            row: filter.row,
            point,
            weight: &weight[panel * size..][..size],
            finish: self.finish(panel, bias),
            outputs: filter.outputs,
            y: self.target(panel, sample, samples, y),
            samples,
        };
        // SAFETY: the processor has the kernels' instructions, and `y` has room as `target` has checked.
        unsafe { (kernels.filtered)(&tile) };
    }
}

/// A register tile: some groups, or positions, of one panel.
struct Tile {
    panel: usize,
    first: usize,
    rows: usize,
}
