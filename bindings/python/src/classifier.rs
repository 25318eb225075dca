//! A classifier: weights on a device.

use std::sync::Arc;

use ecgpu::{
    Prediction, Recording, Weights,
    ecg::{Lead, format},
    engine::{
        backend::{self, Backend},
        verify,
    },
};
use pyo3::{
    buffer::{Element, PyBuffer},
    exceptions::PyBufferError,
    prelude::*,
    types::PyByteArray,
};

use crate::{
    error::{detached, exception, raised},
    outcome::{Outcome, doubles, floats},
    reading::{Stated, read},
    stream::Stream,
};

/// Recordings that are classified between two looks for Ctrl-C.
const AT_A_TIME: usize = 64;

/// Records that the network takes between two looks for Ctrl-C.
const RAW_AT_A_TIME: usize = 1024;

/// A network with its weights on a device.
#[pyclass(frozen, module = "ecgpu._native")]
pub struct Classifier {
    classifier: Arc<ecgpu::Classifier>,
    /// Where the weights are from.
    #[pyo3(get)]
    source: String,
}

/// What the network returns for many records, with the warnings about them.
type Arrays<'py> = (usize, Bound<'py, PyByteArray>, Bound<'py, PyByteArray>, Bound<'py, PyByteArray>, Vec<String>);

/// Opens the weights of a file, a folder or a name, or of bytes.
pub fn open_weights(weights: Option<&str>, bytes: Option<&[u8]>) -> ecgpu::Result<Weights> {
    match (weights, bytes) {
        (Some(name), _) => Weights::from_pretrained(name),
        (None, Some(bytes)) => Weights::from_bytes(bytes, "weights in memory"),
        (None, None) => Weights::built_in(),
    }
}

/// Opens a device.
pub fn open_backend(device: &str, threads: Option<usize>, precision: &str) -> ecgpu::Result<Box<dyn Backend>> {
    backend::open_in(&device.parse()?, threads, precision.parse()?)
}

#[pymethods]
impl Classifier {
    #[new]
    #[pyo3(signature = (weights, bytes, device, threads, precision))]
    fn new(
        py: Python<'_>,
        weights: Option<&str>,
        bytes: Option<Vec<u8>>,
        device: &str,
        threads: Option<usize>,
        precision: &str,
    ) -> PyResult<Self> {
        detached(py, || {
            let weights = open_weights(weights, bytes.as_deref())?;
            let source = weights.source.clone();
            let classifier = ecgpu::Classifier::on(weights, open_backend(device, threads, precision)?)?;
            Ok(Self { classifier: Arc::new(classifier), source })
        })
    }

    /// The names of the classes, in the order of the logits.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.classifier.contract().classes.clone()
    }

    /// The probability from which each class is a label.
    #[getter]
    fn thresholds(&self) -> Vec<f64> {
        self.classifier.contract().thresholds.clone()
    }

    /// The leads in the order of the input's channels.
    #[getter]
    fn leads(&self) -> Vec<String> {
        self.classifier.contract().leads.iter().map(Lead::to_string).collect()
    }

    /// The sampling rate in Hz, the samples per lead of training, and the deviation in mV that samples are divided by.
    #[getter]
    fn input(&self) -> (f64, usize, f64) {
        let contract = self.classifier.contract();
        (contract.sampling_rate, contract.samples, contract.deviation)
    }

    /// The name of the network.
    #[getter]
    fn network(&self) -> &str {
        &self.classifier.folded().network.name
    }

    /// How the weights were trained, in words.
    #[getter]
    fn provenance(&self) -> &str {
        &self.classifier.contract().provenance
    }

    /// The number of features of an embedding.
    #[getter]
    fn features(&self, py: Python<'_>) -> PyResult<usize> {
        let contract = self.classifier.contract();
        let network = &self.classifier.folded().network;
        let shapes = network.shapes(contract.samples).map_err(|error| raised(py, &error))?;
        Ok(shapes.get(network.embedding).map_or(0, |shape| shape.iter().product()))
    }

    /// The device that computed last.
    #[getter]
    fn device(&self) -> String {
        self.classifier.device().to_string()
    }

    /// Why a GPU is no longer used, if it failed.
    #[getter]
    fn fault(&self) -> Option<String> {
        self.classifier.fault().map(|error| error.to_string())
    }

    /// Classifies the recordings of a file at a path or, with bytes, in memory. Returns the arguments of a prediction, or an
    /// exception, for each.
    fn classify<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        bytes: Option<&[u8]>,
        stated: Stated,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let recordings = detached(py, || read(name, bytes, &stated.options()?))?;
        let mut outcomes = Vec::with_capacity(recordings.len());
        for part in recordings.chunks(AT_A_TIME) {
            py.check_signals()?;
            let good: Vec<Recording> = part.iter().flatten().cloned().collect();
            let mut predictions = detached(py, || Ok(self.classifier.classify_batch(&good)))?.into_iter();
            for recording in part {
                outcomes.extend(match recording {
                    Ok(recording) => {
                        predictions.next().map(|prediction| outcome(recording, prediction).to_python(py)).transpose()?
                    }
                    Err(error) => Some(exception(py, error)?),
                });
            }
        }
        Ok(outcomes)
    }

    /// Classifies a batch of recordings in memory. Returns their number, logits, probabilities, embeddings and the warnings.
    fn predict<'py>(&self, py: Python<'py>, name: &str, bytes: &[u8], stated: Stated) -> PyResult<Arrays<'py>> {
        let recordings = detached(py, || format::read_bytes(name, bytes, &stated.options()?))?;
        let (mut logits, mut probabilities, mut embedding) = (Vec::new(), Vec::new(), Vec::new());
        let mut warnings = Vec::new();
        for part in recordings.chunks(AT_A_TIME) {
            py.check_signals()?;
            for (recording, prediction) in part.iter().zip(detached(py, || Ok(self.classifier.classify_batch(part)))?) {
                let prediction = prediction.map_err(|error| raised(py, &error.at(recording.name())))?;
                logits.extend_from_slice(&prediction.logits);
                probabilities.extend_from_slice(&prediction.probabilities);
                embedding.extend_from_slice(&prediction.embedding);
                // A warning about all records is said once.
                let new = |warning: &String| !warnings.contains(warning);
                warnings.extend(prediction.warnings.into_iter().filter(new).collect::<Vec<_>>());
            }
        }
        let arrays = (floats(py, &logits), doubles(py, &probabilities), floats(py, &embedding));
        Ok((recordings.len(), arrays.0, arrays.1, arrays.2, warnings))
    }

    /// Runs the network on `input`, `[batch, leads, samples]` in its own scale, and writes logits and embeddings into arrays.
    fn run(
        &self,
        py: Python<'_>,
        input: &Bound<'_, PyAny>,
        batch: usize,
        samples: usize,
        logits: &Bound<'_, PyAny>,
        embedding: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let input = PyBuffer::<f32>::get(input)?;
        let logits = PyBuffer::<f32>::get(logits)?;
        let embedding = embedding.map(PyBuffer::<f32>::get).transpose()?;
        let input = contiguous(&input)?;
        let logits = writable(&logits)?;
        let mut embedding = embedding.as_ref().map(writable).transpose()?;
        let [record, classes, features] =
            [input.len(), logits.len(), embedding.as_ref().map_or(0, |embedding| embedding.len())]
                .map(|length| length / batch.max(1));
        if batch <= RAW_AT_A_TIME {
            return detached(py, || self.classifier.run_into(input, batch, samples, logits, embedding));
        }
        for (at, (input, logits)) in
            input.chunks(RAW_AT_A_TIME * record).zip(logits.chunks_mut(RAW_AT_A_TIME * classes)).enumerate()
        {
            py.check_signals()?;
            let records = input.len() / record;
            let part = at * RAW_AT_A_TIME * features..(at * RAW_AT_A_TIME + records) * features;
            let embedding = embedding.as_mut().map(|embedding| &mut embedding[part]);
            detached(py, || self.classifier.run_into(input, records, samples, logits, embedding))?;
        }
        Ok(())
    }

    /// Begins to classify files.
    fn stream(&self, py: Python<'_>, batch: usize, stated: Stated) -> PyResult<Stream> {
        let classifier = self.classifier.clone();
        detached(py, || Stream::start(classifier, batch, stated.options()?))
    }

    /// Compares every stage with the float64 reference: name, nMSE, largest difference, and whether it passes.
    fn verify(&self, py: Python<'_>) -> PyResult<Vec<(String, f64, f64, bool)>> {
        let reports = detached(py, || verify::verify(self.classifier.backend(), self.classifier.folded(), 0))?;
        let stage = |report: verify::StageReport| (report.stage, report.nmse, report.largest_error, report.passed);
        Ok(reports.into_iter().map(stage).collect())
    }
}

fn outcome(recording: &Recording, prediction: ecgpu::Result<Prediction>) -> Outcome {
    Outcome {
        record: recording.name().into(),
        sampling_rate: recording.sampling_rate(),
        duration: recording.duration(),
        prediction: prediction.map_err(|error| error.at(recording.name())),
    }
}

/// Returns the numbers of a contiguous array.
fn contiguous<T: Element>(buffer: &PyBuffer<T>) -> PyResult<&[T]> {
    let numbers = buffer.as_slice_ptr().ok_or_else(|| PyBufferError::new_err("the array is not contiguous"))?;
    // SAFETY: the buffer is held as long as the slice. Another thread of Python may write to the array while it is read, as
    // with every function of NumPy that releases the lock; numbers of any value are computed with.
    Ok(unsafe { numbers.as_ref() })
}

/// Returns the numbers of a contiguous array that the package has made for this call.
#[allow(clippy::mut_from_ref, reason = "the numbers are not in the buffer's description, but where it points to")]
fn writable<T: Element>(buffer: &PyBuffer<T>) -> PyResult<&mut [T]> {
    if buffer.readonly() {
        return Err(PyBufferError::new_err("the array cannot be written"));
    }
    let mut numbers = buffer.as_slice_ptr().ok_or_else(|| PyBufferError::new_err("the array is not contiguous"))?;
    // SAFETY: the buffer is held as long as the slice, and nothing else knows the array yet.
    Ok(unsafe { numbers.as_mut() })
}
