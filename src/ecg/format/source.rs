//! Where a reader finds a recording's parts: files beside each other, or named parts in memory.

use std::{
    fs::{self, File},
    io::{Cursor, Read, Seek},
    path::{Path, PathBuf},
};

use super::damaged;
use crate::{Error, ErrorKind, Result};

/// The room that is made before a part is read, in bytes: 1 MiB. A size in a folder may be wrong.
const FIRST_READ: u64 = 1 << 20;

/// A file, or a part in memory, that is open for reading.
pub(super) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// The parts of one recording. The main part is the one that a reader begins with, such as a WFDB header.
#[derive(Debug, Clone)]
pub(super) enum Source<'a> {
    /// The main file. The other parts are in its folder.
    File(PathBuf),
    /// Named parts in memory, the main one first.
    Parts(Vec<(&'a str, &'a [u8])>),
}

/// An open part and its length in bytes.
pub(super) struct Part<'a> {
    pub(super) reader: Box<dyn ReadSeek + 'a>,
    pub(super) size: u64,
}

impl Source<'_> {
    /// Returns the name for messages: the path of the main file, or the name of the main part.
    pub(super) fn name(&self) -> String {
        self.path().display().to_string()
    }

    /// Returns the name of the recording: the main part's name without extension.
    pub(super) fn stem(&self) -> String {
        self.path().file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
    }

    /// Returns the path of the main file, or the name of the main part as a path.
    pub(super) fn path(&self) -> &Path {
        match self {
            Source::File(path) => path,
            Source::Parts(parts) => Path::new(parts.first().map_or("", |(name, _)| name)),
        }
    }

    /// Opens the main part.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(&self) -> Result<Part<'_>> {
        match self {
            Source::File(path) => open_file(path),
            Source::Parts(parts) => match parts.first() {
                Some((_, bytes)) => Ok(in_memory(bytes)),
                None => Err(Error::new(ErrorKind::Usage, "a recording without parts", "give its files")),
            },
        }
    }

    /// Opens the part of this name, which must be a file's name without a folder. Where none has exactly this name, one that
    /// differs in capitals is opened: old systems change them.
    ///
    /// # Errors
    /// It does not exist, cannot be opened, or is a link out of the folder.
    pub(super) fn open_beside(&self, name: &str) -> Result<Part<'_>> {
        match self {
            Source::File(path) => {
                let beside = find_beside(path, name);
                check_beside(path, &beside)?;
                open_file(&beside)
            }
            Source::Parts(parts) => match named(parts.iter(), name, |(other, _)| other) {
                Some((_, bytes)) => Ok(in_memory(bytes)),
                None => Err(Error::new(ErrorKind::File, format!("{name} was not given"), "give it beside the header")),
            },
        }
    }

    /// Wraps an error of reading the main part.
    pub(super) fn unreadable(&self, error: std::io::Error) -> Error {
        Error::file(self.path(), error)
    }
}

impl Part<'_> {
    /// Reads up to `limit` bytes from the current position.
    pub(super) fn read_start(&mut self, limit: u64) -> std::io::Result<Vec<u8>> {
        // Without room from the start, a file is read in steps from 32 bytes on.
        let mut bytes = Vec::with_capacity(limit.min(self.size + 1).min(FIRST_READ) as usize);
        (&mut self.reader).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Returns the path of the file of this name beside `main`.
fn find_beside(main: &Path, name: &str) -> PathBuf {
    let exact = main.with_file_name(name);
    if exact.exists() {
        return exact;
    }
    let entries = fs::read_dir(folder_of(main)).into_iter().flatten().flatten();
    // Sorted, as the order in a folder is by chance.
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    named(names.iter(), name, |other| other).map_or(exact, |found| main.with_file_name(found))
}

/// Returns the part of exactly this name, or else the first whose name differs in capitals.
fn named<T: Copy>(mut parts: impl Iterator<Item = T> + Clone, name: &str, name_of: fn(&T) -> &str) -> Option<T> {
    let exact = parts.clone().find(|part| name_of(part) == name);
    exact.or_else(|| parts.find(|part| name_of(part).eq_ignore_ascii_case(name)))
}

/// Checks that a file beside `main` is one, and is in its folder also where it is a link: a header from an untrusted source
/// must not open other files. Where `main` is itself a link out of its folder, its user or a tool such as git-annex has
/// made a folder of links, and the other files may be links as well.
fn check_beside(main: &Path, beside: &Path) -> Result<()> {
    let name = beside.file_name().unwrap_or_default().display();
    if beside.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(damaged(format!("{name} is no regular file"), "put the file itself beside its header"));
    }
    let folder = folder_of(main).canonicalize();
    let leads_out = |path: &Path| match (path.canonicalize(), &folder) {
        (Ok(target), Ok(folder)) => !target.starts_with(folder),
        // What cannot be resolved cannot be opened either.
        _ => false,
    };
    if beside.is_symlink() && leads_out(beside) && !(main.is_symlink() && leads_out(main)) {
        let cause = format!("{name} is a link out of the folder of its header");
        return Err(damaged(cause, "put the file itself beside its header, for instance with cp -L"));
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn open_file(path: &Path) -> Result<Part<'static>> {
    let opened = File::open(path).and_then(|file| {
        let size = file.metadata()?.len();
        Ok(Part { reader: Box::new(file), size })
    });
    opened.map_err(|error| Error::file(path, error))
}

fn in_memory(bytes: &[u8]) -> Part<'_> {
    Part { reader: Box::new(Cursor::new(bytes)), size: bytes.len() as u64 }
}
