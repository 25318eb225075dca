//! How files and arrays are read.

use std::path::Path;

use ecgpu::{
    Recording, Result,
    ecg::{
        Lead,
        format::{self, ReadOptions},
    },
};
use pyo3::prelude::*;

/// What a file does not say: the sampling rate in Hz, the unit, and the names of the leads in their order.
#[derive(FromPyObject)]
pub struct Stated(Option<f64>, Option<String>, Option<Vec<String>>);

impl Stated {
    /// Returns the options of a reader.
    ///
    /// # Errors
    /// A rate that is not positive, an unknown unit or lead.
    pub fn options(&self) -> Result<ReadOptions> {
        let Self(sampling_rate, unit, leads) = self;
        let leads = leads.as_ref().map(|names| names.iter().map(|name| name.parse::<Lead>()).collect());
        let options = ReadOptions {
            sampling_rate: *sampling_rate,
            unit: unit.as_deref().map(str::parse).transpose()?,
            leads: leads.transpose()?,
        };
        options.check()?;
        Ok(options)
    }
}

/// Reads the recordings of a file at a path or, with bytes, of a file in memory.
///
/// # Errors
/// As for [`format::read`].
pub fn read(name: &str, bytes: Option<&[u8]>, options: &ReadOptions) -> Result<Vec<Recording>> {
    match bytes {
        Some(bytes) => format::read_bytes(name, bytes, options),
        None => format::read(Path::new(name), options),
    }
}
