//! Metrics of the order of the scores of one class: the areas under the ROC curve and the precision–recall curve.

/// The records of one class in descending order of their scores. Records may be counted several times or not at all, as a
/// bootstrap does, without sorting again.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// For each group of equal scores, the records and whether each is positive.
    order: Vec<(usize, bool)>,
    /// The ends of the groups in `order`.
    ends: Vec<usize>,
}

impl Ranking {
    /// Sorts scores. They may be probabilities or logits, since only their order matters; NaN counts as above all numbers.
    ///
    /// # Panics
    /// If the numbers of scores and labels differ.
    pub fn new(scores: &[f64], labels: &[bool]) -> Self {
        assert_eq!(scores.len(), labels.len(), "one label per score");
        let mut sorted: Vec<usize> = (0..scores.len()).collect();
        sorted.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let (mut order, mut ends) = (Vec::with_capacity(scores.len()), Vec::new());
        for tied in sorted.chunk_by(|&a, &b| scores[a] == scores[b]) {
            order.extend(tied.iter().map(|&record| (record, labels[record])));
            ends.push(order.len());
        }
        Self { order, ends }
    }

    /// Returns the cumulated counts of positives and negatives after each group of equal scores, in descending order of the
    /// scores. `counts` is how often each record counts.
    fn cumulated<'a>(&'a self, counts: &'a impl Fn(usize) -> u64) -> impl Iterator<Item = [u64; 2]> + 'a {
        let (mut start, mut sums) = (0, [0; 2]);
        self.ends.iter().map(move |&end| {
            for &(record, positive) in &self.order[start..end] {
                sums[usize::from(!positive)] += counts(record);
            }
            start = end;
            sums
        })
    }

    /// Computes the area under the ROC curve: the probability that a positive scores above a negative, with ties counted
    /// half (Mann and Whitney 1947). The result is exact and does not depend on the order of the records. `counts` is how
    /// often each record counts. Returns `None` if no positive or no negative counts.
    pub fn auroc(&self, counts: impl Fn(usize) -> u64) -> Option<f64> {
        // Twice the number of correctly ordered pairs, so that a tie, which counts half, is a whole number.
        let (mut wins, mut before) = (0, [0; 2]);
        for now in self.cumulated(&counts) {
            let [positives, negatives] = [0, 1].map(|kind| now[kind] - before[kind]);
            wins += negatives * (2 * before[0] + positives);
            before = now;
        }
        let pairs = before[0] * before[1];
        (pairs > 0).then(|| wins as f64 / (2 * pairs) as f64)
    }

    /// Computes the average precision: the sum over all thresholds of the precision, each times the recall that the
    /// threshold adds, without interpolation, as scikit-learn does. `counts` is how often each record counts. Returns `None`
    /// if no positive counts.
    pub fn average_precision(&self, counts: impl Fn(usize) -> u64) -> Option<f64> {
        let (mut sum, mut before) = (0.0, 0);
        for [positives, negatives] in self.cumulated(&counts) {
            if positives > before {
                sum += (positives - before) as f64 * positives as f64 / (positives + negatives) as f64;
                before = positives;
            }
        }
        (before > 0).then(|| sum / before as f64)
    }

    /// Returns the ROC curve as pairs of false and true positive rate, from 0, 0 to 1, 1; `None` without a positive or
    /// without a negative.
    pub fn roc_curve(&self) -> Option<Vec<[f64; 2]>> {
        let all: Vec<[u64; 2]> = self.cumulated(&|_| 1).collect();
        let [positives, negatives] = *all.last()?;
        let point = |[p, n]: [u64; 2]| [n as f64 / negatives as f64, p as f64 / positives as f64];
        (positives > 0 && negatives > 0).then(|| [[0.0; 2]].into_iter().chain(all.into_iter().map(point)).collect())
    }

    /// Returns the precision–recall curve as pairs of recall and precision, in ascending order of the recall; `None` without
    /// a positive.
    pub fn precision_recall_curve(&self) -> Option<Vec<[f64; 2]>> {
        let all: Vec<[u64; 2]> = self.cumulated(&|_| 1).collect();
        let positives = all.last()?[0];
        let point = |[p, n]: [u64; 2]| [p as f64 / positives as f64, p as f64 / (p + n) as f64];
        (positives > 0).then(|| all.into_iter().map(point).collect())
    }
}

/// Computes the area under the ROC curve, as [`Ranking::auroc`] does, with every record counted once.
///
/// # Panics
/// If the numbers of scores and labels differ.
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    Ranking::new(scores, labels).auroc(|_| 1)
}

/// Computes the average precision, as [`Ranking::average_precision`] does, with every record counted once.
///
/// # Panics
/// If the numbers of scores and labels differ.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    Ranking::new(scores, labels).average_precision(|_| 1)
}

/// The AUROCs of the classes of a multi-label problem.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Aurocs {
    /// One AUROC per class; `None` for a class that all records have or that no record has.
    pub classes: Vec<Option<f64>>,
}

impl Aurocs {
    /// Computes the AUROCs from scores and labels, both `[records, classes]`. Scores may be probabilities or logits, since
    /// only their order matters.
    ///
    /// # Panics
    /// If the numbers of scores and labels differ.
    pub fn new(scores: &[f64], labels: &[bool], classes: usize) -> Self {
        assert_eq!(scores.len(), labels.len(), "one label per score");
        let of_class = |class: usize| {
            let scores: Vec<f64> = scores.iter().skip(class).step_by(classes).copied().collect();
            let labels: Vec<bool> = labels.iter().skip(class).step_by(classes).copied().collect();
            auroc(&scores, &labels)
        };
        Self { classes: (0..classes).map(of_class).collect() }
    }

    /// Returns the mean over the classes that have an AUROC (macro AUROC), or `None` if no class has one.
    pub fn mean(&self) -> Option<f64> {
        macro_mean(&self.classes)
    }
}

/// Returns the mean of a metric over the classes for which it is defined, or `None` if it is for none.
pub fn macro_mean(values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_correctly_ordered_pairs_and_half_of_the_ties() {
        assert_eq!(auroc(&[0.1, 0.2, 0.3], &[false, false, true]), Some(1.0));
        assert_eq!(auroc(&[0.1, 0.2], &[true, false]), Some(0.0));
        assert_eq!(auroc(&[0.5, 0.5, 0.9, 0.1], &[true, false, true, false]), Some((1.0 + 1.0 + 1.0 + 0.5) / 4.0));
        assert_eq!(auroc(&[0.5, 0.5], &[true, true]), None);
        assert_eq!(auroc(&[], &[]), None);
    }

    #[test]
    fn auroc_does_not_depend_on_the_order_of_the_records() {
        let (scores, labels) = ([0.3, 0.3, 0.8, 0.1, 0.3], [true, false, true, false, false]);
        let forward = auroc(&scores, &labels);
        let backward =
            auroc(&scores.into_iter().rev().collect::<Vec<_>>(), &labels.into_iter().rev().collect::<Vec<_>>());
        assert_eq!(forward, backward);
    }

    #[test]
    fn the_mean_is_over_the_classes_that_have_an_auroc() {
        // Class 0 is ranked perfectly, class 1 has no positives, class 2 is ranked in reverse.
        let scores = [0.9, 0.5, 0.1, 0.2, 0.5, 0.8];
        let labels = [true, false, true, false, false, false];
        let aurocs = Aurocs::new(&scores, &labels, 3);
        assert_eq!(aurocs.classes, [Some(1.0), None, Some(0.0)]);
        assert_eq!(aurocs.mean(), Some(0.5));
        assert_eq!(Aurocs::new(&[0.5], &[true], 1).mean(), None);
    }

    #[test]
    fn a_record_that_counts_twice_is_like_a_second_record() {
        let (scores, labels) = ([0.3, 0.3, 0.8, 0.1], [true, false, true, false]);
        let ranking = Ranking::new(&scores, &labels);
        let counts = |record: usize| [2, 1, 1, 3][record];
        let twice = ([0.3, 0.3, 0.3, 0.8, 0.1, 0.1, 0.1], [true, true, false, true, false, false, false]);
        assert_eq!(ranking.auroc(counts), auroc(&twice.0, &twice.1));
        assert_eq!(ranking.average_precision(counts), average_precision(&twice.0, &twice.1));
        assert_eq!(ranking.auroc(|record| u64::from(record != 0 && record != 2)), None);
    }

    #[test]
    fn curves_begin_and_end_where_they_must() {
        let ranking = Ranking::new(&[0.9, 0.5, 0.5, 0.1], &[true, true, false, false]);
        assert_eq!(ranking.roc_curve().unwrap(), [[0.0, 0.0], [0.0, 0.5], [0.5, 1.0], [1.0, 1.0]]);
        assert_eq!(ranking.precision_recall_curve().unwrap(), [[0.5, 1.0], [1.0, 2.0 / 3.0], [1.0, 0.5]]);
        assert_eq!(Ranking::new(&[0.5], &[true]).roc_curve(), None);
        assert_eq!(Ranking::new(&[0.5], &[false]).precision_recall_curve(), None);
    }
}
