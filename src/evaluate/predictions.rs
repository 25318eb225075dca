//! Probabilities and labels of some records, which all metrics are computed from.

use crate::{Error, ErrorKind, Result};

/// The probabilities that a network gave to records, and their labels, both `[records, classes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    classes: usize,
    probabilities: Vec<f64>,
    labels: Vec<bool>,
}

impl Predictions {
    /// Checks probabilities and labels, both `[records, classes]`.
    ///
    /// # Errors
    /// There is no class or no record, the lengths differ or do not fit the number of classes, or a probability is not a
    /// number from 0 to 1.
    pub fn new(probabilities: Vec<f64>, labels: Vec<bool>, classes: usize) -> Result<Self> {
        let bad = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
        let numbers = probabilities.len();
        if classes == 0 || numbers == 0 || labels.len() != numbers || !numbers.is_multiple_of(classes) {
            let cause = format!("{numbers} probabilities and {} labels for {classes} classes", labels.len());
            return bad(cause, "give one probability and one label per record and class");
        }
        if let Some(at) = probabilities.iter().position(|p| !(0.0..=1.0).contains(p)) {
            let (record, class) = (at / classes, at % classes);
            let cause = format!("the probability of record {record}, class {class} is {}", probabilities[at]);
            return bad(cause, "look into the network's weights and the record");
        }
        Ok(Self { classes, probabilities, labels })
    }

    /// Returns the number of records.
    pub fn records(&self) -> usize {
        self.labels.len() / self.classes
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns all probabilities, `[records, classes]`.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// Returns all labels, `[records, classes]`.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// Returns the probabilities and the labels of one class, one per record.
    pub fn class(&self, class: usize) -> (Vec<f64>, Vec<bool>) {
        let probabilities = self.probabilities.iter().skip(class).step_by(self.classes).copied().collect();
        (probabilities, self.labels.iter().skip(class).step_by(self.classes).copied().collect())
    }

    /// Returns the predictions of some records, named by their index; `None` if there is none.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn subset(&self, records: &[usize]) -> Option<Self> {
        let classes = self.classes;
        let rows = || records.iter().flat_map(|record| record * classes..(record + 1) * classes);
        (!records.is_empty()).then(|| Self {
            classes,
            probabilities: rows().map(|at| self.probabilities[at]).collect(),
            labels: rows().map(|at| self.labels[at]).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_no_probabilities_are_refused_with_their_place() {
        for (scores, cause) in [
            (vec![0.5, 0.5, f64::NAN, 0.5], "record 1, class 0 is NaN"),
            (vec![0.5, 1.5, 0.5, 0.5], "record 0, class 1 is 1.5"),
            (vec![0.5], "1 probabilities and 4 labels for 2 classes"),
        ] {
            let error = Predictions::new(scores, vec![true; 4], 2).unwrap_err();
            assert!(error.cause().contains(cause), "{error}");
        }
        assert!(Predictions::new(Vec::new(), Vec::new(), 2).is_err());
    }

    #[test]
    fn a_subset_has_the_rows_of_its_records() {
        let all = Predictions::new(vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6], vec![true, false, false, false, true, true], 2)
            .unwrap();
        let part = all.subset(&[2, 0]).unwrap();
        assert_eq!(
            (part.records(), part.class(0), part.class(1).0),
            (2, (vec![0.5, 0.1], vec![true, true]), vec![0.6, 0.2])
        );
        assert_eq!(all.subset(&[]), None);
    }
}
