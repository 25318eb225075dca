//! [`Conv1d`](crate::kernels::Conv1d).

use super::{
    super::{
        partition::Partition,
        plan_layouts::BatchLayout,
        tiled_convolution::{TileBuffers, TiledConvolution},
    },
    Context, CpuOperation, Preparation,
    weights::Weights,
};

/// A convolution of all records.
pub(super) struct Convolution {
    convolution: TiledConvolution,
    /// The work items of each record.
    partition: Partition,
    weights: Weights,
    x: BatchLayout,
    y: BatchLayout,
}

impl Convolution {
    pub(super) fn new(preparation: &Preparation, step: usize) -> Self {
        let Preparation { plan, layouts, workers_per_record, .. } = *preparation;
        let convolution = layouts.convolution(step).clone();
        Self {
            partition: convolution.partition(workers_per_record),
            weights: Weights::new(preparation, step),
            x: layouts.activation(plan.steps[step].reads[0]),
            y: layouts.activation(plan.steps[step].write),
            convolution,
        }
    }
}

impl CpuOperation for Convolution {
    fn phases(&self) -> Vec<usize> {
        let compute = self.x.buffers * self.partition.items();
        self.weights.packing_items().into_iter().chain([compute]).collect()
    }

    fn scratch_len(&self) -> usize {
        self.convolution.scratch_len(self.partition)
    }

    unsafe fn run(&self, phase: usize, item: usize, context: &Context) {
        // SAFETY: each item packs a panel, or computes its own part of a record after all panels are packed.
        unsafe {
            #[cfg(feature = "gradients")]
            if phase == 0 && self.weights.packing_items().is_some() {
                return self.weights.pack(item, context);
            }
            let _ = phase;
            let (record, item) = (item / self.partition.items(), item % self.partition.items());
            let buffers = TileBuffers {
                x: self.x.buffer(context.workspace, record),
                scratch: context.scratch,
                y: self.y.buffer(context.workspace, record),
            };
            self.convolution.run(context.kernels, self.partition, item, self.weights.get(), buffers);
        }
    }
}
