//! Finds the recordings in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{FORMATS, Format, ReadOptions, Source, recognise::RECOGNISED_BY, unknown_format};
use crate::{Error, ErrorKind, Result};

/// A file that [`walk`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file to read.
    File(PathBuf),
    /// A file with a known extension that holds no ECG, such as a table of labels.
    Skipped(PathBuf),
}

/// The files that [`find`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Files to read, sorted.
    pub files: Vec<PathBuf>,
    /// Files with a known extension that hold no ECG, such as tables of labels, sorted.
    pub skipped: Vec<PathBuf>,
    /// Why folders could not be read, in the order of their paths.
    pub failed: Vec<Error>,
}

/// Finds the files to read at `path`: in a folder and its subfolders every file with a known extension, in any case; for a
/// file, or the name of a WFDB record, `path` itself. Tables, arrays and other files of formats that hold anything are looked
/// into, and left out if they hold no ECG. Links to folders are not followed, since they can form a circle.
///
/// # Errors
/// A path that does not exist, or a folder without a recording. A subfolder that cannot be read is an error of its own, in
/// the result.
pub fn find(path: &Path, options: &ReadOptions) -> Result<Found> {
    let mut found = Found::default();
    for entry in walk(path, options)? {
        match entry {
            Ok(Entry::File(path)) => found.files.push(path),
            Ok(Entry::Skipped(path)) => found.skipped.push(path),
            Err(error) => found.failed.push(error),
        }
    }
    if found.files.is_empty() {
        return Err(found.failed.into_iter().next().unwrap_or_else(|| nothing(path, &found.skipped)));
    }
    Ok(found)
}

/// Finds the files that [`find`] finds one after the other, in the order of their paths. Memory grows with the largest folder
/// and not with the number of all files.
///
/// # Errors
/// A path that does not exist, or a file of an unknown format. The iterator gives an error for a folder that cannot be read,
/// and goes on.
pub fn walk<'o>(path: &Path, options: &'o ReadOptions) -> Result<impl Iterator<Item = Result<Entry>> + use<'o>> {
    let first = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Place::Folder(path.to_path_buf()),
        found => {
            let known = found.is_ok() || Format::main_file(path).is_some_and(|(_, main)| main.is_file());
            if !known {
                return Err(found.err().map_or_else(|| unknown_format(path), |error| Error::file(path, error)));
            }
            Place::File(path.to_path_buf())
        }
    };
    Ok(Walk { options, named: Some(first), waiting: Vec::new() })
}

/// A file or a folder that is still to be visited.
enum Place {
    File(PathBuf),
    Folder(PathBuf),
}

/// The files at a path.
struct Walk<'o> {
    options: &'o ReadOptions,
    /// The path that was named, before it is visited.
    named: Option<Place>,
    /// What is still to be visited, the last one first.
    waiting: Vec<Place>,
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(place) = self.named.take() {
            match place {
                Place::File(path) => return Some(Ok(Entry::File(path))),
                Place::Folder(path) => self.waiting.push(Place::Folder(path)),
            }
        }
        loop {
            match self.waiting.pop()? {
                Place::File(path) if may_hold_ecg(&path, self.options) => return Some(Ok(Entry::File(path))),
                Place::File(path) => return Some(Ok(Entry::Skipped(path))),
                Place::Folder(path) => match contents(&path) {
                    Ok(places) => self.waiting.extend(places.into_iter().rev()),
                    Err(error) => return Some(Err(Error::file(&path, error))),
                },
            }
        }
    }
}

/// Returns the subfolders of a folder and its files with a known extension, sorted.
fn contents(folder: &Path) -> std::io::Result<Vec<Place>> {
    let mut places = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            places.push(Place::Folder(path));
            continue;
        }
        // A link to nothing is a file that cannot be read, such as one of a git-annex copy whose content is elsewhere.
        let is_file = path.is_file() || (path.is_symlink() && !path.exists());
        if is_file && Format::by_extension(&path).is_some() && !has_main_file(&path) {
            places.push(Place::File(path));
        }
    }
    let path = |place: &Place| match place {
        Place::File(path) | Place::Folder(path) => path.clone(),
    };
    places.sort_by_cached_key(path);
    Ok(places)
}

/// Makes the error for a folder without a recording.
fn nothing(folder: &Path, skipped: &[PathBuf]) -> Error {
    const SHOWN: usize = 3;
    let skipped = skipped.iter().take(SHOWN).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let but = if skipped.is_empty() { String::new() } else { format!("; no ECG in {skipped}") };
    let cause = format!("{}: no recording in this folder{but}", folder.display());
    let mut extensions: Vec<String> =
        FORMATS.iter().flat_map(|format| format.extensions).map(|extension| format!(".{extension}")).collect();
    // Neighbours in the table may share an extension.
    extensions.dedup();
    Error::new(ErrorKind::File, cause, format!("name a folder with files that end in {}", extensions.join(", ")))
}

/// Whether a file is a signal file beside its header, which is found itself.
fn has_main_file(path: &Path) -> bool {
    let is_there = |main: &Path| main.is_file() || main.is_symlink();
    Format::by_companion(path).is_some() && Format::main_file(path).is_some_and(|(_, main)| is_there(&main))
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
