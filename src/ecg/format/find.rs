//! Finding the recordings in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Format, unknown_format};
use crate::{Error, ErrorKind, Result};

/// The files to read at `path`, sorted: of a folder and its subfolders those that end in .hea, .npy or .csv, in any
/// case; of a file, or the name of a WFDB record, `path` itself. Links to folders are not followed, since they can form
/// a circle.
///
/// # Errors
/// A path that does not exist, a folder that cannot be read, or one without a recording.
pub fn find(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        let known = path.exists() || Format::of(path).is_some_and(|(_, file)| file.exists());
        return if known { Ok(vec![path.to_path_buf()]) } else { Err(unknown_format(path)) };
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        visit(&folder, &mut found, &mut folders).map_err(|error| Error::file(&folder, error))?;
    }
    if found.is_empty() {
        let cause = format!("{}: no recording in this folder", path.display());
        return Err(Error::new(ErrorKind::File, cause, "name a folder with .hea, .npy or .csv files"));
    }
    found.sort();
    Ok(found)
}

/// Adds what lies in `folder` to `found` and to the `folders` still to visit.
fn visit(folder: &Path, found: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            folders.push(path);
        } else if path.is_file() && is_recording(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file's extension is that of a recording. A signal file is none: its header is.
fn is_recording(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["hea", "npy", "csv"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
