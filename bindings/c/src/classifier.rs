//! Classifiers: weights on a device.

use std::{
    ffi::{CString, c_char},
    sync::Arc,
};

use ecgpu::{
    Classifier, Device, Weights,
    engine::backend::{self, Precision},
};

use crate::{
    EcgpuCancel, EcgpuPredictions, EcgpuRecordings, EcgpuStatus,
    argument::{array, array_mut, give, text},
    cancel::check,
    error::{self, Failure, Outcome, guard, prepare_out},
    handle::{Table, close},
    predictions::{self, Predictions},
    recordings,
};

/// A network with its weights on a device.
pub struct EcgpuClassifier {
    _private: [u8; 0],
}

/// What ecgpu_open opens. Set all to zero first: zeros and NULLs are the defaults.
#[repr(C)]
pub struct EcgpuOptions {
    /// The path of a safetensors file of a published network; NULL for the built-in weights.
    pub weights: *const c_char,
    /// The bytes of such a file, instead of a path; NULL for none. They are copied.
    pub weights_bytes: *const u8,
    /// The number of these bytes.
    pub weights_length: usize,
    /// "auto" (a GPU where it is faster, else the CPU), "gpu", "gpu:N", a part of a GPU's name, "cpu" or "reference" (float64);
    /// NULL for "auto".
    pub device: *const c_char,
    /// Threads that compute on the CPU; 0 for one per core.
    pub threads: u32,
    /// 1 to store weights and activations in f16 on a GPU; 0 for f32.
    pub f16: u32,
}

/// A classifier with the texts that C reads.
pub(crate) struct Opened {
    pub classifier: Arc<Classifier>,
    classes: Vec<CString>,
    network: CString,
}

static CLASSIFIERS: Table<Opened> = Table::new("classifier");

/// How many recordings are classified between two looks at the cancel flag.
const AT_A_TIME: usize = 64;

/// Opens a device and puts weights on it. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_open(options: *const EcgpuOptions, out: *mut *mut EcgpuClassifier) -> EcgpuStatus {
    guard(|| {
        // SAFETY: the caller gives a valid address or null.
        unsafe { prepare_out(out)? };
        // SAFETY: the caller gives options that stay as they are during the call, or null.
        let opened =
            unsafe { options.as_ref().map_or_else(|| open(None, None, None, 0, false), |options| open_by(options))? };
        // SAFETY: `prepare_out` refuses null.
        unsafe { out.write(CLASSIFIERS.insert(opened)) };
        Ok(())
    })
}

/// # Safety
/// The texts and the array of `options` are valid.
unsafe fn open_by(options: &EcgpuOptions) -> Outcome<Opened> {
    // SAFETY: the caller's promise.
    let (path, device, bytes) = unsafe {
        (
            text(options.weights, "weights")?,
            text(options.device, "device")?,
            array(options.weights_bytes, options.weights_length, "weights_bytes")?,
        )
    };
    open(path, (!bytes.is_empty()).then_some(bytes), device, options.threads, options.f16 != 0)
}

fn open(path: Option<&str>, bytes: Option<&[u8]>, device: Option<&str>, threads: u32, f16: bool) -> Outcome<Opened> {
    let weights = match (path, bytes) {
        (Some(_), Some(_)) => return Err(Failure::usage("weights and weights_bytes", "give one of the two")),
        (Some(path), None) => Weights::from_path(path)?,
        (None, Some(bytes)) => Weights::from_bytes(bytes, "weights_bytes")?,
        (None, None) => Weights::built_in()?,
    };
    let device: Device = device.unwrap_or("auto").parse()?;
    let precision = if f16 { Precision::F16 } else { Precision::F32 };
    let threads = (threads > 0).then_some(threads as usize);
    let classifier = Classifier::on(weights, backend::open_in(&device, threads, precision)?)?;
    let classes = classifier.contract().classes.iter().map(|name| error::text(name)).collect();
    let network = error::text(&classifier.folded().network.name);
    Ok(Opened { classifier: Arc::new(classifier), classes, network })
}

/// Closes a classifier and sets its handle to NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_close(classifier: *mut *mut EcgpuClassifier) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { close(&CLASSIFIERS, classifier) })
}

/// Classifies recordings. A recording that cannot be classified does not stop the others: ecgpu_prediction_status has its error.
/// `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_classify(
    classifier: *const EcgpuClassifier,
    recordings: *const EcgpuRecordings,
    cancel: *const EcgpuCancel,
    out: *mut *mut EcgpuPredictions,
) -> EcgpuStatus {
    guard(|| {
        // SAFETY: the caller gives a valid address or null.
        unsafe { prepare_out(out)? };
        let (opened, recordings, check) = (get(classifier)?, recordings::get(recordings)?, check(cancel)?);
        let mut results = Vec::with_capacity(recordings.len());
        for part in recordings.chunks(AT_A_TIME) {
            check()?;
            results.extend(opened.classifier.classify_batch(part));
        }
        // SAFETY: `prepare_out` refuses null.
        unsafe { out.write(predictions::insert(Predictions::new(results))) };
        Ok(())
    })
}

/// Runs the network on `input`, `[batch, leads, samples]` in row-major order, the leads as ecgpu_lead_count counts them, in the
/// network's own scale: millivolts at the network's sampling rate without offset, divided by the network's standard deviation. Nothing is resampled or scaled.
///
/// `logits` gets `[batch, classes]`, `embedding` `[batch, features]`; the lengths are those of the arrays and must be exact.
/// `embedding` may be NULL with a length of 0. On the CPU with one thread nothing is allocated after the first call with a shape.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_run(
    classifier: *const EcgpuClassifier,
    input: *const f32,
    batch: usize,
    samples: usize,
    logits: *mut f32,
    logits_length: usize,
    embedding: *mut f32,
    embedding_length: usize,
) -> EcgpuStatus {
    guard(|| {
        let opened = get(classifier)?;
        let leads = opened.classifier.folded().network.in_channels();
        let Some(length) = batch.checked_mul(leads).and_then(|rows| rows.checked_mul(samples)) else {
            return Err(Failure::usage(
                format!("a batch of {batch} with {samples} samples"),
                "give the sizes of the input",
            ));
        };
        // SAFETY: the caller gives arrays of these lengths.
        let (input, logits, embedding) = unsafe {
            (
                array(input, length, "input")?,
                array_mut(logits, logits_length, "logits")?,
                array_mut(embedding, embedding_length, "embedding")?,
            )
        };
        let Some(logits) = logits else {
            return Err(Failure::usage("logits is NULL", "give an array [batch, classes]"));
        };
        Ok(opened.classifier.run_into(input, batch, samples, logits, embedding)?)
    })
}

/// Gives the number of classes, which is that of the logits of a record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_class_count(classifier: *const EcgpuClassifier, out: *mut usize) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { give(out, get(classifier)?.classes.len()) })
}

/// Gives the number of leads that the network takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_lead_count(classifier: *const EcgpuClassifier, out: *mut usize) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { give(out, get(classifier)?.classifier.folded().network.in_channels()) })
}

/// Gives the name of class number `index`, such as "MI", and the probability from which the class is a label. The name is valid
/// until the classifier is closed. Both addresses may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_class(
    classifier: *const EcgpuClassifier,
    index: usize,
    name: *mut *const c_char,
    threshold: *mut f64,
) -> EcgpuStatus {
    guard(|| {
        let opened = get(classifier)?;
        let Some(class) = opened.classes.get(index) else {
            let cause = format!("class number {index} of {}", opened.classes.len());
            return Err(Failure::usage(cause, "count from 0"));
        };
        // SAFETY: the caller gives valid addresses or null.
        unsafe {
            give(name, class.as_ptr())?;
            give(threshold, opened.classifier.contract().thresholds[index])?;
        }
        Ok(())
    })
}

/// Gives the name of the network, such as "542k", the sampling rate in Hz that it takes, and the samples per lead that it was trained
/// on. The name is valid until the classifier is closed. Every address may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_network(
    classifier: *const EcgpuClassifier,
    name: *mut *const c_char,
    sampling_rate: *mut f64,
    samples: *mut usize,
) -> EcgpuStatus {
    guard(|| {
        let opened = get(classifier)?;
        let contract = opened.classifier.contract();
        // SAFETY: the caller gives valid addresses or null.
        unsafe {
            give(name, opened.network.as_ptr())?;
            give(sampling_rate, contract.sampling_rate)?;
            give(samples, contract.samples)?;
        }
        Ok(())
    })
}

/// Returns the classifier of a handle.
pub(crate) fn get(classifier: *const EcgpuClassifier) -> Outcome<Arc<Opened>> {
    CLASSIFIERS.get(classifier)
}
