//! What has to run for one network, batch and length: steps over numbered buffers, every size known. Pure data; any
//! backend executes it, so that comparing two backends stage by stage costs nothing.

mod slots;

use std::sync::Arc;

use half::f16;

use crate::{
    Error, ErrorKind, Result,
    kernels::{Conv1d, GlobalAveragePool, Kernel, Linear, MaxPool},
    network::{Folded, FoldedOperation},
};

/// A buffer's number: its place in [`Plan::buffers`].
pub type BufferId = usize;

/// Numbers that steps read and write.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// The step that writes it, or the tensor that it holds.
    pub name: String,
    /// `[batch, channels, samples]` for an activation.
    pub shape: [usize; 3],
    /// What it holds from the start and for good, for a weight or a bias.
    pub constant: Option<Arc<[f32]>>,
    /// Activations of one slot share memory: none is needed once the next is written. Constants have none.
    pub slot: Option<usize>,
}

impl Buffer {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
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
    /// The buffer that it fills.
    pub write: BufferId,
}

/// Which activations can be read when the plan has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The embedding and the logits; the others share memory.
    Results,
    /// Every stage's, for comparing two backends.
    Stages,
}

/// A forward pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Records.
    pub batch: usize,
    /// Numbered by their place.
    pub buffers: Vec<Buffer>,
    /// In the order in which they run.
    pub steps: Vec<Step>,
    /// `[batch, leads, samples]`.
    pub input: BufferId,
    /// What can be read afterwards: embedding and logits with [`Keep::Results`], else every step's output in order.
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
        let shapes = folded.network.shapes(samples)?;
        let input = [batch, folded.network.in_channels(), samples];
        let mut builder = Builder { buffers: Vec::new(), steps: Vec::new() };
        let mut last = builder.buffer("input", input, None)?;
        let mut embedding = last;
        for layer in &folded.layers {
            let [channels, length] = shapes[layer.last_layer];
            last = builder.step(&layer.name, &layer.operation, last, [batch, channels, length])?;
            if layer.last_layer <= folded.network.embedding {
                embedding = last;
            }
        }
        let Builder { mut buffers, steps } = builder;
        let outputs = match keep {
            Keep::Results => vec![embedding, last],
            Keep::Stages => steps.iter().map(|step| step.write).collect(),
        };
        let slots = slots::assign(&mut buffers, &steps, &outputs);
        Ok(Self { batch, buffers, steps, input: 0, outputs, slots })
    }

    /// Bytes of activations in f32, shared memory counted once.
    pub fn activation_bytes(&self) -> usize {
        (0..self.slots).map(|slot| self.slot_bytes(slot)).sum()
    }

    /// Bytes of one slot in f32: those of its largest buffer.
    pub fn slot_bytes(&self, slot: usize) -> usize {
        let of_slot = self.buffers.iter().filter(|buffer| buffer.slot == Some(slot));
        of_slot.map(|buffer| buffer.len() * size_of::<f32>()).max().unwrap_or(0)
    }

    /// Whether a buffer is one of those that are kept in f16 where the precision is f16: all weights, and what
    /// convolutions and max pools write. The input, biases and features stay in f32: they are few, and the host has them
    /// so.
    pub fn may_be_f16(&self, id: BufferId) -> bool {
        let filters = |step: &Step| matches!(step.kernel, Kernel::Conv1d(_) | Kernel::MaxPool(_));
        self.steps.iter().any(|step| (step.write == id && filters(step)) || step.reads.get(1) == Some(&id))
    }

    /// The same plan with the weights that may be f16 rounded to it.
    pub fn with_f16_weights(&self) -> Self {
        let mut plan = self.clone();
        for id in (0..self.buffers.len()).filter(|&id| self.may_be_f16(id)) {
            let rounded = |values: &Arc<[f32]>| values.iter().map(|&value| f16::from_f32(value).to_f32()).collect();
            plan.buffers[id].constant = self.buffers[id].constant.as_ref().map(rounded);
        }
        plan
    }

    /// Multiplications and additions of the whole forward pass.
    pub fn floating_point_operations(&self) -> usize {
        self.steps.iter().map(|step| step.kernel.operation().floating_point_operations()).sum()
    }
}

struct Builder {
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
}

impl Builder {
    fn buffer(&mut self, name: &str, shape: [usize; 3], constant: Option<Arc<[f32]>>) -> Result<BufferId> {
        // Shaders index with 32 bits.
        let length = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if length.is_none_or(|length| length > u32::MAX as usize) {
            let cause = format!("buffer {name} would be {shape:?}, more than 2^32 numbers");
            return Err(Error::new(ErrorKind::Shape, cause, "give fewer records at once, or shorter ones"));
        }
        self.buffers.push(Buffer { name: name.into(), shape, constant, slot: None });
        Ok(self.buffers.len() - 1)
    }

    fn constant(&mut self, name: String, values: &Arc<[f32]>) -> Result<BufferId> {
        self.buffer(&name, [1, 1, values.len()], Some(values.clone()))
    }

    fn step(&mut self, name: &str, operation: &FoldedOperation, x: BufferId, out: [usize; 3]) -> Result<BufferId> {
        let [batch, channels, in_samples] = self.buffers[x].shape;
        let [_, out_channels, out_samples] = out;
        let mut reads = vec![x];
        let kernel = match operation {
            FoldedOperation::Conv1d { in_channels, kernel, stride, padding, relu, weight, bias, .. } => {
                reads.push(self.constant(format!("{name}.weight"), weight)?);
                reads.push(self.constant(format!("{name}.bias"), bias)?);
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
                reads.push(self.constant(format!("{name}.weight"), weight)?);
                reads.push(self.constant(format!("{name}.bias"), bias)?);
                Kernel::Linear(Linear { batch, in_features: *in_features, out_features: *out_features })
            }
        };
        let write = self.buffer(name, out, None)?;
        self.steps.push(Step { name: name.into(), kernel, reads, write });
        Ok(write)
    }
}
