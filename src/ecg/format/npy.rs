//! Reads NumPy arrays: [leads, samples] or [samples, leads], with or without a batch in front.

use std::{
    io::{BufReader, Read, SeekFrom},
    path::Path,
};

use npyz::{DType, NpyFile, NpyHeader, TypeChar, WriteOptions, WriterBuilder};

use super::{
    Format, ReadOptions, Source,
    assumptions::{self, Numbers, Stated},
    damaged,
};
use crate::{
    Error, ErrorKind, Hint, Recording, Result,
    ecg::{Lead, Unit},
    files,
};

/// What every file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The largest header that is parsed, in bytes; NumPy itself refuses longer ones.
const LARGEST_HEADER: usize = 10_000;

/// An array as it stands in its file, without leads, unit or rate.
#[derive(Debug, Clone, PartialEq)]
pub struct RawArray {
    /// [batch, channels, samples].
    pub shape: [usize; 3],
    /// The values, the last dimension contiguous.
    pub values: Vec<f32>,
}

/// Reads a NumPy file of f32, f64 or i16 as it stands: [batch, channels, samples], or [channels, samples] as a batch
/// of one. Nothing is transposed, scaled or resampled.
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
    let start = source.open()?.read_start(MAGIC.len() as u64).map_err(|error| source.unreadable(error))?;
    Ok(start == MAGIC)
}

fn raw(source: &Source) -> Result<RawArray> {
    let raw = read_array(source).and_then(|array| array.raw());
    raw.map_err(|error| if error.kind() == ErrorKind::File { error } else { error.at(source.name()) })
}

/// NumPy arrays.
pub(super) const FORMAT: Format =
    Format { name: "NumPy", extensions: &["npy"], companions: &[], recognises: |start| start.starts_with(MAGIC), read };

/// Reads the recordings of an array.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let array = read_array(source)?;
    let layout = Layout::of(&array, options)?;
    let name = |index: usize| match array.shape[0] {
        1 => source.stem(),
        _ => format!("{}[{index}]", source.stem()),
    };
    (0..array.shape[0]).map(|index| array.recording(name(index), index, layout, options)).collect()
}

/// Writes the recorded leads as an array [leads, samples] of f32 in millivolts, the leads in the standard order. The
/// format has no comments.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(recording: &Recording, path: &Path, _comments: &[String]) -> Result<()> {
    let leads = leads_in_order(recording);
    let shape = [leads.len() as u64, recording.samples() as u64];
    let samples = leads.iter().filter_map(|lead| recording.lead(*lead)).flatten();
    let mut bytes = Vec::new();
    let encode = |bytes: &mut Vec<u8>| -> std::io::Result<()> {
        let mut writer = WriteOptions::new().default_dtype().shape(&shape).writer(bytes).begin_nd()?;
        writer.extend(samples)?;
        writer.finish()
    };
    encode(&mut bytes).map_err(|error| Error::file(path, error))?;
    files::write(path, &bytes)
}

/// Returns the options with which the array of a recording must be read. Leads are among them where they are not the
/// standard twelve.
pub(super) fn options(recording: &Recording) -> Option<ReadOptions> {
    let leads = leads_in_order(recording);
    Some(ReadOptions {
        sampling_rate: Some(recording.sampling_rate()),
        unit: Some(Unit::Millivolt),
        leads: (leads != Lead::STANDARD).then_some(leads),
    })
}

/// Returns the recorded leads in the standard order.
fn leads_in_order(recording: &Recording) -> Vec<Lead> {
    Lead::STANDARD.into_iter().filter(|lead| recording.lead(*lead).is_some()).collect()
}

/// An array of two or three dimensions.
struct Array {
    /// Dimensions in the file; if there are two, the first of `shape` is 1.
    rank: usize,
    shape: [usize; 3],
    /// In C order.
    values: Vec<f32>,
    numbers: Numbers,
}

/// Which of an array's last two dimensions holds the leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    LeadsFirst { ambiguous: bool },
    SamplesFirst,
}

impl Layout {
    fn of(array: &Array, options: &ReadOptions) -> Result<Self> {
        let leads = options.leads().len();
        match array.shape {
            [_, rows, columns] if rows == leads => Ok(Layout::LeadsFirst { ambiguous: columns == leads }),
            [_, _, columns] if columns == leads => Ok(Layout::SamplesFirst),
            _ => {
                let cause = format!("an array of shape {:?}, and none of its sides is {leads}", array.stated_shape());
                let remedy = format!(
                    "give [{leads}, samples] or [samples, {leads}], with or without a batch in front, or name the \
                     leads that it holds, such as I,II,V1,V2,V3,V4,V5,V6"
                );
                Err(damaged(cause, remedy).with_hint(Hint::NameLeads))
            }
        }
    }
}

impl Array {
    fn stated_shape(&self) -> &[usize] {
        &self.shape[3 - self.rank..]
    }

    fn recording(&self, name: String, index: usize, layout: Layout, options: &ReadOptions) -> Result<Recording> {
        let [_, rows, columns] = self.shape;
        let plane = &self.values[index * rows * columns..][..rows * columns];
        let signal = |position: usize| match layout {
            Layout::LeadsFirst { .. } => plane[position * columns..][..columns].to_vec(),
            Layout::SamplesFirst => plane.iter().skip(position).step_by(columns).copied().collect(),
        };
        let leads = options.leads().iter().enumerate().map(|(position, lead)| (*lead, signal(position))).collect();
        let mut recording = assumptions::recording(name, leads, self.numbers, Stated::default(), options)?;
        if layout == (Layout::LeadsFirst { ambiguous: true }) {
            recording.warn(format!("as many samples as leads: taken as [{rows} leads, {columns} samples]"));
        }
        Ok(recording)
    }

    fn raw(self) -> Result<RawArray> {
        let [_, channels, samples] = self.shape;
        if let Some(at) = self.values.iter().position(|x| !x.is_finite()) {
            let index = [at / (channels * samples), at / samples % channels, at % samples];
            let cause = format!("{} at index {:?}", self.values[at], &index[3 - self.rank..]);
            return Err(damaged(cause, "replace what is not finite before saving the array"));
        }
        Ok(RawArray { shape: self.shape, values: self.values })
    }
}

/// Reads a whole array, after checking that the file holds what its header declares.
fn read_array(source: &Source) -> Result<Array> {
    let mut part = source.open()?;
    let failed = |error: std::io::Error| source.unreadable(error);
    let start = part.read_start(LARGEST_HEADER as u64).map_err(failed)?;
    let (header, offset) = parse(&start)?;
    let shape = shape(&header)?;
    let element = element(&header)?;
    let expected = shape.iter().try_fold(element.bytes(), |product, side| product.checked_mul(*side));
    let held = part.size.saturating_sub(offset as u64);
    if expected.is_none_or(|expected| expected as u64 > held) {
        let cause = format!("an array of shape {:?} is declared, and {held} bytes follow", header.shape());
        return Err(damaged(cause, "the file is cut off or its header wrong: save the array again"));
    }
    part.reader.seek(SeekFrom::Start(offset as u64)).map_err(failed)?;
    let (rank, strides) = (header.shape().len(), strides(&header));
    let stored = element.read(NpyFile::with_header(header, BufReader::new(part.reader))).map_err(failed)?;
    let whole = matches!(element, Element::I16);
    let numbers = if whole { Numbers::Whole } else { Numbers::of(stored.iter()) };
    Ok(Array { rank, shape, values: in_c_order(stored, shape, strides), numbers })
}

/// Parses the header in a file's first bytes; returns it and the offset of the values.
fn parse(start: &[u8]) -> Result<(NpyHeader, usize)> {
    let text = header_text(start).ok_or_else(|| damaged("no NumPy array", "save the array with numpy.save"))?;
    check_text(text)?;
    let header = NpyHeader::from_reader(start)
        .map_err(|error| damaged(format!("no NumPy array ({error})"), "save the array with numpy.save"))?;
    let offset = text.as_ptr_range().end as usize - start.as_ptr() as usize;
    Ok((header, offset))
}

/// Returns the Python literal in a file's first bytes, which comes after the magic, a version and the literal's length.
fn header_text(start: &[u8]) -> Option<&[u8]> {
    let rest = start.strip_prefix(MAGIC)?;
    let (length, rest) = match rest.split_first_chunk()? {
        ([1, _], rest) => rest.split_first_chunk().map(|(length, rest)| (u16::from_le_bytes(*length).into(), rest))?,
        (_, rest) => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest))?,
    };
    rest.get(..length)
}

/// Refuses headers that NumPy does not write for plain arrays, before npyz parses them: it descends into nested
/// brackets without limit and multiplies the shape without a check.
fn check_text(text: &[u8]) -> Result<()> {
    let unusual = || damaged("a NumPy header of an unusual kind", "save a plain array of numbers with numpy.save");
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains(['\\', '"'])).ok_or_else(unusual)?;
    // Every other part is between quotes.
    let unquoted: String = text.split('\'').step_by(2).collect();
    let count = |bracket| unquoted.matches(bracket).count();
    let plain = |letter: char| "{}():, \n0123456789TrueFals".contains(letter);
    if !unquoted.chars().all(plain) || count('{') > 1 || count('(') > 1 {
        return Err(unusual());
    }
    let mut numbers = unquoted.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let product = numbers.try_fold(1u64, |product, digits| product.checked_mul(digits.parse::<u64>().ok()?.max(1)));
    product.map(|_| ()).ok_or_else(|| {
        damaged("an array too large for any computer is declared", "the header is wrong: save the array again")
    })
}

fn shape(header: &NpyHeader) -> Result<[usize; 3]> {
    let sides: Option<Vec<usize>> = header.shape().iter().map(|side| usize::try_from(*side).ok()).collect();
    let shape = match sides.as_deref() {
        Some([rows, columns]) => [1, *rows, *columns],
        Some([batch, rows, columns]) => [*batch, *rows, *columns],
        _ => [0; 3],
    };
    if shape.contains(&0) {
        let cause = format!("an array of shape {:?}", header.shape());
        return Err(damaged(cause, "give [12, samples], [samples, 12], or a batch of these, none of them empty"));
    }
    Ok(shape)
}

/// The element types that can be read.
#[derive(Debug, Clone, Copy)]
enum Element {
    F32,
    F64,
    I16,
}

fn element(header: &NpyHeader) -> Result<Element> {
    let dtype = header.dtype();
    if let DType::Plain(text) = &dtype {
        match (text.type_char(), text.size_field()) {
            (TypeChar::Float, 4) => return Ok(Element::F32),
            (TypeChar::Float, 8) => return Ok(Element::F64),
            (TypeChar::Int, 2) => return Ok(Element::I16),
            _ => {}
        }
    }
    let cause = format!("an array of type {}", dtype.descr());
    Err(damaged(cause, "save it as float32, float64 or int16, such as with array.astype('float32')"))
}

impl Element {
    fn bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::F64 => 8,
            Element::I16 => 2,
        }
    }

    fn read(self, file: NpyFile<impl Read>) -> std::io::Result<Vec<f32>> {
        match self {
            Element::F32 => file.into_vec::<f32>(),
            Element::F64 => file.into_vec::<f64>().map(|values| values.into_iter().map(|x| x as f32).collect()),
            Element::I16 => file.into_vec::<i16>().map(|values| values.into_iter().map(f32::from).collect()),
        }
    }
}

/// Returns the distance of neighbours in the file, in elements, for each of three dimensions.
fn strides(header: &NpyHeader) -> [usize; 3] {
    // The file size was checked against the shape, so that its strides fit.
    match header.strides() {
        [rows, columns] => [0, *rows as usize, *columns as usize],
        [batch, rows, columns] => [*batch as usize, *rows as usize, *columns as usize],
        _ => [0; 3],
    }
}

/// Reorders `stored` so that its last dimension is contiguous.
fn in_c_order(stored: Vec<f32>, shape: [usize; 3], strides: [usize; 3]) -> Vec<f32> {
    if strides[2] == 1 && strides[1] == shape[2] {
        return stored;
    }
    let [batch, rows, columns] = shape;
    let indices = (0..batch).flat_map(|b| (0..rows).flat_map(move |r| (0..columns).map(move |c| [b, r, c])));
    indices.map(|index| stored[index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>()]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(dict: &str) -> Vec<u8> {
        let length = (dict.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], dict.as_bytes()].concat()
    }

    #[test]
    fn numpys_own_header_is_understood() {
        let bytes = header("{'descr': '>f4', 'fortran_order': True, 'shape': (2, 12, 1000), }   \n");
        let (parsed, offset) = parse(&bytes).unwrap();
        assert_eq!((parsed.shape(), offset), (&[2, 12, 1000][..], bytes.len()));
    }

    #[test]
    fn a_hostile_header_is_refused_before_it_is_parsed() {
        let nested = "(".repeat(9000);
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 12), }";
        let escaped = "{'descr': '\\'(((((((', 'fortran_order': False, 'shape': (12, 9), }";
        let hexadecimal = "{'descr': '<f4', 'fortran_order': False, 'shape': (0xFFFFFFFFFFFFFFFF, 0xFF), }";
        for dict in [nested.as_str(), huge, escaped, hexadecimal] {
            assert!(parse(&header(dict)).is_err(), "{}", &dict[..40]);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, version in 0..4u8) {
            let _ = parse(&bytes);
            let _ = parse(&[b"\x93NUMPY", &[version, 0][..], &bytes].concat());
            let _ = parse(&header(&String::from_utf8_lossy(&bytes)));
        }

        #[test]
        fn random_shapes_never_panic(shape in "[0-9, ]{0,60}", descr in "[<>|=][a-zA-Z][0-9]{0,25}", order in any::<bool>()) {
            let order = if order { "True" } else { "False" };
            let dict = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}");
            if let Ok((header, _)) = parse(&header(&dict)) {
                let _ = (super::shape(&header), element(&header));
            }
        }

        #[test]
        fn random_literals_never_panic(dict in "([-{}()\\[\\]:,'\" \\\\0-9eEjxob_+]|True|False|None|'shape'|'descr'){0,60}") {
            let _ = parse(&header(&dict));
        }
    }
}
