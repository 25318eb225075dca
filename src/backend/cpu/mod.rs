//! Plans in f32 on the CPU, on all cores with feature `threads`. Each number of an output is computed by one work item in a
//! fixed order, so a result has the same bits for any number of threads.
//!
//! From the outside to the inside:
//! - `executor` (inference) and `trainer` run a `prepared_plan` on the `thread_pool`;
//! - a prepared plan consists of `operations`, which read and write activations in `aligned_buffer`s as `plan_layouts` and
//!   `layout` say;
//! - a convolution runs as `tiled_convolution` and `partition` decide, with weights from the `weight_cache`;
//! - `micro_kernels` are the inner loops, compiled for each instruction set.

mod aligned_buffer;
mod executor;
mod layout;
mod micro_kernels;
mod operations;
mod partition;
mod plan_layouts;
mod prepared_plan;
#[cfg(test)]
mod tests;
mod thread_pool;
mod tiled_convolution;
#[cfg(feature = "gradients")]
mod trainer;
mod weight_cache;

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    sync::OnceLock,
};

#[cfg(feature = "gradients")]
use super::Trainer;
use super::{Backend, DeviceInfo, Executor, batch_by_memory, check_stateless};
use crate::{
    Error, ErrorKind, Result,
    kernels::{Conv1d, Kernel, Storage},
    plan::{Plan, Step},
};
use aligned_buffer::CACHE_LINE;
use executor::CpuExecutor;
use micro_kernels::{MicroKernels, instructions};
use thread_pool::ThreadPool;
use weight_cache::WeightCache;

/// The CPU as a device.
///
/// A program that opens a classifier with [`Classifier::on`](crate::Classifier::on) and a `Cpu`, and uses neither
/// [`Device`](crate::Device) nor [`gpu`](super::gpu), contains no GPU code, because the linker removes what is not called:
/// 1.5 MB stripped instead of 6.1, without a feature or a setting. `examples/cpu_peer.rs` is such a program.
///
/// Several threads may run executors of one `Cpu` at once. They share its threads: a run uses helpers only as long as no
/// other run needs them.
///
/// ```
/// use ecgpu::{Classifier, Weights, engine::backend::cpu::Cpu};
///
/// let classifier = Classifier::on(Weights::built_in()?, Box::new(Cpu::with_threads(1)?))?;
/// # assert!(classifier.device().backend == "cpu");
/// # Ok::<(), ecgpu::Error>(())
/// ```
pub struct Cpu {
    weights: WeightCache,
    pool: ThreadPool,
    kernels: &'static MicroKernels,
}

/// The multiplications and additions that justify one more worker: 40 µs of one core. A sleeping thread takes up to 50 µs to
/// come.
const OPERATIONS_PER_WORKER: u64 = 8_000_000;

/// The assumed speed-up of many workers on one record over one worker: the last layers of a record of ten seconds have 16
/// items to share.
const SPEEDUP_ON_ONE_RECORD: usize = 8;

impl Default for Cpu {
    /// Uses all cores.
    fn default() -> Self {
        Self::new(ThreadPool::default())
    }
}

impl Cpu {
    /// Uses `threads` threads, one of which is the caller's. The results have the same bits for any number.
    ///
    /// # Errors
    /// Zero threads, more than 1024, more than one without feature `threads`, or the system starts no more threads.
    pub fn with_threads(threads: usize) -> Result<Self> {
        Ok(Self::new(ThreadPool::new(threads)?))
    }

    fn new(pool: ThreadPool) -> Self {
        Self { weights: WeightCache::default(), pool, kernels: instructions::available()[0] }
    }
}

impl Backend for Cpu {
    fn info(&self) -> DeviceInfo {
        let (processor, instructions, threads) = (processor_name(), self.kernels.name, self.pool.workers());
        let plural = if threads == 1 { "" } else { "s" };
        let name = format!("{processor} ({instructions}, {threads} thread{plural})");
        DeviceInfo { name, backend: "cpu".into(), storage: Storage::F32 }
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        Ok(batch_by_memory(plan))
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        check_stateless(plan)?;
        check_steps(plan, false)?;
        check_batch(plan)?;
        let record = plan.with_batch(1).map_err(|step| refusal(&plan.steps[step], "prepare it for training"))?;
        check_memory(&record)?;
        Ok(Box::new(CpuExecutor::new(self, plan, &record)))
    }

    #[cfg(feature = "gradients")]
    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn Trainer>> {
        check_steps(plan, true)?;
        check_memory(plan)?;
        Ok(Box::new(trainer::CpuTrainer::new(self, plan)))
    }
}

/// Checks that every step and every activation has the records of the plan, which are computed one by one.
fn check_batch(plan: &Plan) -> Result<()> {
    let activations = plan.buffers.iter().filter(|buffer| buffer.slot().is_some());
    let is_whole = activations.into_iter().all(|buffer| buffer.shape[0] == plan.batch);
    // A step without sizes by name is refused by its own error.
    let of_batch = |step: &Step| step.kernel.with_batch(plan.batch).is_none_or(|kernel| kernel == step.kernel);
    if is_whole && plan.steps.iter().all(of_batch) {
        return Ok(());
    }
    let cause = format!("a plan for {} records with steps for another number", plan.batch);
    Err(Error::new(ErrorKind::Shape, cause, "correct the plan: give all steps equally many records"))
}

/// Checks that the plan is sound and that the CPU computes each step. It computes no fused step, and the steps of training only in a trainer.
fn check_steps(plan: &Plan, training: bool) -> Result<()> {
    plan.check()?;
    for step in &plan.steps {
        let remedy = match &step.kernel {
            Kernel::Conv1d(Conv1d { fused_max_pool: true, .. }) | Kernel::PooledLinear(_) => {
                "prepare the plan that was fused"
            }
            kernel if kernel.is_of_training() && !training => "prepare it for training",
            _ => continue,
        };
        return Err(refusal(step, remedy));
    }
    Ok(())
}

/// Checks that each buffer fits into the address space, which ends early in WebAssembly. A channel may be padded to a cache
/// line.
fn check_memory(plan: &Plan) -> Result<()> {
    let most = isize::MAX as usize / (CACHE_LINE * size_of::<f32>());
    let Some(buffer) = plan.buffers.iter().find(|buffer| buffer.len() > most) else { return Ok(()) };
    let cause = format!("buffer {} has {} numbers, more than this processor can address", buffer.name, buffer.len());
    Err(Error::new(ErrorKind::Shape, cause, "give a shorter recording, or fewer records at once"))
}

fn refusal(Step { name, kernel, .. }: &Step, remedy: &str) -> Error {
    let cause = format!("the CPU does not compute step {name} of this plan, {}", kernel.operation().describe());
    Error::new(ErrorKind::Usage, cause, remedy)
}

/// The processor's name, where the system tells it. It is read once, because that takes longer than a small network.
fn processor_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let of_first_processor = |file| {
            let mut lines = BufReader::new(file).lines().map_while(io::Result::ok);
            let line = lines.find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let found = File::open("/proc/cpuinfo").ok().and_then(of_first_processor);
        found.unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
    })
}
