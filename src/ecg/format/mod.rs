//! The files that hold ECGs: WFDB records (read and written), NumPy arrays and CSV tables (read).
//!
//! A WFDB header states leads, sampling rate and unit. An array states none of them, and a table only the leads; what
//! is missing comes from [`ReadOptions`], or else is assumed, and every assumption becomes a warning of the recording.

mod assumptions;
mod csv;
mod find;
mod npy;
mod wfdb;

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

pub use find::find;
pub use npy::{RawArray, read_raw};
pub use wfdb::write as write_wfdb;

use super::{Lead, Recording, Unit};
use crate::{Error, ErrorKind, Result};

/// What a file does not say, or says wrongly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions {
    /// Samples a second; overrides a WFDB header.
    pub sampling_rate: Option<f64>,
    /// The unit of the samples; overrides a WFDB header.
    pub unit: Option<Unit>,
    /// The leads of an array or a table without a header line, in their order; the twelve of [`Lead::STANDARD`] if
    /// absent. Files that name their leads ignore it, with a warning.
    pub leads: Option<Vec<Lead>>,
}

impl ReadOptions {
    /// Whether the options make sense, before any file is read.
    ///
    /// # Errors
    /// A sampling rate that is not a positive number, or an empty list of leads.
    pub fn check(&self) -> Result<()> {
        if let Some(rate) = self.sampling_rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            let cause = format!("a sampling rate of {rate} Hz");
            return Err(Error::new(ErrorKind::Usage, cause, "give a positive number of Hz"));
        }
        if self.leads.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::new(ErrorKind::Usage, "an empty list of leads", "name at least one lead"));
        }
        Ok(())
    }

    /// The leads of a file that does not name them.
    fn leads(&self) -> &[Lead] {
        self.leads.as_deref().unwrap_or(&Lead::STANDARD)
    }

    /// Tells whoever named leads for a file that names them itself.
    fn warn_of_unused_leads(&self, recording: &mut Recording) {
        if self.leads.is_some() {
            recording.warn("the file names its leads; the list of leads that was given is ignored");
        }
    }
}

/// The file formats by their extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Wfdb,
    Npy,
    Csv,
}

impl Format {
    /// The format of `path` by its extension, in any case, and the file to read first: the header, if `path` is a WFDB
    /// record's name or signal file.
    fn of(path: &Path) -> Option<(Format, PathBuf)> {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("hea") => Some((Format::Wfdb, path.to_path_buf())),
            Some("npy") => Some((Format::Npy, path.to_path_buf())),
            Some("csv") => Some((Format::Csv, path.to_path_buf())),
            Some("dat") => Some((Format::Wfdb, path.with_extension("hea"))),
            _ => {
                let mut header = path.as_os_str().to_owned();
                header.push(".hea");
                let header = PathBuf::from(header);
                header.is_file().then_some((Format::Wfdb, header))
            }
        }
    }
}

/// The recordings in a file: one in a WFDB record (`.hea`, `.dat`, or the record's name without extension) or a CSV
/// table (`.csv`), one or more in a NumPy array (`.npy`).
///
/// # Errors
/// An unknown format, a file that cannot be read, and whatever makes its contents no ECG; the message names the file.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Vec<Recording>> {
    options.check()?;
    if path.is_dir() {
        let cause = format!("{} is a folder", path.display());
        return Err(Error::new(ErrorKind::Usage, cause, "name one of its files"));
    }
    let (format, file) = Format::of(path).ok_or_else(|| unknown_format(path))?;
    match format {
        Format::Wfdb => wfdb::read(&file, options).map(|recording| vec![recording]),
        Format::Npy => npy::read(&file, options),
        Format::Csv => csv::read(&file, options).map(|recording| vec![recording]),
    }
    // An error of kind File already names its file, which may be another one than `file`.
    .map_err(|error| if error.kind() == ErrorKind::File { error } else { error.at(file.display()) })
}

fn unknown_format(path: &Path) -> Error {
    if let Err(error) = path.metadata() {
        return Error::file(path, error);
    }
    let extension = path.extension().map_or("no extension".into(), |text| format!("extension '{}'", text.display()));
    let cause = format!("{} has {extension}, which stands for no known format", path.display());
    Error::new(ErrorKind::Usage, cause, "give a .hea or .dat (WFDB), .npy or .csv file")
}

/// The name of a recording read from `path`: the file's, without extension.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// Opens a file and says how many bytes it has.
fn open(path: &Path) -> Result<(File, u64)> {
    let opened = File::open(path).and_then(|file| {
        let size = file.metadata()?.len();
        Ok((file, size))
    });
    opened.map_err(|error| Error::file(path, error))
}

/// Up to `limit` bytes from the start of a file.
fn read_start(path: &Path, file: File, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|error| Error::file(path, error))?;
    Ok(bytes)
}

/// An error about a file's contents.
fn damaged(cause: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Recording, cause, remedy)
}
