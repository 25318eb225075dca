//! Errors on their way to other languages.

use std::fmt;

use ecgpu::{Error, ErrorKind};

/// Why a call failed. Each kind has `reason`, what happened, and `remedy`, what can be done about it.
// Kotlin's exceptions have a `cause` of their own.
#[derive(Debug, uniffi::Error)]
pub enum EcgpuError {
    /// A file could not be read.
    File {
        /// What happened.
        reason: String,
        /// What can be done about it.
        remedy: String,
    },
    /// A recording is damaged, incomplete or not what its header says.
    Recording {
        /// What happened.
        reason: String,
        /// What can be done about it.
        remedy: String,
    },
    /// A weights file is damaged, or its tensors do not fit a known network.
    Weights {
        /// What happened.
        reason: String,
        /// What can be done about it.
        remedy: String,
    },
    /// There is no such device, or the device failed.
    Device {
        /// What happened.
        reason: String,
        /// What can be done about it.
        remedy: String,
    },
    /// A request that makes no sense: an unknown name, a shape that the network or the device cannot run.
    Usage {
        /// What happened.
        reason: String,
        /// What can be done about it.
        remedy: String,
    },
    /// A fault of ecgpu itself.
    Internal {
        /// What happened.
        reason: String,
        /// What can be done about it.
        remedy: String,
    },
}

/// What an exported function returns.
pub(crate) type Result<T> = std::result::Result<T, EcgpuError>;

impl From<Error> for EcgpuError {
    fn from(error: Error) -> Self {
        let (reason, remedy) = (error.cause().to_string(), error.remedy().to_string());
        match error.kind() {
            ErrorKind::File => Self::File { reason, remedy },
            ErrorKind::Recording => Self::Recording { reason, remedy },
            ErrorKind::Weights => Self::Weights { reason, remedy },
            ErrorKind::Device => Self::Device { reason, remedy },
            ErrorKind::Usage | ErrorKind::Shape => Self::Usage { reason, remedy },
            _ => Self::Internal { reason, remedy },
        }
    }
}

impl fmt::Display for EcgpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { reason, remedy }
            | Self::Recording { reason, remedy }
            | Self::Weights { reason, remedy }
            | Self::Device { reason, remedy }
            | Self::Usage { reason, remedy }
            | Self::Internal { reason, remedy } => write!(f, "{reason}: {remedy}"),
        }
    }
}

impl std::error::Error for EcgpuError {}
