//! The precision of a network's weights and activations, as a user names it.

use std::{fmt, str::FromStr};

use crate::{Error, ErrorKind, Result};

/// The precision in which weights and activations are stored. Sums are always computed in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precision {
    /// 32 bits, seven decimal digits.
    #[default]
    F32,
    /// 16 bits, three decimal digits, on a GPU: half the memory and half the memory traffic.
    F16,
}

impl FromStr for Precision {
    type Err = Error;

    /// Parses `f32` or `f16`.
    fn from_str(text: &str) -> Result<Self> {
        match text.trim().to_lowercase().as_str() {
            "f32" => Ok(Precision::F32),
            "f16" => Ok(Precision::F16),
            _ => Err(Error::new(ErrorKind::Usage, format!("'{text}' is no precision"), "use f32 or f16")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        })
    }
}
