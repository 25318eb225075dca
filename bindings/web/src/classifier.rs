//! The classifier, its reference and its explanations.

use std::cell::OnceCell;

use ecgpu::{
    Prediction, Report, Weights,
    engine::{
        backend::{cpu::Cpu, reference::Reference},
        verify::{self, StageReport},
    },
    explain::{self, Method, Options},
};
use js_sys::Function;
use serde_json::{Value, json};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    Recording,
    error::{Result, thrown},
};

/// A network with its weights, ready to classify.
#[wasm_bindgen]
pub struct Classifier {
    classifier: ecgpu::Classifier,
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
            let classifier = ecgpu::Classifier::on(weights.clone(), Box::new(Cpu::default()))?;
            Ok(Self { classifier, weights, reference: OnceCell::new() })
        };
        open().map_err(thrown)
    }

    /// Classifies a recording and returns the prediction as JSON.
    ///
    /// # Errors
    /// The recording lacks a lead, is too short, or cannot be resampled.
    pub fn classify(&self, recording: &Recording, embedding: bool) -> Result<String> {
        let prediction = self.classifier.classify(&recording.0).map_err(thrown)?;
        Ok(to_json(recording, &prediction, embedding))
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
        classify().map(|prediction| to_json(recording, &prediction, embedding)).map_err(thrown)
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
    /// reports.
    ///
    /// # Errors
    /// The backend fails. A wrong result is a report that did not pass.
    pub fn verify(&self) -> Result<String> {
        let reports = verify::verify(self.classifier.backend(), self.classifier.folded(), 0).map_err(thrown)?;
        let report = |it: &StageReport| {
            json!({
                "network": it.network,
                "name": it.stage,
                "operation": it.operation,
                "shape": it.shape,
                "nmse": it.nmse,
                "largestDifference": it.largest_error,
                "passed": it.passed,
            })
        };
        Ok(Value::from_iter(reports.iter().map(report)).to_string())
    }

    /// The device: what computes, and how.
    #[wasm_bindgen(getter)]
    pub fn device(&self) -> String {
        self.classifier.device().name
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

/// Returns a prediction with the recording's name, sampling rate and duration as JSON.
fn to_json(Recording(recording): &Recording, prediction: &Prediction, embedding: bool) -> String {
    let report = Report::new("", recording.name(), prediction);
    report.with_length(recording.sampling_rate(), recording.duration()).to_json(embedding)
}
