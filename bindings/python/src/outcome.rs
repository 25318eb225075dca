//! Predictions and errors as Python takes them.

use ecgpu::Prediction;
use pyo3::{
    prelude::*,
    types::{PyByteArray, PyTuple},
};

use crate::error::exception;

/// A recording and its result.
pub struct Outcome {
    pub record: String,
    pub sampling_rate: f64,
    pub duration: f64,
    pub prediction: ecgpu::Result<Prediction>,
}

impl Outcome {
    /// Makes the arguments of `ecgpu.Prediction` behind the source, or an exception.
    pub fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let prediction = match &self.prediction {
            Ok(prediction) => prediction,
            Err(error) => {
                let exception = exception(py, error)?;
                exception.setattr("record", &self.record)?;
                return Ok(exception);
            }
        };
        let arguments = (
            &self.record,
            self.sampling_rate,
            self.duration,
            &prediction.classes,
            floats(py, &prediction.logits),
            doubles(py, &prediction.probabilities),
            doubles(py, &prediction.thresholds),
            &prediction.labels,
            floats(py, &prediction.embedding),
            &prediction.warnings,
            prediction.device.to_string(),
        );
        Ok(arguments.into_pyobject(py)?.cast_into::<PyTuple>()?.into_any())
    }
}

/// Copies numbers into bytes that `numpy.frombuffer` makes a writable array of.
pub fn floats<'py>(py: Python<'py>, numbers: &[f32]) -> Bound<'py, PyByteArray> {
    bytes(py, numbers, f32::to_ne_bytes)
}

/// Copies numbers into bytes that `numpy.frombuffer` makes a writable array of.
pub fn doubles<'py>(py: Python<'py>, numbers: &[f64]) -> Bound<'py, PyByteArray> {
    bytes(py, numbers, f64::to_ne_bytes)
}

fn bytes<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    numbers: &[T],
    to_bytes: fn(T) -> [u8; N],
) -> Bound<'py, PyByteArray> {
    PyByteArray::new(py, &numbers.iter().flat_map(|&number| to_bytes(number)).collect::<Vec<u8>>())
}
