//! Metrics of labels that follow from thresholds.

use super::Predictions;

/// How the decisions of one class agree with its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Positive records that are labelled.
    pub true_positives: usize,
    /// Negative records that are labelled.
    pub false_positives: usize,
    /// Positive records that are not labelled.
    pub false_negatives: usize,
    /// Negative records that are not labelled.
    pub true_negatives: usize,
}

/// Divides; 0 if there is nothing to divide by, as scikit-learn's `zero_division=0`.
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Counts {
    /// Precision, also positive predictive value: the share of the labelled records that are positive; 0 if none is
    /// labelled.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Recall, also sensitivity: the share of the positive records that are labelled; 0 if none is positive.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.support())
    }

    /// Specificity: the share of the negative records that are not labelled; 0 if none is negative.
    pub fn specificity(&self) -> f64 {
        ratio(self.true_negatives, self.true_negatives + self.false_positives)
    }

    /// F1: the harmonic mean of precision and recall; 0 if no record is positive or labelled.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }

    /// The number of positive records.
    pub fn support(&self) -> usize {
        self.true_positives + self.false_negatives
    }

    /// The share of the records whose decision equals the label.
    pub fn accuracy(&self) -> f64 {
        let all = self.support() + self.false_positives + self.true_negatives;
        ratio(self.true_positives + self.true_negatives, all)
    }

    fn add(&mut self, labelled: bool, positive: bool) {
        match (labelled, positive) {
            (true, true) => self.true_positives += 1,
            (true, false) => self.false_positives += 1,
            (false, true) => self.false_negatives += 1,
            (false, false) => self.true_negatives += 1,
        }
    }
}

/// The decisions of all classes at stated thresholds: a record gets the label of a class if its probability is at or above
/// the threshold.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Decisions {
    /// The counts of each class.
    pub classes: Vec<Counts>,
    /// The number of records of which every label is right.
    pub exact: usize,
    /// The number of records.
    pub records: usize,
}

impl Decisions {
    /// Compares labels with probabilities at one threshold per class.
    ///
    /// # Panics
    /// If the number of thresholds is not that of the classes.
    pub fn new(predictions: &Predictions, thresholds: &[f64]) -> Self {
        let classes = predictions.classes();
        assert_eq!(thresholds.len(), classes, "one threshold per class");
        let mut decisions =
            Self { classes: vec![Counts::default(); classes], exact: 0, records: predictions.records() };
        let rows = predictions.probabilities().chunks(classes).zip(predictions.labels().chunks(classes));
        for (probabilities, labels) in rows {
            let mut is_exact = true;
            for (class, (probability, &positive)) in probabilities.iter().zip(labels).enumerate() {
                let labelled = *probability >= thresholds[class];
                is_exact &= labelled == positive;
                decisions.classes[class].add(labelled, positive);
            }
            decisions.exact += usize::from(is_exact);
        }
        decisions
    }

    /// Exact-match accuracy: the share of the records of which every label is right.
    pub fn exact_match_accuracy(&self) -> f64 {
        ratio(self.exact, self.records)
    }

    /// Per-label accuracy: the share of all labels that are right, over records and classes.
    pub fn per_label_accuracy(&self) -> f64 {
        self.micro().accuracy()
    }

    /// The counts of all classes together, from which micro averages follow.
    pub fn micro(&self) -> Counts {
        self.classes.iter().fold(Counts::default(), |sum, class| Counts {
            true_positives: sum.true_positives + class.true_positives,
            false_positives: sum.false_positives + class.false_positives,
            false_negatives: sum.false_negatives + class.false_negatives,
            true_negatives: sum.true_negatives + class.true_negatives,
        })
    }

    /// The mean of a metric over the classes.
    pub fn macro_mean(&self, metric: impl Fn(&Counts) -> f64) -> f64 {
        self.classes.iter().map(metric).sum::<f64>() / self.classes.len() as f64
    }
}

/// Counts, for the records that have each class, how many get each label at the thresholds: a row per class, a column per
/// label, and a last column for records without any label. Records have several classes, so rows overlap.
///
/// # Panics
/// If the number of thresholds is not that of the classes.
pub fn label_confusion(predictions: &Predictions, thresholds: &[f64]) -> Vec<Vec<usize>> {
    let classes = predictions.classes();
    assert_eq!(thresholds.len(), classes, "one threshold per class");
    let mut counts = vec![vec![0; classes + 1]; classes];
    for (probabilities, has) in predictions.probabilities().chunks(classes).zip(predictions.labels().chunks(classes)) {
        let mut labels: Vec<usize> = (0..classes).filter(|&class| probabilities[class] >= thresholds[class]).collect();
        if labels.is_empty() {
            labels.push(classes);
        }
        for (row, _) in counts.iter_mut().zip(has).filter(|(_, has)| **has) {
            labels.iter().for_each(|&label| row[label] += 1);
        }
    }
    counts
}

/// Computes Fmax as the PTB-XL benchmark defines it (Strodthoff et al. 2021, doi 10.1109/JBHI.2020.3022989, after the
/// evaluation of protein functions, CAFA): the largest F1 over all thresholds τ, one for all classes, of the sample-centric
/// precision, which is the mean over the records with at least one label, and recall, which is the mean over all records
/// with at least one positive class. Returns `None` if no record has a positive class.
pub fn fmax(predictions: &Predictions) -> Option<f64> {
    let classes = predictions.classes();
    let positives: Vec<usize> =
        predictions.labels().chunks(classes).map(|labels| labels.iter().filter(|label| **label).count()).collect();
    let with_positives = positives.iter().filter(|count| **count > 0).count();
    if with_positives == 0 {
        return None;
    }
    // In descending order each entry adds a label to its record; a threshold is possible after each group of equal ones.
    let mut order: Vec<usize> = (0..predictions.labels().len()).collect();
    let probabilities = predictions.probabilities();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let (mut labelled, mut right) = (vec![0usize; positives.len()], vec![0usize; positives.len()]);
    let (mut precisions, mut recalls, mut with_labels, mut best) = (0.0, 0.0, 0, 0.0f64);
    for tied in order.chunk_by(|&a, &b| probabilities[a] == probabilities[b]) {
        for &entry in tied {
            let record = entry / classes;
            precisions -= ratio(right[record], labelled[record]);
            recalls -= ratio(right[record], positives[record]);
            with_labels += usize::from(labelled[record] == 0);
            labelled[record] += 1;
            right[record] += usize::from(predictions.labels()[entry]);
            precisions += ratio(right[record], labelled[record]);
            recalls += ratio(right[record], positives[record]);
        }
        let (precision, recall) = (precisions / with_labels as f64, recalls / with_positives as f64);
        if precision + recall > 0.0 {
            best = best.max(2.0 * precision * recall / (precision + recall));
        }
    }
    Some(best)
}

/// Returns the threshold with the largest F1 of one class, the smallest of equal ones; `None` without a positive record. It
/// lies halfway between two neighbouring probabilities.
pub fn best_threshold(probabilities: &[f64], labels: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let support = labels.iter().filter(|label| **label).count();
    let (mut labelled, mut right, mut best) = (0, 0, (0.0, None));
    let mut groups = order.chunk_by(|&a, &b| probabilities[a] == probabilities[b]).peekable();
    while let Some(tied) = groups.next() {
        labelled += tied.len();
        right += tied.iter().filter(|&&record| labels[record]).count();
        let f1 = ratio(2 * right, labelled + support);
        if right > 0 && f1 >= best.0 {
            let next = groups.peek().map_or(0.0, |next| probabilities[next[0]]);
            best = (f1, Some((probabilities[tied[0]] + next) / 2.0));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_confusion_counts_the_labels_that_the_records_of_each_class_get() {
        // Record 0 has class 0 and gets both labels, record 1 has class 1 and gets none, record 2 has both and gets 1,
        // exactly at its threshold.
        let (probabilities, labels) = ([0.9, 0.8, 0.1, 0.1, 0.2, 0.6], [true, false, false, true, true, true]);
        let predictions = Predictions::new(probabilities.to_vec(), labels.to_vec(), 2).unwrap();
        assert_eq!(label_confusion(&predictions, &[0.5, 0.6]), [[1, 2, 0], [0, 1, 1]]);
    }
}
