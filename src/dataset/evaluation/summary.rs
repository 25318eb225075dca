//! The metrics of one network on one population, with their intervals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    dataset::Dataset,
    evaluate::{
        Counts, Decisions, Predictions, Ranking, bootstrap, brier_score, expected_calibration_error, fmax, interval,
        macro_mean,
    },
};

/// A metric with its 95 % bootstrap interval over patients. Both are null where they are not defined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The metric.
    pub value: Option<f64>,
    /// The lower and the upper end of the interval.
    pub interval: Option<[f64; 2]>,
}

/// Metrics by their names.
pub type Metrics = BTreeMap<&'static str, Estimate>;

/// The metrics of one class: AUROC, average precision, and those of [`OF_CLASS`].
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ClassSummary {
    /// The name of the class.
    pub class: String,
    /// The number of positive records.
    pub support: usize,
    /// The probability from which the class is given as a label.
    pub threshold: f64,
    /// The area under the ROC curve.
    pub auroc: Estimate,
    /// The average precision.
    pub average_precision: Estimate,
    /// Those of [`OF_CLASS`].
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// The metrics of one network on one population.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The name of the population: [`LABELLED`] or [`ALL`].
    pub population: &'static str,
    /// The number of records.
    pub records: usize,
    /// The number of patients.
    pub patients: usize,
    /// The mean of the classes' areas under the ROC curve.
    pub macro_auroc: Estimate,
    /// The mean of the classes' average precisions.
    pub macro_average_precision: Estimate,
    /// Those of [`OF_POPULATION`].
    #[serde(flatten)]
    pub metrics: Metrics,
    /// The means over the classes of [`OF_AVERAGE`].
    pub macro_average: Metrics,
    /// The metrics of [`OF_AVERAGE`] of all decisions of all classes.
    pub micro_average: Metrics,
    /// The classes, in the order of the logits.
    pub classes: Vec<ClassSummary>,
}

/// The population of the records that have a label, as the benchmark of PTB-XL measures.
pub const LABELLED: &str = "records with a label";
/// The population of all records.
pub const ALL: &str = "all records";

/// Returns the patients of some records.
pub fn patients(dataset: &Dataset, records: &[usize]) -> Vec<u32> {
    records.iter().map(|&index| dataset.records()[index].patient_id).collect()
}

/// Returns the orders of the scores of all classes.
pub fn rankings(predictions: &Predictions) -> Vec<Ranking> {
    let ranking = |class| {
        let (probabilities, labels) = predictions.class(class);
        Ranking::new(&probabilities, &labels)
    };
    (0..predictions.classes()).map(ranking).collect()
}

/// Returns AUROC and average precision of every class and, last, their macro means.
fn areas(rankings: &[Ranking], counts: &[u64]) -> Vec<Option<f64>> {
    let mut areas = Vec::with_capacity(2 * rankings.len() + 2);
    areas.extend(rankings.iter().map(|ranking| ranking.auroc(|record| counts[record])));
    areas.extend(rankings.iter().map(|ranking| ranking.average_precision(|record| counts[record])));
    let (auroc, precision) = areas.split_at(rankings.len());
    let means = [auroc, precision].map(macro_mean);
    areas.extend(means);
    areas
}

/// The names of the metrics of a class.
pub const OF_CLASS: [&str; 7] =
    ["precision", "recall", "specificity", "f1", "accuracy", "brier_score", "expected_calibration_error"];
/// The names of the metrics of averages over the classes.
pub const OF_AVERAGE: [&str; 4] = ["precision", "recall", "specificity", "f1"];
/// The names of the metrics of a population.
pub const OF_POPULATION: [&str; 3] = ["exact_match_accuracy", "per_label_accuracy", "fmax"];

/// The metrics of [`OF_AVERAGE`].
const AVERAGED: [fn(&Counts) -> f64; 4] = [Counts::precision, Counts::recall, Counts::specificity, Counts::f1];

/// Returns the metrics that follow from decisions and probabilities: those of each class, their macro and micro averages,
/// and those of the population.
fn decided(predictions: &Predictions, thresholds: &[f64]) -> Vec<Option<f64>> {
    let decisions = Decisions::new(predictions, thresholds);
    let mut metrics = Vec::new();
    for (class, counts) in decisions.classes.iter().enumerate() {
        let (probabilities, labels) = predictions.class(class);
        metrics.extend(AVERAGED.map(|metric| Some(metric(counts))));
        metrics.push(Some(counts.accuracy()));
        metrics.push(Some(brier_score(&probabilities, &labels)));
        metrics.push(Some(expected_calibration_error(&probabilities, &labels)));
    }
    metrics.extend(AVERAGED.map(|metric| Some(decisions.macro_mean(metric))));
    metrics.extend(AVERAGED.map(|metric| Some(metric(&decisions.micro()))));
    metrics.extend([Some(decisions.exact_match_accuracy()), Some(decisions.per_label_accuracy()), fmax(predictions)]);
    metrics
}

/// Returns the predictions of a bootstrap's draw, each as often as it counts.
fn drawn(predictions: &Predictions, counts: &[u64]) -> Option<Predictions> {
    let repeat = |(record, &count): (usize, &u64)| std::iter::repeat_n(record, count as usize);
    predictions.subset(&counts.iter().enumerate().flat_map(repeat).collect::<Vec<_>>())
}

impl Summary {
    /// Computes all metrics of the predictions of a population. `names` are the classes, `thresholds` the probabilities from which
    /// they are labels, `patients` the patient of each record, and `seed` that of the bootstrap.
    pub(super) fn new(
        population: &'static str,
        predictions: &Predictions,
        names: &[String],
        thresholds: &[f64],
        patients: &[u32],
        seed: u64,
    ) -> Self {
        let rankings = rankings(predictions);
        let of = |counts: &[u64], predictions: &Predictions| -> Vec<Option<f64>> {
            areas(&rankings, counts).into_iter().chain(decided(predictions, thresholds)).collect()
        };
        let values = of(&vec![1; predictions.records()], predictions);
        let of_draw = |counts: &[u64]| drawn(predictions, counts).map(|drawn| of(counts, &drawn)).unwrap_or_default();
        let intervals: Vec<_> = bootstrap(patients, seed, of_draw).into_iter().map(interval).collect();
        let estimate = |at: usize| Estimate { value: values[at], interval: values[at].and(intervals[at]) };
        // The metrics follow the areas of the classes and their two means.
        let count = names.len();
        let first = 2 * count + 2;
        let named = |names: &[&'static str], from: usize| -> Metrics {
            names.iter().enumerate().map(|(at, name)| (*name, estimate(first + from + at))).collect()
        };
        let class = |(at, name): (usize, &String)| ClassSummary {
            class: name.clone(),
            support: predictions.class(at).1.iter().filter(|label| **label).count(),
            threshold: thresholds[at],
            auroc: estimate(at),
            average_precision: estimate(count + at),
            metrics: named(&OF_CLASS, at * OF_CLASS.len()),
        };
        let averages = count * OF_CLASS.len();
        let mut distinct = patients.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        Self {
            population,
            records: predictions.records(),
            patients: distinct.len(),
            macro_auroc: estimate(2 * count),
            macro_average_precision: estimate(2 * count + 1),
            metrics: named(&OF_POPULATION, averages + 2 * OF_AVERAGE.len()),
            macro_average: named(&OF_AVERAGE, averages),
            micro_average: named(&OF_AVERAGE, averages + OF_AVERAGE.len()),
            classes: names.iter().enumerate().map(class).collect(),
        }
    }
}

/// Computes the macro AUROC and its interval alone, as for a subgroup.
pub(super) fn macro_auroc(predictions: &Predictions, patients: &[u32], seed: u64) -> Estimate {
    let rankings = rankings(predictions);
    let statistic = |counts: &[u64]| {
        let aurocs: Vec<_> = rankings.iter().map(|ranking| ranking.auroc(|record| counts[record])).collect();
        vec![macro_mean(&aurocs)]
    };
    let value = statistic(&vec![1; predictions.records()])[0];
    let values = bootstrap(patients, seed, statistic).into_iter().next().unwrap_or_default();
    Estimate { value, interval: value.and(interval(values)) }
}

/// Computes the difference of the macro AUROCs of two networks on the same records, the first less the second, by a paired
/// bootstrap: both are measured on the same draws. `patients` has the patient of each record.
pub fn difference(first: &Predictions, second: &Predictions, patients: &[u32], seed: u64) -> Estimate {
    let rankings = [first, second].map(rankings);
    let statistic = |counts: &[u64]| {
        let of = |rankings: &[Ranking]| {
            let aurocs: Vec<_> = rankings.iter().map(|ranking| ranking.auroc(|record| counts[record])).collect();
            macro_mean(&aurocs)
        };
        vec![of(&rankings[0]).zip(of(&rankings[1])).map(|(first, second)| first - second)]
    };
    let value = statistic(&vec![1; first.records()])[0];
    let values = bootstrap(patients, seed, statistic).into_iter().next().unwrap_or_default();
    Estimate { value, interval: value.and(interval(values)) }
}
