//! What a copy of PTB-XL holds, and all that is wrong with it.

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;

use super::{
    CLASSES, Progress, Record, SamplingRate,
    checksums::{self, Checksum},
    metadata::{self, Metadata},
    signals, statements,
};
use crate::{Error, ErrorKind, Result};

/// How many records there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub records: usize,
    /// Those without any class.
    pub unlabelled: usize,
    /// Those of each of [`CLASSES`]; a record may have several.
    pub classes: [usize; CLASSES.len()],
}

impl Counts {
    /// Counts `records`.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Self {
        let mut counts = Self::default();
        for record in records {
            counts.records += 1;
            counts.unlabelled += usize::from(!record.is_labelled());
            counts.classes.iter_mut().zip(record.classes).for_each(|(count, has)| *count += usize::from(has));
        }
        counts
    }
}

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The records of the metadata, whether or not their files are sound, in the order of `ecg_id`.
    pub records: Vec<Record>,
    /// All that is wrong, the metadata first, then record by record.
    pub problems: Vec<Error>,
    /// How many files agree with `SHA256SUMS.txt`, if that is there.
    pub checksums: Option<usize>,
}

/// Reads the whole copy of PTB-XL in `folder`: both tables and the files of every record at `rate`, and compares them
/// with `SHA256SUMS.txt` where that is there. Nothing is written.
///
/// # Errors
/// Metadata that cannot be read at all. Everything else becomes a problem of the report.
pub fn check(folder: &Path, rate: SamplingRate, progress: Progress<'_>) -> Result<Report> {
    let Metadata { records, mut problems } = Metadata::read(folder, rate)?;
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

/// The checksums of `SHA256SUMS.txt` by path, if it is there.
fn listed(folder: &Path) -> Result<Option<HashMap<String, Checksum>>> {
    let path = folder.join(checksums::FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file(&path, error)),
    };
    Ok(Some(checksums::parse(&text)?.into_iter().map(|listed| (listed.path, listed.checksum)).collect()))
}

/// A file of `record` as `SHA256SUMS.txt` writes it.
fn listed_path(record: &Record, extension: &str) -> String {
    let parts: Vec<_> = record.path.iter().map(|part| part.to_string_lossy()).collect();
    format!("{}.{extension}", parts.join("/"))
}

fn compare(folder: &Path, path: &str, listed: &HashMap<String, Checksum>) -> Result<()> {
    let file = folder.join(path);
    let bad =
        |cause: &str, remedy: &str| Err(Error::new(ErrorKind::Dataset, format!("{}: {cause}", file.display()), remedy));
    let Some(expected) = listed.get(path) else {
        return bad("SHA256SUMS.txt does not list it", "get SHA256SUMS.txt of PTB-XL 1.0.3 again");
    };
    match checksums::of_file(&file) {
        Ok(checksum) if checksum == *expected => Ok(()),
        Ok(_) => bad("its checksum is not that of SHA256SUMS.txt", "get it again, for instance with ecgpu download"),
        Err(error) => Err(Error::file(&file, error)),
    }
}
