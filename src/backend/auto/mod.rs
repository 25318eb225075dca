//! The CPU at once, and a GPU for every plan that it has been measured to run faster.
//!
//! A plan is answered by the CPU. When it is run for the second time, which says that more runs may follow, a thread in
//! the background opens the GPU, prepares the plan there, runs it once and compares the answer with the CPU's. Then a few
//! requests are timed on each (see `executor`), and the faster one answers from then on. So the first answer waits for no
//! driver, and a process that asks once never loads one.
//!
//! A GPU that fails, wherever, is used no more, [`Backend::fault`] says why, and the CPU answers, also the request that
//! it failed in. The two differ in the last bits of a result; who needs the same bits each time names a device.

mod challenger;
mod executor;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use super::{Backend, DeviceInfo, Executor};
use crate::{Error, Result, plan::Plan, worker::Worker};
use challenger::{Challenger, Faster};
use executor::{AutoExecutor, State};

/// How long to wait for a driver's thread to end. Software Vulkan takes at most a second to load and compile; a process
/// that ended before that hung in 3 of 78 attempts and crashed in one, as the driver's exit handlers ran beside it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A device that answers at once, and one that may turn out to be faster.
pub struct Auto {
    cpu: Box<dyn Backend>,
    challenger: Arc<Challenger>,
    worker: Arc<Worker>,
}

impl Auto {
    /// `cpu` answers; `open_gpu` is called on a thread of its own when a plan runs for the second time, and returns none
    /// where there is no GPU.
    ///
    /// Dropping it waits until the driver has ended what it is doing, up to ten seconds. A process that ends without
    /// dropping it, at that moment, may hang or crash in the driver's own exit handlers.
    pub fn new(
        cpu: Box<dyn Backend>,
        open_gpu: impl Fn() -> Result<Option<Box<dyn Backend>>> + Send + Sync + 'static,
    ) -> Self {
        Self { cpu, challenger: Arc::new(Challenger::new(open_gpu)), worker: Arc::default() }
    }
}

impl Drop for Auto {
    fn drop(&mut self) {
        self.challenger.abandon();
        self.worker.stop(PATIENCE);
    }
}

impl Backend for Auto {
    /// What answered last; the CPU before the first run.
    fn info(&self) -> DeviceInfo {
        self.challenger.answered().map_or_else(|| self.cpu.info(), Backend::info)
    }

    /// What the CPU can take, or the GPU if it is open and takes less. A plan that turns out to be too large for the GPU
    /// stays on the CPU.
    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        let cpu = self.cpu.largest_batch(plan)?;
        let gpu = self.challenger.gpu().and_then(|gpu| gpu.largest_batch(plan).ok());
        Ok(gpu.map_or(cpu, |gpu| cpu.min(gpu)))
    }

    fn concurrency(&self) -> usize {
        self.cpu.concurrency()
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        let state = match self.challenger.measured(plan) {
            None => State::New,
            Some(Faster::Gpu) => State::Repeated,
            Some(Faster::Cpu) => State::Cpu,
        };
        Ok(Box::new(AutoExecutor {
            plan: plan.clone(),
            cpu: self.cpu.prepare(plan)?,
            challenger: self.challenger.clone(),
            worker: self.worker.clone(),
            state,
            answered: Faster::Cpu,
        }))
    }

    /// On the CPU: a run of training goes on with the bits of the device that it has begun on. Name a GPU to train there.
    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn crate::backend::Trainer>> {
        self.cpu.prepare_training(plan)
    }

    fn fault(&self) -> Option<Error> {
        self.challenger.fault()
    }
}
