//! Metrics of predictions, computed from scores and labels.

/// Computes the area under the ROC curve: the probability that a positive scores above a negative, with ties counted half
/// (Mann and Whitney 1947). The result is exact and does not depend on the order of the records. Returns `None` if there
/// are no positives or no negatives.
///
/// # Panics
/// If the numbers of scores and labels differ.
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "one label per score");
    let mut sorted: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = labels.iter().filter(|positive| **positive).count();
    let pairs = positives * (labels.len() - positives);
    // Twice the number of correctly ordered pairs, so that a tie, which counts half, is a whole number.
    let (mut below, mut wins) = (0, 0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|(_, positive)| *positive).count();
        let negatives = tied.len() - positives;
        wins += positives * (2 * below + negatives);
        below += negatives;
    }
    (pairs > 0).then(|| wins as f64 / (2 * pairs) as f64)
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
        let known: Vec<f64> = self.classes.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
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
}
