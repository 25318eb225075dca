//! What has to run for one network, batch and length: steps over numbered buffers, every size known. Pure data; any
//! backend executes it, so that comparing two backends stage by stage costs nothing.

mod builder;
mod fuse;
mod slots;

use std::sync::Arc;

use half::f16;

use crate::{
    Error, ErrorKind, Result,
    kernels::{Conv1d, GlobalAveragePool, Kernel, Linear, MaxPool},
    network::{Folded, FoldedLayer, FoldedOperation},
};
pub use builder::Builder;
pub use fuse::FusedPlan;

/// A buffer's number: its place in [`Plan::buffers`].
pub type BufferId = usize;

/// What becomes of a buffer's numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// Made anew by each run, by the host or by a step. Activations of one slot share memory: none is needed once the next
    /// is written.
    Activation {
        /// Which memory.
        slot: usize,
    },
    /// The same from the start and for good: a weight or a bias.
    Constant(Arc<[f32]>),
    /// These to begin with, and from then on what the steps of one run leave to the next: parameters in training.
    State(Arc<[f32]>),
    /// A part of a state, from number `offset` on: what reads or writes it, reads or writes the state.
    Part {
        /// The state.
        of: BufferId,
        /// A multiple of [`PART_ALIGNMENT`].
        offset: usize,
    },
}

/// What the offset of a [`Role::Part`] is a multiple of, in floats: 256 bytes, at which every GPU can bind a buffer.
pub const PART_ALIGNMENT: usize = 64;

/// Numbers that steps read and write.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// The step that writes it, or the tensor that it holds.
    pub name: String,
    /// `[batch, channels, samples]` for an activation.
    pub shape: [usize; 3],
    /// What becomes of its numbers.
    pub role: Role,
}

impl Buffer {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// What a constant holds.
    pub fn constant(&self) -> Option<&Arc<[f32]>> {
        match &self.role {
            Role::Constant(values) => Some(values),
            _ => None,
        }
    }

    /// The memory of an activation.
    pub fn slot(&self) -> Option<usize> {
        match self.role {
            Role::Activation { slot } => Some(slot),
            _ => None,
        }
    }

    /// Whether it holds nothing; no plan has such a buffer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One operation on some buffers.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The network's layer that it stands for.
    pub name: String,
    /// What it does, with every size.
    pub kernel: Kernel,
    /// In the order that the kernel states.
    pub reads: Vec<BufferId>,
    /// The buffer that it fills, or, if that is a state, changes.
    pub write: BufferId,
}

/// Which activations can be read when the plan has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The embedding and the logits; the others share memory.
    Results,
    /// Every stage's, for comparing two backends.
    Stages,
    /// The same but for convolutions that a max pool of two follows, which a GPU then computes in one.
    Pooled,
}

/// A forward pass, or a step of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Records.
    pub batch: usize,
    /// Numbered by their place.
    pub buffers: Vec<Buffer>,
    /// In the order in which they run.
    pub steps: Vec<Step>,
    /// What the host hands in, the records `[batch, leads, samples]` first.
    pub inputs: Vec<BufferId>,
    /// What can be read afterwards: embedding and logits with [`Keep::Results`], else the steps' outputs in order.
    pub outputs: Vec<BufferId>,
    /// How many slots the activations need.
    pub slots: usize,
}

/// Where [`Plan::outputs`] has the embedding and the logits of a plan with [`Keep::Results`].
pub const EMBEDDING: usize = 0;
/// As [`EMBEDDING`].
pub const LOGITS: usize = 1;

impl Plan {
    /// The plan for an input `[batch, leads, samples]`.
    ///
    /// # Errors
    /// A batch or a length of zero, a layer whose output would be empty, or sizes beyond what can be counted.
    pub fn new(folded: &Folded, batch: usize, samples: usize, keep: Keep) -> Result<Self> {
        if batch == 0 {
            return Err(Error::new(ErrorKind::Shape, "a batch of zero records", "give at least one record"));
        }
        let input = [batch, folded.network.in_channels(), samples];
        let mut builder = Builder::default();
        let input = builder.input("input", input)?;
        let last = forward(&mut builder, folded, input)?;
        let stages: Vec<BufferId> = builder.steps().iter().map(|step| step.write).collect();
        let within = |layer: &FoldedLayer| layer.last_layer <= folded.network.embedding;
        let embedding =
            folded.layers.iter().zip(&stages).rfind(|(layer, _)| within(layer)).map_or(input, |(_, id)| *id);
        let outputs = match keep {
            Keep::Results => vec![embedding, last],
            Keep::Stages => stages,
            Keep::Pooled => {
                let pooled = |at: usize| builder.steps().get(at..at + 2).and_then(fuse::fused_max_pool).is_some();
                (0..stages.len()).filter(|&at| !pooled(at)).map(|at| stages[at]).collect()
            }
        };
        Ok(builder.finish(outputs))
    }

    /// The records that the host hands in.
    pub fn input(&self) -> BufferId {
        self.inputs[0]
    }

    /// Bytes of activations in f32, shared memory counted once.
    pub fn activation_bytes(&self) -> usize {
        (0..self.slots).map(|slot| self.slot_bytes(slot)).sum()
    }

    /// Bytes of one slot in f32: those of its largest buffer.
    pub fn slot_bytes(&self, slot: usize) -> usize {
        let of_slot = self.buffers.iter().filter(|buffer| buffer.slot() == Some(slot));
        of_slot.map(|buffer| buffer.len() * size_of::<f32>()).max().unwrap_or(0)
    }

    /// Whether a buffer is one of those that are kept in f16 where the precision is f16: all weights, and what
    /// convolutions and max pools write. The input, biases and features stay in f32: they are few, and the host has them
    /// so.
    pub fn may_be_f16(&self, id: BufferId) -> bool {
        let written = |step: &Step| step.write == id && step.kernel.operation().writes_f16();
        self.steps.iter().any(|step| written(step) || step.reads.get(1) == Some(&id))
    }

    /// The same plan with the weights that may be f16 rounded to it.
    pub fn with_f16_weights(&self) -> Self {
        let mut plan = self.clone();
        for id in (0..self.buffers.len()).filter(|&id| self.may_be_f16(id)) {
            let rounded = |values: &Arc<[f32]>| values.iter().map(|&value| f16::from_f32(value).to_f32()).collect();
            if let Role::Constant(values) = &mut plan.buffers[id].role {
                *values = rounded(values);
            }
        }
        plan
    }

    /// Multiplications and additions of the whole forward pass.
    pub fn floating_point_operations(&self) -> usize {
        self.steps.iter().map(|step| step.kernel.operation().floating_point_operations()).sum()
    }
}

/// Adds the steps of a forward pass of x `[batch, leads, samples]`, and returns what comes out of the last.
///
/// # Errors
/// A length of zero, a layer whose output would be empty, or sizes beyond what can be counted.
pub fn forward(builder: &mut Builder, folded: &Folded, x: BufferId) -> Result<BufferId> {
    let [batch, _, samples] = builder.shape(x);
    let shapes = folded.network.shapes(samples)?;
    folded.layers.iter().try_fold(x, |x, layer| {
        let [channels, length] = shapes[layer.last_layer];
        step(builder, &layer.name, &layer.operation, x, [batch, channels, length])
    })
}

/// Adds a layer's step, which reads x and writes a buffer shaped `out`.
fn step(
    builder: &mut Builder,
    name: &str,
    operation: &FoldedOperation,
    x: BufferId,
    out: [usize; 3],
) -> Result<BufferId> {
    let [batch, channels, in_samples] = builder.shape(x);
    let [_, out_channels, out_samples] = out;
    let mut reads = vec![x];
    let kernel = match operation {
        FoldedOperation::Conv1d { in_channels, kernel, stride, padding, relu, weight, bias, .. } => {
            reads.push(builder.constant(&format!("{name}.weight"), weight)?);
            reads.push(builder.constant(&format!("{name}.bias"), bias)?);
            Kernel::Conv1d(Conv1d {
                batch,
                in_channels: *in_channels,
                in_samples,
                out_channels,
                out_samples,
                kernel: *kernel,
                stride: *stride,
                padding: *padding,
                relu: *relu,
                fused_max_pool: false,
            })
        }
        FoldedOperation::MaxPool { kernel, stride } => {
            let (kernel, stride) = (*kernel, *stride);
            Kernel::MaxPool(MaxPool { batch, channels, in_samples, out_samples, kernel, stride })
        }
        FoldedOperation::GlobalAveragePool => {
            Kernel::GlobalAveragePool(GlobalAveragePool { batch, channels, samples: in_samples })
        }
        FoldedOperation::Linear { in_features, out_features, weight, bias } => {
            reads.push(builder.constant(&format!("{name}.weight"), weight)?);
            reads.push(builder.constant(&format!("{name}.bias"), bias)?);
            Kernel::Linear(Linear { batch, in_features: *in_features, out_features: *out_features })
        }
    };
    builder.step(name, kernel, &reads, out)
}
