//! The backend that starts on the CPU and changes to a GPU for every plan that the GPU is measured to run faster.
//!
//! The CPU computes the first runs of a plan. The second run suggests that more will follow: a background thread opens the
//! GPU, prepares the plan there, runs it once and compares the outputs with the CPU's. Then a few requests are timed on each
//! device (see `executor`), and the faster device computes the later runs. A GPU that loses gets another trial after some
//! thousand runs. The first result never waits for a driver, and a
//! process with one request never loads one.
//!
//! A GPU that fails at any point is no longer used. The CPU then computes, also the request that failed, and
//! [`Backend::fault`] returns the error. CPU and GPU differ in the last bits of their results: an application that needs
//! the same bits each time names one device.

mod background_candidate;
mod executor;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use super::{Backend, DeviceInfo, Executor, HAS_CLOCK, Trainer};
use crate::{Error, Result, plan::Plan, worker::Worker};
use background_candidate::{BackgroundCandidate, Decision, Processor};
use executor::{AutoExecutor, State};

/// The longest time to wait for the background thread when an [`Auto`] is dropped. Software Vulkan takes at most a second to
/// load and compile. A process that ended earlier hung in 3 of 78 attempts and crashed in one, because the driver's exit
/// handlers ran at the same time.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the GPU runs in the background before a trial, so that its clock rises.
const WARM_UP: Duration = Duration::from_millis(50);

/// The runs on the CPU after which a GPU that lost a trial gets another. They double with each trial that it loses.
const UNTIL_NEXT_TRIAL: usize = 1000;

/// A CPU that computes from the first request on, and a GPU that replaces it where it is measured to be faster.
pub struct Auto {
    cpu: Box<dyn Backend>,
    candidate: Arc<BackgroundCandidate>,
    worker: Arc<Worker>,
    until_next_trial: usize,
}

impl Auto {
    /// Combines `cpu` with the GPU that `open_gpu` opens. `open_gpu` is called on the background thread when a plan runs for
    /// the second time, and returns none if there is no GPU.
    ///
    /// Dropping an `Auto` waits up to ten seconds for the background thread. A process that ends without the drop, while the
    /// driver is loading or compiling, may hang or crash in the driver's exit handlers.
    pub fn new(
        cpu: Box<dyn Backend>,
        open_gpu: impl Fn() -> Result<Option<Box<dyn Backend>>> + Send + Sync + 'static,
    ) -> Self {
        Self::with_trials(cpu, open_gpu, WARM_UP, UNTIL_NEXT_TRIAL)
    }

    /// Combines the devices as [`Auto::new`] does, with other times of trials.
    fn with_trials(
        cpu: Box<dyn Backend>,
        open_gpu: impl Fn() -> Result<Option<Box<dyn Backend>>> + Send + Sync + 'static,
        warm_up: Duration,
        until_next_trial: usize,
    ) -> Self {
        let candidate = Arc::new(BackgroundCandidate::new(open_gpu, warm_up));
        Self { cpu, candidate, worker: Arc::default(), until_next_trial }
    }
}

impl Drop for Auto {
    fn drop(&mut self) {
        self.candidate.abandon();
        self.worker.stop(SHUTDOWN_TIMEOUT);
    }
}

impl Backend for Auto {
    /// Describes the device that computed the last run; the CPU before the first run.
    fn info(&self) -> DeviceInfo {
        self.candidate.last_used_gpu().map_or_else(|| self.cpu.info(), Backend::info)
    }

    /// Returns the smaller of the CPU's and the open GPU's largest batch. A plan that was made before the GPU was open, and is
    /// too large for it, stays on the CPU.
    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        let cpu = self.cpu.largest_batch(plan)?;
        let gpu = self.candidate.usable_gpu().and_then(|gpu| gpu.largest_batch(plan).ok());
        Ok(gpu.map_or(cpu, |gpu| cpu.min(gpu)))
    }

    fn concurrency(&self) -> usize {
        self.cpu.concurrency()
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        let state = match self.candidate.decision(plan) {
            // Without a clock the devices cannot be compared.
            None if !HAS_CLOCK => State::Cpu,
            None => State::New,
            Some(Decision::Faster(Processor::Gpu)) => State::Repeated,
            Some(Decision::Faster(Processor::Cpu)) => State::Slower(self.until_next_trial),
            Some(Decision::CpuOnly) => State::Cpu,
        };
        Ok(Box::new(AutoExecutor {
            plan: plan.clone(),
            cpu: self.cpu.prepare(plan)?,
            candidate: self.candidate.clone(),
            worker: self.worker.clone(),
            state,
            until_next_trial: self.until_next_trial,
            last_used: Processor::Cpu,
        }))
    }

    /// Prepares training on the CPU. Training keeps to one device, so that a resumed run has the same bits; name a GPU to
    /// train there.
    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn Trainer>> {
        self.cpu.prepare_training(plan)
    }

    fn fault(&self) -> Option<Error> {
        self.candidate.fault()
    }
}
