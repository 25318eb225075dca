//! The options by which files are read, and recordings as commands that take one of a file read them.

use std::path::Path;

use ecgpu::{
    Error, ErrorKind, Recording, Result,
    ecg::{
        Lead, Unit,
        format::{self, ReadOptions},
    },
};

use crate::terminal::note;

/// Options that state what a file does not say.
#[derive(clap::Args)]
#[group(id = "stated", multiple = true)]
pub struct Stated {
    /// The sampling rate in Hz, where a file does not state it
    #[arg(long, value_name = "HZ", allow_negative_numbers = true)]
    sampling_rate: Option<f64>,
    /// The unit of the samples, where a file does not state it: mV, uV, nV or V
    #[arg(long)]
    unit: Option<Unit>,
    /// The leads in their order, where a file does not name them
    #[arg(long, value_delimiter = ',', value_name = "I,II,…")]
    leads: Option<Vec<Lead>>,
}

impl Stated {
    /// Returns the options for the readers.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn options(&self) -> Result<ReadOptions> {
        let options = ReadOptions { sampling_rate: self.sampling_rate, unit: self.unit, leads: self.leads.clone() };
        options.check()?;
        Ok(options)
    }
}

/// Reads every recording of a file, at least one.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Vec<Recording>> {
    let recordings = format::read(path, options)?;
    if recordings.is_empty() {
        let cause = format!("{} holds no recording", path.display());
        return Err(Error::new(ErrorKind::Recording, cause, "give a file with one"));
    }
    Ok(recordings)
}

/// Returns the recording of a file with this number, counted from 0; the first, with a note if there are others, if no
/// number is given. `how` says how another one is chosen.
pub fn one(mut recordings: Vec<Recording>, path: &Path, number: Option<usize>, how: &str) -> Result<Recording> {
    let count = recordings.len();
    if number.is_none() && count > 1 {
        note(&format!("{} holds {count} recordings, of which the first is taken{how}", path.display()));
    }
    let number = number.unwrap_or(0);
    if number >= count {
        let cause = format!("{} has no recording number {number}", path.display());
        let remedy = format!("give a number from 0 to {}", count - 1);
        return Err(Error::new(ErrorKind::Usage, cause, remedy));
    }
    Ok(recordings.swap_remove(number))
}
