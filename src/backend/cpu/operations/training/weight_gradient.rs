//! [`Conv1dWeightGradient`]: the gradient of a convolution or a linear layer by its weights, in register tiles.
//!
//! In channels-last rows the taps and channels of x that one sample of dy meets are contiguous, so the gradient is a sum of
//! outer products over all samples. Each item owns some tiles and goes through all records in order. No partial sums of
//! threads have to be added, and the bits do not depend on how the tiles are shared among threads.

use super::super::{
    super::{
        aligned_buffer::AlignedBuffer,
        micro_kernels::outer_product::OuterProductTile,
        partition::part,
        plan_layouts::{BatchLayout, BufferSlice},
    },
    Context, CpuOperation, Preparation,
};
use crate::{kernels::training::Conv1dWeightGradient, plan::Step};

/// The weight gradient of all records.
pub(super) struct WeightGradient {
    kernel: Conv1dWeightGradient,
    x: BatchLayout,
    dy: BatchLayout,
    to: BufferSlice,
    /// `[panels, depth, channels of a panel]`; the depth is the taps and channels of x as in its rows.
    sums: AlignedBuffer,
    panel: usize,
    panels: usize,
    depth: usize,
    /// The tiles of a panel.
    tiles: usize,
    /// The work items that share a panel's tiles.
    items_per_panel: usize,
}

/// The work items of each worker: enough for one worker to help when another is late, and few enough that the records are
/// not loaded again for every few tiles.
const ITEMS_PER_WORKER: usize = 4;

impl WeightGradient {
    pub(super) fn new(preparation: &Preparation, step: &Step, kernel: &Conv1dWeightGradient) -> Self {
        let Preparation { layouts, kernels, workers, .. } = *preparation;
        let [x, dy] = [0, 1].map(|read| layouts.activation(step.reads[read]));
        let depth = kernel.kernel * x.rows.pitch;
        let (panels, tiles) = (kernel.out_channels.div_ceil(kernels.panel), depth.div_ceil(kernels.rows));
        Self {
            kernel: kernel.clone(),
            x,
            dy,
            to: layouts.slice(step.write),
            sums: AlignedBuffer::new(panels * depth * kernels.panel),
            panel: kernels.panel,
            panels,
            depth,
            tiles,
            items_per_panel: (ITEMS_PER_WORKER * workers).div_ceil(panels).min(tiles),
        }
    }

    /// Sums the outer products of an item's tiles over all records.
    ///
    /// # Safety
    /// No other thread writes x and dy, or accesses the item's sums.
    unsafe fn sum(&self, item: usize, context: &Context) {
        let (panel, item) = (item / self.items_per_panel, item % self.items_per_panel);
        let (first, tiles) = part(self.tiles, self.items_per_panel, item);
        let padding = if self.x.matrix { 0 } else { self.kernel.padding as isize };
        let rows_of = |tile: usize| part(self.depth, self.tiles, tile);
        let start = rows_of(first).0;
        let end = rows_of(first + tiles - 1).0 + rows_of(first + tiles - 1).1;
        let offset = |row: usize| (panel * self.depth + row) * self.panel;
        // SAFETY: the caller guarantees the accesses; the processor has the micro-kernels' instructions.
        unsafe {
            self.sums.write(offset(start)..offset(end)).fill(0.0);
            for record in 0..self.x.buffers {
                let [x, dy] = [&self.x, &self.dy].map(|layout| layout.buffer(context.workspace, record));
                let x = x.read(self.x.rows.offset(-padding)..x.len());
                let dy = dy.read(self.dy.rows.offset(0) + panel * self.panel..dy.len());
                for tile in first..first + tiles {
                    let (row, rows) = rows_of(tile);
                    let mut tile = OuterProductTile {
                        rows,
                        samples: self.dy.rows.samples,
                        x: &x[row..],
                        x_pitch: self.kernel.stride * self.x.rows.pitch,
                        dy,
                        dy_pitch: self.dy.rows.pitch,
                        sums: self.sums.write(offset(row)..offset(row + rows)),
                    };
                    (context.kernels.training.outer_product)(&mut tile);
                }
            }
        }
    }

    /// Copies a panel's sums into the order of the weights.
    ///
    /// # Safety
    /// The sums are complete, and no other thread accesses the panel's part of the gradient.
    unsafe fn reorder(&self, panel: usize, context: &Context) {
        let Conv1dWeightGradient { in_channels, out_channels, kernel, .. } = self.kernel;
        let len = in_channels * kernel;
        let first = panel * self.panel;
        let outputs = self.panel.min(out_channels - first);
        // SAFETY: the caller guarantees the accesses.
        unsafe {
            let sums = self.sums.read(panel * self.depth * self.panel..(panel + 1) * self.depth * self.panel);
            let to = self.to.part(first * len, outputs * len).write(context.workspace);
            for (o, to) in to.chunks_mut(len).enumerate() {
                for (c, to) in to.chunks_mut(kernel).enumerate() {
                    for (k, value) in to.iter_mut().enumerate() {
                        *value = sums[(k * self.x.rows.pitch + c) * self.panel + o];
                    }
                }
            }
        }
    }
}

impl CpuOperation for WeightGradient {
    fn phases(&self) -> Vec<usize> {
        vec![self.panels * self.items_per_panel, self.panels]
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item has its own tiles in the first phase, and its own panel in the second.
        unsafe { if phase == 0 { self.sum(item, context) } else { self.reorder(item, context) } }
    }
}
