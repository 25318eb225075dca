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
    Format, ReadOptions, Reading, Source,
    array::{self, Array, Description, Element, Order, Planes},
    damaged,
    pieces::{Pieces, Rows},
};
use crate::{Error, ErrorKind, Recording, Result};

/// The most that is read of an array at once, in bytes: 64 MiB.
const LARGEST_PIECE: usize = 64 << 20;

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
    reading: Reading::Pieces(open),
};

/// Whether an array of numbers has a side for the leads.
fn plausible(start: &[u8], options: &ReadOptions) -> bool {
    let leads = options.leads().len();
    let is_ecg = |header: &Header| header.shape.len() >= 2 && header.shape.contains(&leads) && header.number().is_ok();
    Header::parse(start).is_ok_and(|header| is_ecg(&header))
}

/// Opens an array. A batch whose recordings are one behind the other is read some of them at a time.
fn open<'s>(source: Source<'s>, _: &ReadOptions) -> Result<Box<dyn Pieces + 's>> {
    let (header, element) = Stored::header(&source)?;
    let counted = header.shape.iter().filter(|side| **side != 1).count();
    let rows = header.shape.first().copied().unwrap_or(1);
    let cut = if header.order == Order::C && counted == 3 && rows > 1 {
        let row_bytes = header.shape[1..].iter().product::<usize>() * element.bytes();
        Some(Rows::new(rows, 1, LARGEST_PIECE / row_bytes.max(1)))
    } else {
        None
    };
    Ok(Box::new(Stored { source, header, element, cut }))
}

/// The most numbers that are read at once: a shader counts no more. A sparse file of a few KiB may declare any size.
const MOST_NUMBERS: usize = u32::MAX as usize;

/// An array in a file, whose recordings are read when they are asked for.
struct Stored<'s> {
    source: Source<'s>,
    header: Header,
    element: Element,
    /// How a batch is cut into pieces; none for an array that is read at once.
    cut: Option<Rows>,
}

impl Stored<'_> {
    /// Reads the header of an array of numbers, and checks that the file holds what it declares.
    fn header(source: &Source) -> Result<(Header, Element)> {
        let mut part = source.open()?;
        let start = part.read_start(LARGEST_HEADER as u64).map_err(|error| source.unreadable(error))?;
        let header = Header::parse(&start)?;
        let element = header.number()?;
        let held = part.size.saturating_sub(header.offset as u64);
        let expected = header.shape.iter().try_fold(element.bytes(), |product, side| product.checked_mul(*side));
        match expected {
            Some(expected) if expected as u64 <= held => Ok((header, element)),
            _ => Err(header::cut_off(&header.shape, held)),
        }
    }

    /// Reads a part of the array: the first element, counted from the first, and the shape.
    fn array(&self, first: usize, shape: Vec<usize>) -> Result<Array> {
        if shape.iter().product::<usize>() > MOST_NUMBERS {
            let cause = format!("an array of shape {shape:?}, more than {MOST_NUMBERS} numbers at once");
            return Err(damaged(cause, "cut it into shorter recordings"));
        }
        let failed = |error: std::io::Error| self.source.unreadable(error);
        let mut part = self.source.open()?;
        let place = self.header.offset + first * self.element.bytes();
        part.reader.seek(SeekFrom::Start(place as u64)).map_err(failed)?;
        let size = shape.iter().product::<usize>() * self.element.bytes();
        let bytes = part.read_start(size as u64).map_err(failed)?;
        let held = bytes.len() as u64;
        Array::new(shape.clone(), self.header.order, self.element, bytes).ok_or_else(|| header::cut_off(&shape, held))
    }
}

impl Pieces for Stored<'_> {
    fn len(&self) -> usize {
        self.cut.map_or(1, Rows::pieces)
    }

    fn recordings(&self, piece: usize) -> usize {
        self.cut.map_or(1, |cut| cut.of(piece).len())
    }

    fn bytes(&self) -> u64 {
        self.header.shape.iter().map(|side| *side as u64).product::<u64>() * self.element.bytes() as u64
    }

    fn read(&self, piece: usize, options: &ReadOptions) -> Result<Vec<Result<Recording>>> {
        let (stem, description, shape) = (self.source.stem(), Description::default(), &self.header.shape);
        let Some(cut) = self.cut else {
            let recordings = array::recordings(&self.array(0, shape.clone())?, &stem, &description, options)?;
            return Ok(recordings.into_iter().map(Ok).collect());
        };
        let row = shape[1..].iter().product::<usize>();
        let recording = |index: usize| {
            let name = format!("{stem}[{index}]");
            let read = || {
                let array = self.array(index * row, shape[1..].to_vec())?;
                Planes::of(&array, &description, options)?.recording(name.clone(), 0, &description, options)
            };
            read().map_err(|error| error.at(&name))
        };
        Ok(cut.of(piece).map(recording).collect())
    }
}

/// Reads a whole array.
pub(super) fn read_array(source: &Source) -> Result<Array> {
    let (header, element) = Stored::header(source)?;
    let shape = header.shape.clone();
    Stored { source: source.clone(), header, element, cut: None }.array(0, shape)
}
