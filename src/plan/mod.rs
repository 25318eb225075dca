//! A plan: all steps of a forward pass or a training step, for one network, batch and length, over numbered buffers.
//!
//! A plan is pure data with every size known. Every backend executes the same plan, so that backends can be compared stage by
//! stage.

mod builder;
mod check;
mod fuse;
#[cfg(any(feature = "train", feature = "explain"))]
mod input_gradient;
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
#[cfg(any(feature = "train", feature = "explain"))]
pub(crate) use input_gradient::{conv1d_input_gradient, linear_input_gradient};

/// The number of a buffer: its index in [`Plan::buffers`].
pub type BufferId = usize;

/// How long a buffer keeps its numbers, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// Each run writes the numbers, as an input or by a step. Activations of one slot share memory: none is needed when the
    /// next is written.
    Activation {
        /// The memory that the activation is stored in.
        slot: usize,
    },
    /// The numbers never change: a weight or a bias.
    Constant(Arc<[f32]>),
    /// The buffer starts with these numbers and keeps what the steps write from run to run: parameters in training.
    State(Arc<[f32]>),
    /// A part of a state: a step that reads or writes it reads or writes the state.
    Part {
        /// The state that this is a part of.
        of: BufferId,
        /// The index of the first number in the state, a multiple of [`PART_ALIGNMENT`].
        offset: usize,
    },
}

/// The alignment of a [`Role::Part`] in numbers: 256 bytes, an offset at which every GPU can bind a buffer.
pub const PART_ALIGNMENT: usize = 64;

/// A buffer of numbers that steps read and write.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// The name of the step that writes the buffer, or of the tensor that it contains.
    pub name: String,
    /// `[batch, channels, samples]` for an activation.
    pub shape: [usize; 3],
    /// How long the numbers are kept.
    pub role: Role,
}

impl Buffer {
    /// The number of numbers in the buffer.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The numbers of a constant; none for another buffer.
    pub fn constant(&self) -> Option<&Arc<[f32]>> {
        match &self.role {
            Role::Constant(values) => Some(values),
            _ => None,
        }
    }

    /// The slot of an activation; none for another buffer.
    pub fn slot(&self) -> Option<usize> {
        match self.role {
            Role::Activation { slot } => Some(slot),
            _ => None,
        }
    }

    /// Whether the buffer has no numbers. No plan contains such a buffer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One operation with the buffers that it reads and the buffer that it writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name of the layer that the step computes.
    pub name: String,
    /// The operation with every size.
    pub kernel: Kernel,
    /// The buffers that are read, in the order that the operation documents.
    pub reads: Vec<BufferId>,
    /// The buffer that is written, or changed if it is a state.
    pub write: BufferId,
}

/// The activations that can be read after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The embedding and the logits. The other activations share memory.
    Results,
    /// The output of every step, to compare two backends stage by stage.
    Stages,
    /// The outputs of all steps except convolutions before a max pool of two, which a GPU fuses with the pool.
    Pooled,
}

/// All steps of a forward pass or of a training step.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Records.
    pub batch: usize,
    /// The buffers, numbered by their index.
    pub buffers: Vec<Buffer>,
    /// The steps in the order in which they run.
    pub steps: Vec<Step>,
    /// The buffers that the host fills before a run: first the records `[batch, leads, samples]`.
    pub inputs: Vec<BufferId>,
    /// The buffers that the host can read after a run: embedding and logits with [`Keep::Results`], otherwise outputs of steps
    /// in order.
    pub outputs: Vec<BufferId>,
    /// The number of slots of the activations.
    pub slots: usize,
}

/// The index of the embedding in [`Plan::outputs`] of a plan with [`Keep::Results`].
pub(crate) const EMBEDDING: usize = 0;
/// The index of the logits in [`Plan::outputs`] of a plan with [`Keep::Results`].
pub(crate) const LOGITS: usize = 1;

impl Plan {
    /// Makes the plan of the forward pass of an input `[batch, leads, samples]`.
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

    /// The buffer of the records that the host fills.
    pub fn input(&self) -> BufferId {
        self.inputs[0]
    }

    /// The bytes of all activations in f32, with shared memory counted once.
    pub fn activation_bytes(&self) -> usize {
        (0..self.slots).map(|slot| self.slot_bytes(slot)).sum()
    }

    /// The bytes of one slot in f32: those of its largest buffer.
    pub fn slot_bytes(&self, slot: usize) -> usize {
        let of_slot = self.buffers.iter().filter(|buffer| buffer.slot() == Some(slot));
        of_slot.map(|buffer| buffer.len() * size_of::<f32>()).max().unwrap_or(0)
    }

    /// Whether a buffer is stored in f16 if the precision is f16: all weights, and the outputs of operations that
    /// [may write f16](crate::kernels::Operation::writes_f16). The input, biases and features stay in f32: they are few, and
    /// the host uses f32.
    pub fn may_be_f16(&self, id: BufferId) -> bool {
        let written = |step: &Step| step.write == id && step.kernel.operation().writes_f16();
        self.steps.iter().any(|step| written(step) || step.reads.get(1) == Some(&id))
    }

    /// Returns the same plan for another number of records.
    ///
    /// # Errors
    /// The number of a step whose records depend on each other.
    pub(crate) fn with_batch(&self, batch: usize) -> std::result::Result<Self, usize> {
        let mut plan = Self { batch, ..self.clone() };
        for (at, step) in plan.steps.iter_mut().enumerate() {
            step.kernel = step.kernel.with_batch(batch).ok_or(at)?;
        }
        let activations = plan.buffers.iter_mut().filter(|buffer| buffer.slot().is_some());
        activations.for_each(|buffer| buffer.shape[0] = batch);
        Ok(plan)
    }

    /// Rounds the weights that may be stored in f16 to f16.
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

    /// Counts the multiplications and additions of all steps.
    pub fn floating_point_operations(&self) -> u64 {
        self.steps.iter().map(|step| step.kernel.operation().floating_point_operations()).sum()
    }
}

/// Adds the steps of a forward pass of x `[batch, leads, samples]` and returns the output of the last.
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

/// Adds the step of a layer, which reads x and writes a buffer of shape `out`.
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
