//! Reads NumPy arrays: [leads, samples] or [samples, leads], with or without a batch in front.

mod header;
mod write;

use std::{io::SeekFrom, path::Path};

#[cfg(not(feature = "compressed"))]
use self::header::{Header, LARGEST as LARGEST_HEADER};
#[cfg(feature = "compressed")]
pub(super) use self::header::{Header, LARGEST as LARGEST_HEADER, Type};
pub(super) use self::write::{options, write};
use super::{
    Format, ReadOptions, Source,
    array::{self, Array, Description},
    damaged,
};
use crate::{Error, ErrorKind, Recording, Result};

/// An array as it stands in its file, without leads, unit or rate.
#[derive(Debug, Clone, PartialEq)]
pub struct RawArray {
    /// [batch, channels, samples].
    pub shape: [usize; 3],
    /// The values, the last dimension contiguous.
    pub values: Vec<f32>,
}

/// Reads a NumPy file of numbers as it stands: [batch, channels, samples], or [channels, samples] as a batch of one.
/// Values are rounded to f32. Nothing is transposed, scaled or resampled.
///
/// # Errors
/// A file that is no such array, or a value that is not finite.
pub fn read_raw(path: &Path) -> Result<RawArray> {
    let source = Source::File(path.to_path_buf());
    let named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(FORMAT.extensions[0]));
    if !(named || path.is_file() && begins_with_magic(&source)?) {
        let cause = format!("{} is no .npy file, and only an array can be read raw", path.display());
        return Err(Error::new(ErrorKind::Usage, cause, "save the array with numpy.save"));
    }
    raw(&source)
}

/// Reads a `.npy` file in memory the way [`read_raw`] reads one at a path. `name` is for messages.
///
/// # Errors
/// The bytes are no such array, or a value is not finite.
pub fn read_raw_bytes(name: &str, bytes: &[u8]) -> Result<RawArray> {
    raw(&Source::Parts(vec![(name, bytes)]))
}

fn begins_with_magic(source: &Source) -> Result<bool> {
    let start = source.open()?.read_start(header::MAGIC.len() as u64).map_err(|error| source.unreadable(error))?;
    Ok(start == header::MAGIC)
}

fn raw(source: &Source) -> Result<RawArray> {
    let raw = read_array(source).and_then(|array| as_it_stands(&array));
    raw.map_err(|error| if error.kind() == ErrorKind::File { error } else { error.at(source.name()) })
}

/// Returns the values of an array of two or three dimensions.
fn as_it_stands(array: &Array) -> Result<RawArray> {
    let shape = match *array.shape() {
        [channels, samples] => [1, channels, samples],
        [batch, channels, samples] => [batch, channels, samples],
        _ => [0; 3],
    };
    if shape.contains(&0) {
        let cause = format!("an array of shape {:?}", array.shape());
        return Err(damaged(cause, "give [12, samples], [samples, 12], or a batch of these, none of them empty"));
    }
    let values = array.in_c_order();
    if let Some(at) = values.iter().position(|x| !x.is_finite()) {
        let [_, channels, samples] = shape;
        let index = [at / (channels * samples), at / samples % channels, at % samples];
        let cause = format!("{} at index {:?}", values[at], &index[3 - array.shape().len()..]);
        return Err(damaged(cause, "replace what is not finite before saving the array"));
    }
    Ok(RawArray { shape, values })
}

/// NumPy arrays.
pub(super) const FORMAT: Format = Format {
    name: "NumPy",
    extensions: &["npy"],
    companions: &[],
    recognises: |start| start.starts_with(header::MAGIC),
    plausible: Some(plausible),
    read,
};

/// Whether an array of numbers has a side for the leads.
fn plausible(start: &[u8], options: &ReadOptions) -> bool {
    let leads = options.leads().len();
    let is_ecg = |header: &Header| header.shape.len() >= 2 && header.shape.contains(&leads) && header.number().is_ok();
    Header::parse(start).is_ok_and(|header| is_ecg(&header))
}

/// Reads the recordings of an array.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    array::recordings(&read_array(source)?, &source.stem(), &Description::default(), options)
}

/// Reads a whole array, after checking that the file holds what its header declares.
pub(super) fn read_array(source: &Source) -> Result<Array> {
    let mut part = source.open()?;
    let failed = |error: std::io::Error| source.unreadable(error);
    let start = part.read_start(LARGEST_HEADER as u64).map_err(failed)?;
    let header = Header::parse(&start)?;
    let element = header.number()?;
    let held = part.size.saturating_sub(header.offset as u64);
    let expected = header.shape.iter().try_fold(element.bytes(), |product, side| product.checked_mul(*side));
    let Some(expected) = expected.filter(|expected| *expected as u64 <= held) else {
        return Err(header::cut_off(&header.shape, held));
    };
    part.reader.seek(SeekFrom::Start(header.offset as u64)).map_err(failed)?;
    let bytes = part.read_start(expected as u64).map_err(failed)?;
    header.array(element, bytes)
}
