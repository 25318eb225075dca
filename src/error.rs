//! The one error of the crate. Every error states a cause and a remedy, in that order, on one line.

use std::fmt::{self, Write};

/// What kind of thing went wrong; [`Error`] says it in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or written.
    File,
    /// A recording is damaged, incomplete or not what its header says.
    Recording,
    /// A data set is damaged or incomplete.
    Dataset,
    /// A file could not be fetched.
    Download,
    /// A weights file is damaged, or its tensors do not fit a known network.
    Weights,
    /// A shape that the network or the device cannot run.
    Shape,
    /// No such device, or the device failed.
    Device,
    /// A request that makes no sense, whatever the files and the device.
    Usage,
    /// A tuning file is damaged, or holds for another device or build.
    Tuning,
    /// A pipeline cache is damaged, or holds for another device or build. Never fatal.
    PipelineCache,
    /// Two backends that must agree do not.
    Parity,
    /// A loss or a gradient that is no number any more.
    Training,
}

/// A cause and a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    cause: String,
    remedy: String,
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`: what happened, and what its reader can do about it. Neither ends in a full stop.
    pub fn new(kind: ErrorKind, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), remedy: remedy.into() }
    }

    /// A file that could not be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            std::io::ErrorKind::PermissionDenied => "check the permissions",
            std::io::ErrorKind::StorageFull => "the disk is full: make room on it",
            std::io::ErrorKind::IsADirectory => "name a file, not a folder",
            _ => "check the file and its disk",
        };
        Self::new(ErrorKind::File, format!("{}: {error}", path.display()), remedy)
    }

    /// The same error, its cause preceded by where it happened, such as a file's name.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.cause = format!("{place}: {}", self.cause);
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// What can be done about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Error {
    /// One line whatever a file's name or contents put into it: control characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for text in [&self.cause, ": ", &self.remedy] {
            for character in text.chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    f.write_char(character)?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_place_cause_remedy() {
        let error = Error::new(ErrorKind::Recording, "lead V6 is missing", "add it to the header").at("a.hea");
        assert_eq!(error.to_string(), "a.hea: lead V6 is missing: add it to the header");
        assert_eq!(error.kind(), ErrorKind::Recording);
    }

    #[test]
    fn an_error_is_one_line_whatever_it_quotes() {
        let error = Error::new(ErrorKind::Weights, "tensor 'a\nb\u{1b}[31m' is µ", "remove it");
        assert_eq!(error.to_string(), "tensor 'a\\nb\\u{1b}[31m' is µ: remove it");
    }
}
