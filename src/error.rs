//! The crate's one error type. Every error states a cause and a remedy, in that order, on one line.

use std::{fmt, io, path::Path, sync::Arc};

use crate::text::escaped;

/// The kind of an [`Error`], for programs that react to it.
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
    /// There is no such device, or the device failed.
    Device,
    /// A request that makes no sense, whatever the files and the device.
    Usage,
    /// A tuning file is damaged, or holds for another device or build.
    Tuning,
    /// A pipeline cache is damaged, or holds for another device or build. Never fatal.
    PipelineCache,
    /// Two backends that must agree do not.
    Parity,
    /// A loss or a gradient became infinite or NaN.
    Training,
}

/// A remedy of an [`Error`] that a front end can offer by its own means: a flag, a field of a request, a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hint {
    /// Run on the CPU.
    UseCpu,
    /// Run on the float64 reference.
    UseReference,
    /// Store weights and activations in f32.
    UseF32,
    /// Choose the precision that a tuning was made with.
    MatchPrecision,
    /// Give fewer records at once.
    SmallerBatch,
    /// Make a new tuning, or run without one.
    Retune,
    /// Compare the GPU with the reference, stage by stage.
    Verify,
    /// State the recording's unit.
    StateUnit,
    /// State the recording's sampling rate.
    StateSamplingRate,
    /// Name the leads.
    NameLeads,
    /// Allow overwriting.
    Overwrite,
    /// Name a file for the result.
    NameOutput,
    /// Name a pre-trained encoder.
    NameEncoder,
    /// Name the network.
    NameNetwork,
    /// Continue an earlier run.
    Resume,
    /// Name another folder for the cache.
    NameCacheFolder,
    /// Fetch from another address.
    NameUrl,
}

/// A cause and a remedy.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    cause: String,
    remedy: String,
    hint: Option<Hint>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Errors are equal if their kinds, texts and hints are equal; the errors beneath them are not compared.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let said = |error: &Self| (error.kind, error.cause.clone(), error.remedy.clone(), error.hint);
        said(self) == said(other)
    }
}

impl Eq for Error {}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error of `kind` from what happened and what its reader can do about it. Neither ends in a full stop.
    pub fn new(kind: ErrorKind, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), remedy: remedy.into(), hint: None, source: None }
    }

    /// Makes an error for a file that could not be read or written.
    pub fn file(path: &Path, error: io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check the permissions",
            io::ErrorKind::StorageFull => "the disk is full: make room on it",
            io::ErrorKind::IsADirectory => "name a file, not a folder",
            io::ErrorKind::AlreadyExists => "a file has this name: choose another name",
            io::ErrorKind::NotADirectory => "check the path: a part of it is a file, not a folder",
            _ => "check the file and its disk",
        };
        Self::new(ErrorKind::File, format!("{}: {error}", path.display()), remedy).with_source(error)
    }

    /// Adds the error beneath this one, as [`std::error::Error::source`] returns it.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Adds what a front end can offer as the remedy.
    pub fn with_hint(mut self, hint: Hint) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Puts a place, such as a file's name, before the cause.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.cause = format!("{place}: {}", self.cause);
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns what happened.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// Returns what can be done about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Returns what a front end can offer as the remedy.
    pub fn hint(&self) -> Option<Hint> {
        self.hint
    }
}

impl fmt::Display for Error {
    /// Writes one line. Characters that a file's name or contents may bring in to deceive are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [&self.cause, ": ", &self.remedy].iter().try_for_each(|text| f.write_str(&escaped(text)))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

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

    #[test]
    fn an_unreadable_file_keeps_the_systems_error() {
        use std::error::Error as _;
        let error = Error::file(Path::new("a.hea"), io::Error::from(io::ErrorKind::NotFound));
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotFound));
    }
}
