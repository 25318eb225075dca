//! A convolution in tiles, and its weights in the order in which the tiles read them.
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
//! - 128 or 440 KB of evaluated input at a time instead of 256: within 2 %.

use super::{
    choice::{Cut, Filter, Work, piece},
    filtering::{self, Evaluation, FilteredTile, POINTS},
    instructions::Kernels,
    memory::{Aligned, Area},
    parallel::for_each_chunk,
    rows::Rows,
    tile::{DirectTile, Finish, Target},
};
use crate::kernels::Conv1d;

/// Channels whose weights are packed side by side; every panel is a multiple of it.
const BLOCK: usize = 8;

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

/// What the packed weights depend on besides the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    width: usize,
    panel: usize,
    filter: Option<(usize, usize)>,
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
        let filter = self.filter.map(|filter| (filter.parts, filter.taps));
        Packing { width: self.x.width, panel: self.panel, filter }
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
        self.filter.map_or(self.conv.kernel * self.x.width, |filter| filter.parts * self.columns())
    }

    /// Weights as `[panels, depth, channels of a panel]`, with `points` before `depth` for minimal filtering.
    ///
    /// It is most of what a first forward pass costs, so panels are packed side by side, and each writes runs of its
    /// channels.
    pub(super) fn packed(&self, weight: &[f32]) -> Aligned {
        let points = if self.filter.is_some() { POINTS } else { 1 };
        let panel_len = points * self.depth() * self.panel;
        let mut packed = Aligned::new(self.panels() * panel_len);
        let panels = &mut packed.as_mut_slice()[..self.panels() * panel_len];
        for_each_chunk(panels, panel_len, |panel, values| match self.filter {
            None => self.pack_taps(panel * self.panel, weight, values),
            Some(filter) => self.pack_filters(filter, panel * self.panel, weight, values),
        });
        packed
    }

    fn pack_taps(&self, first: usize, weight: &[f32], values: &mut [f32]) {
        let Conv1d { in_channels, out_channels, kernel, .. } = self.conv;
        for (o, weight) in
            weight.chunks(in_channels * kernel).take(out_channels).skip(first).take(self.panel).enumerate()
        {
            for (c, taps) in weight.chunks(kernel).enumerate() {
                for (k, &tap) in taps.iter().enumerate() {
                    values[(k * self.x.width + c) * self.panel + o] = tap;
                }
            }
        }
    }

    /// A filter's values at the points are linear in its taps. [`BLOCK`] channels are evaluated side by side, so that
    /// their sums stay in registers.
    fn pack_filters(&self, filter: Filter, first: usize, weight: &[f32], values: &mut [f32]) {
        let Conv1d { in_channels, out_channels, kernel, stride, .. } = self.conv;
        let unit = |tap: usize| -> Vec<f64> { (0..filter.taps).map(|t| f64::from(u8::from(t == tap))).collect() };
        let of_tap: Vec<[f64; POINTS]> = (0..filter.taps).map(|tap| filtering::filter_at_points(&unit(tap))).collect();
        let mut taps = vec![[0.0; BLOCK]; filter.taps];
        let blocks = (0..self.panel).step_by(BLOCK).filter(|block| first + block < out_channels);
        let phases = (0..filter.parts * stride).map(|at| (at / stride, at % stride));
        for (block, (part, phase)) in blocks.flat_map(|block| phases.clone().map(move |phase| (block, phase))) {
            for c in 0..in_channels {
                for (t, taps) in taps.iter_mut().enumerate() {
                    let k = (part * filter.taps + t) * stride + phase;
                    for (o, tap) in (first + block..).zip(taps) {
                        let is_there = k < kernel && o < out_channels;
                        *tap = if is_there { weight[(o * in_channels + c) * kernel + k].into() } else { 0.0 };
                    }
                }
                let row = part * self.columns() + phase * self.x.width + c;
                for point in 0..POINTS {
                    let mut sums = [0.0; BLOCK];
                    for (taps, of_tap) in taps.iter().zip(&of_tap) {
                        sums.iter_mut().zip(taps).for_each(|(sum, tap)| *sum += of_tap[point] * tap);
                    }
                    let values = &mut values[(point * self.depth() + row) * self.panel + block..][..BLOCK];
                    values.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum as f32);
                }
            }
        }
    }

    /// The bias with zeros up to whole panels.
    pub(super) fn padded_bias(&self, bias: &[f32]) -> Aligned {
        let mut padded = Aligned::new(self.y.width);
        padded.as_mut_slice()[..bias.len()].copy_from_slice(bias);
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
        let depth = self.depth();
        let size = POINTS * depth * self.panel;
        let sample = first * filter.outputs;
        let samples = (rows * filter.outputs).min(self.conv.out_samples - sample);
        let tile = FilteredTile {
            rows,
            depth,
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
