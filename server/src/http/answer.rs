//! Answers of the engine as the JSON of a response.

use ecgpu::{Classifier, Prediction, Recording, Report, explain::Explanation};

use super::prepare::Record;
use crate::engine::Answer;

/// Returns the predictions of a request as a JSON array.
pub fn predictions(
    classifier: &Classifier,
    records: &[Record],
    answers: &[Answer],
    embedding: bool,
    signals: bool,
    explanation: Option<&Explanation>,
) -> String {
    let mut text = String::from("[");
    for (at, (record, answer)) in records.iter().zip(answers).enumerate() {
        if at > 0 {
            text.push(',');
        }
        let prediction = prediction(classifier, record, answer);
        let mut report = Report::new("", &record.name, &prediction);
        if let Some([sampling_rate, duration]) = record.length {
            report = report.with_length(sampling_rate, duration);
        }
        text += &report.to_json(embedding);
        if let (true, Some(recording)) = (signals, &record.recording) {
            add(&mut text, "signals", &signals_of(recording));
        }
        if let Some(explanation) = explanation {
            add(&mut text, "explanation", &explanation.to_json("", &record.name));
        }
    }
    text.push(']');
    text
}

/// Adds a field to the object that a text ends with.
fn add(text: &mut String, name: &str, value: &str) {
    text.pop();
    text.push_str(&format!(",\"{name}\":{value}}}"));
}

/// Returns the prediction of a record: the engine's answer in words, and the warnings of its preparation.
pub fn prediction(classifier: &Classifier, record: &Record, answer: &Answer) -> Prediction {
    let mut prediction = classifier.interpret(&answer.output, answer.index, answer.batch);
    prediction.warnings = record.warnings.clone();
    prediction
}

/// Returns the leads of a recording as they were read, `{lead: [mV, …]}`.
fn signals_of(recording: &Recording) -> String {
    let leads = recording.leads().map(|(lead, samples)| {
        let samples = serde_json::to_string(samples).unwrap_or_else(|_| "null".into());
        format!("\"{lead}\":{samples}")
    });
    format!("{{{}}}", leads.collect::<Vec<_>>().join(","))
}
