//! The front door: weights and recordings in, predictions out.

mod executors;
mod prediction;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use crate::{
    Error, ErrorKind, Hint, Recording, Result,
    backend::{self, Backend, Device, DeviceInfo},
    ecg::quality,
    kernels::LARGEST_F16,
    network::{Contract, Folded, LARGEST_INPUT, Weights},
    plan::{Keep, Plan},
    worker::Worker,
};
use executors::{Executors, Shape};
pub use prediction::{Output, Prediction};

/// Weights on a device, ready to classify.
///
/// Threads share one classifier by reference or in an [`Arc`]. Each request runs on an executor of its own, so that
/// requests of several threads run at once, up to [`Backend::concurrency`]; the weights are in memory once.
pub struct Classifier {
    shared: Arc<Shared>,
    worker: Worker,
}

struct Shared {
    contract: Contract,
    folded: Folded,
    backend: Box<dyn Backend>,
    executors: Executors,
}

impl Classifier {
    /// Puts weights on a device.
    ///
    /// # Errors
    /// The device cannot be opened, or the weights are incomplete.
    pub fn open(weights: Weights, device: Device) -> Result<Self> {
        Self::on(weights, backend::open(&device, None)?)
    }

    /// Puts weights on a backend that is already open. On a [`Cpu`](crate::backend::cpu::Cpu) the program carries no GPU
    /// code.
    ///
    /// # Errors
    /// The weights are incomplete.
    pub fn on(weights: Weights, backend: Box<dyn Backend>) -> Result<Self> {
        let folded = Folded::new(&weights.network, weights.parameters)?;
        let executors = Executors::new(backend.concurrency());
        let shared = Shared { contract: weights.contract, folded, backend, executors };
        Ok(Self { shared: Arc::new(shared), worker: Worker::default() })
    }

    /// What runs the network; with [`Device::Auto`] what ran it last.
    pub fn device(&self) -> DeviceInfo {
        self.shared.backend.info()
    }

    /// What it runs on, for plans of one's own.
    pub fn backend(&self) -> &dyn Backend {
        self.shared.backend.as_ref()
    }

    /// Why the GPU that [`Device::Auto`] would have taken is used no more, where it has failed; the CPU answers then.
    pub fn fault(&self) -> Option<Error> {
        self.shared.backend.fault()
    }

    /// What goes in and what comes out.
    pub fn contract(&self) -> &Contract {
        &self.shared.contract
    }

    /// The network as it runs, batch norm folded.
    pub fn folded(&self) -> &Folded {
        &self.shared.folded
    }

    /// Classifies one recording.
    ///
    /// # Errors
    /// A lead that is missing, a rate that cannot be resampled, a recording too short for the network, or a device that
    /// fails.
    pub fn classify(&self, recording: &Recording) -> Result<Prediction> {
        self.shared.classify(std::slice::from_ref(recording)).remove(0)
    }

    /// Classifies many recordings, those of one length together. Each has its own result.
    pub fn classify_batch(&self, recordings: &[Recording]) -> Vec<Result<Prediction>> {
        self.shared.classify(recordings)
    }

    /// Runs the network on `input` `[batch, leads, samples]` as it is, without units, resampling or scaling.
    ///
    /// # Errors
    /// Sizes that do not fit the network or the device, a number that is not finite or too large, or a device that fails.
    pub fn run(&self, input: &[f32], batch: usize, samples: usize) -> Result<Output> {
        self.shared.run(input, batch, samples)
    }

    /// As [`Classifier::run`] for many inputs of one shape, the same bits but sooner: a GPU computes on one while the host
    /// makes and uploads the next and reads the last back. One output an input, in their order. `inputs` must not use this
    /// classifier, which waits for them.
    ///
    /// # Errors
    /// As [`Classifier::run`], of the first input that has one.
    pub fn run_many<'a, I>(&self, inputs: I, batch: usize, samples: usize) -> Result<Vec<Output>>
    where
        I: IntoIterator,
        I::Item: Into<Cow<'a, [f32]>>,
    {
        self.shared.run_many(&mut inputs.into_iter().map(Into::into), batch, samples)
    }

    /// As [`Classifier::classify`], on a thread of the classifier's own: the caller's executor is never blocked.
    pub async fn classify_async(&self, recording: Recording) -> Result<Prediction> {
        let shared = self.shared.clone();
        self.worker.run(move || shared.classify(std::slice::from_ref(&recording)).remove(0)).await?
    }

    /// As [`Classifier::run`], on a thread of the classifier's own.
    pub async fn run_async(&self, input: Vec<f32>, batch: usize, samples: usize) -> Result<Output> {
        let shared = self.shared.clone();
        self.worker.run(move || shared.run(&input, batch, samples)).await?
    }

    /// As [`Classifier::open`], on a thread of its own.
    pub async fn open_async(weights: Weights, device: Device) -> Result<Self> {
        Worker::default().run(move || Self::open(weights, device)).await?
    }

    /// What the logits and the embedding that [`Classifier::run`] gave for record `index` of `batch` mean.
    pub fn interpret(&self, output: &Output, index: usize, batch: usize) -> Prediction {
        Prediction::new(&self.shared.contract, output, index, batch)
    }
}

impl Shared {
    fn run(&self, input: &[f32], batch: usize, samples: usize) -> Result<Output> {
        let record = self.check(input, batch, samples)?;
        let output = self.forward_all(input, record, samples)?;
        self.check_finite(&output.logits)?;
        Ok(output)
    }

    fn run_many<'a>(
        &self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        batch: usize,
        samples: usize,
    ) -> Result<Vec<Output>> {
        let mut inputs = inputs.peekable();
        let Some(first) = inputs.peek() else { return Ok(Vec::new()) };
        // Before anything is sized by them.
        self.check(first, batch, samples)?;
        if self.largest_batch(samples, batch)? < batch {
            return inputs.map(|input| self.run(&input, batch, samples)).collect();
        }
        let (mut refused, mut outputs) = (None, Vec::new());
        let mut sound = inputs.map_while(|input| match self.check(&input, batch, samples) {
            Ok(_) => Some(input),
            Err(error) => {
                refused = Some(error);
                None
            }
        });
        self.stream(&mut sound, Shape { batch, samples }, &mut |results, device| {
            let mut output = Output::default();
            output.append(results, batch, device);
            outputs.push(output);
        })?;
        outputs.iter().try_for_each(|output| self.check_finite(&output.logits))?;
        refused.map_or(Ok(outputs), Err)
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
        if let Some(at) = first_absurd(input) {
            let [b, lead, t] = [at / record, at % record / samples, at % samples];
            let cause = format!("the input has {:?} at record {b}, lead {lead}, sample {t}", input[at]);
            return Err(Error::new(ErrorKind::Recording, cause, format!("give numbers up to {LARGEST_INPUT:e}")));
        }
        Ok(record)
    }

    /// Runs `input` in as many parts as the device needs; `record` is the length of one record.
    fn forward_all(&self, input: &[f32], record: usize, samples: usize) -> Result<Output> {
        let mut output = Output::default();
        let mut rest = input;
        while !rest.is_empty() {
            let records = rest.len() / record;
            let batch = self.largest_batch(samples, records)?.min(records);
            // All that are full, then with what is left another shape.
            let (full, after) = rest.split_at(records / batch * batch * record);
            let mut parts = full.chunks(batch * record).map(Cow::from);
            self.stream(&mut parts, Shape { batch, samples }, &mut |results, device| {
                output.append(results, batch, device);
            })?;
            rest = after;
        }
        Ok(output)
    }

    /// The device's limit for this length, unless an executor for `batch` exists, so that it fits.
    fn largest_batch(&self, samples: usize, batch: usize) -> Result<usize> {
        if self.executors.has_idle(Shape { batch, samples }) {
            return Ok(batch);
        }
        self.backend.largest_batch(&Plan::new(&self.folded, 1, samples, Keep::Results)?)
    }

    /// Runs inputs of one shape on an executor that no other request uses.
    fn stream<'a>(
        &self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        shape: Shape,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> Result<()> {
        let mut lent = self.executors.lend(shape, || {
            let plan = Plan::new(&self.folded, shape.batch, shape.samples, Keep::Results)?;
            self.backend.prepare(&plan)
        })?;
        lent.executor().stream(inputs, each)?;
        lent.give_back();
        Ok(())
    }

    /// Classifies recordings, those of one length in one batch.
    fn classify(&self, recordings: &[Recording]) -> Vec<Result<Prediction>> {
        let mut results: Vec<Result<Prediction>> = vec![Ok(Prediction::default()); recordings.len()];
        // By length of the input: the recordings, and their inputs one after the other.
        let mut batches: BTreeMap<usize, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
        for (at, recording) in recordings.iter().enumerate() {
            match self.contract.input(recording) {
                Err(error) => results[at] = Err(error),
                Ok(input) => {
                    let (members, joined) = batches.entry(input.len()).or_default();
                    members.push(at);
                    // The first recording of a length, often the only one, is not copied.
                    if joined.is_empty() { *joined = input } else { joined.extend_from_slice(&input) }
                }
            }
        }
        for (length, (members, joined)) in batches {
            let outcome = self.forward_all(&joined, length, length / self.contract.leads.len());
            for (place, &at) in members.iter().enumerate() {
                results[at] = outcome.as_ref().map_err(Error::clone).and_then(|output| {
                    let warnings = warnings(&self.contract, &recordings[at]);
                    let prediction = Prediction::new(&self.contract, output, place, members.len());
                    self.check_finite(&prediction.logits).map(|()| Prediction { warnings, ..prediction })
                });
            }
        }
        results
    }

    /// Weights of an absurd size overflow inside the network; f16 does so beyond 65504.
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

/// Where the first number lies that is none or too large. Chunks are looked through as wholes, which compilers turn into
/// vector instructions: 10 µs of 463 less for a forward of 12 × 1000 on the CPU, 7 of 109 with network 55k.
fn first_absurd(input: &[f32]) -> Option<usize> {
    const CHUNK: usize = 1024;
    let absurd = |value: &f32| value.is_nan() || value.abs() > LARGEST_INPUT;
    let any = |chunk: &[f32]| chunk.iter().fold(false, |any, value| any | absurd(value));
    let chunk = input.chunks(CHUNK).position(any)? * CHUNK;
    input[chunk..].iter().position(absurd).map(|at| chunk + at)
}

/// What whoever reads a prediction should know of the recording.
fn warnings(contract: &Contract, recording: &Recording) -> Vec<String> {
    let mut warnings = recording.warnings().to_vec();
    warnings.extend(quality::warnings(recording));
    // Resampling rounds the length to a whole sample.
    if (recording.duration() - contract.duration()).abs() * contract.sampling_rate > 1.0 {
        let (given, trained) = (recording.duration(), contract.duration());
        warnings.push(format!("the recording lasts {given:.1} s; the network was trained to judge {trained:.1} s"));
    }
    warnings
}
