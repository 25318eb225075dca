//! One plan on whichever device is faster: CPU first, then a trial of both on real requests, then the winner.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::VecDeque,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::challenger::{Challenger, Faster};
use crate::{
    Error, ErrorKind, Hint, Result,
    backend::{DeviceInfo, Executor, check_input},
    plan::Plan,
    worker::{Pending, Worker},
};

/// Runs that are timed on each device, of which the fastest counts: one that was held up decides nothing.
const RUNS: usize = 3;

/// How much longer than all the CPU's timed runs the GPU's may take before the trial is given up: what a slow GPU costs
/// the requests it is tried on is bounded, and its first run may still be ten times as slow as a CPU's.
const PATIENCE: u32 = 4;

pub(super) struct AutoExecutor {
    pub(super) plan: Plan,
    pub(super) cpu: Box<dyn Executor>,
    pub(super) challenger: Arc<Challenger>,
    pub(super) worker: Arc<Worker>,
    pub(super) state: State,
    /// Which device computed the last run.
    pub(super) answered: Faster,
}

pub(super) enum State {
    /// It has not run.
    New,
    /// The next run asks for the GPU.
    Repeated,
    /// The GPU is being prepared.
    Preparing(Pending<Option<Box<dyn Executor>>>),
    /// Both are timed.
    Trial(Trial),
    /// The GPU has won.
    Gpu(Box<dyn Executor>),
    /// The CPU has won, or there is nobody else.
    Cpu,
}

pub(super) struct Trial {
    gpu: Box<dyn Executor>,
    cpu_times: Vec<Duration>,
    gpu_times: Vec<Duration>,
}

impl Trial {
    fn new(gpu: Box<dyn Executor>) -> Self {
        Self { gpu, cpu_times: Vec::new(), gpu_times: Vec::new() }
    }

    /// Which device has won, once that is certain.
    fn winner(&self) -> Option<Faster> {
        let total = |times: &[Duration]| times.iter().sum::<Duration>();
        if total(&self.gpu_times) > PATIENCE * total(&self.cpu_times) {
            return Some(Faster::Cpu);
        }
        let gpu_wins = self.gpu_times.iter().min() < self.cpu_times.iter().min();
        (self.gpu_times.len() == RUNS).then_some(if gpu_wins { Faster::Gpu } else { Faster::Cpu })
    }
}

impl Executor for AutoExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        // A request that makes no sense is no reason to think ill of a device.
        check_input(&self.plan, input)?;
        if self.challenger.is_out() {
            self.state = State::Cpu;
        }
        self.receive();
        self.state = match mem::replace(&mut self.state, State::Cpu) {
            State::New => {
                self.on_cpu(input, outputs)?;
                State::Repeated
            }
            State::Repeated => {
                self.on_cpu(input, outputs)?;
                State::Preparing(self.ask(input, outputs))
            }
            State::Trial(trial) if self.challenger.is_idle() => self.try_out(trial, input, outputs)?,
            State::Gpu(mut gpu) => {
                if self.on_gpu(gpu.as_mut(), input, outputs)? {
                    State::Gpu(gpu)
                } else {
                    State::Cpu
                }
            }
            waiting => {
                self.on_cpu(input, outputs)?;
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
        let (mut inputs, mut open, mut outputs) = (inputs.fuse(), VecDeque::new(), Vec::new());
        loop {
            if open.is_empty() {
                open = self.stream_on_gpu(&mut inputs, each);
            }
            // What the GPU has left open comes first. If that makes no sense, the run says so in its place.
            let Some(input) = open.pop_front().or_else(|| inputs.next()) else { return Ok(()) };
            self.run(&input, &mut outputs)?;
            each(&outputs, &self.device());
        }
    }

    fn device(&self) -> DeviceInfo {
        match (self.answered, self.challenger.opened()) {
            (Faster::Gpu, Some(gpu)) => gpu.info(),
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
    fn note_answer(&mut self, faster: Faster) {
        self.answered = faster;
        self.challenger.note_answer(faster);
    }

    fn on_cpu(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        self.note_answer(Faster::Cpu);
        self.cpu.run(input, outputs)
    }

    /// Whether the GPU has answered; if it fails, the CPU has.
    fn on_gpu(&mut self, gpu: &mut dyn Executor, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<bool> {
        match gpu.run(input, outputs) {
            Ok(()) => {
                self.note_answer(Faster::Gpu);
                Ok(true)
            }
            Err(error) => {
                self.challenger.fail(error);
                self.on_cpu(input, outputs)?;
                Ok(false)
            }
        }
    }

    /// Streams on the GPU, if it has won, until it fails or an input makes no sense. Returns the inputs that it has taken
    /// and left open: none if it came to the end.
    fn stream_on_gpu<'a>(
        &mut self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> VecDeque<Cow<'a, [f32]>> {
        let Self { plan, challenger, answered, state: State::Gpu(gpu), .. } = self else { return VecDeque::new() };
        if challenger.is_out() {
            return VecDeque::new();
        }
        let open = RefCell::new(VecDeque::new());
        let mut sensible = std::iter::from_fn(|| {
            let input = inputs.next()?;
            open.borrow_mut().push_back(input.clone());
            check_input(plan, &input).is_ok().then_some(input)
        });
        let outcome = gpu.stream(&mut sensible, &mut |outputs, device| {
            *answered = Faster::Gpu;
            challenger.note_answer(Faster::Gpu);
            open.borrow_mut().pop_front();
            each(outputs, device);
        });
        if let Err(error) = outcome {
            challenger.fail(error);
            self.state = State::Cpu;
        }
        open.into_inner()
    }

    /// Has the GPU prepared in the background, and tried on what the CPU has just answered.
    fn ask(&self, input: &[f32], outputs: &[Vec<f32>]) -> Pending<Option<Box<dyn Executor>>> {
        let (challenger, busy) = (self.challenger.clone(), self.challenger.busy());
        let (plan, input, answer) = (self.plan.clone(), input.to_vec(), outputs.to_vec());
        self.worker.run(move || {
            let executor = challenger.prepare(&plan, &input, &answer);
            drop(busy);
            executor
        })
    }

    /// Takes what was prepared in the background, if it is there.
    fn receive(&mut self) {
        let State::Preparing(pending) = &self.state else { return };
        self.state = match pending.try_take() {
            None => return,
            Some(Ok(Some(gpu))) if self.challenger.measured(&self.plan) == Some(Faster::Gpu) => State::Gpu(gpu),
            Some(Ok(Some(gpu))) => State::Trial(Trial::new(gpu)),
            Some(Ok(None)) => State::Cpu,
            Some(Err(_)) => {
                let remedy = "update the GPU's driver, or use the CPU";
                let error = Error::new(ErrorKind::Device, "preparing the GPU panicked", remedy);
                self.challenger.fail(error.with_hint(Hint::UseCpu));
                State::Cpu
            }
        };
    }

    /// Answers with the device whose turn it is, the CPU's runs first, and notes how long it took.
    fn try_out(&mut self, mut trial: Trial, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<State> {
        let start = Instant::now();
        if trial.cpu_times.len() < RUNS {
            self.on_cpu(input, outputs)?;
            trial.cpu_times.push(start.elapsed());
        } else if self.on_gpu(trial.gpu.as_mut(), input, outputs)? {
            trial.gpu_times.push(start.elapsed());
        } else {
            return Ok(State::Cpu);
        }
        let Some(winner) = trial.winner() else { return Ok(State::Trial(trial)) };
        self.challenger.remember(&self.plan, winner);
        Ok(match winner {
            Faster::Cpu => State::Cpu,
            Faster::Gpu => State::Gpu(trial.gpu),
        })
    }
}
