//! The classifier, its reference and its explanations.

use std::{cell::OnceCell, rc::Rc};

use ecgpu::{
    Device, Prediction, Report, Weights,
    engine::{
        backend::{cpu::Cpu, reference::Reference},
        verify::{self, StageReport},
    },
    explain::{self, Method, Options},
};
use js_sys::{Function, Promise, futures::future_to_promise};
use serde_json::{Value, json};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    Recording,
    error::{Result, thrown},
    gpu::OnGpu,
};

/// A network with its weights, ready to classify.
#[wasm_bindgen]
pub struct Classifier {
    classifier: Rc<ecgpu::Classifier>,
    on_gpu: Rc<OnGpu>,
    weights: Weights,
    /// The same weights on the float64 reference, made when it is first asked.
    reference: OnceCell<ecgpu::Classifier>,
}

#[wasm_bindgen]
impl Classifier {
    /// Makes a classifier of a weights file, which messages call `source`.
    ///
    /// # Errors
    /// The bytes are not a weights file of a known network.
    pub fn open(weights: &[u8], source: &str) -> Result<Classifier> {
        let open = || {
            let weights = Weights::from_bytes(weights, source)?;
            let classifier = Rc::new(ecgpu::Classifier::on(weights.clone(), Box::new(Cpu::default()))?);
            let on_gpu = Rc::new(OnGpu::new(classifier.clone(), weights.clone()));
            Ok(Self { classifier, on_gpu, weights, reference: OnceCell::new() })
        };
        open().map_err(thrown)
    }

    /// Classifies a recording and returns the prediction as JSON.
    ///
    /// # Errors
    /// The recording lacks a lead, is too short, or cannot be resampled.
    pub fn classify(&self, recording: &Recording, embedding: bool) -> Result<String> {
        let prediction = self.classifier.classify(&recording.0).map_err(thrown)?;
        self.on_gpu.used_last.set(false);
        Ok(to_json(&recording.0, &prediction, embedding))
    }

    /// Opens the browser's GPU, which may be one that computes on the CPU.
    ///
    /// # Errors
    /// The promise fails: there is no WebGPU, or it fails.
    pub fn open_gpu(&self) -> Promise {
        let on_gpu = self.on_gpu.clone();
        future_to_promise(async move {
            on_gpu.open(Device::Gpu).await.map_err(thrown)?;
            // The next prediction is its.
            on_gpu.used_last.set(true);
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Classifies a recording on the GPU that was opened, or on the CPU if that fails, and returns the prediction as JSON.
    ///
    /// # Errors
    /// The promise fails: the recording lacks a lead, is too short, or cannot be resampled.
    pub fn classify_on_gpu(&self, recording: &Recording, embedding: bool) -> Promise {
        let (on_gpu, recording) = (self.on_gpu.clone(), recording.0.clone());
        future_to_promise(async move {
            let prediction = on_gpu.classify(&recording).await.map_err(thrown)?;
            Ok(to_json(&recording, &prediction, embedding).into())
        })
    }

    /// Opens a GPU that does not compute on the CPU, classifies a recording on both devices and returns whether the GPU is
    /// faster. `now` returns the time in milliseconds.
    ///
    /// # Errors
    /// The promise fails: there is no such GPU, or it fails or computes other numbers.
    pub fn gpu_is_faster(&self, recording: &Recording, now: Function) -> Promise {
        let (on_gpu, recording) = (self.on_gpu.clone(), recording.0.clone());
        let now = move || now.call0(&JsValue::NULL).ok().and_then(|time| time.as_f64()).unwrap_or_default();
        future_to_promise(async move { on_gpu.is_faster(recording, now).await.map(JsValue::from).map_err(thrown) })
    }

    /// Returns why the GPU is no longer used, once; none if it works, or was not used.
    pub fn gpu_fault(&self) -> Option<String> {
        self.on_gpu.take_fault().map(|fault| fault.to_string())
    }

    /// Classifies a recording with the float64 reference and returns the prediction as JSON.
    ///
    /// # Errors
    /// As for [`Classifier::classify`].
    pub fn classify_reference(&self, recording: &Recording, embedding: bool) -> Result<String> {
        let classify = || {
            let reference = match self.reference.get() {
                Some(reference) => reference,
                None => {
                    let made = ecgpu::Classifier::on(self.weights.clone(), Box::new(Reference))?;
                    self.reference.get_or_init(|| made)
                }
            };
            reference.classify(&recording.0)
        };
        let prediction = classify().map_err(thrown)?;
        Ok(to_json(&recording.0, &prediction, embedding))
    }

    /// Explains the classification of a recording and returns the explanation as JSON: of the most probable class if none is
    /// named, by all methods if none is. `progress` is called with the forward passes so far and all of them.
    ///
    /// # Errors
    /// The recording cannot be classified or is too long, or there is no such class or method.
    pub fn explain(
        &self,
        recording: &Recording,
        class: Option<String>,
        methods: Option<Vec<String>>,
        seed: u32,
        progress: Option<Function>,
    ) -> Result<String> {
        let explain = || {
            let methods = match methods {
                None => Method::ALL.to_vec(),
                Some(names) => names.iter().map(|name| name.parse()).collect::<ecgpu::Result<Vec<Method>>>()?,
            };
            let options = Options { class, methods, seed: seed.into() };
            let progress = |done: usize, total: usize| {
                if let Some(progress) = &progress {
                    // Its caller catches what the function throws.
                    let _ = progress.call2(&JsValue::NULL, &done.into(), &total.into());
                }
            };
            explain::explain(&self.classifier, &recording.0, &options, &progress)
        };
        let name = recording.0.name();
        explain().map(|explanation| explanation.to_json("", name)).map_err(thrown)
    }

    /// Compares every stage with the float64 reference, on ten seconds and on two awkward shapes, and returns a JSON array of
    /// reports. The GPU is compared if it is open.
    ///
    /// # Errors
    /// The promise fails: the backend fails. A wrong result is a report that did not pass.
    pub fn verify(&self) -> Promise {
        let classifier = self.on_gpu.classifier().unwrap_or_else(|| self.classifier.clone());
        future_to_promise(async move {
            let reports = verify::verify_async(classifier.backend(), classifier.folded(), 0).await.map_err(thrown)?;
            Ok(Value::from_iter(reports.iter().map(stage_to_json)).to_string().into())
        })
    }

    /// The device that computed the last prediction; before the first, the one that will.
    #[wasm_bindgen(getter)]
    pub fn device(&self) -> String {
        let gpu = self.on_gpu.classifier().filter(|_| self.on_gpu.used_last.get());
        gpu.unwrap_or_else(|| self.classifier.clone()).device().name
    }

    /// The network's name.
    #[wasm_bindgen(getter)]
    pub fn network(&self) -> String {
        self.classifier.folded().network.name.clone()
    }

    /// The sampling rate in Hz to which recordings are resampled.
    #[wasm_bindgen(getter)]
    pub fn sampling_rate(&self) -> f64 {
        self.classifier.contract().sampling_rate
    }

    /// The names of the classes.
    #[wasm_bindgen(getter)]
    pub fn classes(&self) -> Vec<String> {
        self.classifier.contract().classes.clone()
    }

    /// The probability from which each class is a label.
    #[wasm_bindgen(getter)]
    pub fn thresholds(&self) -> Vec<f64> {
        self.classifier.contract().thresholds.clone()
    }

    /// Remarks about the weights file, such as defaults that replace missing metadata.
    #[wasm_bindgen(getter)]
    pub fn notes(&self) -> Vec<String> {
        self.weights.notes.clone()
    }
}

/// A stage's comparison, as the package's types describe it.
fn stage_to_json(it: &StageReport) -> Value {
    json!({
        "network": it.network,
        "name": it.stage,
        "operation": it.operation,
        "shape": it.shape,
        "nmse": it.nmse,
        "largestDifference": it.largest_error,
        "passed": it.passed,
    })
}

/// Returns a prediction with the recording's name, sampling rate and duration as JSON.
fn to_json(recording: &ecgpu::Recording, prediction: &Prediction, embedding: bool) -> String {
    let report = Report::new("", recording.name(), prediction);
    report.with_length(recording.sampling_rate(), recording.duration()).to_json(embedding)
}
