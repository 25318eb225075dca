//! The arrays and attributes of an HDF5 file.

use std::{fs::File, io::Cursor, ops::Range};

use hdf5_pure::{AttrValue, Dataset, Datatype, DatatypeByteOrder, Group, ReadSeekSource};

use super::{
    super::{
        Source,
        array::{self, Array, Description, Element, Number, Order, Shaped},
        damaged, shown,
    },
    LARGEST,
};
use crate::{Error, Result};

/// How deep groups are searched.
const DEEPEST: usize = 3;

/// The largest number of datasets that are looked at.
const MOST_DATASETS: usize = 1000;

/// The largest dataset that is read for the number or the texts that it may be, in elements.
const SMALL: usize = 64;

/// The largest recording or chunk, in bytes: 64 MiB.
const LARGEST_PIECE: u64 = 64 << 20;

/// An array in a file.
pub(super) struct StoredArray {
    name: String,
    pub(super) shape: Vec<usize>,
    element: Element,
    dataset: Dataset,
}

/// What a file contains.
pub(super) struct Contents {
    arrays: Vec<StoredArray>,
    /// The names of all datasets, those that are no arrays included.
    names: Vec<String>,
    description: Description,
    /// The file's size in bytes.
    pub(super) held: u64,
}

impl Contents {
    /// Lists what a file contains.
    ///
    /// # Errors
    /// It is no HDF5 file, or damaged.
    pub(super) fn of(source: &Source) -> Result<Self> {
        let opened = match source {
            Source::File(path) => {
                let file = File::open(path).map_err(|error| source.unreadable(error))?;
                ReadSeekSource::new(file).map_err(hdf5_pure::Error::from).and_then(hdf5_pure::File::from_source)
            }
            Source::Parts(_) => {
                let bytes = source.open()?.read_start(LARGEST).map_err(|error| source.unreadable(error))?;
                let reader = ReadSeekSource::new(Cursor::new(bytes));
                reader.map_err(hdf5_pure::Error::from).and_then(hdf5_pure::File::from_source)
            }
        };
        let file = opened.map_err(|error| broken(&error))?;
        let mut contents = Self {
            arrays: Vec::new(),
            names: Vec::new(),
            description: Description::default(),
            held: source.open()?.size,
        };
        contents.visit(&file.root(), "", 0)?;
        Ok(contents)
    }

    /// Adds what a group contains. `path` is its name with a slash behind it.
    fn visit(&mut self, group: &Group, path: &str, depth: usize) -> Result<()> {
        self.describe(group.attrs().map_err(|error| broken(&error))?.iter());
        for (name, dataset) in group.iter_datasets().map_err(|error| broken(&error))? {
            if self.names.len() >= MOST_DATASETS {
                let cause = format!("more than {MOST_DATASETS} datasets");
                return Err(damaged(cause, "copy the recordings to a file of their own, as one dataset"));
            }
            self.names.push(format!("{path}{name}"));
            self.add(format!("{path}{name}"), dataset);
        }
        if depth == DEEPEST {
            return Ok(());
        }
        for (name, inner) in group.iter_groups().map_err(|error| broken(&error))? {
            // MATLAB keeps the contents of cells in such groups.
            if !name.starts_with('#') {
                self.visit(&inner, &format!("{path}{name}/"), depth + 1)?;
            }
        }
        Ok(())
    }

    /// Adds a dataset: an array, or what describes the others.
    fn add(&mut self, name: String, dataset: Dataset) {
        let shape = dataset.shape().ok();
        let shape = shape.and_then(|shape| shape.into_iter().map(|side| usize::try_from(side).ok()).collect());
        let Some(shape): Option<Vec<usize>> = shape else { return };
        let elements = shape.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
        let is_small = elements.is_some_and(|elements| elements <= SMALL);
        match dataset.datatype().ok().as_ref().and_then(element) {
            Some(element) => {
                let array = StoredArray { name, shape, element, dataset };
                if elements != Some(1) {
                    self.arrays.push(array);
                } else if let Ok(number) = array.check_chunks(self.held).and_then(|()| array.whole()) {
                    self.state(&array.name, number.scalar(), &[]);
                }
            }
            None if is_small && (array::is_unit(&name) || array::is_leads(&name)) => {
                self.state(&name, None, &dataset.read_string().unwrap_or_default());
            }
            None => {}
        }
    }

    fn describe<'a>(&mut self, attributes: impl Iterator<Item = (&'a String, &'a AttrValue)>) {
        for (name, value) in attributes {
            self.state(name, number(value), &texts(value));
        }
    }

    /// Keeps what a number or texts say of the ECG by their name.
    fn state(&mut self, name: &str, number: Option<f64>, texts: &[String]) {
        let rate = number.filter(|rate| array::is_rate(name) && rate.is_finite() && *rate > 0.0);
        self.description.sampling_rate = rate.or(self.description.sampling_rate);
        if array::is_unit(name) {
            let unit = texts.first().and_then(|text| text.parse().ok());
            self.description.unit = unit.or(self.description.unit);
        }
        if array::is_leads(name) && texts.iter().any(|text| text.parse::<crate::ecg::Lead>().is_ok()) {
            self.description.leads = Some(texts.to_vec());
        }
    }

    /// Returns the arrays.
    pub(super) fn arrays(&self) -> &[StoredArray] {
        &self.arrays
    }

    /// Whether there is a dataset of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| other == name)
    }

    /// Takes one array, and what the file and its own attributes say of it.
    pub(super) fn take_one(mut self, at: usize) -> Result<(StoredArray, Description)> {
        let array = self.arrays.swap_remove(at);
        let attributes = array.dataset.attrs().map_err(|error| broken(&error))?;
        self.describe(attributes.iter());
        Ok((array, self.description))
    }

    /// Takes the arrays at `positions`, and what the file and their own attributes say of them.
    pub(super) fn take(mut self, positions: &[usize]) -> Result<(Vec<StoredArray>, Description)> {
        let arrays = std::mem::take(&mut self.arrays).into_iter().enumerate();
        let taken: Vec<StoredArray> = arrays.filter(|(at, _)| positions.contains(at)).map(|(_, array)| array).collect();
        for array in &taken {
            let attributes = array.dataset.attrs().map_err(|error| broken(&error))?;
            self.describe(attributes.iter());
        }
        Ok((taken, self.description))
    }
}

impl StoredArray {
    /// Returns the name and the shape.
    pub(super) fn shaped(&self) -> Shaped {
        Shaped { name: self.name.clone(), shape: self.shape.clone() }
    }

    /// Returns the number of bytes of all elements.
    pub(super) fn bytes(&self) -> u64 {
        let sides = self.shape.iter().map(|side| *side as u64);
        sides.fold(self.element.bytes() as u64, u64::saturating_mul)
    }

    /// Checks the sizes of chunks against a file of `held` bytes, since the library allocates what they say: of one chunk
    /// decompressed, and of each as it is stored.
    pub(super) fn check_chunks(&self, held: u64) -> Result<()> {
        let Some(sides) = self.dataset.chunk_shape().map_err(|error| broken(&error))? else { return Ok(()) };
        let name = shown(self.name.as_bytes());
        let bytes = sides.iter().fold(self.element.bytes() as u64, |product, side| product.saturating_mul(*side));
        if bytes > LARGEST_PIECE {
            let cause = format!("{name} is stored in chunks of {} MiB", bytes >> 20);
            return Err(damaged(cause, "store it in chunks of one recording each"));
        }
        let chunks = self.dataset.chunks().map_err(|error| broken(&error))?;
        if chunks.iter().any(|chunk| chunk.storage_size > held) {
            let cause = format!("{name} has a chunk larger than the file");
            return Err(damaged(cause, "get the file again: it is damaged"));
        }
        Ok(())
    }

    /// Reads all elements.
    pub(super) fn whole(&self) -> Result<Array> {
        let bytes = self.dataset.read_raw().map_err(|error| broken(&error))?;
        self.array(self.shape.clone(), bytes)
    }

    /// Returns how many rows, along the first dimension, are stored as one unit.
    pub(super) fn rows_of_chunk(&self) -> Result<usize> {
        let chunk = self.dataset.chunk_shape().map_err(|error| broken(&error))?;
        Ok(chunk.and_then(|sides| usize::try_from(*sides.first()?).ok()).unwrap_or(1))
    }

    /// Returns how many rows may be read at once.
    pub(super) fn most_rows(&self) -> usize {
        (LARGEST_PIECE / self.row_bytes().max(1)) as usize
    }

    fn row_bytes(&self) -> u64 {
        let sides = self.shape.iter().skip(1).map(|side| *side as u64);
        sides.fold(self.element.bytes() as u64, u64::saturating_mul)
    }

    /// Reads rows along the first dimension.
    pub(super) fn rows(&self, rows: Range<usize>) -> Result<Vec<Array>> {
        let bytes_of_row = self.row_bytes();
        if bytes_of_row > LARGEST_PIECE {
            let cause =
                format!("{} has recordings of more than {} MiB", shown(self.name.as_bytes()), LARGEST_PIECE >> 20);
            return Err(damaged(cause, "cut them to the ten seconds of an ECG"));
        }
        let (first, count) = (rows.start as u64, rows.len() as u64);
        let bytes = self.dataset.read_raw_rows(first, count).map_err(|error| broken(&error))?;
        if bytes.len() as u64 != bytes_of_row * count {
            return Err(self.other_size());
        }
        let row = self.shape.get(1..).unwrap_or_default();
        bytes
            .chunks_exact((bytes_of_row as usize).max(1))
            .map(|row_bytes| self.array(row.to_vec(), row_bytes.to_vec()))
            .collect()
    }

    fn array(&self, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Array> {
        Array::new(shape, Order::C, self.element, bytes).ok_or_else(|| self.other_size())
    }

    fn other_size(&self) -> Error {
        let cause = format!("{} holds another number of elements than its shape", shown(self.name.as_bytes()));
        damaged(cause, "get the file again: it is damaged")
    }
}

/// Returns the type of real numbers, or nothing for other types.
fn element(datatype: &Datatype) -> Option<Element> {
    let (number, size, order) = match datatype {
        Datatype::FixedPoint { size, byte_order, layout } => {
            (if layout.signed { Number::Signed } else { Number::Unsigned }, size, byte_order)
        }
        Datatype::FloatingPoint { size, byte_order, layout } => {
            // Bits of exponent and mantissa of IEEE 754.
            let is_ieee =
                matches!((size, layout.exponent_size, layout.mantissa_size), (2, 5, 10) | (4, 8, 23) | (8, 11, 52));
            (is_ieee.then_some(Number::Float)?, size, byte_order)
        }
        _ => return None,
    };
    let big_endian = match order {
        DatatypeByteOrder::LittleEndian => false,
        DatatypeByteOrder::BigEndian => true,
        DatatypeByteOrder::Vax => return None,
    };
    Element::new(number, usize::try_from(*size).ok()?, big_endian)
}

/// Returns the number of an attribute that is one.
fn number(value: &AttrValue) -> Option<f64> {
    let single = |values: &[f64]| if let [value] = values { Some(*value) } else { None };
    Some(match value {
        AttrValue::F32(value) => f64::from(*value),
        AttrValue::F64(value) => *value,
        AttrValue::F64Array(values) => single(values)?,
        AttrValue::I8(value) => f64::from(*value),
        AttrValue::I16(value) => f64::from(*value),
        AttrValue::I32(value) => f64::from(*value),
        AttrValue::I64(value) => *value as f64,
        AttrValue::U8(value) => f64::from(*value),
        AttrValue::U16(value) => f64::from(*value),
        AttrValue::U32(value) => f64::from(*value),
        AttrValue::U64(value) => *value as f64,
        _ => return None,
    })
}

/// Returns the texts of an attribute that has some.
fn texts(value: &AttrValue) -> Vec<String> {
    match value {
        AttrValue::String(text)
        | AttrValue::AsciiString(text)
        | AttrValue::VarLenString(text)
        | AttrValue::VarLenAsciiString(text)
        | AttrValue::StringSized { value: text, .. }
        | AttrValue::AsciiStringSized { value: text, .. } => vec![text.clone()],
        AttrValue::StringArray(texts)
        | AttrValue::AsciiStringArray(texts)
        | AttrValue::VarLenStringArray(texts)
        | AttrValue::VarLenAsciiStringArray(texts)
        | AttrValue::StringArraySized { values: texts, .. }
        | AttrValue::AsciiStringArraySized { values: texts, .. } => texts.clone(),
        _ => Vec::new(),
    }
}

fn broken(error: &hdf5_pure::Error) -> Error {
    damaged(
        format!("no HDF5 file that can be read ({error})"),
        "get the file again if it is cut off or altered, or write it with the default settings of h5py",
    )
}
