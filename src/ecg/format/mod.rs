//! File formats of ECGs: WFDB records (read and written), NumPy arrays and CSV tables (read), from paths and from memory.
//!
//! A WFDB header states leads, sampling rate and unit. An array states none of them, and a table only the leads. What is
//! missing comes from [`ReadOptions`] or is assumed, and every assumption becomes a warning of the recording.

mod assumptions;
mod csv;
mod find;
mod npy;
mod source;
mod wfdb;

use std::path::{Path, PathBuf};

pub use find::find;
pub use npy::{RawArray, read_raw, read_raw_bytes};
use source::Source;
pub use wfdb::write as write_wfdb;

use super::{Lead, Recording, Unit};
use crate::{Error, ErrorKind, Result};

/// States what a file does not say, or says wrongly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions {
    /// Sampling rate in Hz; overrides a WFDB header.
    pub sampling_rate: Option<f64>,
    /// The unit of the samples; overrides a WFDB header.
    pub unit: Option<Unit>,
    /// The leads of an array or a table without a header line, in their order; the twelve of [`Lead::STANDARD`] if
    /// absent. Files that name their leads ignore it, with a warning.
    pub leads: Option<Vec<Lead>>,
}

impl ReadOptions {
    /// Checks that the options make sense, before any file is read.
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

    /// Returns the leads of a file that does not name them.
    fn leads(&self) -> &[Lead] {
        self.leads.as_deref().unwrap_or(&Lead::STANDARD)
    }

    /// Warns where leads were given for a file that names its leads.
    fn warn_of_unused_leads(&self, recording: &mut Recording) {
        if self.leads.is_some() {
            recording.warn("the file names its leads; the list of leads that was given is ignored");
        }
    }
}

/// A file format: how it is recognised and read. One line of [`FORMATS`].
struct Format {
    /// The name that messages use.
    name: &'static str,
    /// Extensions of the file that a reader begins with, in lower case.
    extensions: &'static [&'static str],
    /// Extensions of files that belong to such a file and are read with it.
    companions: &'static [&'static str],
    /// Whether the first bytes of a file are of this format. Asked where the extension does not tell.
    recognises: fn(&[u8]) -> bool,
    /// Reads every recording of a source.
    read: fn(&Source, &ReadOptions) -> Result<Vec<Recording>>,
}

/// Every format. Adding one is a file in this folder and a line here.
static FORMATS: [Format; 3] = [wfdb::FORMAT, npy::FORMAT, csv::FORMAT];

/// The bytes from which a format is recognised.
const RECOGNISED_BY: u64 = 4096;

impl Format {
    /// Returns the format that the extension of `path` stands for, in any case.
    fn by_extension(path: &Path) -> Option<&'static Format> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        FORMATS.iter().find(|format| format.extensions.contains(&extension.as_str()))
    }

    /// Returns the format of `path` and the file to begin with: `path` itself, the header of a signal file, or the header
    /// of a WFDB record that is named without extension.
    fn of(path: &Path) -> Option<(&'static Format, PathBuf)> {
        if let Some(format) = Self::by_extension(path) {
            return Some((format, path.to_path_buf()));
        }
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        let companion = extension.as_ref().and_then(|extension| extension.to_str());
        let belongs_to = |format: &&Format| companion.is_some_and(|extension| format.companions.contains(&extension));
        if let Some(format) = FORMATS.iter().find(belongs_to) {
            return Some((format, path.with_extension(format.extensions[0])));
        }
        // A record of several files may be named without extension.
        FORMATS.iter().filter(|format| !format.companions.is_empty()).find_map(|format| {
            let mut header = path.as_os_str().to_owned();
            header.push(format!(".{}", format.extensions[0]));
            let header = PathBuf::from(header);
            header.is_file().then_some((format, header))
        })
    }

    /// Returns the format of a source by its content.
    fn by_content(source: &Source) -> Result<Option<&'static Format>> {
        let start = source.open()?.read_start(RECOGNISED_BY).map_err(|error| source.unreadable(error))?;
        Ok(FORMATS.iter().find(|format| (format.recognises)(&start)))
    }

    /// Reads a source; the error names its main part.
    fn read(&self, source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
        // An error of kind File already names its file, which may be another part.
        (self.read)(source, options)
            .map_err(|error| if error.kind() == ErrorKind::File { error } else { error.at(source.name()) })
    }
}

/// Reads the recordings of a file: one of a WFDB record (`.hea`, `.dat`, or the record's name without extension) or a CSV
/// table (`.csv`), one or more of a NumPy array (`.npy`). A file with another extension is recognised by its content.
///
/// # Errors
/// An unknown format, a file that cannot be read, or contents that are no ECG. The message names the file.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Vec<Recording>> {
    options.check()?;
    if path.is_dir() {
        let cause = format!("{} is a folder", path.display());
        return Err(Error::new(ErrorKind::Usage, cause, "name one of its files"));
    }
    if let Some((format, file)) = Format::of(path) {
        return format.read(&Source::File(file), options);
    }
    // Reading from anything else, such as a pipe, could wait without end.
    if path.exists() && !path.is_file() {
        return Err(unknown_format(path));
    }
    let source = Source::File(path.to_path_buf());
    Format::by_content(&source)?.ok_or_else(|| unknown_format(path))?.read(&source, options)
}

/// Reads the recordings of a file in memory. `name` is the file's name: its extension tells the format, or else the
/// content does.
///
/// # Errors
/// As for [`read`]; a WFDB header needs its signal files, see [`read_parts`].
pub fn read_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Vec<Recording>> {
    read_parts(&[(name, bytes)], options)
}

/// Reads the recordings of several files in memory that belong together, each with its name: the one to begin with first,
/// such as a WFDB header, then its signal files.
///
/// # Errors
/// As for [`read`], or a part that is missing.
pub fn read_parts(parts: &[(&str, &[u8])], options: &ReadOptions) -> Result<Vec<Recording>> {
    options.check()?;
    let source = Source::Parts(parts.to_vec());
    let format = match Format::by_extension(source.path()) {
        Some(format) => Some(format),
        None => Format::by_content(&source)?,
    };
    format.ok_or_else(|| unknown_format(source.path()))?.read(&source, options)
}

fn unknown_format(path: &Path) -> Error {
    let extension = path.extension().map_or("no extension".into(), |text| format!("extension '{}'", text.display()));
    let cause = format!("{} has {extension}, and its content is of no known format", path.display());
    Error::new(ErrorKind::Usage, cause, format!("give a file of {}", names()))
}

/// Lists the formats with their extensions: `WFDB (.hea, .dat), NumPy (.npy) or CSV (.csv)`.
fn names() -> String {
    let name = |format: &Format| {
        let extensions = format.extensions.iter().chain(format.companions).map(|extension| format!(".{extension}"));
        format!("{} ({})", format.name, extensions.collect::<Vec<_>>().join(", "))
    };
    let names: Vec<String> = FORMATS.iter().map(name).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// Makes an error about a file's contents.
fn damaged(cause: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Recording, cause, remedy)
}
