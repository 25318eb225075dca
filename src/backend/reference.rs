//! The float64 reference: runs a plan in plain loops. It is slow and obvious, and every other backend is compared with it.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::{
    Backend, DeviceInfo, Executor, HAS_CLOCK, Trainer, batch_by_memory, check_clock, check_inputs, check_state,
    check_stateless,
};
use crate::{
    Result,
    kernels::Storage,
    plan::{Buffer, BufferId, Plan, Role, Step},
};

/// The float64 reference as a backend.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

/// Runs a plan once and returns its outputs in float64.
///
/// # Errors
/// The plan is not sound, or the input has the wrong length.
pub fn run(plan: &Plan, input: &[f32]) -> Result<Vec<Vec<f64>>> {
    plan.check()?;
    ReferenceExecutor::new(plan).run_exact(&[input])
}

/// A plan in float64 with the numbers of all its buffers.
pub struct ReferenceExecutor {
    plan: Plan,
    /// The numbers of every buffer by its id. The vector of a part is empty: its numbers are in the buffer it belongs to.
    buffers: Vec<Vec<f64>>,
    /// The duration of each step in the last run.
    times: Vec<Duration>,
}

/// Converts f32 to float64.
fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

impl ReferenceExecutor {
    /// Prepares a plan: constants and states have their initial numbers.
    pub fn new(plan: &Plan) -> Self {
        let contents = |buffer: &Buffer| match &buffer.role {
            Role::Constant(values) | Role::State(values) => widen(values),
            Role::Activation { .. } | Role::Part { .. } => Vec::new(),
        };
        let buffers = plan.buffers.iter().map(contents).collect();
        Self { plan: plan.clone(), buffers, times: Vec::new() }
    }

    /// Returns the buffer that stores the numbers of buffer `id`, and their range in it.
    fn location(&self, id: BufferId) -> (BufferId, Range<usize>) {
        let buffer = &self.plan.buffers[id];
        match buffer.role {
            Role::Part { of, offset } => (of, offset..offset + buffer.len()),
            _ => (id, 0..buffer.len()),
        }
    }

    /// Returns the numbers of a buffer.
    pub(crate) fn values(&self, id: BufferId) -> &[f64] {
        let (root, range) = self.location(id);
        &self.buffers[root][range]
    }

    /// Returns the numbers of a state, to be changed by less than f32 can represent.
    #[cfg(all(test, feature = "train"))]
    pub(crate) fn state_mut(&mut self, state: BufferId) -> &mut [f64] {
        &mut self.buffers[state]
    }

    /// Runs the plan and returns its outputs.
    ///
    /// # Errors
    /// An input has the wrong length.
    pub(crate) fn run_exact(&mut self, inputs: &[&[f32]]) -> Result<Vec<Vec<f64>>> {
        check_inputs(&self.plan, inputs)?;
        for (at, input) in inputs.iter().enumerate() {
            self.buffers[self.plan.inputs[at]] = widen(input);
        }
        self.times.clear();
        for at in 0..self.plan.steps.len() {
            // WebAssembly outside a browser has no clock, and `now` would panic.
            let begin = HAS_CLOCK.then(Instant::now);
            self.step(at);
            self.times.push(begin.map_or(Duration::ZERO, |begin| begin.elapsed()));
        }
        Ok(self.plan.outputs.iter().map(|&id| self.values(id).to_vec()).collect())
    }

    /// Runs step `at` of the plan.
    fn step(&mut self, at: usize) {
        let Step { write, .. } = self.plan.steps[at];
        let (root, range) = self.location(write);
        let mut written = std::mem::take(&mut self.buffers[root]);
        if self.plan.buffers[write].slot().is_some() {
            written = vec![0.0; range.len()];
        }
        let Step { kernel, reads, .. } = &self.plan.steps[at];
        let reads: Vec<&[f64]> = reads.iter().map(|&id| self.values(id)).collect();
        kernel.operation().reference(&reads, &mut written[range]);
        self.buffers[root] = written;
    }
}

/// Computes each step by itself, from the inputs that a device computed and stored, and returns the outputs of all steps.
/// `stored` has the device's output of every step.
pub(crate) fn run_each_step(plan: &Plan, input: &[f32], stored: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let read = |id: usize| {
        let written = plan.steps.iter().position(|step| step.write == id).map(|at| stored[at].as_slice());
        widen(plan.buffers[id].constant().map(AsRef::as_ref).or(written).unwrap_or(input))
    };
    let output = |step: &Step| {
        let reads: Vec<Vec<f64>> = step.reads.iter().map(|&id| read(id)).collect();
        let mut write = vec![0.0; plan.buffers[step.write].len()];
        step.kernel.operation().reference(&reads.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut write);
        write
    };
    plan.steps.iter().map(output).collect()
}

impl Backend for Reference {
    fn info(&self) -> DeviceInfo {
        DeviceInfo { name: "float64 reference".into(), backend: "reference".into(), storage: Storage::F32 }
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        Ok(batch_by_memory(plan))
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        plan.check()?;
        check_stateless(plan)?;
        Ok(Box::new(ReferenceExecutor::new(plan)))
    }

    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn Trainer>> {
        plan.check()?;
        Ok(Box::new(ReferenceExecutor::new(plan)))
    }
}

/// Rounds float64 to f32.
fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

impl Executor for ReferenceExecutor {
    fn device(&self) -> DeviceInfo {
        Reference.info()
    }

    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        *outputs = self.run_exact(&[input])?.iter().map(|values| narrow(values)).collect();
        Ok(())
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        check_clock()?;
        self.run_exact(&[input])?;
        Ok(self.times.clone())
    }
}

impl Trainer for ReferenceExecutor {
    fn run(&mut self, inputs: &[&[f32]], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        *outputs = self.run_exact(inputs)?.iter().map(|values| narrow(values)).collect();
        Ok(())
    }

    fn state(&mut self, state: BufferId) -> Result<Vec<f32>> {
        Ok(narrow(self.values(state)))
    }

    fn set_state(&mut self, state: BufferId, values: &[f32]) -> Result<()> {
        check_state(&self.plan, state, values)?;
        self.buffers[state] = widen(values);
        Ok(())
    }

    fn profile(&mut self, inputs: &[&[f32]]) -> Result<Vec<Duration>> {
        check_clock()?;
        self.run_exact(inputs)?;
        Ok(self.times.clone())
    }
}
