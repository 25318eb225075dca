//! The check of a whole copy of PTB-XL: what it contains and everything that is wrong with it.

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;

use super::{
    CLASSES, ProgressCallback, Record, SamplingRate, checksums,
    metadata::{self, Metadata},
    signals, statements,
};
use crate::{Error, ErrorKind, Result, checksum::Checksum, worker::shared_threads};

/// Numbers of records: all, unlabelled, and per class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of all records.
    pub records: usize,
    /// The number of records without any class.
    pub unlabelled: usize,
    /// The number of records with each of the [`CLASSES`]; a record may have several classes.
    pub classes: [usize; CLASSES.len()],
}

impl Counts {
    /// Counts `records`.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Self {
        let mut counts = Self::default();
        for record in records {
            counts.records += 1;
            counts.unlabelled += usize::from(!record.is_labelled());
            counts.classes.iter_mut().zip(&record.classes).for_each(|(count, has)| *count += usize::from(*has));
        }
        counts
    }
}

/// The result of [`check`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// All records of the metadata, in the order of `ecg_id`, including those whose files are damaged.
    pub records: Vec<Record>,
    /// Everything that is wrong: first the metadata, then the records.
    pub problems: Vec<Error>,
    /// How many files agree with `SHA256SUMS.txt`; `None` if the copy has no such file.
    pub checksums: Option<usize>,
}

/// Reads the whole copy of PTB-XL in `folder`: both tables and the files of every record at `rate`. Compares them with
/// `SHA256SUMS.txt` if the copy has that file. Writes nothing.
///
/// # Errors
/// The metadata cannot be read at all. Everything else becomes a problem of the report.
pub fn check(folder: &Path, rate: SamplingRate, progress: ProgressCallback<'_>) -> Result<Report> {
    shared_threads()?;
    let Metadata { records, mut problems, .. } = Metadata::read(folder, rate)?;
    let listed = listed(folder).unwrap_or_else(|error| {
        problems.push(error);
        None
    });
    let agreeing = AtomicUsize::new(0);
    let compare = |path: &str| {
        let Some(listed) = &listed else { return Ok(()) };
        compare(folder, path, listed).inspect(|()| _ = agreeing.fetch_add(1, Ordering::Relaxed))
    };
    problems.extend([metadata::FILE, statements::FILE].into_iter().filter_map(|file| compare(file).err()));
    let done = AtomicUsize::new(0);
    let of_record = |record: &Record| {
        let found = signals::read(folder, record, rate).and_then(|_| {
            ["hea", "dat"].into_iter().try_for_each(|extension| compare(&listed_path(record, extension)))
        });
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, records.len());
        found.err()
    };
    problems.par_extend(records.par_iter().filter_map(of_record));
    let checksums = listed.map(|_| agreeing.into_inner());
    Ok(Report { records, problems, checksums })
}

/// Reads the checksums of `SHA256SUMS.txt`, by path; `None` if there is no such file.
fn listed(folder: &Path) -> Result<Option<HashMap<String, Checksum>>> {
    let path = folder.join(checksums::FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file(&path, error)),
    };
    Ok(Some(checksums::parse(&text)?.into_iter().map(|listed| (listed.path, listed.checksum)).collect()))
}

/// Returns the path of a record's file as `SHA256SUMS.txt` spells it.
fn listed_path(record: &Record, extension: &str) -> String {
    let parts: Vec<_> = record.path.iter().map(|part| part.to_string_lossy()).collect();
    format!("{}.{extension}", parts.join("/"))
}

/// Compares one file with its listed checksum.
fn compare(folder: &Path, path: &str, listed: &HashMap<String, Checksum>) -> Result<()> {
    let file = folder.join(path);
    let bad =
        |cause: &str, remedy: &str| Err(Error::new(ErrorKind::Dataset, format!("{}: {cause}", file.display()), remedy));
    let Some(expected) = listed.get(path) else {
        return bad("SHA256SUMS.txt does not list it", "get SHA256SUMS.txt of PTB-XL 1.0.3 again");
    };
    match expected.is_of(&file) {
        Ok(true) => Ok(()),
        Ok(false) => bad("its checksum is not that of SHA256SUMS.txt", "download it again"),
        Err(error) => Err(Error::file(&file, error)),
    }
}
