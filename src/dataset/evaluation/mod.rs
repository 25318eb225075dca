//! Measures a classifier on the records of a data set: metrics with bootstrap intervals over patients, for the records with a
//! label and for all, and for groups of patients. `docs/evaluation.md` defines each metric.

mod fold;
mod scores;
mod subgroups;
mod summary;

use serde::Serialize;

pub(crate) use self::fold::trained_on;
pub use self::{
    fold::{Fold, doubts},
    scores::{Change, Progress, Scores, classify},
    subgroups::Subgroup,
    summary::{
        ALL, ClassSummary, Estimate, LABELLED, Metrics, OF_AVERAGE, OF_CLASS, OF_POPULATION, Summary, difference,
        patients, rankings,
    },
};
use super::Dataset;
use crate::{Classifier, Result, evaluate::Predictions};

/// What was measured of one classifier.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// The metrics of the records with a label and, where there are others, of all records.
    pub summaries: Vec<Summary>,
    /// The macro AUROC of groups of patients, of the records with a label.
    pub subgroups: Vec<Subgroup>,
    /// The predictions of the records with a label.
    #[serde(skip)]
    pub labelled: Predictions,
}

impl Evaluation {
    /// Classifies the records of a fold and measures the predictions. `seed` is that of the bootstrap.
    ///
    /// # Errors
    /// As for [`classify`].
    pub fn new(classifier: &Classifier, dataset: &Dataset, fold: &Fold, seed: u64, progress: Progress) -> Result<Self> {
        let scores = classify(classifier, dataset, &fold.all, &|_, _| (), progress)?;
        let own: Vec<usize> = (0..fold.all.len()).filter(|&at| dataset.records()[fold.all[at]].is_labelled()).collect();
        let labelled = scores.predictions.subset(&own).unwrap_or_else(|| unreachable!("`Fold::new` demands a label"));
        let thresholds = &classifier.contract().thresholds;
        let summarise = |population, predictions: &Predictions, records: &[usize]| {
            let patients = patients(dataset, records);
            Summary::new(population, predictions, dataset.classes(), thresholds, &patients, seed)
        };
        let mut summaries = vec![summarise(LABELLED, &labelled, &fold.labelled)];
        if fold.all.len() > fold.labelled.len() {
            summaries.push(summarise(ALL, &scores.predictions, &fold.all));
        }
        let patients = patients(dataset, &fold.labelled);
        let subgroups = subgroups::measure(dataset, &fold.labelled, &labelled, &patients, seed);
        Ok(Self { summaries, subgroups, labelled })
    }
}
