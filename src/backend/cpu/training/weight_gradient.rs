//! The gradient of a convolution or a linear layer by its weights, in register tiles.
//!
//! In rows of channels, the taps and channels that one sample of dy meets are one run of numbers of x, so the gradient is
//! a sum of outer products over all samples. Each item owns some tiles and goes through all records in order, so that no
//! partial sums of threads have to be joined, and the bits do not depend on how the tiles are shared out.

use super::{
    Context, Operation,
    outer::OuterTile,
    places::{Places, Spot, Spread},
};
use crate::{
    backend::cpu::{choice::piece, instructions::Kernels, memory::Area},
    kernels::training::Conv1dWeightGradient,
    plan::Step,
};

pub(super) struct WeightGradient {
    kernel: Conv1dWeightGradient,
    x: Spread,
    dy: Spread,
    into: Spot,
    /// `[panels, depth, channels of a panel]`, the taps and channels of x as in its rows.
    sums: Area,
    panel: usize,
    panels: usize,
    depth: usize,
    /// Tiles of a panel.
    tiles: usize,
    /// Parts that a panel's tiles are shared out in.
    parts: usize,
}

/// Items for each worker: enough for one to help when another is late, few enough that records are not brought anew for
/// every few tiles.
const ITEMS: usize = 4;

impl WeightGradient {
    pub(super) fn new(
        places: &Places,
        step: &Step,
        kernel: &Conv1dWeightGradient,
        kernels: &Kernels,
        workers: usize,
    ) -> Self {
        let (x, dy) = (places.rows(step.reads[0]), places.rows(step.reads[1]));
        let depth = kernel.kernel * x.rows.width;
        let (panels, tiles) = (kernel.out_channels.div_ceil(kernels.panel), depth.div_ceil(kernels.rows));
        Self {
            kernel: kernel.clone(),
            x,
            dy,
            into: places.spot(step.write),
            sums: Area::new(panels * depth * kernels.panel),
            panel: kernels.panel,
            panels,
            depth,
            tiles,
            parts: (ITEMS * workers).div_ceil(panels).min(tiles),
        }
    }

    /// # Safety
    /// As of [`Operation::run`].
    unsafe fn sum(&self, item: usize, context: &Context) {
        let (panel, part) = (item / self.parts, item % self.parts);
        let (first, tiles) = piece(self.tiles, self.parts, part);
        let padding = if self.x.matrix { 0 } else { self.kernel.padding as isize };
        let at = |tile: usize| piece(self.depth, self.tiles, tile);
        let start = at(first).0;
        let end = at(first + tiles - 1).0 + at(first + tiles - 1).1;
        let place = |row: usize| (panel * self.depth + row) * self.panel;
        // SAFETY: each item has its own rows of sums, and nobody writes x and dy.
        unsafe {
            self.sums.write(place(start)..place(end)).fill(0.0);
            for record in 0..self.x.records {
                let (x, dy) = (self.x.area(context.memory, record), self.dy.area(context.memory, record));
                let x = x.read(self.x.rows.at(-padding)..x.len());
                let dy = dy.read(self.dy.rows.at(0) + panel * self.panel..dy.len());
                for tile in first..first + tiles {
                    let (row, rows) = at(tile);
                    let mut tile = OuterTile {
                        rows,
                        samples: self.dy.rows.samples,
                        x: &x[row..],
                        x_row: self.kernel.stride * self.x.rows.width,
                        dy,
                        dy_row: self.dy.rows.width,
                        sums: self.sums.write(place(row)..place(row + rows)),
                    };
                    (context.kernels.training.outer)(&mut tile);
                }
            }
        }
    }

    /// Brings a panel's sums into the order of the weights.
    ///
    /// # Safety
    /// As of [`Operation::run`].
    unsafe fn finish(&self, panel: usize, context: &Context) {
        let Conv1dWeightGradient { in_channels, out_channels, kernel, .. } = self.kernel;
        let len = in_channels * kernel;
        let first = panel * self.panel;
        let outputs = self.panel.min(out_channels - first);
        // SAFETY: each item has its own outputs, and the sums are done.
        unsafe {
            let sums = self.sums.read(panel * self.depth * self.panel..(panel + 1) * self.depth * self.panel);
            let into = self.into.part(first * len, outputs * len).write(context.memory);
            for (o, into) in into.chunks_mut(len).enumerate() {
                for (c, into) in into.chunks_mut(kernel).enumerate() {
                    for (k, value) in into.iter_mut().enumerate() {
                        *value = sums[(k * self.x.rows.width + c) * self.panel + o];
                    }
                }
            }
        }
    }
}

impl Operation for WeightGradient {
    fn phases(&self) -> Vec<usize> {
        vec![self.panels * self.parts, self.panels]
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: as the caller vouches.
        unsafe { if phase == 0 { self.sum(item, context) } else { self.finish(item, context) } }
    }
}
