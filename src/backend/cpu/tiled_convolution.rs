//! A convolution in tiles: one record's outputs, in work items that threads can share.
//!
//! The measurements behind the choices are in `docs/measurements/cpu-convolution.md`.

use super::{
    aligned_buffer::AlignedBuffer,
    layout::ChannelsLastLayout,
    micro_kernels::{
        MicroKernels,
        packing::Packing,
        tile::{DirectTile, Epilogue, OutputRows},
        winograd::{InputTransform, POINTS, WinogradTile},
    },
    partition::{ConvolutionSize, Partition, Winograd, part},
};
use crate::kernels::Conv1d;

/// A convolution of one record with all decisions made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TiledConvolution {
    conv: Conv1d,
    x: ChannelsLastLayout,
    y: ChannelsLastLayout,
    /// The channels of a tile.
    panel: usize,
    /// The rows of the largest tile.
    rows: usize,
    /// The division into groups, if the Winograd algorithm is used.
    winograd: Option<Winograd>,
}

/// The weights of a convolution as it reads them.
#[derive(Clone, Copy)]
pub(super) struct TileWeights<'a> {
    /// The packed weights of all panels.
    pub(super) weight: &'a [f32],
    /// The bias, with zeros up to whole panels.
    pub(super) bias: &'a [f32],
}

/// The buffers of one work item.
#[derive(Clone, Copy)]
pub(super) struct TileBuffers<'a> {
    pub(super) x: &'a AlignedBuffer,
    /// Room for [`TiledConvolution::scratch_len`] numbers.
    pub(super) scratch: &'a AlignedBuffer,
    pub(super) y: &'a AlignedBuffer,
}

/// The position of a register tile: some groups, or positions, of one panel.
struct Tile {
    panel: usize,
    first: usize,
    rows: usize,
}

impl TiledConvolution {
    /// Decides how the convolution runs, and extends the zeros of `x` as far as it reads.
    pub(super) fn new(conv: &Conv1d, x: &mut ChannelsLastLayout, kernels: &MicroKernels) -> Self {
        let y = ChannelsLastLayout {
            channels: conv.out_channels,
            pitch: conv.out_channels.next_multiple_of(kernels.panel),
            samples: conv.out_samples,
            zeros_before: 0,
            zeros_after: 0,
        };
        let winograd = Winograd::cheapest(conv, x.pitch, y.pitch, kernels);
        let rows = match winograd {
            None => (conv.out_samples - 1) * conv.stride + conv.kernel,
            Some(Winograd { filters, outputs, groups, .. }) => {
                let start = (groups - 1) * outputs + (filters.count - 1) * filters.taps;
                (start + POINTS) * conv.stride
            }
        };
        x.extend(conv.padding, rows);
        Self { conv: conv.clone(), x: *x, y, panel: kernels.panel, rows: kernels.rows, winograd }
    }

    /// Sets the final layouts, once all readers of x and y have extended them.
    pub(super) fn set_layouts(&mut self, x: ChannelsLastLayout, y: ChannelsLastLayout) {
        (self.x, self.y) = (x, y);
    }

    /// How the weights must be packed.
    pub(super) fn packing(&self) -> Packing {
        let Conv1d { in_channels, out_channels, kernel, stride, .. } = self.conv;
        Packing {
            shape: [out_channels, in_channels, kernel],
            stride,
            pitch: self.x.pitch,
            panel: self.panel,
            panels: self.panels(),
            filters: self.winograd.map(|winograd| winograd.filters),
        }
    }

    fn panels(&self) -> usize {
        self.y.pitch / self.panel
    }

    /// The numbers of an input row as a tile sees it. With a stride it holds several samples.
    fn columns(&self) -> usize {
        self.conv.stride * self.x.pitch
    }

    /// The rows of all tiles of a panel: groups of outputs, or positions if the convolution is direct.
    fn groups(&self) -> usize {
        self.winograd.map_or(self.conv.out_samples, |winograd| winograd.groups)
    }

    /// Returns the best partition of a record's work for `workers` threads.
    pub(super) fn partition(&self, workers: usize) -> Partition {
        let (groups, rows, panels) = (self.groups(), self.rows, self.panels());
        ConvolutionSize { groups, rows, panels, winograd: self.winograd }.best_partition(workers)
    }

    /// The numbers of scratch memory that an item needs, for the transformed input.
    pub(super) fn scratch_len(&self, partition: Partition) -> usize {
        let groups = self.groups().div_ceil(partition.group_ranges);
        self.winograd.map_or(0, |winograd| POINTS * groups * winograd.group_pitch)
    }

    /// Computes the outputs of one work item. Items that read the same weights are neighbours, so that each worker's share
    /// reads few weights.
    ///
    /// # Safety
    /// No other thread writes x, uses the scratch memory, or accesses the item's part of y.
    pub(super) unsafe fn run(
        &self,
        kernels: &MicroKernels,
        partition: Partition,
        item: usize,
        weights: TileWeights,
        buffers: TileBuffers,
    ) {
        let TileBuffers { x, scratch, y } = buffers;
        let (panel_range, group_range) = (item / partition.group_ranges, item % partition.group_ranges);
        let (first, groups) = part(self.groups(), partition.group_ranges, group_range);
        if item == 0 {
            // SAFETY: the margins belong to the first item.
            unsafe { self.y.clear_margins(y) };
        }
        // SAFETY: the caller guarantees that no thread writes `x`.
        let x = unsafe { x.read(self.x.offset(-(self.conv.padding as isize))..x.len()) };
        if let Some(winograd) = self.winograd {
            // SAFETY: the caller guarantees that no other thread uses the scratch memory.
            unsafe { self.transform_input(kernels, winograd, [first, groups], x, scratch) };
        }
        let (first_panel, panels) = part(self.panels(), partition.panel_ranges, panel_range);
        let tiles = groups.div_ceil(self.rows);
        for panel in first_panel..first_panel + panels {
            for tile in 0..tiles {
                let (start, rows) = part(groups, tiles, tile);
                let tile = Tile { panel, first: first + start, rows };
                // SAFETY: the item's outputs belong to it, and the transformed input is complete.
                unsafe {
                    match self.winograd {
                        None => self.direct_tile(kernels, tile, weights, x, y),
                        Some(winograd) => {
                            let point_pitch = groups * winograd.group_pitch;
                            let input = scratch.read(start * winograd.group_pitch..POINTS * point_pitch);
                            self.winograd_tile(kernels, winograd, tile, weights, (input, point_pitch), y);
                        }
                    }
                }
            }
        }
    }

    /// Transforms the input of some groups. `x` begins with the padding.
    ///
    /// # Safety
    /// No other thread uses `to`.
    unsafe fn transform_input(
        &self,
        kernels: &MicroKernels,
        winograd: Winograd,
        [first, groups]: [usize; 2],
        x: &[f32],
        to: &AlignedBuffer,
    ) {
        let columns = self.columns();
        let Winograd { filters, outputs, group_pitch, .. } = winograd;
        for filter in 0..filters.count {
            let last = ((POINTS - 1) * groups + groups - 1) * group_pitch;
            let job = InputTransform {
                groups,
                columns,
                x: &x[(first * outputs + filter * filters.taps) * columns..],
                row_pitch: columns,
                group_pitch: outputs * columns,
                to: to.pointer(filter * columns, 1, 0, last + columns.next_multiple_of(kernels.lanes)),
                to_group_pitch: group_pitch,
                to_point_pitch: groups * group_pitch,
            };
            // SAFETY: the processor has the micro-kernels' instructions; the caller guarantees exclusive access to `to`.
            unsafe { (kernels.transform_input)(&job) };
        }
    }

    fn epilogue<'a>(&self, panel: usize, bias: &'a [f32]) -> Epilogue<'a> {
        Epilogue { bias: &bias[panel * self.panel..][..self.panel], relu: self.conv.relu }
    }

    /// Where the outputs of `samples` positions are written.
    fn output_rows(&self, panel: usize, sample: usize, samples: usize, y: &AlignedBuffer) -> OutputRows {
        let start = self.y.offset(sample as isize) + panel * self.panel;
        OutputRows { start: y.pointer(start, samples, self.y.pitch, self.panel), pitch: self.y.pitch }
    }

    /// # Safety
    /// No other thread accesses the tile's part of y.
    unsafe fn direct_tile(
        &self,
        kernels: &MicroKernels,
        tile: Tile,
        TileWeights { weight, bias }: TileWeights,
        x: &[f32],
        y: &AlignedBuffer,
    ) {
        let Tile { panel, first, rows } = tile;
        let depth = self.packing().depth();
        let tile = DirectTile {
            rows,
            depth,
            x: &x[first * self.columns()..],
            pitch: self.columns(),
            weight: &weight[panel * depth * self.panel..][..depth * self.panel],
            epilogue: self.epilogue(panel, bias),
            y: self.output_rows(panel, first, rows, y),
        };
        // SAFETY: the processor has the micro-kernels' instructions; `output_rows` has checked that `y` has room.
        unsafe { (kernels.direct)(&tile) };
    }

    /// # Safety
    /// No other thread accesses the tile's part of y.
    unsafe fn winograd_tile(
        &self,
        kernels: &MicroKernels,
        winograd: Winograd,
        tile: Tile,
        TileWeights { weight, bias }: TileWeights,
        (input, point_pitch): (&[f32], usize),
        y: &AlignedBuffer,
    ) {
        let Tile { panel, first, rows } = tile;
        let packing = self.packing();
        let size = packing.panel_len();
        let sample = first * winograd.outputs;
        let samples = (rows * winograd.outputs).min(self.conv.out_samples - sample);
        let tile = WinogradTile {
            rows,
            depth: packing.depth(),
            depth_at_infinity: packing.depth_at_infinity(),
            input,
            group_pitch: winograd.group_pitch,
            point_pitch,
            weight: &weight[panel * size..][..size],
            epilogue: self.epilogue(panel, bias),
            outputs: winograd.outputs,
            y: self.output_rows(panel, sample, samples, y),
            samples,
        };
        // SAFETY: the processor has the micro-kernels' instructions; `output_rows` has checked that `y` has room.
        unsafe { (kernels.winograd)(&tile) };
    }
}
