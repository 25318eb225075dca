//! How good predictions are, from probabilities and labels.

/// The area under the ROC curve: how often a positive scores above a negative, ties counted half (Mann and Whitney 1947).
/// Exact, and the same in any order of the records. Nothing where one of the two kinds is absent.
///
/// # Panics
/// If there are not as many labels as scores.
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "a label for each score");
    let mut sorted: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = labels.iter().filter(|positive| **positive).count();
    let pairs = positives * (labels.len() - positives);
    // Twice the pairs in the right order, so that halves are whole numbers.
    let (mut below, mut wins) = (0, 0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|(_, positive)| *positive).count();
        let negatives = tied.len() - positives;
        wins += positives * (2 * below + negatives);
        below += negatives;
    }
    (pairs > 0).then(|| wins as f64 / (2 * pairs) as f64)
}

/// The AUROC of each class of a multi-label problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Aurocs {
    /// In the order of the classes; nothing for a class that all records have, or none.
    pub classes: Vec<Option<f64>>,
}

impl Aurocs {
    /// From probabilities, or anything that rises with them, and labels, both `[records, classes]`.
    ///
    /// # Panics
    /// If the two differ in length.
    pub fn new(scores: &[f64], labels: &[bool], classes: usize) -> Self {
        assert_eq!(scores.len(), labels.len(), "a label for each score");
        let of_class = |class: usize| {
            let scores: Vec<f64> = scores.iter().skip(class).step_by(classes).copied().collect();
            let labels: Vec<bool> = labels.iter().skip(class).step_by(classes).copied().collect();
            auroc(&scores, &labels)
        };
        Self { classes: (0..classes).map(of_class).collect() }
    }

    /// The mean over the classes that have one (macro AUROC); nothing if none has.
    pub fn mean(&self) -> Option<f64> {
        let known: Vec<f64> = self.classes.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_pairs_in_the_right_order_and_ties_half() {
        assert_eq!(auroc(&[0.1, 0.2, 0.3], &[false, false, true]), Some(1.0));
        assert_eq!(auroc(&[0.1, 0.2], &[true, false]), Some(0.0));
        assert_eq!(auroc(&[0.5, 0.5, 0.9, 0.1], &[true, false, true, false]), Some((1.0 + 1.0 + 1.0 + 0.5) / 4.0));
        assert_eq!(auroc(&[0.5, 0.5], &[true, true]), None);
        assert_eq!(auroc(&[], &[]), None);
    }

    #[test]
    fn the_order_of_the_records_decides_nothing() {
        let (scores, labels) = ([0.3, 0.3, 0.8, 0.1, 0.3], [true, false, true, false, false]);
        let forward = auroc(&scores, &labels);
        let backward =
            auroc(&scores.into_iter().rev().collect::<Vec<_>>(), &labels.into_iter().rev().collect::<Vec<_>>());
        assert_eq!(forward, backward);
    }

    #[test]
    fn the_mean_is_over_the_classes_that_can_be_judged() {
        // Class 0 is told apart, class 1 is nobody's, class 2 is the wrong way round.
        let scores = [0.9, 0.5, 0.1, 0.2, 0.5, 0.8];
        let labels = [true, false, true, false, false, false];
        let aurocs = Aurocs::new(&scores, &labels, 3);
        assert_eq!(aurocs.classes, [Some(1.0), None, Some(0.0)]);
        assert_eq!(aurocs.mean(), Some(0.5));
        assert_eq!(Aurocs::new(&[0.5], &[true], 1).mean(), None);
    }
}
