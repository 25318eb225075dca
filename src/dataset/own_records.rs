//! One's own records: a CSV table with a row per record, and the files that it names.
//!
//! | column | contents |
//! |---|---|
//! | `file` | the path of the record, relative to the table; any format that is read elsewhere |
//! | `labels` | the names of its classes, separated by `;`; empty for a record with none of them, `?` if unknown |
//! | `fold` | 1 to 10, or `train` (1), `validation` (9), `test` (10) |
//! | `patient` | any text that is the same for all records of a patient |
//! | `sampling_rate_hz`, `unit` | for files that do not state them; may be absent |
//! | `age`, `sex`, `device` | the groups that an evaluation compares; may be absent |

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;

use super::{
    LEADS, ProgressCallback, Record, SECONDS, SamplingRate, problems,
    record::{age, sex},
    table::{Table, field},
};
use crate::{
    Error, ErrorKind, Result,
    ecg::{
        Lead,
        format::{self, ReadOptions},
    },
};

/// What to do about a damaged table.
const REPAIR: &str = "correct the table: it needs the columns file, labels, fold and patient";

/// The shortest record in seconds: one heartbeat or less says nothing.
const SHORTEST: f64 = 1.0;

/// The records of a table with their samples.
pub(super) struct OwnRecords {
    /// In the order of the rows.
    pub(super) records: Vec<Record>,
    /// The names of all classes, in alphabetical order.
    pub(super) classes: Vec<String>,
    /// The samples per lead of every record.
    pub(super) samples: usize,
    /// The samples of all records in mV, `[records, leads, samples]`.
    pub(super) signals: Vec<f32>,
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
}

/// A row whose fields are valid.
struct Row {
    line: u64,
    labels: Option<BTreeSet<String>>,
    fold: u8,
    patient: String,
    options: ReadOptions,
    record: Record,
}

impl OwnRecords {
    /// Reads a table and all its files, at a sampling rate. Records are cut to the duration of the shortest, at most ten
    /// seconds.
    ///
    /// # Errors
    /// The table cannot be read, lacks a column or names no class; a row or a file has a fault. The error names the first
    /// ten.
    pub(super) fn read(path: &Path, rate: SamplingRate, progress: ProgressCallback<'_>) -> Result<Self> {
        let mut rows = rows(path)?;
        let classes: BTreeSet<&String> = rows.iter().filter_map(|row| row.labels.as_ref()).flatten().collect();
        let classes: Vec<String> = classes.into_iter().cloned().collect();
        if classes.is_empty() {
            let cause = format!("{}: no record has a label", path.display());
            return Err(Error::new(ErrorKind::Dataset, cause, "name the classes of each record in the column labels"));
        }
        number_patients_and_classes(&mut rows, &classes);
        let (samples, signals, notes) = signals(path, &rows, rate, progress)?;
        let records = rows.into_iter().map(|row| row.record).collect();
        Ok(Self { records, classes, samples, signals, notes })
    }
}

/// Reads the rows of a table.
fn rows(path: &Path) -> Result<Vec<Row>> {
    let table = Table::read(path, "name a folder of PTB-XL, or a table of your own records", REPAIR)?;
    let needed = table.columns(["file", "labels", "fold", "patient"])?;
    let others = ["sampling_rate_hz", "unit", "age", "sex", "device"].map(|name| table.column(name));
    let (mut rows, mut problems) = (Vec::with_capacity(table.rows.len()), Vec::new());
    for (line, row) in &table.rows {
        let fields = needed.map(|column| field(row, Some(column)));
        match parse(*line, fields, others.map(|column| field(row, column))) {
            Ok(row) => rows.push(row),
            Err(cause) => {
                let cause = format!("{}: line {line}: {cause}", path.display());
                problems.push(Error::new(ErrorKind::Dataset, cause, "correct the row"));
            }
        }
    }
    problems::none(path.display(), problems, "correct these rows")?;
    Ok(rows)
}

/// Parses the fields of a row, or says what is wrong with them.
fn parse(
    line: u64,
    [file, labels, fold, patient]: [&str; 4],
    [rate, unit, years, gender, device]: [&str; 5],
) -> std::result::Result<Row, String> {
    for (name, text) in [("file", file), ("patient", patient)] {
        if text.is_empty() {
            return Err(format!("{name} is empty"));
        }
    }
    let sampling_rate = match rate {
        "" => None,
        text => Some(text.parse::<f64>().map_err(|_| format!("sampling_rate_hz '{text}' is no number"))?),
    };
    let unit =
        if unit.is_empty() { None } else { Some(unit.parse().map_err(|error: Error| error.cause().to_string())?) };
    let record = Record {
        ecg_id: line as u32,
        patient_id: 0,
        fold: 0,
        classes: Vec::new(),
        labelled: labels != "?",
        statements: Vec::new(),
        age: age(years)?,
        sex: sex(gender)?,
        device: Some(device).filter(|device| !device.is_empty()).map(str::to_string),
        path: PathBuf::from(file),
    };
    let names = || labels.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect();
    Ok(Row {
        line,
        labels: record.labelled.then(names),
        fold: parse_fold(fold)?,
        patient: patient.to_string(),
        options: ReadOptions { sampling_rate, unit, leads: None },
        record,
    })
}

/// Parses a fold: a number, or the name of its use.
fn parse_fold(text: &str) -> std::result::Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "train" | "training" => Ok(1),
        "validation" | "val" => Ok(9),
        "test" => Ok(10),
        number => {
            let fold = number.parse::<u8>().ok().filter(|fold| (1..=10).contains(fold));
            fold.ok_or_else(|| format!("fold '{text}' is none of 1 to 10, train, validation and test"))
        }
    }
}

/// Numbers the patients in the order of their first record, so that their names are not kept, and sets folds and classes.
fn number_patients_and_classes(rows: &mut [Row], classes: &[String]) {
    let mut numbers = HashMap::new();
    for row in rows {
        let next = numbers.len() as u32;
        row.record.patient_id = *numbers.entry(std::mem::take(&mut row.patient)).or_insert(next);
        row.record.fold = row.fold;
        let labels = row.labels.take().unwrap_or_default();
        row.record.classes = classes.iter().map(|class| labels.contains(class)).collect();
    }
}

/// Reads all files. Returns the samples per lead, the samples `[records, leads, samples]` in mV, and remarks.
fn signals(
    table: &Path,
    rows: &[Row],
    rate: SamplingRate,
    progress: ProgressCallback<'_>,
) -> Result<(usize, Vec<f32>, Vec<String>)> {
    let folder = table.parent().unwrap_or(Path::new(""));
    let longest = rate.hz() as usize * SECONDS;
    let done = AtomicUsize::new(0);
    let read = |row: &Row| {
        let signal = read_signal(&folder.join(&row.record.path), &row.options, rate, longest);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, rows.len());
        signal.map_err(|error| error.at(format!("line {}", row.line)))
    };
    let all: Vec<Result<Vec<Vec<f32>>>> = rows.par_iter().map(read).collect();
    let (mut records, mut problems) = (Vec::with_capacity(all.len()), Vec::new());
    for record in all {
        match record {
            Ok(record) => records.push(record),
            Err(error) => problems.push(error),
        }
    }
    problems::none(table.display(), problems, "correct these files, or take them out of the table")?;
    let samples = records.iter().map(|record| record[0].len()).min().unwrap_or(longest);
    let mut notes = Vec::new();
    if samples < longest {
        let seconds = samples as f64 / f64::from(rate.hz());
        notes.push(format!("every record is cut to {seconds:.2} s, the duration of the shortest"));
    }
    let leads = records.iter().flatten().flat_map(|lead| &lead[..samples]);
    let signals: Vec<f32> = leads.copied().collect();
    debug_assert_eq!(signals.len(), rows.len() * LEADS * samples);
    Ok((samples, signals, notes))
}

/// Reads the twelve leads of one record in mV, at a sampling rate, at most `longest` samples.
fn read_signal(path: &Path, options: &ReadOptions, rate: SamplingRate, longest: usize) -> Result<Vec<Vec<f32>>> {
    let mut recordings = format::read(path, options)?;
    if recordings.len() != 1 {
        let cause = format!("{}: {} recordings", path.display(), recordings.len());
        return Err(Error::new(ErrorKind::Dataset, cause, "write each of them into a file of its own"));
    }
    let recording = recordings.remove(0);
    if recording.duration() < SHORTEST {
        let cause = format!("{}: {:.2} s", path.display(), recording.duration());
        return Err(Error::new(ErrorKind::Dataset, cause, format!("give records of at least {SHORTEST} s")));
    }
    let mut leads = recording.resampled(f64::from(rate.hz()))?.in_order(&Lead::STANDARD)?;
    leads.iter_mut().for_each(|lead| lead.truncate(longest));
    Ok(leads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ecg::Condition, ecg::synthesize};

    /// Writes a table with two synthetic records of eight seconds and the given rows.
    fn folder(rows: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, condition) in [("a.hea", Condition::Norm), ("b.hea", Condition::CdLbbb)] {
            let path = folder.path().join(name);
            let recording = synthesize(condition, 1, 500.0, if name == "a.hea" { 12.0 } else { 8.0 }).unwrap();
            format::Writer::of(&path).unwrap().write(&recording, &path, &[]).unwrap();
        }
        std::fs::write(folder.path().join("table.csv"), rows).unwrap();
        folder
    }

    fn read(rows: &str) -> Result<OwnRecords> {
        OwnRecords::read(&folder(rows).path().join("table.csv"), SamplingRate::Hz100, &|_, _| ())
    }

    #[test]
    fn a_table_gives_records_with_classes_folds_and_numbered_patients() {
        let own = read("fold,file,labels,patient,sex\ntrain,a.hea,AF; PVC,Ann,f\n9,b.hea,,Bob,\ntest,a.hea,?,Ann,m\n")
            .unwrap();
        assert_eq!(own.classes, ["AF", "PVC"]);
        let of = |record: &Record| (record.fold, record.patient_id, record.classes.clone(), record.is_labelled());
        let expected =
            [(1, 0, vec![true, true], true), (9, 1, vec![false, false], true), (10, 0, vec![false, false], false)];
        assert_eq!(own.records.iter().map(of).collect::<Vec<_>>(), expected);
        assert_eq!((own.samples, own.signals.len()), (800, 3 * 12 * 800));
        assert_eq!(own.notes, ["every record is cut to 8.00 s, the duration of the shortest"]);
    }

    #[test]
    fn faults_of_tables_and_files_are_named_with_their_line() {
        for (rows, cause) in [
            ("file,labels,fold\na.hea,AF,1\n", "there is no column 'patient'"),
            ("file,labels,fold,patient\nmissing.hea,AF,1,x\n", "line 2"),
            ("file,labels,fold,patient\na.hea,AF,11,x\n", "fold '11' is none of 1 to 10"),
            ("file,labels,fold,patient\n,AF,1,x\n", "line 2: file is empty"),
            ("file,labels,fold,patient\na.hea,,1,x\n", "no record has a label"),
            ("file,labels,fold,patient,unit\na.hea,AF,1,x,furlong\n", "furlong"),
            ("file,labels,fold,patient\n", "there are no rows"),
        ] {
            let error = read(rows).err().unwrap().to_string();
            assert!(error.contains(cause), "{rows}: {error}");
        }
    }
}
