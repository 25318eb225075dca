//! How a convolution runs: directly or by minimal filtering, in which tiles, and with weights in which order.

use super::{
    filtering::{self, Evaluation, FilteredTile, POINTS},
    instructions::Kernels,
    memory::{Aligned, Area, LINE},
    rows::Rows,
    tile::{DirectTile, Finish, Target},
};
use crate::kernels::Conv1d;

/// Numbers of evaluated input that are made before they are used, so that they stay in the second-level cache beside
/// the weights: 400 KB of 1 MB. It is one piece for ten seconds at 100 Hz.
const EVALUATED: usize = 100 << 10;

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

/// How minimal filtering cuts a convolution up. A stride s is taken as s times as many channels with as few taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Filter {
    /// The kernel is cut into this many filters of `taps` taps. Each counts as more channels.
    parts: usize,
    taps: usize,
    /// Outputs of a group.
    outputs: usize,
    groups: usize,
    /// Groups whose input is evaluated at a time.
    batch: usize,
    /// Numbers of a group's values at one point.
    row: usize,
}

/// What the packed weights depend on besides the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    width: usize,
    panel: usize,
    filter: Option<(usize, usize)>,
}

impl Filter {
    /// The cheapest way, unless the direct one is cheaper.
    fn best(conv: &Conv1d, width: usize, out_width: usize, kernels: &Kernels) -> Option<Self> {
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
        let batch = (EVALUATED / (POINTS * row)).max(kernels.rows);
        let batch = groups.div_ceil(groups.div_ceil(batch));
        Self { parts, taps, outputs, groups, batch, row }
    }

    /// Multiplications, with the transforms as so many more: about 30 instructions for a vector.
    fn cost(&self, columns: usize, out_width: usize) -> usize {
        let depth = self.parts * columns;
        self.groups * (POINTS * depth * out_width + 30 * depth + 30 * out_width)
    }
}

/// Cuts `total` into equal pieces of at most `most` and returns how many there are.
fn pieces(total: usize, most: usize) -> usize {
    total.div_ceil(most)
}

/// The beginning and the length of piece `index`.
fn piece(total: usize, pieces: usize, index: usize) -> (usize, usize) {
    let start = |index: usize| index * total / pieces;
    (start(index), start(index + 1) - start(index))
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
    pub(super) fn packed(&self, weight: &[f32]) -> Aligned {
        let points = if self.filter.is_some() { POINTS } else { 1 };
        let mut packed = Aligned::new(self.panels() * points * self.depth() * self.panel);
        let values = packed.as_mut_slice();
        let Conv1d { in_channels, kernel, .. } = self.conv;
        for (pair, taps) in weight.chunks(kernel).enumerate() {
            let (o, c) = (pair / in_channels, pair % in_channels);
            let mut put = |point: usize, depth: usize, value: f32| {
                let row = (o / self.panel * points + point) * self.depth() + depth;
                values[row * self.panel + o % self.panel] = value;
            };
            match self.filter {
                None => taps.iter().enumerate().for_each(|(k, &tap)| put(0, k * self.x.width + c, tap)),
                Some(filter) => self.pack_filter(filter, c, taps, &mut put),
            }
        }
        packed
    }

    fn pack_filter(&self, filter: Filter, c: usize, taps: &[f32], put: &mut impl FnMut(usize, usize, f32)) {
        let stride = self.conv.stride;
        for part in 0..filter.parts {
            for phase in 0..stride {
                let tap = |j: usize| taps.get((part * filter.taps + j) * stride + phase).map_or(0.0, |&tap| tap.into());
                let taps: Vec<f64> = (0..filter.taps).map(tap).collect();
                for (point, value) in filtering::filter_at_points(&taps).into_iter().enumerate() {
                    put(point, part * self.columns() + phase * self.x.width + c, value as f32);
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

    /// Numbers of evaluated input.
    pub(super) fn evaluated(&self) -> usize {
        self.filter.map_or(0, |filter| POINTS * filter.batch * filter.row)
    }

    /// How many batches of groups there are, none without minimal filtering.
    pub(super) fn batches(&self) -> usize {
        self.filter.map_or(0, |filter| filter.groups.div_ceil(filter.batch))
    }

    fn batch(&self, filter: Filter, batch: usize) -> (usize, usize) {
        let start = batch * filter.batch;
        (start, filter.batch.min(filter.groups - start))
    }

    /// How many items [`Conv::evaluate`] has for a batch.
    pub(super) fn evaluate_items(&self, batch: usize) -> usize {
        self.filter.map_or(0, |filter| pieces(self.batch(filter, batch).1, self.rows))
    }

    /// Evaluates some of a batch's groups.
    ///
    /// # Safety
    /// Nobody writes `x`, and nobody else uses what belongs to the item in `values`.
    pub(super) unsafe fn evaluate(&self, kernels: &Kernels, batch: usize, item: usize, x: &Area, values: &Area) {
        let Some(filter) = self.filter else { unreachable!("a direct convolution evaluates nothing") };
        let (first, count) = self.batch(filter, batch);
        let (start, groups) = piece(count, self.evaluate_items(batch), item);
        let columns = self.columns();
        let from = self.x.at(-(self.conv.padding as isize)) + (first + start) * filter.outputs * columns;
        for part in 0..filter.parts {
            // SAFETY: as the caller vouches.
            let x = unsafe { x.read(from + part * filter.taps * columns..x.len()) };
            let at = start * filter.row + part * columns;
            let values_point = filter.batch * filter.row;
            let last = (POINTS - 1) * values_point + (groups - 1) * filter.row;
            let inputs = Evaluation {
                groups,
                columns,
                x,
                row: columns,
                group: filter.outputs * columns,
                values: values.place(at, 1, 0, last + columns.next_multiple_of(kernels.lanes)),
                values_row: filter.row,
                values_point,
            };
            // SAFETY: the processor has the kernels' instructions; the memory is the item's, as the caller vouches.
            unsafe { (kernels.evaluate)(&inputs) };
        }
    }

    /// How many items [`Conv::multiply`] has; `batch` only counts with minimal filtering.
    pub(super) fn multiply_items(&self, batch: usize) -> usize {
        self.panels() * self.tiles(batch)
    }

    fn tiles(&self, batch: usize) -> usize {
        let total = self.filter.map_or(self.conv.out_samples, |filter| self.batch(filter, batch).1);
        pieces(total, self.rows)
    }

    /// Computes one tile of outputs. Items are in the order of their weights, so that neighbours share them.
    ///
    /// # Safety
    /// Nobody writes `x` or `values`, and nobody else uses what belongs to the item in `y`.
    #[expect(clippy::too_many_arguments, reason = "two inputs, two constants and an output")]
    pub(super) unsafe fn multiply(
        &self,
        kernels: &Kernels,
        batch: usize,
        item: usize,
        x: &Area,
        values: &Area,
        weight: &[f32],
        bias: &[f32],
        y: &Area,
    ) {
        let tiles = self.tiles(batch);
        let (panel, tile) = (item / tiles, item % tiles);
        if item == 0 && batch == 0 {
            // SAFETY: the edges belong to the first item.
            unsafe { self.y.clear_edges(y) };
        }
        let finish = Finish { bias: &bias[panel * self.panel..][..self.panel], relu: self.conv.relu };
        let target = |sample: usize, samples: usize| Target {
            start: y.place(self.y.at(sample as isize) + panel * self.panel, samples, self.y.width, self.panel),
            row: self.y.width,
        };
        let depth = self.depth();
        match self.filter {
            None => {
                let (start, rows) = piece(self.conv.out_samples, tiles, tile);
                let weight = &weight[panel * depth * self.panel..][..depth * self.panel];
                let from = self.x.at(-(self.conv.padding as isize)) + start * self.columns();
                // SAFETY: as the caller vouches.
                let x = unsafe { x.read(from..x.len()) };
                let y = target(start, rows);
                // SAFETY: the processor has the kernels' instructions, and `y` has room as `target` has checked.
                unsafe { (kernels.direct)(&DirectTile { rows, depth, x, row: self.columns(), weight, finish, y }) };
            }
            Some(filter) => {
                let (first, count) = self.batch(filter, batch);
                let (start, rows) = piece(count, tiles, tile);
                let size = POINTS * depth * self.panel;
                let sample = (first + start) * filter.outputs;
                let samples = (rows * filter.outputs).min(self.conv.out_samples - sample);
                let tile = FilteredTile {
                    rows,
                    depth,
                    // SAFETY: as the caller vouches.
                    values: unsafe { values.read(start * filter.row..values.len()) },
                    row: filter.row,
                    point: filter.batch * filter.row,
                    weight: &weight[panel * size..][..size],
                    finish,
                    outputs: filter.outputs,
                    y: target(sample, samples),
                    samples,
                };
                // SAFETY: the processor has the kernels' instructions, and `y` has room as `target` has checked.
                unsafe { (kernels.filtered)(&tile) };
            }
        }
    }
}
