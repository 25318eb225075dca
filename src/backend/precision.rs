//! How exactly a network runs, as users name it.

use std::{fmt, str::FromStr};

use crate::{Error, ErrorKind, Result};

/// In what weights and activations are stored. Sums are always of f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, on a GPU: half the memory and its traffic, for three digits instead of seven in what is stored.
    F16,
}

impl FromStr for Precision {
    type Err = Error;

    /// Reads `f32` or `f16`.
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
