//! [`Linear`](crate::kernels::Linear): one matrix product of all records.

use super::{
    super::{
        micro_kernels::{
            MicroKernels,
            packing::Packing,
            tile::{DirectTile, Epilogue, OutputRows},
        },
        plan_layouts::BatchLayout,
        tiled_convolution::TileWeights,
    },
    Context, CpuOperation, Preparation,
    weights::Weights,
};
use crate::kernels;

/// How the weights of a linear layer are packed.
pub(super) fn packing(linear: &kernels::Linear, kernels: &MicroKernels) -> Packing {
    Packing {
        shape: [linear.out_features, linear.in_features, 1],
        stride: 1,
        pitch: linear.in_features,
        panel: kernels.panel,
        panels: linear.out_features.div_ceil(kernels.panel),
        filters: None,
    }
}

/// A linear layer of all records.
pub(super) struct Linear {
    weights: Weights,
    x: BatchLayout,
    y: BatchLayout,
    records: usize,
    depth: usize,
    panels: usize,
}

impl Linear {
    pub(super) fn new(preparation: &Preparation, step: usize, linear: &kernels::Linear) -> Self {
        let Preparation { plan, layouts, kernels, .. } = *preparation;
        Self {
            weights: Weights::new(preparation, step),
            x: layouts.activation(plan.steps[step].reads[0]),
            y: layouts.activation(plan.steps[step].write),
            records: linear.batch,
            depth: linear.in_features,
            panels: packing(linear, kernels).panels,
        }
    }

    /// Computes one panel of some records.
    ///
    /// # Safety
    /// No other thread writes x or accesses the panel of these records in y. The rows of the records are neighbours in both.
    unsafe fn tile(&self, panel: usize, first: usize, rows: usize, context: &Context) {
        let size = context.kernels.panel;
        let [(x, x_start), (y, y_start)] = [&self.x, &self.y].map(|layout| layout.record_row(context.workspace, first));
        // SAFETY: the caller guarantees the accesses; the processor has the micro-kernels' instructions.
        unsafe {
            let TileWeights { weight, bias } = self.weights.get();
            let pitch = self.y.rows.pitch;
            let tile = DirectTile {
                rows,
                depth: self.depth,
                x: x.read(x_start..x.len()),
                pitch: self.x.rows.pitch,
                weight: &weight[panel * self.depth * size..][..self.depth * size],
                epilogue: Epilogue { bias: &bias[panel * size..][..size], relu: false },
                y: OutputRows { start: y.pointer(y_start + panel * size, rows, pitch, size), pitch },
            };
            (context.kernels.direct)(&tile);
        }
    }
}

impl CpuOperation for Linear {
    fn phases(&self) -> Vec<usize> {
        self.weights.packing_items().into_iter().chain([self.panels]).collect()
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item packs a panel, or computes a panel of all records after all panels are packed.
        unsafe {
            #[cfg(feature = "gradients")]
            if phase == 0 && self.weights.packing_items().is_some() {
                return self.weights.pack(item, context);
            }
            let _ = phase;
            // Records that have buffers of their own are no neighbours, so each is a tile.
            let most = if self.x.matrix && self.y.matrix { context.kernels.rows } else { 1 };
            for first in (0..self.records).step_by(most) {
                if item == 0 && !self.y.matrix {
                    self.y.rows.clear_margins(self.y.buffer(context.workspace, first));
                }
                self.tile(item, first, most.min(self.records - first), context);
            }
        }
    }
}
