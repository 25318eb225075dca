//! Writes recordings to files. The format is that of the extension.

use std::path::{Path, PathBuf};

#[cfg(feature = "edf")]
use super::edf;
use super::{ReadOptions, npy, table, wfdb};
use crate::{Error, ErrorKind, Recording, Result, ecg::is_synthetic};

/// A file format that can be written: one line of the table of writers.
pub struct Writer {
    /// The name that messages use.
    name: &'static str,
    /// The extension of the file, in lower case.
    extension: &'static str,
    /// Extensions of files that are written beside it, under the same name.
    companions: &'static [&'static str],
    /// Returns the options with which the file must be read, if it does not state leads, unit and sampling rate itself.
    options: fn(&Recording) -> Option<ReadOptions>,
    /// Writes the file at a path, with comments where the format has them.
    write: fn(&Recording, &Path, &[String]) -> Result<()>,
}

/// Every format that can be written. Adding one is a function in this folder and a line here.
static WRITERS: &[Writer] = &[
    Writer { name: "WFDB", extension: "hea", companions: &["dat"], options: |_| None, write: wfdb::write },
    Writer { name: "NumPy", extension: "npy", companions: &[], options: npy::options, write: npy::write },
    Writer { name: "text table", extension: "csv", companions: &[], options: |_| None, write: table::write },
    #[cfg(feature = "edf")]
    Writer { name: "EDF", extension: "edf", companions: &[], options: |_| None, write: edf::write },
];

impl Writer {
    /// Returns the writer for the extension of `path`, in any case.
    ///
    /// # Errors
    /// No writer has this extension.
    pub fn of(path: &Path) -> Result<&'static Self> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        WRITERS.iter().find(|writer| extension.as_deref() == Some(writer.extension)).ok_or_else(|| {
            let cause = format!("{}: its extension is none that can be written", path.display());
            Error::new(ErrorKind::Usage, cause, format!("write {}", Self::names()))
        })
    }

    /// Lists the formats that can be written, with their extensions.
    pub fn names() -> String {
        let names: Vec<String> =
            WRITERS.iter().map(|writer| format!("{} (.{})", writer.name, writer.extension)).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        }
    }

    /// Returns every file that [`Writer::write`] makes for `path`.
    pub fn files(&self, path: &Path) -> Vec<PathBuf> {
        let beside = self.companions.iter().map(|extension| path.with_extension(extension));
        std::iter::once(path.to_path_buf()).chain(beside).collect()
    }

    /// Writes the recorded leads, in millivolts, with comments where the format has them. Each file is replaced atomically. A
    /// recording that is known to be synthetic gets a comment that says so, unless others are given.
    ///
    /// # Errors
    /// The format cannot hold the recording, or a file cannot be written.
    pub fn write(&self, recording: &Recording, path: &Path, comments: &[String]) -> Result<()> {
        let synthetic = ["synthetic ECG: not a recording of anyone".to_string()];
        let comments = if comments.is_empty() && is_synthetic(recording) { &synthetic } else { comments };
        (self.write)(recording, path, comments)
    }

    /// Returns the options with which the file must be read, if it does not state leads, unit and sampling rate itself.
    /// Leads are given where they are not the standard twelve.
    pub fn options(&self, recording: &Recording) -> Option<ReadOptions> {
        (self.options)(recording)
    }
}
