//! How a convolution runs: directly or by minimal filtering, in which tiles, and with weights in which order.

use super::{
    filtering::{self, Evaluation, FilteredTile, POINTS},
    instructions::Kernels,
    memory::{Aligned, Area, LINE},
    rows::Rows,
    tile::{DirectTile, Finish, Target},
};
use crate::kernels::Conv1d;

/// Numbers of evaluated input that an item makes and uses: 256 KB, a quarter of the second-level cache, most of which
/// the weights of a panel take.
const EVALUATED: usize = 64 << 10;

/// To bring a panel's weights takes about as long as so many rows of a tile.
const LOAD: usize = 2;

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
    /// Numbers of a group's values at one point.
    row: usize,
}

/// How a convolution is shared out: ranges of groups, or of positions if it runs directly, times parts of the panels.
/// An item evaluates the input of its range for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    ranges: usize,
    splits: usize,
}

impl Cut {
    pub(super) fn items(self) -> usize {
        self.ranges * self.splits
    }
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
        Self { parts, taps, outputs, groups, row }
    }

    /// Multiplications, with the transforms as so many more: about 30 instructions for a vector.
    fn cost(&self, columns: usize, out_width: usize) -> usize {
        let depth = self.parts * columns;
        self.groups * (POINTS * depth * out_width + 30 * depth + 30 * out_width)
    }
}

/// The beginning and the length of a piece of `total`, which is cut into equal pieces.
pub(super) fn piece(total: usize, pieces: usize, index: usize) -> (usize, usize) {
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
                let mut of_phase = [0.0; POINTS];
                let of_part = taps.iter().skip(part * filter.taps * stride + phase).step_by(stride);
                of_phase.iter_mut().take(filter.taps).zip(of_part).for_each(|(to, &tap)| *to = tap.into());
                let taps = &of_phase[..filter.taps];
                for (point, value) in filtering::filter_at_points(taps).into_iter().enumerate() {
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

    /// Groups of outputs, or positions if it runs directly: what the rows of tiles are.
    fn groups(&self) -> usize {
        self.filter.map_or(self.conv.out_samples, |filter| filter.groups)
    }

    /// The cut that should take the least time: that of the items that one worker does.
    pub(super) fn cut(&self, workers: usize) -> Cut {
        let most = self.filter.map_or(usize::MAX, |filter| (EVALUATED / (POINTS * filter.row)).max(self.rows));
        let least = self.groups().div_ceil(most);
        let cuts = (least..=self.groups().div_ceil(self.rows).max(least))
            .flat_map(|ranges| (1..=self.panels()).map(move |splits| Cut { ranges, splits }));
        cuts.min_by_key(|cut| self.cost(*cut, workers)).unwrap_or(Cut { ranges: least, splits: 1 })
    }

    /// Time of the worker that does most, in vector operations for one channel of input.
    fn cost(&self, cut: Cut, workers: usize) -> usize {
        let groups = self.groups().div_ceil(cut.ranges);
        let panels = self.panels().div_ceil(cut.splits);
        let (evaluate, multiply) = if self.filter.is_some() { (2, 2 * POINTS) } else { (0, 2) };
        cut.items().div_ceil(workers) * (groups * evaluate + panels * (groups + LOAD) * multiply)
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
