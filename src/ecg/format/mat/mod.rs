//! MATLAB files: levels 4 and 5, the latter also known as versions 5 to 7. Version 7.3 is HDF5.
//!
//! The formats are those of MathWorks' "MAT-File Format".

mod level4;
mod level5;

use super::{
    Format, ReadOptions, Reading, Source,
    array::{self, Description, Number, Value, Variable},
    damaged,
};
use crate::{Recording, Result, ecg::Unit};

/// The largest file that is read, in bytes: 512 MiB. It is held in memory.
const LARGEST: u64 = 512 << 20;

/// The largest number of variables, fields and cells of a file.
const MOST_VARIABLES: usize = 10_000;

/// MATLAB files.
pub(super) const FORMAT: Format = Format {
    name: "MATLAB",
    extensions: &["mat"],
    companions: &[],
    recognises,
    plausible: None,
    reading: Reading::Whole(read),
};

fn recognises(start: &[u8]) -> bool {
    is_version_7_3(start) || level5::recognises(start) || level4::recognises(start)
}

/// Whether the text of the header is that of an HDF5 file by MATLAB.
fn is_version_7_3(start: &[u8]) -> bool {
    start.starts_with(b"MATLAB 7.3 MAT-file")
}

/// Reads the recordings of a file's variables.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let mut part = source.open()?;
    let start = part.read_start(128).map_err(|error| source.unreadable(error))?;
    if is_version_7_3(&start) {
        return read_7_3(source, options);
    }
    if part.size > LARGEST {
        let cause = format!("a MATLAB file of {} MiB", part.size >> 20);
        return Err(damaged(cause, "save a part of it, such as one recording a file"));
    }
    let rest = part.read_start(LARGEST).map_err(|error| source.unreadable(error))?;
    let bytes = [start, rest].concat();
    let variables = if level5::recognises(&bytes) { level5::read(&bytes)? } else { level4::read(&bytes)? };
    let description = description(&variables);
    array::read_variables(&variables, &source.stem(), description, options)
}

#[cfg(feature = "hdf5")]
fn read_7_3(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    super::hdf5::read(source, options)
}

#[cfg(not(feature = "hdf5"))]
fn read_7_3(_: &Source, _: &ReadOptions) -> Result<Vec<Recording>> {
    Err(damaged("a MATLAB file of version 7.3, which is HDF5", "save it with save('-v7')"))
}

/// Returns what a data set defines that its files do not say. The files of CPSC 2018 hold a structure ECG of sex, age and
/// data: 500 Hz and millivolts, by the challenge's own description. Sex and age are not kept.
fn description(variables: &[Variable]) -> Description {
    let has = |name: &str| variables.iter().any(|variable| variable.name == name);
    if !["ECG.data", "ECG.sex", "ECG.age"].into_iter().all(has) {
        return Description::default();
    }
    Description {
        sampling_rate: Some(500.0),
        unit: Some(Unit::Millivolt),
        warnings: vec!["a structure ECG of sex, age and data: taken as CPSC 2018, in mV at 500 Hz".into()],
        leads: None,
    }
}

/// Explains a file that ends within a variable, or contradicts itself.
fn cut_off(what: &str) -> crate::Error {
    damaged(format!("the file ends within {what}, or its header is wrong"), "get the file again")
}

/// Splits characters that are stored column by column into the rows of a matrix, without the spaces that pad them.
fn rows(characters: &[char], rows: usize) -> Vec<String> {
    let row = |row: usize| characters.iter().skip(row).step_by(rows.max(1)).collect::<String>();
    (0..rows.min(characters.len())).map(|at| row(at).trim_end_matches([' ', '\0']).to_string()).collect()
}
