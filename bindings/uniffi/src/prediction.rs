//! Predictions on their way to other languages.

/// The network's result for one recording.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Prediction {
    /// The name of the record: that of the file's record, or "recording" for leads in memory.
    pub record: String,
    /// The names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// The logits, one per class.
    pub logits: Vec<f32>,
    /// The probabilities, one per class. Classes do not exclude each other: they do not add up to 1.
    pub probabilities: Vec<f64>,
    /// The thresholds, one per class: the probability from which a class is a label.
    pub thresholds: Vec<f64>,
    /// The classes whose probability reaches their threshold.
    pub labels: Vec<String>,
    /// The features before the last layer.
    pub embedding: Vec<f32>,
    /// What computed the prediction.
    pub device: String,
    /// What is unusual about the recording, one sentence each.
    pub warnings: Vec<String>,
}

impl Prediction {
    pub(crate) fn new(record: &str, prediction: ecgpu::Prediction) -> Self {
        Self {
            record: record.into(),
            device: prediction.device.to_string(),
            classes: prediction.classes,
            logits: prediction.logits,
            probabilities: prediction.probabilities,
            thresholds: prediction.thresholds,
            labels: prediction.labels,
            embedding: prediction.embedding,
            warnings: prediction.warnings,
        }
    }
}
