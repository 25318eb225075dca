//! The results that a card states: what `ecgpu evaluate --json` has measured.

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use ecgpu::{
    Error, ErrorKind, Result, Weights,
    dataset::evaluation::{Estimate, doubts},
};
use serde::Deserialize;

/// More bytes of an evaluation are not read.
const LARGEST: u64 = 64 << 20;

/// The whole object.
#[derive(Deserialize)]
struct File {
    fold: u8,
    data: String,
    evaluations: Vec<OfNetwork>,
}

/// The part of one network.
#[derive(Deserialize)]
struct OfNetwork {
    weights: String,
    provenance: String,
    summaries: Vec<Summary>,
    subgroups: Vec<Subgroup>,
}

/// The metrics on one population.
#[derive(Deserialize)]
pub struct Summary {
    pub population: String,
    pub records: usize,
    pub patients: usize,
    pub macro_auroc: Estimate,
    pub macro_average_precision: Estimate,
    pub exact_match_accuracy: Estimate,
    pub per_label_accuracy: Estimate,
    pub fmax: Estimate,
    pub macro_average: BTreeMap<String, Estimate>,
    pub classes: Vec<Class>,
}

/// The metrics of one class.
#[derive(Deserialize)]
pub struct Class {
    pub class: String,
    pub support: usize,
    pub threshold: f64,
    pub auroc: Estimate,
    pub average_precision: Estimate,
    pub precision: Estimate,
    pub recall: Estimate,
    pub specificity: Estimate,
    pub f1: Estimate,
    pub brier_score: Estimate,
    pub expected_calibration_error: Estimate,
}

/// The macro AUROC of a group of patients.
#[derive(Deserialize)]
pub struct Subgroup {
    pub group: String,
    pub name: String,
    pub records: usize,
    pub macro_auroc: Estimate,
}

/// The evaluation of the card's weights.
pub struct Evaluation {
    /// The data set, such as PTB-XL.
    pub data: String,
    pub fold: u8,
    pub summaries: Vec<Summary>,
    pub subgroups: Vec<Subgroup>,
    /// What makes the figures doubtful.
    pub doubts: Vec<String>,
}

impl Evaluation {
    /// Reads a file and takes the evaluation of `weights` from it.
    ///
    /// # Errors
    /// The file cannot be read, is not the JSON of `ecgpu evaluate`, or is about other weights.
    pub fn read(path: &Path, weights: &Weights) -> Result<Self> {
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        read.map_err(|error| Error::file(path, error))?;
        let bad =
            |cause: String, remedy: &str| Error::new(ErrorKind::Usage, format!("{}: {cause}", path.display()), remedy);
        let remedy = "give the output of `ecgpu evaluate --json` of this version";
        if bytes.len() as u64 > LARGEST {
            return Err(bad(format!("over {LARGEST} bytes, no evaluation"), remedy));
        }
        let file: File =
            serde_json::from_slice(&bytes).map_err(|error| bad(format!("no evaluation as JSON ({error})"), remedy))?;
        let names: Vec<String> = file.evaluations.iter().map(|evaluation| evaluation.weights.clone()).collect();
        let own = file.evaluations.into_iter().find(|evaluation| evaluation.is_of(weights));
        let OfNetwork { weights: name, summaries, subgroups, .. } = own.ok_or_else(|| {
            let cause = format!(
                "it is about other weights ({}): none has this provenance, classes and thresholds",
                names.join(", ")
            );
            bad(cause, "evaluate these weights, and give its output")
        })?;
        let doubts = doubts(&name, &weights.contract.provenance, file.fold);
        Ok(Self { data: file.data, fold: file.fold, summaries, subgroups, doubts })
    }
}

impl OfNetwork {
    /// Returns whether this was measured with weights of the same provenance, classes and thresholds.
    fn is_of(&self, weights: &Weights) -> bool {
        let contract = &weights.contract;
        let same_classes = |summary: &Summary| {
            let classes = summary.classes.iter().map(|class| (&class.class, class.threshold));
            classes.eq(contract.classes.iter().zip(contract.thresholds.iter().copied()))
        };
        self.provenance == contract.provenance && !self.summaries.is_empty() && self.summaries.iter().all(same_classes)
    }
}
