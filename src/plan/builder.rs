//! Builds a plan step by step.

use std::sync::Arc;

use super::{Buffer, BufferId, PART_ALIGNMENT, Plan, Role, Step, slots};
use crate::{Error, ErrorKind, Result, kernels::Kernel};

/// Builds a plan step by step.
#[derive(Debug, Default)]
pub struct Builder {
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    inputs: Vec<BufferId>,
}

impl Builder {
    fn buffer(&mut self, name: &str, shape: [usize; 3], role: Role) -> Result<BufferId> {
        // Shaders use indices of 32 bits.
        let length = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if length.is_none_or(|length| length > u32::MAX as usize) {
            let cause = format!("buffer {name} would be {shape:?}, more than 2^32 numbers");
            return Err(Error::new(ErrorKind::Shape, cause, "give fewer records at once, or shorter ones"));
        }
        self.buffers.push(Buffer { name: name.into(), shape, role });
        Ok(self.buffers.len() - 1)
    }

    /// Adds a buffer that the host fills before each run.
    ///
    /// # Errors
    /// The buffer would have more than 2³² numbers.
    pub fn input(&mut self, name: &str, shape: [usize; 3]) -> Result<BufferId> {
        let id = self.activation(name, shape)?;
        self.inputs.push(id);
        Ok(id)
    }

    /// Adds a buffer that never changes.
    ///
    /// # Errors
    /// The buffer would have more than 2³² numbers.
    pub fn constant(&mut self, name: &str, values: &Arc<[f32]>) -> Result<BufferId> {
        self.buffer(name, [1, 1, values.len()], Role::Constant(values.clone()))
    }

    /// Adds a buffer that steps change from run to run, with its numbers before the first run.
    ///
    /// # Errors
    /// The buffer would have more than 2³² numbers.
    pub fn state(&mut self, name: &str, values: Arc<[f32]>) -> Result<BufferId> {
        self.buffer(name, [1, 1, values.len()], Role::State(values))
    }

    /// Adds a part of a state, from number `offset` of the state on.
    ///
    /// # Errors
    /// The buffer would have more than 2³² numbers.
    pub fn part(&mut self, name: &str, of: BufferId, offset: usize, shape: [usize; 3]) -> Result<BufferId> {
        let fits = matches!(self.buffers[of].role, Role::State(_)) && offset.is_multiple_of(PART_ALIGNMENT);
        assert!(fits && offset + shape.iter().product::<usize>() <= self.buffers[of].len(), "part {name} of {of}");
        self.buffer(name, shape, Role::Part { of, offset })
    }

    /// Returns the shape of a buffer.
    pub fn shape(&self, id: BufferId) -> [usize; 3] {
        self.buffers[id].shape
    }

    /// Returns the steps so far.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns the activations that steps have written so far, up to the one that wrote `last`, in order.
    pub fn activations(&self, last: BufferId) -> Vec<BufferId> {
        let end = self.steps.iter().position(|step| step.write == last).map_or(self.steps.len(), |at| at + 1);
        let made = self.steps[..end].iter().map(|step| step.write);
        made.filter(|&id| matches!(self.buffers[id].role, Role::Activation { .. })).collect()
    }

    fn activation(&mut self, name: &str, shape: [usize; 3]) -> Result<BufferId> {
        // The slot is assigned when all of its readers are known.
        self.buffer(name, shape, Role::Activation { slot: usize::MAX })
    }

    /// Adds a step that writes a new activation of this shape, and returns the activation.
    ///
    /// # Errors
    /// The buffer would have more than 2³² numbers.
    pub fn step(
        &mut self,
        name: &str,
        kernel: impl Into<Kernel>,
        reads: &[BufferId],
        shape: [usize; 3],
    ) -> Result<BufferId> {
        let write = self.activation(name, shape)?;
        self.step_into(name, kernel, reads, write);
        Ok(write)
    }

    /// Adds a step that writes or changes a state or a part of one.
    pub fn step_into(&mut self, name: &str, kernel: impl Into<Kernel>, reads: &[BufferId], write: BufferId) {
        self.steps.push(Step { name: name.into(), kernel: kernel.into(), reads: reads.to_vec(), write });
    }

    /// Finishes the plan, whose `outputs` can be read after a run.
    pub fn finish(self, outputs: Vec<BufferId>) -> Plan {
        let Self { mut buffers, steps, inputs } = self;
        let slots = slots::assign(&mut buffers, &steps, &inputs, &outputs);
        let batch = inputs.first().map_or(0, |&input| buffers[input].shape[0]);
        Plan { batch, buffers, steps, inputs, outputs, slots }
    }
}
