//! The GPU of an [`Auto`](super::Auto): opened in the background, its results checked, and the verdict of every trial.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Error, ErrorKind, Hint, Result,
    backend::{Backend, Executor, difference::agreement},
    plan::{BufferId, Plan, Step},
};

/// The number of plans whose verdict is kept, eight times the number of idle executors of a classifier.
const MAX_VERDICTS: usize = 64;

/// One of the two devices of an [`Auto`](super::Auto).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Processor {
    Cpu,
    Gpu,
}

impl Processor {
    /// Returns the name for a log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Processor::Cpu => "CPU",
            Processor::Gpu => "GPU",
        }
    }
}

type OpenGpu = dyn Fn() -> Result<Option<Box<dyn Backend>>> + Send + Sync;

/// The GPU that may replace the CPU.
pub(super) struct BackgroundCandidate {
    open: Box<OpenGpu>,
    /// The GPU, after the attempt to open it; none inside where there is no GPU.
    opened: OnceLock<Option<Box<dyn Backend>>>,
    /// How long the GPU runs before a trial.
    warm_up: Duration,
    fault: OnceLock<Error>,
    /// Whether the owner has been dropped.
    abandoned: AtomicBool,
    verdicts: Mutex<Vec<Verdict>>,
    /// Whether the GPU computed the last run of any executor.
    used_last: AtomicBool,
    /// Every background job holds a clone.
    jobs: Arc<()>,
}

/// What decides which device runs a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// This device was faster in the last trial.
    Faster(Processor),
    /// The GPU cannot run the plan.
    CpuOnly,
}

/// The decision for one plan, and the parts of the plan that determine its speed. The numbers of the weights do not matter.
struct Verdict {
    steps: Vec<Step>,
    outputs: Vec<BufferId>,
    decision: Decision,
}

impl Verdict {
    fn is_of(&self, plan: &Plan) -> bool {
        self.steps == plan.steps && self.outputs == plan.outputs
    }
}

impl BackgroundCandidate {
    pub(super) fn new(
        open: impl Fn() -> Result<Option<Box<dyn Backend>>> + Send + Sync + 'static,
        warm_up: Duration,
    ) -> Self {
        Self {
            open: Box::new(open),
            opened: OnceLock::new(),
            warm_up,
            fault: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            verdicts: Mutex::default(),
            used_last: AtomicBool::new(false),
            jobs: Arc::default(),
        }
    }

    /// Returns the GPU if it is open and has not been ruled out.
    pub(super) fn usable_gpu(&self) -> Option<&dyn Backend> {
        self.opened_gpu().filter(|_| !self.is_ruled_out())
    }

    /// Returns the GPU if it has been opened, also after it was ruled out.
    pub(super) fn opened_gpu(&self) -> Option<&dyn Backend> {
        self.opened.get()?.as_deref()
    }

    /// Returns the GPU if it computed the last run.
    pub(super) fn last_used_gpu(&self) -> Option<&dyn Backend> {
        self.opened_gpu().filter(|_| self.used_last.load(Ordering::Relaxed))
    }

    /// Records which device computed a run.
    pub(super) fn record_use(&self, processor: Processor) {
        self.used_last.store(processor == Processor::Gpu, Ordering::Relaxed);
    }

    /// Returns whether the GPU will never be used again: it is absent, it failed, or the owner has been dropped.
    pub(super) fn is_ruled_out(&self) -> bool {
        let absent = matches!(self.opened.get(), Some(None));
        absent || self.fault.get().is_some() || self.abandoned.load(Ordering::Relaxed)
    }

    /// Makes background jobs end as soon as possible.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Rules the GPU out because of an error.
    pub(super) fn rule_out(&self, error: Error) {
        // Only the first error is kept: it may be the cause of later ones.
        if self.fault.set(error.clone()).is_ok() {
            log::warn!("the GPU is not used: {error}");
        }
    }

    /// Returns the error for which the GPU was ruled out.
    pub(super) fn fault(&self) -> Option<Error> {
        self.fault.get().cloned()
    }

    /// Returns a guard that a background job holds while it runs.
    pub(super) fn job_guard(&self) -> Arc<()> {
        self.jobs.clone()
    }

    /// Returns whether no background job is running. A job would take cores from the CPU and distort its times.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.jobs) == 1
    }

    /// Returns the decision for a plan, if there is one.
    pub(super) fn decision(&self, plan: &Plan) -> Option<Decision> {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.iter().find(|verdict| verdict.is_of(plan)).map(|verdict| verdict.decision)
    }

    /// Keeps the decision for a plan in place of an earlier one. Beyond [`MAX_VERDICTS`], the oldest is dropped.
    pub(super) fn decide(&self, plan: &Plan, decision: Decision) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.retain(|verdict| !verdict.is_of(plan));
        if verdicts.len() == MAX_VERDICTS {
            verdicts.remove(0);
        }
        verdicts.push(Verdict { steps: plan.steps.clone(), outputs: plan.outputs.clone(), decision });
    }

    /// Prepares a plan on the GPU, runs it once on `input` and compares the outputs with `expected`, the CPU's outputs. Opens
    /// the GPU on the first call. Returns none if the GPU must not run the plan; an error rules it out.
    ///
    /// Called on the background thread only.
    pub(super) fn prepare(&self, plan: &Plan, input: &[f32], expected: &[Vec<f32>]) -> Option<Box<dyn Executor>> {
        self.try_prepare(plan, input, expected).unwrap_or_else(|error| {
            match error.kind() {
                // The plan is too large for this GPU, which may still run smaller ones.
                ErrorKind::Shape => {
                    log::debug!("auto: a batch of {} stays on the CPU: {error}", plan.batch);
                    self.decide(plan, Decision::CpuOnly);
                }
                _ => self.rule_out(error),
            }
            None
        })
    }

    fn try_prepare(&self, plan: &Plan, input: &[f32], expected: &[Vec<f32>]) -> Result<Option<Box<dyn Executor>>> {
        if self.opened.get().is_none() && !self.is_ruled_out() {
            let gpu = (self.open)()?;
            match &gpu {
                Some(gpu) => log::info!("auto: {} opened in the background", gpu.info()),
                None => log::info!("auto: no GPU, the CPU computes everything"),
            }
            self.opened.get_or_init(|| gpu);
        }
        let Some(gpu) = self.usable_gpu() else { return Ok(None) };
        let mut executor = gpu.prepare(plan)?;
        if self.is_ruled_out() {
            return Ok(None);
        }
        let mut outputs = Vec::new();
        executor.run(input, &mut outputs)?;
        agreement(&outputs, expected, gpu.info().storage).map_err(|nmse| {
            let cause = format!("{} computes other numbers than the CPU (NMSE {nmse:.1e})", gpu.info().name);
            let error = Error::new(ErrorKind::Parity, cause, "update its driver, and compare it with the reference");
            error.with_hint(Hint::Verify)
        })?;
        // An idle GPU has a low clock, which rises while it works.
        let start = Instant::now();
        while start.elapsed() < self.warm_up && !self.is_ruled_out() {
            executor.run(input, &mut outputs)?;
        }
        Ok(Some(executor))
    }
}
