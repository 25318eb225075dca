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

/// Returns what makes the figures of a network on a fold doubtful, by the provenance of its weights: one sentence each.
pub fn doubts(name: &str, provenance: &str, fold: u8) -> Vec<String> {
    let mut doubts = Vec::new();
    let trained = provenance.split("folds ").skip(1).any(|rest| {
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).filter_map(|text| text.parse::<u8>().ok());
        matches!((numbers.next(), numbers.next()), (Some(first), Some(last)) if (first..=last).contains(&fold))
    });
    if trained {
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
