//! The GPU of an [`Auto`](super::Auto): opened in the background, watched, and what was measured of it.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    Error, ErrorKind, Hint, Result,
    backend::{Backend, Executor, difference::Difference},
    plan::{BufferId, Plan, Step},
};

/// The largest normalised mean square error of a GPU's answer beside the CPU's: 1 % of the amplitude. Rounding in half
/// precision gives about 1e-6, a kernel that a driver gets wrong some 1e-1.
const LARGEST_NMSE: f64 = 1e-4;

/// Plans whose measurement is remembered, eight times as many as a classifier keeps executors for.
const REMEMBERED: usize = 64;

/// Which of the two runs a plan faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faster {
    Cpu,
    Gpu,
}

type OpenGpu = dyn Fn() -> Result<Option<Box<dyn Backend>>> + Send + Sync;

pub(super) struct Challenger {
    open: Box<OpenGpu>,
    /// Set once opening has been tried; none where there is no GPU.
    opened: OnceLock<Option<Box<dyn Backend>>>,
    fault: OnceLock<Error>,
    /// Whether nobody will need it any more.
    abandoned: AtomicBool,
    measured: Mutex<Vec<Measured>>,
    /// Whether the GPU answered last.
    answered: AtomicBool,
    /// Each job in the background holds one more.
    busy: Arc<()>,
}

/// What decides how long a plan takes, and the outcome. The numbers of its weights do not matter.
struct Measured {
    steps: Vec<Step>,
    outputs: Vec<BufferId>,
    faster: Faster,
}

impl Challenger {
    pub(super) fn new(open: impl Fn() -> Result<Option<Box<dyn Backend>>> + Send + Sync + 'static) -> Self {
        Self {
            open: Box::new(open),
            opened: OnceLock::new(),
            fault: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            measured: Mutex::default(),
            answered: AtomicBool::new(false),
            busy: Arc::default(),
        }
    }

    /// The GPU, once it is open and as long as it works.
    pub(super) fn gpu(&self) -> Option<&dyn Backend> {
        self.opened.get()?.as_deref().filter(|_| !self.is_out())
    }

    /// Whether there is nothing to hope for.
    pub(super) fn is_out(&self) -> bool {
        let absent = matches!(self.opened.get(), Some(None));
        absent || self.fault.get().is_some() || self.abandoned.load(Ordering::Relaxed)
    }

    /// Ends what goes on in the background at the next opportunity.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// The GPU once it has been opened, whether or not it still works.
    pub(super) fn opened(&self) -> Option<&dyn Backend> {
        self.opened.get()?.as_deref()
    }

    /// The GPU if it answered last.
    pub(super) fn answered(&self) -> Option<&dyn Backend> {
        self.opened.get()?.as_deref().filter(|_| self.answered.load(Ordering::Relaxed))
    }

    pub(super) fn note_answer(&self, faster: Faster) {
        self.answered.store(faster == Faster::Gpu, Ordering::Relaxed);
    }

    pub(super) fn fault(&self) -> Option<Error> {
        self.fault.get().cloned()
    }

    /// Uses the GPU no more.
    pub(super) fn fail(&self, error: Error) {
        // What failed first is the cause of what fails after it.
        let _ = self.fault.set(error);
    }

    /// To be held by a job in the background for as long as it takes.
    pub(super) fn busy(&self) -> Arc<()> {
        self.busy.clone()
    }

    /// Whether no job in the background takes cores away, so that times mean something.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.busy) == 1
    }

    pub(super) fn measured(&self, plan: &Plan) -> Option<Faster> {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let found = measured.iter().find(|one| one.steps == plan.steps && one.outputs == plan.outputs);
        found.map(|one| one.faster)
    }

    pub(super) fn remember(&self, plan: &Plan, faster: Faster) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if measured.len() == REMEMBERED {
            measured.remove(0);
        }
        measured.push(Measured { steps: plan.steps.clone(), outputs: plan.outputs.clone(), faster });
    }

    /// The plan on the GPU, which has compiled it and given the CPU's answer; none where the GPU is not to run it.
    /// Opens the GPU if that has not been tried. Called on the thread in the background alone.
    pub(super) fn prepare(&self, plan: &Plan, input: &[f32], answer: &[Vec<f32>]) -> Option<Box<dyn Executor>> {
        self.try_prepare(plan, input, answer).unwrap_or_else(|error| {
            match error.kind() {
                // Too large for this GPU, which says nothing against it.
                ErrorKind::Shape => self.remember(plan, Faster::Cpu),
                _ => self.fail(error),
            }
            None
        })
    }

    fn try_prepare(&self, plan: &Plan, input: &[f32], answer: &[Vec<f32>]) -> Result<Option<Box<dyn Executor>>> {
        if self.opened.get().is_none() && !self.is_out() {
            let gpu = (self.open)()?;
            self.opened.get_or_init(|| gpu);
        }
        let Some(gpu) = self.gpu() else { return Ok(None) };
        let mut executor = gpu.prepare(plan)?;
        if self.is_out() {
            return Ok(None);
        }
        let mut outputs = Vec::new();
        executor.run(input, &mut outputs)?;
        check_agreement(&gpu.info().name, &outputs, answer)?;
        Ok(Some(executor))
    }
}

/// Checks that a GPU computes what the CPU computes.
fn check_agreement(name: &str, outputs: &[Vec<f32>], answer: &[Vec<f32>]) -> Result<()> {
    for (output, answer) in outputs.iter().zip(answer) {
        let answer: Vec<f64> = answer.iter().map(|&x| x.into()).collect();
        // Weights that overflow do so on any device, and not in the same place.
        if !answer.iter().all(|x| x.is_finite()) {
            return Ok(());
        }
        let nmse = Difference::between(output, &answer).nmse;
        if nmse.is_nan() || nmse > LARGEST_NMSE {
            let cause = format!("{name} computes other numbers than the CPU (NMSE {nmse:.1e})");
            let error = Error::new(ErrorKind::Parity, cause, "update its driver, and compare it with the reference");
            return Err(error.with_hint(Hint::Verify));
        }
    }
    Ok(())
}
