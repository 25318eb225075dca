//! The records that are measured, and what makes their figures doubtful.

use crate::{Error, ErrorKind, Result, dataset::Dataset};

/// The records of a fold, by their indices in the data set.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fold {
    /// Those with a label.
    pub labelled: Vec<usize>,
    /// All of them.
    pub all: Vec<usize>,
}

impl Fold {
    /// Chooses the records of a fold.
    ///
    /// # Errors
    /// The fold has no record, or none with a label.
    pub fn new(dataset: &Dataset, fold: u8) -> Result<Self> {
        let (labelled, all) = (dataset.labelled(fold..=fold), dataset.in_folds(fold..=fold));
        if labelled.is_empty() {
            let mut folds: Vec<u8> =
                dataset.records().iter().filter(|record| record.is_labelled()).map(|record| record.fold).collect();
            folds.sort_unstable();
            folds.dedup();
            let folds: Vec<String> = folds.iter().map(u8::to_string).collect();
            let cause = format!("fold {fold} has {} records, none of them with a label", all.len());
            let remedy = format!("choose one of the folds {}", folds.join(", "));
            return Err(Error::new(ErrorKind::Usage, cause, remedy));
        }
        Ok(Self { labelled, all })
    }
}

/// Returns whether a network was trained on a fold, by the provenance of its weights. It was if the provenance names a
/// range of folds that has this one, such as `folds 1 to 8`, and does not except it, as `folds 1 to 8 without 3 and 4` does.
pub(crate) fn trained_on(provenance: &str, fold: u8) -> bool {
    provenance.split("folds ").skip(1).any(|rest| {
        let range = rest.split([',', ';', '(']).next().unwrap_or_default();
        let (range, without) = range.split_once(" without ").unwrap_or((range, ""));
        let numbers = |text: &str| text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        let [range, without]: [Vec<u8>; 2] = [range, without].map(numbers);
        matches!(range[..], [first, last, ..] if (first..=last).contains(&fold)) && !without.contains(&fold)
    })
}

/// Returns what makes the figures of a network on a fold doubtful, by the provenance of its weights: one sentence each.
pub fn doubts(name: &str, provenance: &str, fold: u8) -> Vec<String> {
    let mut doubts = Vec::new();
    if trained_on(provenance, fold) {
        doubts.push(format!(
            "WARNING: {name} was trained on fold {fold}: its figures on this fold say nothing about new records"
        ));
    }
    if fold == 9 && provenance.contains("on the validation records") {
        doubts.push(format!("fold 9 chose the epoch of {name}, whose figures on it are a little too good"));
    }
    if provenance.contains(&format!("temperature and thresholds of fold {fold}")) {
        doubts
            .push(format!("{name} was calibrated on fold {fold}: its F1 and calibration on it are a little too good"));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folds_of_the_training_are_read_from_the_provenance() {
        for (provenance, expected) in [
            ("PTB-XL 1.0.3, folds 1 to 8 (17084 records), trained from scratch, seed 3", &[1, 2, 3, 4, 5, 6, 7, 8][..]),
            ("PTB-XL, folds 1 to 8 without 3 and 4, 50 % of the labels (9 records), seed 7", &[1, 2, 5, 6, 7, 8]),
            ("a table, folds 1 to 8 without 2 (9 records); encoder: PTB-XL, folds 1 to 3", &[1, 2, 3, 4, 5, 6, 7, 8]),
            ("PTB-XL, folds 9 to 10; epoch 4", &[9, 10]),
            ("thresholds of fold 9, ten folds", &[]),
            ("unknown", &[]),
        ] {
            let found: Vec<u8> = (1..=10).filter(|&fold| trained_on(provenance, fold)).collect();
            assert_eq!(found, expected, "{provenance}");
        }
    }
}
