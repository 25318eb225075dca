//! The model behind a bounded queue, without HTTP. Batches form while the device is busy: requests that arrive meanwhile share
//! the next one. There is no timer, so that a lone request never waits.

mod queue;
mod readiness;
mod recovery;
mod self_check;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::Instant,
};

use ecgpu::{
    Classifier, Error, ErrorKind, Recording, Result, Weights,
    explain::{self, Explanation},
};

pub use queue::{Answer, Input, Place, Refused, Reply};
pub use readiness::Phase;
pub use recovery::OpenBackend;

use crate::observe;
use queue::{Queue, Waiting};
use readiness::Readiness;
use recovery::{Recovery, is_of_device};

/// The model on a device, behind a bounded queue. A thread of its own computes.
pub struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Arc<Queue>,
    recovery: Recovery,
    readiness: Arc<Readiness>,
    largest_batch: usize,
    computed: AtomicU64,
    batches: AtomicU64,
}

/// What the engine has done since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Records that were computed.
    pub computed: u64,
    /// Batches that they were computed in.
    pub batches: u64,
    /// Records that wait now; one that is longer than usual counts for several.
    pub waiting: usize,
    /// Records that were dropped before they were computed, since their client had left.
    pub abandoned: u64,
    /// How often the device was replaced after a fault.
    pub replacements: u64,
}

impl Engine {
    /// Opens the device, warms it up for every batch size, checks it against the reference, and starts to compute. Batches
    /// have up to `largest_batch` records, rounded down to a power of two. `queue` records of the usual length may wait.
    ///
    /// # Errors
    /// The device cannot be opened, fails, or computes something else than the reference; no thread can be started.
    pub fn start(weights: Weights, open: OpenBackend, largest_batch: usize, queue: usize) -> Result<Self> {
        let largest_batch = 1 << largest_batch.max(1).ilog2();
        let queue = Arc::new(Queue::new(queue, weights.contract.samples));
        let readiness = Arc::new(Readiness::default());
        let recovery = Recovery::new(weights, open, largest_batch, readiness.clone())?;
        let (computed, batches) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { queue, recovery, readiness, largest_batch, computed, batches });
        let of_thread = shared.clone();
        let thread = Builder::new().name("dispatcher".into()).spawn(move || of_thread.dispatch()).map_err(|error| {
            let cause = format!("no thread can be started: {error}");
            Error::new(ErrorKind::Device, cause, "raise the limit of threads, or end other programs").with_source(error)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Returns what the engine does.
    pub fn phase(&self) -> Phase {
        self.shared.readiness.phase()
    }

    /// Returns the classifier that requests run on now, to prepare recordings and to interpret answers.
    pub fn classifier(&self) -> Arc<Classifier> {
        self.shared.recovery.classifier()
    }

    /// Returns what was done so far.
    pub fn counts(&self) -> Counts {
        let Shared { queue, recovery, computed, batches, .. } = self.shared.as_ref();
        Counts {
            computed: computed.load(Ordering::Relaxed),
            batches: batches.load(Ordering::Relaxed),
            waiting: queue.weight(),
            abandoned: queue.abandoned(),
            replacements: recovery.replacements(),
        }
    }

    /// Gives a request a place, before its recordings are prepared.
    ///
    /// # Errors
    /// The queue is full or closed.
    pub fn place(&self) -> std::result::Result<Place, Refused> {
        self.shared.queue.place()
    }

    /// Queues the records of the request that has a place. A reply that is dropped takes its record out of the queue.
    pub fn submit(&self, place: Place, inputs: Vec<Input>) -> Vec<Reply> {
        self.shared.queue.push(place, inputs)
    }

    /// Explains the classification of a recording, beside the queue. It takes seconds, and blocks its thread.
    ///
    /// # Errors
    /// As for [`explain::explain`].
    pub fn explain(&self, recording: &Recording, options: &explain::Options) -> Result<Explanation> {
        self.shared.recovery.run(|classifier| explain::explain(classifier, recording, options, &|_, _| {}))
    }

    /// Accepts nothing more. What waits is still computed.
    pub fn close(&self) {
        self.shared.queue.close();
    }
}

impl Drop for Engine {
    /// Computes what waits and whose client is still there, and ends the thread.
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Computes one batch after the other until the queue is closed and empty.
    fn dispatch(&self) {
        while let Some(batch) = self.queue.take(self.largest_batch) {
            self.compute(batch);
        }
    }

    /// Computes a batch of one length and answers each record. A batch that fails is divided, down to single records, so that
    /// only those with a fault of their own have an error.
    fn compute(&self, mut waiting: Vec<Waiting>) {
        let (batch, samples) = (waiting.len(), waiting[0].input.samples);
        let start = Instant::now();
        let outcome = match &mut waiting[..] {
            // The usual case of a server with little to do needs no copy.
            [only] => self.recovery.run_batch(&only.input.values, 1, samples),
            all => {
                let input: Vec<f32> = all.iter().flat_map(|one| &one.input.values).copied().collect();
                self.recovery.run_batch(&input, batch, samples)
            }
        };
        match outcome {
            Ok(output) => {
                let time = start.elapsed();
                self.queue.measured(batch, samples, time);
                self.computed.fetch_add(batch as u64, Ordering::Relaxed);
                self.batches.fetch_add(1, Ordering::Relaxed);
                observe::batch(batch, time);
                if self.readiness.phase() == Phase::Failed {
                    self.readiness.set(Phase::Ready);
                }
                let output = Arc::new(output);
                for (index, one) in waiting.into_iter().enumerate() {
                    // The client may have left meanwhile.
                    let _ = one.reply.send(Ok(Answer { output: output.clone(), index, batch }));
                }
            }
            // Without any device, smaller batches fail as well.
            Err(error) if batch == 1 || self.readiness.phase() == Phase::Failed && is_of_device(&error) => {
                for one in waiting {
                    let _ = one.reply.send(Err(error.clone()));
                }
            }
            Err(_) => {
                let second = waiting.split_off(batch / 2);
                self.compute(waiting);
                self.compute(second);
            }
        }
    }
}
