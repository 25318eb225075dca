//! Finds the recordings in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{FORMATS, Format, ReadOptions, Source, recognise::RECOGNISED_BY, unknown_format};
use crate::{Error, ErrorKind, Result};

/// The files that [`find`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Files to read, sorted.
    pub files: Vec<PathBuf>,
    /// Files with a known extension that hold no ECG, such as tables of labels, sorted.
    pub skipped: Vec<PathBuf>,
}

/// Finds the files to read at `path`: in a folder and its subfolders every file with a known extension, in any case; for a
/// file, or the name of a WFDB record, `path` itself. Tables, arrays and other files of formats that hold anything are looked
/// into, and left out if they hold no ECG. Links to folders are not followed, since they can form a circle.
///
/// # Errors
/// A path that does not exist, a folder that cannot be read, or one without a recording.
pub fn find(path: &Path, options: &ReadOptions) -> Result<Found> {
    if !path.is_dir() {
        let known = path.exists() || Format::main_file(path).is_some_and(|(_, main)| main.is_file());
        return match path.metadata() {
            _ if known => Ok(Found { files: vec![path.to_path_buf()], skipped: Vec::new() }),
            Err(error) => Err(Error::file(path, error)),
            Ok(_) => Err(unknown_format(path)),
        };
    }
    let mut found = Found::default();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        visit(&folder, options, &mut found, &mut folders).map_err(|error| Error::file(&folder, error))?;
    }
    if found.files.is_empty() {
        let skipped =
            found.skipped.iter().take(3).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let but = if skipped.is_empty() { String::new() } else { format!("; no ECG in {skipped}") };
        let cause = format!("{}: no recording in this folder{but}", path.display());
        let mut extensions: Vec<String> =
            FORMATS.iter().flat_map(|format| format.extensions).map(|extension| format!(".{extension}")).collect();
        // Neighbours in the table may share an extension.
        extensions.dedup();
        let remedy = format!("name a folder with files that end in {}", extensions.join(", "));
        return Err(Error::new(ErrorKind::File, cause, remedy));
    }
    found.files.sort();
    found.skipped.sort();
    Ok(found)
}

/// Adds the files of `folder` to `found`, and its subfolders to the `folders` that are still to be visited.
fn visit(folder: &Path, options: &ReadOptions, found: &mut Found, folders: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            folders.push(path);
        } else if path.is_file() && Format::by_extension(&path).is_some() && !has_main_file(&path) {
            let list = if may_hold_ecg(&path, options) { &mut found.files } else { &mut found.skipped };
            list.push(path);
        }
    }
    Ok(())
}

/// Whether a file is a signal file beside its header, which is found itself.
fn has_main_file(path: &Path) -> bool {
    Format::by_companion(path).is_some() && Format::main_file(path).is_some_and(|(_, main)| main.is_file())
}

/// Whether a file with a known extension may hold an ECG: it is of a format of ECGs alone, or looks like one. A file that
/// cannot be read may, so that its error is reported.
fn may_hold_ecg(path: &Path, options: &ReadOptions) -> bool {
    let own = || FORMATS.iter().filter(|format| format.has_extension(path));
    if own().any(|format| format.plausible.is_none()) {
        return true;
    }
    let source = Source::File(path.to_path_buf());
    let start = source.open().ok().and_then(|mut part| part.read_start(RECOGNISED_BY as u64).ok());
    start.is_none_or(|start| {
        own().filter_map(|format| format.plausible).any(|plausible| plausible(&start, options))
            || FORMATS.iter().any(|other| other.plausible.is_none() && (other.recognises)(&start))
    })
}
