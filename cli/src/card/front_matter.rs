//! The metadata at the beginning of a card, as YAML, which the Hub reads.
//!
//! Texts are written as JSON strings, which are YAML, too.

use std::fmt::Write as _;

use ecgpu::dataset::evaluation::Estimate;
use serde_json::{Value, json};

use super::{Card, evaluation::Evaluation};

/// The digits of a result.
const DIGITS: i32 = 4;

/// Returns the metadata between two lines of dashes.
pub fn text(card: &Card) -> String {
    let mut text = format!(
        "---\nlicense: {}\nlibrary_name: ecgpu\npipeline_tag: other\ntags:\n- ecg\n- electrocardiogram\n- 12-lead\n\
         - multi-label-classification\n- safetensors\n",
        card.license
    );
    if card.is_of_ptb_xl() {
        text += "datasets:\n- ptb-xl\n";
    }
    if let Some(evaluation) = &card.evaluation {
        text += "metrics:\n- roc_auc\n- average_precision\n- f1\n- accuracy\n";
        text += &index(card, evaluation);
    }
    text + "---\n"
}

/// Returns the index of results, for the first population.
fn index(card: &Card, evaluation: &Evaluation) -> String {
    let Some(summary) = evaluation.summaries.first() else { return String::new() };
    let Evaluation { data, fold, .. } = evaluation;
    let dataset = format!("{data}, fold {fold}, {}", summary.population);
    let mut text = format!("model-index:\n- name: {}\n  results:\n  - task:\n", json!(card.title()));
    text += "      type: multi-label-classification\n      name: Classification of 12-lead ECGs\n";
    let _ = write!(text, "    dataset:\n      type: {}\n      name: {}\n", json!(slug(data)), json!(dataset));
    let _ = write!(text, "      split: {}\n    metrics:\n", json!(format!("fold {fold}")));
    let f1 = summary.macro_average.get("f1").copied();
    for (kind, name, estimate) in [
        ("roc_auc", "macro AUROC", Some(summary.macro_auroc)),
        ("average_precision", "macro average precision", Some(summary.macro_average_precision)),
        ("f1", "macro F1 at the thresholds", f1),
        ("accuracy", "exact-match accuracy", Some(summary.exact_match_accuracy)),
    ] {
        let Some(Estimate { value: Some(value), interval }) = estimate else { continue };
        let _ = write!(text, "    - type: {kind}\n      value: {}\n      name: {name}\n", rounded(value));
        if let Some(interval) = interval {
            let _ = write!(text, "      args:\n        interval_95: {}\n", json!(interval.map(rounded)));
        }
    }
    text
}

/// Returns a number with a few digits behind the point.
fn rounded(value: f64) -> Value {
    let factor = 10f64.powi(DIGITS);
    json!((value * factor).round() / factor)
}

/// Returns a name in small letters with dashes.
fn slug(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}
