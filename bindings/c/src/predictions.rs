//! Predictions: what the network says of each recording.

use std::{
    ffi::{CString, c_char},
    sync::Arc,
};

use ecgpu::Prediction;

use crate::{
    EcgpuStatus,
    argument::give,
    error::{self, Failure, Outcome, guard},
    handle::{Table, close},
};

/// The results of recordings, in their order.
pub struct EcgpuPredictions {
    _private: [u8; 0],
}

/// The results with the texts that C reads.
pub(crate) struct Predictions(Vec<Result<One, Failure>>);

struct One {
    prediction: Prediction,
    is_label: Vec<bool>,
    warnings: Vec<CString>,
    device: CString,
}

static PREDICTIONS: Table<Predictions> = Table::new("list of predictions");

impl Predictions {
    pub(crate) fn new(results: Vec<ecgpu::Result<Prediction>>) -> Self {
        let one = |prediction: Prediction| One {
            is_label: prediction.classes.iter().map(|class| prediction.labels.contains(class)).collect(),
            warnings: prediction.warnings.iter().map(|warning| error::text(warning)).collect(),
            device: error::text(&prediction.device.to_string()),
            prediction,
        };
        Self(results.into_iter().map(|result| result.map(one).map_err(Failure::from)).collect())
    }
}

pub(crate) fn insert(predictions: Predictions) -> *mut EcgpuPredictions {
    PREDICTIONS.insert(predictions)
}

/// Does something with the prediction of recording number `index`.
fn with<T>(predictions: *const EcgpuPredictions, index: usize, use_it: impl FnOnce(&One) -> Outcome<T>) -> Outcome<T> {
    let predictions: Arc<Predictions> = PREDICTIONS.get(predictions)?;
    let Some(one) = predictions.0.get(index) else {
        let cause = format!("prediction number {index} of {}", predictions.0.len());
        return Err(Failure::usage(cause, "count from 0"));
    };
    use_it(one.as_ref().map_err(Failure::clone)?)
}

/// Gives the number of predictions, which is that of the recordings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_predictions_count(predictions: *const EcgpuPredictions, out: *mut usize) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { give(out, PREDICTIONS.get(predictions)?.0.len()) })
}

/// Returns ECGPU_STATUS_OK if recording number `index` was classified, or else why not; ecgpu_last_error() then has the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_prediction_status(predictions: *const EcgpuPredictions, index: usize) -> EcgpuStatus {
    guard(|| with(predictions, index, |_| Ok(())))
}

/// Gives the logits, one per class, and the probabilities, in the order of the classes. They are valid until the predictions are
/// closed. Classes do not exclude each other: the probabilities do not add up to 1. Every address may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_prediction(
    predictions: *const EcgpuPredictions,
    index: usize,
    logits: *mut *const f32,
    probabilities: *mut *const f64,
    class_count: *mut usize,
) -> EcgpuStatus {
    guard(|| {
        with(predictions, index, |One { prediction, .. }| {
            // SAFETY: the caller gives valid addresses or null.
            unsafe {
                give(logits, prediction.logits.as_ptr())?;
                give(probabilities, prediction.probabilities.as_ptr())?;
                give(class_count, prediction.classes.len())?;
            }
            Ok(())
        })
    })
}

/// Gives whether class number `class_index` is a label: whether its probability reaches its threshold (1 or 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_prediction_is_label(
    predictions: *const EcgpuPredictions,
    index: usize,
    class_index: usize,
    out: *mut u32,
) -> EcgpuStatus {
    guard(|| {
        with(predictions, index, |One { is_label, .. }| {
            let Some(label) = is_label.get(class_index) else {
                return Err(Failure::usage(
                    format!("class number {class_index} of {}", is_label.len()),
                    "count from 0",
                ));
            };
            // SAFETY: the caller gives a valid address or null.
            unsafe { give(out, u32::from(*label))? };
            Ok(())
        })
    })
}

/// Gives the embedding, the features before the last layer. It is valid until the predictions are closed. Both addresses may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_prediction_embedding(
    predictions: *const EcgpuPredictions,
    index: usize,
    embedding: *mut *const f32,
    length: *mut usize,
) -> EcgpuStatus {
    guard(|| {
        with(predictions, index, |One { prediction, .. }| {
            // SAFETY: the caller gives valid addresses or null.
            unsafe {
                give(embedding, prediction.embedding.as_ptr())?;
                give(length, prediction.embedding.len())?;
            }
            Ok(())
        })
    })
}

/// Gives the number of warnings: what is unusual about the recording.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_prediction_warning_count(
    predictions: *const EcgpuPredictions,
    index: usize,
    out: *mut usize,
) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| with(predictions, index, |one| unsafe { give(out, one.warnings.len()) }))
}

/// Gives warning number `warning_index`, valid until the predictions are closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_prediction_warning(
    predictions: *const EcgpuPredictions,
    index: usize,
    warning_index: usize,
    out: *mut *const c_char,
) -> EcgpuStatus {
    guard(|| {
        with(predictions, index, |One { warnings, .. }| {
            let Some(warning) = warnings.get(warning_index) else {
                return Err(Failure::usage(
                    format!("warning number {warning_index} of {}", warnings.len()),
                    "count from 0",
                ));
            };
            // SAFETY: the caller gives a valid address or null.
            unsafe { give(out, warning.as_ptr())? };
            Ok(())
        })
    })
}

/// Gives what computed the prediction, such as "AMD EPYC (cpu)", valid until the predictions are closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_prediction_device(
    predictions: *const EcgpuPredictions,
    index: usize,
    out: *mut *const c_char,
) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| with(predictions, index, |one| unsafe { give(out, one.device.as_ptr()) }))
}

/// Closes predictions and sets their handle to NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_predictions_close(predictions: *mut *mut EcgpuPredictions) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { close(&PREDICTIONS, predictions) })
}
