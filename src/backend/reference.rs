//! The plan in plain float64 loops: slow, obvious, and what every other backend is compared with.

use std::time::{Duration, Instant};

use super::{Backend, DeviceInfo, Executor, batch_by_memory, check_input};
use crate::{
    Result,
    kernels::Storage,
    plan::{Plan, Step},
};

/// The reference as a device.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

/// Every one of the plan's outputs, in float64.
///
/// # Errors
/// An input of the wrong length.
pub fn run(plan: &Plan, input: &[f32]) -> Result<Vec<Vec<f64>>> {
    let (outputs, _) = run_timed(plan, input)?;
    Ok(outputs)
}

/// Every step's output where each reads what `stored` has of the one before: `input`, then the outputs of all steps as a
/// device has kept them.
pub(crate) fn run_apart(plan: &Plan, input: &[f32], stored: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let widen = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
    let held = |id: usize| {
        let written = plan.steps.iter().position(|step| step.write == id).map(|at| stored[at].as_slice());
        widen(plan.buffers[id].constant.as_deref().or(written).unwrap_or(input))
    };
    let output = |step: &Step| {
        let reads: Vec<Vec<f64>> = step.reads.iter().map(|&id| held(id)).collect();
        let mut write = vec![0.0; plan.buffers[step.write].len()];
        step.kernel.operation().reference(&reads.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut write);
        write
    };
    plan.steps.iter().map(output).collect()
}

/// The outputs, and how long each step took.
fn run_timed(plan: &Plan, input: &[f32]) -> Result<(Vec<Vec<f64>>, Vec<Duration>)> {
    check_input(plan, input)?;
    let widen = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
    let mut buffers: Vec<Vec<f64>> =
        plan.buffers.iter().map(|buffer| buffer.constant.as_deref().map_or_else(Vec::new, widen)).collect();
    buffers[plan.input] = widen(input);
    let mut times = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let begin = Instant::now();
        let mut write = vec![0.0; plan.buffers[step.write].len()];
        let reads: Vec<&[f64]> = step.reads.iter().map(|&id| buffers[id].as_slice()).collect();
        step.kernel.operation().reference(&reads, &mut write);
        buffers[step.write] = write;
        times.push(begin.elapsed());
    }
    Ok((plan.outputs.iter().map(|&id| buffers[id].clone()).collect(), times))
}

impl Backend for Reference {
    fn info(&self) -> DeviceInfo {
        DeviceInfo { name: "float64 reference".into(), backend: "reference".into(), storage: Storage::F32 }
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        Ok(batch_by_memory(plan))
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        Ok(Box::new(ReferenceExecutor(plan.clone())))
    }
}

struct ReferenceExecutor(Plan);

impl Executor for ReferenceExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let exact = run(&self.0, input)?;
        *outputs = exact.into_iter().map(|values| values.into_iter().map(|value| value as f32).collect()).collect();
        Ok(())
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        Ok(run_timed(&self.0, input)?.1)
    }
}
