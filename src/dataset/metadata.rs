//! `ptbxl_database.csv`: which records there are, their folds and their labels.

use std::{
    collections::HashSet,
    path::{Component, Path, PathBuf},
};

use super::{
    SamplingRate,
    statements::{CLASSES, Statements},
};
use crate::{Error, ErrorKind, Result};

/// The file that lists the records.
pub(super) const FILE: &str = "ptbxl_database.csv";

/// A row of `ptbxl_database.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The record's number in PTB-XL, which is unique.
    pub ecg_id: u32,
    /// Whose it is; one patient's records are all in one fold.
    pub patient_id: u32,
    /// `strat_fold`, 1 to 10.
    pub fold: u8,
    /// Which of [`CLASSES`] it has. None: it is unlabelled, and of use for pre-training only.
    pub classes: [bool; CLASSES.len()],
    /// The record's name at the chosen sampling rate: a path from the data folder, without extension.
    pub path: PathBuf,
}

impl Record {
    /// Whether it has any class.
    pub fn is_labelled(&self) -> bool {
        self.classes.contains(&true)
    }

    /// Its classes as targets, 1 or 0 each.
    pub fn labels(&self) -> [f32; CLASSES.len()] {
        self.classes.map(|has| f32::from(u8::from(has)))
    }

    /// The record's header file in `folder`.
    pub(super) fn header(&self, folder: &Path) -> PathBuf {
        folder.join(self.path.with_extension("hea"))
    }

    /// The record's file of samples in `folder`.
    pub(super) fn samples(&self, folder: &Path) -> PathBuf {
        folder.join(self.path.with_extension("dat"))
    }
}

/// The rows that can be used, and what is wrong with the others.
pub(super) struct Metadata {
    /// In the order of `ecg_id`, so that the order of the rows decides nothing.
    pub(super) records: Vec<Record>,
    pub(super) problems: Vec<Error>,
}

impl Metadata {
    /// Reads both tables in `folder`.
    ///
    /// # Errors
    /// A table that is missing, empty or without a column that is needed. What is wrong with single rows becomes
    /// `problems`.
    pub(super) fn read(folder: &Path, rate: SamplingRate) -> Result<Self> {
        let names = ["ecg_id", "patient_id", "scp_codes", "strat_fold", rate.column()];
        let (columns, rows) = table(folder, FILE, names)?;
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
                    problems.push(Error::new(ErrorKind::Dataset, cause, "get the file of PTB-XL 1.0.3 again"));
                }
            }
        }
        records.sort_by_key(|record| record.ecg_id);
        Ok(Self { records, problems })
    }
}

/// A record from the fields `ecg_id`, `patient_id`, `scp_codes`, `strat_fold` and its file's name, or why there is none.
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

/// A whole number, which PTB-XL writes as 15709.0 where its column once had gaps.
fn whole(column: &str, text: &str) -> std::result::Result<u32, String> {
    let number = text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(x));
    number.map(|x| x as u32).ok_or_else(|| format!("{column} '{text}' is no whole number"))
}

/// The path of a record, if it is one of `rate` and stays inside the data folder.
fn inside(text: &str, rate: SamplingRate) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if plain && path.starts_with(rate.folder()) && path.components().count() > 1 {
        return Ok(path);
    }
    Err(format!("{} '{text}' is no record in {}", rate.column(), rate.folder()))
}

/// A table's rows with the number of the line that each begins on.
pub(super) type Rows = Vec<(u64, csv::StringRecord)>;

/// The places of `names` among the columns of `file` in `folder`, and its rows.
///
/// # Errors
/// A file that cannot be read or is no table, a column that is not there, no rows.
pub(super) fn table<const N: usize>(folder: &Path, file: &str, names: [&str; N]) -> Result<([usize; N], Rows)> {
    let path = folder.join(file);
    let bytes = std::fs::read(&path).map_err(|error| {
        let cause = format!("{}: {error}", path.display());
        let remedy = format!("name the folder of PTB-XL that has {file}; `ecgpu download ptb-xl DIR` fetches one");
        Error::new(ErrorKind::Dataset, cause, remedy)
    })?;
    let bad = |cause: String| {
        Error::new(ErrorKind::Dataset, format!("{}: {cause}", path.display()), "get the file of PTB-XL 1.0.3 again")
    };
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let headings = reader.headers().map_err(|error| bad(error.to_string()))?.clone();
    let mut columns = [0; N];
    for (column, name) in columns.iter_mut().zip(names) {
        let place = headings.iter().position(|heading| heading.trim() == name);
        *column = place.ok_or_else(|| bad(format!("there is no column '{name}'")))?;
    }
    let line = |row: csv::StringRecord| (row.position().map_or(0, csv::Position::line), row);
    let rows = reader.into_records().map(|row| row.map(line)).collect::<std::result::Result<Rows, _>>();
    let rows = rows.map_err(|error| bad(error.to_string()))?;
    if rows.is_empty() {
        return Err(bad("there are no rows".into()));
    }
    Ok((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_have_a_point_and_a_zero() {
        assert_eq!((whole("a", "15709.0"), whole("a", "7"), whole("a", "0")), (Ok(15709), Ok(7), Ok(0)));
        for text in ["", "1.5", "-1", "nan", "inf", "1e300", "x"] {
            assert_eq!(whole("strat_fold", text), Err(format!("strat_fold '{text}' is no whole number")));
        }
    }

    #[test]
    fn a_path_leads_nowhere_but_into_the_records_folder() {
        let rate = SamplingRate::Hz100;
        assert_eq!(inside("records100/00000/00001_lr", rate), Ok("records100/00000/00001_lr".into()));
        for text in ["", "records100", "/records100/1", "records100/../../x", "../records100/1", "records500/0/1_hr"] {
            assert!(inside(text, rate).is_err(), "{text}");
        }
    }
}
