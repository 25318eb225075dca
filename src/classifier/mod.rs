//! The classifier: weights and recordings in, predictions out.

mod executors;
#[cfg(feature = "formats")]
mod files;
mod prediction;
mod prepared;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

#[cfg(not(target_family = "wasm"))]
use crate::worker::Worker;
use crate::{
    Error, ErrorKind, Hint, Recording, Result,
    backend::{self, Backend, Device, DeviceInfo},
    kernels::LARGEST_F16,
    network::{Contract, Folded, LARGEST_INPUT, Weights},
    plan::{EMBEDDING, Keep, LOGITS, Plan},
    search,
    worker::at_once,
};
use executors::{Executors, Lent, Ready, Shape};
#[cfg(feature = "formats")]
pub use files::{Classified, Piece};
pub use prediction::{Output, Prediction};
pub use prepared::Prepared;

/// A network with its weights on a device, ready to classify.
///
/// Threads share one classifier by reference or in an [`Arc`]. Each request has its own executor, so that up to
/// [`Backend::concurrency`] requests run at the same time. All executors share one copy of the weights.
pub struct Classifier {
    shared: Arc<Shared>,
    #[cfg(not(target_family = "wasm"))]
    worker: Worker,
}

/// The part of a classifier that its worker thread shares.
struct Shared {
    contract: Contract,
    folded: Folded,
    backend: Box<dyn Backend>,
    executors: Executors,
}

impl Classifier {
    /// Opens a device and makes a classifier of weights on it.
    ///
    /// # Errors
    /// The device cannot be opened, or the weights are incomplete.
    pub fn open(weights: Weights, device: Device) -> Result<Self> {
        Self::on(weights, backend::open(&device, None)?)
    }

    /// Makes a classifier of weights on a backend that is already open. A program that only uses a
    /// [`Cpu`](crate::backend::cpu::Cpu) contains no GPU code.
    ///
    /// # Errors
    /// The weights are incomplete.
    pub fn on(weights: Weights, backend: Box<dyn Backend>) -> Result<Self> {
        let folded = Folded::new(&weights.network, weights.parameters)?;
        let executors = Executors::new(backend.concurrency());
        let shared = Shared { contract: weights.contract, folded, backend, executors };
        Ok(Self {
            shared: Arc::new(shared),
            #[cfg(not(target_family = "wasm"))]
            worker: Worker::default(),
        })
    }

    /// Describes the device; with [`Device::Auto`], the one that computed the last request.
    pub fn device(&self) -> DeviceInfo {
        self.shared.backend.info()
    }

    /// Returns the backend, to run other plans on it.
    pub fn backend(&self) -> &dyn Backend {
        self.shared.backend.as_ref()
    }

    /// Returns the error for which [`Device::Auto`] no longer uses its GPU; the CPU computes everything then. The error is
    /// also logged as a warning when it happens.
    pub fn fault(&self) -> Option<Error> {
        self.shared.backend.fault()
    }

    /// Returns the input contract: leads, sampling rate, unit, scale, classes and thresholds.
    pub fn contract(&self) -> &Contract {
        &self.shared.contract
    }

    /// Returns the network as it runs, with batch norm folded into the convolutions.
    pub fn folded(&self) -> &Folded {
        &self.shared.folded
    }

    /// Classifies one recording.
    ///
    /// # Errors
    /// A lead is missing, the sampling rate cannot be resampled, the recording lasts less than a second, or the device
    /// failed.
    pub fn classify(&self, recording: &Recording) -> Result<Prediction> {
        self.shared.classify(std::slice::from_ref(recording)).remove(0)
    }

    /// Classifies many recordings and returns one result per recording, in order. Recordings of one length run as one batch.
    pub fn classify_batch(&self, recordings: &[Recording]) -> Vec<Result<Prediction>> {
        self.shared.classify(recordings)
    }

    /// Prepares a recording for [`Classifier::run`]: checks it, orders its leads, resamples and scales. It needs no device, so
    /// that any thread can do it while the device computes. Prepared recordings of one length make a batch one behind the
    /// other.
    ///
    /// # Errors
    /// A lead is missing, the sampling rate cannot be resampled, or the recording lasts less than a second.
    pub fn prepare(&self, recording: &Recording) -> Result<Prepared> {
        Prepared::new(&self.shared.contract, recording)
    }

    /// Runs the network on `input` `[batch, leads, samples]` in the network's own scale, without resampling or scaling.
    ///
    /// # Errors
    /// The sizes do not fit the network or the device, a number is not finite or too large, or the device failed.
    pub fn run(&self, input: &[f32], batch: usize, samples: usize) -> Result<Output> {
        at_once(self.shared.run(input, batch, samples))
    }

    /// Runs the network as [`Classifier::run`] does and writes into the caller's memory: logits `[batch, classes]` and, if
    /// wanted, embeddings `[batch, features]`. On the CPU with one thread nothing is allocated after the first run of a shape.
    ///
    /// # Errors
    /// As for [`Classifier::run`], or an array has another length.
    pub fn run_into(
        &self,
        input: &[f32],
        batch: usize,
        samples: usize,
        logits: &mut [f32],
        embedding: Option<&mut [f32]>,
    ) -> Result<()> {
        let shared = &self.shared;
        shared.check(input, batch, samples)?;
        if shared.largest_batch(samples, batch)? < batch {
            let output = at_once(shared.run(input, batch, samples))?;
            return copy_results(&output.logits, &output.embedding, logits, embedding);
        }
        let mut lent = at_once(shared.lend(Shape { batch, samples }))?;
        let Ready { executor, outputs } = lent.ready();
        executor.run(input, outputs)?;
        let copied = copy_results(&outputs[LOGITS], &outputs[EMBEDDING], logits, embedding);
        lent.give_back();
        copied?;
        shared.check_finite(logits)
    }

    /// Runs the network on many inputs of one shape and returns one output per input, in order.
    ///
    /// The outputs have the same bits as those of [`Classifier::run`] and are ready sooner: a GPU computes on one input while
    /// the host makes and uploads the next, and reads the previous outputs back. The iterator must not use this classifier.
    ///
    /// # Errors
    /// An input is invalid, as for [`Classifier::run`], or the device failed. The first error is returned.
    pub fn run_many<'a, I>(&self, inputs: I, batch: usize, samples: usize) -> Result<Vec<Output>>
    where
        I: IntoIterator,
        I::Item: Into<Cow<'a, [f32]>>,
    {
        at_once(self.shared.run_many(&mut inputs.into_iter().map(Into::into), batch, samples))
    }

    /// Classifies one recording on the classifier's worker thread, so that the caller's executor is never blocked. In a
    /// browser a GPU computes while the future waits, and the CPU while it is polled.
    ///
    /// # Errors
    /// The same as [`Classifier::classify`], or no thread can be started.
    pub async fn classify_async(&self, recording: Recording) -> Result<Prediction> {
        #[cfg(target_family = "wasm")]
        return self.shared.classify_prepared(Prepared::all(&self.shared.contract, &[recording])).await.remove(0);
        #[cfg(not(target_family = "wasm"))]
        self.on_worker(move |shared| shared.classify(std::slice::from_ref(&recording)).remove(0)).await
    }

    /// Runs the network on `input` `[batch, leads, samples]` on the classifier's worker thread, or in a browser as
    /// [`Classifier::classify_async`] does.
    ///
    /// # Errors
    /// The same as [`Classifier::run`], or no thread can be started.
    pub async fn run_async(&self, input: Vec<f32>, batch: usize, samples: usize) -> Result<Output> {
        #[cfg(target_family = "wasm")]
        return self.shared.run(&input, batch, samples).await;
        #[cfg(not(target_family = "wasm"))]
        self.on_worker(move |shared| at_once(shared.run(&input, batch, samples))).await
    }

    /// Runs `work` on the classifier's worker thread.
    #[cfg(not(target_family = "wasm"))]
    async fn on_worker<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.shared.clone();
        self.worker.run(move || work(&shared)).await?
    }

    /// Opens a device and makes a classifier of weights on it, on a new thread. In a browser, [`Device::Gpu`] is its WebGPU,
    /// and [`Device::Auto`] is the CPU.
    ///
    /// # Errors
    /// The same as [`Classifier::open`], or no thread can be started.
    pub async fn open_async(weights: Weights, device: Device) -> Result<Self> {
        #[cfg(target_family = "wasm")]
        return Self::on(weights, backend::open_async(&device).await?);
        #[cfg(not(target_family = "wasm"))]
        Worker::default().run(move || Self::open(weights, device)).await?
    }

    /// Interprets an output of [`Classifier::run`]: returns the prediction for record `index` of `batch`.
    pub fn interpret(&self, output: &Output, index: usize, batch: usize) -> Prediction {
        Prediction::new(&self.shared.contract, output, index, batch)
    }
}

impl Shared {
    async fn run(&self, input: &[f32], batch: usize, samples: usize) -> Result<Output> {
        let record = self.check(input, batch, samples)?;
        let output = self.forward_all(input, record, samples).await?;
        self.check_finite(&output.logits)?;
        Ok(output)
    }

    async fn run_many<'a>(
        &self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        batch: usize,
        samples: usize,
    ) -> Result<Vec<Output>> {
        let mut inputs = inputs.peekable();
        let Some(first) = inputs.peek() else { return Ok(Vec::new()) };
        // Checked before anything is allocated with these sizes.
        self.check(first, batch, samples)?;
        if self.largest_batch(samples, batch)? < batch {
            let mut outputs = Vec::new();
            for input in inputs {
                outputs.push(self.run(&input, batch, samples).await?);
            }
            return Ok(outputs);
        }
        let (mut invalid, mut outputs) = (None, Vec::new());
        let mut valid = inputs.map_while(|input| match self.check(&input, batch, samples) {
            Ok(_) => Some(input),
            Err(error) => {
                invalid = Some(error);
                None
            }
        });
        self.stream(&mut valid, Shape { batch, samples }, &mut |results, device| {
            let mut output = Output::default();
            output.append(results, batch, device);
            outputs.push(output);
        })
        .await?;
        outputs.iter().try_for_each(|output| self.check_finite(&output.logits))?;
        invalid.map_or(Ok(outputs), Err)
    }

    /// Checks an input `[batch, leads, samples]` and returns the length of one record.
    fn check(&self, input: &[f32], batch: usize, samples: usize) -> Result<usize> {
        let leads = self.folded.network.in_channels();
        let record = leads.checked_mul(samples).filter(|&record| record.checked_mul(batch) == Some(input.len()));
        let Some(record) = record.filter(|&record| record > 0 && batch > 0) else {
            let cause = format!("an input of {} numbers for shape [{batch}, {leads}, {samples}]", input.len());
            let remedy = format!("give batch × {leads} leads × samples numbers, at least one of each");
            return Err(Error::new(ErrorKind::Shape, cause, remedy));
        };
        let invalid = |value: f32| value.is_nan() || value.abs() > LARGEST_INPUT;
        if let Some(at) = search::position(input, invalid) {
            let [b, lead, t] = [at / record, at % record / samples, at % samples];
            let cause = format!("the input has {:?} at record {b}, lead {lead}, sample {t}", input[at]);
            return Err(Error::new(ErrorKind::Recording, cause, format!("give numbers up to {LARGEST_INPUT:e}")));
        }
        Ok(record)
    }

    /// Runs `input`, in parts if the device's largest batch is smaller. `record` is the number of values of one record.
    async fn forward_all(&self, input: &[f32], record: usize, samples: usize) -> Result<Output> {
        let mut output = Output::default();
        let mut rest = input;
        while !rest.is_empty() {
            let records = rest.len() / record;
            let batch = self.largest_batch(samples, records)?.min(records);
            // All full batches first; the remaining records have another shape.
            let (full, after) = rest.split_at(records / batch * batch * record);
            let mut parts = full.chunks(batch * record).map(Cow::from);
            self.stream(&mut parts, Shape { batch, samples }, &mut |results, device| {
                output.append(results, batch, device);
            })
            .await?;
            rest = after;
        }
        Ok(output)
    }

    /// Returns the device's largest batch for records of this length. If an idle executor exists for `batch`, `batch` fits.
    fn largest_batch(&self, samples: usize, batch: usize) -> Result<usize> {
        if self.executors.has_idle(Shape { batch, samples }) {
            return Ok(batch);
        }
        self.backend.largest_batch(&Plan::new(&self.folded, 1, samples, Keep::Results)?)
    }

    /// Runs inputs of one shape on an executor that no other request uses.
    async fn stream<'a>(
        &self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        shape: Shape,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> Result<()> {
        let mut lent = self.lend(shape).await?;
        backend::stream(lent.ready().executor.as_mut(), inputs, each).await?;
        lent.give_back();
        Ok(())
    }

    /// Lends an executor that no other request uses.
    async fn lend(&self, shape: Shape) -> Result<Lent<'_>> {
        let prepare = async || {
            let plan = Plan::new(&self.folded, shape.batch, shape.samples, Keep::Results)?;
            backend::prepare(self.backend.as_ref(), &plan).await
        };
        self.executors.lend(shape, prepare).await
    }

    fn classify(&self, recordings: &[Recording]) -> Vec<Result<Prediction>> {
        self.classify_at_once(Prepared::all(&self.contract, recordings))
    }

    fn classify_at_once(&self, prepared: Vec<Result<Prepared>>) -> Vec<Result<Prediction>> {
        let count = prepared.len();
        let classified = async { Ok(self.classify_prepared(prepared).await) };
        at_once(classified).unwrap_or_else(|error| vec![Err(error); count])
    }

    async fn classify_prepared(&self, prepared: Vec<Result<Prepared>>) -> Vec<Result<Prediction>> {
        let mut results: Vec<Result<Prediction>> = Vec::with_capacity(prepared.len());
        // For each length of an input: the indices of the recordings, and their concatenated inputs.
        let mut batches: BTreeMap<usize, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
        for (at, prepared) in prepared.into_iter().enumerate() {
            results.push(prepared.map(|Prepared { input, warnings }| {
                let (members, inputs) = batches.entry(input.len()).or_default();
                members.push(at);
                // The first recording of a length, often the only one, is not copied.
                if inputs.is_empty() {
                    *inputs = input
                } else {
                    inputs.extend_from_slice(&input)
                }
                Prediction { warnings, ..Prediction::default() }
            }));
        }
        for (length, (members, inputs)) in batches {
            let outcome = self.forward_all(&inputs, length, length / self.contract.leads.len()).await;
            for (place, &at) in members.iter().enumerate() {
                let Ok(Prediction { warnings, .. }) = &mut results[at] else { continue };
                let warnings = std::mem::take(warnings);
                results[at] = outcome.as_ref().map_err(Error::clone).and_then(|output| {
                    let prediction = Prediction::new(&self.contract, output, place, members.len());
                    self.check_finite(&prediction.logits).map(|()| Prediction { warnings, ..prediction })
                });
            }
        }
        results
    }

    /// Checks that no logit is infinite or NaN: very large weights overflow inside the network, in f16 beyond 65504.
    fn check_finite(&self, logits: &[f32]) -> Result<()> {
        let Some(logit) = logits.iter().find(|logit| !logit.is_finite()) else { return Ok(()) };
        let (grew, remedy, hint) = if self.backend.info().storage.is_half() {
            (format!("beyond {LARGEST_F16}, where f16 ends"), "run it in f32", Some(Hint::UseF32))
        } else {
            ("too large".into(), "give the weights of a trained network", None)
        };
        let cause = format!("the network gives a logit of {logit}: its numbers grew {grew}");
        let error = Error::new(ErrorKind::Weights, cause, remedy);
        Err(hint.map_or(error.clone(), |hint| error.with_hint(hint)))
    }
}

/// Copies logits and embeddings into arrays of their lengths.
fn copy_results(
    logits: &[f32],
    embedding: &[f32],
    to_logits: &mut [f32],
    to_embedding: Option<&mut [f32]>,
) -> Result<()> {
    copy("logits", logits, to_logits)?;
    to_embedding.map_or(Ok(()), |to| copy("the embedding", embedding, to))
}

fn copy(name: &str, from: &[f32], to: &mut [f32]) -> Result<()> {
    if from.len() != to.len() {
        let cause = format!("an array of {} numbers for {name}, which has {}", to.len(), from.len());
        return Err(Error::new(ErrorKind::Shape, cause, "give an array of this length"));
    }
    to.copy_from_slice(from);
    Ok(())
}
