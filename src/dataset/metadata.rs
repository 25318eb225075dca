//! Reads `ptbxl_database.csv`: the records with their folds and labels.

use std::{
    collections::HashSet,
    path::{Component, Path, PathBuf},
};

use super::{
    Record, SamplingRate,
    record::{age, sex, whole},
    statements::Statements,
    table::{REPAIR, Table, field},
};
use crate::{Error, ErrorKind, Result};

/// The name of the file that lists the records.
pub(super) const FILE: &str = "ptbxl_database.csv";

/// The valid records of a copy, and what is wrong with the other rows.
pub(super) struct Metadata {
    /// Sorted by `ecg_id`, so that the order of the rows has no effect.
    pub(super) records: Vec<Record>,
    pub(super) problems: Vec<Error>,
    /// The names of all statements.
    pub(super) statements: Vec<String>,
}

impl Metadata {
    /// Reads both tables in `folder`.
    ///
    /// # Errors
    /// A table is missing, is empty or lacks a needed column. Faults of single rows become `problems`.
    pub(super) fn read(folder: &Path, rate: SamplingRate) -> Result<Self> {
        let table = Table::of_ptb_xl(folder, FILE)?;
        let columns = table.columns(["ecg_id", "patient_id", "scp_codes", "strat_fold", rate.column()])?;
        let groups = ["age", "sex", "device"].map(|name| table.column(name));
        let statements = Statements::read(folder)?;
        let (mut records, mut problems): (Vec<Record>, _) = (Vec::with_capacity(table.rows.len()), Vec::new());
        let (mut ids, mut paths) = (HashSet::new(), HashSet::new());
        for (line, row) in &table.rows {
            let fields = columns.map(|column| field(row, Some(column)));
            let checked =
                record(fields, groups.map(|column| field(row, column)), &statements, rate).and_then(|record| {
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
        Ok(Self { records, problems, statements: statements.names })
    }
}

/// Makes a record from the fields `ecg_id`, `patient_id`, `scp_codes`, `strat_fold` and file name, and from `age`, `sex` and
/// `device`, or says what is wrong with them.
fn record(
    fields: [&str; 5],
    [years, gender, device]: [&str; 3],
    statements: &Statements,
    rate: SamplingRate,
) -> std::result::Result<Record, String> {
    let [ecg_id, patient_id, scp_codes, fold, path] = fields;
    let fold = whole("strat_fold", fold)?;
    let fold = u8::try_from(fold).ok().filter(|fold| (1..=10).contains(fold));
    let (ecg_id, patient_id) = (whole("ecg_id", ecg_id)?, whole("patient_id", patient_id)?);
    let fold = fold.ok_or_else(|| format!("strat_fold '{}' is not 1 to 10", fields[3]))?;
    let (classes, statements) = statements.read_codes(scp_codes)?;
    Ok(Record {
        ecg_id,
        patient_id,
        fold,
        labelled: classes.contains(&true),
        classes,
        statements,
        age: age(years)?,
        sex: sex(gender)?,
        device: Some(device).filter(|device| !device.is_empty()).map(str::to_string),
        path: inside(path, rate)?,
    })
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
    fn paths_outside_the_records_folder_are_refused() {
        let rate = SamplingRate::Hz100;
        assert_eq!(inside("records100/00000/00001_lr", rate), Ok("records100/00000/00001_lr".into()));
        for text in ["", "records100", "/records100/1", "records100/../../x", "../records100/1", "records500/0/1_hr"] {
            assert!(inside(text, rate).is_err(), "{text}");
        }
    }
}
