//! A classifier that survives the loss of its device: the device is opened anew, or else the CPU takes over.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ecgpu::{
    Classifier, Error, ErrorKind, Output, Result, Weights,
    engine::backend::{Backend, cpu::Cpu},
};

use super::{
    readiness::{Phase, Readiness},
    self_check::SelfCheck,
};

/// Opens the device that the server runs on; called again when the device is lost.
pub type OpenBackend = Arc<dyn Fn() -> Result<Box<dyn Backend>> + Send + Sync>;

/// A device that is lost again within this time is not opened a third time.
const TOO_SOON: Duration = Duration::from_secs(60);

/// The classifier that requests run on, and what is needed to replace it.
pub struct Recovery {
    weights: Weights,
    open: OpenBackend,
    largest_batch: usize,
    check: SelfCheck,
    current: RwLock<Arc<Classifier>>,
    readiness: Arc<Readiness>,
    /// When the device was last opened anew. Locked while it is.
    reopened: Mutex<Option<Instant>>,
    replacements: AtomicU64,
}

impl Recovery {
    /// Opens the device, warms it up and checks it against the reference.
    ///
    /// # Errors
    /// The device cannot be opened, fails, or computes something else. Nothing takes its place, as its user chose it.
    pub fn new(weights: Weights, open: OpenBackend, largest_batch: usize, readiness: Arc<Readiness>) -> Result<Self> {
        let classifier = Classifier::on(weights.clone(), open()?)?;
        let check = SelfCheck::new(weights.clone())?;
        check.warm_up(&classifier, largest_batch)?;
        readiness.set(Phase::Ready);
        let (current, replacements) = (RwLock::new(Arc::new(classifier)), AtomicU64::new(0));
        Ok(Self { weights, open, largest_batch, check, current, readiness, reopened: Mutex::new(None), replacements })
    }

    /// Returns the classifier that requests run on now.
    pub fn classifier(&self) -> Arc<Classifier> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how often the classifier was replaced.
    pub fn replacements(&self) -> u64 {
        self.replacements.load(Ordering::Relaxed)
    }

    /// Does some work with the classifier. Where the device fails, it is replaced and the work done again.
    ///
    /// # Errors
    /// The work fails for another reason than the device, or twice on devices that pass their check.
    pub fn run<T>(&self, work: impl Fn(&Classifier) -> Result<T>) -> Result<T> {
        let classifier = self.classifier();
        match guarded(&classifier, &work) {
            Err(error) if is_of_device(&error) => {
                log::warn!("the device failed: {error}");
                self.restore(&classifier)?;
                guarded(&self.classifier(), &work)
            }
            outcome => outcome,
        }
    }

    /// Runs a batch `[batch, leads, samples]`. A single record that the device cannot run, although it works, is computed on
    /// the CPU.
    ///
    /// # Errors
    /// The batch cannot be run as a whole: its records may run one by one. A single record has a fault of its own.
    pub fn run_batch(&self, input: &[f32], batch: usize, samples: usize) -> Result<Output> {
        let work = |classifier: &Classifier| classifier.run(input, batch, samples);
        match self.run(work) {
            Err(error) if batch == 1 && is_of_device(&error) => {
                log::warn!("a record of {samples} samples is computed on the CPU: {error}");
                guarded(&Classifier::on(self.weights.clone(), Box::new(Cpu::default()))?, &work)
            }
            outcome => outcome,
        }
    }

    /// Makes sure that the classifier works, and replaces it otherwise. `failed` is the one that failed: another thread may
    /// have replaced it already.
    fn restore(&self, failed: &Arc<Classifier>) -> Result<()> {
        let mut reopened = self.reopened.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(failed, &self.classifier()) {
            return Ok(());
        }
        // What failed may be the work: a batch that is too large for the device's memory.
        if guarded(failed, &|classifier| self.check.run(classifier, 1)).is_ok() {
            return Ok(());
        }
        self.readiness.set(Phase::Recovering);
        let again = reopened.is_none_or(|last| last.elapsed() > TOO_SOON);
        *reopened = Some(Instant::now());
        let replacement = match again.then(|| self.opened(&|| (self.open)())) {
            Some(Ok(classifier)) => Ok(classifier),
            outcome => {
                if let Some(Err(error)) = outcome {
                    log::warn!("the device cannot be opened again: {error}");
                }
                self.opened(&|| Ok(Box::new(Cpu::default())))
            }
        };
        match replacement {
            Ok(classifier) => {
                log::warn!("requests run on {} from now on", classifier.device());
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(classifier);
                self.replacements.fetch_add(1, Ordering::Relaxed);
                self.readiness.set(Phase::Ready);
                Ok(())
            }
            Err(error) => {
                log::error!("no device computes any more: {error}");
                self.readiness.set(Phase::Failed);
                Err(error)
            }
        }
    }

    /// Makes a classifier on a device that it opens, warms up and checks.
    fn opened(&self, open: &dyn Fn() -> Result<Box<dyn Backend>>) -> Result<Classifier> {
        catch(|| {
            let classifier = Classifier::on(self.weights.clone(), open()?)?;
            self.check.warm_up(&classifier, self.largest_batch)?;
            Ok(classifier)
        })
    }
}

/// Whether an error says that a device does not work.
pub fn is_of_device(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Device | ErrorKind::Parity)
}

fn guarded<T>(classifier: &Classifier, work: &impl Fn(&Classifier) -> Result<T>) -> Result<T> {
    catch(|| work(classifier))
}

/// Makes an error of a panic: a driver's fault must not end the thread that all requests need.
fn catch<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Device, "the device's code panicked", "report it with the log of the server"))
    })
}
