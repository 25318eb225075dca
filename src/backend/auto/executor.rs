//! The executor of one plan: it runs on the CPU first, then in a trial on both devices with real requests, then on the
//! faster one.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::VecDeque,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::background_candidate::{BackgroundCandidate, Decision, Processor};
use crate::{
    Error, ErrorKind, Hint, Result,
    backend::{DeviceInfo, Executor, check_input},
    plan::Plan,
    worker::{Pending, Worker},
};

/// The number of runs that a trial times on each device. Only the fastest counts, so that one delayed run decides nothing.
const TIMED_RUNS: usize = 3;

/// The ratio of the GPU's total time to the CPU's at which a trial ends early, in favour of the CPU. It bounds the delay
/// that a slow GPU causes, and still allows for a first run that is ten times as slow as the CPU's.
const LARGEST_TIME_RATIO: u32 = 4;

/// A plan on both devices of an [`Auto`](super::Auto).
pub(super) struct AutoExecutor {
    pub(super) plan: Plan,
    pub(super) cpu: Box<dyn Executor>,
    pub(super) candidate: Arc<BackgroundCandidate>,
    pub(super) worker: Arc<Worker>,
    pub(super) state: State,
    /// The runs between a trial that the CPU wins and the next one. They double each time.
    pub(super) until_next_trial: usize,
    /// The device that computed this executor's last run.
    pub(super) last_used: Processor,
}

/// The progress of an executor towards its faster device.
pub(super) enum State {
    /// The plan has not run yet.
    New,
    /// The next run on the CPU starts the preparation of the GPU.
    Repeated,
    /// The background thread prepares the GPU.
    Preparing(Pending<Option<Box<dyn Executor>>>),
    /// Requests are timed on both devices.
    Trial(Trial),
    /// The GPU is faster.
    Gpu(Box<dyn Executor>),
    /// The CPU was faster, and answers this many runs before another trial.
    Slower(usize),
    /// The GPU cannot run the plan, or is ruled out.
    Cpu,
}

/// The times of both devices so far.
pub(super) struct Trial {
    gpu: Box<dyn Executor>,
    cpu_times: Vec<Duration>,
    gpu_times: Vec<Duration>,
}

impl Trial {
    fn new(gpu: Box<dyn Executor>) -> Self {
        Self { gpu, cpu_times: Vec::new(), gpu_times: Vec::new() }
    }

    /// Returns the faster device, as soon as it is certain.
    fn winner(&self) -> Option<Processor> {
        let total = |times: &[Duration]| times.iter().sum::<Duration>();
        if total(&self.gpu_times) > LARGEST_TIME_RATIO * total(&self.cpu_times) {
            return Some(Processor::Cpu);
        }
        let gpu_wins = self.gpu_times.iter().min() < self.cpu_times.iter().min();
        (self.gpu_times.len() == TIMED_RUNS).then_some(if gpu_wins { Processor::Gpu } else { Processor::Cpu })
    }

    fn log(&self, winner: Processor, plan: &Plan) {
        let fastest = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
        let (winner, [cpu, gpu]) = (winner.name(), [&self.cpu_times, &self.gpu_times].map(|times| fastest(times)));
        log::info!(
            "auto: the {winner} is faster for a batch of {}: {cpu:.2?} on the CPU, {gpu:.2?} on the GPU",
            plan.batch
        );
    }
}

impl Executor for AutoExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        // An input of the wrong length must not rule the GPU out.
        check_input(&self.plan, input)?;
        if self.candidate.is_ruled_out() {
            self.state = State::Cpu;
        }
        self.receive_prepared();
        self.state = match mem::replace(&mut self.state, State::Cpu) {
            State::New => {
                self.run_on_cpu(input, outputs)?;
                State::Repeated
            }
            State::Repeated | State::Slower(0) => {
                self.run_on_cpu(input, outputs)?;
                State::Preparing(self.prepare_in_background(input, outputs))
            }
            State::Slower(runs) => {
                self.run_on_cpu(input, outputs)?;
                State::Slower(runs - 1)
            }
            State::Trial(trial) if self.candidate.is_idle() => self.run_trial(trial, input, outputs)?,
            State::Gpu(mut gpu) => {
                if self.run_on_gpu(gpu.as_mut(), input, outputs)? {
                    State::Gpu(gpu)
                } else {
                    State::Cpu
                }
            }
            waiting => {
                self.run_on_cpu(input, outputs)?;
                waiting
            }
        };
        Ok(())
    }

    fn stream<'a>(
        &mut self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> Result<()> {
        let (mut inputs, mut unanswered, mut outputs) = (inputs.fuse(), VecDeque::new(), Vec::new());
        loop {
            if unanswered.is_empty() {
                unanswered = self.stream_on_gpu(&mut inputs, each);
            }
            // The inputs that the GPU took and did not answer come first. `run` returns the error of an invalid one.
            let Some(input) = unanswered.pop_front().or_else(|| inputs.next()) else { return Ok(()) };
            self.run(&input, &mut outputs)?;
            each(&outputs, &self.device());
        }
    }

    fn device(&self) -> DeviceInfo {
        match (self.last_used, self.candidate.opened_gpu()) {
            (Processor::Gpu, Some(gpu)) => gpu.info(),
            _ => self.cpu.device(),
        }
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        match &mut self.state {
            State::Gpu(gpu) => gpu.profile(input),
            _ => self.cpu.profile(input),
        }
    }
}

impl AutoExecutor {
    /// Records which device computes a run.
    fn record_use(&mut self, processor: Processor) {
        self.last_used = processor;
        self.candidate.record_use(processor);
    }

    /// Runs on the CPU.
    fn run_on_cpu(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        self.record_use(Processor::Cpu);
        self.cpu.run(input, outputs)
    }

    /// Runs on the GPU; if it fails, on the CPU. Returns whether the GPU computed the outputs.
    fn run_on_gpu(&mut self, gpu: &mut dyn Executor, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<bool> {
        match gpu.run(input, outputs) {
            Ok(()) => {
                self.record_use(Processor::Gpu);
                Ok(true)
            }
            Err(error) => {
                self.candidate.rule_out(error);
                self.run_on_cpu(input, outputs)?;
                Ok(false)
            }
        }
    }

    /// Streams on the GPU, if it is the faster device, until it fails or an input has the wrong length. Returns the inputs
    /// that were taken and not answered, none after the last input.
    fn stream_on_gpu<'a>(
        &mut self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> VecDeque<Cow<'a, [f32]>> {
        let Self { plan, candidate, last_used, state: State::Gpu(gpu), .. } = self else { return VecDeque::new() };
        if candidate.is_ruled_out() {
            return VecDeque::new();
        }
        let unanswered = RefCell::new(VecDeque::new());
        let mut valid = std::iter::from_fn(|| {
            let input = inputs.next()?;
            unanswered.borrow_mut().push_back(input.clone());
            check_input(plan, &input).is_ok().then_some(input)
        });
        let outcome = gpu.stream(&mut valid, &mut |outputs, device| {
            *last_used = Processor::Gpu;
            candidate.record_use(Processor::Gpu);
            unanswered.borrow_mut().pop_front();
            each(outputs, device);
        });
        if let Err(error) = outcome {
            candidate.rule_out(error);
            self.state = State::Cpu;
        }
        unanswered.into_inner()
    }

    /// Prepares the GPU on the background thread, where it is checked with the CPU's last input and outputs.
    fn prepare_in_background(&self, input: &[f32], outputs: &[Vec<f32>]) -> Pending<Option<Box<dyn Executor>>> {
        let (candidate, guard) = (self.candidate.clone(), self.candidate.job_guard());
        let (plan, input, expected) = (self.plan.clone(), input.to_vec(), outputs.to_vec());
        self.worker.run(move || {
            let executor = candidate.prepare(&plan, &input, &expected);
            drop(guard);
            executor
        })
    }

    /// Takes the executor that the background thread has prepared, if it is ready.
    fn receive_prepared(&mut self) {
        let State::Preparing(pending) = &self.state else { return };
        self.state = match pending.try_take() {
            None => return,
            Some(Ok(Some(gpu))) if self.candidate.decision(&self.plan) == Some(Decision::Faster(Processor::Gpu)) => {
                State::Gpu(gpu)
            }
            Some(Ok(Some(gpu))) => State::Trial(Trial::new(gpu)),
            Some(Ok(None)) => State::Cpu,
            Some(Err(_)) => {
                let remedy = "update the GPU's driver, or use the CPU";
                let error = Error::new(ErrorKind::Device, "preparing the GPU panicked", remedy);
                self.candidate.rule_out(error.with_hint(Hint::UseCpu));
                State::Cpu
            }
        };
    }

    /// Runs on the next device of the trial, the CPU first, and records the time.
    fn run_trial(&mut self, mut trial: Trial, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<State> {
        let start = Instant::now();
        if trial.cpu_times.len() < TIMED_RUNS {
            self.run_on_cpu(input, outputs)?;
            trial.cpu_times.push(start.elapsed());
        } else if self.run_on_gpu(trial.gpu.as_mut(), input, outputs)? {
            trial.gpu_times.push(start.elapsed());
        } else {
            return Ok(State::Cpu);
        }
        let Some(winner) = trial.winner() else { return Ok(State::Trial(trial)) };
        self.candidate.decide(&self.plan, Decision::Faster(winner));
        trial.log(winner, &self.plan);
        Ok(match winner {
            Processor::Cpu => {
                let runs = self.until_next_trial;
                self.until_next_trial = runs.saturating_mul(2);
                State::Slower(runs)
            }
            Processor::Gpu => State::Gpu(trial.gpu),
        })
    }
}
