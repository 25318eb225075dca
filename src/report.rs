//! A prediction as JSON and in words: the same fields and the same sentences for every front end.

use std::fmt;

use crate::{Prediction, text::escaped};

/// A prediction with the names of its source and its record, ready to be shown.
///
/// [`fmt::Display`] gives one line in words: the record, the labels with their probabilities, the warnings.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    source: &'a str,
    record: &'a str,
    prediction: &'a Prediction,
    /// The sampling rate in Hz and the duration in seconds.
    #[cfg(feature = "json")]
    length: Option<[f64; 2]>,
}

/// One class of a [`Report`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ClassReport<'a> {
    /// The short name of the class, such as `MI`.
    pub name: &'a str,
    /// The name in words, such as "myocardial infarction"; the short name for a class that the library does not know.
    pub words: &'a str,
    /// The probability of the class.
    pub probability: f64,
    /// Whether the probability reaches the class's threshold.
    pub is_label: bool,
}

impl<'a> Report<'a> {
    /// Combines a prediction with its source, such as a file's path, and the name of its record.
    pub fn new(source: &'a str, record: &'a str, prediction: &'a Prediction) -> Self {
        Self {
            source,
            record,
            prediction,
            #[cfg(feature = "json")]
            length: None,
        }
    }

    /// Adds the recording's sampling rate in Hz and its duration in seconds to the JSON.
    #[cfg(feature = "json")]
    pub fn with_length(self, sampling_rate: f64, duration: f64) -> Self {
        Self { length: Some([sampling_rate, duration]), ..self }
    }

    /// Returns the name of the source.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// Returns the name of the record.
    pub fn record(&self) -> &'a str {
        self.record
    }

    /// Returns the classes in the order of the logits.
    pub fn classes(&self) -> impl Iterator<Item = ClassReport<'a>> + use<'a> {
        let Prediction { classes, probabilities, labels, .. } = self.prediction;
        classes.iter().zip(probabilities).map(|(name, &probability)| ClassReport {
            name,
            words: class_in_words(name).unwrap_or(name),
            probability,
            is_label: labels.contains(name),
        })
    }

    /// Returns the labels in words with their probabilities, such as "hypertrophy (81.3 %)".
    pub fn summary(&self) -> String {
        let labels = self.classes().filter(|class| class.is_label);
        let labels: Vec<String> =
            labels.map(|class| format!("{} ({:.1} %)", class.words, class.probability * 100.0)).collect();
        if labels.is_empty() { "no class reaches its threshold".into() } else { labels.join(", ") }
    }

    /// Returns a JSON object on one line, with the embedding if asked for.
    ///
    /// The fields are `source` unless it is empty, `record`, `sampling_rate_hz` and `duration_s` if they were given, `device`,
    /// `backend`, `precision`, `logits`, `probabilities` and `thresholds` by class, `labels`, `warnings` and `embedding`.
    #[cfg(feature = "json")]
    pub fn to_json(&self, embedding: bool) -> String {
        json::object(self, embedding)
    }
}

impl fmt::Display for Report<'_> {
    /// Writes one line. Characters of names and warnings that deceive are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{}: {}", self.record, self.summary());
        for warning in &self.prediction.warnings {
            line += &format!("; warning: {warning}");
        }
        f.write_str(&escaped(&line))
    }
}

/// Returns one of PTB-XL's diagnostic superclasses in words (Wagner et al. 2020, table 5).
pub fn class_in_words(class: &str) -> Option<&'static str> {
    Some(match class {
        "NORM" => "normal",
        "MI" => "myocardial infarction",
        "STTC" => "ST/T change",
        "HYP" => "hypertrophy",
        "CD" => "conduction disturbance",
        _ => return None,
    })
}

#[cfg(feature = "json")]
mod json {
    use serde::{Serialize, Serializer};

    use super::Report;

    /// The fields in their order.
    #[derive(Serialize)]
    struct Object<'a> {
        #[serde(skip_serializing_if = "str::is_empty")]
        source: &'a str,
        record: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        sampling_rate_hz: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        duration_s: Option<f64>,
        device: &'a str,
        backend: &'a str,
        precision: String,
        logits: &'a [f32],
        probabilities: ByClass<'a>,
        thresholds: ByClass<'a>,
        labels: &'a [String],
        warnings: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        embedding: Option<&'a [f32]>,
    }

    /// A number of each class by the class's name, in the order of the logits.
    struct ByClass<'a>(&'a [String], &'a [f64]);

    impl Serialize for ByClass<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().zip(self.1))
        }
    }

    pub(super) fn object(report: &Report, embedding: bool) -> String {
        let prediction = report.prediction;
        let object = Object {
            source: report.source,
            record: report.record,
            sampling_rate_hz: report.length.map(|[rate, _]| rate),
            duration_s: report.length.map(|[_, duration]| duration),
            device: &prediction.device.name,
            backend: &prediction.device.backend,
            precision: prediction.device.storage.to_string(),
            logits: &prediction.logits,
            probabilities: ByClass(&prediction.classes, &prediction.probabilities),
            thresholds: ByClass(&prediction.classes, &prediction.thresholds),
            labels: &prediction.labels,
            warnings: &prediction.warnings,
            embedding: embedding.then_some(&prediction.embedding),
        };
        // As a value first: a value has every f32 as the f64 that equals it.
        serde_json::to_value(object).expect("every key is a string").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::DeviceInfo, kernels::Storage};

    fn prediction() -> Prediction {
        Prediction {
            classes: vec!["NORM".into(), "HYP".into(), "OTHER".into()],
            logits: vec![-1.5, 0.1, 0.25],
            probabilities: vec![0.25, 0.8125, 0.75],
            thresholds: vec![0.5, 0.5, 0.625],
            labels: vec!["HYP".into(), "OTHER".into()],
            embedding: vec![0.5, 2.0],
            device: DeviceInfo::new("a GPU", "vulkan", Storage::F32),
            warnings: vec!["lead V6\nis flat".into()],
        }
    }

    #[test]
    fn a_report_in_words_is_one_line_with_the_labels_and_the_warnings() {
        let prediction = prediction();
        let report = Report::new("a.hea", "a", &prediction);
        let expected = "a: hypertrophy (81.2 %), OTHER (75.0 %); warning: lead V6\\nis flat";
        assert_eq!(report.to_string(), expected);
        let none = Prediction { labels: Vec::new(), ..prediction };
        assert_eq!(Report::new("a.hea", "a", &none).summary(), "no class reaches its threshold");
    }

    #[cfg(feature = "json")]
    #[test]
    fn a_report_in_json_has_its_fields_in_order() {
        let prediction = prediction();
        let report = Report::new("a.hea", "a", &prediction);
        let expected = r#"{"source":"a.hea","record":"a","device":"a GPU","backend":"vulkan","precision":"f32","logits":[-1.5,0.10000000149011612,0.25],"probabilities":{"NORM":0.25,"HYP":0.8125,"OTHER":0.75},"thresholds":{"NORM":0.5,"HYP":0.5,"OTHER":0.625},"labels":["HYP","OTHER"],"warnings":["lead V6\nis flat"]}"#;
        assert_eq!(report.to_json(false), expected);
        let with_embedding = expected.replace("flat\"]}", "flat\"],\"embedding\":[0.5,2.0]}");
        assert_eq!(report.to_json(true), with_embedding);
        let of_no_file = Report::new("", "a", &prediction).with_length(500.0, 10.0).to_json(false);
        let with_length = r#"{"record":"a","sampling_rate_hz":500.0,"duration_s":10.0,"device"#;
        assert_eq!(of_no_file, expected.replace(r#"{"source":"a.hea","record":"a","device"#, with_length));
    }
}
