//! Finds the recordings in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{FORMATS, Format, unknown_format};
use crate::{Error, ErrorKind, Result};

/// Finds the files to read at `path`, sorted: in a folder and its subfolders every file with a known extension, in any
/// case, as the contents of all files there would take long to read; for a file, or the name of a WFDB record, `path` itself. Links to folders are not followed, since they can form
/// a circle.
///
/// # Errors
/// A path that does not exist, a folder that cannot be read, or one without a recording.
pub fn find(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        let known = path.exists() || Format::main_file(path).is_some_and(|(_, main)| main.is_file());
        return match path.metadata() {
            _ if known => Ok(vec![path.to_path_buf()]),
            Err(error) => Err(Error::file(path, error)),
            Ok(_) => Err(unknown_format(path)),
        };
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        visit(&folder, &mut found, &mut folders).map_err(|error| Error::file(&folder, error))?;
    }
    if found.is_empty() {
        let cause = format!("{}: no recording in this folder", path.display());
        let extensions: Vec<String> =
            FORMATS.iter().flat_map(|format| format.extensions).map(|extension| format!(".{extension}")).collect();
        let remedy = format!("name a folder with files that end in {}", extensions.join(", "));
        return Err(Error::new(ErrorKind::File, cause, remedy));
    }
    found.sort();
    Ok(found)
}

/// Adds the files of `folder` to `found`, and its subfolders to the `folders` that are still to be visited.
fn visit(folder: &Path, found: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            folders.push(path);
        } else if path.is_file() && Format::by_extension(&path).is_some() && !has_main_file(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file is a signal file beside its header, which is found itself.
fn has_main_file(path: &Path) -> bool {
    Format::by_companion(path).is_some() && Format::main_file(path).is_some_and(|(_, main)| main.is_file())
}
