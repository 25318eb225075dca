//! How files and arrays are read.

use std::path::Path;

use ecgpu::{
    Recording, Result,
    ecg::{
        Lead,
        format::{self, ReadOptions, Reader},
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

/// Reads the recordings of a file at a path or, with bytes, of a file in memory. A recording of it that is damaged is an error in
/// its place, where the others can be read.
///
/// # Errors
/// As for [`format::read`].
pub fn read(name: &str, bytes: Option<&[u8]>, options: &ReadOptions) -> Result<Vec<Result<Recording>>> {
    if let Some(bytes) = bytes {
        return format::read_each(name, bytes, options);
    }
    let reader = Reader::open(Path::new(name), options)?;
    Ok((0..reader.pieces())
        .map(|piece| reader.read(piece))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}
