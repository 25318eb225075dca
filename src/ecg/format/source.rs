//! Where a reader finds a recording's parts: files beside each other, or named parts in memory.

use std::{
    fs::File,
    io::{Cursor, Read, Seek},
    path::{Path, PathBuf},
};

use crate::{Error, ErrorKind, Result};

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

    /// Opens the part of this name, which must be a file's name without a folder.
    ///
    /// # Errors
    /// It does not exist or cannot be opened.
    pub(super) fn open_beside(&self, name: &str) -> Result<Part<'_>> {
        match self {
            Source::File(path) => open_file(&path.with_file_name(name)),
            Source::Parts(parts) => match parts.iter().find(|(other, _)| *other == name) {
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
        let mut bytes = Vec::new();
        (&mut self.reader).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
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
