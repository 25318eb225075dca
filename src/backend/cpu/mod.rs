//! The plan in f32 on the CPU, on all cores with feature `threads`. Every output is computed by one thread in one order,
//! so the result has the same bits for any number of threads.

mod conv1d;
mod parallel;

use std::sync::Arc;

use super::{Backend, ConstantCache, DeviceInfo, Executor, batch_by_memory, check_input};
use crate::{
    Result,
    kernels::{GlobalAveragePool, Kernel, Linear, MaxPool},
    plan::{Plan, Step},
};
use parallel::for_each_chunk;

/// The CPU as a device.
#[derive(Default)]
pub struct Cpu {
    packed: ConstantCache<Arc<[f32]>>,
}

impl Backend for Cpu {
    fn info(&self) -> DeviceInfo {
        DeviceInfo { name: processor_name(), backend: "cpu".into() }
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        Ok(batch_by_memory(plan))
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        let slots = (0..plan.slots).map(|slot| vec![0.0; plan.slot_bytes(slot) / size_of::<f32>()]).collect();
        let mut constants = vec![None; plan.buffers.len()];
        for step in &plan.steps {
            for (read, &id) in step.reads.iter().enumerate() {
                if let Some(values) = &plan.buffers[id].constant {
                    let pack = || match &step.kernel {
                        Kernel::Conv1d(conv) if read == 1 => conv1d::packed(conv, values).into(),
                        _ => values.clone(),
                    };
                    constants[id] = Some(self.packed.get(values, pack));
                }
            }
        }
        Ok(Box::new(CpuExecutor { plan: plan.clone(), constants, slots }))
    }
}

struct CpuExecutor {
    plan: Plan,
    constants: Vec<Option<Arc<[f32]>>>,
    slots: Vec<Vec<f32>>,
}

impl Executor for CpuExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        check_input(&self.plan, input)?;
        let Self { plan, constants, slots } = self;
        // The input is only read, so it needs no copy in its slot.
        for step in &plan.steps {
            let slot = slot_of(plan, step.write);
            let mut write = std::mem::take(&mut slots[slot]);
            let reads: Vec<&[f32]> = step
                .reads
                .iter()
                .map(|&id| match &constants[id] {
                    Some(values) => values.as_ref(),
                    None if id == plan.input => input,
                    None => &slots[slot_of(plan, id)][..plan.buffers[id].len()],
                })
                .collect();
            run_step(step, &reads, &mut write[..plan.buffers[step.write].len()]);
            slots[slot] = write;
        }
        outputs.resize(plan.outputs.len(), Vec::new());
        for (output, &id) in outputs.iter_mut().zip(&plan.outputs) {
            output.clear();
            let values = if id == plan.input { input } else { &slots[slot_of(plan, id)] };
            output.extend_from_slice(&values[..plan.buffers[id].len()]);
        }
        Ok(())
    }
}

fn slot_of(plan: &Plan, id: usize) -> usize {
    plan.buffers[id].slot.expect("the plan gives every activation a slot")
}

fn run_step(step: &Step, reads: &[&[f32]], y: &mut [f32]) {
    match (&step.kernel, reads) {
        (Kernel::Conv1d(conv), &[x, weight, bias]) => conv1d::run(conv, x, weight, bias, y),
        (Kernel::MaxPool(pool), &[x]) => max_pool(pool, x, y),
        (Kernel::GlobalAveragePool(pool), &[x]) => global_average_pool(pool, x, y),
        (Kernel::Linear(layer), &[x, weight, bias]) => linear(layer, x, weight, bias, y),
        (kernel, _) => unreachable!("the plan gives {} its reads", kernel.operation().describe()),
    }
}

fn max_pool(pool: &MaxPool, x: &[f32], y: &mut [f32]) {
    for_each_chunk(y, pool.out_samples, |row, y| {
        let x = &x[row * pool.in_samples..][..pool.in_samples];
        for (t, y) in y.iter_mut().enumerate() {
            let window = &x[t * pool.stride..][..pool.kernel];
            *y = window.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        }
    });
}

fn global_average_pool(pool: &GlobalAveragePool, x: &[f32], y: &mut [f32]) {
    for_each_chunk(y, 1, |row, y| {
        let x = &x[row * pool.samples..][..pool.samples];
        // Sixteen sums side by side keep the vector units busy and the rounding error small.
        let mut sums = [0.0f32; 16];
        for chunk in x.chunks(sums.len()) {
            sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
        }
        y[0] = sums.iter().sum::<f32>() / pool.samples as f32;
    });
}

fn linear(layer: &Linear, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    for_each_chunk(y, layer.out_features, |b, y| {
        let x = &x[b * layer.in_features..][..layer.in_features];
        for ((y, weight), bias) in y.iter_mut().zip(weight.chunks(layer.in_features)).zip(bias) {
            *y = bias + weight.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        }
    });
}

/// What the processor calls itself, where the system tells.
fn processor_name() -> String {
    let from_proc = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_string())
    });
    from_proc.unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}
