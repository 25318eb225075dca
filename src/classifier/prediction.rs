//! The outputs of a classifier: raw arrays, and predictions with names.

use crate::{
    backend::DeviceInfo,
    network::Contract,
    plan::{EMBEDDING, LOGITS},
};

/// The network's outputs for an input `[batch, leads, samples]`.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Output {
    /// The logits, `[batch, classes]`.
    pub logits: Vec<f32>,
    /// The embeddings, `[batch, features]`: 256 features in network 542k, 128 in 55k.
    pub embedding: Vec<f32>,
    /// The devices that computed the records, in the records' order, each with the number of consecutive records.
    pub devices: Vec<(usize, DeviceInfo)>,
}

/// The network's result for one recording, with the names of the classes.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Prediction {
    /// The names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// The logits, one per class.
    pub logits: Vec<f32>,
    /// The probabilities, one per class: the sigmoid of the logit over the
    /// contract's temperature. Classes do not exclude each other, so the sum is not 1.
    pub probabilities: Vec<f64>,
    /// The thresholds, one per class: the probability from which a class is given as a label.
    pub thresholds: Vec<f64>,
    /// The classes whose probability reaches their threshold.
    pub labels: Vec<String>,
    /// The features before the last linear layer: 256 numbers in network 542k, 128 in 55k.
    pub embedding: Vec<f32>,
    /// The device that computed the prediction.
    pub device: DeviceInfo,
    /// What is unusual about the recording, in words.
    pub warnings: Vec<String>,
}

impl Output {
    /// Returns the device that computed record `index`.
    fn device(&self, index: usize) -> Option<&DeviceInfo> {
        let mut end = 0;
        let found = self.devices.iter().find(|(records, _)| {
            end += records;
            index < end
        });
        found.map(|(_, device)| device)
    }

    /// Adds the results of a forward pass of `batch` records, and the device that computed them.
    pub(super) fn append(&mut self, results: &[Vec<f32>], batch: usize, device: &DeviceInfo) {
        self.logits.extend_from_slice(&results[LOGITS]);
        self.embedding.extend_from_slice(&results[EMBEDDING]);
        match self.devices.last_mut() {
            Some((count, last)) if last == device => *count += batch,
            _ => self.devices.push((batch, device.clone())),
        }
    }
}

impl Prediction {
    /// Interprets the outputs of record `index` of `batch`.
    pub(super) fn new(contract: &Contract, output: &Output, index: usize, batch: usize) -> Self {
        let of_record = |values: &[f32]| {
            let length = values.len().checked_div(batch).unwrap_or(0);
            values.chunks_exact(length.max(1)).nth(index).unwrap_or_default().to_vec()
        };
        let logits = of_record(&output.logits);
        let probabilities: Vec<f64> = logits.iter().map(|&logit| contract.probability(logit)).collect();
        let reached = contract.classes.iter().zip(&probabilities).zip(&contract.thresholds);
        let labels =
            reached.filter(|((_, p), threshold)| p >= threshold).map(|((class, _), _)| class.clone()).collect();
        Prediction {
            classes: contract.classes.clone(),
            logits,
            probabilities,
            thresholds: contract.thresholds.clone(),
            labels,
            embedding: of_record(&output.embedding),
            device: output.device(index).cloned().unwrap_or_default(),
            warnings: Vec::new(),
        }
    }
}
