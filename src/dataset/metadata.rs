//! Reads `ptbxl_database.csv`: the records with their folds and labels.

use std::{
    collections::HashSet,
    path::{Component, Path, PathBuf},
};

use super::{
    CLASSES, SamplingRate,
    statements::Statements,
    table::{self, REPAIR},
};
use crate::{Error, ErrorKind, Result};

/// The name of the file that lists the records.
pub(super) const FILE: &str = "ptbxl_database.csv";

/// One record of PTB-XL, a row of `ptbxl_database.csv`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The unique number of the record in PTB-XL.
    pub ecg_id: u32,
    /// The patient's number. All records of a patient are in the same fold.
    pub patient_id: u32,
    /// The fold, `strat_fold`, from 1 to 10.
    pub fold: u8,
    /// Which of the [`CLASSES`] the record has. A record without any is unlabelled and useful for pre-training only.
    pub(crate) classes: [bool; CLASSES.len()],
    /// The path of the record at the chosen sampling rate, relative to the data folder and without extension.
    pub path: PathBuf,
}

impl Record {
    /// Returns whether the record has any class.
    pub fn is_labelled(&self) -> bool {
        self.classes.contains(&true)
    }

    /// Returns the training targets of the classes, each 1 or 0.
    pub fn labels(&self) -> [f32; CLASSES.len()] {
        self.classes.map(|has| f32::from(u8::from(has)))
    }

    /// Returns the path of the header file for a data folder.
    pub(super) fn header_file(&self, folder: &Path) -> PathBuf {
        folder.join(self.path.with_extension("hea"))
    }

    /// Returns the path of the signal file for a data folder.
    pub(super) fn signal_file(&self, folder: &Path) -> PathBuf {
        folder.join(self.path.with_extension("dat"))
    }
}

/// The valid records of a copy, and what is wrong with the other rows.
pub(super) struct Metadata {
    /// Sorted by `ecg_id`, so that the order of the rows has no effect.
    pub(super) records: Vec<Record>,
    pub(super) problems: Vec<Error>,
}

impl Metadata {
    /// Reads both tables in `folder`.
    ///
    /// # Errors
    /// A table is missing, is empty or lacks a needed column. Faults of single rows become `problems`.
    pub(super) fn read(folder: &Path, rate: SamplingRate) -> Result<Self> {
        let names = ["ecg_id", "patient_id", "scp_codes", "strat_fold", rate.column()];
        let (columns, rows) = table::read(folder, FILE, names)?;
        let statements = Statements::read(folder)?;
        let (mut records, mut problems): (Vec<Record>, _) = (Vec::with_capacity(rows.len()), Vec::new());
        let (mut ids, mut paths) = (HashSet::new(), HashSet::new());
        for (line, row) in &rows {
            let fields = columns.map(|column| row.get(column).unwrap_or_default().trim());
            let checked = record(fields, &statements, rate).and_then(|record| {
                if !ids.insert(record.ecg_id) {
                    return Err(format!("ecg_id {} is there twice", record.ecg_id));
                }
                if !paths.insert(record.path.clone()) {
                    return Err(format!("{} belongs to another record too", record.path.display()));
                }
                Ok(record)
            });
            match checked {
                Ok(record) => records.push(record),
                Err(cause) => {
                    let cause = format!("{FILE}: line {line}: {cause}");
                    problems.push(Error::new(ErrorKind::Dataset, cause, REPAIR));
                }
            }
        }
        records.sort_by_key(|record| record.ecg_id);
        Ok(Self { records, problems })
    }
}

/// Makes a record from the fields `ecg_id`, `patient_id`, `scp_codes`, `strat_fold` and file name, or says what is wrong
/// with them.
fn record(fields: [&str; 5], statements: &Statements, rate: SamplingRate) -> std::result::Result<Record, String> {
    let [ecg_id, patient_id, scp_codes, fold, path] = fields;
    let fold = whole("strat_fold", fold)?;
    let fold = u8::try_from(fold).ok().filter(|fold| (1..=10).contains(fold));
    Ok(Record {
        ecg_id: whole("ecg_id", ecg_id)?,
        patient_id: whole("patient_id", patient_id)?,
        fold: fold.ok_or_else(|| format!("strat_fold '{}' is not 1 to 10", fields[3]))?,
        classes: statements.classes(scp_codes)?,
        path: inside(path, rate)?,
    })
}

/// Parses a whole number. PTB-XL writes some as 15709.0, since their columns once had gaps.
fn whole(column: &str, text: &str) -> std::result::Result<u32, String> {
    let number = text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(x));
    number.map(|x| x as u32).ok_or_else(|| format!("{column} '{text}' is no whole number"))
}

/// Checks that a record's path belongs to `rate` and stays inside the data folder.
fn inside(text: &str, rate: SamplingRate) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if plain && path.starts_with(rate.folder()) && path.components().count() > 1 {
        return Ok(path);
    }
    Err(format!("{} '{text}' is no record in {}", rate.column(), rate.folder()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_end_in_point_zero() {
        assert_eq!((whole("a", "15709.0"), whole("a", "7"), whole("a", "0")), (Ok(15709), Ok(7), Ok(0)));
        for text in ["", "1.5", "-1", "nan", "inf", "1e300", "x"] {
            assert_eq!(whole("strat_fold", text), Err(format!("strat_fold '{text}' is no whole number")));
        }
    }

    #[test]
    fn paths_outside_the_records_folder_are_refused() {
        let rate = SamplingRate::Hz100;
        assert_eq!(inside("records100/00000/00001_lr", rate), Ok("records100/00000/00001_lr".into()));
        for text in ["", "records100", "/records100/1", "records100/../../x", "../records100/1", "records500/0/1_hr"] {
            assert!(inside(text, rate).is_err(), "{text}");
        }
    }
}
